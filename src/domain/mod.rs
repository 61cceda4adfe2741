//! The vocabulary: ids, levels, events and effects, with the checks that belong to them.
//!
//! Plain data that every other room may name. It does no I/O and names no other room.

mod clock;
mod connection;
mod contact;
mod effect;
mod event;
mod id;
mod level;

pub use clock::{Clock, ManualClock, SystemClock};
pub use connection::{ConnectionKind, UnknownKind};
pub use contact::{ContactDraft, FieldError};
pub use effect::{CommentRef, Effect, Queue, Reaction};
pub use event::{
    Addresses, Comment, CommentChange, Decoded, Event, IssueChange, IssueFacts, ProjectFacts,
    RelationSource, RemoteProject, RemoteUser, Scope, Visibility,
};
pub use id::{
    ConnectionId, DeliveryId, EffectId, GroupId, IssueId, ItemId, Lane, OperationId, PersonId,
    ProjectId, ReplyId, RootId, WebhookId,
};
pub use level::{Level, UnknownLevel};
