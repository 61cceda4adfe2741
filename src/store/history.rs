//! The history: who changed what, when and through what; and what of it may be taken back.

use std::collections::HashMap;

use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    StoreError,
    item::{Moment, Scene},
    watch_history,
};
use crate::{
    domain::{IssueId, ItemId, OperationId, PersonId, RootId},
    rules::{Change, Operation, PastChange, PastOperation},
};

/// Commands that a person can still take back on one issue.
const REMEMBERED: i64 = 50;

impl Change {
    fn action(&self) -> &'static str {
        match self {
            Self::Relate(_) => "item_related",
            Self::Unrelate(_) => "item_unrelated",
            Self::Create { .. } => "item_created",
            Self::Delete(_) => "item_deleted",
            // Told of where they are made.
            Self::Watch(_) => "observer_changed",
            Self::CreateChat { .. } => "chat_created",
        }
    }
}

/// Writes the operations of quick-action texts into the history.
pub async fn record(
    connection: &mut PgConnection,
    moment: Moment,
    written: &[(Scene, &[Operation])],
) -> Result<(), StoreError> {
    let operations = || written.iter().flat_map(|(_, operations)| *operations);
    let rows: Vec<(Scene, &Operation, &Change)> = written
        .iter()
        .flat_map(|(scene, operations)| operations.iter().map(|operation| (*scene, operation)))
        .flat_map(|(scene, operation)| {
            let changes = operation.changes.iter();
            // Those are told of where they are made.
            let here =
                |change: &&Change| !matches!(change, Change::Watch(_) | Change::CreateChat { .. });
            changes
                .filter(here)
                .map(move |change| (scene, operation, change))
        })
        .collect();
    let groups: Vec<i64> = rows.iter().map(|(scene, ..)| scene.group.0).collect();
    let issues: Vec<i64> = rows.iter().map(|(scene, ..)| scene.issue.0).collect();
    let actors: Vec<i64> = rows.iter().map(|(scene, ..)| scene.actor.0).collect();
    let deliveries: Vec<Uuid> = rows.iter().map(|(scene, ..)| scene.delivery.0).collect();
    let ids: Vec<Uuid> = rows
        .iter()
        .map(|(_, operation, _)| operation.id.0)
        .collect();
    let items: Vec<i64> = rows.iter().map(|(.., change)| change.item().0).collect();
    let actions: Vec<&str> = rows.iter().map(|(.., change)| change.action()).collect();
    let details: Vec<Json<serde_json::Value>> = rows
        .iter()
        .map(|(_, operation, _)| Json(serde_json::json!({ "command": operation.command.word() })))
        .collect();
    sqlx::query!(
        "INSERT INTO history (root_id, operation, at, actor_id, via, delivery_id, issue_id, item_id, action, detail, group_id)
         SELECT $1, operation, $2, actor_id, 'quick_action', delivery_id, issue_id, item_id, action, detail, group_id
         FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::uuid[], $8::bigint[], $9::text[], $10::jsonb[])
              AS change (group_id, issue_id, actor_id, delivery_id, operation, item_id, action, detail)",
        moment.root.0,
        moment.now,
        &groups,
        &issues,
        &actors,
        &deliveries,
        &ids,
        &items,
        &actions as &[&str],
        &details as &[Json<serde_json::Value>],
    )
    .execute(&mut *connection)
    .await?;
    let undone: Vec<(Uuid, Uuid)> = operations()
        .filter_map(|operation| Some((operation.undoes?.0, operation.id.0)))
        .collect();
    if !undone.is_empty() {
        let (what, by): (Vec<Uuid>, Vec<Uuid>) = undone.into_iter().unzip();
        sqlx::query!(
            "UPDATE history SET undone_by = undo.by FROM unnest($2::uuid[], $3::uuid[]) AS undo (what, by)
             WHERE root_id = $1 AND operation = undo.what",
            moment.root.0,
            &what,
            &by,
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Returns each person's last operations on an issue that still stand, newest first; who has none there is left out.
pub async fn standing(
    connection: &mut PgConnection,
    root: RootId,
    asked: &[(IssueId, PersonId)],
) -> Result<HashMap<(IssueId, PersonId), Vec<PastOperation>>, StoreError> {
    let mut standing: HashMap<_, Vec<PastOperation>> = HashMap::new();
    if asked.is_empty() {
        return Ok(standing);
    }
    let (issues, actors): (Vec<i64>, Vec<i64>) = asked
        .iter()
        .map(|(issue, person)| (issue.0, person.0))
        .unzip();
    let rows = sqlx::query!(
        r#"SELECT asked.issue_id AS "issue!: IssueId", asked.actor_id AS "actor!: PersonId",
                  history.operation AS "operation: OperationId", history.action, history.item_id AS "item!: ItemId",
                  history.detail ->> 'command' AS "command!", history.detail, history.at,
                  -- Untouched: as it was created, on no other issue, and nobody else's work.
                  coalesce((SELECT items.updated_at = items.created_at FROM items WHERE items.root_id = $1 AND items.id = history.item_id), false)
                  AND NOT EXISTS (SELECT FROM issue_items
                                  WHERE issue_items.root_id = $1 AND item_id = history.item_id AND issue_items.issue_id <> asked.issue_id)
                  AND NOT EXISTS (SELECT FROM history AS later
                                  WHERE later.root_id = $1 AND later.item_id = history.item_id AND later.actor_id IS DISTINCT FROM asked.actor_id)
                  AS "untouched!"
           FROM unnest($2::bigint[], $3::bigint[]) AS asked (issue_id, actor_id)
           CROSS JOIN LATERAL (
               SELECT operation, max(id) AS id FROM history
               WHERE root_id = $1 AND history.issue_id = asked.issue_id AND history.actor_id = asked.actor_id AND via = 'quick_action'
                 AND undone_by IS NULL AND detail ->> 'command' <> 'undo'
               GROUP BY operation ORDER BY max(id) DESC LIMIT $4) AS last
           JOIN history ON history.root_id = $1 AND history.operation = last.operation
           WHERE history.item_id IS NOT NULL
           ORDER BY last.id DESC, history.id"#,
        root.0,
        &issues,
        &actors,
        REMEMBERED,
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let change = match row.action.as_str() {
            "item_related" => PastChange::Related(row.item),
            "item_unrelated" => PastChange::Unrelated(row.item),
            "item_created" => PastChange::Created {
                id: row.item,
                untouched: row.untouched,
            },
            action => match watch_history::read(action, row.item, &row.detail, row.at) {
                Some(change) => PastChange::Watched(change),
                None => continue,
            },
        };
        let operations = standing.entry((row.issue, row.actor)).or_default();
        put(operations, (row.operation, row.command), change);
    }
    Ok(standing)
}

/// Returns a person's last operations in the chat of an item that still stand, newest first.
pub async fn standing_in_chat(
    connection: &mut PgConnection,
    root: RootId,
    (item, person): (ItemId, PersonId),
) -> Result<Vec<PastOperation>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT history.operation AS "operation: OperationId", history.action, history.item_id AS "item!: ItemId",
                  history.detail ->> 'command' AS "command!", history.detail, history.at
           FROM (SELECT operation, max(id) AS id FROM history
                 WHERE root_id = $1 AND item_id = $2 AND actor_id = $3 AND via = 'chat'
                   AND undone_by IS NULL AND detail ->> 'command' <> 'undo'
                 GROUP BY operation ORDER BY max(id) DESC LIMIT $4) AS last
           JOIN history ON history.root_id = $1 AND history.operation = last.operation
           WHERE history.item_id IS NOT NULL
           ORDER BY last.id DESC, history.id"#,
        root.0,
        item.0,
        person.0,
        REMEMBERED,
    )
    .fetch_all(connection)
    .await?;
    let mut standing = Vec::new();
    for row in rows {
        // Nothing else is changed by a command in a chat.
        if let Some(change) = watch_history::read(&row.action, row.item, &row.detail, row.at) {
            let change = PastChange::Watched(change);
            put(&mut standing, (row.operation, row.command), change);
        }
    }
    Ok(standing)
}

/// Adds a change to the last operation, or as another one.
fn put(
    operations: &mut Vec<PastOperation>,
    (id, command): (OperationId, String),
    change: PastChange,
) {
    match operations.last_mut().filter(|last| last.id == id) {
        Some(last) => last.changes.push(change),
        None => operations.push(PastOperation {
            id,
            command,
            changes: vec![change],
        }),
    }
}
