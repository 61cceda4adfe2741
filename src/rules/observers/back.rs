//! Taking back changes of who watches items, as far as nobody changed since what they changed.

use std::collections::BTreeMap;

use super::{Observer, ObserverChange, Watched, Watching};
use crate::{
    domain::{Happening, ItemId, PersonId},
    rules::Kept,
};

/// Returns what takes changes back, item by item, and what stays. The newest change goes first.
///
/// `now` is how the items are; what is about an item that is not there is left out, since it went as a whole.
pub fn watch_back(
    past: &[ObserverChange],
    now: &BTreeMap<ItemId, Watched>,
    by: Option<PersonId>,
) -> (BTreeMap<ItemId, Watching>, Vec<Kept>) {
    let mut back: BTreeMap<ItemId, Watching> = BTreeMap::new();
    let mut kept = Vec::new();
    for change in past.iter().rev() {
        let Some(watched) = now.get(&change.item()) else {
            continue;
        };
        if matches!(change, ObserverChange::Requested { .. }) {
            continue;
        }
        match opposite(change, watched) {
            None => kept.push(Kept::Watching(watched.item)),
            Some(opposite) => {
                let watching = back.entry(watched.item).or_default();
                for (person, what) in news(&opposite) {
                    watching.tell(by, person, what);
                }
                watching.changes.push(opposite);
                watching.settle = true;
            }
        }
    }
    (back, kept)
}

/// Returns what undoes a change of an item as it is now, if it still is as the change left it.
fn opposite(change: &ObserverChange, now: &Watched) -> Option<ObserverChange> {
    let seen = |observer: &Observer| (observer.in_chat, observer.show_history);
    match *change {
        // That he left the chat meanwhile changes nothing about who added him.
        ObserverChange::Added(item, observer) => {
            let there = now.observer(observer.person)?;
            Some(ObserverChange::Removed(item, *there))
        }
        ObserverChange::Removed(item, observer) => (now.observable
            && now.observer(observer.person).is_none())
        .then_some(ObserverChange::Added(item, observer)),
        ObserverChange::Changed {
            item,
            before,
            after,
        } => {
            let there = *now.observer(after.person)?;
            let (in_chat, show_history) = seen(&before);
            (seen(&there) == seen(&after)).then_some(ObserverChange::Changed {
                item,
                before: there,
                after: Observer {
                    in_chat,
                    show_history,
                    ..there
                },
            })
        }
        ObserverChange::Responsible {
            item,
            before,
            after,
        } => {
            let person = |one: Option<super::Responsible>| one.map(|one| one.person);
            (person(now.responsible) == person(after)).then_some(ObserverChange::Responsible {
                item,
                before: now.responsible,
                after: before,
            })
        }
        ObserverChange::Requested { .. } => None,
    }
}

/// Returns whom a change concerns, and how.
fn news(change: &ObserverChange) -> Vec<(PersonId, Happening)> {
    match *change {
        ObserverChange::Added(_, observer) => vec![(observer.person, Happening::Observing)],
        ObserverChange::Removed(_, observer) => {
            vec![(observer.person, Happening::ObservingNoLonger)]
        }
        ObserverChange::Responsible { before, after, .. } => {
            let gone = before.map(|one| (one.person, Happening::ResponsibleNoLonger));
            let come = after.map(|one| (one.person, Happening::Responsible));
            gone.into_iter().chain(come).collect()
        }
        ObserverChange::Changed { .. } | ObserverChange::Requested { .. } => Vec::new(),
    }
}
