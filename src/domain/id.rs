//! One type per id, so that they cannot be mixed up.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($inner:ty: $($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(formatter)
            }
        }
    )+};
}

ids! { i64:
    /// A connection to a tracker or messenger.
    ConnectionId,
    /// An employee.
    PersonId,
    /// A root group: the tenant, and the first part of every tenant table's key.
    RootId,
    /// A node of the group tree.
    GroupId,
    /// A project of a group.
    ProjectId,
    /// An issue of a project.
    IssueId,
    /// A contact, organization or other item of the CRM.
    ItemId,
    /// An inbound endpoint of a group.
    WebhookId,
    /// A type of items of a root group's own.
    ItemTypeId,
    /// The room of an item in a messenger.
    ChatId,
    /// A change of many items.
    BulkJobId,
}

ids! { Uuid:
    /// One webhook request received.
    DeliveryId,
    /// One outbound call that follows from a change.
    EffectId,
    /// The changes of one command, taken back together.
    OperationId,
    /// The bot's answer to one comment.
    ReplyId,
}

/// A sequence of work that is done strictly in order: the deliveries of one issue, the replies to it.
///
/// The number is a hash of what the lane is about; two lanes that collide merely wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct Lane(pub i64);

impl Lane {
    /// Returns the lane of what is done to a chat. No two chats have one id, so there is nothing to hash.
    pub fn of_chat(chat: ChatId) -> Self {
        Self(chat.0)
    }

    /// Returns the lane of what is done to keep an item equal with a portal's: beyond the ids of all chats.
    pub fn of_portal_item(item: ItemId) -> Self {
        Self(item.0 | 1 << 62)
    }

    /// Returns the lane of what a person is told: the complement of his id, which is no chat's.
    pub fn of_person(person: PersonId) -> Self {
        Self(!person.0)
    }
}
