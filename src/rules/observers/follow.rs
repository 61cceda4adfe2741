//! What follows from changes of who watches items: chats to compare, and one message per person.

use std::collections::{BTreeMap, BTreeSet};

use super::Watching;
use crate::domain::{
    ChatId, ConnectionId, Effect, FollowUp, Happening, ItemId, Lane, News, OperationId, PersonId,
    Via,
};

/// What one operation leads to, item by item.
#[derive(Debug, Default)]
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
    let chats = following.chats.iter().map(|&(chat, connection)| FollowUp {
        connection,
        lane: Lane::of_chat(chat),
        effect: Effect::SettleChat { chat },
    });
    let notices = following.told.iter().filter_map(|(&person, told)| {
        let (_, connection) = reachable.iter().find(|(known, _)| *known == person)?;
        let news = told.iter().map(|(what, items)| News {
            what: *what,
            items: items.iter().copied().take(News::NAMED).collect(),
            count: items.len() as u64,
        });
        Some(FollowUp {
            connection: *connection,
            lane: Lane::of_person(person),
            effect: Effect::Notify {
                person,
                by,
                via,
                operation,
                news: news.collect(),
            },
        })
    });
    chats.chain(notices).collect()
}
