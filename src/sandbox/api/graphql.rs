//! The GraphQL API, as far as one question goes: an issue by its global id, and the one that it was moved to.
//!
//! No query is parsed: whatever is asked, the answer has the fields of this one.

use axum::{Extension, Json, Router, extract::State as Shared, routing::post};
use serde_json::{Value, json};

use super::Caller;
use crate::sandbox::{Sandbox, iso, model::Issue, state::State};

pub(super) fn router() -> Router<Sandbox> {
    Router::new().route("/api/graphql", post(answer))
}

async fn answer(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Json(question): Json<Value>,
) -> Json<Value> {
    let id = question
        .pointer("/variables/id")
        .and_then(Value::as_str)
        .and_then(|id| id.strip_prefix("gid://gitlab/Issue/")?.parse().ok());
    sandbox.read(|state| {
        let found = id.and_then(|id| visible(state, caller.id, id));
        let issue = found.map(|issue| {
            let moved_to = issue.moved_to.and_then(|id| visible(state, caller.id, id));
            json!({ "moved": issue.moved_to.is_some(), "movedTo": moved_to.map(whole) })
        });
        Json(json!({ "data": { "issue": issue } }))
    })
}

/// Returns an issue that the user may read; GitLab answers null for others.
fn visible(state: &State, user: u64, id: u64) -> Option<&Issue> {
    state
        .issue(id)
        .filter(|issue| state.may_read_issue(user, issue))
}

fn whole(issue: &Issue) -> Value {
    let account = |id: &u64| json!({ "id": format!("gid://gitlab/User/{id}") });
    json!({
        "id": format!("gid://gitlab/Issue/{}", issue.id),
        "iid": issue.iid.to_string(),
        "projectId": issue.project,
        "title": issue.title,
        "state": if issue.open { "opened" } else { "closed" },
        "confidential": issue.confidential,
        "updatedAt": iso(issue.updated_at),
        "author": account(&issue.author),
        "assignees": { "nodes": issue.assignees.iter().map(account).collect::<Vec<_>>() },
    })
}
