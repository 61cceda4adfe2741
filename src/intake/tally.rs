//! What is counted of each webhook, so that its page says how it does: in memory, and written down every few seconds by one statement, so
//! that neither a delivery nor a flood of wrong ones costs one of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{RootId, WebhookId},
    store::{
        StoreError,
        webhook::{self, Tally},
    },
};

/// How often what was counted is written down.
const EVERY: Duration = Duration::from_secs(3);

/// Counts by webhook.
#[derive(Debug, Clone, Default)]
pub struct Tallies(Arc<Mutex<HashMap<(RootId, WebhookId), Tally>>>);

impl Tallies {
    /// Counts a delivery that was stored.
    pub(super) fn accepted(&self, webhook: (RootId, WebhookId), at: DateTime<Utc>) {
        self.count(webhook, |tally| {
            tally.accepted += 1;
            tally.accepted_at = Some(at);
        });
    }

    /// Counts a request that was turned away.
    pub(super) fn refused(
        &self,
        webhook: (RootId, WebhookId),
        at: DateTime<Utc>,
        why: &'static str,
    ) {
        self.count(webhook, |tally| {
            tally.refused += 1;
            tally.refused_at = Some(at);
            tally.refused_why = Some(why);
        });
    }

    fn count(&self, webhook: (RootId, WebhookId), change: impl FnOnce(&mut Tally)) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(tallies.entry(webhook).or_default());
    }

    fn take(&self) -> Vec<((RootId, WebhookId), Tally)> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<_> = tallies.drain().collect();
        // Rows are changed in one order, whichever process counts.
        taken.sort_unstable_by_key(|(webhook, _)| *webhook);
        taken
    }

    /// Writes down what is counted until `stop`, and then once more. What cannot be written is forgotten: it is a count, not a promise.
    pub async fn keep(self, pool: PgPool, stop: CancellationToken) {
        loop {
            let pause = tokio::time::sleep(EVERY);
            let stopped = stop.run_until_cancelled(pause).await.is_none();
            let taken = self.take();
            if !taken.is_empty()
                && let Err(error) = write(&pool, &taken).await
            {
                tracing::debug!(%error, "counts of webhooks were not written down");
            }
            if stopped {
                return;
            }
        }
    }
}

async fn write(pool: &PgPool, taken: &[((RootId, WebhookId), Tally)]) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    webhook::tally(&mut connection, taken).await
}
