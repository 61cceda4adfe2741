//! What happens in a chat, as far as it comes back to the list: additions do, going away does not.

use chrono::{DateTime, Utc};

use super::{
    Added, Hidden, Observer, ObserverChange, ObserverOutcome, Policies, Responsible, Watched,
    Watching,
};
use crate::{
    domain::{ChatPreset, Happening, InvitePolicy, ItemId, PersonId},
    rules::Refused,
};

/// Somebody who is in a chat and was not put there from here.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer {
    /// The person behind the account.
    pub person: PersonId,
    /// Whether he is an employee: active, no bot, no guest from outside.
    pub is_employee: bool,
    /// Whether he sees what was written before he came, as the messenger gave it.
    pub shows_history: bool,
}

/// Whoever added somebody to a chat; himself, where he joined by himself.
#[derive(Debug, Clone, Copy)]
pub struct Inviter {
    /// The person.
    pub person: PersonId,
    /// Whether he may read the item.
    pub may_read: bool,
    /// Whether he may change its observers.
    pub may_edit: bool,
}

impl Watched {
    /// The chat is made: whoever makes it observes the item, unless he is responsible.
    ///
    /// # Errors
    /// [`Refused::Invalid`] where such items have no observers, and so no chat.
    pub fn chat_created(&self, by: PersonId, at: DateTime<Utc>) -> Result<Watching, Refused> {
        self.may_have_observers()?;
        let mut watching = if self.is_responsible(by) {
            self.come_back(by)
        } else {
            let how = Added {
                by: Some(by),
                at,
                in_chat: true,
                history: Some(Hidden::Nothing),
            };
            self.add(&[by], how)?
        };
        watching.settle = true;
        Ok(watching)
    }

    /// Somebody was added to the chat in the messenger, or joined it.
    pub fn joined(
        &self,
        newcomer: Newcomer,
        inviter: Option<Inviter>,
        (policies, at): (Policies, DateTime<Utc>),
    ) -> Watching {
        let person = newcomer.person;
        let refused = || Watching {
            outcomes: vec![(person, ObserverOutcome::NotByThat)],
            ..Watching::default()
        };
        if self.is_responsible(person) {
            return self.come_back(person);
        }
        if !self.observable || !newcomer.is_employee {
            return refused();
        }
        if let Some(before) = self.observer(person) {
            return self.stays_in(*before);
        }
        let Some(inviter) = inviter else {
            return refused();
        };
        let may = match policies.invites {
            InvitePolicy::Readers => inviter.may_read || inviter.may_edit,
            InvitePolicy::Editors | InvitePolicy::Approval => inviter.may_edit,
        };
        if may {
            self.added_there(newcomer, inviter, at)
        } else if policies.invites == InvitePolicy::Approval && inviter.may_read {
            self.asked_for(person, inviter)
        } else {
            refused()
        }
    }

    fn added_there(&self, newcomer: Newcomer, inviter: Inviter, at: DateTime<Utc>) -> Watching {
        let observer = Observer {
            person: newcomer.person,
            in_chat: true,
            show_history: newcomer.shows_history,
            added_by: Some(inviter.person),
            added_at: at,
        };
        let mut watching = Watching {
            changes: vec![ObserverChange::Added(self.item, observer)],
            outcomes: vec![(newcomer.person, ObserverOutcome::Added)],
            ..Watching::default()
        };
        watching.tell(Some(inviter.person), newcomer.person, Happening::Observing);
        watching
    }

    fn asked_for(&self, person: PersonId, inviter: Inviter) -> Watching {
        let mut watching = Watching {
            changes: vec![ObserverChange::Requested {
                item: self.item,
                person,
                by: inviter.person,
            }],
            outcomes: vec![(person, ObserverOutcome::Waiting)],
            ..Watching::default()
        };
        if let Some(responsible) = self.responsible {
            watching.tell(
                Some(inviter.person),
                responsible.person,
                Happening::AskedToApprove,
            );
        }
        watching
    }

    /// An observer is in the chat: he is to be there from now on.
    fn stays_in(&self, before: Observer) -> Watching {
        let mut watching = Watching {
            outcomes: vec![(before.person, ObserverOutcome::AlreadyThere)],
            ..Watching::default()
        };
        if !before.in_chat {
            watching.changes.push(ObserverChange::Changed {
                item: self.item,
                before,
                after: Observer {
                    in_chat: true,
                    ..before
                },
            });
            watching.outcomes = vec![(before.person, ObserverOutcome::Back)];
        }
        watching
    }

    /// Somebody left the chat or was removed there, whoever did it: he observes on and is not put back. With the old preset he observes
    /// no longer.
    pub fn left(&self, person: PersonId, policies: Policies) -> Watching {
        let mut watching = Watching::default();
        if let Some(before) = self
            .responsible
            .filter(|now| now.person == person && now.in_chat)
        {
            watching.changes.push(ObserverChange::Responsible {
                item: self.item,
                before: Some(before),
                after: Some(Responsible {
                    in_chat: false,
                    ..before
                }),
            });
        }
        let Some(&before) = self.observer(person) else {
            return watching;
        };
        match policies.preset {
            ChatPreset::Legacy => {
                let change = ObserverChange::Removed(self.item, before);
                watching.changes.push(change);
                watching.told.push((person, Happening::ObservingNoLonger));
            }
            ChatPreset::Current if before.in_chat => {
                watching.changes.push(ObserverChange::Changed {
                    item: self.item,
                    before,
                    after: Observer {
                        in_chat: false,
                        ..before
                    },
                });
            }
            ChatPreset::Current => {}
        }
        watching
    }

    /// The responsible is to be in the chat again.
    pub(super) fn come_back(&self, person: PersonId) -> Watching {
        let away = self
            .responsible
            .filter(|now| now.person == person && !now.in_chat);
        let Some(before) = away else {
            return Watching::default();
        };
        Watching {
            changes: vec![ObserverChange::Responsible {
                item: self.item,
                before: Some(before),
                after: Some(Responsible {
                    in_chat: true,
                    ..before
                }),
            }],
            ..Watching::default()
        }
    }
}

/// Returns who is put into chats by changes, on purpose: should one have left a moment ago, which nobody noticed yet, he is to come back.
/// Whoever only stays as an observer when somebody else becomes responsible is not.
pub fn put_in(changes: &[ObserverChange]) -> Vec<(ItemId, PersonId)> {
    let replaced = |item: ItemId, person: PersonId| {
        changes.iter().any(|change| match *change {
            ObserverChange::Responsible {
                item: of, before, ..
            } => of == item && before.map(|one| one.person) == Some(person),
            _ => false,
        })
    };
    let comes = |change: &ObserverChange| match *change {
        ObserverChange::Added(item, one)
        | ObserverChange::Changed {
            item, after: one, ..
        } => (one.in_chat && !replaced(item, one.person)).then_some((item, one.person)),
        ObserverChange::Responsible { item, after, .. } => {
            Some((item, after.filter(|one| one.in_chat)?.person))
        }
        ObserverChange::Removed(..) | ObserverChange::Requested { .. } => None,
    };
    changes.iter().filter_map(comes).collect()
}
