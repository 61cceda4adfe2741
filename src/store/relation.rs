//! Which contacts an issue has, changed together with the history: what is written there is what really changed.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, operation::Act};
use crate::{
    domain::{GroupId, IssueId, ItemId, PersonId, RootId},
    rules::{Candidate, Related},
};

/// Loads the contacts that somebody names for an issue, by id or by address, and those that it has, locked against changes of their fields.
///
/// Ids are looked up in the whole tenant, addresses in the group that holds the issue's contacts.
pub async fn candidates(
    connection: &mut PgConnection,
    (root, holder, issue): (RootId, GroupId, IssueId),
    ids: &[i64],
    emails: &[String],
) -> Result<Vec<Candidate>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH wanted AS (
               SELECT unnest($4::bigint[]) AS id
               UNION SELECT items.id FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'contact' AND email IS NOT NULL
                                                  AND lower(email) IN (SELECT lower(typed) FROM unnest($5::text[]) AS typed)
               UNION SELECT item_id FROM issue_items WHERE root_id = $1 AND issue_id = $3)
           SELECT items.id AS "id: ItemId", items.group_id AS "group: GroupId", items.email, state = 'active' AS "active!",
                  (SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $3 AND item_id = items.id LIMIT 1) IS NOT NULL AS "related!"
           FROM items WHERE items.root_id = $1 AND items.id = ANY (ARRAY (SELECT id FROM wanted)) AND kind = 'contact'
           ORDER BY items.id FOR SHARE OF items"#,
        root.0,
        holder.0,
        issue.0,
        ids,
        emails,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Candidate {
            id: row.id,
            group: row.group,
            email: row.email,
            active: row.active,
            related: row.related,
        })
        .collect())
}

/// Relates items to issues, whichever of both still exist and belong together; returns those that were not related before.
pub async fn add(
    connection: &mut PgConnection,
    act: &Act,
    relations: &[Related],
) -> Result<HashSet<(IssueId, ItemId)>, StoreError> {
    if relations.is_empty() {
        return Ok(HashSet::new());
    }
    let issues: Vec<i64> = relations.iter().map(|related| related.issue.0).collect();
    let items: Vec<i64> = relations.iter().map(|related| related.item.0).collect();
    let by: Vec<Option<i64>> = relations
        .iter()
        .map(|related| related.added_by.map(|person| person.0))
        .collect();
    let at: Vec<DateTime<Utc>> = relations.iter().map(|related| related.added_at).collect();
    let rows = sqlx::query!(
        r#"WITH come AS (
               INSERT INTO issue_items (root_id, issue_id, item_id, added_by, added_at)
               SELECT $1, issue, item, (SELECT id FROM people WHERE id = by), at
               FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[]) AS new (issue, item, by, at)
               ORDER BY item, issue
               ON CONFLICT DO NOTHING RETURNING issue_id, item_id),
           told AS (
               INSERT INTO history (root_id, operation, at, actor_id, via, group_id, issue_id, item_id, action, detail)
               SELECT $1, $6, $7, $8, $9, $10, issue_id, item_id, 'item_related', $11 FROM come ORDER BY item_id, issue_id)
           SELECT issue_id AS "issue!: IssueId", item_id AS "item!: ItemId" FROM come"#,
        act.root.0,
        &issues,
        &items,
        &by as &[Option<i64>],
        &at,
        act.operation.0,
        act.at,
        act.actor.map(|actor| actor.0),
        act.via.word(),
        act.group.0,
        act.detail(serde_json::Map::new()),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.issue, row.item)).collect())
}

/// Relates items to issues no longer; returns those that were related.
pub async fn remove(
    connection: &mut PgConnection,
    act: &Act,
    relations: &[(IssueId, ItemId)],
) -> Result<HashSet<(IssueId, ItemId)>, StoreError> {
    if relations.is_empty() {
        return Ok(HashSet::new());
    }
    let (issues, items): (Vec<i64>, Vec<i64>) = relations
        .iter()
        .map(|(issue, item)| (issue.0, item.0))
        .unzip();
    let rows = sqlx::query!(
        r#"WITH gone AS (
               DELETE FROM issue_items USING unnest($2::bigint[], $3::bigint[]) AS old (issue, item)
               WHERE root_id = $1 AND issue_id = old.issue AND item_id = old.item
               RETURNING issue_id, item_id, added_by, added_at),
           told AS (
               INSERT INTO history (root_id, operation, at, actor_id, via, group_id, issue_id, item_id, action, detail)
               SELECT $1, $4, $5, $6, $7, $8, issue_id, item_id, 'item_unrelated',
                      $9::jsonb || jsonb_build_object('added_by', added_by, 'added_at', added_at)
               FROM gone ORDER BY item_id, issue_id)
           SELECT issue_id AS "issue!: IssueId", item_id AS "item!: ItemId" FROM gone"#,
        act.root.0,
        &issues,
        &items,
        act.operation.0,
        act.at,
        act.actor.map(|actor| actor.0),
        act.via.word(),
        act.group.0,
        act.detail(serde_json::Map::new()),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.issue, row.item)).collect())
}

