//! Issues as pages list them: of a group and those below it, of a contact, of an organization.

use sqlx::PgConnection;

use super::{StoreError, by_index};
use crate::domain::{GroupId, IssueId, ItemId, RootId};

/// Which issues of a tenant are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// All in the projects of the group and those below it.
    Group,
    /// Those of them that a contact is on.
    Contact(ItemId),
    /// Those of them that an organization, or a contact of it, is on.
    Organization(ItemId),
}

/// An issue. Whether the reader may know of it is not decided here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedIssue {
    /// The issue.
    pub id: IssueId,
    /// Path of its project at its tracker.
    pub project_path: String,
    /// Number within the project.
    pub iid: i64,
    /// Title.
    pub title: String,
    /// State, in the tracker's word.
    pub state: String,
}

/// Returns up to `count` issues of a group and those below it, newest first, before an issue or from the newest.
pub async fn issues(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    among: Among,
    (count, before): (u32, Option<IssueId>),
) -> Result<Vec<ListedIssue>, StoreError> {
    let before = before.map_or(i64::MAX, |id| id.0);
    let count = i64::from(count);
    let mut reading = by_index(connection).await?;
    let issues = match among {
        // All that the tenant has are walked from the newest; of those of another group, the newest of each of its projects.
        Among::Group if group.0 == root.0 => {
            sqlx::query_as!(
                ListedIssue,
                r#"SELECT issues.id AS "id: IssueId", project.path AS "project_path!", iid, title, state
                   FROM issues
                   CROSS JOIN LATERAL (SELECT path FROM projects WHERE root_id = $1 AND id = issues.project_id) AS project
                   WHERE issues.root_id = $1 AND issues.id < $2 ORDER BY issues.id DESC LIMIT $3"#,
                root.0,
                before,
                count,
            )
            .fetch_all(&mut *reading)
            .await?
        }
        Among::Group => {
            sqlx::query_as!(
                ListedIssue,
                r#"SELECT found.id AS "id: IssueId", projects.path AS "project_path!", found.iid, found.title, found.state
                   FROM groups AS scope
                   JOIN groups AS home ON home.root_id = $1 AND (home.id = scope.id OR starts_with(home.path, scope.path || '/'))
                   JOIN projects ON projects.root_id = $1 AND projects.group_id = home.id
                   CROSS JOIN LATERAL (
                       SELECT id, iid, title, state FROM issues
                       WHERE root_id = $1 AND project_id = projects.id AND id < $3 AND id > 0
                       ORDER BY root_id DESC, project_id DESC, id DESC LIMIT $4) AS found
                   WHERE scope.root_id = $1 AND scope.id = $2
                   ORDER BY found.id DESC LIMIT $4"#,
                root.0,
                group.0,
                before,
                count,
            )
            .fetch_all(&mut *reading)
            .await?
        }
        Among::Contact(item) | Among::Organization(item) => {
            let with_contacts = matches!(among, Among::Organization(_));
            sqlx::query_as!(
                ListedIssue,
                r#"SELECT DISTINCT ON (found.id) found.id AS "id: IssueId", found.path AS "project_path!", found.iid, found.title, found.state
                   FROM (SELECT $5 AS id UNION ALL
                         SELECT items.id FROM items WHERE $6 AND root_id = $1 AND organization_id = $5) AS item
                   -- Item by item, from the newest: in one go, the relations of the whole tenant are walked for the few of one contact.
                   CROSS JOIN LATERAL (
                       SELECT issues.id, project.path, issues.iid, issues.title, issues.state
                       FROM issue_items
                       JOIN issues ON issues.root_id = $1 AND issues.id = issue_items.issue_id
                       CROSS JOIN LATERAL (
                           SELECT projects.path FROM projects
                           JOIN groups AS home ON home.root_id = $1 AND home.id = projects.group_id
                           JOIN groups AS scope ON scope.root_id = $1 AND scope.id = $2
                           WHERE projects.root_id = $1 AND projects.id = issues.project_id
                             AND (home.id = scope.id OR starts_with(home.path, scope.path || '/'))) AS project
                       WHERE issue_items.item_id = item.id AND issue_items.root_id = $1 AND issue_items.issue_id < $3
                       ORDER BY issue_items.issue_id DESC LIMIT $4) AS found
                   ORDER BY found.id DESC LIMIT $4"#,
                root.0,
                group.0,
                before,
                count,
                item.0,
                with_contacts,
            )
            .fetch_all(&mut *reading)
            .await?
        }
    };
    drop(reading);
    Ok(issues)
}
