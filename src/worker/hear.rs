//! The inbox of a messenger: what it tells is decoded, acted on and settled, in order per chat.
//!
//! An event about a chat only says that there is something to look at; looking is an effect in the chat's own lane.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument;

use super::{
    Remote, Worker, message,
    portal::have_equalized,
    process::{GROUP, Next, PER_LANE, give_back, give_up_or_wait, report},
    pump::Pump,
    retry::persist,
    trouble::Trouble,
};
use crate::{
    connector::messenger::{Calls, Messenger, Put},
    domain::{ChatEvent, ChatId, Effect, EffectId, FollowUp, Heard, Lane, Queue, RootId},
    egress::Retry,
    queue::{
        self, Claimed, Delivery, InboxVerdict, NewEffect, QueueError, Release, Settled, Signal,
    },
    store::{chat, connection, member, portal},
    telemetry,
};

/// A delivery of a messenger at work.
pub(super) struct Hearing<'a> {
    pub(super) worker: &'a Worker,
    pub(super) remote: &'a Arc<Remote<Messenger>>,
    pub(super) claimed: Claimed,
    pub(super) delivery: &'a Delivery,
}

/// Works the inbox of a messenger until the service stops.
pub async fn hear(worker: Worker, remote: Arc<Remote<Messenger>>) {
    let pump = Pump::new(worker.clone(), Arc::clone(&remote), Queue::Inbox);
    let (release, released) = mpsc::channel(GROUP);
    worker
        .tasks
        .spawn(give_back(worker.clone(), Arc::clone(&remote), released));
    while let Some(load) = pump.next().await {
        let since = Instant::now();
        let read = || queue::read(&worker.pool, &load.claimed, PER_LANE);
        let Some(mut waiting) = persist(&worker, "reading deliveries", read).await else {
            continue;
        };
        for (claimed, place) in load.claimed.into_iter().zip(load.places) {
            let deliveries = waiting
                .remove(&(claimed.root, claimed.lane))
                .unwrap_or_default();
            let (worker, remote) = (worker.clone(), Arc::clone(&remote));
            let release = release.clone();
            worker.tasks.clone().spawn(async move {
                let mut next = Next::GoOn;
                for delivery in &deliveries {
                    if worker.is_worn(since) || next != Next::GoOn {
                        break;
                    }
                    let hearing = Hearing {
                        worker: &worker,
                        remote: &remote,
                        claimed,
                        delivery,
                    };
                    next = Box::pin(hearing.work()).await;
                }
                let pause = match next {
                    Next::GoOn => Some(Duration::ZERO),
                    Next::Rest(pause) => Some(pause),
                    Next::Leave => None,
                };
                if let Some(pause) = pause {
                    // The receiver ends after the last sender.
                    let _ = release.send(Release { claimed, pause }).await;
                }
                drop(place);
            });
        }
    }
}

