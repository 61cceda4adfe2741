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
mod listing;

pub use clock::{Clock, ManualClock, SystemClock};
pub use connection::{ConnectionKind, UnknownKind};
pub use contact::{ContactDraft, FieldError};
pub use effect::{CommentRef, Effect, Queue, Reaction};
pub use event::{
    Comment, CommentChange, Decoded, Event, IssueFacts, ProjectFacts, RemoteProject, RemoteUser,
    Scope, Visibility,
};
pub use id::{
    ConnectionId, DeliveryId, EffectId, GroupId, IssueId, ItemId, Lane, OperationId, PersonId,
    ProjectId, ReplyId, RootId, WebhookId,
};
pub use level::{Level, UnknownLevel};
pub use listing::{ContactSort, Direction, Listed, OrganizationSort, States};
