//! What goes wrong between the rules and a messenger, and whether to try again.

use crate::{
    connector::messenger,
    crm::{CrmError, Outage},
    egress::Retry,
    queue::QueueError,
    store::StoreError,
};

/// Why something about a messenger is not done yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Somebody else works the lane by now.
    #[error("the lease ran out")]
    Lost,
    /// It will not work, whenever it is tried.
    #[error("{0}")]
    Hopeless(String),
    /// The messenger did not answer.
    #[error(transparent)]
    Call(#[from] messenger::CallError),
    /// The tracker, which knows who may do what, did not answer.
    #[error(transparent)]
    Crm(#[from] CrmError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<QueueError> for Trouble {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::LostLease => Self::Lost,
            QueueError::Database(error) => Self::Store(error.into()),
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Trouble {
    /// Returns what may be done about it.
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Hopeless(_) | Self::Store(StoreError::Refused { .. }) => Retry::Never,
            Self::Call(error) => again(error.retry()),
            Self::Crm(CrmError::Unavailable(Outage::Tracker(error))) => again(error.retry()),
            Self::Lost | Self::Store(_) | Self::Crm(_) => Retry::Later { after: None },
        }
    }
}

/// What is refused today may be allowed tomorrow: people grant rights, and tokens are renewed.
fn again(retry: Retry) -> Retry {
    match retry {
        Retry::Never => Retry::Later { after: None },
        later @ Retry::Later { .. } => later,
    }
}
