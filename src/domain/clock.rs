//! Time and ids as parameters, so that tests are exact and never sleep.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// Tells the time and makes ids.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Returns the present moment.
    fn now(&self) -> DateTime<Utc>;
    /// Returns a new id that sorts after every id this clock gave before (UUID version 7, RFC 9562 5.7).
    fn id(&self) -> Uuid;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock {
    context: Mutex<ContextV7>,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn id(&self) -> Uuid {
        // Context and time under one lock: two threads must not get ids in the wrong order.
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        id_at(self.now(), &context)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<DateTime<Utc>>,
    context: Mutex<ContextV7>,
}

impl ManualClock {
    /// Returns a clock that stands at `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self {
            now: Mutex::new(now),
            context: Mutex::default(),
        }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: TimeDelta) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> Uuid {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        id_at(self.now(), &context)
    }
}

fn id_at(now: DateTime<Utc>, context: &ContextV7) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(
        context,
        seconds,
        now.timestamp_subsec_nanos(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_in_the_order_they_were_made() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let ids: Vec<_> = (0..10_000).map(|_| clock.id()).collect();
        assert!(ids.is_sorted());
    }
}
