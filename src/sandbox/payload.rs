//! Bodies of hooks, field by field as GitLab documents them.
//!
//! Times are written in the form that comments and issues have there: `2015-05-17 17:06:40 UTC`. Pure.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    iso,
    model::{Group, Issue, Level, Note, Place, Project, User},
    state::State,
};

fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Whoever caused an event; addresses are hidden unless made public, which nobody here does.
fn actor(state: &State, id: u64) -> Value {
    state.user(id).map_or(Value::Null, |user| {
        json!({
            "id": user.id,
            "name": user.name,
            "username": user.username,
            "avatar_url": null,
            "email": "[REDACTED]",
        })
    })
}

fn project_part(state: &State, project: &Project) -> Value {
    let url = state.project_url(project);
    let host = state.public_url.host_str().unwrap_or_default();
    let ssh = format!("git@{host}:{}.git", project.path_with_namespace);
    json!({
        "id": project.id,
        "name": project.name,
        "description": null,
        "web_url": url,
        "avatar_url": null,
        "git_ssh_url": ssh,
        "git_http_url": format!("{url}.git"),
        "namespace": state.group(project.group).map(|group| group.name.as_str()),
        "visibility_level": project.visibility.number(),
        "path_with_namespace": project.path_with_namespace,
        "default_branch": "main",
        "ci_config_path": null,
        "homepage": url,
        "url": ssh,
        "ssh_url": ssh,
        "http_url": format!("{url}.git"),
    })
}

fn repository_part(state: &State, project: &Project) -> Value {
    let url = state.project_url(project);
    json!({
        "name": project.name,
        "url": format!("{url}.git"),
        "description": null,
        "homepage": url,
    })
}

fn issue_part(state: &State, project: &Project, issue: &Issue) -> Value {
    json!({
        "id": issue.id,
        "iid": issue.iid,
        "title": issue.title,
        "description": issue.description,
        "state": if issue.open { "opened" } else { "closed" },
        "state_id": if issue.open { 1 } else { 2 },
        "confidential": issue.confidential,
        "discussion_locked": null,
        "author_id": issue.author,
        "assignee_ids": issue.assignees,
        "assignee_id": issue.assignees.first(),
        "project_id": issue.project,
        "created_at": stamp(issue.created_at),
        "updated_at": stamp(issue.updated_at),
        "closed_at": null,
        "due_date": null,
        "labels": [],
        "last_edited_at": null,
        "last_edited_by_id": null,
        "milestone_id": null,
        "moved_to_id": issue.moved_to,
        "duplicated_to_id": null,
        "relative_position": null,
        "time_estimate": 0,
        "total_time_spent": 0,
        "time_change": 0,
        "human_total_time_spent": null,
        "human_time_estimate": null,
        "human_time_change": null,
        "updated_by_id": null,
        "weight": null,
        "health_status": null,
        "type": "Issue",
        "url": state.issue_url(project, issue),
        "severity": "unknown",
        "customer_relations_contacts": [],
    })
}

/// Returns the body of a Note Hook; `by` is who posted or edited.
pub(super) fn note(state: &State, note: &Note, by: u64, action: &str) -> Value {
    let parts = state
        .issue(note.issue)
        .and_then(|issue| Some((issue, state.project(issue.project)?)));
    let Some((issue, project)) = parts else {
        return Value::Null;
    };
    let confidential = issue.confidential || note.internal;
    let thread = state.discussions.get(&note.discussion_id);
    json!({
        "object_kind": "note",
        "event_type": if confidential { "confidential_note" } else { "note" },
        "user": actor(state, by),
        "project_id": project.id,
        "project": project_part(state, project),
        "object_attributes": {
            "attachment": null,
            "author_id": note.author,
            "change_position": null,
            "commit_id": null,
            "created_at": stamp(note.created_at),
            "discussion_id": note.discussion_id,
            "id": note.id,
            "line_code": null,
            "note": note.body,
            "noteable_id": issue.id,
            "noteable_type": "Issue",
            "original_position": null,
            "position": null,
            "project_id": project.id,
            "resolved_at": null,
            "resolved_by_id": null,
            "resolved_by_push": null,
            "st_diff": null,
            "system": note.system,
            "type": thread.filter(|notes| notes.len() > 1).map(|_| "DiscussionNote"),
            "updated_at": stamp(note.updated_at),
            "updated_by_id": note.updated_by,
            "description": note.body,
            "url": format!("{}#note_{}", state.issue_url(project, issue), note.id),
            "action": action,
        },
        "repository": repository_part(state, project),
        "issue": issue_part(state, project, issue),
    })
}

