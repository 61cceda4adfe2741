//! The tree of groups and projects. Where a project is, its tracker says; this is what was last heard.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ConnectionId, GroupId, Level, PersonId, ProjectFacts, RelationSource, RootId};

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

/// The groups that stand for a tracker's namespace, of one root.
pub struct Remote {
    /// The connection.
    pub connection: ConnectionId,
    /// Remote id of the namespace.
    pub remote_id: String,
}

/// Returns the tracker namespace that a group stands for, if its remote id is known.
pub async fn remote(
    connection: &mut PgConnection,
    root: RootId,
    id: GroupId,
) -> Result<Option<Remote>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT connection_id AS "connection: ConnectionId", coalesce(remote_id, remote_path) AS remote FROM groups WHERE root_id = $1 AND id = $2"#,
        root.0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| {
        Some(Remote {
            connection: row.connection?,
            remote_id: row.remote?,
        })
    }))
}

/// Puts a project where its tracker says it is, with the groups between; returns false where that is outside the root's tree,
/// and then forgets the project.
pub async fn place_project(
    connection: &mut PgConnection,
    root: RootId,
    on: ConnectionId,
    project: &ProjectFacts,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let mut parent: Option<Group> = None;
    for (remote_id, path, name) in &project.namespaces {
        parent = match parent {
            None => adopt(connection, root, on, remote_id, path).await?,
            Some(parent) => {
                Some(child(connection, &parent, on, (remote_id, path, name), now).await?)
            }
        };
    }
    let Some(group) = parent else {
        sqlx::query!(
            "UPDATE projects SET checked_at = '-infinity' WHERE root_id = $1 AND connection_id = $2 AND remote_id = $3",
            root.0,
            on.0,
            project.remote_id,
        )
        .execute(connection)
        .await?;
        return Ok(false);
    };
    sqlx::query!(
        "INSERT INTO projects (root_id, group_id, connection_id, remote_id, path, visibility, checked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (root_id, connection_id, remote_id) DO UPDATE
         SET group_id = excluded.group_id, path = excluded.path, visibility = excluded.visibility, checked_at = excluded.checked_at",
        root.0,
        group.id.0,
        on.0,
        project.remote_id,
        project.path,
        project.visibility.word(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(true)
}

/// Finds the root group that stands for a namespace: by its id, or by its declared path when it is met for the first time.
/// A subgroup alone does not count: what is above it is no longer ours.
async fn adopt(
    connection: &mut PgConnection,
    root: RootId,
    on: ConnectionId,
    remote_id: &str,
    path: &str,
) -> Result<Option<Group>, StoreError> {
    let group = sqlx::query_as!(
        Group,
        // The path stays as declared: were it to follow a renaming, the next start would take it for another namespace.
        r#"UPDATE groups SET remote_id = $3
           WHERE root_id = $1 AND id = root_id AND connection_id = $2
             AND (remote_id = $3 OR (remote_id IS NULL AND lower(remote_path) = lower($4)))
           RETURNING root_id AS "root: RootId", id AS "id: GroupId", path"#,
        root.0,
        on.0,
        remote_id,
        path,
    )
    .fetch_optional(connection)
    .await?;
    Ok(group)
}

/// Creates or moves the group below `parent` that stands for a namespace. Contacts are held where the parent's are.
async fn child(
    connection: &mut PgConnection,
    parent: &Group,
    on: ConnectionId,
    (remote_id, remote_path, name): (&str, &str, &str),
    now: DateTime<Utc>,
) -> Result<Group, StoreError> {
    let segment = remote_path.rsplit('/').next().unwrap_or(remote_path);
    let path = format!("{}/{segment}", parent.path);
    // Another subgroup that was last met under this path has left it; where it is now is seen when it is met again.
    sqlx::query!(
        "UPDATE groups SET path = path || '~' || id
         WHERE root_id = $1 AND lower(path) = lower($2) AND (connection_id, remote_id) IS DISTINCT FROM ($3, $4)",
        parent.root.0,
        path,
        on.0,
        remote_id,
    )
    .execute(&mut *connection)
    .await?;
    let group = sqlx::query_as!(
        Group,
        r#"INSERT INTO groups (root_id, parent_id, path, name, contact_group_id, connection_id, remote_id, remote_path, created_at)
           SELECT $1, $2, $3, $4, contact_group_id, $5, $6, $7, $8 FROM groups WHERE root_id = $1 AND id = $2
           ON CONFLICT (root_id, connection_id, remote_id) DO UPDATE
           SET parent_id = excluded.parent_id, path = excluded.path, name = excluded.name, remote_path = excluded.remote_path
           RETURNING root_id AS "root: RootId", id AS "id: GroupId", path"#,
        parent.root.0,
        parent.id.0,
        path,
        name,
        on.0,
        remote_id,
        remote_path,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(group)
}

/// Has the places of all projects of a connection asked anew when they are next met.
pub async fn forget_places(
    connection: &mut PgConnection,
    root: RootId,
    on: ConnectionId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE projects SET checked_at = '-infinity' WHERE root_id = $1 AND connection_id = $2",
        root.0,
        on.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
