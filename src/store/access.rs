//! Access levels: the tracker's, remembered for a short while, and Liaison's own.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ConnectionId, GroupId, Level, PersonId, RootId, Scope};

/// Remembers a level that the tracker told, unless a member event came since it was asked: then it has to be asked anew.
pub async fn remember(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    user: &str,
    (scope, scope_id): (Scope, &str),
    level: Level,
    asked_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO access_levels (root_id, connection_id, remote_user_id, scope, remote_scope_id, level, checked_at)
         SELECT $1, $2, $3, $4, $5, $6, $7
         WHERE NOT EXISTS (
             SELECT FROM access_levels
             WHERE root_id = $1 AND connection_id = $2 AND remote_user_id = $3 AND scope = 'group' AND remote_scope_id = '' AND checked_at >= $7)
         ON CONFLICT (root_id, connection_id, remote_user_id, scope, remote_scope_id) DO UPDATE
         SET level = excluded.level, checked_at = excluded.checked_at",
        root.0,
        on.0,
        user,
        scope.word(),
        scope_id,
        level as i16,
        asked_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what the tracker told about a user, so that it is asked anew. A row for no group keeps the moment,
/// since answers to earlier questions may be on their way.
pub async fn forget(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    user: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH forgotten AS (
             DELETE FROM access_levels
             WHERE root_id = $1 AND connection_id = $2 AND remote_user_id = $3 AND remote_scope_id <> '')
         INSERT INTO access_levels (root_id, connection_id, remote_user_id, scope, remote_scope_id, level, checked_at)
         VALUES ($1, $2, $3, 'group', '', 0, $4)
         ON CONFLICT (root_id, connection_id, remote_user_id, scope, remote_scope_id) DO UPDATE SET checked_at = excluded.checked_at",
        root.0,
        on.0,
        user,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what the tracker told about anybody in a tenant; returns how many levels that were.
pub async fn forget_all(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
) -> Result<u64, StoreError> {
    let forgotten = sqlx::query!(
        "DELETE FROM access_levels WHERE root_id = $1 AND connection_id = $2 AND remote_scope_id <> ''",
        root.0,
        on.0,
    )
    .execute(connection)
    .await?;
    Ok(forgotten.rows_affected())
}

/// Returns the level that Liaison's own memberships give a person in a group, inherited ones included; the highest counts.
pub async fn own_level(
    connection: &mut PgConnection,
    root: RootId,
    group: GroupId,
    person: PersonId,
    now: DateTime<Utc>,
) -> Result<Level, StoreError> {
    let level = sqlx::query_scalar!(
        r#"WITH RECURSIVE up AS (
               SELECT id, parent_id FROM groups WHERE root_id = $1 AND id = $2
               UNION ALL
               SELECT groups.id, groups.parent_id FROM groups JOIN up ON groups.root_id = $1 AND groups.id = up.parent_id)
           SELECT max(level) AS level FROM memberships JOIN up ON memberships.group_id = up.id
           WHERE root_id = $1 AND person_id = $3 AND (expires_at IS NULL OR expires_at > $4)"#,
        root.0,
        group.0,
        person.0,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(Level::from_number(level.unwrap_or_default().into()))
}
