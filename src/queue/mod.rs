//! The inbox and the outbox: durable work on Postgres, in order per lane.
//!
//! A lane is a row that exists while work of it is unsettled. Whoever sets its lease works it alone, until the lease is released
//! or runs out. A retry keeps its place at the head of the lane. Work ends done, ignored or dead; dead work stays visible and can be
//! replayed. Leases are measured by the clock of the database, which all processes share.
//!
//! Nothing here knows what the work means.

mod arrival;
mod block;
mod follow;
mod inbox;
mod lane;
mod log;
mod open;
mod outbox;
mod prune;
mod wake;

pub use arrival::{Arrival, Expected, Sent, Stored, store};
pub use block::Press;
pub use follow::follow;
pub use inbox::{Delivery, InboxVerdict, Settled, read, settle};
pub use lane::{Claim, Claimed, Release, UnderWay, claim, next_ready, release, repair, take_over};
pub use log::{
    AttemptLog, DeliveryLog, DeliverySummary, EffectLog, LogFilter, bodies, deliveries, delivery,
    replay, through,
};
pub use open::{Opening, open, open_lost};
pub use outbox::{Attempt, NewEffect, Pending, Verdict, enqueue, finish, take, waiting};
pub use prune::{Backlog, Pruned, backlog, prune};
pub use wake::{CHANNEL, Signal, Wake, listen, notify, notify_all, tell};

/// What went wrong between here and the database.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database did not do it.
    #[error("the database did not answer a queue statement")]
    Database(#[from] sqlx::Error),
    /// The lease ran out and somebody else took the work over.
    #[error("the lease on the work ran out; somebody else does it now")]
    LostLease,
}
