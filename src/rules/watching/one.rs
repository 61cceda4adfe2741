//! A command about people and items, on one item.

use chrono::{DateTime, Utc};

use super::{ItemOutcome, KnownItem, Place};
use crate::{
    domain::{ItemId, PersonId},
    quick_action::{CommandName, Named},
    rules::{
        Added, Change, ObserverChange, ObserverOutcome, Refused, Right, Watched, Watching,
        working::Working,
    },
};

/// Decides on a command about one item.
pub(super) fn one(
    command: CommandName,
    named: &Named,
    (id, working): (ItemId, &mut Working),
    (at, changes): (DateTime<Utc>, &mut Vec<Change>),
) -> ItemOutcome {
    let Some(item) = working.item(id).cloned() else {
        return ItemOutcome::NotFound;
    };
    let actor = working.watch.actor;
    let on = item.on(working.access, actor);
    let people: Vec<(String, PersonId)> = named
        .people
        .iter()
        .filter_map(|typed| {
            let mut known = working.watch.people.iter();
            known.find(|(name, _)| name == typed).cloned()
        })
        .collect();
    match command {
        CommandName::Observers => watchers(&item, working),
        CommandName::LinkItem | CommandName::UnlinkItem => link(command, &item, working, changes),
        CommandName::CreateChat => chat(&item, working, (at, changes)),
        CommandName::Responsible if !on.edits() => ItemOutcome::NoRight,
        CommandName::Responsible => {
            let Some((_, to)) = people.first() else {
                return ItemOutcome::People(Vec::new());
            };
            let policies = working.watch.policies;
            let watching = item.watched.reassign(Some(*to), (actor, at), policies);
            let changed = !watching.changes.is_empty();
            working.watch(&item, watching, changes);
            ItemOutcome::Responsible { changed }
        }
        _ if !on.changes_observers() => ItemOutcome::NoRight,
        _ => observers(command, (&item, &people), working, (at, changes)),
    }
}

fn observers(
    command: CommandName,
    (item, people): (&KnownItem, &[(String, PersonId)]),
    working: &mut Working,
    (at, changes): (DateTime<Utc>, &mut Vec<Change>),
) -> ItemOutcome {
    let actor = working.watch.actor;
    let ids: Vec<PersonId> = people.iter().map(|(_, person)| *person).collect();
    let decided = if command == CommandName::AddObservers {
        let how = Added {
            by: actor,
            at,
            in_chat: true,
            history: None,
        };
        item.watched.add(&ids, how)
    } else {
        item.watched.remove(&ids, actor)
    };
    match decided {
        Err(refused) => refused_by(refused),
        Ok(watching) => {
            let outcomes = typed(people, &watching);
            working.watch(item, watching, changes);
            ItemOutcome::People(outcomes)
        }
    }
}

fn typed(people: &[(String, PersonId)], watching: &Watching) -> Vec<(String, ObserverOutcome)> {
    let outcome = |person: PersonId| {
        let mut outcomes = watching.outcomes.iter();
        outcomes
            .find(|(of, _)| *of == person)
            .map(|(_, outcome)| *outcome)
    };
    people
        .iter()
        .filter_map(|(typed, person)| Some((typed.clone(), outcome(*person)?)))
        .collect()
}

fn refused_by(refused: Refused) -> ItemOutcome {
    match refused {
        Refused::NotFound => ItemOutcome::NotFound,
        Refused::Denied(_) => ItemOutcome::NoRight,
        Refused::Invalid(reasons) => ItemOutcome::Refused(reasons.join(", ")),
    }
}

fn watchers(item: &KnownItem, working: &Working) -> ItemOutcome {
    let name = |person: PersonId| {
        let mut names = working.watch.usernames.iter();
        names
            .find(|(of, _)| *of == person)
            .map_or_else(|| person.to_string(), |(_, name)| name.clone())
    };
    let watched = &item.watched;
    ItemOutcome::Watchers {
        responsible: watched.responsible.map(|one| name(one.person)),
        observers: watched
            .observers
            .iter()
            .map(|one| (name(one.person), one.in_chat))
            .collect(),
    }
}

fn link(
    command: CommandName,
    item: &KnownItem,
    working: &Working,
    changes: &mut Vec<Change>,
) -> ItemOutcome {
    let may = working.watch.place == Place::Issue
        && working.access.allows(Right::RelateContacts)
        && working.access.allows(Right::ViewContacts);
    if !may {
        return ItemOutcome::NoRight;
    }
    match (command == CommandName::LinkItem, item.related) {
        (true, true) => ItemOutcome::AlreadyLinked,
        (true, false) if !item.active => ItemOutcome::Inactive,
        (true, false) => {
            changes.push(Change::Relate(item.watched.item));
            ItemOutcome::Linked
        }
        (false, true) => {
            changes.push(Change::Unrelate(item.watched.item));
            ItemOutcome::Unlinked
        }
        (false, false) => ItemOutcome::NotLinked,
    }
}

fn chat(
    item: &KnownItem,
    working: &mut Working,
    (at, changes): (DateTime<Utc>, &mut Vec<Change>),
) -> ItemOutcome {
    let Some(actor) = working.watch.actor else {
        return ItemOutcome::NoRight;
    };
    let watching = match item.watched.chat_created(actor, at) {
        Ok(watching) => watching,
        Err(refused) => return refused_by(refused),
    };
    let is_there = item.watched.chat.is_some();
    if !is_there {
        let Some(messenger) = working.watch.messenger else {
            return ItemOutcome::NoMessenger;
        };
        changes.push(Change::CreateChat {
            item: item.watched.item,
            on: messenger,
        });
    }
    working.watch(item, watching, changes);
    if is_there {
        ItemOutcome::ChatThere
    } else {
        ItemOutcome::ChatCreated
    }
}

impl Watched {
    /// Makes a change that was decided on, so that what comes after sees it.
    pub(in crate::rules) fn make(&mut self, change: &ObserverChange) {
        match *change {
            ObserverChange::Added(_, observer) => self.observers.push(observer),
            ObserverChange::Removed(_, observer) => {
                self.observers.retain(|one| one.person != observer.person);
            }
            ObserverChange::Changed { after, .. } => {
                let there = self
                    .observers
                    .iter_mut()
                    .find(|one| one.person == after.person);
                if let Some(there) = there {
                    *there = after;
                }
            }
            ObserverChange::Responsible { after, .. } => self.responsible = after,
            ObserverChange::Requested { .. } => {}
        }
    }
}
