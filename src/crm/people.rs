//! People who come and go: an account in a messenger turns out to be somebody's, or somebody is deactivated.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;
use sqlx::PgConnection;

use super::{Crm, CrmError, error::Failure, watch::Decided};
use crate::{
    domain::{ChatId, ConnectionId, FollowUp, OperationId, PersonId, Queue, RootId, Via},
    queue::{self, NewEffect, Signal},
    rules::Refused,
    store::{
        identity::{self, Proven},
        leaver::{self, Held},
        member, observer,
        operation::Act,
        policy,
    },
};

/// What came of a deactivation.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Departure {
    /// Items that he observed and observes no longer.
    pub observed: usize,
    /// Items that he is responsible for, which somebody has to take over: path of the group, and title.
    pub to_hand_over: Vec<(String, String)>,
}

impl Departure {
    fn of(held: Vec<Held>) -> Self {
        Self {
            observed: held.iter().filter(|one| one.observes).count(),
            to_hand_over: held
                .into_iter()
                .filter(|one| one.responsible)
                .map(|one| (one.path, one.title))
                .collect(),
        }
    }
}

impl Crm {
    /// Gives the account that a code was sent to to a person. Rooms that it is in are looked at again: he may observe their items now.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] for a code that is wrong, used or too old, or an account that the configuration gives to somebody else.
    pub async fn link_account(&self, person: PersonId, code: &str) -> Result<Proven, CrmError> {
        let code = code.trim().to_uppercase();
        self.decide(|_| self.link_once(person, &code)).await
    }

    async fn link_once(&self, person: PersonId, code: &str) -> Result<Proven, Failure> {
        let mut tx = self.pool.begin().await?;
        let proven = identity::use_code(&mut tx, code, self.clock.now())
            .await?
            .ok_or_else(|| {
                Refused::because(
                    "The code is wrong, was used, or has ended: write to the bot again",
                )
            })?;
        if !identity::prove(&mut tx, person, &proven).await? {
            let reason = "The configuration says whose account this is";
            return Err(Refused::because(reason).into());
        }
        let rooms = member::of_stranger(&mut tx, proven.on, &proven.remote_id).await?;
        let mut signals = Vec::new();
        for (root, chats) in by_root(rooms, proven.on) {
            signals.extend(self.have_looked_at(&mut tx, root, chats).await?);
        }
        tx.commit().await?;
        self.signal(&signals).await;
        Ok(proven)
    }

    /// Switches a person off: he observes nothing any more and is in no chat. What he is responsible for is named, to be handed over.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] where he is not active.
    pub async fn deactivate(
        &self,
        (by, via): (Option<PersonId>, Via),
        person: PersonId,
    ) -> Result<Departure, CrmError> {
        self.decide(|_| self.deactivate_once((by, via), person))
            .await
    }

    async fn deactivate_once(
        &self,
        (by, via): (Option<PersonId>, Via),
        person: PersonId,
    ) -> Result<Departure, Failure> {
        let mut tx = self.pool.begin().await?;
        if !leaver::deactivate(&mut tx, person).await? {
            return Err(Refused::NotFound.into());
        }
        let held = leaver::held(&mut tx, person).await?;
        let signals = self.close(&mut tx, (by, via), person, &held).await?;
        tx.commit().await?;
        self.signal(&signals).await;
        Ok(Departure::of(held))
    }

    /// Closes somebody out of a tenant in which he has no membership any more: he observes nothing there and is in no chat.
    ///
    /// # Errors
    /// [`CrmError::Unavailable`] where the database does not answer.
    pub async fn close_out(
        &self,
        (by, via): (Option<PersonId>, Via),
        person: PersonId,
        root: RootId,
    ) -> Result<Departure, CrmError> {
        self.decide(async |_| {
            let mut tx = self.pool.begin().await?;
            let mut held = leaver::held(&mut tx, person).await?;
            held.retain(|one| one.root == root);
            let signals = self.close(&mut tx, (by, via), person, &held).await?;
            tx.commit().await?;
            self.signal(&signals).await;
            Ok(Departure::of(held))
        })
        .await
    }

    /// Takes somebody off the lists of what he holds, and out of their chats.
    async fn close(
        &self,
        tx: &mut PgConnection,
        (by, via): (Option<PersonId>, Via),
        person: PersonId,
        held: &[Held],
    ) -> Result<Vec<Signal>, Failure> {
        let mut signals: Vec<Signal> = Vec::new();
        for of_group in
            held.chunk_by(|one, other| (one.root, one.group) == (other.root, other.group))
        {
            let Some(Held { root, group, .. }) = of_group.first() else {
                continue;
            };
            let act = Act {
                root: *root,
                group: *group,
                operation: OperationId(self.clock.id()),
                actor: by,
                via,
                at: self.clock.now(),
                undoes: None,
                command: None,
            };
            let items: Vec<i64> = of_group.iter().map(|one| one.item.0).collect();
            let policy = policy::of_group(tx, *root, *group).await?;
            let decided: Vec<Decided> = observer::lock(tx, *root, &items, None)
                .await?
                .iter()
                .map(|seen| Decided::of(seen, seen.watched.without(person)))
                .collect();
            signals.extend(self.watch(tx, &act, &policy, &decided).await?);
        }
        Ok(signals)
    }

    /// Has all open chats of a root group looked at; returns how many.
    ///
    /// # Errors
    /// [`CrmError::Unavailable`] where the database does not answer.
    pub async fn look_at_chats(&self, root: RootId) -> Result<usize, CrmError> {
        self.decide(async |_| {
            let mut tx = self.pool.begin().await?;
            let chats = leaver::open_chats(&mut tx, root).await?;
            let count = chats.len();
            let signals = self.have_looked_at(&mut tx, root, chats).await?;
            tx.commit().await?;
            self.signal(&signals).await;
            Ok(count)
        })
        .await
    }
}

impl Crm {
    /// Puts looks at chats into the outbox; returns whom to wake once they are committed.
    async fn have_looked_at(
        &self,
        connection: &mut PgConnection,
        root: RootId,
        chats: Vec<(ChatId, ConnectionId)>,
    ) -> Result<Vec<Signal>, Failure> {
        let effects: Vec<NewEffect> = chats
            .iter()
            .map(|&(chat, on)| {
                NewEffect::following(FollowUp::look_at_chat(chat, on), None, &*self.clock)
            })
            .collect();
        if !effects.is_empty() {
            queue::enqueue(connection, root, effects, self.clock.now(), Duration::ZERO).await?;
        }
        let on: BTreeSet<ConnectionId> = chats.into_iter().map(|(_, on)| on).collect();
        Ok(on
            .into_iter()
            .map(|on| Signal::Work(Queue::Call, on))
            .collect())
    }
}

/// Puts rooms together by their tenants.
fn by_root(
    rooms: Vec<(RootId, ChatId)>,
    on: ConnectionId,
) -> Vec<(RootId, Vec<(ChatId, ConnectionId)>)> {
    let mut sorted = rooms;
    sorted.sort_unstable();
    sorted
        .chunk_by(|one, other| one.0 == other.0)
        .filter_map(|of_root| {
            let (root, _) = of_root.first()?;
            Some((*root, of_root.iter().map(|(_, chat)| (*chat, on)).collect()))
        })
        .collect()
}
