//! Moves of single projects. No contacts come along: where another group holds those of the new place, the relations of the project's issues
//! end, as at GitLab, and the issues are told.

use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use super::{Mover, TransferReport, check, lock_roots, part, patience};
use crate::{
    domain::{ConnectionId, Followers, GroupId, ProjectId, RootId},
    store::StoreError,
};

/// A project that is to be elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct ProjectMove {
    /// The tenant it is in.
    pub root: RootId,
    /// The project.
    pub project: ProjectId,
    /// The group it is to be in.
    pub to: (RootId, GroupId),
}

/// An issue whose contacts did not come along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostRelations {
    /// Number of the issue within the project.
    pub issue: i64,
    /// How many contacts and organizations it had.
    pub items: i64,
}

/// A project that was moved.
#[derive(Debug)]
pub struct MovedProject {
    /// What was done.
    pub report: TransferReport,
    /// The issues that are to be told.
    pub lost: Vec<LostRelations>,
    /// What has to follow.
    pub followers: Followers,
}

/// Moves a project to another group.
///
/// # Errors
/// Fails where the database does, or with a conflict where the new root knows the same project already; the caller rolls back.
pub async fn project(
    connection: &mut PgConnection,
    mover: &Mover,
    what: &ProjectMove,
) -> Result<MovedProject, StoreError> {
    let (root, group) = what.to;
    patience(connection).await?;
    lock_roots(connection, &[what.root, root]).await?;
    lock(connection, what).await?;
    let holders = sqlx::query!(
        r#"SELECT before.contact_group_id AS old, after.contact_group_id AS new, projects.remote_id,
                  projects.connection_id AS "connection: ConnectionId"
           FROM projects
           JOIN groups AS before ON before.root_id = $1 AND before.id = projects.group_id
           JOIN groups AS after ON after.root_id = $3 AND after.id = $4
           WHERE projects.root_id = $1 AND projects.id = $2"#,
        what.root.0,
        what.project.0,
        root.0,
        group.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    let issues = sqlx::query!(
        r#"SELECT count(DISTINCT issues.id) AS "issues!", count(issue_items.item_id) AS "relations!" FROM issues
           LEFT JOIN issue_items ON issue_items.root_id = $1 AND issue_items.issue_id = issues.id
           WHERE issues.project_id = $2 AND issues.root_id = $1"#,
        what.root.0,
        what.project.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    let mut report = TransferReport {
        projects: 1,
        issues: issues.issues,
        relations_kept: issues.relations,
        ..TransferReport::default()
    };
    let mut lost = Vec::new();
    if holders.old != holders.new {
        let why = "the project was moved";
        lost = end_relations(connection, mover, (what.root, &[what.project]), why).await?;
        report.relations_kept = 0;
        report.relations_removed = issues.relations;
    }
    rehome(connection, what).await?;
    super::record(connection, mover, root, &report).await?;
    check(connection).await?;
    let mut followers = Followers::none(root);
    if what.root != root {
        followers.from = what.root;
        followers
            .projects
            .push((holders.connection, holders.remote_id));
    }
    Ok(MovedProject {
        report,
        lost,
        followers,
    })
}

async fn lock(connection: &mut PgConnection, what: &ProjectMove) -> Result<(), StoreError> {
    sqlx::query!(
        r#"SELECT 1 AS "one!" FROM projects WHERE root_id = $1 AND id = $2 FOR UPDATE"#,
        what.root.0,
        what.project.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query!(
        r#"SELECT count(*) AS "locked!" FROM (
               SELECT FROM issues WHERE project_id = $2 AND root_id = $1 ORDER BY id FOR UPDATE) AS locked"#,
        what.root.0,
        what.project.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Ends the relations of some projects' issues. Their history stays with the items, where the old root finds it.
pub(in crate::store) async fn end_relations(
    connection: &mut PgConnection,
    mover: &Mover,
    (root, projects): (RootId, &[ProjectId]),
    why: &str,
) -> Result<Vec<LostRelations>, StoreError> {
    let ids: Vec<i64> = projects.iter().map(|project| project.0).collect();
    let detail = serde_json::json!({ "why": why });
    let lost = sqlx::query_as!(
        LostRelations,
        r#"WITH ended AS (
               DELETE FROM issue_items USING issues
               WHERE issues.project_id = ANY($2) AND issues.root_id = $1 AND issue_items.root_id = $1 AND issue_items.issue_id = issues.id
               RETURNING issue_items.issue_id, issue_items.item_id, issues.iid),
           told AS (
               INSERT INTO history (root_id, operation, at, actor_id, via, issue_id, item_id, action, detail)
               SELECT $1, $3, $4, $5, $6, issue_id, item_id, 'item_unrelated', $7 FROM ended)
           SELECT iid AS issue, count(*) AS "items!" FROM ended GROUP BY iid ORDER BY iid"#,
        root.0,
        &ids,
        mover.operation.0,
        mover.now,
        mover.actor.map(|person| person.0),
        mover.via.word(),
        Json(detail) as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(lost)
}

async fn rehome(connection: &mut PgConnection, what: &ProjectMove) -> Result<(), StoreError> {
    let (root, group) = what.to;
    sqlx::query!(
        "DELETE FROM access_levels USING projects
         WHERE projects.root_id = $1 AND projects.id = $2 AND access_levels.root_id IN ($1, $3)
           AND access_levels.connection_id = projects.connection_id
           AND access_levels.scope = 'project' AND access_levels.remote_scope_id = projects.remote_id",
        what.root.0,
        what.project.0,
        root.0,
    )
    .execute(&mut *connection)
    .await?;
    if what.root != root {
        part(connection, what.root, &[what.project.0]).await?;
        sqlx::query!(
            "UPDATE comments SET root_id = $3 FROM issues
             WHERE issues.project_id = $2 AND issues.root_id = $1 AND comments.issue_id = issues.id AND comments.root_id = $1",
            what.root.0,
            what.project.0,
            root.0,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "UPDATE issues SET root_id = $3 WHERE project_id = $2 AND root_id = $1",
            what.root.0,
            what.project.0,
            root.0,
        )
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query!(
        "UPDATE projects SET root_id = $3, group_id = $4 WHERE root_id = $1 AND id = $2",
        what.root.0,
        what.project.0,
        root.0,
        group.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
