//! What belongs to items goes with them: their types, links, observers and chats. All of it before the items themselves go.

use sqlx::PgConnection;

use crate::{domain::OperationId, store::StoreError};

/// Moves what belongs to the items that leave. Where an item gives way to another one, that gets what it had.
pub(super) async fn belongings(
    connection: &mut PgConnection,
    operation: OperationId,
) -> Result<(), StoreError> {
    types(connection, operation).await?;
    links(connection, operation).await?;
    observers(connection, operation).await?;
    chats(connection, operation).await?;
    jobs(connection, operation).await
}

/// The types of custom items: one of the same name at the new place, or a new one.
async fn types(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO item_types (root_id, name, observers, created_at)
         SELECT DISTINCT ON (moving.new_root, lower(item_types.name)) moving.new_root, item_types.name, item_types.observers, item_types.created_at
         FROM transfer_items AS moving
         JOIN items ON items.root_id = moving.old_root AND items.id = moving.item_id
         JOIN item_types ON item_types.root_id = moving.old_root AND item_types.id = items.type_id
         WHERE moving.operation = $1 AND moving.leaves AND moving.old_root <> moving.new_root
         ORDER BY moving.new_root, lower(item_types.name), item_types.id
         ON CONFLICT (root_id, lower(name)) DO NOTHING",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Links between items that both leave. Two that become one are one.
async fn links(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH leaving AS MATERIALIZED (
             SELECT item_id, old_root, new_root, becomes FROM transfer_items WHERE operation = $1 AND leaves),
         gone AS (
             DELETE FROM item_links USING leaving
             WHERE item_links.root_id = leaving.old_root AND (item_links.item_id = leaving.item_id OR item_links.linked_id = leaving.item_id)
             RETURNING item_links.item_id, item_links.linked_id)
         INSERT INTO item_links (root_id, item_id, linked_id)
         SELECT DISTINCT item.new_root, item.becomes, linked.becomes
         FROM gone JOIN leaving AS item ON item.item_id = gone.item_id JOIN leaving AS linked ON linked.item_id = gone.linked_id
         WHERE item.becomes <> linked.becomes
         ON CONFLICT DO NOTHING",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Observers, those who wait to become some, and the items of portals.
async fn observers(
    connection: &mut PgConnection,
    operation: OperationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH gone AS (
             DELETE FROM observers USING transfer_items AS moving
             WHERE moving.operation = $1 AND moving.leaves AND observers.root_id = moving.old_root AND observers.item_id = moving.item_id
             RETURNING new_root, becomes, person_id, in_chat, show_history, added_by, added_at)
         INSERT INTO observers (root_id, item_id, person_id, in_chat, show_history, added_by, added_at)
         SELECT DISTINCT ON (new_root, becomes, person_id) new_root, becomes, person_id, in_chat, show_history, added_by, added_at
         FROM gone ORDER BY new_root, becomes, person_id, added_at
         ON CONFLICT DO NOTHING",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "WITH gone AS (
             DELETE FROM observer_requests USING transfer_items AS moving
             WHERE moving.operation = $1 AND moving.leaves AND observer_requests.root_id = moving.old_root
               AND observer_requests.item_id = moving.item_id
             RETURNING new_root, becomes, person_id, requested_by, requested_at)
         INSERT INTO observer_requests (root_id, item_id, person_id, requested_by, requested_at)
         SELECT DISTINCT ON (new_root, becomes, person_id) new_root, becomes, person_id, requested_by, requested_at
         FROM gone ORDER BY new_root, becomes, person_id, requested_at
         ON CONFLICT DO NOTHING",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "WITH gone AS (
             DELETE FROM portal_links USING transfer_items AS moving
             WHERE moving.operation = $1 AND moving.leaves AND portal_links.root_id = moving.old_root AND portal_links.item_id = moving.item_id
             RETURNING new_root, becomes, connection_id, entity_type_id, remote_id, observers, responsible, problem)
         INSERT INTO portal_links (root_id, item_id, connection_id, entity_type_id, remote_id, observers, responsible, problem)
         SELECT DISTINCT ON (new_root, becomes) new_root, becomes, connection_id, entity_type_id, remote_id, observers, responsible, problem
         FROM gone ORDER BY new_root, becomes, remote_id
         ON CONFLICT DO NOTHING",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Chats, with who was in them. The chat of an item that gives way becomes the other one's, if that has none; else it is closed.
async fn chats(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE chat_members SET root_id = moving.new_root
         FROM transfer_items AS moving JOIN chats ON chats.item_id = moving.item_id AND chats.root_id = moving.old_root
         WHERE moving.operation = $1 AND moving.leaves AND chat_members.root_id = moving.old_root AND chat_members.chat_id = chats.id",
        operation.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE chats SET root_id = moving.new_root,
                item_id = CASE WHEN heir.nth = 1 AND heir.is_free THEN moving.becomes ELSE chats.item_id END,
                state = CASE WHEN (heir.nth = 1 AND heir.is_free) OR chats.state = 'gone' THEN chats.state ELSE 'closed' END
         FROM transfer_items AS moving
         JOIN (SELECT chats.id, row_number() OVER (PARTITION BY going.new_root, going.becomes ORDER BY going.fate = 'moved' DESC, chats.id) AS nth,
                      NOT EXISTS (SELECT FROM chats AS other WHERE other.root_id = going.new_root AND other.item_id = going.becomes
                                    AND other.id <> chats.id) AS is_free
               FROM transfer_items AS going JOIN chats ON chats.item_id = going.item_id AND chats.root_id = going.old_root
               WHERE going.operation = $1 AND going.leaves) AS heir ON true
         WHERE moving.operation = $1 AND moving.leaves AND chats.root_id = moving.old_root AND chats.item_id = moving.item_id
           AND heir.id = chats.id",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Changes of many items of groups that go.
async fn jobs(connection: &mut PgConnection, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE bulk_jobs SET root_id = moving.new_root FROM transfer_groups AS moving
         WHERE moving.operation = $1 AND moving.goes AND bulk_jobs.root_id = moving.old_root AND bulk_jobs.group_id = moving.group_id",
        operation.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
