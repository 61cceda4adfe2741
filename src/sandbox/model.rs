//! What the tracker keeps: people, the group tree, issues and comments, and the forms in which they are created.
//!
//! Plain data with GitLab's words and numbers. Rules live in [`super::state`] and [`super::notes`].

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Access level of a member, with GitLab's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 10.
    Guest,
    /// 15.
    Planner,
    /// 20.
    Reporter,
    /// 30.
    Developer,
    /// 40.
    Maintainer,
    /// 50.
    Owner,
}

impl Level {
    /// Returns the number that the REST API uses.
    pub fn number(self) -> u8 {
        match self {
            Self::Guest => 10,
            Self::Planner => 15,
            Self::Reporter => 20,
            Self::Developer => 30,
            Self::Maintainer => 40,
            Self::Owner => 50,
        }
    }

    /// Returns the word that Member Hooks use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Guest => "Guest",
            Self::Planner => "Planner",
            Self::Reporter => "Reporter",
            Self::Developer => "Developer",
            Self::Maintainer => "Maintainer",
            Self::Owner => "Owner",
        }
    }
}

/// Who may see a group or project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Members only.
    Private,
    /// Everyone who is signed in.
    Internal,
    /// Everyone.
    Public,
}

impl Visibility {
    /// Returns the number that hook bodies use.
    pub fn number(self) -> u8 {
        match self {
            Self::Private => 0,
            Self::Internal => 10,
            Self::Public => 20,
        }
    }

    /// Returns the word that the REST API uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Internal => "internal",
            Self::Public => "public",
        }
    }
}

/// Where a membership is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A group by its id.
    Group(u64),
    /// A project by its id.
    Project(u64),
}

/// An account.
#[derive(Debug, Clone)]
pub struct User {
    /// Number of the account.
    pub id: u64,
    /// Name for mentions.
    pub username: String,
    /// Name for display.
    pub name: String,
    /// Address; only Member Hooks show it, as at GitLab.
    pub email: String,
    /// True for accounts of machines.
    pub bot: bool,
    /// API token, if the account may call the API.
    pub token: Option<String>,
}

/// How an account is created.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// Number to take; the next free one when `None`.
    pub id: Option<u64>,
    /// Name for mentions.
    pub username: String,
    /// Name for display.
    pub name: String,
    /// True for accounts of machines.
    pub bot: bool,
    /// API token, if the account may call the API.
    pub token: Option<String>,
}

/// A node of the group tree.
#[derive(Debug, Clone)]
pub struct Group {
    /// Number of the group.
    pub id: u64,
    /// Name for display.
    pub name: String,
    /// Last segment of the path.
    pub path: String,
    /// Path from the root group.
    pub full_path: String,
    /// Parent, `None` for a root group.
    pub parent: Option<u64>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
}

/// How a group is created.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Number to take; the next free one when `None`.
    pub id: Option<u64>,
    /// Parent, `None` for a root group.
    pub parent: Option<u64>,
    /// Last segment of the path.
    pub path: String,
    /// Name for display.
    pub name: String,
    /// Who may see it.
    pub visibility: Visibility,
}

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Number of the project.
    pub id: u64,
    /// Name for display.
    pub name: String,
    /// Last segment of the path.
    pub path: String,
    /// Full path.
    pub path_with_namespace: String,
    /// Group that holds it.
    pub group: u64,
    /// Who may see it.
    pub visibility: Visibility,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Highest `iid` that an issue took.
    pub last_iid: u64,
}

/// How a project is created.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Number to take; the next free one when `None`.
    pub id: Option<u64>,
    /// Group that holds it.
    pub group: u64,
    /// Last segment of the path.
    pub path: String,
    /// Name for display.
    pub name: String,
    /// Who may see it.
    pub visibility: Visibility,
}

/// An issue.
#[derive(Debug, Clone)]
pub struct Issue {
    /// Number over all projects.
    pub id: u64,
    /// Number within the project.
    pub iid: u64,
    /// Project that holds it.
    pub project: u64,
    /// Title.
    pub title: String,
    /// Description in Markdown.
    pub description: String,
    /// True when only Planner and up, author and assignees may read it.
    pub confidential: bool,
    /// Author.
    pub author: u64,
    /// Assignees.
    pub assignees: BTreeSet<u64>,
    /// False when closed.
    pub open: bool,
    /// The issue that it was moved to.
    pub moved_to: Option<u64>,
    /// Address of whoever opened it by mail (Service Desk); hooks do not show it.
    pub external_author: Option<String>,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// Its comments in order of creation.
    pub notes: Vec<u64>,
    /// Its discussions in order of creation.
    pub discussions: Vec<String>,
}

/// How an issue is created.
#[derive(Debug, Clone, Default)]
pub struct NewIssue {
    /// Number over all projects to take; the next free one when `None`.
    pub id: Option<u64>,
    /// Number within the project to take; the next free one when `None`.
    pub iid: Option<u64>,
    /// Project that holds it.
    pub project: u64,
    /// Author.
    pub author: u64,
    /// Title.
    pub title: String,
    /// Description in Markdown.
    pub description: String,
    /// True when only Planner and up, author and assignees may read it.
    pub confidential: bool,
    /// Address of whoever opens it by mail; the author is GitLab's own bot then.
    pub external_author: Option<String>,
}

/// A comment.
#[derive(Debug, Clone)]
pub struct Note {
    /// Number of the comment.
    pub id: u64,
    /// Thread that holds it: 40 hexadecimal digits.
    pub discussion_id: String,
    /// Issue that it belongs to.
    pub issue: u64,
    /// Author.
    pub author: u64,
    /// Text in Markdown.
    pub body: String,
    /// True when only Planner and up may read it.
    pub internal: bool,
    /// True for records of changes, which nobody wrote and which fire no hook.
    pub system: bool,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// Who edited it last.
    pub updated_by: Option<u64>,
    /// Reactions in order of creation.
    pub awards: Vec<Award>,
}

/// A reaction to a comment.
#[derive(Debug, Clone)]
pub struct Award {
    /// Number of the reaction.
    pub id: u64,
    /// Name of the emoji.
    pub name: String,
    /// Who reacted.
    pub user: u64,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
}
