//! Logs and metrics. Plain values in; no secret, address or text of a person may go in.

mod log;
mod metric;

pub use log::{Format, init, log_chain};
pub use metric::{
    PoolState, count_delivery, count_effect, count_received, observe_backlog, observe_pool,
    record_lag, recorder,
};
