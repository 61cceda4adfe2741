//! Does what was written down: every statement reads the plan, and none decides anything.
//!
//! Relations and histories come first, while everything is still found at its old place; then contacts, then the tree itself. References
//! are checked at the end of the transaction.

use sqlx::{PgConnection, types::Json};

use super::{GroupMove, Mover, belongings, part};
use crate::{
    domain::{ConnectionId, Followers, OperationId, RootId},
    store::StoreError,
};

/// Moves everything that the store keeps; returns what has to follow in the queues.
pub(super) async fn apply(
    connection: &mut PgConnection,
    mover: &Mover,
    what: &GroupMove<'_>,
) -> Result<Followers, StoreError> {
    let operation = mover.operation;
    forget_levels(connection, operation).await?;
    copy(connection, operation).await?;
    relations(connection, mover).await?;
    past(connection, operation).await?;
    belongings::belongings(connection, operation).await?;
    items(connection, operation).await?;
    items_moved(connection, mover, what).await?;
    let followers = followers(connection, operation, what).await?;
    issues(connection, operation, what).await?;
    projects(connection, operation, what).await?;
    webhooks(connection, operation).await?;
    groups(connection, operation, what).await?;
    Ok(followers)
}

/// Levels that the tracker told are inherited down the tree, so that those of the old place say nothing any more.
async fn forget_levels(
    connection: &mut PgConnection,
    operation: OperationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM access_levels
         USING (SELECT old_root, new_root, 'group' AS scope, groups.connection_id, groups.remote_id
                FROM transfer_groups AS moving JOIN groups ON groups.root_id = moving.old_root AND groups.id = moving.group_id
                WHERE operation = $1 AND goes
                UNION ALL
                SELECT old_root, new_root, 'project', projects.connection_id, projects.remote_id
                FROM transfer_groups AS moving JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
                WHERE operation = $1 AND goes) AS place
         WHERE access_levels.root_id IN (place.old_root, place.new_root) AND access_levels.connection_id = place.connection_id
           AND access_levels.scope = place.scope AND access_levels.remote_scope_id = place.remote_id",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes the copies of what others use too, with the organizations that are at the new place.
async fn copy(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO items (root_id, id, group_id, kind, state, title, first_name, last_name, email, phone, description,
                            organization_id, default_rate, created_at, updated_at)
         SELECT moving.new_root, moving.becomes, moving.holder, items.kind, items.state, items.title, items.first_name, items.last_name,
                items.email, items.phone, items.description,
                coalesce(organization.becomes, CASE WHEN moving.old_root = moving.new_root THEN items.organization_id END),
                items.default_rate, items.created_at, items.updated_at
         FROM transfer_items AS moving
         JOIN items ON items.root_id = moving.old_root AND items.id = moving.item_id
         LEFT JOIN transfer_items AS organization
                ON organization.operation = $1 AND organization.item_id = items.organization_id AND organization.holder = moving.holder
         WHERE moving.operation = $1 AND moving.fate = 'copied'
         -- Organizations first.
         ORDER BY moving.kind DESC",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Points the relations of issues whose contacts change at what those become. Two that become one are one. Deals and the like are not
/// copied: the relations of those that stay end.
async fn relations(connection: &mut PgConnection, mover: &Mover) -> Result<(), StoreError> {
    let operation = mover.operation;
    sqlx::query!(
        "WITH gone AS (
             DELETE FROM issue_items
             USING (SELECT moving.old_root, issue_items.issue_id, issue_items.item_id, items.group_id
                    FROM transfer_groups AS moving
                    JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
                    JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
                    JOIN issue_items ON issue_items.root_id = moving.old_root AND issue_items.issue_id = issues.id
                    JOIN items ON items.root_id = moving.old_root AND items.id = issue_items.item_id
                    WHERE moving.operation = $1 AND items.kind NOT IN ('contact', 'organization')
                      AND (items.root_id, items.group_id) <> (moving.new_root, moving.new_holder)
                      AND NOT EXISTS (SELECT FROM transfer_items
                                      WHERE transfer_items.operation = $1 AND transfer_items.item_id = items.id
                                        AND transfer_items.holder = moving.new_holder)) AS lost
             WHERE issue_items.root_id = lost.old_root AND issue_items.issue_id = lost.issue_id AND issue_items.item_id = lost.item_id
             RETURNING lost.old_root, lost.group_id, issue_items.issue_id, issue_items.item_id, added_by, added_at)
         INSERT INTO history (root_id, operation, at, actor_id, via, group_id, issue_id, item_id, action, detail)
         SELECT old_root, $1, $2, $3, $4, group_id, issue_id, item_id, 'item_unrelated',
                jsonb_build_object('added_by', added_by, 'added_at', added_at)
         FROM gone",
        operation.0,
        mover.now,
        mover.actor.map(|person| person.0),
        mover.via.word(),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM issue_items
         USING (SELECT old_root, issue_items.issue_id, issue_items.item_id,
                       row_number() OVER (PARTITION BY issue_items.issue_id, items.becomes
                                          ORDER BY issue_items.item_id = items.becomes DESC, issue_items.added_at, issue_items.item_id) AS nth
                FROM transfer_groups AS moving
                JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
                JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
                JOIN issue_items ON issue_items.root_id = moving.old_root AND issue_items.issue_id = issues.id
                JOIN LATERAL (SELECT becomes FROM transfer_items
                              WHERE operation = $1 AND item_id = issue_items.item_id AND holder = moving.new_holder) AS items ON true
                WHERE moving.operation = $1) AS doubled
         WHERE nth > 1 AND issue_items.root_id = doubled.old_root AND issue_items.issue_id = doubled.issue_id
           AND issue_items.item_id = doubled.item_id",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE issue_items SET root_id = moving.new_root, item_id = coalesce(items.becomes, issue_items.item_id)
         FROM transfer_groups AS moving
         JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
         JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
         JOIN issue_items AS before ON before.root_id = moving.old_root AND before.issue_id = issues.id
         LEFT JOIN transfer_items AS items
                ON items.operation = $1 AND items.item_id = before.item_id AND items.holder = moving.new_holder
         WHERE moving.operation = $1 AND issue_items.root_id = before.root_id AND issue_items.issue_id = before.issue_id
           AND issue_items.item_id = before.item_id",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    // What is left is of issues that stay, in groups that had no claim to the contact.
    sqlx::query!(
        "DELETE FROM issue_items USING transfer_items AS moving
         WHERE operation = $1 AND leaves AND issue_items.item_id = moving.item_id AND issue_items.root_id = moving.old_root",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The history follows: rows about an issue go with it, others with the item. What was merged has the history of both.
async fn past(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE history SET root_id = moving.new_root, item_id = coalesce(items.becomes, before.item_id)
         FROM transfer_groups AS moving
         JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
         JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
         JOIN history AS before ON before.issue_id = issues.id AND before.root_id = moving.old_root
         LEFT JOIN transfer_items AS items
                ON items.operation = $1 AND items.item_id = before.item_id AND items.holder = moving.new_holder
         WHERE moving.operation = $1 AND history.root_id = before.root_id AND history.id = before.id",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE history SET root_id = moving.new_root, item_id = moving.becomes
         FROM transfer_items AS moving
         WHERE moving.operation = $1 AND leaves AND history.item_id = moving.item_id AND history.root_id = moving.old_root",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Contacts and organizations that leave go to their new holder, or give way to the one that is there.
async fn items(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    // Whoever stays keeps no organization that goes.
    sqlx::query!(
        "UPDATE items SET organization_id = NULL
         FROM transfer_items AS organization
         WHERE operation = $1 AND leaves AND items.root_id = organization.old_root AND items.organization_id = organization.item_id
           AND (SELECT true FROM transfer_items AS moving
                WHERE moving.operation = $1 AND moving.item_id = items.id AND moving.leaves LIMIT 1) IS NULL",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM items USING transfer_items AS moving
         WHERE moving.operation = $1 AND leaves AND fate = 'merged' AND items.root_id = moving.old_root AND items.id = moving.item_id",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    // Organizations first: a contact finds its own at the new place.
    for is_organization in [true, false] {
        sqlx::query!(
        "UPDATE items SET root_id = moving.new_root, group_id = moving.holder, organization_id = organization.becomes,
                type_id = CASE WHEN before.type_id IS NULL THEN NULL ELSE (
                    SELECT there.id FROM item_types AS was JOIN item_types AS there ON lower(there.name) = lower(was.name)
                    WHERE was.root_id = moving.old_root AND was.id = before.type_id AND there.root_id = moving.new_root) END
         FROM transfer_items AS moving
         JOIN items AS before ON before.root_id = moving.old_root AND before.id = moving.item_id
         LEFT JOIN transfer_items AS organization
                ON organization.operation = $1 AND organization.item_id = before.organization_id AND organization.holder = moving.holder
         WHERE moving.operation = $1 AND moving.leaves AND moving.fate = 'moved'
           AND items.root_id = before.root_id AND items.id = before.id AND (moving.kind = 'organization') = $2",
        operation.0,
        is_organization,
    )
    .execute(&mut *connection)
    .await?;
    }
    Ok(())
}

/// Writes into the history of each item that it came, or what came to it.
async fn items_moved(
    connection: &mut PgConnection,
    mover: &Mover,
    what: &GroupMove<'_>,
) -> Result<(), StoreError> {
    let detail = serde_json::json!({ "to": what.path });
    sqlx::query!(
        "INSERT INTO history (root_id, operation, at, actor_id, via, item_id, action, detail)
         SELECT new_root, $1, $2, $3, $4, becomes, CASE fate WHEN 'merged' THEN 'item_merged' ELSE 'item_moved' END,
                $5::jsonb || jsonb_build_object('was', item_id, 'fate', fate)
         FROM transfer_items WHERE operation = $1",
        mover.operation.0,
        mover.now,
        mover.actor.map(|person| person.0),
        mover.via.word(),
        Json(detail) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Issues follow their projects, and comments their issues.
async fn issues(
    connection: &mut PgConnection,
    operation: OperationId,
    what: &GroupMove<'_>,
) -> Result<(), StoreError> {
    if what.root == what.new_root() {
        return Ok(());
    }
    let going = sqlx::query_scalar!(
        "SELECT projects.id FROM transfer_groups AS moving
         JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id WHERE operation = $1 AND goes",
        operation.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    part(connection, what.root, &going).await?;
    sqlx::query!(
        "UPDATE comments SET root_id = moving.new_root
         FROM transfer_groups AS moving
         JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
         JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
         WHERE operation = $1 AND old_root <> new_root AND comments.issue_id = issues.id AND comments.root_id = moving.old_root",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE issues SET root_id = moving.new_root
         FROM transfer_groups AS moving
         JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
         WHERE operation = $1 AND old_root <> new_root AND issues.project_id = projects.id AND issues.root_id = moving.old_root",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Projects follow, under the tracker's new path.
async fn projects(
    connection: &mut PgConnection,
    operation: OperationId,
    what: &GroupMove<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE projects SET root_id = moving.new_root,
                path = CASE WHEN starts_with(lower(projects.path), lower(top.remote_path) || '/')
                            THEN coalesce($4, top.remote_path) || substr(projects.path, length(top.remote_path) + 1) ELSE projects.path END
         FROM transfer_groups AS moving, groups AS top
         WHERE operation = $1 AND goes AND projects.root_id = moving.old_root AND projects.group_id = moving.group_id
           AND top.root_id = $2 AND top.id = $3",
        operation.0,
        what.root.0,
        what.group.0,
        what.remote_path,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Memberships, webhooks and their secrets.
async fn webhooks(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE memberships SET root_id = new_root FROM transfer_groups AS moving
         WHERE operation = $1 AND goes AND old_root <> new_root AND memberships.root_id = old_root AND memberships.group_id = moving.group_id",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE webhook_secrets SET root_id = new_root
         FROM transfer_groups AS moving JOIN webhooks ON webhooks.root_id = moving.old_root AND webhooks.group_id = moving.group_id
         WHERE operation = $1 AND goes AND old_root <> new_root AND webhook_secrets.root_id = old_root AND webhook_secrets.webhook_id = webhooks.id",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE webhooks SET root_id = new_root FROM transfer_groups AS moving
         WHERE operation = $1 AND goes AND old_root <> new_root AND webhooks.root_id = old_root AND webhooks.group_id = moving.group_id",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The groups themselves: their place, their paths, and who holds their contacts. Those that stay get their new holder.
async fn groups(
    connection: &mut PgConnection,
    operation: OperationId,
    what: &GroupMove<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE groups SET root_id = moving.new_root, contact_group_id = moving.new_holder, contact_source_id = moving.source,
                parent_id = CASE WHEN groups.id = top.id THEN $4 ELSE groups.parent_id END,
                path = CASE WHEN goes THEN $5 || substr(groups.path, length(top.path) + 1) ELSE groups.path END,
                declared_path = CASE WHEN goes AND groups.managed THEN coalesce(groups.declared_path, groups.path) ELSE groups.declared_path END,
                remote_path = CASE WHEN goes AND (groups.id = top.id OR starts_with(lower(groups.remote_path), lower(top.remote_path) || '/'))
                                   THEN coalesce($6, top.remote_path) || substr(groups.remote_path, length(top.remote_path) + 1)
                                   ELSE groups.remote_path END
         FROM transfer_groups AS moving, (SELECT id, path, remote_path FROM groups WHERE root_id = $2 AND id = $3) AS top
         WHERE operation = $1 AND groups.root_id = moving.old_root AND groups.id = moving.group_id",
        operation.0,
        what.root.0,
        what.group.0,
        what.parent.map(|(_, group)| group.0),
        what.path,
        what.remote_path,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Names what waits in the queues for what moves.
async fn followers(
    connection: &mut PgConnection,
    operation: OperationId,
    what: &GroupMove<'_>,
) -> Result<Followers, StoreError> {
    let (from, to): (RootId, RootId) = (what.root, what.new_root());
    if from == to {
        return Ok(Followers::none(from));
    }
    let webhooks = sqlx::query_scalar!(
        "SELECT webhooks.id FROM transfer_groups AS moving
         JOIN webhooks ON webhooks.root_id = moving.old_root AND webhooks.group_id = moving.group_id WHERE operation = $1 AND goes",
        operation.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    let projects = sqlx::query!(
        r#"SELECT projects.connection_id AS "connection: ConnectionId", projects.remote_id FROM transfer_groups AS moving
           JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id WHERE operation = $1 AND goes"#,
        operation.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(Followers {
        from,
        to,
        webhooks,
        projects: projects
            .into_iter()
            .map(|row| (row.connection, row.remote_id))
            .collect(),
    })
}
