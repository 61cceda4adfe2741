//! Items that come, become one, become another or lose a person: their lists as a whole.

use chrono::{DateTime, Utc};

use super::{Added, Observer, ObserverChange, Policies, Responsible, Watched, Watching};
use crate::{
    domain::{ItemId, PersonId, Reassignment},
    rules::Refused,
};

impl Watched {
    /// The item was just created with somebody responsible and observers; each is told, nobody about himself.
    ///
    /// # Errors
    /// [`Refused::Invalid`] where such items have no observers and some are named.
    pub fn created(
        &self,
        responsible: Option<PersonId>,
        observers: &[PersonId],
        (by, at): (Option<PersonId>, DateTime<Utc>),
    ) -> Result<Watching, Refused> {
        let how = Added {
            by,
            at,
            in_chat: true,
            history: None,
        };
        let mut watching = if observers.is_empty() {
            Watching::default()
        } else {
            self.add(observers, how)?
        };
        watching.extend(self.reassign(responsible, (by, at), Policies::default()));
        watching.settle = false;
        Ok(watching)
    }

    /// A person was deactivated or lost his membership: he observes nothing any more. What he is responsible for stays his until somebody
    /// else takes it over; he is in no chat.
    pub fn without(&self, person: PersonId) -> Watching {
        let mut watching = Watching::default();
        if let Some(observer) = self.observer(person) {
            watching
                .changes
                .push(ObserverChange::Removed(self.item, *observer));
        }
        // Whoever is responsible stays it, outside of the chat.
        let responsible = self
            .responsible
            .filter(|one| one.person == person && one.in_chat);
        if let Some(before) = responsible {
            watching.changes.push(ObserverChange::Responsible {
                item: self.item,
                before: Some(before),
                after: Some(Responsible {
                    in_chat: false,
                    ..before
                }),
            });
        }
        watching.settle = !watching.changes.is_empty() || self.is_responsible(person);
        watching
    }
}

/// Items become one: the survivor has the observers of all, and those who were responsible for the others, where the policy keeps them.
/// Nobody is told, since nobody loses or gains sight of anything.
pub fn combined(
    survivor: &Watched,
    losers: &[Watched],
    at: DateTime<Utc>,
    policies: Policies,
) -> Watching {
    let mut watching = Watching::default();
    let mut responsible = survivor.responsible;
    if responsible.is_none() {
        responsible = losers.iter().find_map(|loser| loser.responsible);
        if let Some(after) = responsible {
            watching.changes.push(ObserverChange::Responsible {
                item: survivor.item,
                before: None,
                after: Some(after),
            });
        }
    }
    let mut come: Vec<Observer> = losers
        .iter()
        .flat_map(|loser| loser.observers.iter().copied())
        .collect();
    let replaced = losers.iter().filter_map(|loser| loser.responsible);
    if policies.reassignment == Reassignment::Keep {
        come.extend(
            replaced
                .filter(|one| responsible.map(|now| now.person) != Some(one.person))
                .map(|one| observing(one, at)),
        );
    }
    if !survivor.observable {
        come.clear();
    }
    let mut known: Vec<PersonId> = survivor.observers.iter().map(|one| one.person).collect();
    for observer in come {
        if !known.contains(&observer.person) {
            known.push(observer.person);
            watching
                .changes
                .push(ObserverChange::Added(survivor.item, observer));
        }
    }
    watching.settle = !watching.changes.is_empty();
    watching
}

/// An item is made from another one: it has the same people in the same places. Nobody is told.
pub fn carried(from: &Watched, to: ItemId) -> Watching {
    let observers = from
        .observers
        .iter()
        .map(|observer| ObserverChange::Added(to, *observer));
    let responsible = from.responsible.map(|after| ObserverChange::Responsible {
        item: to,
        before: None,
        after: Some(after),
    });
    Watching {
        changes: responsible.into_iter().chain(observers).collect(),
        settle: from.chat.is_some(),
        ..Watching::default()
    }
}

fn observing(responsible: Responsible, at: DateTime<Utc>) -> Observer {
    Observer {
        person: responsible.person,
        in_chat: responsible.in_chat,
        show_history: true,
        added_by: None,
        added_at: at,
    }
}
