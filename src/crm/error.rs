//! Why the CRM does not do what it was asked.

use crate::{
    connector::gitlab::CallError,
    domain::{ConnectionId, RootId, Scope},
    lookup::LookupError,
    rules::Refused,
    store::StoreError,
};

/// Why the CRM does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    /// There is no such thing, or the person has no right to see it: both look the same.
    #[error(
        "The resource that you are attempting to access does not exist or you don't have permission to perform this action"
    )]
    NotFound,
    /// The person may see the thing but not do this, in GitLab's words.
    #[error("{0}")]
    Denied(String),
    /// What was asked for cannot be; every reason, in words for people.
    #[error("{}", .0.join(", "))]
    Invalid(Vec<String>),
    /// Somebody changed the thing since it was seen.
    #[error("Somebody else changed it meanwhile")]
    Changed,
    /// Something that had to be asked did not answer; asking again later may help.
    #[error("The answer is not available at the moment; try again later")]
    Unavailable(#[source] Outage),
}

/// What did not answer; for the log only.
#[derive(Debug, thiserror::Error)]
pub enum Outage {
    /// The tracker did not say what had to be known.
    #[error("the tracker did not tell what had to be known")]
    Tracker(#[source] CallError),
    /// The tracker is not configured any more.
    #[error("connection {0} is not configured")]
    NotConfigured(ConnectionId),
    /// The database did not do it.
    #[error("the database did not do it")]
    Store(#[source] StoreError),
    /// Others changed the same things all the time.
    #[error("others changed the same things meanwhile, again and again")]
    Busy,
}

impl From<Refused> for CrmError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound => Self::NotFound,
            Refused::Denied(sentence) => Self::Denied(sentence),
            Refused::Invalid(sentences) => Self::Invalid(sentences),
        }
    }
}

impl From<LookupError> for CrmError {
    fn from(error: LookupError) -> Self {
        Self::Unavailable(match error {
            LookupError::Call(error) => Outage::Tracker(error),
            LookupError::Store(error) => Outage::Store(error),
        })
    }
}

/// What has to be asked from a tracker before a decision can be made.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) root: RootId,
    pub(super) connection: ConnectionId,
    pub(super) about: About,
}

/// What a question is about, in the tracker's ids.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// Where a project is.
    Place(String),
    /// The level of a user in a group or project.
    Level(String, Scope, String),
}

/// Why an attempt to decide is not the last word.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something has to be asked first.
    Ask(Vec<Question>),
    /// It is refused.
    Refused(Refused),
    /// Somebody else changed the same things.
    Conflict,
    /// Somebody changed the thing since the asker saw it.
    Changed,
    /// The store did not do it.
    Store(StoreError),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { constraint } => {
                tracing::debug!(constraint, "met another change; deciding again");
                Self::Conflict
            }
            other => Self::Store(other),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}