/// Returns the body of an Issue Hook.
pub(super) fn issue(state: &State, issue: &Issue, by: u64, action: &str, changes: &Value) -> Value {
    let Some(project) = state.project(issue.project) else {
        return Value::Null;
    };
    let mut attributes = issue_part(state, project, issue);
    if let Some(fields) = attributes.as_object_mut() {
        fields.insert("action".to_owned(), json!(action));
    }
    json!({
        "object_kind": "issue",
        "event_type": if issue.confidential { "confidential_issue" } else { "issue" },
        "user": actor(state, by),
        "project": project_part(state, project),
        "object_attributes": attributes,
        "labels": [],
        "changes": changes,
        "repository": repository_part(state, project),
        "assignees": issue.assignees.iter().map(|id| actor(state, *id)).collect::<Vec<_>>(),
    })
}

/// Returns the body of a Member Hook or of its system twin for projects.
pub(super) fn member(state: &State, place: Place, user: &User, level: Level, event: &str) -> Value {
    let at = iso(super::now());
    let mut body = json!({
        "created_at": at,
        "updated_at": at,
        "user_username": user.username,
        "user_name": user.name,
        "user_email": user.email,
        "user_id": user.id,
        "event_name": event,
    });
    let more = match place {
        Place::Group(id) => state.group(id).map(|group| {
            json!({
                "group_name": group.name,
                "group_path": group.path,
                "group_id": group.id,
                "group_access": level.word(),
                "group_plan": null,
                "expires_at": null,
            })
        }),
        Place::Project(id) => state.project(id).map(|project| {
            json!({
                "project_name": project.name,
                "project_path": project.path,
                "project_path_with_namespace": project.path_with_namespace,
                "project_id": project.id,
                "access_level": level.word(),
                "project_visibility": project.visibility.word(),
            })
        }),
    };
    if let (Some(body), Some(Value::Object(more))) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// Returns the body of a Subgroup Hook.
pub(super) fn subgroup(group: &Group, parent: &Group, event: &str) -> Value {
    json!({
        "created_at": iso(group.created_at),
        "updated_at": iso(group.created_at),
        "event_name": event,
        "name": group.name,
        "path": group.path,
        "full_path": group.full_path,
        "group_id": group.id,
        "parent_group_id": parent.id,
        "parent_name": parent.name,
        "parent_path": parent.path,
        "parent_full_path": parent.full_path,
    })
}

/// Returns the body of a system hook about a group; `old` is its path and full path before a renaming.
pub(super) fn group(group: &Group, event: &str, old: Option<(&str, &str)>) -> Value {
    json!({
        "event_name": event,
        "created_at": iso(group.created_at),
        "updated_at": iso(super::now()),
        "name": group.name,
        "path": group.path,
        "full_path": group.full_path,
        "group_id": group.id,
        "old_path": old.map(|(path, _)| path),
        "old_full_path": old.map(|(_, full_path)| full_path),
    })
}

/// Returns the body of a Project Hook and of system hooks about projects; `old` is the full path before a move.
pub(super) fn project(state: &State, project: &Project, event: &str, old: Option<&str>) -> Value {
    let owners: Vec<Value> = state
        .members
        .iter()
        .filter(|((_, place), level)| {
            *place == Place::Group(project.group) && **level == Level::Owner
        })
        .filter_map(|((user, _), _)| state.user(*user))
        .map(|user| json!({ "name": user.name, "email": user.email }))
        .collect();
    let mut body = json!({
        "event_name": event,
        "created_at": iso(project.created_at),
        "updated_at": iso(super::now()),
        "name": project.name,
        "path": project.path,
        "path_with_namespace": project.path_with_namespace,
        "project_id": project.id,
        "project_namespace_id": project.group,
        "owners": owners,
        "project_visibility": project.visibility.word(),
    });
    if let (Some(fields), Some(old)) = (body.as_object_mut(), old) {
        fields.insert("old_path_with_namespace".to_owned(), json!(old));
    }
    body
}
