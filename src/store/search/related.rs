//! Contacts and organizations by their ids, contacts of issues, issues of a contact: many at once, for loaders.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::{
    Holder, StoreError, by_index,
    row::{self, ContactRow, OrganizationRow},
};
use crate::domain::{IssueId, ItemId, ProjectId, RootId};

/// Returns the contacts of a group that have these ids.
pub async fn contacts_by_ids(
    connection: &mut PgConnection,
    (root, group): Holder,
    ids: &[ItemId],
) -> Result<HashMap<ItemId, ContactRow>, StoreError> {
    let rows: Vec<ContactRow> = sqlx::query_as(AssertSqlSafe(by_ids("contact", row::CONTACT)))
        .bind(root.0)
        .bind(group.0)
        .bind(ids)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns the organizations of a group that have these ids.
pub async fn organizations_by_ids(
    connection: &mut PgConnection,
    (root, group): Holder,
    ids: &[ItemId],
) -> Result<HashMap<ItemId, OrganizationRow>, StoreError> {
    let sql = by_ids("organization", row::ORGANIZATION);
    let rows: Vec<OrganizationRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(root.0)
        .bind(group.0)
        .bind(ids)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

fn by_ids(kind: &str, columns: &str) -> String {
    format!(
        "SELECT {columns} FROM items WHERE root_id = $1 AND group_id = $2 AND kind = '{kind}' AND id = ANY($3)"
    )
}

/// A contact of an issue.
#[derive(FromRow)]
struct IssueContact {
    issue_id: IssueId,
    #[sqlx(flatten)]
    contact: ContactRow,
}

/// A page of the contacts of an issue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssueContacts {
    /// The contacts by their ids, of which the last is the place where the next page begins.
    pub rows: Vec<ContactRow>,
    /// Whether more follow.
    pub has_next: bool,
}

/// Returns, for each of some issues of a tenant, up to `count` of its contacts that the group holds, after a contact or from the first.
/// Issues without any are left out.
pub async fn contacts_of_issues(
    connection: &mut PgConnection,
    (root, group): Holder,
    issues: &[IssueId],
    count: u32,
    after: Option<ItemId>,
) -> Result<HashMap<IssueId, IssueContacts>, StoreError> {
    // The offset keeps a plan from turning it round: all contacts first, and whether each is on the issue.
    let sql = format!(
        "SELECT issue.id AS issue_id, contact.* FROM unnest($3::bigint[]) AS issue (id)
         CROSS JOIN LATERAL (
             SELECT {} FROM issue_items
             CROSS JOIN LATERAL (SELECT * FROM items WHERE root_id = $1 AND id = issue_items.item_id OFFSET 0) AS items
             WHERE issue_items.root_id = $1 AND issue_items.issue_id = issue.id AND issue_items.item_id > $5
               AND items.group_id = $2 AND items.kind = 'contact'
             ORDER BY issue_items.item_id LIMIT $4) AS contact",
        row::CONTACT
    );
    let mut reading = by_index(connection).await?;
    let rows: Vec<IssueContact> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(root.0)
        .bind(group.0)
        .bind(issues)
        .bind(i64::from(count) + 1)
        .bind(after.map_or(i64::MIN, |id| id.0))
        .fetch_all(&mut *reading)
        .await?;
    drop(reading);
    let mut found: HashMap<IssueId, IssueContacts> = HashMap::new();
    for IssueContact { issue_id, contact } in rows {
        let page = found.entry(issue_id).or_default();
        page.has_next = page.rows.len() >= usize::try_from(count).unwrap_or(usize::MAX);
        if !page.has_next {
            page.rows.push(contact);
        }
    }
    Ok(found)
}

/// Returns the organization of a group that has a name, without regard to case.
pub async fn organization_named(
    connection: &mut PgConnection,
    (root, group): Holder,
    name: &str,
) -> Result<Option<ItemId>, StoreError> {
    let id = sqlx::query_scalar(
        "SELECT id FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'organization' AND lower(title) = lower($3)",
    )
    .bind(root.0)
    .bind(group.0)
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

/// Returns up to so many contacts of an organization, the oldest first.
pub async fn contacts_of_organization(
    connection: &mut PgConnection,
    (root, group): Holder,
    organization: ItemId,
    count: u32,
) -> Result<Vec<ContactRow>, StoreError> {
    let sql = format!(
        "SELECT {} FROM items WHERE root_id = $1 AND group_id = $2 AND organization_id = $3 ORDER BY id LIMIT $4",
        row::CONTACT
    );
    let rows = sqlx::query_as(AssertSqlSafe(sql))
        .bind(root.0)
        .bind(group.0)
        .bind(organization)
        .bind(i64::from(count))
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// An issue of a contact, with what says who may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactIssue {
    /// The issue.
    pub id: IssueId,
    /// Its project.
    pub project_id: ProjectId,
    /// Path of the project at its tracker.
    pub project_path: String,
    /// Number within the project.
    pub iid: i64,
    /// Title.
    pub title: String,
    /// State, in the tracker's word.
    pub state: String,
    /// Whether only some may know of it.
    pub confidential: bool,
    /// Who wrote it, by the tracker's id.
    pub author_remote_id: String,
    /// Who works on it, by the tracker's ids.
    pub assignee_remote_ids: Vec<String>,
    /// When the contact was related to it.
    pub added_at: DateTime<Utc>,
}

/// Returns up to `count` issues of a contact, newest first, before an issue or from the newest.
pub async fn issues_of_contact(
    connection: &mut PgConnection,
    root: RootId,
    contact: ItemId,
    count: u32,
    before: Option<IssueId>,
) -> Result<Vec<ContactIssue>, StoreError> {
    let mut reading = by_index(connection).await?;
    let issues = sqlx::query_as!(
        ContactIssue,
        r#"SELECT issues.id AS "id: IssueId", project_id AS "project_id: ProjectId", projects.path AS project_path, iid, title, state, confidential,
                  author_remote_id, assignee_remote_ids, added_at
           FROM issue_items
           CROSS JOIN LATERAL (SELECT * FROM issues WHERE root_id = $1 AND id = issue_items.issue_id OFFSET 0) AS issues
           CROSS JOIN LATERAL (SELECT path FROM projects WHERE root_id = $1 AND id = issues.project_id OFFSET 0) AS projects
           WHERE issue_items.root_id = $1 AND issue_items.item_id = $2 AND issue_items.issue_id < $3
           ORDER BY issue_items.issue_id DESC LIMIT $4"#,
        root.0,
        contact.0,
        before.map_or(i64::MAX, |id| id.0),
        i64::from(count),
    )
    .fetch_all(&mut *reading)
    .await?;
    drop(reading);
    Ok(issues)
}
