//! Operations: what belongs together in the history, written, read back to be undone, and shown page by page.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, relation, watch_history};
use crate::{
    domain::{DeliveryId, GroupId, IssueId, ItemId, OperationId, PersonId, RootId, Via},
    rules::{Past, PastAct, Responsible},
};

/// Who changes what, where, when and through what.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// Tenant.
    pub root: RootId,
    /// The group that holds the items.
    pub group: GroupId,
    /// What belongs together.
    pub operation: OperationId,
    /// Who, where one is known.
    pub actor: Option<PersonId>,
    /// Through what.
    pub via: Via,
    /// When.
    pub at: DateTime<Utc>,
    /// The operation that is taken back.
    pub undoes: Option<OperationId>,
    /// The command that does it, in a text about an issue or in a chat.
    pub command: Option<Commanded>,
}

/// A command, and where it was given.
#[derive(Debug, Clone, Copy)]
pub struct Commanded {
    /// Its word.
    pub word: &'static str,
    /// The issue, if it was given on one.
    pub issue: Option<IssueId>,
    /// The delivery that brought it.
    pub delivery: DeliveryId,
}

impl Act {
    /// Returns the detail of a row, with the command and what is taken back.
    pub(super) fn detail(&self, mut detail: Map<String, Value>) -> Value {
        if let Some(command) = self.command {
            detail.insert("command".to_owned(), json!(command.word));
        }
        if let Some(undone) = self.undoes {
            detail.insert("undoes".to_owned(), json!(undone));
        }
        Value::Object(detail)
    }
}

/// What a row tells of one item or, without an item, of the group.
#[derive(Debug)]
pub struct Told {
    /// The item.
    pub item: Option<ItemId>,
    /// `item_created` and so on.
    pub action: &'static str,
    /// What belongs to it.
    pub detail: Map<String, Value>,
}

