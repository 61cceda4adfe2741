//! The history: who changed what, when and through what; and what of it may be taken back.

use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{StoreError, item::Scene, watch_history};
use crate::{
    domain::{DeliveryId, IssueId, ItemId, OperationId, PersonId, RootId},
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

/// Writes the operations of a quick-action text into the history.
pub async fn record(
    connection: &mut PgConnection,
    scene: Scene,
    delivery: DeliveryId,
    operations: &[Operation],
) -> Result<(), StoreError> {
    let rows: Vec<(&Operation, &Change)> = operations
        .iter()
        .flat_map(|operation| {
            operation
                .changes
                .iter()
                .filter(|change| !matches!(change, Change::Watch(_) | Change::CreateChat { .. }))
                .map(move |change| (operation, change))
        })
        .collect();
    let ids: Vec<Uuid> = rows.iter().map(|(operation, _)| operation.id.0).collect();
    let items: Vec<i64> = rows.iter().map(|(_, change)| change.item().0).collect();
    let actions: Vec<&str> = rows.iter().map(|(_, change)| change.action()).collect();
    let details: Vec<Json<serde_json::Value>> = rows
        .iter()
        .map(|(operation, _)| Json(serde_json::json!({ "command": operation.command.word() })))
        .collect();
    sqlx::query!(
        "INSERT INTO history (root_id, operation, at, actor_id, via, delivery_id, issue_id, item_id, action, detail, group_id)
         SELECT $1, operation, $2, $3, 'quick_action', $4, $5, item_id, action, detail, $10
         FROM unnest($6::uuid[], $7::bigint[], $8::text[], $9::jsonb[]) AS change (operation, item_id, action, detail)",
        scene.root.0,
        scene.now,
        scene.actor.0,
        delivery.0,
        scene.issue.0,
        &ids,
        &items,
        &actions as &[&str],
        &details as &[Json<serde_json::Value>],
        scene.group.0,
    )
    .execute(&mut *connection)
    .await?;
    let undone: Vec<(Uuid, Uuid)> = operations
        .iter()
        .filter_map(|operation| Some((operation.undoes?.0, operation.id.0)))
        .collect();
    if !undone.is_empty() {
        let (what, by): (Vec<Uuid>, Vec<Uuid>) = undone.into_iter().unzip();
        sqlx::query!(
            "UPDATE history SET undone_by = undo.by FROM unnest($2::uuid[], $3::uuid[]) AS undo (what, by)
             WHERE root_id = $1 AND operation = undo.what",
            scene.root.0,
            &what,
            &by,
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Returns a person's last operations on an issue that still stand, newest first.
pub async fn standing(
    connection: &mut PgConnection,
    root: RootId,
    issue: IssueId,
    actor: PersonId,
) -> Result<Vec<PastOperation>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH last AS (
               SELECT operation, max(id) AS id FROM history
               WHERE root_id = $1 AND issue_id = $2 AND actor_id = $3 AND via = 'quick_action'
                 AND undone_by IS NULL AND detail ->> 'command' <> 'undo'
               GROUP BY operation ORDER BY max(id) DESC LIMIT $4)
           SELECT history.operation AS "operation: OperationId", history.action, history.item_id AS "item!: ItemId",
                  history.detail ->> 'command' AS "command!", history.detail, history.at,
                  -- Untouched: as it was created, on no other issue, and nobody else's work.
                  coalesce((SELECT items.updated_at = items.created_at FROM items WHERE items.root_id = $1 AND items.id = history.item_id), false)
                  AND NOT EXISTS (SELECT FROM issue_items WHERE issue_items.root_id = $1 AND item_id = history.item_id AND issue_id <> $2)
                  AND NOT EXISTS (SELECT FROM history AS later
                                  WHERE later.root_id = $1 AND later.item_id = history.item_id AND later.actor_id IS DISTINCT FROM $3)
                  AS "untouched!"
           FROM last JOIN history ON history.root_id = $1 AND history.operation = last.operation
           WHERE history.item_id IS NOT NULL
           ORDER BY last.id DESC, history.id"#,
        root.0,
        issue.0,
        actor.0,
        REMEMBERED,
    )
    .fetch_all(connection)
    .await?;
    let mut operations: Vec<PastOperation> = Vec::new();
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
        match operations
            .last_mut()
            .filter(|last| last.id == row.operation)
        {
            Some(last) => last.changes.push(change),
            None => operations.push(PastOperation {
                id: row.operation,
                command: row.command,
                changes: vec![change],
            }),
        }
    }
    Ok(operations)
}
