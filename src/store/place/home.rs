//! Which tenant a place in the tracker belongs to.
//!
//! The outermost root group that stands for one of the namespaces has the rest in it. A root group further in is a tenant of its own if it
//! was met there; one that the tracker moved there since belongs to the outer one from now on.

use sqlx::PgConnection;

use crate::{
    domain::{ConnectionId, GroupId, Namespaces, RootId},
    store::{StoreError, group::Group},
};

/// A root group that stands for a namespace.
pub(super) struct Standing {
    pub(super) group: Group,
    /// None until it is met for the first time.
    remote_id: Option<String>,
    remote_path: Option<String>,
    /// The namespace that it was in when last met, empty for none.
    remote_parent: Option<String>,
}

/// Returns the remote ids of a path.
pub(super) fn ids(namespaces: &Namespaces) -> Vec<String> {
    let ids = namespaces.path.iter();
    ids.map(|namespace| namespace.remote_id.clone()).collect()
}

/// Returns the tenants that know one of the namespaces, or the project.
pub(super) async fn roots(
    connection: &mut PgConnection,
    on: ConnectionId,
    namespaces: &[String],
    project: Option<&str>,
) -> Result<Vec<RootId>, StoreError> {
    let roots = sqlx::query_scalar!(
        r#"SELECT root_id AS "root!: RootId" FROM groups WHERE connection_id = $1 AND remote_id = ANY($2)
           UNION SELECT root_id FROM projects WHERE connection_id = $1 AND remote_id = $3"#,
        on.0,
        namespaces,
        project,
    )
    .fetch_all(connection)
    .await?;
    Ok(roots)
}

/// Returns the root groups that stand for one of the namespaces: by its id, or by its declared path where they were never met.
pub(super) async fn standing(
    connection: &mut PgConnection,
    on: ConnectionId,
    namespaces: &Namespaces,
) -> Result<Vec<Standing>, StoreError> {
    let paths: Vec<String> = namespaces
        .path
        .iter()
        .map(|namespace| namespace.path.to_lowercase())
        .collect();
    let rows = sqlx::query!(
        r#"SELECT root_id AS "root!: RootId", id AS "id!: GroupId", path AS "path!", remote_id, remote_path, remote_parent_id FROM groups
           WHERE connection_id = $1 AND remote_id = ANY($2) AND id = root_id
           UNION ALL
           SELECT root_id, id, path, remote_id, remote_path, remote_parent_id FROM groups
           WHERE connection_id = $1 AND remote_id IS NULL AND lower(remote_path) = ANY($3) AND id = root_id"#,
        on.0,
        &ids(namespaces),
        &paths,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Standing {
            group: Group {
                root: row.root,
                id: row.id,
                path: row.path,
            },
            remote_id: row.remote_id,
            remote_path: row.remote_path,
            remote_parent: row.remote_parent_id,
        })
        .collect())
}

/// Returns the root group that has the innermost namespace in it, with its depth in the path.
pub(super) fn home<'a>(
    standing: &'a [Standing],
    namespaces: &Namespaces,
    own: RootId,
) -> Option<(usize, &'a Standing)> {
    let mut home = None;
    let mut parent = "";
    for (depth, namespace) in namespaces.path.iter().enumerate() {
        let stands = |standing: &&Standing| match (&standing.remote_id, &standing.remote_path) {
            (Some(id), _) => *id == namespace.remote_id,
            (None, Some(path)) => path.eq_ignore_ascii_case(&namespace.path),
            (None, None) => false,
        };
        let found = standing
            .iter()
            .filter(stands)
            .max_by_key(|standing| standing.group.root == own);
        if let Some(found) = found {
            let was_met_here = found.remote_id.is_none()
                || found
                    .remote_parent
                    .as_deref()
                    .is_none_or(|met| met == parent);
            if home.is_none() || was_met_here {
                home = Some((depth, found));
            }
        }
        parent = &namespace.remote_id;
    }
    home
}

/// Remembers what a root group stands for and where that is, if it was not known so. Its path stays as declared: were it to follow a
/// renaming, the next start would take it for another namespace.
pub(super) async fn adopt(
    connection: &mut PgConnection,
    standing: &Standing,
    namespaces: &Namespaces,
    depth: usize,
) -> Result<(), StoreError> {
    let at = |depth: usize| {
        namespaces
            .path
            .get(depth)
            .map(|namespace| namespace.remote_id.as_str())
    };
    let remote_id = at(depth);
    let parent = depth.checked_sub(1).and_then(at).unwrap_or_default();
    if standing.remote_id.as_deref() == remote_id
        && standing.remote_parent.as_deref() == Some(parent)
    {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE groups SET remote_id = $3, remote_parent_id = $4 WHERE root_id = $1 AND id = $2",
        standing.group.root.0,
        standing.group.id.0,
        remote_id,
        parent,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Remembers of a root group that was a subgroup that it is in no namespace.
pub(super) async fn adopt_new(
    connection: &mut PgConnection,
    root: RootId,
    group: GroupId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE groups SET remote_parent_id = '' WHERE root_id = $1 AND id = $2",
        root.0,
        group.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