/// Relates items to no issue any more, and where `heir` is given, relates that one to their issues.
pub async fn hand_over(
    connection: &mut PgConnection,
    act: &Act,
    items: &[i64],
    heir: Option<ItemId>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH gone AS (
             DELETE FROM issue_items WHERE root_id = $1 AND item_id = ANY($2)
             RETURNING issue_id, item_id, added_by, added_at),
         come AS (
             INSERT INTO issue_items (root_id, issue_id, item_id, added_by, added_at)
             SELECT DISTINCT ON (issue_id) $1, issue_id, $3, added_by, added_at FROM gone
             WHERE $3::bigint IS NOT NULL ORDER BY issue_id, added_at
             ON CONFLICT DO NOTHING RETURNING issue_id, item_id),
         told AS (
             SELECT issue_id, item_id, 'item_unrelated' AS action, $9::jsonb || jsonb_build_object('added_by', added_by, 'added_at', added_at) AS detail
             FROM gone
             UNION ALL
             SELECT issue_id, item_id, 'item_related', $9::jsonb FROM come)
         INSERT INTO history (root_id, operation, at, actor_id, via, group_id, issue_id, item_id, action, detail)
         SELECT $1, $4, $5, $6, $7, $8, issue_id, item_id, action, detail FROM told",
        act.root.0,
        items,
        heir.map(|id| id.0),
        act.operation.0,
        act.at,
        act.actor.map(|actor| actor.0),
        act.via.word(),
        act.group.0,
        act.detail(serde_json::Map::new()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Relates an item to the issues of another one, as that was.
pub async fn copy(
    connection: &mut PgConnection,
    act: &Act,
    (from, to): (ItemId, ItemId),
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH come AS (
             INSERT INTO issue_items (root_id, issue_id, item_id, added_by, added_at)
             SELECT $1, issue_id, $3, added_by, added_at FROM issue_items WHERE root_id = $1 AND item_id = $2
             ON CONFLICT DO NOTHING RETURNING issue_id, item_id)
         INSERT INTO history (root_id, operation, at, actor_id, via, group_id, issue_id, item_id, action, detail)
         SELECT $1, $4, $5, $6, $7, $8, issue_id, item_id, 'item_related', $9 FROM come ORDER BY issue_id",
        act.root.0,
        from.0,
        to.0,
        act.operation.0,
        act.at,
        act.actor.map(|actor| actor.0),
        act.via.word(),
        act.group.0,
        act.detail(serde_json::Map::new()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns which of these relations there are.
pub async fn existing(
    connection: &mut PgConnection,
    root: RootId,
    relations: &[(IssueId, ItemId)],
) -> Result<HashSet<(IssueId, ItemId)>, StoreError> {
    let (issues, items): (Vec<i64>, Vec<i64>) = relations
        .iter()
        .map(|(issue, item)| (issue.0, item.0))
        .unzip();
    let rows = sqlx::query!(
        r#"SELECT issue_id AS "issue: IssueId", item_id AS "item: ItemId"
           FROM unnest($2::bigint[], $3::bigint[]) AS asked (issue, item)
           JOIN issue_items ON root_id = $1 AND issue_id = asked.issue AND item_id = asked.item"#,
        root.0,
        &issues,
        &items,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.issue, row.item)).collect())
}

/// Returns the issues that still exist, with the groups that hold their contacts.
pub async fn holders(
    connection: &mut PgConnection,
    root: RootId,
    issues: &[i64],
) -> Result<HashMap<IssueId, GroupId>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT issues.id AS "issue: IssueId", groups.contact_group_id AS "holder: GroupId"
           FROM issues JOIN projects ON projects.root_id = $1 AND projects.id = issues.project_id
           JOIN groups ON groups.root_id = $1 AND groups.id = projects.group_id
           WHERE issues.root_id = $1 AND issues.id = ANY($2)"#,
        root.0,
        issues,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.issue, row.holder))
        .collect())
}

/// Reads who related something, and when, from a row of the history that tells of its end.
pub(super) fn related(
    (issue, item): (IssueId, ItemId),
    detail: &serde_json::Value,
    at: DateTime<Utc>,
) -> Related {
    let by = detail.get("added_by").and_then(serde_json::Value::as_i64);
    let since = detail
        .get("added_at")
        .and_then(serde_json::Value::as_str)
        .and_then(|moment| moment.parse().ok());
    Related {
        issue,
        item,
        added_by: by.map(PersonId),
        added_at: since.unwrap_or(at),
    }
}
