//! Who observes an item and who is responsible for it: what each thing that can happen changes, whom it concerns, and whether the chat has
//! to be looked at.
//!
//! The list is the master. Nothing here says who has to be put into a chat: that follows from the list ([`Following`]). Whoever stands on
//! the list is left as he is by everything that does not name him on purpose, so that saving a list again puts nobody back who left.

mod back;
mod chat;
mod follow;
mod list;
#[cfg(test)]
mod properties;
mod task;
#[cfg(test)]
mod tests;
mod whole;

pub use back::watch_back;
pub use chat::{Inviter, Newcomer, put_in};
pub use follow::{Following, follow_ups, notices};
pub use task::{MAX_PEOPLE, WatchTask};
pub use whole::{carried, combined};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Refused;
use crate::domain::{
    ChatId, ChatPreset, Happening, InvitePolicy, ItemId, ItemKind, PersonId, Reassignment,
};

/// Somebody who observes an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observer {
    /// The person.
    pub person: PersonId,
    /// Whether he is to be in the chat: false once he left it, was removed there, or was added without it.
    pub in_chat: bool,
    /// False where he was added to see new messages only.
    pub show_history: bool,
    /// Who added him.
    pub added_by: Option<PersonId>,
    /// When.
    pub added_at: DateTime<Utc>,
}

/// The person responsible for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Responsible {
    /// The person.
    pub person: PersonId,
    /// Whether he is to be in the chat: false once he left it.
    pub in_chat: bool,
}

/// An item as decisions about its observers see it.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The item.
    pub item: ItemId,
    /// Its kind.
    pub kind: ItemKind,
    /// Whether items of its kind and type have observers.
    pub observable: bool,
    /// Who is responsible.
    pub responsible: Option<Responsible>,
    /// Who observes, in the order in which they came.
    pub observers: Vec<Observer>,
    /// Those who observed it with the past of its chat hidden from them; the mark is kept should they come again.
    pub hidden_before: Vec<PersonId>,
    /// Its chat.
    pub chat: Option<ChatId>,
    /// Whether its messenger can hide the past of a chat from one person; none without a messenger.
    pub hides_history: Option<bool>,
}

/// A group's policies about observers and chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policies {
    /// What leaving a chat means.
    pub preset: ChatPreset,
    /// Who makes observers by adding people to a chat.
    pub invites: InvitePolicy,
    /// What becomes of a responsible person who is replaced.
    pub reassignment: Reassignment,
}

impl Default for Policies {
    /// What counts where no group says anything.
    fn default() -> Self {
        Self {
            preset: ChatPreset::Current,
            invites: InvitePolicy::Readers,
            reassignment: Reassignment::Keep,
        }
    }
}

/// How people are added on purpose.
#[derive(Debug, Clone, Copy)]
pub struct Added {
    /// Who adds them.
    pub by: Option<PersonId>,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether they join the chat.
    pub in_chat: bool,
    /// What they see of its past; none for all of it, or what they saw before.
    pub history: Option<Hidden>,
}

/// What somebody sees of the past of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hidden {
    /// All of it.
    Nothing,
    /// What was written before he joins is hidden from him.
    Past,
}

/// One change of who watches an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObserverChange {
    /// Somebody observes it now.
    Added(ItemId, Observer),
    /// Somebody observes it no longer; as he did.
    Removed(ItemId, Observer),
    /// Somebody's place in the chat, or what he sees there, changed.
    Changed {
        /// The item.
        item: ItemId,
        /// As it was.
        before: Observer,
        /// As it is to be.
        after: Observer,
    },
    /// Another person is responsible, or the same with another place in the chat.
    Responsible {
        /// The item.
        item: ItemId,
        /// Who was.
        before: Option<Responsible>,
        /// Who is to be.
        after: Option<Responsible>,
    },
    /// Somebody waits for approval to observe it.
    Requested {
        /// The item.
        item: ItemId,
        /// Who waits.
        person: PersonId,
        /// Who added him to the chat.
        by: PersonId,
    },
}

impl ObserverChange {
    /// Returns the item that it is about.
    pub fn item(&self) -> ItemId {
        match *self {
            Self::Added(item, _)
            | Self::Removed(item, _)
            | Self::Changed { item, .. }
            | Self::Responsible { item, .. }
            | Self::Requested { item, .. } => item,
        }
    }
}

/// What came of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObserverOutcome {
    /// Observes now.
    Added,
    /// Observed before, and is to be in the chat again.
    Back,
    /// Observes as before.
    AlreadyThere,
    /// Observes no longer.
    Removed,
    /// Did not observe.
    NotThere,
    /// Has to be approved first.
    Waiting,
    /// Is in the chat and does not become an observer: a bot or guest, or whoever added him may not add observers.
    NotByThat,
}

/// What is to be done about who watches an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Watching {
    /// The changes, none twice.
    pub changes: Vec<ObserverChange>,
    /// Who is told what; nobody about what he does himself.
    pub told: Vec<(PersonId, Happening)>,
    /// What came of each person that was named.
    pub outcomes: Vec<(PersonId, ObserverOutcome)>,
    /// Those who were added on purpose and are on the list already: should one have left a moment ago, which nobody noticed yet, he is to
    /// come back.
    pub again: Vec<PersonId>,
    /// Whether the chat has to be compared with the list.
    pub settle: bool,
}

impl Watching {
    /// Notes what a person is told, unless it is his own doing.
    fn tell(&mut self, by: Option<PersonId>, person: PersonId, what: Happening) {
        if by != Some(person) {
            self.told.push((person, what));
        }
    }

    /// Takes what another decision on the same item adds.
    pub fn extend(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.told.extend(other.told);
        self.outcomes.extend(other.outcomes);
        self.again.extend(other.again);
        self.settle |= other.settle;
    }
}

impl Watched {
    /// Returns somebody's place on the list.
    pub fn observer(&self, person: PersonId) -> Option<&Observer> {
        self.observers
            .iter()
            .find(|observer| observer.person == person)
    }

    /// Returns whether somebody is responsible.
    pub fn is_responsible(&self, person: PersonId) -> bool {
        self.responsible.map(|responsible| responsible.person) == Some(person)
    }

    /// Refuses observers of what has none.
    ///
    /// # Errors
    /// [`Refused::Invalid`], with the kind.
    pub fn may_have_observers(&self) -> Result<(), Refused> {
        if self.observable {
            Ok(())
        } else {
            Err(Refused::because(self.why_not()))
        }
    }

    /// Returns why it has no observers.
    pub fn why_not(&self) -> String {
        match self.kind {
            ItemKind::Custom => "Items of this type have no observers".to_owned(),
            kind => format!("{} have no observers", capital(kind.plural())),
        }
    }
}

/// Returns a text with its first letter in capitals.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
