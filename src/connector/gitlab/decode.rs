//! From GitLab's body to an event.

mod issue;
mod tree;

use serde::de::DeserializeOwned;

use super::wire::{Issue, Kind, NoteHook, Project, User};
use crate::{
    connector::DecodeError,
    domain::{Comment, CommentChange, Decoded, Event, IssueFacts, RemoteProject, RemoteUser},
};

/// Returns what a delivery means.
///
/// # Errors
/// Fails, naming the place, where a body of a known kind lacks what GitLab documents.
pub fn decode(body: &[u8]) -> Result<Decoded, DecodeError> {
    let kind: Kind = parse(body)?;
    match (kind.object_kind.as_deref(), kind.event_name.as_deref()) {
        (Some("note"), _) => parse(body).map(note),
        (Some("issue" | "work_item"), _) => issue::issue(body),
        (Some(other), _) => Ok(ignored(format!("{} events are not used", clip(other)))),
        (None, Some(name)) => tree::tree(name, body),
        (None, None) => Ok(ignored(
            "the body has neither object_kind nor event_name: is a custom webhook template set?",
        )),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        DecodeError {
            path,
            problem: problem(error.inner()),
        }
    })
}

/// serde names the offending value in some texts ("invalid type: string \"…\""): only what was expected may go on.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The last one: the value, which comes before it, may hold the word too.
    let expected = text
        .rsplit_once("expected ")
        .map(|(_, rest)| rest.split(" at line").next().unwrap_or(rest));
    match (text.starts_with("missing field"), expected) {
        (true, _) => text.split(" at line").next().unwrap_or_default().to_owned(),
        (false, Some(expected)) => format!("expected {expected}"),
        (false, None) => format!("line {}, column {}", error.line(), error.column()),
    }
}

fn ignored(reason: impl Into<String>) -> Decoded {
    Decoded::Ignored(reason.into())
}

fn event(event: Event) -> Decoded {
    Decoded::Event(event)
}

/// Returns at most 40 characters of a word that the sender chose.
fn clip(word: &str) -> String {
    word.chars()
        .filter(|char| !char.is_control())
        .take(40)
        .collect()
}

fn note(hook: NoteHook) -> Decoded {
    let note = hook.object_attributes;
    if note.system {
        return ignored("a system note, written by GitLab itself");
    }
    let Some(issue) = hook.issue else {
        let on = clip(&note.noteable_type);
        return ignored(format!("a comment on a {on}: commands work on issues"));
    };
    let Some(project) = hook.project else {
        return ignored("a comment on a work item of a group: commands work on issues of projects");
    };
    let change = match note.action.as_deref() {
        Some("create") => CommentChange::Created,
        // Before 16.11 the times alone tell.
        None if note.created_at == note.updated_at => CommentChange::Created,
        Some("update") | None => CommentChange::Edited,
        Some(other) => return ignored(format!("a comment's {} is not used", clip(other))),
    };
    let hidden = hook.event_type.as_deref() == Some("confidential_note");
    let issue = facts(issue, hidden);
    event(Event::CommentPosted(Box::new(Comment {
        internal: hidden && !issue.confidential,
        project: project.into(),
        issue,
        remote_id: note.id.to_string(),
        discussion_id: note.discussion_id,
        actor: hook.user.into(),
        text: note.body,
        change,
        created_at: note.created_at,
        updated_at: note.updated_at,
        url: note.url,
    })))
}

fn facts(issue: Issue, confidential: bool) -> IssueFacts {
    IssueFacts {
        remote_id: issue.id.to_string(),
        iid: issue.iid,
        title: issue.title,
        state: issue.state,
        confidential: issue.confidential.unwrap_or(confidential),
        author: issue.author_id.to_string(),
        assignees: issue.assignee_ids.iter().map(i64::to_string).collect(),
        updated_at: issue.updated_at,
    }
}

impl From<Project> for RemoteProject {
    fn from(project: Project) -> Self {
        Self {
            id: project.id.to_string(),
            path: project.path_with_namespace,
        }
    }
}

impl From<User> for RemoteUser {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            is_bot: is_bot(&user.username),
            username: user.username,
            name: user.name,
        }
    }
}

/// Returns true for the usernames that GitLab gives to the bots of access tokens and to service accounts
/// (`project_7_bot_0a1b`, `group_9_bot`, `service_account_…`), and to its own.
fn is_bot(username: &str) -> bool {
    let of_token = |prefix: &str| {
        username
            .strip_prefix(prefix)
            .and_then(|rest| rest.split_once('_'))
            .is_some_and(|(id, rest)| {
                !id.is_empty()
                    && id.bytes().all(|byte| byte.is_ascii_digit())
                    && (rest == "bot" || rest.starts_with("bot_"))
            })
    };
    of_token("project_")
        || of_token("group_")
        || username.starts_with("service_account_")
        || matches!(
            username,
            "ghost" | "support-bot" | "alert-bot" | "GitLab-Security-Bot"
        )
}
