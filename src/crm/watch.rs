//! What was decided about who watches items becomes a fact, with its history and all that follows from it, in the transaction of the caller.

use std::{collections::BTreeSet, time::Duration};

use sqlx::PgConnection;

use super::{Crm, error::Failure};
use crate::{
    domain::{ChatId, ConnectionId, FollowUp, ItemId, PersonId, Queue},
    queue::{self, NewEffect, Signal},
    rules::{Following, Watching, follow_ups},
    store::{
        member,
        observer::{self, Seen},
        operation::Act,
        policy::{self, Policy},
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
        let again: Vec<_> = decided
            .iter()
            .flat_map(|one| one.watching.again.iter().map(|person| (one.item, *person)))
            .collect();
        member::forget(connection, act.root, &again).await?;
        let mut following = Following::default();
        for one in decided {
            following.add(one.item, one.chat, &one.watching);
            if !one.watching.again.is_empty() {
                following.chats.extend(one.chat);
            }
        }
        self.follow(connection, act, (policy, &following)).await
    }

    /// Makes decisions facts and has their chats follow; whoever they concern is told elsewhere.
    pub(super) async fn watch_silently(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        decided: &[Decided],
    ) -> Result<Vec<Signal>, Failure> {
        let changes: Vec<_> = decided
            .iter()
            .flat_map(|one| one.watching.changes.iter().copied())
            .collect();
        observer::apply(connection, act, &changes).await?;
        let chats = decided.iter().filter(|one| one.watching.settle);
        let chats = chats.filter_map(|one| one.chat).collect();
        self.settle(connection, act, chats).await
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
    async fn follow(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        (policy, following): (&Policy, &Following),
    ) -> Result<Vec<Signal>, Failure> {
        let reachable = reachable(connection, policy, &following.people()).await?;
        let why = (act.actor, act.via, act.operation);
        let follow_ups = follow_ups(following, &reachable, why);
        let mut signals = self.enqueue(connection, act, follow_ups).await?;
        // Whoever looks at the items sees it.
        signals.push(Signal::Customers(act.group));
        Ok(signals)
    }

    /// Puts effects into the outbox; returns whom to wake once they are committed.
    pub(super) async fn enqueue(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        follow_ups: Vec<FollowUp>,
    ) -> Result<Vec<Signal>, Failure> {
        if follow_ups.is_empty() {
            return Ok(Vec::new());
        }
        let on: BTreeSet<ConnectionId> = follow_ups.iter().map(|new| new.connection).collect();
        let effects = follow_ups
            .into_iter()
            .map(|follow_up| NewEffect::following(follow_up, None, &*self.clock))
            .collect();
        // Nobody in this process makes them at once, so nobody needs a lease on them.
        queue::enqueue(connection, act.root, effects, act.at, Duration::ZERO).await?;
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

/// Returns who of some people can be told something over a group's messenger.
pub(super) async fn reachable(
    connection: &mut PgConnection,
    policy: &Policy,
    people: &[PersonId],
) -> Result<Vec<(PersonId, ConnectionId)>, Failure> {
    match policy.messenger {
        Some((messenger, _)) if !people.is_empty() => {
            Ok(policy::reachable(connection, messenger, people).await?)
        }
        _ => Ok(Vec::new()),
    }
}