/// Writes rows into the history.
pub async fn append(
    connection: &mut PgConnection,
    act: &Act,
    rows: Vec<Told>,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let items: Vec<Option<i64>> = rows.iter().map(|row| row.item.map(|id| id.0)).collect();
    let actions: Vec<&str> = rows.iter().map(|row| row.action).collect();
    let details: Vec<Value> = rows.into_iter().map(|row| act.detail(row.detail)).collect();
    sqlx::query!(
        "INSERT INTO history (root_id, operation, at, actor_id, via, group_id, item_id, action, detail, issue_id, delivery_id)
         SELECT $1, $2, $3, $4, $5, $6, item_id, action, detail, $10, $11
         FROM unnest($7::bigint[], $8::text[], $9::jsonb[]) AS told (item_id, action, detail)",
        act.root.0,
        act.operation.0,
        act.at,
        act.actor.map(|actor| actor.0),
        act.via.word(),
        act.group.0,
        &items as &[Option<i64>],
        &actions as &[&str],
        &details,
        act.command.and_then(|command| command.issue).map(|issue| issue.0),
        act.command.map(|command| command.delivery.0),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks the operation that an act takes back.
pub async fn mark_undone(connection: &mut PgConnection, act: &Act) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE history SET undone_by = $3 WHERE root_id = $1 AND operation = $2",
        act.root.0,
        act.undoes.map(|undone| undone.0),
        act.operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the tenant of an operation that is named from outside.
pub async fn root(
    connection: &mut PgConnection,
    operation: OperationId,
) -> Result<Option<RootId>, StoreError> {
    let root = sqlx::query_scalar!(
        r#"SELECT root_id AS "root: RootId" FROM history WHERE operation = $1 LIMIT 1"#,
        operation.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(root)
}

/// Locks the rows of an operation, so that it is taken back once, and returns what it did.
pub async fn lock(
    connection: &mut PgConnection,
    root: RootId,
    operation: OperationId,
) -> Result<Past, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT at, group_id AS "group: GroupId", issue_id AS "issue: IssueId", item_id AS "item: ItemId", action, detail,
                  undone_by IS NOT NULL AS "undone!"
           FROM history WHERE root_id = $1 AND operation = $2 ORDER BY id FOR UPDATE"#,
        root.0,
        operation.0,
    )
    .fetch_all(connection)
    .await?;
    let mut past = Past::default();
    for row in rows {
        past.group = past.group.or(row.group);
        past.undone |= row.undone;
        past.undoes |= row.detail.get("undoes").is_some()
            || row.detail.get("command").and_then(Value::as_str) == Some("undo");
        let act = act(&row.action, row.issue, row.item, row.detail, row.at);
        past.acts.push(act);
    }
    Ok(past)
}

/// Reads one row of the history.
fn act(
    action: &str,
    issue: Option<IssueId>,
    item: Option<ItemId>,
    mut detail: Value,
    at: DateTime<Utc>,
) -> PastAct {
    let Some(item) = item else {
        return if action == "group_configured" {
            PastAct::Configured
        } else {
            PastAct::Other
        };
    };
    let mut part = |name: &str| detail.get_mut(name).map(Value::take);
    match (action, issue) {
        ("item_related", Some(issue)) => PastAct::Related { issue, item },
        ("item_unrelated", Some(issue)) => {
            PastAct::Unrelated(relation::related((issue, item), &detail, at))
        }
        ("item_created", _) => PastAct::Created(item),
        ("item_edited", _) => match (part("before"), part("after")) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => PastAct::Edited {
                item,
                before,
                after,
            },
            _ => PastAct::Other,
        },
        ("item_linked" | "item_unlinked", _) => match part("linked").and_then(|to| to.as_i64()) {
            Some(to) => PastAct::Linked {
                item,
                to: ItemId(to),
                is_linked: action == "item_linked",
            },
            None => PastAct::Other,
        },
        ("chat_moved", _) => match part("into").and_then(|into| into.as_i64()) {
            Some(into) => PastAct::ChatMoved {
                from: item,
                into: ItemId(into),
            },
            None => PastAct::Other,
        },
        ("item_deleted" | "item_merged", _) => {
            let responsible = responsible(&detail);
            let mut part = |name: &str| detail.get_mut(name).map(Value::take);
            let fields = part("fields").and_then(|fields| serde_json::from_value(fields).ok());
            let created_at =
                part("created_at").and_then(|moment| serde_json::from_value(moment).ok());
            match (fields, created_at) {
                (Some(fields), Some(created_at)) => PastAct::Removed {
                    item,
                    fields: Box::new(fields),
                    created_at,
                    merged: action == "item_merged",
                    responsible,
                },
                _ => PastAct::Other,
            }
        }
        _ => {
            watch_history::read(action, item, &detail, at).map_or(PastAct::Other, PastAct::Watched)
        }
    }
}

/// Reads who was responsible for an item that is gone.
fn responsible(detail: &Value) -> Option<Responsible> {
    let person = detail.get("responsible")?.as_i64().map(PersonId)?;
    let in_chat = detail.get("responsible_in_chat").and_then(Value::as_bool);
    Some(Responsible {
        person,
        in_chat: in_chat.unwrap_or(true),
    })
}

/// Returns which items nobody used or changed since an operation created them: no other operation that still stands told of them,
/// no issue has them that it did not give them to, and no contact belongs to them.
pub async fn untouched(
    connection: &mut PgConnection,
    (root, operation): (RootId, OperationId),
    items: &[i64],
) -> Result<HashSet<ItemId>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"SELECT item AS "item!: ItemId" FROM unnest($3::bigint[]) AS item
           WHERE NOT EXISTS (
                 SELECT FROM history WHERE root_id = $1 AND item_id = item AND operation <> $2
                   AND undone_by IS NULL AND detail -> 'undoes' IS NULL AND detail ->> 'command' IS DISTINCT FROM 'undo')
             AND NOT EXISTS (
                 SELECT FROM issue_items WHERE issue_items.root_id = $1 AND item_id = item AND NOT EXISTS (
                     SELECT FROM history WHERE history.root_id = $1 AND operation = $2 AND history.item_id = item
                       AND history.issue_id = issue_items.issue_id))
             AND NOT EXISTS (SELECT FROM items WHERE root_id = $1 AND organization_id = item AND id <> ALL($3))"#,
        root.0,
        operation.0,
        items,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().collect())
}

