//! Where things are in a tracker, and what goes with them when they move.

use super::{ConnectionId, RootId, Visibility};

/// A group of a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Immutable remote id.
    pub remote_id: String,
    /// Full path.
    pub path: String,
    /// Name.
    pub name: String,
}

/// Groups of a tracker, each in the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespaces {
    /// Outermost first; empty where something is in no group, as a personal project.
    pub path: Vec<Namespace>,
    /// Whether the outermost is in no other: it may be in one that the bot does not see.
    pub is_whole: bool,
}

/// A project as the tracker's API describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFacts {
    /// Immutable remote id.
    pub remote_id: String,
    /// Path with namespace.
    pub path: String,
    /// Who may read it.
    pub visibility: Visibility,
    /// The groups it is in.
    pub namespaces: Namespaces,
}

/// What has work in the queues that has to follow to another root group, in the transaction of the move.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "deliveries and effects that do not follow are never worked"]
pub struct Followers {
    /// The tenant it was in.
    pub from: RootId,
    /// The tenant it is in now.
    pub to: RootId,
    /// Webhooks, by id: their deliveries follow, with all that came of them.
    pub webhooks: Vec<i64>,
    /// Projects, as (connection, remote id): calls about their issues follow that are not made yet.
    pub projects: Vec<(ConnectionId, String)>,
}

impl Followers {
    /// Returns that nothing has to follow, since all stays in one tenant.
    pub fn none(root: RootId) -> Self {
        Self {
            from: root,
            to: root,
            webhooks: Vec::new(),
            projects: Vec::new(),
        }
    }
}
