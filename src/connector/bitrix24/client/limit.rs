//! Keeping to the portal's limits: so many requests a second, and so much operating time per method.
//!
//! A request takes its place in a leaky bucket when it is made and waits for it. A method whose operating time is nearly used up is left alone
//! until the portal's own clock for it starts anew; other methods go on.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Part of a method's operating time after which it is left alone.
const NEARLY: f64 = 0.8;
/// Longest that a request waits for its place; whoever waits longer comes back later instead of holding a lane.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Pause of a method that the portal blocks without saying until when: operating time is counted over ten minutes, minute by minute.
pub(super) const BLOCKED: Duration = Duration::from_mins(1);

/// The portal's limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Requests that may come at once.
    pub burst: u32,
    /// Requests per second in the long run.
    pub per_second: f64,
    /// Operating time of one method within ten minutes.
    pub operating: Duration,
}

impl Default for Limits {
    /// What the portals of ordinary plans allow.
    fn default() -> Self {
        Self {
            burst: 50,
            per_second: 2.0,
            operating: Duration::from_mins(8),
        }
    }
}

/// The requests of one portal.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the bucket will have drained what was put in so far.
    drained: Option<Instant>,
    /// Until when a method is left alone.
    blocked: HashMap<&'static str, Instant>,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Returns when a request that runs these methods may go, and keeps its place.
    ///
    /// # Errors
    /// Returns how long to stay away where that is longer than a request waits; no place is kept then.
    pub(super) fn admit(
        &self,
        methods: &[&'static str],
        now: Instant,
    ) -> Result<Instant, Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.blocked.retain(|_, until| *until > now);
        let blocked = methods
            .iter()
            .filter_map(|method| state.blocked.get(method))
            .max();
        if let Some(until) = blocked {
            return Err(*until - now);
        }
        let drop = Duration::from_secs_f64(1.0 / self.limits.per_second.max(0.001));
        let drained = state.drained.map_or(now, |drained| drained.max(now));
        let room = drop * self.limits.burst.saturating_sub(1);
        let at = drained.checked_sub(room).map_or(now, |at| at.max(now));
        if at - now > LONGEST_WAIT {
            return Err(at - now);
        }
        state.drained = Some(drained + drop);
        Ok(at)
    }

    /// Takes note of a method's operating time as an answer tells it; `resets_in` is when the portal counts anew.
    pub(super) fn learn(
        &self,
        method: &'static str,
        operating: Duration,
        resets_in: Duration,
        now: Instant,
    ) {
        if operating >= self.limits.operating.mul_f64(NEARLY) {
            self.block(method, resets_in, now);
        }
    }

    /// Leaves a method alone for a while.
    pub(super) fn block(&self, method: &'static str, pause: Duration, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now + pause;
        let blocked = state.blocked.entry(method).or_insert(until);
        *blocked = (*blocked).max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter {
        Limiter::new(Limits {
            burst: 5,
            per_second: 2.0,
            operating: Duration::from_mins(8),
        })
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_drains() {
        let (limiter, now) = (limiter(), Instant::now());
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                let at = limiter.admit(&["profile"], now).unwrap();
                u64::try_from((at - now).as_millis()).unwrap()
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 500, 1000, 1500, 2000]);
        // Five seconds later nine have drained: all of the burst is there again.
        let later = now + Duration::from_secs(5);
        for _ in 0..5 {
            assert_eq!(limiter.admit(&["profile"], later), Ok(later));
        }
        assert!(limiter.admit(&["profile"], later).unwrap() > later);
    }

    #[test]
    fn no_second_has_more_than_the_portal_takes() {
        let (limiter, start) = (limiter(), Instant::now());
        let mut now = start;
        let mut sent = Vec::new();
        while sent.len() < 200 {
            match limiter.admit(&["profile"], now) {
                Ok(at) => sent.push((at - start).as_secs_f64()),
                Err(wait) => now += wait,
            }
        }
        // The portal's own bucket, filled by what was sent, never overflows.
        let (mut level, mut last) = (0.0_f64, 0.0);
        for at in sent {
            level = (level - (at - last) * 2.0).max(0.0) + 1.0;
            assert!(level <= 5.0 + 1e-6, "{level} at {at}");
            last = at;
        }
    }

    #[test]
    fn whoever_would_wait_too_long_comes_back_later() {
        let (limiter, now) = (limiter(), Instant::now());
        let admitted = (0..100)
            .filter(|_| limiter.admit(&["profile"], now).is_ok())
            .count();
        // Five at once, and two for each of ten seconds.
        assert_eq!(admitted, 25);
        assert!(limiter.admit(&["profile"], now).unwrap_err() > LONGEST_WAIT);
    }

    #[test]
    fn a_method_that_used_its_time_rests_alone() {
        let (limiter, now) = (limiter(), Instant::now());
        let (update, minute) = ("crm.item.update", Duration::from_mins(1));
        limiter.learn(update, Duration::from_secs(383), minute, now);
        assert!(limiter.admit(&[update], now).is_ok());
        limiter.learn(update, Duration::from_secs(384), minute, now);
        assert_eq!(limiter.admit(&[update], now), Err(minute));
        assert_eq!(limiter.admit(&["profile", update], now), Err(minute));
        assert!(limiter.admit(&["profile"], now).is_ok());
        assert!(limiter.admit(&[update], now + minute).is_ok());
    }
}
