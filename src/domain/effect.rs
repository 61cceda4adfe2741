//! Outbound calls that follow from a change; stored as JSON until they are made.

use serde::{Deserialize, Serialize};

use super::{ChatId, ConnectionId, ItemId, Lane, OperationId, PersonId, ReplyId, Via};

/// The queues of the road; each has its lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Deliveries that wait to be understood.
    Inbox,
    /// Comments to write, paced to the other side's limit.
    Reply,
    /// All other calls.
    Call,
}

impl Queue {
    /// Returns the word used in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Reply => "reply",
            Self::Call => "call",
        }
    }
}

/// Where a comment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentRef {
    /// Remote id of the project.
    pub project: String,
    /// Number of the issue within the project.
    pub issue: i64,
    /// Remote id of the comment.
    pub comment: String,
    /// Remote id of its thread.
    pub discussion: Option<String>,
}

/// One outbound call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// The answer to a comment is to be as the store has it: posted once, edited from then on.
    Reply {
        /// The comment that is answered.
        on: CommentRef,
        /// The answer's own id, hidden in its text.
        reply: ReplyId,
        /// False where an earlier effect may have posted the answer.
        first: bool,
        /// Address of the comment, for an answer that stands apart from it.
        link: Option<String>,
        /// The sender's id of the event that caused this, sent back with the call.
        cause: Option<String>,
    },
    /// An issue is to be told that contacts did not come along when it was moved.
    TellRemoved {
        /// Remote id of the issue's project.
        project: String,
        /// Number of the issue within the project.
        issue: i64,
        /// How many contacts it had.
        contacts: usize,
        /// The note's own id, hidden in its text.
        note: ReplyId,
        /// The sender's id of the event that caused this, sent back with the call.
        cause: Option<String>,
    },
    /// A reaction on a comment.
    React {
        /// The comment.
        on: CommentRef,
        /// Which reaction.
        reaction: Reaction,
        /// The sender's id of the event that caused this, sent back with the call.
        cause: Option<String>,
    },
    /// The answer to a message that held commands, in its thread.
    Answer {
        /// The chat's id in the messenger.
        room: String,
        /// Id of the message that is answered.
        message: String,
        /// Id of the message that begins the thread.
        thread: String,
        /// The answer's own id, by which it is sent once.
        reply: ReplyId,
    },
    /// A chat is to be as the database has it: there, with that title, and with those in it who should be.
    SettleChat {
        /// The chat.
        chat: ChatId,
    },
    /// An item and the one of a portal that it is linked with are to be equal.
    EqualizePortal {
        /// Our item.
        item: ItemId,
    },
    /// A person is to be told what one operation did that concerns him; one message for all of it.
    Notify {
        /// The person.
        person: PersonId,
        /// Who did it, where one is known.
        by: Option<PersonId>,
        /// Through what.
        via: Via,
        /// The operation in the history.
        operation: OperationId,
        /// What was done. Titles are looked up when the message is written.
        news: Vec<News>,
    },
}

/// What happened to a person with some items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// What.
    pub what: Happening,
    /// The first of the items, up to [`News::NAMED`].
    pub items: Vec<ItemId>,
    /// How many items there are.
    pub count: u64,
}

impl News {
    /// Items that a message names; of more it says how many.
    pub const NAMED: usize = 10;
}

/// What may happen to a person with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// He observes it now.
    Observing,
    /// He observes it no longer.
    ObservingNoLonger,
    /// He is responsible for it now.
    Responsible,
    /// He is responsible for it no longer.
    ResponsibleNoLonger,
    /// Somebody was added to its chat who may become an observer if he says so.
    AskedToApprove,
}

/// An effect of a change of items, before it has its own id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// The connection that is called.
    pub connection: ConnectionId,
    /// Its lane.
    pub lane: Lane,
    /// The call.
    pub effect: Effect,
}

impl FollowUp {
    /// Returns a look at a chat over the connection that it is on.
    pub fn look_at_chat(chat: ChatId, connection: ConnectionId) -> Self {
        Self {
            connection,
            lane: Lane::of_chat(chat),
            effect: Effect::SettleChat { chat },
        }
    }

    /// Returns a comparison of an item with the one of a portal that it is linked with.
    pub fn look_at_portal_item(item: ItemId, connection: ConnectionId) -> Self {
        Self {
            connection,
            lane: Lane::of_portal_item(item),
            effect: Effect::EqualizePortal { item },
        }
    }
}

/// What a reaction says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// Everything was done.
    Done,
    /// Something was not done: read the reply.
    Attention,
}

impl Effect {
    /// Returns the queue that the call waits in.
    pub fn queue(&self) -> Queue {
        match self {
            Self::Reply { .. } | Self::TellRemoved { .. } | Self::Answer { .. } => Queue::Reply,
            Self::React { .. }
            | Self::SettleChat { .. }
            | Self::EqualizePortal { .. }
            | Self::Notify { .. } => Queue::Call,
        }
    }
}
