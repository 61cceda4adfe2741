//! What may be done to who watches many items: one wish, decided item by item.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Added, Hidden, Policies, Watched, Watching};
use crate::{domain::PersonId, rules::Refused};

/// People that one change may name.
pub const MAX_PEOPLE: usize = 100;

/// A change of who watches items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum WatchTask {
    /// People observe them.
    Add {
        /// Who.
        people: Vec<PersonId>,
        /// Whether they join the chats.
        in_chat: bool,
        /// What they see of the past; none for what they saw before, or all.
        history: Option<Hidden>,
    },
    /// People observe them no longer.
    Remove {
        /// Who.
        people: Vec<PersonId>,
    },
    /// These people observe them, and nobody else.
    Replace {
        /// Who.
        people: Vec<PersonId>,
        /// What those who come see of the past.
        history: Option<Hidden>,
    },
    /// Somebody is responsible for them, or nobody.
    Responsible {
        /// Who.
        person: Option<PersonId>,
    },
}

impl WatchTask {
    /// Returns the people that it names.
    pub fn people(&self) -> Vec<PersonId> {
        match self {
            Self::Add { people, .. } | Self::Remove { people } | Self::Replace { people, .. } => {
                people.clone()
            }
            Self::Responsible { person } => person.iter().copied().collect(),
        }
    }

    /// Returns whether it brings people to items. Whoever leaves need not be known any more.
    pub fn brings(&self) -> bool {
        !matches!(self, Self::Remove { .. })
    }

    /// Refuses what makes no sense, before anything is loaded for it.
    ///
    /// # Errors
    /// [`Refused::Invalid`] where nobody is named, or too many are.
    pub fn check(&self) -> Result<(), Refused> {
        let count = self.people().len();
        if count > MAX_PEOPLE {
            let reason = format!("You can only name up to {MAX_PEOPLE} people at one time");
            return Err(Refused::because(reason));
        }
        match self {
            Self::Add { .. } | Self::Remove { .. } if count == 0 => {
                Err(Refused::because("Nobody is named"))
            }
            _ => Ok(()),
        }
    }

    /// Decides on one item.
    ///
    /// # Errors
    /// As [`Watched::add`] and its sisters.
    pub fn decide(
        &self,
        watched: &Watched,
        (by, at): (Option<PersonId>, DateTime<Utc>),
        policies: Policies,
    ) -> Result<Watching, Refused> {
        let how = |in_chat, history| Added {
            by,
            at,
            in_chat,
            history,
        };
        match self {
            Self::Add {
                people,
                in_chat,
                history,
            } => watched.add(people, how(*in_chat, *history)),
            Self::Remove { people } => watched.remove(people, by),
            Self::Replace { people, history } => watched.save(people, how(true, *history)),
            Self::Responsible { person } => Ok(watched.reassign(*person, (by, at), policies)),
        }
    }
}
