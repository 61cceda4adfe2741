//! How the REST API writes what the tracker keeps. Pure.

use serde_json::{Map, Value, json};

use crate::sandbox::{
    delivery::Delivery,
    hooks::{EVENTS, Hook, HookOwner},
    iso,
    model::{Award, Group, Issue, Level, Note, Project, User},
    state::State,
};

pub(super) fn user(state: &State, user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "state": "active",
        "locked": false,
        "avatar_url": null,
        "web_url": state.web_url(&user.username),
        "bot": user.bot,
    })
}

/// The short form that is embedded in other answers.
fn author(state: &State, id: u64) -> Value {
    state.user(id).map_or(Value::Null, |user| {
        json!({
            "id": user.id,
            "username": user.username,
            "name": user.name,
            "state": "active",
            "locked": false,
            "avatar_url": null,
            "web_url": state.web_url(&user.username),
        })
    })
}

pub(super) fn group(state: &State, group: &Group) -> Value {
    json!({
        "id": group.id,
        "name": group.name,
        "path": group.path,
        "full_name": group.name,
        "full_path": group.full_path,
        "parent_id": group.parent,
        "visibility": group.visibility.word(),
        "description": "",
        "avatar_url": null,
        "web_url": state.web_url(&format!("groups/{}", group.full_path)),
        "created_at": iso(group.created_at),
    })
}

pub(super) fn project(state: &State, project: &Project) -> Value {
    let namespace = state.group(project.group).map(|group| {
        json!({
            "id": group.id,
            "name": group.name,
            "path": group.path,
            "kind": "group",
            "full_path": group.full_path,
            "parent_id": group.parent,
            "avatar_url": null,
            "web_url": state.web_url(&format!("groups/{}", group.full_path)),
        })
    });
    json!({
        "id": project.id,
        "name": project.name,
        "path": project.path,
        "path_with_namespace": project.path_with_namespace,
        "description": null,
        "visibility": project.visibility.word(),
        "default_branch": "main",
        "archived": false,
        "issues_enabled": true,
        "namespace": namespace,
        "web_url": state.project_url(project),
        "created_at": iso(project.created_at),
    })
}

pub(super) fn member(state: &State, user: &User, level: Level) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "state": "active",
        "locked": false,
        "avatar_url": null,
        "web_url": state.web_url(&user.username),
        "access_level": level.number(),
        "membership_state": "active",
        "expires_at": null,
    })
}

pub(super) fn issue(state: &State, issue: &Issue) -> Value {
    let url = state
        .project(issue.project)
        .map(|project| state.issue_url(project, issue));
    let assignees: Vec<Value> = issue
        .assignees
        .iter()
        .map(|id| author(state, *id))
        .collect();
    json!({
        "id": issue.id,
        "iid": issue.iid,
        "project_id": issue.project,
        "title": issue.title,
        "description": issue.description,
        "state": if issue.open { "opened" } else { "closed" },
        "type": "ISSUE",
        "issue_type": "issue",
        "confidential": issue.confidential,
        "author": author(state, issue.author),
        "assignee": assignees.first(),
        "assignees": assignees,
        "labels": [],
        "milestone": null,
        "user_notes_count": issue.notes.len(),
        "discussion_locked": null,
        "created_at": iso(issue.created_at),
        "updated_at": iso(issue.updated_at),
        "closed_at": null,
        "moved_to_id": issue.moved_to,
        "service_desk_reply_to": issue.external_author,
        "web_url": url,
    })
}

pub(super) fn note(state: &State, note: &Note) -> Value {
    let thread = state.discussions.get(&note.discussion_id);
    let issue = state.issue(note.issue);
    json!({
        "id": note.id,
        "type": thread.filter(|notes| notes.len() > 1).map(|_| "DiscussionNote"),
        "body": note.body,
        "attachment": null,
        "author": author(state, note.author),
        "created_at": iso(note.created_at),
        "updated_at": iso(note.updated_at),
        "system": note.system,
        "noteable_id": note.issue,
        "noteable_type": "Issue",
        "noteable_iid": issue.map(|issue| issue.iid),
        "project_id": issue.map(|issue| issue.project),
        "resolvable": false,
        "confidential": note.internal,
        "internal": note.internal,
        "imported": false,
        "imported_from": "none",
        "commands_changes": {},
    })
}

/// A thread as `reader` sees it.
pub(super) fn discussion(state: &State, id: &str, reader: u64) -> Value {
    let notes: Vec<Value> = state
        .discussions
        .get(id)
        .into_iter()
        .flatten()
        .filter_map(|id| state.note(*id))
        .filter(|note| state.may_read_note(reader, note))
        .map(|own| note(state, own))
        .collect();
    json!({ "id": id, "individual_note": notes.len() == 1, "notes": notes })
}

pub(super) fn award(state: &State, note: u64, award: &Award) -> Value {
    json!({
        "id": award.id,
        "name": award.name,
        "user": author(state, award.user),
        "created_at": iso(award.created_at),
        "updated_at": iso(award.created_at),
        "awardable_id": note,
        "awardable_type": "Note",
        "url": null,
    })
}

/// A hook without its secrets.
pub(super) fn hook(hook: &Hook) -> Value {
    let mut fields: Map<String, Value> = EVENTS
        .iter()
        .map(|event| ((*event).to_owned(), json!(hook.events.contains(event))))
        .collect();
    let (owner, id) = match hook.owner {
        HookOwner::Project(id) => ("project_id", json!(id)),
        HookOwner::Group(id) => ("group_id", json!(id)),
        HookOwner::System => ("system", json!(true)),
    };
    let own = json!({
        "id": hook.id,
        "url": hook.url.as_str(),
        "name": hook.name,
        "description": null,
        "created_at": iso(hook.created_at),
        owner: id,
        "enable_ssl_verification": hook.enable_ssl_verification,
        "alert_status": "executable",
        "disabled_until": null,
        "url_variables": [],
        "custom_webhook_template": null,
        "custom_headers": [],
        "signing_token_present": hook.signing_key.is_some(),
    });
    if let Value::Object(own) = own {
        fields.extend(own);
    }
    Value::Object(fields)
}

/// A log entry; the token is hidden as GitLab hides it.
pub(super) fn event(delivery: &Delivery) -> Value {
    let headers: Map<String, Value> = delivery
        .request_headers
        .iter()
        .map(|(name, value)| {
            let secret = *name == "X-Gitlab-Token";
            let value = if secret { "[REDACTED]" } else { value.as_str() };
            ((*name).to_owned(), json!(value))
        })
        .collect();
    let trigger = delivery.header("X-Gitlab-Event").unwrap_or_default();
    let body: Value = serde_json::from_slice(&delivery.request_body).unwrap_or_default();
    json!({
        "id": delivery.id,
        "url": delivery.url.as_str(),
        "trigger": format!("{}s", trigger.to_lowercase().replace(' ', "_")),
        "request_headers": headers,
        "request_data": body,
        "response_headers": {},
        "response_body": delivery.response,
        "execution_duration": delivery.duration.as_secs_f64(),
        "response_status": delivery
            .status
            .map_or_else(|| "internal error".to_owned(), |status| status.to_string()),
    })
}
