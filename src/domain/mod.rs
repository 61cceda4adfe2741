//! The vocabulary: ids, levels, events and effects, with the checks that belong to them.
//!
//! Plain data that every other room may name. It does no I/O and names no other room.

mod clock;
mod connection;
mod contact;
mod effect;
mod event;
mod field;
mod heard;
mod id;
mod level;
mod listing;
mod place;
mod via;

pub use clock::{Clock, ManualClock, SystemClock};
pub use connection::{ConnectionKind, UnknownKind};
pub use contact::{
    ContactDraft, ContactFields, ContactForm, ContactPatch, ItemFields, ItemForm, ItemKind,
    ItemPatch, OrganizationFields, OrganizationForm, OrganizationPatch,
};
pub use effect::{CommentRef, Effect, Queue, Reaction};
pub use event::{
    Addresses, Comment, CommentChange, Decoded, Event, IssueChange, IssueFacts, RelationSource,
    RemoteProject, RemoteUser, Scope, TreeChange, Visibility,
};
pub use field::{FieldError, is_email_address};
pub use heard::{ChatEvent, ChatMessage, Heard};
pub use id::{
    ConnectionId, DeliveryId, EffectId, GroupId, IssueId, ItemId, Lane, OperationId, PersonId,
    ProjectId, ReplyId, RootId, WebhookId,
};
pub use level::{Level, UnknownLevel};
pub use listing::{ContactSort, Direction, Listed, OrganizationSort, States};
pub use place::{Followers, Namespace, Namespaces, ProjectFacts};
pub use via::Via;
