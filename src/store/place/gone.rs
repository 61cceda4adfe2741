//! What the tracker destroyed is forgotten, but for customers: a group that holds contacts stays, and stands for no namespace any more.

use sqlx::PgConnection;

use super::Finder;
use crate::{
    domain::{GroupId, ProjectId},
    store::{StoreError, group::Group, transfer},
};

/// What was forgotten.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Groups.
    pub groups: u64,
    /// Projects, with their issues.
    pub projects: u64,
    /// Relations of those issues.
    pub relations: i64,
    /// Whether the group stays, since it holds contacts, webhooks or members.
    pub stays: bool,
}

/// Forgets a project of the finder's tenant that was destroyed, with its issues; the end of their relations is in the history.
pub async fn forget_project(
    connection: &mut PgConnection,
    finder: &Finder<'_>,
    remote_id: &str,
) -> Result<Forgotten, StoreError> {
    let project = sqlx::query_scalar!(
        r#"SELECT id AS "id: ProjectId" FROM projects WHERE root_id = $1 AND connection_id = $2 AND remote_id = $3"#,
        finder.own.0,
        finder.on.0,
        remote_id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let projects: Vec<ProjectId> = project.into_iter().collect();
    forget(connection, finder, &projects).await
}

/// Forgets a group of the finder's tenant that was destroyed, with all below it. A root group stays, since it is declared.
pub async fn forget_group(
    connection: &mut PgConnection,
    finder: &Finder<'_>,
    remote_id: &str,
) -> Result<Forgotten, StoreError> {
    let group = sqlx::query_as!(
        Group,
        r#"SELECT root_id AS "root: crate::domain::RootId", id AS "id: GroupId", path FROM groups
           WHERE root_id = $1 AND connection_id = $2 AND remote_id = $3"#,
        finder.own.0,
        finder.on.0,
        remote_id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(group) = group else {
        return Ok(Forgotten::default());
    };
    transfer::lock_roots(connection, &[finder.own]).await?;
    let projects = sqlx::query_scalar!(
        r#"SELECT projects.id AS "id: ProjectId" FROM groups JOIN projects ON projects.root_id = $1 AND projects.group_id = groups.id
           WHERE groups.root_id = $1 AND (groups.id = $2 OR starts_with(groups.path, $3 || '/'))"#,
        finder.own.0,
        group.id.0,
        group.path,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut forgotten = forget(connection, finder, &projects).await?;
    forgotten.groups = remove(connection, &group).await?;
    if forgotten.groups == 0 {
        forgotten.stays = true;
        detach(connection, &group).await?;
    }
    Ok(forgotten)
}

async fn forget(
    connection: &mut PgConnection,
    finder: &Finder<'_>,
    projects: &[ProjectId],
) -> Result<Forgotten, StoreError> {
    let why = "the project was destroyed";
    let lost =
        transfer::end_relations(connection, &finder.mover(), (finder.own, projects), why).await?;
    let ids: Vec<i64> = projects.iter().map(|project| project.0).collect();
    let deleted = sqlx::query!(
        "DELETE FROM projects WHERE root_id = $1 AND id = ANY($2)",
        finder.own.0,
        &ids,
    )
    .execute(connection)
    .await?;
    Ok(Forgotten {
        projects: deleted.rows_affected(),
        relations: lost.iter().map(|lost| lost.items).sum(),
        ..Forgotten::default()
    })
}

/// Removes a group and all below it, if nothing else hangs on any of them.
async fn remove(connection: &mut PgConnection, group: &Group) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        "WITH below AS MATERIALIZED (
             SELECT id FROM groups WHERE root_id = $1 AND (id = $2 OR starts_with(path, $3 || '/')))
         DELETE FROM groups WHERE root_id = $1 AND id IN (SELECT id FROM below) AND $1::bigint <> $2
           AND NOT EXISTS (SELECT FROM below JOIN items ON items.root_id = $1 AND items.group_id = below.id)
           AND NOT EXISTS (SELECT FROM below JOIN webhooks ON webhooks.root_id = $1 AND webhooks.group_id = below.id)
           AND NOT EXISTS (SELECT FROM below JOIN memberships ON memberships.root_id = $1 AND memberships.group_id = below.id)
           AND NOT EXISTS (SELECT FROM groups AS other WHERE other.root_id = $1 AND other.id NOT IN (SELECT id FROM below)
                             AND (other.contact_group_id IN (SELECT id FROM below) OR other.contact_source_id IN (SELECT id FROM below)))",
        group.root.0,
        group.id.0,
        group.path,
    )
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}

/// Lets a group, and those below it, stand for no namespace any more. A root group keeps what the file declares.
async fn detach(connection: &mut PgConnection, group: &Group) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE groups SET connection_id = NULL, remote_id = NULL, remote_path = NULL
         WHERE root_id = $1 AND id <> root_id AND (id = $2 OR starts_with(path, $3 || '/'))",
        group.root.0,
        group.id.0,
        group.path,
    )
    .execute(connection)
    .await?;
    Ok(())
}
