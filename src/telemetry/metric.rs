//! Metrics, in Prometheus' text form.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Buckets of the lag histograms, in seconds.
const LAG_BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0,
];

/// How a pool of database connections stands.
#[derive(Debug, Clone, Copy)]
pub struct PoolState {
    /// Open connections.
    pub open: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
}

/// Installs the recorder of this process; what it recorded is rendered from the handle.
///
/// # Errors
/// Fails when a recorder is installed already.
pub fn recorder() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_lag_seconds".into()), &LAG_BUCKETS)?
        .install_recorder()
}

/// Counts a webhook request by what it was answered.
pub fn count_received(answer: &'static str) {
    counter!("liaison_received_total", "answer" => answer).increment(1);
}

/// Counts a processed delivery by what came of it.
pub fn count_delivery(outcome: &'static str) {
    counter!("liaison_deliveries_total", "outcome" => outcome).increment(1);
}

/// Counts an attempt at an effect by its kind and what came of it.
pub fn count_effect(kind: &'static str, outcome: &'static str) {
    counter!("liaison_effect_attempts_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// Records how long work waited in a queue before it was started.
pub fn record_lag(queue: &'static str, lag: Duration) {
    histogram!("liaison_queue_lag_seconds", "queue" => queue).record(lag.as_secs_f64());
}

/// Records how much work of a queue waits, and the age of the oldest, in seconds.
pub fn observe_backlog(queue: &'static str, waiting: i64, oldest: f64) {
    gauge!("liaison_queue_waiting", "queue" => queue)
        .set(f64::from(u32::try_from(waiting).unwrap_or(u32::MAX)));
    gauge!("liaison_queue_oldest_seconds", "queue" => queue).set(oldest);
}

/// Records how the pool of database connections stands.
pub fn observe_pool(state: PoolState) {
    gauge!("liaison_database_connections", "state" => "open").set(f64::from(state.open));
    gauge!("liaison_database_connections", "state" => "idle").set(f64::from(state.idle));
}
