//! Types of items of a root group's own.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ItemTypeId, RootId};

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemType {
    /// Tenant.
    pub root: RootId,
    /// Its id.
    pub id: ItemTypeId,
    /// What it is called.
    pub name: String,
    /// Whether its items have observers.
    pub observers: bool,
}

/// Returns the types of a root group, by their names.
pub async fn of_root(
    connection: &mut PgConnection,
    root: RootId,
) -> Result<Vec<ItemType>, StoreError> {
    let types = sqlx::query_as!(
        ItemType,
        r#"SELECT root_id AS "root: RootId", id AS "id: ItemTypeId", name, observers FROM item_types WHERE root_id = $1 ORDER BY lower(name)"#,
        root.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(types)
}

/// Returns types that are named from outside.
pub async fn find(
    connection: &mut PgConnection,
    ids: &[ItemTypeId],
) -> Result<Vec<ItemType>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let types = sqlx::query_as!(
        ItemType,
        r#"SELECT root_id AS "root: RootId", id AS "id: ItemTypeId", name, observers FROM item_types WHERE id = ANY($1)"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(types)
}

/// Creates a type; returns its id, or none where the root group has one of that name.
pub async fn create(
    connection: &mut PgConnection,
    root: RootId,
    (name, observers): (&str, bool),
    now: DateTime<Utc>,
) -> Result<Option<ItemTypeId>, StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO item_types (root_id, name, observers, created_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (root_id, lower(name)) DO NOTHING RETURNING id AS "id: ItemTypeId""#,
        root.0,
        name,
        observers,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

/// Changes a type; returns whether its name was free.
pub async fn update(
    connection: &mut PgConnection,
    item_type: &ItemType,
) -> Result<bool, StoreError> {
    let changed = sqlx::query!(
        "UPDATE item_types SET name = $3, observers = $4
         WHERE root_id = $1 AND id = $2
           AND NOT EXISTS (SELECT FROM item_types AS other WHERE other.root_id = $1 AND lower(other.name) = lower($3) AND other.id <> $2)",
        item_type.root.0,
        item_type.id.0,
        item_type.name,
        item_type.observers,
    )
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// Deletes a type that no item is of; returns whether it did.
pub async fn delete(
    connection: &mut PgConnection,
    root: RootId,
    id: ItemTypeId,
) -> Result<bool, StoreError> {
    let gone = sqlx::query!(
        "DELETE FROM item_types WHERE root_id = $1 AND id = $2
           AND NOT EXISTS (SELECT FROM items WHERE items.root_id = $1 AND items.type_id = $2)",
        root.0,
        id.0,
    )
    .execute(connection)
    .await?;
    Ok(gone.rows_affected() > 0)
}
