//! Outbound calls that follow from a change; stored as JSON until they are made.

use serde::{Deserialize, Serialize};

use super::ReplyId;

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
            Self::Reply { .. } | Self::TellRemoved { .. } => Queue::Reply,
            Self::React { .. } => Queue::Call,
        }
    }
}