impl Hearing<'_> {
    async fn work(&self) -> Next {
        let (worker, delivery) = (self.worker, self.delivery);
        let lag = worker.clock.now() - delivery.received_at;
        telemetry::record_lag("inbox", lag.to_std().unwrap_or_default());
        let span =
            tracing::info_span!("delivery", id = %delivery.id, attempt = delivery.attempts + 1);
        let verdict = AssertUnwindSafe(Box::pin(self.handle()))
            .catch_unwind()
            .instrument(span.clone())
            .await;
        let verdict = match verdict {
            Ok(Ok(outcome)) => {
                span.in_scope(|| report(&outcome));
                return Next::GoOn;
            }
            Ok(Err(Trouble::Lost)) => return Next::Leave,
            Ok(Err(trouble)) => {
                if let Trouble::Call(error) = &trouble {
                    self.remote.heed(error);
                }
                span.in_scope(|| telemetry::log_chain(&trouble));
                give_up_or_wait(worker, delivery, &trouble.to_string(), trouble.retry())
            }
            Err(_panic) => {
                let failed = "an internal error, which is in the log";
                give_up_or_wait(worker, delivery, failed, Retry::Later { after: None })
            }
        };
        span.in_scope(|| report(&verdict));
        match (self.record(&verdict).instrument(span).await, verdict) {
            (Ok(()), InboxVerdict::Later(_, pause)) => Next::Rest(pause),
            (Ok(()), _) => Next::GoOn,
            (Err(QueueError::LostLease), _) => Next::Leave,
            (Err(error), _) => {
                tracing::warn!(%error, "what came of a delivery could not be recorded; it is tried again");
                Next::Rest(Duration::from_secs(1))
            }
        }
    }

    async fn record(&self, verdict: &InboxVerdict) -> Result<(), QueueError> {
        let acquired = self.worker.pool.acquire().await;
        let mut connection = acquired.map_err(QueueError::from)?;
        queue::settle(&mut connection, &[self.settled(verdict)]).await
    }

    /// Understands a delivery and settles it together with what follows.
    async fn handle(&self) -> Result<InboxVerdict, Trouble> {
        self.pin().await?;
        let bot = self.remote.bot_id(&self.worker.pool).await?;
        let heard = self
            .remote
            .client
            .decode(&self.delivery.body, bot)
            .map_err(|error| Trouble::Hopeless(error.to_string()))?;
        let event = match heard {
            Heard::Event(event) => event,
            Heard::Ignored(reason) => return self.ignore(&reason).await,
        };
        match event {
            // Whether a room is gone is asked as well: the event may be old.
            ChatEvent::ChatTouched { chat } | ChatEvent::ChatGone { chat } => {
                self.look_at(&chat).await
            }
            ChatEvent::ChatMessage(message) => Box::pin(message::message(self, &message)).await,
            ChatEvent::BotInvited { chat, direct, .. } => self.invited(&chat, direct).await,
            ChatEvent::UserChanged { user } => self.user(&user).await,
            ChatEvent::PortalItemChanged { entity_type, id } => {
                self.portal_item(entity_type, &id).await
            }
        }
    }

    /// Pins the connection to who sent the first proven delivery, where its sender says who he is; others are refused from then on.
    async fn pin(&self) -> Result<(), Trouble> {
        if self.remote.is_pinned() {
            return Ok(());
        }
        if let Some(sender) = self.remote.client.sender(&self.delivery.body) {
            let mut connection = self.worker.pool.acquire().await?;
            if connection::learn_member(&mut connection, self.remote.id, &sender).await? {
                tracing::info!(
                    member_id = sender,
                    "the connection is pinned to this portal"
                );
                self.worker.wake.announce(Signal::Webhooks);
            }
        }
        self.remote.set_pinned();
        Ok(())
    }

    /// Has a chat compared with the list.
    async fn look_at(&self, remote_id: &str) -> Result<InboxVerdict, Trouble> {
        let mut tx = self.worker.pool.begin().await?;
        let found = chat::of_room(&mut tx, self.remote.id, remote_id).await?;
        let Some((root, chat)) = found else {
            tx.rollback().await?;
            return self.ignore("no item's chat").await;
        };
        self.have_settled(&mut tx, &[(root, chat)]).await?;
        let verdict = InboxVerdict::Done("the chat is looked at".to_owned());
        let verdict = self.settle(tx, verdict).await?;
        self.announce(Queue::Call);
        Ok(verdict)
    }

    /// Has an item of the portal's own CRM compared with those here that are linked with it.
    async fn portal_item(&self, entity_type: i64, id: &str) -> Result<InboxVerdict, Trouble> {
        let mut tx = self.worker.pool.begin().await?;
        let links = portal::linked(&mut tx, self.remote.id, entity_type, id).await?;
        if links.is_empty() {
            tx.rollback().await?;
            return self.ignore("no item here is linked with it").await;
        }
        have_equalized(self.worker, self.remote, &mut tx, &links).await?;
        let verdict = InboxVerdict::Done("the item is compared".to_owned());
        let verdict = self.settle(tx, verdict).await?;
        self.announce(Queue::Call);
        Ok(verdict)
    }

    /// Puts looks at chats into the outbox. One that waits already sees what happened until it is made.
    pub(super) async fn have_settled(
        &self,
        connection: &mut PgConnection,
        chats: &[(RootId, ChatId)],
    ) -> Result<(), Trouble> {
        let looks = self.looks(chats).collect();
        let delivery = Some(self.delivery.id);
        self.worker
            .have_looked_once(connection, looks, delivery)
            .await?;
        Ok(())
    }

    /// The same, whether or not looks wait already: for what is committed only with them.
    pub(super) async fn settle_chats(
        &self,
        connection: &mut PgConnection,
        chats: &[(RootId, ChatId)],
    ) -> Result<(), Trouble> {
        let delivery = Some(self.delivery.id);
        self.worker
            .have_looked(connection, self.looks(chats), delivery)
            .await?;
        Ok(())
    }

    fn looks(&self, chats: &[(RootId, ChatId)]) -> impl Iterator<Item = (RootId, FollowUp)> {
        let on = self.remote.id;
        chats
            .iter()
            .map(move |&(root, chat)| (root, FollowUp::look_at_chat(chat, on)))
    }

    /// Follows an invitation to talk alone; in any other room the bot has nothing to do.
    async fn invited(&self, chat: &str, direct: bool) -> Result<InboxVerdict, Trouble> {
        if !direct {
            return self
                .ignore("asked to join a room that is no item's chat")
                .await;
        }
        let verdict = match self.remote.client.enter(chat).await? {
            Put::Done | Put::AlreadySo => InboxVerdict::Done("talks with somebody".to_owned()),
            Put::Refused(refusal) => InboxVerdict::Ignored(refusal.to_string()),
        };
        let tx = self.worker.pool.begin().await?;
        self.settle(tx, verdict).await
    }

    /// Looks at a user who may be gone: one whose account is switched off is in no chat any more.
    async fn user(&self, user: &str) -> Result<InboxVerdict, Trouble> {
        let facts = self.remote.client.user(user).await?;
        if facts.is_some_and(|facts| facts.active) {
            return self.ignore("the user is active").await;
        }
        let mut tx = self.worker.pool.begin().await?;
        let chats = member::of_user(&mut tx, self.remote.id, user).await?;
        self.have_settled(&mut tx, &chats).await?;
        let verdict = InboxVerdict::Done(format!("{} chats are looked at", chats.len()));
        let verdict = self.settle(tx, verdict).await?;
        self.announce(Queue::Call);
        Ok(verdict)
    }

    /// Returns an effect that follows from the delivery.
    pub(super) fn effect(&self, lane: Lane, effect: Effect) -> NewEffect {
        NewEffect {
            id: EffectId(self.worker.clock.id()),
            delivery: Some(self.delivery.id),
            connection: self.remote.id,
            lane,
            effect,
            lease: None,
        }
    }

    /// Wakes whoever makes the calls of a queue, now that they are committed.
    pub(super) fn announce(&self, queue: Queue) {
        self.worker
            .wake
            .announce(Signal::Work(queue, self.remote.id));
    }

    fn settled(&self, verdict: &InboxVerdict) -> Settled {
        Settled {
            claimed: self.claimed,
            id: self.delivery.id,
            verdict: verdict.clone(),
        }
    }

    /// Commits a transaction together with what came of the delivery.
    pub(super) async fn settle(
        &self,
        mut tx: Transaction<'_, Postgres>,
        verdict: InboxVerdict,
    ) -> Result<InboxVerdict, Trouble> {
        queue::settle(&mut tx, &[self.settled(&verdict)]).await?;
        tx.commit().await?;
        Ok(verdict)
    }

    /// Settles a delivery that changes nothing.
    pub(super) async fn ignore(&self, reason: &str) -> Result<InboxVerdict, Trouble> {
        let verdict = InboxVerdict::Ignored(reason.to_owned());
        let mut connection = self.worker.pool.acquire().await?;
        queue::settle(&mut connection, &[self.settled(&verdict)]).await?;
        Ok(verdict)
    }
}