/// One row of the history as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Place in the history.
    pub id: i64,
    /// The operation that it is part of.
    pub operation: OperationId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, if he is still known.
    pub actor: Option<PersonId>,
    /// Through what.
    pub via: Via,
    /// What: `item_created`, `item_edited`, `item_deleted`, `item_merged`, `item_related`, `item_unrelated` …
    pub action: String,
    /// Which item.
    pub item: Option<ItemId>,
    /// On which issue. Whether the reader may see the issue is not checked here.
    pub issue: Option<IssueId>,
    /// Fields before and after, and what else belongs to the action.
    pub detail: Value,
    /// The operation that took it back.
    pub undone_by: Option<OperationId>,
}

/// How much was done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Changes, counted up to [`Self::COUNTED`].
    pub changes: i64,
    /// Whether it was taken back.
    pub is_undone: bool,
}

impl Extent {
    /// Up to how many changes are counted.
    pub const COUNTED: i64 = 1_000;
}

/// Returns how much operations did, each that is known.
pub async fn extents(
    connection: &mut PgConnection,
    root: RootId,
    operations: &[OperationId],
) -> Result<HashMap<OperationId, Extent>, StoreError> {
    let ids: Vec<Uuid> = operations.iter().map(|operation| operation.0).collect();
    let rows = sqlx::query!(
        r#"SELECT wanted AS "operation!: OperationId", known.changes AS "changes!", known.is_undone AS "is_undone!"
           FROM unnest($2::uuid[]) AS wanted
           CROSS JOIN LATERAL (
               SELECT count(*) AS changes, bool_or(undone_by IS NOT NULL) AS is_undone
               FROM (SELECT undone_by FROM history WHERE root_id = $1 AND operation = wanted LIMIT $3) AS counted) AS known
           WHERE known.changes > 0"#,
        root.0,
        &ids,
        Extent::COUNTED,
    )
    .fetch_all(connection)
    .await?;
    let extent = |changes, is_undone| Extent { changes, is_undone };
    Ok(rows
        .into_iter()
        .map(|row| (row.operation, extent(row.changes, row.is_undone)))
        .collect())
}

/// Returns the history of an item and of those merged into it, newest first, before a place in it.
pub async fn of_item(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
    before: i64,
    limit: i64,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let rows = sqlx::query_as!(
        HistoryEntry,
        r#"WITH RECURSIVE merged (id) AS (
               SELECT $2::bigint
               UNION
               SELECT loser::bigint FROM merged
               JOIN history ON root_id = $1 AND item_id = merged.id AND action = 'item_merged' AND undone_by IS NULL
               CROSS JOIN jsonb_array_elements_text(detail -> 'losers') AS loser)
           SELECT entry.id, entry.operation AS "operation: OperationId", entry.at, entry.actor_id AS "actor: PersonId", entry.via, entry.action,
                  entry.item_id AS "item: ItemId", entry.issue_id AS "issue: IssueId", entry.detail, entry.undone_by AS "undone_by: OperationId"
           -- Item by item, each from the end of its own: in one go, the end of the whole history may be walked instead.
           FROM merged CROSS JOIN LATERAL (
               SELECT * FROM history WHERE root_id = $1 AND item_id = merged.id AND id < $3 ORDER BY history.id DESC LIMIT $4) AS entry
           ORDER BY entry.id DESC LIMIT $4"#,
        root.0,
        item.0,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Returns the histories of several items as [`of_item`] does, each newest first, with the item that each entry was looked up for.
pub async fn of_items(
    connection: &mut PgConnection,
    items: &[(RootId, ItemId)],
    before: i64,
    limit: i64,
) -> Result<Vec<(RootId, ItemId, HistoryEntry)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        items.iter().map(|(root, item)| (root.0, item.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT wanted.root AS "root!: RootId", wanted.item AS "wanted!: ItemId", entry.id, entry.operation AS "operation: OperationId",
                  entry.at, entry.actor_id AS "actor: PersonId", entry.via, entry.action, entry.item_id AS "item: ItemId",
                  entry.issue_id AS "issue: IssueId", entry.detail, entry.undone_by AS "undone_by: OperationId"
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, item)
           CROSS JOIN LATERAL (
               WITH RECURSIVE merged (id) AS (
                   SELECT wanted.item
                   UNION
                   SELECT loser::bigint FROM merged
                   JOIN history ON root_id = wanted.root AND item_id = merged.id AND action = 'item_merged' AND undone_by IS NULL
                   CROSS JOIN jsonb_array_elements_text(detail -> 'losers') AS loser)
               SELECT own.* FROM merged CROSS JOIN LATERAL (
                   SELECT * FROM history WHERE root_id = wanted.root AND item_id = merged.id AND id < $3
                   ORDER BY history.id DESC LIMIT $4) AS own
               ORDER BY own.id DESC LIMIT $4) AS entry
           ORDER BY entry.id DESC"#,
        &roots,
        &ids,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let entry = HistoryEntry {
                id: row.id,
                operation: row.operation,
                at: row.at,
                actor: row.actor,
                via: Via::from_word(&row.via),
                action: row.action,
                item: row.item,
                issue: row.issue,
                detail: row.detail,
                undone_by: row.undone_by,
            };
            (row.root, row.wanted, entry)
        })
        .collect())
}

