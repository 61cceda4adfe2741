//! When to try again.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use super::Worker;
use crate::egress::Retry;

/// Wait after the database failed.
pub(super) const TROUBLE: Duration = Duration::from_millis(500);

/// Longest that a remote system's wish for a pause is followed.
const MAX_PAUSE: Duration = Duration::from_hours(1);

/// The pauses between attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Pauses after the first, second … attempt; the last one repeats.
    pub pauses: Vec<Duration>,
    /// Attempts before work is dead.
    pub attempts: i16,
}

impl Schedule {
    /// Returns the pause after attempt number `attempt` (from 1), or none where it was the last.
    ///
    /// `chance` is from 0 to 1 and varies the pause by a fifth, so that work that failed together does not return together.
    /// A pause that the remote system asked for is kept as a minimum.
    pub fn pause(&self, attempt: i16, retry: Retry, chance: f64) -> Option<Duration> {
        let Retry::Later { after } = retry else {
            return None;
        };
        if attempt >= self.attempts {
            return None;
        }
        let index = usize::try_from(attempt.max(1) - 1).unwrap_or(usize::MAX);
        let planned = self
            .pauses
            .get(index)
            .or(self.pauses.last())
            .copied()
            .unwrap_or_default();
        let varied = planned.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0));
        Some(
            varied
                .max(after.unwrap_or_default())
                .min(MAX_PAUSE.max(varied)),
        )
    }

    /// The same with chance from the system.
    pub(super) fn next(&self, attempt: i16, retry: Retry) -> Option<Duration> {
        self.pause(attempt, retry, rand::rng().random())
    }
}

/// Has the database do something about leased lanes, again until it is done: Postgres may be restarting.
///
/// Returns none where the service stops, or the leases are too old to begin anything under them; then they run out.
pub(super) async fn persist<T, F: Future<Output = sqlx::Result<T>>>(
    worker: &Worker,
    what: &str,
    mut work: impl FnMut() -> F,
) -> Option<T> {
    let since = Instant::now();
    loop {
        let error = match work().await {
            Ok(done) => return Some(done),
            Err(error) => error,
        };
        let closed = matches!(error, sqlx::Error::PoolClosed);
        if closed || worker.stop.is_cancelled() || worker.is_worn(since) {
            tracing::warn!(%error, "{what} failed; the leases run out");
            return None;
        }
        tracing::warn!(%error, "{what} failed; trying again");
        tokio::time::sleep(TROUBLE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let schedule = Schedule {
            pauses: [2, 10, 60].map(Duration::from_secs).to_vec(),
            attempts: 5,
        };
        let later = |after: Option<u64>| Retry::Later {
            after: after.map(Duration::from_secs),
        };
        for (attempt, retry, chance, expected) in [
            (1, later(None), 0.5, Some(2.0)),
            (2, later(None), 0.0, Some(8.0)),
            (2, later(None), 1.0, Some(12.0)),
            (4, later(None), 0.5, Some(60.0)),
            (5, later(None), 0.5, None),
            (1, Retry::Never, 0.5, None),
            (1, later(Some(30)), 0.5, Some(30.0)),
            (1, later(Some(1)), 0.5, Some(2.0)),
            (1, later(Some(90_000)), 0.5, Some(3600.0)),
        ] {
            let pause = schedule
                .pause(attempt, retry, chance)
                .map(|pause| pause.as_secs_f64());
            assert_eq!(pause, expected, "{attempt} {retry:?} {chance}");
        }
    }
}
