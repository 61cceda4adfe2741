//! Access levels: the tracker's, remembered for a short while, and Liaison's own.

use std::collections::HashMap;

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

/// Returns the groups and projects in which the tracker lately told that a user has a level, by their ids there.
pub async fn scopes(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    user: &str,
) -> Result<Vec<(Scope, String)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT scope, remote_scope_id FROM access_levels
         WHERE root_id = $1 AND connection_id = $2 AND remote_user_id = $3 AND remote_scope_id <> '' AND level > 0
         ORDER BY scope, remote_scope_id",
        root.0,
        on.0,
        user,
    )
    .fetch_all(connection)
    .await?;
    let scope = |word: &str| match word {
        "project" => Scope::Project,
        _ => Scope::Group,
    };
    Ok(rows
        .into_iter()
        .map(|row| (scope(&row.scope), row.remote_scope_id))
        .collect())
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

/// Returns the levels that Liaison's own memberships give people in groups, inherited ones included; the highest counts. Who has none in a group
/// is left out.
pub async fn own_levels(
    connection: &mut PgConnection,
    root: RootId,
    asked: &[(GroupId, PersonId)],
    now: DateTime<Utc>,
) -> Result<HashMap<(GroupId, PersonId), Level>, StoreError> {
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    let (groups, people): (Vec<i64>, Vec<i64>) = asked
        .iter()
        .map(|(group, person)| (group.0, person.0))
        .unzip();
    let levels = sqlx::query!(
        r#"WITH RECURSIVE up (wanted, person_id, id) AS (
               SELECT asked.group_id, asked.person_id, asked.group_id FROM unnest($2::bigint[], $3::bigint[]) AS asked (group_id, person_id)
               UNION
               SELECT up.wanted, up.person_id, groups.parent_id
               FROM up JOIN groups ON groups.root_id = $1 AND groups.id = up.id WHERE groups.parent_id IS NOT NULL)
           SELECT up.wanted AS "group!: GroupId", up.person_id AS "person!: PersonId", max(level) AS "level!"
           FROM up JOIN memberships ON memberships.root_id = $1 AND memberships.group_id = up.id AND memberships.person_id = up.person_id
           WHERE expires_at IS NULL OR expires_at > $4
           GROUP BY up.wanted, up.person_id"#,
        root.0,
        &groups,
        &people,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(levels
        .into_iter()
        .map(|row| {
            (
                (row.group, row.person),
                Level::from_number(row.level.into()),
            )
        })
        .collect())
}

/// The same for one person in one group.
pub async fn own_level(
    connection: &mut PgConnection,
    root: RootId,
    group: GroupId,
    person: PersonId,
    now: DateTime<Utc>,
) -> Result<Level, StoreError> {
    let levels = own_levels(connection, root, &[(group, person)], now).await?;
    Ok(levels.into_values().next().unwrap_or(Level::None))
}
