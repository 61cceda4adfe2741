//! Issues that change: where they are, where they were moved to, and the relations that follow without a command.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::{StoreError, road::Fresh};
use crate::{
    domain::{
        ConnectionId, DeliveryId, GroupId, IssueChange, IssueId, ItemId, OperationId, ProjectId,
        RelationSource, RootId, WebhookId,
    },
    rules::{Carried, Standing},
};

/// What is known of an issue before an event of it counts.
#[derive(Debug)]
pub struct Known {
    /// The project that it is in.
    pub project: ProjectId,
    /// The group that holds the project's contacts.
    pub holder: GroupId,
    /// Whether the CRM is on, for the project's group and for the group that holds the contacts.
    pub crm_enabled: bool,
    /// By what contacts are related to issues of the project without a command.
    pub sources: Vec<RelationSource>,
    /// The issue, if met before.
    pub issue: Option<KnownIssue>,
}

/// An issue that was met before.
#[derive(Debug)]
pub struct KnownIssue {
    /// Remote id of its author.
    pub author: String,
    /// Remote id of the issue that it was moved to, if the tracker confirmed one.
    pub moved_to: Option<String>,
    /// Whether that one is in the same tree.
    pub is_followed: bool,
    /// Whether it has contacts.
    pub has_contacts: bool,
}

/// Returns what is known of an issue, if its project's place was asked lately and is in the webhook's group or below.
pub async fn known(
    connection: &mut PgConnection,
    (root, on, webhook): (RootId, ConnectionId, WebhookId),
    change: &IssueChange,
    fresh: Fresh,
) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT projects.id AS "project: ProjectId", holder.id AS "holder: GroupId",
                  (home.crm_enabled AND holder.crm_enabled) AS "crm_enabled!",
                  -- The nearest group that has made a choice.
                  (WITH RECURSIVE up AS (
                       SELECT parent_id, automatic_relations, 0 AS step FROM groups WHERE root_id = $1 AND id = home.id
                       UNION ALL
                       SELECT groups.parent_id, groups.automatic_relations, step + 1
                       FROM groups JOIN up ON groups.root_id = $1 AND groups.id = up.parent_id)
                   SELECT automatic_relations FROM up WHERE automatic_relations IS NOT NULL ORDER BY step LIMIT 1) AS sources,
                  issues.author_remote_id AS "author?", issues.moved_to_remote_id, issues.moved_to_id,
                  (SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = issues.id LIMIT 1) IS NOT NULL AS "has_contacts!"
           FROM webhooks
           JOIN groups AS scope ON scope.root_id = webhooks.root_id AND scope.id = webhooks.group_id
           JOIN projects ON projects.root_id = $1 AND projects.connection_id = $2 AND projects.remote_id = $4
                        AND projects.checked_at > $5 AND (projects.path = $6 OR $7)
           JOIN groups AS home ON home.root_id = $1 AND home.id = projects.group_id
           JOIN groups AS holder ON holder.root_id = $1 AND holder.id = home.contact_group_id
           LEFT JOIN issues ON issues.root_id = $1 AND issues.project_id = projects.id AND issues.iid = $8
           WHERE webhooks.root_id = $1 AND webhooks.id = $3 AND (home.path = scope.path OR starts_with(home.path, scope.path || '/'))"#,
        root.0,
        on.0,
        webhook.0,
        change.project.id,
        fresh.places,
        change.project.path,
        fresh.asked,
        change.issue.iid,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Known {
        project: row.project,
        holder: row.holder,
        crm_enabled: row.crm_enabled,
        sources: row
            .sources
            .unwrap_or_default()
            .iter()
            .filter_map(|word| RelationSource::from_word(word))
            .collect(),
        issue: row.author.map(|author| KnownIssue {
            author,
            moved_to: row.moved_to_remote_id,
            is_followed: row.moved_to_id.is_some(),
            has_contacts: row.has_contacts,
        }),
    }))
}

