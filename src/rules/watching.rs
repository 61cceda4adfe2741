//! Commands about people and items: `add_observers`, `remove_observers`, `observers`, `responsible`, `link_item`, `unlink_item`,
//! `create_chat`.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

use super::{
    Access, Added, Change, Line, MAX_CONTACTS, MAX_PEOPLE, ObserverChange, ObserverOutcome, OnItem,
    Policies, Refusal, Refused, Right, Watched, Watching, working::Working,
};
use crate::{
    domain::{Clock, ConnectionId, ItemId, ItemKind, PersonId},
    quick_action::{CommandName, ItemRef, Named, named},
};

/// Where commands stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// On an issue.
    #[default]
    Issue,
    /// In the chat of an item.
    Chat(ItemId),
}

/// What has to be loaded for commands about people and items.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WatchNeeds {
    /// People as typed.
    pub people: Vec<String>,
    /// Items.
    pub items: Vec<ItemRef>,
    /// Whether the items of the place are meant: all of the issue, or the one whose chat it is.
    pub here: bool,
}

/// The part of the world that commands about people and items look at.
#[derive(Debug, Clone, Default)]
pub struct WatchSnapshot {
    /// Where the commands stand.
    pub place: Place,
    /// Whoever gives them.
    pub actor: Option<PersonId>,
    /// The people behind [`WatchNeeds::people`] who belong to the tenant, each with what was typed.
    pub people: Vec<(String, PersonId)>,
    /// The usernames of those who watch the items.
    pub usernames: Vec<(PersonId, String)>,
    /// The items behind [`WatchNeeds::items`] and those of the place, of the group that holds the place's items.
    pub items: Vec<KnownItem>,
    /// The group's policies.
    pub policies: Policies,
    /// Its messenger.
    pub messenger: Option<ConnectionId>,
}

/// An item as commands see it.
#[derive(Debug, Clone)]
pub struct KnownItem {
    /// Who watches it.
    pub watched: Watched,
    /// The connection of its chat.
    pub chat_on: Option<ConnectionId>,
    /// A contact's e-mail address or an organization's name, by which it may be named.
    pub known_by: Option<String>,
    /// False once archived.
    pub active: bool,
    /// Whether it is related to the issue.
    pub related: bool,
    /// Whether whoever gives the commands is anybody in the tree.
    pub is_member: bool,
}

/// What came of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemOutcome {
    /// No such item, or not to be seen.
    NotFound,
    /// The person may see it, and not do this.
    NoRight,
    /// It cannot be, for a reason of the item's kind or messenger.
    Refused(String),
    /// What came of each person, as typed.
    People(Vec<(String, ObserverOutcome)>),
    /// Another person is responsible now; or the same as before.
    Responsible {
        /// Whether that changed.
        changed: bool,
    },
    /// Who watches it, by their usernames.
    Watchers {
        /// Who is responsible.
        responsible: Option<String>,
        /// Who observes, and whether he is to be in the chat.
        observers: Vec<(String, bool)>,
    },
    /// Related to the issue now.
    Linked,
    /// Related before.
    AlreadyLinked,
    /// Archived items cannot be related.
    Inactive,
    /// Related no longer.
    Unlinked,
    /// Was not related.
    NotLinked,
    /// Its chat is being made.
    ChatCreated,
    /// It has a chat.
    ChatThere,
    /// The group has no messenger.
    NoMessenger,
}

impl KnownItem {
    /// Returns what whoever gives the commands may do with it.
    pub fn on(&self, access: Access, actor: Option<PersonId>) -> OnItem {
        OnItem {
            access,
            is_member: self.is_member,
            is_responsible: actor.is_some_and(|actor| self.watched.is_responsible(actor)),
            is_observer: actor.is_some_and(|actor| self.watched.observer(actor).is_some()),
        }
    }

    /// Returns what it is called in answers: names no customer.
    fn label(&self) -> String {
        match self.watched.kind {
            ItemKind::Custom => format!("item:{}", self.watched.item),
            kind => format!("{}:{}", kind.word(), self.watched.item),
        }
    }

    fn is(&self, named: &ItemRef) -> bool {
        let is_known_by = |text: &str| {
            let known = self.known_by.as_deref().map(str::to_lowercase);
            known.as_deref() == Some(text.to_lowercase().as_str())
        };
        match named {
            ItemRef::Id { kind, id } => {
                self.watched.item == *id && kind.is_none_or(|kind| kind == self.watched.kind)
            }
            ItemRef::Contact(email) => self.watched.kind == ItemKind::Contact && is_known_by(email),
            ItemRef::Organization(name) => {
                self.watched.kind == ItemKind::Organization && is_known_by(name)
            }
        }
    }
}

/// Returns whether a command is about people and items.
pub(super) fn is_about_items(name: CommandName) -> bool {
    matches!(
        name,
        CommandName::AddObservers
            | CommandName::RemoveObservers
            | CommandName::Observers
            | CommandName::Responsible
            | CommandName::LinkItem
            | CommandName::UnlinkItem
            | CommandName::CreateChat
    )
}

