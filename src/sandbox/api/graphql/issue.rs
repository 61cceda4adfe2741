//! An issue by its global id, and the one that it was moved to. The answer has all fields that may be asked for.

use serde_json::{Value, json};

use crate::sandbox::{iso, model::Issue, state::State};

pub(super) fn answer(state: &State, user: u64, id: &str) -> Value {
    let id = id
        .strip_prefix("gid://gitlab/Issue/")
        .and_then(|id| id.parse().ok());
    let issue = id.and_then(|id| visible(state, user, id)).map(|issue| {
        let moved_to = issue.moved_to.and_then(|id| visible(state, user, id));
        json!({ "moved": issue.moved_to.is_some(), "movedTo": moved_to.map(whole) })
    });
    json!({ "data": { "issue": issue } })
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
