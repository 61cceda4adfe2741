//! What a delivery means, whichever system sent it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::HookEvent;

/// A decoded delivery: an event, or why it means nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// Something that the rules act on.
    Event(Event),
    /// Nothing to act on, with the reason for the log.
    Ignored(String),
}

/// What happened in a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A comment on an issue was written or edited.
    CommentPosted(Box<Comment>),
    /// An issue was opened or changed.
    IssueChanged(Box<IssueChange>),
    /// Somebody's membership changed.
    MemberChanged {
        /// Remote id of the user.
        user: String,
        /// What is remembered as the outcome.
        summary: String,
    },
    /// Groups or projects came, went, moved or were renamed.
    TreeChanged {
        /// What has to be looked at.
        change: TreeChange,
        /// What is remembered as the outcome.
        summary: String,
    },
}

impl Event {
    /// Returns which sort of events it is of.
    pub fn sort(&self) -> HookEvent {
        match self {
            Self::CommentPosted(_) => HookEvent::Comments,
            Self::IssueChanged(_) => HookEvent::Issues,
            Self::MemberChanged { .. } => HookEvent::Members,
            Self::TreeChanged { .. } => HookEvent::Tree,
        }
    }
}

/// A part of a tracker's tree that has to be looked at; where it is now, only the tracker's API tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeChange {
    /// A project, by remote id.
    Project(String),
    /// A group, by remote id.
    Group(String),
    /// A project that was destroyed, as the event says.
    ProjectGone(String),
    /// A group that was destroyed, as the event says.
    GroupGone(String),
}

/// A comment on an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The project of the issue.
    pub project: RemoteProject,
    /// The issue.
    pub issue: IssueFacts,
    /// Remote id of the comment.
    pub remote_id: String,
    /// Remote id of the thread, where the tracker has threads.
    pub discussion_id: Option<String>,
    /// Who wrote or edited it: the sender of the event, not the comment's author.
    pub actor: RemoteUser,
    /// The comment's Markdown, without NUL characters.
    pub text: String,
    /// Whether it is new.
    pub change: CommentChange,
    /// When it was first written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// True where the comment itself is hidden from readers who may see the issue.
    pub internal: bool,
    /// Address of the comment for people.
    pub url: Option<String>,
}

/// An issue that was opened or changed, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueChange {
    /// The project it is in.
    pub project: RemoteProject,
    /// The issue.
    pub issue: IssueFacts,
    /// Whether issues of its type can have contacts.
    pub has_contacts: bool,
    /// Who opened or changed it, where the event says so.
    pub actor: Option<RemoteUser>,
    /// True where it was opened just now.
    pub opened: bool,
    /// True where its description or its author changed.
    pub described: bool,
    /// Its Markdown, without NUL characters.
    pub description: String,
    /// Addresses of the author and of other participants, as far as the event shows them.
    pub addresses: Addresses,
    /// Remote id of the issue that it was moved to. Anybody who knows the webhook's secret can claim one.
    pub moved_to: Option<String>,
}

/// The e-mail addresses that an event shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The author's.
    pub author: Option<String>,
    /// Those of other participants.
    pub participants: Vec<String>,
}

impl IssueChange {
    /// Returns whether the event itself shows that a person with an account, and nobody by mail, is the author.
    pub fn is_by_a_member(&self) -> bool {
        let author = self
            .actor
            .as_ref()
            .filter(|actor| actor.id == self.issue.author);
        author.is_some_and(|author| !author.is_bot)
    }
}

/// By what a contact is related to an issue without anybody's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelationSource {
    /// Whoever opened the issue, also by mail (Service Desk).
    Author,
    /// Others who take part in it, where the tracker shows their addresses.
    Participants,
    /// Addresses in the first lines of the description.
    Description,
}

impl RelationSource {
    const ALL: [Self; 3] = [Self::Author, Self::Participants, Self::Description];

    /// Returns the word used in database and configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Participants => "participants",
            Self::Description => "description",
        }
    }

    /// Returns the source for a word, or none for an unknown one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.word() == word)
    }
}

/// Whether a comment is new or edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentChange {
    /// Written just now.
    Created,
    /// Changed after it was written.
    Edited,
}

/// A user as the tracker names him in an event; only the id is proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUser {
    /// Immutable remote id.
    pub id: String,
    /// Username, which its owner can change.
    pub username: String,
    /// Display name, which its owner can change.
    pub name: String,
    /// True where the tracker's naming marks a bot account.
    pub is_bot: bool,
}

/// A project as an event names it; where it really is, is asked from the tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteProject {
    /// Immutable remote id.
    pub id: String,
    /// Path with namespace at the time of the event.
    pub path: String,
}

/// Who may read a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Members.
    Private,
    /// Everybody who is signed in.
    Internal,
    /// Everybody.
    Public,
}

impl Visibility {
    /// Returns the word used in database and API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Internal => "internal",
            Self::Public => "public",
        }
    }

    /// Returns the visibility for a word; an unknown word counts as public, which reveals least.
    pub fn from_word(word: &str) -> Self {
        match word {
            "private" => Self::Private,
            "internal" => Self::Internal,
            _ => Self::Public,
        }
    }
}

/// An issue as an event describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueFacts {
    /// Immutable remote id.
    pub remote_id: String,
    /// Number within the project.
    pub iid: i64,
    /// Title.
    pub title: String,
    /// State in the tracker's words.
    pub state: String,
    /// True where only some members may read it.
    pub confidential: bool,
    /// Remote id of the author.
    pub author: String,
    /// Remote ids of the assignees.
    pub assignees: Vec<String>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What an access level is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A group.
    Group,
    /// A project.
    Project,
}

impl Scope {
    /// Returns the word used in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Project => "project",
        }
    }
}
