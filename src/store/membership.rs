//! Members of a group as its settings show them: what the tracker lately told, or what Liaison's own memberships say.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{GroupId, Level, RootId};

/// The members of a group.
#[derive(Debug, Default)]
pub struct Members {
    /// Whether its tracker tells levels; memberships count only where none does.
    pub has_tracker: bool,
    /// The members, the highest level first.
    pub members: Vec<Member>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Username here.
    pub username: String,
    /// Display name.
    pub name: String,
    /// The level.
    pub level: Level,
    /// Where it comes from.
    pub origin: Origin,
    /// When the tracker was last asked.
    pub asked_at: Option<DateTime<Utc>>,
    /// When a membership ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Where a level comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The tracker told it.
    Tracker {
        /// Name of the connection.
        connection: String,
    },
    /// A membership in this group or one above it.
    Group {
        /// Path of that group.
        path: String,
        /// Whether the configuration file declares it.
        managed: bool,
    },
}

/// Returns up to so many members of a group.
pub async fn of_group(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    (limit, now): (i64, DateTime<Utc>),
) -> Result<Members, StoreError> {
    let tracker = sqlx::query!(
        r#"SELECT connections.name AS "connection?", connection_id, coalesce(remote_id, remote_path) AS remote
           FROM groups LEFT JOIN connections ON connections.id = connection_id WHERE root_id = $1 AND groups.id = $2"#,
        root.0,
        group.0,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let tracker = tracker.and_then(|row| Some((row.connection?, row.connection_id?, row.remote?)));
    let Some((name, on, remote)) = tracker else {
        return own(connection, (root, group), (limit, now)).await;
    };
    let rows = sqlx::query!(
        "SELECT people.username, people.name, level, access_levels.checked_at
         FROM access_levels
         JOIN identities ON identities.connection_id = $2 AND identities.remote_id = access_levels.remote_user_id
         JOIN people ON people.id = identities.person_id
         WHERE root_id = $1 AND access_levels.connection_id = $2 AND scope = 'group' AND remote_scope_id = $3 AND level > 0
         ORDER BY level DESC, lower(people.username) LIMIT $4",
        root.0,
        on,
        remote,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(Members {
        has_tracker: true,
        members: rows
            .into_iter()
            .map(|row| Member {
                username: row.username,
                name: row.name,
                level: Level::from_number(row.level.into()),
                origin: Origin::Tracker {
                    connection: name.clone(),
                },
                asked_at: Some(row.checked_at),
                expires_at: None,
            })
            .collect(),
    })
}

async fn own(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    (limit, now): (i64, DateTime<Utc>),
) -> Result<Members, StoreError> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE up (id, path, parent_id) AS (
               SELECT id, path, parent_id FROM groups WHERE root_id = $1 AND id = $2
               UNION ALL
               SELECT groups.id, groups.path, groups.parent_id FROM up JOIN groups ON groups.root_id = $1 AND groups.id = up.parent_id)
           SELECT username AS "username!", name AS "name!", level AS "level!", path AS "path!", managed AS "managed!", expires_at
           -- The highest counts.
           FROM (SELECT DISTINCT ON (people.id) people.username, people.name, level, up.path, memberships.managed, expires_at
                 FROM up
                 JOIN memberships ON memberships.root_id = $1 AND memberships.group_id = up.id
                 JOIN people ON people.id = memberships.person_id
                 WHERE people.active AND (expires_at IS NULL OR expires_at > $4)
                 ORDER BY people.id, level DESC) AS highest
           ORDER BY level DESC, lower(username) LIMIT $3"#,
        root.0,
        group.0,
        limit,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(Members {
        has_tracker: false,
        members: rows
            .into_iter()
            .map(|row| Member {
                username: row.username,
                name: row.name,
                level: Level::from_number(row.level.into()),
                origin: Origin::Group {
                    path: row.path,
                    managed: row.managed,
                },
                asked_at: None,
                expires_at: row.expires_at,
            })
            .collect(),
    })
}
