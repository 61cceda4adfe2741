//! Paths of groups: whole subtrees are renamed at once, and a path that somebody else left is freed.

use sqlx::PgConnection;

use crate::{
    domain::{ConnectionId, GroupId, RootId},
    store::{StoreError, group::Group},
};

/// Returns a path for a group: the wanted one, freed from a subgroup of the same tenant that was last met under it and has left it, as is
/// seen when it is met again; else one that is marked with the group's remote id.
pub(super) async fn free(
    connection: &mut PgConnection,
    parent: Option<&Group>,
    wanted: &str,
    (on, remote_id): (ConnectionId, &str),
) -> Result<String, StoreError> {
    let holder = sqlx::query_as!(
        Group,
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path FROM groups
           WHERE lower(path) = lower($1) AND (connection_id, remote_id) IS DISTINCT FROM ($2, $3)"#,
        wanted,
        on.0,
        remote_id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    match (holder, parent) {
        (None, _) => Ok(wanted.to_owned()),
        (Some(holder), Some(parent))
            if holder.root == parent.root && holder.id.0 != holder.root.0 =>
        {
            let aside = format!("{}~{}", holder.path, holder.id);
            rename(connection, &holder, &aside, None).await?;
            Ok(wanted.to_owned())
        }
        (Some(_), _) => Ok(format!("{wanted}~{remote_id}")),
    }
}

/// Gives a group another path, and with it everything below; where the tracker's path is named, that of its projects too.
pub(super) async fn rename(
    connection: &mut PgConnection,
    group: &Group,
    path: &str,
    remote_path: Option<&str>,
) -> Result<(), StoreError> {
    if let Some(remote_path) = remote_path {
        sqlx::query!(
            "UPDATE projects SET path = $4 || substr(projects.path, length(top.remote_path) + 1)
             FROM groups AS top, groups AS home
             WHERE top.root_id = $1 AND top.id = $2 AND home.root_id = $1 AND (home.id = $2 OR starts_with(home.path, $3 || '/'))
               AND projects.root_id = $1 AND projects.group_id = home.id
               AND starts_with(lower(projects.path), lower(top.remote_path) || '/')",
            group.root.0,
            group.id.0,
            group.path,
            remote_path,
        )
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query!(
        "UPDATE groups SET path = $4 || substr(groups.path, length($3) + 1),
                remote_path = CASE WHEN $5::text IS NOT NULL AND (groups.id = $2 OR starts_with(lower(groups.remote_path), lower(top.remote_path) || '/'))
                                   THEN $5 || substr(groups.remote_path, length(top.remote_path) + 1) ELSE groups.remote_path END
         FROM (SELECT remote_path FROM groups WHERE root_id = $1 AND id = $2) AS top
         WHERE groups.root_id = $1 AND (groups.id = $2 OR starts_with(groups.path, $3 || '/'))",
        group.root.0,
        group.id.0,
        group.path,
        path,
        remote_path,
    )
    .execute(connection)
    .await?;
    Ok(())
}
