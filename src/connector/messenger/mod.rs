//! What every messenger does for a chat, in words that name no messenger. Each messenger's `client` says how.
//!
//! Everything here can be done twice: "already in", "not in" and "already called so" are [`Put::AlreadySo`], never an error. What a messenger
//! cannot do, or refuses, is a [`Refusal`], which is about one person or chat and is not tried again by itself; a call that brought
//! no answer is a [`CallError`], which says when to try again.
//!
//! A messenger is one folder beside this one: `verify` proves the sender of a request, [`unpack`](Parcel) takes it apart into what is stored,
//! `decode` says what a stored part means ([`ChatEvent`](crate::domain::ChatEvent)), and `client` has a type that implements [`Calls`]
//! and is one of the variants of [`Messenger`].

mod call;
mod client;

pub use call::{CallError, Calls, Told};
pub use client::Messenger;

use bytes::Bytes;
use uuid::Uuid;

pub use crate::domain::ChatHistory as History;

use super::{Routing, lane};
use crate::domain::{ConnectionId, Lane};

/// A part of a request that is stored as a delivery of its own: a request may tell of many chats, whose order does not depend on each other.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Its lane, and the key by which a repeat of it is recognised.
    pub routing: Routing,
    /// What is stored, and decoded later.
    pub body: Bytes,
}

/// Returns the lane of a chat, by its id in the messenger: of what the messenger tells about it.
pub fn chat_lane(connection: ConnectionId, chat: &str) -> Lane {
    lane(connection, &[b"chat", chat.as_bytes()])
}

/// Returns the lane of what the messenger tells about a user.
pub fn user_lane(connection: ConnectionId, user: &str) -> Lane {
    lane(connection, &[b"user", user.as_bytes()])
}

/// A chat that is to be made.
#[derive(Debug, Clone)]
pub struct NewChat<'a> {
    /// Names the chat for good: making it again with the same key finds the first one.
    pub key: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Who may read what.
    pub history: History,
    /// Remote ids of those who are in it from the start.
    pub members: &'a [String],
    /// Remote id of who leads it, where the messenger has that.
    pub admin: Option<&'a str>,
}

/// A chat as the messenger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteChat {
    /// Its immutable id there.
    pub remote_id: String,
    /// Its address for people.
    pub url: Option<String>,
}

/// How far somebody is in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Asked to come; he has not answered yet.
    Invited,
    /// In it.
    Joined,
}

/// Somebody in a chat, or asked to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// His immutable id in the messenger.
    pub remote_id: String,
    /// The name that he chose.
    pub name: String,
    /// How far he is in it.
    pub presence: Presence,
    /// Whether the account is a bot's.
    pub is_bot: bool,
    /// Whether he is a guest from outside.
    pub is_guest: bool,
    /// Whether he leads the chat.
    pub is_admin: bool,
    /// Who added him, where the messenger tells.
    pub added_by: Option<String>,
}

/// A user as the messenger knows him now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// His immutable id.
    pub remote_id: String,
    /// The name by which he is mentioned.
    pub username: String,
    /// The name that he chose.
    pub name: String,
    /// His address, only where the messenger vouches for it: verified, or given by the server's administrator. What he
    /// typed himself is left out, since it would make him whomever he names.
    pub email: Option<String>,
    /// False once the account is switched off.
    pub active: bool,
    /// Whether the account is a bot's.
    pub is_bot: bool,
    /// Whether he is a guest from outside.
    pub is_guest: bool,
}

/// What came of putting something so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is so now.
    Done,
    /// It was so before.
    AlreadySo,
    /// It cannot be so, and why.
    Refused(Refusal),
}

/// Why a messenger does not do something for a person or with a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such user.
    #[error("the messenger knows no such user")]
    UnknownUser,
    /// The account is switched off.
    #[error("the account is inactive in the messenger")]
    InactiveUser,
    /// Somebody banned him from the chat.
    #[error("the person is banned from the chat")]
    Banned,
    /// The bot may not do that there.
    #[error("the bot lacks the right to do that in the chat")]
    NoRight,
    /// The chat is gone, or the bot is not in it any more.
    #[error("the chat is gone, or the bot was removed from it")]
    ChatGone,
    /// The messenger cannot hide the past from one person.
    #[error("this messenger cannot hide the history of a chat from one person")]
    CannotHideHistory,
    /// The messenger cannot close a chat.
    #[error("this messenger cannot close a chat")]
    CannotClose,
    /// The messenger knows no leader of a chat, or cannot change him.
    #[error("this messenger has no leader of a chat")]
    NoAdmin,
}

/// A message that is to be sent.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Names the message for good: sending it again with the same key sends nothing, as far as the messenger can tell.
    pub key: Uuid,
    /// Its text in Markdown, neutralised.
    pub markdown: &'a str,
    /// Remote id of the message that it answers, in whose thread it goes where there are threads.
    pub answers: Option<&'a str>,
    /// What it takes the place of, where the messenger can do that (Bitrix24's TAG).
    pub tag: Option<&'a str>,
}

/// What a messenger can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is there or not, by itself"
)]
pub struct Abilities {
    /// Whether the past of a chat can be hidden from one person; what [`crate::domain::ConnectionKind::hides_history`] says of the kind.
    pub hides_history: bool,
    /// Whether a chat has somebody who leads it.
    pub has_admin: bool,
    /// Whether an added person is asked first and joins himself.
    pub asks_first: bool,
    /// Whether users can be found by an address that the messenger vouches for.
    pub finds_by_email: bool,
}