/// Adds what a command needs.
pub(super) fn needs(argument: &str, needs: &mut WatchNeeds) {
    let Named { people, items, .. } = named(argument);
    needs.here |= items.is_empty();
    needs.people.extend(people.into_iter().take(MAX_PEOPLE));
    needs
        .items
        .extend(items.into_iter().take(MAX_CONTACTS).map(|(_, item)| item));
}

/// Decides on a command about people and items.
pub(super) fn execute(
    command: CommandName,
    argument: &str,
    working: &mut Working,
    clock: &dyn Clock,
) -> Line {
    let named = named(argument);
    let refused = |refusal| Line::Refused { command, refusal };
    if let Some(text) = named.unclear.first() {
        return refused(Refusal::Unclear { text: text.clone() });
    }
    let takes_people = matches!(
        command,
        CommandName::AddObservers | CommandName::RemoveObservers | CommandName::Responsible
    );
    if let Some(typed) = named.people.first().filter(|_| !takes_people) {
        return refused(Refusal::Unclear {
            text: typed.clone(),
        });
    }
    if takes_people && named.people.is_empty() {
        return refused(Refusal::NobodyNamed);
    }
    if command == CommandName::Responsible && named.people.len() > 1 {
        return refused(Refusal::TooManyPeople);
    }
    let names_items = matches!(command, CommandName::LinkItem | CommandName::UnlinkItem);
    if names_items && named.items.is_empty() {
        return refused(Refusal::NoItemNamed);
    }
    let targets = match targets(&named, working) {
        Ok(targets) if targets.is_empty() => return refused(Refusal::NoItemsHere),
        Ok(targets) => targets,
        Err(refusal) => return refused(refusal),
    };
    let mut changes = Vec::new();
    let mut outcomes = Vec::new();
    for (label, target) in targets {
        let outcome = match target {
            None => ItemOutcome::NotFound,
            Some(place) => one(
                command,
                &named,
                (place, working),
                (clock.now(), &mut changes),
            ),
        };
        outcomes.push((label, outcome));
    }
    let unknown = unknown(&named, working);
    working.commit(command, changes, None, clock);
    Line::Items {
        command,
        outcomes,
        unknown,
    }
}

/// Returns the people that nobody here is called like.
fn unknown(named: &Named, working: &Working) -> Vec<String> {
    let people = &working.watch.people;
    named
        .people
        .iter()
        .take(MAX_PEOPLE)
        .filter(|typed| !people.iter().any(|(known, _)| known == *typed))
        .cloned()
        .collect()
}

/// Returns the items that are meant, by their labels: those that are named, or those of the place. One that may not be seen is not there.
fn targets(named: &Named, working: &Working) -> Result<Vec<(String, Option<ItemId>)>, Refusal> {
    let watch = &working.watch;
    let seen = |item: &&KnownItem| item.on(working.access, watch.actor).reads();
    if !named.items.is_empty() {
        let find = |(typed, reference): &(String, ItemRef)| {
            let found = watch.items.iter().filter(seen);
            match found.into_iter().find(|item| item.is(reference)) {
                Some(item) => (item.label(), Some(item.watched.item)),
                None => (typed.clone(), None),
            }
        };
        return Ok(named.items.iter().take(MAX_CONTACTS).map(find).collect());
    }
    let here = |item: &&KnownItem| match watch.place {
        Place::Issue => item.related,
        Place::Chat(of) => item.watched.item == of,
    };
    if watch.place == Place::Issue && !working.access.allows(Right::ViewIssueContacts) {
        return Err(Refusal::NoRight(Right::ViewIssueContacts));
    }
    let items = watch.items.iter().filter(here).filter(seen);
    Ok(items
        .take(MAX_CONTACTS)
        .map(|item| (item.label(), Some(item.watched.item)))
        .collect())
}

fn one(
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
    let ids: Vec<PersonId> = people.iter().map(|(_, person)| *person).collect();
    match command {
        CommandName::Observers => watchers(&item, working),
        CommandName::LinkItem | CommandName::UnlinkItem => link(command, &item, working, changes),
        CommandName::CreateChat => chat(&item, working, (at, changes)),
        CommandName::Responsible if !on.edits() => ItemOutcome::NoRight,
        CommandName::Responsible => {
            let Some(to) = ids.first() else {
                return ItemOutcome::People(Vec::new());
            };
            let policies = working.watch.policies;
            let watching = item.watched.reassign(Some(*to), (actor, at), policies);
            let changed = !watching.changes.is_empty();
            working.watch(&item, watching, changes);
            ItemOutcome::Responsible { changed }
        }
        _ if !on.changes_observers() => ItemOutcome::NoRight,
        _ => {
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
                    let outcomes = typed(&people, &watching);
                    working.watch(&item, watching, changes);
                    ItemOutcome::People(outcomes)
                }
            }
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
    pub(super) fn make(&mut self, change: &ObserverChange) {
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
