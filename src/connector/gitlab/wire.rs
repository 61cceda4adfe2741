//! GitLab's webhook bodies in GitLab's spelling, as far as they are read.
//!
//! Shapes follow GitLab's documentation of webhook events and system hooks and its hook builders
//! (`lib/gitlab/hook_data`). Unknown fields are skipped.

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny},
};

/// The fields that tell what a body is.
#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    pub(super) object_kind: Option<String>,
    pub(super) event_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NoteHook {
    pub(super) event_type: Option<String>,
    pub(super) user: User,
    pub(super) project: Option<Project>,
    pub(super) object_attributes: Note,
    pub(super) issue: Option<Issue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IssueHook {
    pub(super) event_type: Option<String>,
    pub(super) project: Option<Project>,
    pub(super) object_attributes: Issue,
}

/// What an Issue Hook says beside the issue's facts, which are read from the same body as [`IssueHook`].
#[derive(Debug, Deserialize)]
pub(super) struct IssueNews {
    pub(super) user: Option<User>,
    #[serde(rename = "object_attributes")]
    pub(super) attributes: IssueAttributes,
    #[serde(default)]
    pub(super) changes: Option<IssueChanges>,
    #[serde(default)]
    pub(super) assignees: Option<Vec<Participant>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IssueAttributes {
    pub(super) action: Option<String>,
    /// "Issue", "Incident", "Task" …; absent in old versions.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) description: String,
    pub(super) moved_to_id: Option<i64>,
}

/// What an update changed; the values are not looked at.
#[derive(Debug, Default, Deserialize)]
pub(super) struct IssueChanges {
    pub(super) description: Option<IgnoredAny>,
    pub(super) author_id: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Participant {
    #[serde(default, deserialize_with = "optional_text")]
    pub(super) email: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: i64,
    #[serde(default, deserialize_with = "text")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) username: String,
    /// `[REDACTED]` unless the user made it public.
    #[serde(default, deserialize_with = "optional_text")]
    pub(super) email: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Project {
    pub(super) id: i64,
    #[serde(deserialize_with = "text")]
    pub(super) path_with_namespace: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Note {
    pub(super) id: i64,
    #[serde(rename = "note", deserialize_with = "text")]
    pub(super) body: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) noteable_type: String,
    #[serde(default, deserialize_with = "optional_text")]
    pub(super) discussion_id: Option<String>,
    #[serde(default)]
    pub(super) system: bool,
    /// "create" or "update"; absent before GitLab 16.11.
    pub(super) action: Option<String>,
    #[serde(deserialize_with = "moment")]
    pub(super) created_at: DateTime<Utc>,
    #[serde(deserialize_with = "moment")]
    pub(super) updated_at: DateTime<Utc>,
    #[serde(default, deserialize_with = "optional_text")]
    pub(super) url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) id: i64,
    pub(super) iid: i64,
    #[serde(default, deserialize_with = "text")]
    pub(super) title: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) state: String,
    /// Absent in old versions.
    pub(super) confidential: Option<bool>,
    pub(super) author_id: i64,
    #[serde(default)]
    pub(super) assignee_ids: Vec<i64>,
    #[serde(deserialize_with = "moment")]
    pub(super) updated_at: DateTime<Utc>,
}

/// Member, project, subgroup and system hooks: flat, told apart by `event_name`.
#[derive(Debug, Deserialize)]
pub(super) struct FlatHook {
    pub(super) user_id: Option<i64>,
    pub(super) project_id: Option<i64>,
    pub(super) group_id: Option<i64>,
    #[serde(default, deserialize_with = "optional_text")]
    pub(super) full_path: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    pub(super) path_with_namespace: Option<String>,
}

/// Postgres text holds no NUL; GitLab's own database neither, so only a forged body has one.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    optional_text(deserializer).map(Option::unwrap_or_default)
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| {
        if text.contains('\0') {
            text.replace('\0', "\u{FFFD}")
        } else {
            text
        }
    }))
}

/// Reads "2015-05-17 17:06:40 UTC" as well as ISO 8601; GitLab sends both.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    DateTime::parse_from_rfc3339(&text)
        .map(|moment| moment.to_utc())
        .or_else(|_| {
            NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S UTC")
                .map(|moment| moment.and_utc())
        })
        .ok()
        // Postgres' calendar ends before chrono's does, and GitLab's years have four digits.
        .filter(|moment| (1..=9999).contains(&moment.year()))
        .ok_or_else(|| D::Error::custom("not a moment in time"))
}
