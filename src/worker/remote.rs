//! A connection at run time: its client, who the bot is there, and what the other side asked us to keep to.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sqlx::PgPool;
use tokio::{sync::OnceCell, time::Instant};
use uuid::Uuid;

use super::outlet::{Outlet, Reservation};
use crate::{
    connector::gitlab::{CallError, Client},
    domain::{ConnectionId, Queue},
    egress::Retry,
    lookup::LookupError,
    store::{StoreError, connection},
};

/// A connection at run time.
#[derive(Debug)]
pub struct Remote {
    /// The connection.
    pub id: ConnectionId,
    /// The bot's username there.
    pub bot: String,
    /// Whether comments of other bots run commands.
    pub allow_bots: bool,
    /// Its client.
    pub client: Client,
    bot_id: OnceCell<String>,
    pace: DefaultDirectRateLimiter,
    /// Time between two comments once the burst is used up.
    interval: Duration,
    paused_until: Mutex<Option<Instant>>,
    outlets: Mutex<HashMap<Queue, Outlet>>,
}

impl Remote {
    /// Returns the connection with its limits. `bot_id` is the bot's immutable id where it was asked before.
    ///
    /// Of the comments that may be written in a minute a fifth may come at once, so that no minute, wherever it begins, has more than allowed.
    pub fn new(
        (id, client): (ConnectionId, Client),
        (bot, bot_id): (String, Option<String>),
        allow_bots: bool,
        notes_per_minute: u32,
    ) -> Self {
        let burst = NonZeroU32::new(notes_per_minute / 5).unwrap_or(NonZeroU32::MIN);
        let steady = notes_per_minute.saturating_sub(burst.get()).max(1);
        let interval = Duration::from_mins(1) / steady;
        let quota = Quota::with_period(interval.max(Duration::from_nanos(1)))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        Self {
            id,
            bot,
            allow_bots,
            client,
            bot_id: OnceCell::new_with(bot_id),
            pace: RateLimiter::direct(quota),
            interval,
            paused_until: Mutex::default(),
            outlets: Mutex::default(),
        }
    }

    /// Returns the bot's immutable id, asked once and remembered.
    pub async fn bot_id(&self, pool: &PgPool) -> Result<&str, LookupError> {
        let ask = async {
            let bot = self.client.whoami().await?;
            if !bot.username.eq_ignore_ascii_case(&self.bot) {
                tracing::warn!(
                    configured = self.bot,
                    actual = bot.username,
                    "the token belongs to another account than the configured bot: people mention the configured one"
                );
            }
            let mut connection = pool.acquire().await.map_err(StoreError::from)?;
            connection::set_bot(&mut connection, self.id, &bot.id).await?;
            Ok(bot.id)
        };
        self.bot_id
            .get_or_try_init(|| ask)
            .await
            .map(String::as_str)
    }

    /// Returns the bot's immutable id, if it was asked before.
    pub(super) fn known_bot_id(&self) -> Option<&str> {
        self.bot_id.get().map(String::as_str)
    }

    /// Returns how many comments may be written within a time, one at least.
    pub(super) fn comments_within(&self, time: Duration) -> usize {
        let comments = time.as_nanos() / self.interval.as_nanos().max(1);
        usize::try_from(comments).unwrap_or(usize::MAX).max(1)
    }

    /// Waits until another comment may be written.
    pub(super) async fn pace(&self) {
        self.pace.until_ready().await;
    }

    /// Takes note of a failure: where the other side asks all calls to slow down, the connection pauses.
    pub(super) fn heed(&self, error: &CallError) {
        if !error.is_throttled() {
            return;
        }
        let pause = match error.retry() {
            Retry::Later { after: Some(after) } => after,
            // A limit without a word on when it ends: GitLab's are per minute.
            Retry::Later { after: None } | Retry::Never => Duration::from_secs(15),
        };
        let until = Instant::now() + pause;
        let mut paused = self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *paused = Some(paused.map_or(until, |before| before.max(until)));
    }

    /// Returns the moment until which no call should be made, if there is one.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        let paused = self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        paused.filter(|until| *until > Instant::now())
    }

    /// Opens or closes the short way to a queue's calls.
    pub(super) fn set_outlet(&self, queue: Queue, outlet: Option<Outlet>) {
        let mut outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        match outlet {
            Some(outlet) => drop(outlets.insert(queue, outlet)),
            None => drop(outlets.remove(&queue)),
        }
    }

    /// Returns a place for an effect that is made as soon as it is committed, if this process makes calls of the queue and nothing waits.
    pub(super) fn reserve(&self, queue: Queue, lease: Uuid) -> Option<Reservation> {
        if self.paused_until().is_some() {
            return None;
        }
        let outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        outlets.get(&queue)?.reserve(lease)
    }
}
