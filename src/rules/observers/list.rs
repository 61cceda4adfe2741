//! The list itself: people added and removed on purpose, the whole list saved, and the responsible replaced.

use chrono::{DateTime, Utc};

use super::{
    Added, Hidden, Observer, ObserverChange, ObserverOutcome, Policies, Responsible, Watched,
    Watching,
};
use crate::{
    domain::{Happening, PersonId, Reassignment},
    rules::Refused,
};

impl Watched {
    /// Adds people on purpose: who is there already and left the chat comes back to it.
    ///
    /// # Errors
    /// [`Refused::Invalid`] where such items have no observers, or the messenger would show what is to be hidden.
    pub fn add(&self, people: &[PersonId], how: Added) -> Result<Watching, Refused> {
        self.may_have_observers()?;
        let mut watching = Watching::default();
        for (place, &person) in people.iter().enumerate() {
            if people.iter().take(place).any(|before| *before == person) {
                continue;
            }
            let show_history = self.shown(person, how.history);
            if how.in_chat && !show_history && self.hides_history == Some(false) {
                return Err(Refused::because(
                    "This messenger cannot hide the history of a chat from one person",
                ));
            }
            self.add_one(person, (how, show_history), &mut watching);
            if how.in_chat {
                watching.extend(self.come_back(person));
            }
        }
        watching.settle = !watching.changes.is_empty();
        Ok(watching)
    }

    /// Returns whether somebody sees the past of the chat. Whom it was hidden from once, it is hidden from until somebody says otherwise.
    fn shown(&self, person: PersonId, wish: Option<Hidden>) -> bool {
        match wish {
            Some(wish) => wish == Hidden::Nothing,
            None => self.observer(person).map_or_else(
                || !self.hidden_before.contains(&person),
                |observer| observer.show_history,
            ),
        }
    }

    fn add_one(
        &self,
        person: PersonId,
        (how, show_history): (Added, bool),
        watching: &mut Watching,
    ) {
        let outcome = match self.observer(person) {
            None => {
                let observer = Observer {
                    person,
                    in_chat: how.in_chat,
                    show_history,
                    added_by: how.by,
                    added_at: how.at,
                };
                let change = ObserverChange::Added(self.item, observer);
                watching.changes.push(change);
                watching.tell(how.by, person, Happening::Observing);
                ObserverOutcome::Added
            }
            Some(before) => {
                let after = Observer {
                    in_chat: how.in_chat,
                    show_history,
                    ..*before
                };
                if after == *before {
                    if after.in_chat {
                        watching.again.push(person);
                    }
                    ObserverOutcome::AlreadyThere
                } else {
                    let (item, before) = (self.item, *before);
                    let change = ObserverChange::Changed {
                        item,
                        before,
                        after,
                    };
                    watching.changes.push(change);
                    if after.in_chat && !before.in_chat {
                        watching.tell(how.by, person, Happening::Observing);
                        ObserverOutcome::Back
                    } else {
                        ObserverOutcome::AlreadyThere
                    }
                }
            }
        };
        watching.outcomes.push((person, outcome));
    }

    /// Removes people.
    ///
    /// # Errors
    /// [`Refused::Invalid`] where such items have no observers.
    pub fn remove(&self, people: &[PersonId], by: Option<PersonId>) -> Result<Watching, Refused> {
        self.may_have_observers()?;
        let mut watching = Watching::default();
        for (place, &person) in people.iter().enumerate() {
            if people.iter().take(place).any(|before| *before == person) {
                continue;
            }
            let outcome = match self.observer(person) {
                None => ObserverOutcome::NotThere,
                Some(observer) => {
                    watching
                        .changes
                        .push(ObserverChange::Removed(self.item, *observer));
                    watching.tell(by, person, Happening::ObservingNoLonger);
                    ObserverOutcome::Removed
                }
            };
            watching.outcomes.push((person, outcome));
        }
        watching.settle = !watching.changes.is_empty();
        Ok(watching)
    }

    /// Makes the list what was saved. Whoever is on both stays as he is: one who left the chat is not put back.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub fn save(&self, list: &[PersonId], how: Added) -> Result<Watching, Refused> {
        let known = |person: &PersonId| self.observer(*person).is_some();
        let (kept, new): (Vec<PersonId>, Vec<PersonId>) = list.iter().partition(|p| known(p));
        let gone: Vec<PersonId> = self
            .observers
            .iter()
            .map(|observer| observer.person)
            .filter(|person| !list.contains(person))
            .collect();
        let mut watching = self.add(&new, how)?;
        watching.extend(self.remove(&gone, how.by)?);
        let same = kept
            .into_iter()
            .map(|person| (person, ObserverOutcome::AlreadyThere));
        watching.outcomes.extend(same);
        Ok(watching)
    }

    /// Makes another person responsible, or nobody. The one before observes on, or goes, as the policy says.
    pub fn reassign(
        &self,
        to: Option<PersonId>,
        (by, at): (Option<PersonId>, DateTime<Utc>),
        policies: Policies,
    ) -> Watching {
        let mut watching = Watching::default();
        let before = self.responsible;
        if before.map(|responsible| responsible.person) == to {
            return watching;
        }
        let after = to.map(|person| Responsible {
            person,
            in_chat: true,
        });
        watching.changes.push(ObserverChange::Responsible {
            item: self.item,
            before,
            after,
        });
        if let Some(person) = to {
            watching.tell(by, person, Happening::Responsible);
        }
        if let Some(before) = before {
            watching.tell(by, before.person, Happening::ResponsibleNoLonger);
            let stays = self.observer(before.person);
            match (policies.reassignment, stays) {
                (Reassignment::Keep, None) if self.observable => {
                    let observer = Observer {
                        person: before.person,
                        in_chat: before.in_chat,
                        show_history: true,
                        added_by: by,
                        added_at: at,
                    };
                    watching
                        .changes
                        .push(ObserverChange::Added(self.item, observer));
                }
                (Reassignment::Drop, Some(observer)) => {
                    watching
                        .changes
                        .push(ObserverChange::Removed(self.item, *observer));
                }
                (Reassignment::Keep | Reassignment::Drop, _) => {}
            }
        }
        watching.settle = true;
        watching
    }
}
