//! What is known of a tenant's tree, to be compared with what the tracker tells.

use sqlx::PgConnection;

use crate::{
    domain::{ConnectionId, GroupId, RootId},
    store::StoreError,
};

/// A group of a tracker, as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownGroup {
    /// Remote id.
    pub remote_id: String,
    /// Full path in the tracker.
    pub remote_path: Option<String>,
    /// Full path here.
    pub path: String,
    /// Name.
    pub name: String,
    /// Remote id of the group it is in; none for a root group here.
    pub parent: Option<String>,
}

/// A project of a tracker, as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProject {
    /// Remote id.
    pub remote_id: String,
    /// Path with namespace.
    pub path: String,
    /// Who may read it, in the tracker's word.
    pub visibility: String,
    /// Remote id of the group it is in.
    pub group: Option<String>,
}

/// A group that stands for a namespace, with what is known below it.
#[derive(Debug)]
pub struct KnownTree {
    /// Groups, the one itself included.
    pub groups: Vec<KnownGroup>,
    /// Projects.
    pub projects: Vec<KnownProject>,
}

/// Returns what is known of a group and all below it that stands for something on a tracker.
pub async fn known(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    on: ConnectionId,
) -> Result<KnownTree, StoreError> {
    let groups = sqlx::query_as!(
        KnownGroup,
        r#"SELECT groups.remote_id AS "remote_id!", groups.remote_path, groups.path, groups.name, parent.remote_id AS "parent?"
           FROM groups AS top
           JOIN groups ON groups.root_id = $1 AND (groups.id = $2 OR starts_with(groups.path, top.path || '/'))
           LEFT JOIN groups AS parent ON parent.root_id = $1 AND parent.id = groups.parent_id
           WHERE top.root_id = $1 AND top.id = $2 AND groups.connection_id = $3 AND groups.remote_id IS NOT NULL"#,
        root.0,
        group.0,
        on.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    let projects = sqlx::query_as!(
        KnownProject,
        r#"SELECT projects.remote_id, projects.path, projects.visibility, home.remote_id AS "group"
           FROM groups AS top
           JOIN groups AS home ON home.root_id = $1 AND (home.id = $2 OR starts_with(home.path, top.path || '/'))
           JOIN projects ON projects.root_id = $1 AND projects.group_id = home.id
           WHERE top.root_id = $1 AND top.id = $2 AND projects.connection_id = $3"#,
        root.0,
        group.0,
        on.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(KnownTree { groups, projects })
}
