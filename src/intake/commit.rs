//! One commit after the other, over a connection of its own.

use std::time::Duration;

use sqlx::{PgPool, error::DatabaseError};

use super::{Problem, own::Own};
use crate::queue::{self, Arrival, Expected, Press, Stored};

/// Longest that a commit may take.
pub(super) const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);
/// Pause before a group is sent to Postgres again after its connection broke.
const AGAIN: Duration = Duration::from_millis(50);
/// Groups that are expected to hold repeats after one that did: senders that repeat something mostly repeat more.
const WARY: u8 = 16;

/// Stores groups.
pub(super) struct Committer {
    own: Own,
    press: Press,
    /// How many of the next groups are expected to hold repeats.
    wary: u8,
}

enum Failure {
    /// The database answers, and refuses.
    Refused,
    /// The database does not answer.
    Away,
}

impl Committer {
    pub(super) fn new(pool: &PgPool) -> Self {
        Self {
            own: Own::like(pool),
            press: Press::default(),
            wary: 0,
        }
    }

    /// Stores a group durably, and returns what became of each. The group is sorted as [`queue::store`] wants it.
    pub(super) async fn commit(&mut self, arrivals: &[Arrival]) -> Vec<Result<Stored, Problem>> {
        match self.store(arrivals).await {
            Ok(stored) => {
                let is_new = |stored: &Stored| matches!(stored, Stored::New(_));
                self.wary = if stored.iter().all(is_new) {
                    self.wary.saturating_sub(1)
                } else {
                    WARY
                };
                stored.into_iter().map(Ok).collect()
            }
            // The database is there and refuses something: one bad row must not fail the others.
            Err(Failure::Refused) if arrivals.len() > 1 => self.one_by_one(arrivals).await,
            Err(_) => vec![Err(Problem::Unavailable); arrivals.len()],
        }
    }

    async fn store(&mut self, arrivals: &[Arrival]) -> Result<Vec<Stored>, Failure> {
        match tokio::time::timeout(COMMIT_TIMEOUT, self.store_once(arrivals)).await {
            Ok(Ok(stored)) => Ok(stored),
            Ok(Err(error)) => {
                tracing::warn!(%error, deliveries = arrivals.len(), "a group of deliveries could not be stored");
                Err(match error {
                    sqlx::Error::Database(_) => Failure::Refused,
                    _ => Failure::Away,
                })
            }
            Err(_) => {
                tracing::warn!(
                    deliveries = arrivals.len(),
                    "Postgres did not answer in time"
                );
                Err(Failure::Away)
            }
        }
    }

    /// Stores a group over a connection that works: the one that is there may have broken while nobody used it, and trackers do not send
    /// again by themselves. Storing twice is harmless, since a row that is there stays as it is.
    async fn store_once(&mut self, arrivals: &[Arrival]) -> sqlx::Result<Vec<Stored>> {
        loop {
            match self.store_over(arrivals).await {
                Err(sqlx::Error::Io(error)) => tracing::debug!(%error, "a connection broke"),
                Err(sqlx::Error::Database(error)) if is_away(&*error) => {
                    tracing::debug!(%error, "Postgres is away");
                }
                stored => return stored,
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Stores a group and keeps the connection if it can be used again.
    async fn store_over(&mut self, arrivals: &[Arrival]) -> sqlx::Result<Vec<Stored>> {
        let expected = if self.wary > 0 {
            Expected::Repeats
        } else {
            Expected::New
        };
        let mut connection = self.own.take().await?;
        let stored = queue::store(&mut connection, &mut self.press, arrivals, expected).await?;
        self.own.keep(connection);
        Ok(stored)
    }

    async fn one_by_one(&mut self, arrivals: &[Arrival]) -> Vec<Result<Stored, Problem>> {
        let mut results = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let stored = self.store(std::slice::from_ref(arrival)).await;
            let away = matches!(stored, Err(Failure::Away));
            results.push(
                stored
                    .ok()
                    .and_then(|stored| stored.first().copied())
                    .ok_or(Problem::Unavailable),
            );
            if away {
                // The senders of the others have waited long enough.
                break;
            }
        }
        results.resize(arrivals.len(), Err(Problem::Unavailable));
        results
    }
}

/// Returns whether Postgres says that it is full, waits for a lock, or shuts down or takes too long (classes 53, 55 and 57 of its error
/// codes), rather than that a row is wrong.
fn is_away(error: &dyn DatabaseError) -> bool {
    let class = error.code().unwrap_or_default();
    ["53", "55", "57"]
        .iter()
        .any(|away| class.starts_with(away))
}
