//! Contacts, organizations and issues as they are shown beside each other: many at a time, each look-up one statement.
//!
//! Keys are ids that the store gave out before, with their tenants. Whether the asker may see what is found is not decided here.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, item_row::Row, tree::IssueNode};
use crate::domain::{
    GroupId, IssueId, ItemFields, ItemId, ItemKind, ItemTypeId, PersonId, ProjectId, RootId,
};

/// A contact or organization.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownItem {
    /// Tenant.
    pub root: RootId,
    /// Its id.
    pub id: ItemId,
    /// The group that holds it.
    pub group: GroupId,
    /// Its fields.
    pub fields: ItemFields,
    /// Who is responsible for it.
    pub responsible: Option<PersonId>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When a field last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which part of what belongs to one thing, by ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slice {
    /// Only ids above this one.
    pub above: Option<i64>,
    /// Only ids below this one.
    pub below: Option<i64>,
    /// Whether the highest ids come first.
    pub descending: bool,
    /// At most so many.
    pub limit: i64,
}

impl From<Row> for ShownItem {
    fn from(row: Row) -> Self {
        Self {
            root: row.root,
            id: row.id,
            group: row.group,
            responsible: row.responsible,
            created_at: row.created_at,
            updated_at: row.updated_at,
            fields: row.fields(),
        }
    }
}

/// Returns the items with these ids.
pub async fn items(
    connection: &mut PgConnection,
    ids: &[ItemId],
) -> Result<Vec<ShownItem>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT NULL::bigint AS owner, root_id AS "root: RootId", id AS "id: ItemId", group_id AS "group: GroupId", kind,
                  type_id AS "item_type: ItemTypeId", state = 'active' AS "active!", title, first_name, last_name, email, phone, description,
                  organization_id AS "organization: ItemId", default_rate, stage, amount, currency,
                  responsible_id AS "responsible: PersonId", responsible_in_chat, created_at, updated_at
           FROM items WHERE id = ANY($1)"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(ShownItem::from).collect())
}

/// Returns a slice of the contacts or organizations of each of some issues, in the slice's order. An issue has the organizations of its
/// contacts, and those that are related to it themselves.
pub async fn items_of_issues(
    connection: &mut PgConnection,
    kind: ItemKind,
    issues: &[(RootId, IssueId)],
    slice: Slice,
) -> Result<Vec<(IssueId, ShownItem)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        issues.iter().map(|(root, issue)| (root.0, issue.0)).unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT wanted.issue AS "owner?", items.root_id AS "root: RootId", items.id AS "id: ItemId", items.group_id AS "group: GroupId",
                  items.kind, items.state = 'active' AS "active!", items.title, items.first_name, items.last_name, items.email, items.phone,
                  items.description, items.organization_id AS "organization: ItemId", items.default_rate, items.created_at, items.updated_at,
                  items.type_id AS "item_type: ItemTypeId", items.stage, items.amount, items.currency,
                  items.responsible_id AS "responsible: PersonId", items.responsible_in_chat
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, issue)
           CROSS JOIN LATERAL (
               SELECT DISTINCT shown.id, CASE WHEN $6 THEN -shown.id ELSE shown.id END AS place FROM issue_items
               JOIN items AS related ON related.root_id = wanted.root AND related.id = issue_items.item_id
               JOIN items AS shown ON shown.root_id = wanted.root AND shown.kind = $3
                                  AND shown.id = CASE WHEN related.kind = $3 THEN related.id ELSE related.organization_id END
               WHERE issue_items.root_id = wanted.root AND issue_items.issue_id = wanted.issue
                 AND ($4::bigint IS NULL OR shown.id > $4) AND ($5::bigint IS NULL OR shown.id < $5)
               ORDER BY place LIMIT $7) AS slice
           JOIN items ON items.root_id = wanted.root AND items.id = slice.id
           ORDER BY slice.place"#,
        &roots,
        &ids,
        kind.word(),
        slice.above,
        slice.below,
        slice.descending,
        slice.limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((IssueId(row.owner?), row.into())))
        .collect())
}

/// Returns how many contacts or organizations each of some issues has; none is left out.
pub async fn item_counts_of_issues(
    connection: &mut PgConnection,
    kind: ItemKind,
    issues: &[(RootId, IssueId)],
) -> Result<Vec<(IssueId, i64)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        issues.iter().map(|(root, issue)| (root.0, issue.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT wanted.issue AS "issue!: IssueId",
                  (SELECT count(DISTINCT shown.id) FROM issue_items
                   JOIN items AS related ON related.root_id = wanted.root AND related.id = issue_items.item_id
                   JOIN items AS shown ON shown.root_id = wanted.root AND shown.kind = $3
                                      AND shown.id = CASE WHEN related.kind = $3 THEN related.id ELSE related.organization_id END
                   WHERE issue_items.root_id = wanted.root AND issue_items.issue_id = wanted.issue) AS "count!"
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, issue)"#,
        &roots,
        &ids,
        kind.word(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.issue, row.count)).collect())
}

/// Returns a slice of the issues that each of some contacts is related to, in the slice's order.
pub async fn issues_of_items(
    connection: &mut PgConnection,
    items: &[(RootId, ItemId)],
    slice: Slice,
) -> Result<Vec<(ItemId, IssueNode)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        items.iter().map(|(root, item)| (root.0, item.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT wanted.item AS "item!: ItemId", issues.root_id AS "root: RootId", issues.id AS "id: IssueId",
                  issues.project_id AS "project: ProjectId", issues.iid, issues.title, issues.state, issues.confidential
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, item)
           CROSS JOIN LATERAL (
               SELECT issue_id AS id, CASE WHEN $5 THEN -issue_id ELSE issue_id END AS place FROM issue_items
               WHERE root_id = wanted.root AND item_id = wanted.item
                 AND ($3::bigint IS NULL OR issue_id > $3) AND ($4::bigint IS NULL OR issue_id < $4)
               ORDER BY place LIMIT $6) AS slice
           JOIN issues ON issues.root_id = wanted.root AND issues.id = slice.id
           ORDER BY slice.place"#,
        &roots,
        &ids,
        slice.above,
        slice.below,
        slice.descending,
        slice.limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let issue = IssueNode {
                root: row.root,
                id: row.id,
                project: row.project,
                iid: row.iid,
                title: row.title,
                state: row.state,
                confidential: row.confidential,
            };
            (row.item, issue)
        })
        .collect())
}
