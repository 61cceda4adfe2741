//! The issues of a tracker and the contacts that they have there.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::Scene;
use crate::{
    domain::{ConnectionId, IssueFacts, ItemId, Via},
    store::StoreError,
};

/// Issues that are written with one statement.
const ISSUES_AT_ONCE: usize = 1000;

/// An issue of a tracker, and which items it is related to.
#[derive(Debug)]
pub struct FoundIssue<'a> {
    /// What the tracker says of it.
    pub facts: &'a IssueFacts,
    /// Id of its project there.
    pub project: &'a str,
    /// The items.
    pub items: Vec<ItemId>,
}

/// Relates items to issues of a tracker, as far as their contacts are held by the scene's group; returns how many relations are new.
pub async fn relate(
    connection: &mut PgConnection,
    scene: Scene,
    on: ConnectionId,
    issues: &[FoundIssue<'_>],
) -> Result<u64, StoreError> {
    let mut related = 0;
    for chunk in issues.chunks(ISSUES_AT_ONCE) {
        put_issues(&mut *connection, scene, on, chunk).await?;
        related += put_relations(&mut *connection, scene, on, chunk).await?;
    }
    Ok(related)
}

/// Stores what the tracker says of issues in known projects, unless something newer is known.
async fn put_issues(
    connection: &mut PgConnection,
    scene: Scene,
    on: ConnectionId,
    issues: &[FoundIssue<'_>],
) -> Result<(), StoreError> {
    let facts = || issues.iter().map(|issue| issue.facts);
    let projects: Vec<&str> = issues.iter().map(|issue| issue.project).collect();
    let ids: Vec<&str> = facts().map(|facts| facts.remote_id.as_str()).collect();
    let iids: Vec<i64> = facts().map(|facts| facts.iid).collect();
    let titles: Vec<&str> = facts().map(|facts| facts.title.as_str()).collect();
    let states: Vec<&str> = facts().map(|facts| facts.state.as_str()).collect();
    let confidential: Vec<bool> = facts().map(|facts| facts.confidential).collect();
    let authors: Vec<&str> = facts().map(|facts| facts.author.as_str()).collect();
    // An array of arrays would have to be as long in every row.
    let assignees: Vec<Json<&Vec<String>>> = facts().map(|facts| Json(&facts.assignees)).collect();
    let updated: Vec<DateTime<Utc>> = facts().map(|facts| facts.updated_at).collect();
    sqlx::query!(
        "INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
         SELECT $1, projects.id, new.remote_id, new.iid, new.title, new.state, new.confidential, new.author,
                ARRAY(SELECT jsonb_array_elements_text(new.assignees)), new.updated
         FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::boolean[], $9::text[], $10::jsonb[], $11::timestamptz[])
              AS new (project, remote_id, iid, title, state, confidential, author, assignees, updated)
         JOIN projects ON projects.root_id = $1 AND projects.connection_id = $2 AND projects.remote_id = new.project
                      AND projects.checked_at > '-infinity'
         ON CONFLICT (root_id, project_id, iid) DO UPDATE
         SET remote_id = excluded.remote_id, title = excluded.title, state = excluded.state, confidential = excluded.confidential,
             author_remote_id = excluded.author_remote_id, assignee_remote_ids = excluded.assignee_remote_ids,
             remote_updated_at = excluded.remote_updated_at
         WHERE issues.remote_updated_at <= excluded.remote_updated_at",
        scene.root.0,
        on.0,
        &projects as &[&str],
        &ids as &[&str],
        &iids,
        &titles as &[&str],
        &states as &[&str],
        &confidential,
        &authors as &[&str],
        &assignees as &[Json<&Vec<String>>],
        &updated,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_relations(
    connection: &mut PgConnection,
    scene: Scene,
    on: ConnectionId,
    issues: &[FoundIssue<'_>],
) -> Result<u64, StoreError> {
    let mut projects: Vec<&str> = Vec::new();
    let mut iids: Vec<i64> = Vec::new();
    let mut items: Vec<i64> = Vec::new();
    for issue in issues {
        for item in &issue.items {
            projects.push(issue.project);
            iids.push(issue.facts.iid);
            items.push(item.0);
        }
    }
    let done = sqlx::query!(
        "WITH added AS (
             INSERT INTO issue_items (root_id, issue_id, item_id, added_by, added_at)
             SELECT DISTINCT $1::bigint, issues.id, found.item, $6::bigint, $7::timestamptz
             FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS found (project, iid, item)
             JOIN projects ON projects.root_id = $1 AND projects.connection_id = $2 AND projects.remote_id = found.project
                          AND projects.checked_at > '-infinity'
             -- An issue has contacts of the group that holds those of its project, and of no other.
             JOIN groups ON groups.root_id = $1 AND groups.id = projects.group_id AND groups.contact_group_id = $8
             JOIN issues ON issues.root_id = $1 AND issues.project_id = projects.id AND issues.iid = found.iid
             ON CONFLICT DO NOTHING
             RETURNING issue_id, item_id)
         INSERT INTO history (root_id, operation, at, actor_id, via, group_id, issue_id, item_id, action, detail)
         SELECT $1, $9, $7, $6, $10, $8, issue_id, item_id, 'item_related', '{}' FROM added",
        scene.root.0,
        on.0,
        &projects as &[&str],
        &iids,
        &items,
        scene.actor.map(|actor| actor.0),
        scene.now,
        scene.group.0,
        scene.operation.0,
        Via::Import.word(),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
