//! The tree as it is looked up from outside: by full paths, and by ids whose tenant is not known yet.
//!
//! What is found is nobody's to see until the rules say so; each row carries its root, by which every further statement is keyed.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{GroupId, IssueId, ProjectId, RootId};

/// A group with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupNode {
    /// Tenant.
    pub root: RootId,
    /// Its id.
    pub id: GroupId,
    /// Full path.
    pub path: String,
    /// Name.
    pub name: String,
    /// Whether the CRM is on, for this group alone.
    pub crm_enabled: bool,
    /// The group that holds its contacts.
    pub contact_group: GroupId,
    /// The group that it and those below it were told to keep their contacts in.
    pub contact_source: Option<GroupId>,
    /// Words of what relates issues by itself, if the group has a say of its own.
    pub automatic_relations: Option<Vec<String>>,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectNode {
    /// Tenant.
    pub root: RootId,
    /// Its id.
    pub id: ProjectId,
    /// The group that it is in.
    pub group: GroupId,
    /// Full path in its tracker.
    pub path: String,
}

/// An issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueNode {
    /// Tenant.
    pub root: RootId,
    /// Its id.
    pub id: IssueId,
    /// Its project.
    pub project: ProjectId,
    /// Number within the project.
    pub iid: i64,
    /// Title.
    pub title: String,
    /// State in the tracker's words.
    pub state: String,
    /// True where only some members may read it.
    pub confidential: bool,
}

/// Returns the group at a path, without regard to case.
pub async fn group_at(
    connection: &mut PgConnection,
    path: &str,
) -> Result<Option<GroupNode>, StoreError> {
    let group = sqlx::query_as!(
        GroupNode,
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path, name, crm_enabled, contact_group_id AS "contact_group: GroupId",
                  contact_source_id AS "contact_source: GroupId", automatic_relations
           FROM groups WHERE lower(path) = lower($1)"#,
        path,
    )
    .fetch_optional(connection)
    .await?;
    Ok(group)
}

/// Returns up to so many root groups, by their paths.
pub async fn root_groups(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<GroupNode>, StoreError> {
    let groups = sqlx::query_as!(
        GroupNode,
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path, name, crm_enabled, contact_group_id AS "contact_group: GroupId",
                  contact_source_id AS "contact_source: GroupId", automatic_relations
           FROM groups WHERE parent_id IS NULL ORDER BY lower(path) LIMIT $1"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(groups)
}

/// Returns up to so many groups of a tenant, by their paths.
pub async fn tree(
    connection: &mut PgConnection,
    root: RootId,
    limit: i64,
) -> Result<Vec<GroupNode>, StoreError> {
    let groups = sqlx::query_as!(
        GroupNode,
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path, name, crm_enabled, contact_group_id AS "contact_group: GroupId",
                  contact_source_id AS "contact_source: GroupId", automatic_relations
           FROM groups WHERE root_id = $1 ORDER BY lower(path) LIMIT $2"#,
        root.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(groups)
}

/// Returns the groups with these ids.
pub async fn groups(
    connection: &mut PgConnection,
    ids: &[GroupId],
) -> Result<Vec<GroupNode>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let groups = sqlx::query_as!(
        GroupNode,
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path, name, crm_enabled, contact_group_id AS "contact_group: GroupId",
                  contact_source_id AS "contact_source: GroupId", automatic_relations
           FROM groups WHERE id = ANY($1)"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(groups)
}

/// Returns the projects at a path, without regard to case: one per tenant and tracker that knows such a project.
pub async fn projects_at(
    connection: &mut PgConnection,
    path: &str,
) -> Result<Vec<ProjectNode>, StoreError> {
    let projects = sqlx::query_as!(
        ProjectNode,
        r#"SELECT root_id AS "root: RootId", id AS "id: ProjectId", group_id AS "group: GroupId", path
           FROM projects WHERE lower(path) = lower($1) ORDER BY checked_at DESC, id LIMIT 10"#,
        path,
    )
    .fetch_all(connection)
    .await?;
    Ok(projects)
}

/// Returns the projects with these ids.
pub async fn projects(
    connection: &mut PgConnection,
    ids: &[ProjectId],
) -> Result<Vec<ProjectNode>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let projects = sqlx::query_as!(
        ProjectNode,
        r#"SELECT root_id AS "root: RootId", id AS "id: ProjectId", group_id AS "group: GroupId", path
           FROM projects WHERE id = ANY($1)"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(projects)
}

/// Returns the issues with these ids.
pub async fn issues(
    connection: &mut PgConnection,
    ids: &[IssueId],
) -> Result<Vec<IssueNode>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let issues = sqlx::query_as!(
        IssueNode,
        r#"SELECT root_id AS "root: RootId", id AS "id: IssueId", project_id AS "project: ProjectId", iid, title, state, confidential
           FROM issues WHERE id = ANY($1)"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(issues)
}

/// Returns the issue of a project with a number.
pub async fn issue_at(
    connection: &mut PgConnection,
    project: ProjectId,
    iid: i64,
) -> Result<Option<IssueNode>, StoreError> {
    let issue = sqlx::query_as!(
        IssueNode,
        r#"SELECT root_id AS "root: RootId", id AS "id: IssueId", project_id AS "project: ProjectId", iid, title, state, confidential
           FROM issues WHERE project_id = $1 AND iid = $2"#,
        project.0,
        iid,
    )
    .fetch_optional(connection)
    .await?;
    Ok(issue)
}

/// Returns the group at a path, without regard to case, with the issues of a number in its projects and those below it; up to 100, each with
/// the group of its project. None have no number.
pub async fn group_with_issues(
    connection: &mut PgConnection,
    path: &str,
    iid: Option<i64>,
) -> Result<Option<(GroupNode, Vec<(IssueId, GroupId)>)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT scope.root_id AS "root: RootId", scope.id AS "id: GroupId", scope.path, scope.name, scope.crm_enabled,
                  scope.contact_group_id AS "contact_group: GroupId", scope.contact_source_id AS "contact_source: GroupId",
                  scope.automatic_relations, found.id AS "issue?: IssueId", found.group_id AS "home?: GroupId"
           FROM groups AS scope
           LEFT JOIN LATERAL (
               SELECT issues.id, projects.group_id FROM groups AS home
               JOIN projects ON projects.root_id = home.root_id AND projects.group_id = home.id
               JOIN issues ON issues.root_id = home.root_id AND issues.project_id = projects.id AND issues.iid = $2
               WHERE home.root_id = scope.root_id AND (home.id = scope.id OR starts_with(home.path, scope.path || '/')) AND $2::bigint IS NOT NULL
               ORDER BY issues.id LIMIT 100) AS found ON true
           WHERE lower(scope.path) = lower($1)"#,
        path,
        iid,
    )
    .fetch_all(connection)
    .await?;
    let issues = rows.iter().filter_map(|row| row.issue.zip(row.home));
    let issues = issues.collect();
    Ok(rows.into_iter().next().map(|row| {
        let group = GroupNode {
            root: row.root,
            id: row.id,
            path: row.path,
            name: row.name,
            crm_enabled: row.crm_enabled,
            contact_group: row.contact_group,
            contact_source: row.contact_source,
            automatic_relations: row.automatic_relations,
        };
        (group, issues)
    }))
}
