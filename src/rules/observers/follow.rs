//! What follows from changes of who watches items: chats to compare, and one message per person.

use std::collections::{BTreeMap, BTreeSet};

use super::Watching;
use crate::domain::{
    ChatId, ConnectionId, Effect, FollowUp, Happening, ItemId, Lane, News, OperationId, PersonId,
    Via,
};

/// What one operation leads to, item by item.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Following {
    /// Chats that have to be compared with the list, with their messengers.
    pub chats: BTreeSet<(ChatId, ConnectionId)>,
    /// What each person is told.
    told: BTreeMap<PersonId, BTreeMap<Happening, BTreeSet<ItemId>>>,
}

impl Following {
    /// Adds what a decision on an item leads to.
    pub fn add(&mut self, item: ItemId, chat: Option<(ChatId, ConnectionId)>, watching: &Watching) {
        if watching.settle {
            self.chats.extend(chat);
        }
        for (person, what) in &watching.told {
            let told = self.told.entry(*person).or_default();
            told.entry(*what).or_default().insert(item);
        }
    }

    /// Adds what another operation leads to.
    pub fn extend(&mut self, other: Self) {
        self.chats.extend(other.chats);
        for (person, told) in other.told {
            let mine = self.told.entry(person).or_default();
            for (what, items) in told {
                mine.entry(what).or_default().extend(items);
            }
        }
    }

    /// Returns whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.chats.is_empty() && self.told.is_empty()
    }

    /// Returns everybody who is told something.
    pub fn people(&self) -> Vec<PersonId> {
        self.told.keys().copied().collect()
    }
}

/// Returns the effects: each chat is looked at once, each person who can be reached over the messenger gets one message.
pub fn follow_ups(
    following: &Following,
    reachable: &[(PersonId, ConnectionId)],
    (by, via, operation): (Option<PersonId>, Via, OperationId),
) -> Vec<FollowUp> {
    let chats = following.chats.iter();
    let chats = chats.map(|&(chat, connection)| FollowUp::look_at_chat(chat, connection));
    let told = following.told.iter().flat_map(|(&person, told)| {
        told.iter().map(move |(what, items)| {
            let news = News {
                what: *what,
                items: items.iter().copied().take(News::NAMED).collect(),
                count: items.len() as u64,
            };
            (person, news)
        })
    });
    chats
        .chain(notices(told, reachable, (by, via, operation)))
        .collect()
}

/// Returns one message for each person who can be reached; what he is told stands together.
pub fn notices(
    told: impl IntoIterator<Item = (PersonId, News)>,
    reachable: &[(PersonId, ConnectionId)],
    (by, via, operation): (Option<PersonId>, Via, OperationId),
) -> Vec<FollowUp> {
    let mut messages: BTreeMap<PersonId, Vec<News>> = BTreeMap::new();
    for (person, news) in told {
        messages.entry(person).or_default().push(news);
    }
    let reachable: BTreeMap<PersonId, ConnectionId> = reachable.iter().copied().collect();
    messages
        .into_iter()
        .filter_map(|(person, news)| {
            Some(FollowUp {
                connection: *reachable.get(&person)?,
                lane: Lane::of_person(person),
                effect: Effect::Notify {
                    person,
                    by,
                    via,
                    operation,
                    news,
                },
            })
        })
        .collect()
}