/// Returns the issues whose contacts an operation changed.
pub async fn issues(
    connection: &mut PgConnection,
    root: RootId,
    operation: OperationId,
) -> Result<Vec<IssueId>, StoreError> {
    let issues = sqlx::query_scalar!(
        r#"SELECT DISTINCT issue_id AS "issue!: IssueId" FROM history
           WHERE root_id = $1 AND operation = $2 AND issue_id IS NOT NULL"#,
        root.0,
        operation.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(issues)
}

/// Returns the history of the items that a group holds, newest first, before a place in it.
pub async fn of_group(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    before: i64,
    limit: i64,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let rows = sqlx::query_as!(
        HistoryEntry,
        r#"SELECT id, operation AS "operation: OperationId", at, actor_id AS "actor: PersonId", via, action,
                  item_id AS "item: ItemId", issue_id AS "issue: IssueId", detail, undone_by AS "undone_by: OperationId"
           FROM history WHERE root_id = $1 AND group_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4"#,
        root.0,
        group.0,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Rows of a tenant's history that are looked at for those of some of its groups.
const LOOKED_AT: i64 = 50_000;

/// Returns the history of a group and of the groups below it, newest first, before a place in it; the newest 50,000 rows of the tenant are
/// looked at.
pub async fn below(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    before: i64,
    limit: i64,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let rows = sqlx::query_as!(
        HistoryEntry,
        r#"SELECT id, operation AS "operation: OperationId", at, actor_id AS "actor: PersonId", via, action,
                  item_id AS "item: ItemId", issue_id AS "issue: IssueId", detail, undone_by AS "undone_by: OperationId"
           FROM (SELECT * FROM history WHERE root_id = $1 AND id < $3 ORDER BY id DESC LIMIT $5) AS newest
           WHERE group_id = ANY (ARRAY (
                     SELECT groups.id FROM groups AS scope
                     JOIN groups ON groups.root_id = $1 AND (groups.id = scope.id OR starts_with(groups.path, scope.path || '/'))
                     WHERE scope.root_id = $1 AND scope.id = $2))
           ORDER BY newest.id DESC LIMIT $4"#,
        root.0,
        group.0,
        before,
        limit,
        LOOKED_AT,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Returns the tenant and group of an item that may be deleted, by what the history tells of it.
pub async fn last_place(
    connection: &mut PgConnection,
    item: ItemId,
) -> Result<Option<(RootId, GroupId)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", group_id AS "group!: GroupId" FROM history
           WHERE item_id = $1 AND group_id IS NOT NULL ORDER BY item_id, root_id, id DESC LIMIT 1"#,
        item.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.root, row.group)))
}
