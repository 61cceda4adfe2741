//! The calls that every messenger can make, and what may go wrong.

use std::time::Duration;

use http::StatusCode;

use super::{Abilities, Member, Message, NewChat, Put, Refusal, RemoteChat, UserFacts};
use crate::{
    domain::RemoteUser,
    egress::{EgressError, Retry},
};

/// Why a call brought no answer that can be used. The texts hold no secret and no customer data.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// An answer that says no, for a reason that is no [`Refusal`].
    #[error("the messenger answered {status} to {call}{}", .code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// Method and kind of the call, without ids or names.
        call: &'static str,
        /// The messenger's own word for it, where it is one of those that its documentation names.
        code: Option<String>,
        /// Whether to try again.
        retry: Retry,
        /// True where all calls should pause.
        throttled: bool,
    },
    /// An answer that is not what the messenger documents.
    #[error("the messenger's answer to {call} is not as documented")]
    Unreadable {
        /// Method and kind of the call.
        call: &'static str,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
    /// No call: the messenger's limits, as we know them, are reached.
    #[error("{call} has to wait for the messenger's limits")]
    Limited {
        /// Kind of the call.
        call: &'static str,
        /// How long.
        after: Duration,
    },
    /// No call: the tokens that it needs are not to be had.
    #[error("the messenger's tokens could not be renewed: {0}")]
    Tokens(String),
}

impl CallError {
    /// Returns what may be done about the failure.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Egress(error) => error.retry(),
            Self::Status { retry, .. } => *retry,
            // A proxy's error page with status 200: it will pass.
            Self::Unreadable { .. } | Self::Tokens(_) => Retry::Later { after: None },
            Self::Limited { after, .. } => Retry::Later {
                after: Some(*after),
            },
        }
    }

    /// Returns true where all calls of the connection should pause.
    pub fn is_throttled(&self) -> bool {
        matches!(
            self,
            Self::Status {
                throttled: true,
                ..
            }
        )
    }
}

/// What the messenger says, or why it does not.
pub type Told<T> = Result<Result<T, Refusal>, CallError>;

/// What Liaison asks of a messenger. Chats and users are named by their immutable ids there.
///
/// Every call can be made twice. Nothing here asks who may do what: that is decided before.
pub trait Calls {
    /// Returns what the messenger can do.
    fn abilities(&self) -> Abilities;

    /// Returns who the bot is.
    fn whoami(&self) -> impl Future<Output = Result<RemoteUser, CallError>> + Send;

    /// Makes a chat, or finds the one that was made with the same key.
    fn create_chat(&self, new: &NewChat<'_>) -> impl Future<Output = Told<RemoteChat>> + Send;

    /// Returns who is in a chat or asked to come, the bot itself included. [`Refusal::ChatGone`] where the bot cannot see it.
    fn members(&self, chat: &str) -> impl Future<Output = Told<Vec<Member>>> + Send;

    /// Has somebody be in a chat, or asked to come. Without `show_history` he is to see new messages only;
    /// where that cannot be, he is not added ([`Refusal::CannotHideHistory`]).
    fn add(
        &self,
        chat: &str,
        user: &str,
        show_history: bool,
    ) -> impl Future<Output = Result<Put, CallError>> + Send;

    /// Has somebody not be in a chat, nor asked to come.
    fn remove(&self, chat: &str, user: &str)
    -> impl Future<Output = Result<Put, CallError>> + Send;

    /// Has a chat be called so.
    fn rename(
        &self,
        chat: &str,
        title: &str,
    ) -> impl Future<Output = Result<Put, CallError>> + Send;

    /// Has a chat take messages, or be closed: kept to be read, and nobody writes there any more.
    fn set_open(
        &self,
        chat: &str,
        open: bool,
    ) -> impl Future<Output = Result<Put, CallError>> + Send;

    /// Has this person lead the chat, and nobody else but the bot ([`Refusal::NoAdmin`] where the messenger has no such thing).
    fn set_admin(
        &self,
        chat: &str,
        user: &str,
    ) -> impl Future<Output = Result<Put, CallError>> + Send;

    /// Has the bot join a chat that it was asked to join.
    fn enter(&self, chat: &str) -> impl Future<Output = Result<Put, CallError>> + Send;

    /// Sends a message into a chat, into a thread where it answers one. Returns its id there.
    fn say(&self, chat: &str, message: &Message<'_>) -> impl Future<Output = Told<String>> + Send;

    /// Sends a message to one person alone. Returns its id there.
    fn tell(&self, user: &str, message: &Message<'_>) -> impl Future<Output = Told<String>> + Send;

    /// Returns a user as he is now, or none where there is no such user.
    fn user(&self, user: &str)
    -> impl Future<Output = Result<Option<UserFacts>, CallError>> + Send;

    /// Returns the id of the user whose address the messenger vouches for, or none.
    fn user_by_email(
        &self,
        email: &str,
    ) -> impl Future<Output = Result<Option<String>, CallError>> + Send;
}
