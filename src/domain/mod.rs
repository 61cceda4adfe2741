//! The vocabulary: ids, levels, events and effects, with the checks that belong to them.
//!
//! Plain data that every other room may name. It does no I/O and names no other room.

mod chat;
mod clock;
mod connection;
mod contact;
mod effect;
mod event;
mod field;
mod heard;
mod hook;
mod id;
mod item;
mod level;
mod listing;
mod place;
mod record;
mod via;

pub use chat::{
    ChatHistory, ChatPreset, ChatState, InvitePolicy, Reactions, Reassignment, Replies,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use connection::{ConnectionKind, UnknownKind};
pub use contact::{
    ContactDraft, ContactFields, ContactForm, ContactPatch, OrganizationFields, OrganizationForm,
    OrganizationPatch,
};
pub use effect::{CommentRef, Effect, FollowUp, Happening, News, Queue, Reaction};
pub use event::{
    Addresses, Comment, CommentChange, Decoded, Event, IssueChange, IssueFacts, RelationSource,
    RemoteProject, RemoteUser, Scope, TreeChange, Visibility,
};
pub use field::{FieldError, is_email_address};
pub use heard::{ChatEvent, ChatMessage, Heard};
pub use hook::HookEvent;
pub use id::{
    BulkJobId, ChatId, ConnectionId, DeliveryId, EffectId, GroupId, IssueId, ItemId, ItemTypeId,
    Lane, OperationId, PersonId, ProjectId, ReplyId, RootId, WebhookId,
};
pub use item::{ItemField, ItemFields, ItemForm, ItemKind, ItemPatch};
pub use level::{Level, UnknownLevel};
pub use listing::{ContactSort, Direction, Listed, OrganizationSort, States};
pub use place::{Followers, Namespace, Namespaces, ProjectFacts};
pub use record::{RecordFields, RecordForm, RecordKind, RecordPatch, type_name};
pub use via::Via;