/// Returns a project of the tree.
pub async fn project(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    remote_id: &str,
) -> Result<Option<ProjectId>, StoreError> {
    let id = sqlx::query_scalar!(
        r#"SELECT id AS "id: ProjectId" FROM projects WHERE root_id = $1 AND connection_id = $2 AND remote_id = $3"#,
        root.0,
        on.0,
        remote_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

/// Remembers where an issue was moved to; `followed` is the row of the new issue, if that is in the same tree.
pub async fn set_moved(
    connection: &mut PgConnection,
    root: RootId,
    issue: IssueId,
    remote_id: &str,
    followed: Option<IssueId>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE issues SET moved_to_remote_id = $3, moved_to_id = $4 WHERE root_id = $1 AND id = $2",
        root.0,
        issue.0,
        remote_id,
        // An issue that became itself would lead nowhere.
        followed.filter(|new| *new != issue).map(|new| new.0),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The issue that an issue became, through all its moves.
#[derive(Debug, PartialEq, Eq)]
pub struct Successor {
    /// The last one that is in the tree.
    pub issue: IssueId,
    /// Remote id of its project.
    pub project: String,
    /// Its number within the project.
    pub iid: i64,
    /// The group that holds its contacts.
    pub holder: GroupId,
    /// Whether the CRM is on for it.
    pub crm_enabled: bool,
    /// True where that one was moved out of the tree, or the way does not end.
    pub is_gone: bool,
}

/// Returns what an issue became; an issue that was not moved is its own successor. Both, and their relations, stay as they are until the
/// transaction ends.
///
/// # Errors
/// Conflicts where the issue was moved on meanwhile.
pub async fn locked_successor(
    connection: &mut PgConnection,
    root: RootId,
    issue: IssueId,
) -> Result<Successor, StoreError> {
    let before = successor(connection, root, issue).await?;
    lock(connection, root, [issue, before.issue]).await?;
    // Only what is read under the lock is sure to be the end of the way.
    let locked = successor(connection, root, issue).await?;
    if locked == before {
        Ok(locked)
    } else {
        Err(StoreError::Conflict {
            constraint: "issues_moved_to_fkey".to_owned(),
        })
    }
}

async fn successor(
    connection: &mut PgConnection,
    root: RootId,
    issue: IssueId,
) -> Result<Successor, StoreError> {
    let successor = sqlx::query_as!(
        Successor,
        r#"WITH RECURSIVE way AS (
               SELECT id, moved_to_id, 0 AS step FROM issues WHERE root_id = $1 AND id = $2
               UNION ALL
               SELECT issues.id, issues.moved_to_id, step + 1
               FROM issues JOIN way ON issues.root_id = $1 AND issues.id = way.moved_to_id WHERE step < 50)
           SELECT issues.id AS "issue: IssueId", projects.remote_id AS project, issues.iid, holder.id AS "holder: GroupId",
                  (home.crm_enabled AND holder.crm_enabled) AS "crm_enabled!", issues.moved_to_remote_id IS NOT NULL AS "is_gone!"
           FROM way
           JOIN issues ON issues.root_id = $1 AND issues.id = way.id
           JOIN projects ON projects.root_id = $1 AND projects.id = issues.project_id
           JOIN groups AS home ON home.root_id = $1 AND home.id = projects.group_id
           JOIN groups AS holder ON holder.root_id = $1 AND holder.id = home.contact_group_id
           ORDER BY step DESC LIMIT 1"#,
        root.0,
        issue.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(successor)
}

async fn lock(
    connection: &mut PgConnection,
    root: RootId,
    issues: [IssueId; 2],
) -> Result<(), StoreError> {
    // A relation that is being made holds its issue, so that this waits for it. In one order, so that two do not wait for each other.
    sqlx::query!(
        r#"SELECT 1 AS "one!" FROM issues WHERE root_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE"#,
        root.0,
        &issues.map(|issue| issue.0),
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Returns how contacts stand towards an issue and the one that it became: those of both, and the ones that are named.
pub async fn standings(
    connection: &mut PgConnection,
    root: RootId,
    (old, new): (IssueId, IssueId),
    named: &[i64],
) -> Result<Vec<Standing>, StoreError> {
    let standings = sqlx::query_as!(
        Standing,
        r#"WITH RECURSIVE line AS (
               SELECT $3::bigint AS id, 0 AS step
               UNION ALL
               SELECT issues.id, step + 1 FROM issues JOIN line ON issues.root_id = $1 AND issues.moved_to_id = line.id WHERE step < 50),
           touched AS MATERIALIZED (
               SELECT DISTINCT ON (item_id) item_id, action = 'item_unrelated' AS removed
               FROM history
               WHERE root_id = $1 AND issue_id IN (SELECT id FROM line) AND via NOT IN ('tracker', 'automatic')
                 AND action IN ('item_related', 'item_unrelated')
               ORDER BY item_id, history.id DESC),
           wanted AS (
               SELECT item_id FROM issue_items WHERE root_id = $1 AND issue_id IN ($2, $3)
               UNION SELECT unnest($4::bigint[]))
           SELECT wanted.item_id AS "contact!: ItemId",
                  (SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $2 AND item_id = wanted.item_id LIMIT 1) IS NOT NULL AS "on_old!",
                  (SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $3 AND item_id = wanted.item_id LIMIT 1) IS NOT NULL AS "on_new!",
                  coalesce((SELECT removed FROM touched WHERE touched.item_id = wanted.item_id), false) AS "removed_by_hand!"
           FROM wanted ORDER BY 1"#,
        root.0,
        old.0,
        new.0,
        named,
    )
    .fetch_all(connection)
    .await?;
    Ok(standings)
}

/// Returns the active contacts of a group that have one of these addresses, without regard to case.
pub async fn active_contacts(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    addresses: &[String],
) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'contact' AND state = 'active'
           AND lower(email) IN (SELECT lower(shown) FROM unnest($3::text[]) AS shown)",
        root.0,
        group.0,
        addresses,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// What relations follow from, for the history.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// Tenant.
    pub root: RootId,
    /// The connection that told of it.
    pub on: ConnectionId,
    /// Remote id of whoever did it, where that is told.
    pub actor: Option<&'a str>,
    /// The delivery.
    pub delivery: DeliveryId,
    /// All that follows is one operation.
    pub operation: OperationId,
    /// The moment.
    pub now: DateTime<Utc>,
}

/// Has relations follow an issue that was moved.
pub async fn carry(
    connection: &mut PgConnection,
    occasion: Occasion<'_>,
    (old, new): (IssueId, IssueId),
    carried: &Carried,
) -> Result<(), StoreError> {
    let numbers = |ids: &[ItemId]| -> Vec<i64> { ids.iter().map(|id| id.0).collect() };
    let (leave, arrive) = (numbers(&carried.leave), numbers(&carried.arrive));
    let dropped = numbers(&carried.dropped);
    // Who added them, and when, goes along.
    sqlx::query!(
        "WITH dropped AS (DELETE FROM issue_items WHERE root_id = $1 AND issue_id = $3 AND item_id = ANY($6)),
              gone AS (DELETE FROM issue_items WHERE root_id = $1 AND issue_id = $2 AND item_id = ANY($4) RETURNING item_id, added_by, added_at)
         INSERT INTO issue_items (root_id, issue_id, item_id, added_by, added_at)
         SELECT $1, $3, item_id, added_by, added_at FROM gone WHERE item_id = ANY($5)",
        occasion.root.0,
        old.0,
        new.0,
        &leave,
        &arrive,
        &dropped,
    )
    .execute(&mut *connection)
    .await?;
    let rows = [
        (old, "item_unrelated", leave),
        (new, "item_related", arrive),
        (new, "item_unrelated", dropped),
    ];
    let detail = serde_json::json!({ "moved_from": old, "moved_to": (new != old).then_some(new) });
    record(connection, occasion, ("tracker", detail), rows).await
}

/// Relates contacts to an issue that shows their addresses.
pub async fn relate(
    connection: &mut PgConnection,
    occasion: Occasion<'_>,
    issue: IssueId,
    contacts: &[ItemId],
) -> Result<(), StoreError> {
    let ids: Vec<i64> = contacts.iter().map(|id| id.0).collect();
    sqlx::query!(
        "INSERT INTO issue_items (root_id, issue_id, item_id, added_at) SELECT $1, $2, unnest($3::bigint[]), $4",
        occasion.root.0,
        issue.0,
        &ids,
        occasion.now,
    )
    .execute(&mut *connection)
    .await?;
    let by_address = ("automatic", serde_json::json!({}));
    record(
        connection,
        occasion,
        by_address,
        [(issue, "item_related", ids)],
    )
    .await
}

async fn record<const N: usize>(
    connection: &mut PgConnection,
    occasion: Occasion<'_>,
    (via, detail): (&str, serde_json::Value),
    changes: [(IssueId, &str, Vec<i64>); N],
) -> Result<(), StoreError> {
    let issues: Vec<i64> = changes
        .iter()
        .flat_map(|(issue, _, items)| items.iter().map(|_| issue.0))
        .collect();
    let actions: Vec<&str> = changes
        .iter()
        .flat_map(|(_, action, items)| items.iter().map(|_| *action))
        .collect();
    let items: Vec<i64> = changes
        .iter()
        .flat_map(|(_, _, items)| items.clone())
        .collect();
    sqlx::query!(
        "INSERT INTO history (root_id, operation, at, actor_id, via, delivery_id, issue_id, item_id, action, detail)
         SELECT $1, $2, $3, (SELECT person_id FROM identities WHERE connection_id = $4 AND remote_id = $5), $6, $7, issue_id, item_id, action, $8
         FROM unnest($9::bigint[], $10::bigint[], $11::text[]) AS change (issue_id, item_id, action)",
        occasion.root.0,
        occasion.operation.0,
        occasion.now,
        occasion.on.0,
        occasion.actor,
        via,
        occasion.delivery.0,
        Json(detail) as _,
        &issues,
        &items,
        &actions as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}
