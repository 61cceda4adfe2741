//! What was decided about who watches items becomes a fact, with its history and all that follows from it, in the transaction of the caller.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{Crm, error::Failure};
use crate::{
    domain::{ChatId, ConnectionId, ItemId, Queue},
    queue::{self, NewEffect, Signal},
    rules::{Following, Watching, follow_ups},
    store::{
        observer::{self, Seen},
        operation::Act,
        policy::{self, Policy},
        room,
    },
};

/// A decision about one item.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) item: ItemId,
    pub(super) chat: Option<(ChatId, ConnectionId)>,
    pub(super) watching: Watching,
}

impl Decided {
    /// Returns a decision with the item that it is about.
    pub(super) fn of(seen: &Seen, watching: Watching) -> Self {
        Self {
            item: seen.watched.item,
            chat: seen.chat(),
            watching,
        }
    }
}

impl Crm {
    /// Makes decisions facts; returns whom to wake once they are committed.
    pub(super) async fn watch(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        policy: &Policy,
        decided: &[Decided],
    ) -> Result<Vec<Signal>, Failure> {
        let changes: Vec<_> = decided
            .iter()
            .flat_map(|one| one.watching.changes.iter().copied())
            .collect();
        observer::apply(connection, act, &changes).await?;
        for one in decided {
            if let Some((chat, on)) = one.chat {
                let again = (on, &one.watching.again[..]);
                room::forget(connection, (act.root, chat), again).await?;
            }
        }
        let mut following = Following::default();
        for one in decided {
            following.add(one.item, one.chat, &one.watching);
        }
        self.follow(connection, act, (policy, &following)).await
    }

    /// Has chats compared with their lists.
    pub(super) async fn settle(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        chats: Vec<(ChatId, ConnectionId)>,
    ) -> Result<Vec<Signal>, Failure> {
        let mut following = Following::default();
        following.chats.extend(chats);
        self.follow(connection, act, (&Policy::default(), &following))
            .await
    }

    /// Puts what follows into the outbox.
    pub(super) async fn follow(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        (policy, following): (&Policy, &Following),
    ) -> Result<Vec<Signal>, Failure> {
        let people = following.people();
        let reachable = match policy.messenger {
            Some((messenger, _)) if !people.is_empty() => {
                policy::reachable(connection, messenger, &people).await?
            }
            _ => Vec::new(),
        };
        let why = (act.actor, act.via, act.operation);
        let effects: Vec<NewEffect> = follow_ups(following, &reachable, why)
            .into_iter()
            .map(|follow_up| NewEffect::following(follow_up, None, &*self.clock))
            .collect();
        if effects.is_empty() {
            return Ok(Vec::new());
        }
        let on: BTreeSet<ConnectionId> = effects.iter().map(|new| new.connection).collect();
        // Nobody in this process makes them at once, so nobody needs a lease on them.
        let no_lease = std::time::Duration::ZERO;
        queue::enqueue(connection, act.root, effects, act.at, no_lease).await?;
        Ok(on
            .into_iter()
            .map(|connection| Signal::Work(Queue::Call, connection))
            .collect())
    }

    /// Wakes whoever makes what was committed.
    pub(super) async fn signal(&self, signals: &[Signal]) {
        if let Err(error) = queue::notify_all(&self.pool, signals).await {
            tracing::debug!(%error, "a wake-up could not be sent; the poll finds the work");
        }
    }
}
