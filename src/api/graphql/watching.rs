//! Who watches items, their chats, and changes of many of them.

use async_graphql::{Context, Enum, ID, Object, Result};

use super::{
    Scope,
    id::{bulk_job_gid, operation_gid},
    time::Time,
    user::User,
};
use crate::{
    domain::ChatState,
    rules::Observer,
    store::{bulk_job::Job, chat::Chat},
};

/// Somebody who observes an item.
pub(super) struct ItemObserver(pub(super) Observer);

/// Somebody who observes an item.
#[Object]
impl ItemObserver {
    /// The person.
    async fn person(&self, context: &Context<'_>) -> Result<Option<User>> {
        Ok(Scope::of(context)?.rows.load_one(self.0.person).await?)
    }

    /// Whether he is to be in the chat: false once he left it.
    async fn in_chat(&self) -> bool {
        self.0.in_chat
    }

    /// False where he was added to see new messages only.
    async fn show_history(&self) -> bool {
        self.0.show_history
    }

    /// Who added him.
    async fn added_by(&self, context: &Context<'_>) -> Result<Option<User>> {
        match self.0.added_by {
            None => Ok(None),
            Some(person) => Ok(Scope::of(context)?.rows.load_one(person).await?),
        }
    }

    /// When.
    async fn added_at(&self) -> Time {
        Time(self.0.added_at)
    }
}

/// What a chat is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "ChatState")]
pub(super) enum ItemChatState {
    /// There.
    Open,
    /// Archived or deleted with its item.
    Closed,
    /// Somebody removed the room, or the bot from it.
    Gone,
}

/// The room of an item in a messenger.
pub(super) struct ItemChat(pub(super) Chat);

/// The room of an item in a messenger.
#[Object]
impl ItemChat {
    /// Its address for people, once it is made.
    async fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// What it is meant to be.
    async fn state(&self) -> ItemChatState {
        self.0.state.into()
    }

    /// When it was last compared with the list.
    async fn settled_at(&self) -> Option<Time> {
        self.0.settled_at.map(Time)
    }

    /// Why it still differs.
    async fn problem(&self) -> Option<&str> {
        self.0.problem.as_deref()
    }
}

/// A change of many items.
pub(super) struct BulkJob(pub(super) Job);

/// A change of many items: how far it is.
#[Object]
impl BulkJob {
    /// Global id.
    async fn id(&self) -> ID {
        bulk_job_gid(self.0.id)
    }

    /// `running`, `done`, `stopped` or `failed`.
    async fn state(&self) -> &str {
        &self.0.state
    }

    /// How many items there were to work when it began.
    async fn total(&self) -> i64 {
        self.0.total
    }

    /// How many are worked.
    async fn worked(&self) -> i64 {
        self.0.worked
    }

    /// How many of those changed.
    async fn changed(&self) -> i64 {
        self.0.changed
    }

    /// How many could not be changed.
    async fn refused(&self) -> i64 {
        self.0.refused
    }

    /// How many chats have to follow.
    async fn chats(&self) -> i64 {
        self.0.chats
    }

    /// Why it failed.
    async fn problem(&self) -> Option<&str> {
        self.0.problem.as_deref()
    }

    /// By which it is taken back as a whole.
    async fn operation_id(&self) -> ID {
        operation_gid(self.0.operation)
    }

    /// When it was asked for.
    async fn created_at(&self) -> Time {
        Time(self.0.created_at)
    }

    /// When it ended.
    async fn finished_at(&self) -> Option<Time> {
        self.0.finished_at.map(Time)
    }
}
