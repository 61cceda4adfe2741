//! Commands about people and items: `add_observers`, `remove_observers`, `observers`, `responsible`, `link_item`, `unlink_item`,
//! `create_chat`.

mod one;
#[cfg(test)]
mod tests;

use super::{
    Access, Line, MAX_CONTACTS, MAX_PEOPLE, ObserverOutcome, OnItem, Policies, Refusal, Right,
    Watched, working::Working,
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
            Some(place) => one::one(
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
