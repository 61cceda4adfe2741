//! The portal's limits: a leaky bucket of requests, and operating time per method.

use std::collections::HashMap;

use liaison::domain::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What the portal takes.
#[derive(Debug)]
pub(crate) struct Limit {
    /// Requests that the bucket holds.
    pub(crate) burst: f64,
    /// Requests that drain in a second.
    pub(crate) per_second: f64,
    /// Seconds that each call of a method takes.
    pub(crate) costs: HashMap<&'static str, f64>,
    /// Seconds until operating time is counted anew.
    pub(crate) reset_in: i64,
    /// How often a request overflowed the bucket.
    pub(crate) overflows: usize,
    spent: HashMap<String, f64>,
    level: f64,
    last: Option<Instant>,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            burst: 1000.0,
            per_second: 1000.0,
            costs: HashMap::new(),
            reset_in: 60,
            overflows: 0,
            spent: HashMap::new(),
            level: 0.0,
            last: None,
        }
    }
}

impl Limit {
    pub(super) fn admit(&mut self) -> bool {
        let now = Instant::now();
        if let Some(last) = self.last {
            let drained = (now - last).as_secs_f64() * self.per_second;
            self.level = (self.level - drained).max(0.0);
        }
        self.last = Some(now);
        if self.level + 1.0 > self.burst + 1e-3 {
            self.overflows += 1;
            return false;
        }
        self.level += 1.0;
        true
    }

    pub(super) fn is_blocked(&self, method: &str) -> bool {
        self.spent.get(method).is_some_and(|spent| *spent >= 480.0)
    }

    pub(super) fn spend(&mut self, method: &str) -> Value {
        let cost = self.costs.get(method).copied().unwrap_or(0.01);
        let spent = self.spent.entry(method.to_owned()).or_default();
        *spent += cost;
        let reset = SystemClock::default().now().timestamp() + self.reset_in;
        json!({ "operating": *spent, "operating_reset_at": reset })
    }
}
