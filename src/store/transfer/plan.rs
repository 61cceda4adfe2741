//! What a move of a group is about to do, written down in two tables of its own: the groups that are touched, and the fate of each
//! contact and organization. Nothing else is changed here.

use sqlx::PgConnection;

use super::{Fates, GroupMove, TransferReport};
use crate::{domain::OperationId, store::StoreError};

/// Writes down the groups that are touched.
pub(super) async fn write_groups(
    connection: &mut PgConnection,
    operation: OperationId,
    what: &GroupMove<'_>,
) -> Result<(), StoreError> {
    going(connection, operation, what).await?;
    left(connection, operation, what).await
}

/// Forgets what was written down.
pub(super) async fn erase(
    connection: &mut PgConnection,
    operation: OperationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM transfer_items WHERE operation = $1",
        operation.0
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM transfer_groups WHERE operation = $1",
        operation.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The groups that go: the group and all below. A contact source that goes too stays theirs; without one, contacts are held where the
/// new parent's are, or by the group itself where it becomes a root group.
async fn going(
    connection: &mut PgConnection,
    operation: OperationId,
    what: &GroupMove<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH RECURSIVE below AS (
             SELECT id, contact_group_id, contact_source_id FROM groups WHERE root_id = $2 AND id = $3
             UNION ALL
             SELECT groups.id, groups.contact_group_id, groups.contact_source_id
             FROM below JOIN groups ON groups.root_id = $2 AND groups.parent_id = below.id),
         target AS (
             SELECT coalesce((SELECT contact_group_id FROM groups WHERE root_id = $4 AND id = $5), $3) AS holder),
         held AS (
             SELECT groups.id, groups.contact_group_id AS old_holder, source.id AS source, coalesce(source.id, target.holder) AS new_holder
             FROM target CROSS JOIN groups LEFT JOIN below AS source ON source.id = groups.contact_source_id
             WHERE groups.root_id = $2 AND groups.id = $3
             UNION ALL
             SELECT groups.id, groups.contact_group_id, source.id, coalesce(source.id, held.new_holder)
             FROM held JOIN groups ON groups.root_id = $2 AND groups.parent_id = held.id
             LEFT JOIN LATERAL (SELECT below.id FROM below WHERE below.id = groups.contact_source_id) AS source ON true)
         INSERT INTO transfer_groups (operation, group_id, old_root, new_root, old_holder, new_holder, source, goes)
         SELECT $1, id, $2, $4, old_holder, new_holder, source, true FROM held",
        operation.0,
        what.root.0,
        what.group.0,
        what.new_root().0,
        what.parent.map(|(_, group)| group.0),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The groups that stay though their contacts go with the group that held them: they fall back to what is above them.
async fn left(
    connection: &mut PgConnection,
    operation: OperationId,
    what: &GroupMove<'_>,
) -> Result<(), StoreError> {
    if what.root == what.new_root() {
        return Ok(());
    }
    sqlx::query!(
        "WITH RECURSIVE gone AS MATERIALIZED (
             SELECT group_id FROM transfer_groups WHERE operation = $1 AND goes),
         kept AS (
             SELECT id, contact_group_id, source, coalesce(source, id) AS holder FROM (
                 SELECT id, contact_group_id,
                        CASE WHEN contact_source_id NOT IN (SELECT group_id FROM gone) THEN contact_source_id END AS source
                 FROM groups WHERE root_id = $2 AND id = $2 AND id NOT IN (SELECT group_id FROM gone)) AS root
             UNION ALL
             SELECT next.id, next.contact_group_id, next.source, coalesce(next.source, kept.holder)
             FROM kept JOIN LATERAL (
                 SELECT id, contact_group_id,
                        CASE WHEN contact_source_id NOT IN (SELECT group_id FROM gone) THEN contact_source_id END AS source
                 FROM groups WHERE root_id = $2 AND parent_id = kept.id AND id NOT IN (SELECT group_id FROM gone)) AS next ON true)
         INSERT INTO transfer_groups (operation, group_id, old_root, new_root, old_holder, new_holder, source, goes)
         SELECT $1, id, $2, $2, contact_group_id, holder, source, false FROM kept WHERE contact_group_id <> holder",
        operation.0,
        what.root.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes down the items: what goes with its group, what issues use of somebody else's, and what is there already.
pub(super) async fn write_items(
    connection: &mut PgConnection,
    operation: OperationId,
) -> Result<(), StoreError> {
    // A group that held contacts for itself and does so no more hands them to its new holder; any other keeps what it has.
    sqlx::query!(
        "INSERT INTO transfer_items (operation, item_id, old_root, new_root, holder, kind, known_by, fate, leaves, becomes)
         SELECT $1, items.id, moving.old_root, moving.new_root,
                CASE WHEN moving.old_holder = moving.group_id
                      AND NOT EXISTS (SELECT FROM transfer_groups AS user_of WHERE user_of.operation = $1 AND user_of.new_holder = moving.group_id)
                     THEN moving.new_holder ELSE moving.group_id END,
                items.kind, CASE items.kind WHEN 'contact' THEN lower(items.email) WHEN 'organization' THEN lower(items.title) END,
                'moved', true, items.id
         FROM transfer_groups AS moving
         JOIN items ON items.root_id = moving.old_root AND items.group_id = moving.group_id
         WHERE moving.operation = $1 AND moving.goes AND moving.old_root <> moving.new_root",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO transfer_items (operation, item_id, old_root, new_root, holder, kind, known_by, fate, leaves, becomes)
         SELECT $1, used.id, used.root_id, used.new_root, used.holder, used.kind,
                CASE used.kind WHEN 'contact' THEN lower(used.email) ELSE lower(used.title) END,
                'copied', false, nextval(pg_get_serial_sequence('items', 'id'))
         FROM (SELECT DISTINCT items.id, items.root_id, items.kind, items.email, items.title, moving.new_root, moving.new_holder AS holder
               FROM transfer_groups AS moving
               JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
               JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
               JOIN issue_items ON issue_items.root_id = moving.old_root AND issue_items.issue_id = issues.id
               JOIN items ON items.root_id = moving.old_root AND items.id = issue_items.item_id
               WHERE moving.operation = $1 AND (items.root_id, items.group_id) <> (moving.new_root, moving.new_holder)
                 AND items.kind IN ('contact', 'organization')) AS used
         ON CONFLICT (operation, item_id, holder) DO NOTHING",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    // A contact brings its organization.
    sqlx::query!(
        "INSERT INTO transfer_items (operation, item_id, old_root, new_root, holder, kind, known_by, fate, leaves, becomes)
         SELECT $1, used.id, used.root_id, used.new_root, used.holder, used.kind, lower(used.title), 'copied', false,
                nextval(pg_get_serial_sequence('items', 'id'))
         FROM (SELECT DISTINCT organization.id, organization.root_id, organization.kind, organization.title, moving.new_root, moving.holder
               FROM transfer_items AS moving
               JOIN items AS contact ON contact.root_id = moving.old_root AND contact.id = moving.item_id
               JOIN items AS organization ON organization.root_id = moving.old_root AND organization.id = contact.organization_id
               WHERE moving.operation = $1 AND (organization.root_id, organization.group_id) <> (moving.new_root, moving.holder)) AS used
         ON CONFLICT (operation, item_id, holder) DO NOTHING",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    merge(connection, operation).await
}

/// Finds duplicates: what the new holder has already, then what comes twice.
async fn merge(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE transfer_items SET fate = 'merged', becomes = there.id FROM items AS there
         WHERE operation = $1 AND transfer_items.kind = 'contact' AND there.root_id = transfer_items.new_root
           AND there.group_id = transfer_items.holder AND there.kind = 'contact' AND there.email IS NOT NULL
           AND lower(there.email) = transfer_items.known_by",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE transfer_items SET fate = 'merged', becomes = there.id FROM items AS there
         WHERE operation = $1 AND transfer_items.kind = 'organization' AND there.root_id = transfer_items.new_root
           AND there.group_id = transfer_items.holder AND there.kind = 'organization' AND lower(there.title) = transfer_items.known_by",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE transfer_items SET fate = 'merged', becomes = ranked.survivor
         FROM (SELECT item_id, holder, becomes,
                      first_value(becomes) OVER (PARTITION BY new_root, holder, kind, known_by ORDER BY leaves DESC, item_id) AS survivor
               FROM transfer_items WHERE operation = $1 AND fate <> 'merged' AND known_by IS NOT NULL) AS ranked
         WHERE operation = $1 AND transfer_items.item_id = ranked.item_id AND transfer_items.holder = ranked.holder
           AND ranked.survivor <> ranked.becomes",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks what moves: groups, so that nothing is created in them; projects and issues, so that nothing is related to them meanwhile.
/// A command that is under way ends first, one that comes later finds everything at its new place.
pub(super) async fn lock(
    connection: &mut PgConnection,
    operation: OperationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"SELECT 1 AS "one!" FROM transfer_groups AS moving JOIN groups ON groups.root_id = moving.old_root AND groups.id = moving.group_id
           WHERE operation = $1 AND goes ORDER BY groups.id FOR UPDATE OF groups"#,
        operation.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query!(
        r#"SELECT 1 AS "one!" FROM transfer_groups AS moving JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
           WHERE operation = $1 ORDER BY projects.id FOR UPDATE OF projects"#,
        operation.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query!(
        r#"SELECT count(*) AS "locked!" FROM (
               SELECT FROM transfer_groups AS moving
               JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
               JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
               WHERE operation = $1 ORDER BY issues.id FOR UPDATE OF issues) AS locked"#,
        operation.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Counts what was written down.
pub(super) async fn report(
    connection: &mut PgConnection,
    operation: OperationId,
) -> Result<TransferReport, StoreError> {
    let moving = sqlx::query!(
        r#"SELECT count(DISTINCT moving.group_id) AS "groups!", count(DISTINCT projects.id) AS "projects!", count(DISTINCT issues.id) AS "issues!",
                  count(DISTINCT (issue_items.issue_id, coalesce(items.becomes, issue_items.item_id))) FILTER (WHERE issue_items.item_id IS NOT NULL) AS "relations!"
           FROM transfer_groups AS moving
           LEFT JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
           LEFT JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
           LEFT JOIN issue_items ON issue_items.root_id = moving.old_root AND issue_items.issue_id = issues.id
           LEFT JOIN transfer_items AS items ON items.operation = $1 AND items.item_id = issue_items.item_id AND items.holder = moving.new_holder
           WHERE moving.operation = $1 AND goes"#,
        operation.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    // Issues of groups that stay lose a contact that goes only where it was none of theirs by right.
    let removed = sqlx::query_scalar!(
        r#"SELECT count(*) AS "removed!" FROM transfer_items AS moving
           JOIN issue_items ON issue_items.item_id = moving.item_id AND issue_items.root_id = moving.old_root
           JOIN issues ON issues.id = issue_items.issue_id AND issues.root_id = moving.old_root
           JOIN projects ON projects.root_id = moving.old_root AND projects.id = issues.project_id
           WHERE operation = $1 AND leaves
             AND projects.group_id NOT IN (SELECT group_id FROM transfer_groups WHERE operation = $1)"#,
        operation.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    let lost = sqlx::query_scalar!(
        r#"SELECT count(*) AS "lost!" FROM transfer_groups AS moving
           JOIN projects ON projects.root_id = moving.old_root AND projects.group_id = moving.group_id
           JOIN issues ON issues.project_id = projects.id AND issues.root_id = moving.old_root
           JOIN issue_items ON issue_items.root_id = moving.old_root AND issue_items.issue_id = issues.id
           JOIN items ON items.root_id = moving.old_root AND items.id = issue_items.item_id
           WHERE moving.operation = $1 AND goes AND items.kind NOT IN ('contact', 'organization')
             AND (items.root_id, items.group_id) <> (moving.new_root, moving.new_holder)
             AND NOT EXISTS (SELECT FROM transfer_items
                             WHERE transfer_items.operation = $1 AND transfer_items.item_id = items.id
                               AND transfer_items.holder = moving.new_holder)"#,
        operation.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    let fates = sqlx::query!(
        r#"SELECT kind, fate, count(*) AS "items!" FROM transfer_items WHERE operation = $1 GROUP BY kind, fate"#,
        operation.0,
    )
    .fetch_all(connection)
    .await?;
    let mut report = TransferReport {
        groups: moving.groups,
        projects: moving.projects,
        issues: moving.issues,
        relations_kept: moving.relations - lost,
        relations_removed: removed + lost,
        ..TransferReport::default()
    };
    for row in fates {
        let of: &mut Fates = match row.kind.as_str() {
            "contact" => &mut report.contacts,
            "organization" => &mut report.organizations,
            _ => &mut report.items,
        };
        match row.fate.as_str() {
            "moved" => of.moved += row.items,
            "copied" => of.copied += row.items,
            _ => of.merged += row.items,
        }
    }
    Ok(report)
}
