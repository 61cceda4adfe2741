//! The tree of groups and projects. Where a project is, its tracker says; this is what was last heard.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ConnectionId, GroupId, Level, PersonId, RelationSource, RootId};

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Tenant.
    pub root: RootId,
    /// Its id.
    pub id: GroupId,
    /// Full path.
    pub path: String,
}

/// A root group as it is declared.
#[derive(Debug)]
pub struct Declared<'a> {
    /// Full path.
    pub path: &'a str,
    /// Name.
    pub name: &'a str,
    /// Whether the CRM is on.
    pub crm: bool,
    /// By what contacts are related to its issues without a command.
    pub automatic_relations: &'a [RelationSource],
    /// The tracker's namespace that it stands for: connection and full path there.
    pub tracker: Option<(ConnectionId, &'a str)>,
}

/// Creates or changes a declared root group. Another tracker namespace makes its remote id unknown again.
pub async fn declare(
    connection: &mut PgConnection,
    declared: &Declared<'_>,
    now: DateTime<Utc>,
) -> Result<Group, StoreError> {
    if let Some(moved) = declare_moved(connection, declared).await? {
        return Ok(moved);
    }
    let (tracker, remote_path) = declared.tracker.unzip();
    let sources: Vec<&str> = declared
        .automatic_relations
        .iter()
        .map(|source| source.word())
        .collect();
    let row = sqlx::query!(
        r#"WITH fresh AS (SELECT nextval('group_ids') AS id)
           INSERT INTO groups (root_id, id, path, name, crm_enabled, contact_group_id, connection_id, remote_path, managed, created_at, automatic_relations)
           SELECT id, id, $1, $2, $3, id, $4, $5, true, $6, $7 FROM fresh
           ON CONFLICT (lower(path)) DO UPDATE
           SET name = excluded.name, crm_enabled = excluded.crm_enabled, managed = true,
               automatic_relations = excluded.automatic_relations,
               connection_id = excluded.connection_id, remote_path = excluded.remote_path,
               remote_id = CASE WHEN (groups.connection_id, lower(groups.remote_path)) = (excluded.connection_id, lower(excluded.remote_path))
                                THEN groups.remote_id END
           RETURNING root_id AS "root: RootId", id AS "id: GroupId", path"#,
        declared.path,
        declared.name,
        declared.crm,
        tracker.map(|id| id.0),
        remote_path,
        now,
        &sources as &[&str],
    )
    .fetch_one(connection)
    .await?;
    Ok(Group {
        root: row.root,
        id: row.id,
        path: row.path,
    })
}

/// Changes a declared group that the tracker has moved away from where it is declared. Where it is and what it stands for, the tracker says.
async fn declare_moved(
    connection: &mut PgConnection,
    declared: &Declared<'_>,
) -> Result<Option<Group>, StoreError> {
    let group = sqlx::query_as!(
        Group,
        r#"UPDATE groups SET name = $2, crm_enabled = $3 WHERE lower(declared_path) = lower($1)
           RETURNING root_id AS "root: RootId", id AS "id: GroupId", path"#,
        declared.path,
        declared.name,
        declared.crm,
    )
    .fetch_optional(connection)
    .await?;
    Ok(group)
}

/// Makes the declared members of a group what the configuration says; members that it no longer names are removed.
pub async fn declare_members(
    connection: &mut PgConnection,
    group: &Group,
    members: &[(PersonId, Level)],
) -> Result<(), StoreError> {
    let people: Vec<i64> = members.iter().map(|(person, _)| person.0).collect();
    let levels: Vec<i16> = members.iter().map(|(_, level)| *level as i16).collect();
    sqlx::query!(
        "DELETE FROM memberships WHERE root_id = $1 AND group_id = $2 AND managed AND person_id <> ALL($3)",
        group.root.0,
        group.id.0,
        &people,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO memberships (root_id, group_id, person_id, level, managed)
         SELECT $1, $2, person_id, level, true FROM unnest($3::bigint[], $4::smallint[]) AS declared (person_id, level)
         ON CONFLICT (root_id, group_id, person_id) DO UPDATE SET level = excluded.level, expires_at = NULL, managed = true",
        group.root.0,
        group.id.0,
        &people,
        &levels,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the group at a path, without regard to case.
pub async fn find(connection: &mut PgConnection, path: &str) -> Result<Option<Group>, StoreError> {
    let group = sqlx::query_as!(
        Group,
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path FROM groups WHERE lower(path) = lower($1)"#,
        path,
    )
    .fetch_optional(connection)
    .await?;
    Ok(group)
}

/// Returns the group that holds the contacts of a group, itself or another one of the tree.
pub async fn contact_holder(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
) -> Result<GroupId, StoreError> {
    let id = sqlx::query_scalar!(
        r#"SELECT contact_group_id AS "id: GroupId" FROM groups WHERE root_id = $1 AND id = $2"#,
        root.0,
        group.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// The groups that stand for a tracker's namespace, of one root.
pub struct Remote {
    /// The connection.
    pub connection: ConnectionId,
    /// Remote id of the namespace, once it was asked.
    pub remote_id: Option<String>,
    /// Its full path there.
    pub path: Option<String>,
}

impl Remote {
    /// Returns what the tracker's API finds the namespace by.
    pub fn name(&self) -> Option<&str> {
        self.remote_id.as_deref().or(self.path.as_deref())
    }
}

/// Returns the tracker namespace that a group stands for.
pub async fn remote(
    connection: &mut PgConnection,
    root: RootId,
    id: GroupId,
) -> Result<Option<Remote>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT connection_id AS "connection: ConnectionId", remote_id, remote_path FROM groups WHERE root_id = $1 AND id = $2"#,
        root.0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| {
        Some(Remote {
            connection: row.connection?,
            remote_id: row.remote_id,
            path: row.remote_path,
        })
    }))
}

/// A group that stands for a namespace of a tracker.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The group.
    pub group: Group,
    /// The connection.
    pub connection: ConnectionId,
    /// Remote id of the namespace, or its path until it was asked.
    pub remote_id: String,
}

/// Returns the groups that stand for a namespace of their own accord: all root groups, or the one at a path.
pub async fn followed(
    connection: &mut PgConnection,
    path: Option<&str>,
) -> Result<Vec<Followed>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path, connection_id AS "connection!: ConnectionId",
                  coalesce(remote_id, remote_path) AS "remote!"
           FROM groups
           WHERE connection_id IS NOT NULL AND coalesce(remote_id, remote_path) IS NOT NULL
             AND CASE WHEN $1::text IS NULL THEN id = root_id ELSE lower(path) = lower($1) END
           ORDER BY lower(path)"#,
        path,
    )
    .fetch_all(connection)
    .await?;
    let followed = rows.into_iter().map(|row| Followed {
        group: Group {
            root: row.root,
            id: row.id,
            path: row.path,
        },
        connection: row.connection,
        remote_id: row.remote,
    });
    Ok(followed.collect())
}

/// Returns the root groups that have chats, one of them where a path is given.
pub async fn with_chats(
    connection: &mut PgConnection,
    path: Option<&str>,
) -> Result<Vec<Group>, StoreError> {
    let groups = sqlx::query_as!(
        Group,
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path FROM groups
           WHERE parent_id IS NULL AND ($1::text IS NULL OR lower(path) = lower($1))
             AND EXISTS (SELECT FROM chats WHERE chats.root_id = groups.root_id) ORDER BY path"#,
        path,
    )
    .fetch_all(connection)
    .await?;
    Ok(groups)
}
