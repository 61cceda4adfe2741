//! The loops that work the queues: process understands deliveries, deliver makes calls.
//!
//! Every connection has loops of its own, so that one that hangs keeps nobody else waiting.

mod chat;
mod command;
mod comment;
mod decide;
mod deliver;
mod group;
mod hear;
mod issue;
mod look;
mod lookup;
mod member;
mod message;
mod notice;
mod outlet;
mod portal;
mod process;
mod pump;
mod reconcile;
mod remote;
mod reply;
mod retry;
mod step;
mod strangers;
mod talk;
mod tell;
mod tree;
mod trouble;
mod watching;
mod way;

pub use deliver::{deliver, deliver_to_messenger};
pub use hear::hear;
pub use portal::keep_equal;
pub use process::process;
pub use reconcile::{Hidden, Reconciled, reconcile};
pub use remote::Remote;
pub use retry::Schedule;
pub use step::keep_in_step;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use url::Url;

use crate::{
    crm::Crm,
    domain::{Clock, EffectId},
    queue::{UnderWay, Wake},
};

/// What every loop needs.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The database.
    pub pool: PgPool,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Who wakes the loops, and whom they wake.
    pub wake: Arc<Wake>,
    /// When to try again.
    pub schedule: Schedule,
    /// Lanes worked at the same time, per connection and queue.
    pub concurrency: usize,
    /// How long a lane is leased.
    pub lease: Duration,
    /// How long a level that the tracker told is believed.
    pub level_fresh: Duration,
    /// How long the place of a project is believed.
    pub place_fresh: Duration,
    /// What those may do who are known by an account in a messenger.
    pub crm: Crm,
    /// Where people find the pages of what messages name.
    pub public_url: Url,
    /// The effects that it makes at this moment.
    pub at_work: AtWork,
    /// Whether no other process works on the same database.
    pub alone: bool,
    /// Tasks of the loops; their end is waited for.
    pub tasks: TaskTracker,
    /// Ends the loops.
    pub stop: CancellationToken,
}

/// The effects that a process makes at this moment, from before the call until it is recorded.
#[derive(Debug, Default, Clone)]
pub struct AtWork(Arc<Mutex<HashSet<EffectId>>>);

impl AtWork {
    fn begin(&self, ids: impl IntoIterator<Item = EffectId>) {
        self.ids().extend(ids);
    }

    fn end(&self, ids: impl IntoIterator<Item = EffectId>) {
        let mut at_work = self.ids();
        ids.into_iter().for_each(|id| {
            at_work.remove(&id);
        });
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<EffectId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Returns what may be under way, should Postgres have forgotten all leases.
    pub fn under_way(&self) -> UnderWay {
        UnderWay {
            only: self
                .alone
                .then(|| self.at_work.ids().iter().copied().collect()),
            longest: self.lease,
        }
    }

    /// Returns whether a lease taken at `since` is too old to begin other work under it.
    fn is_worn(&self, since: Instant) -> bool {
        since.elapsed() > self.lease / 3
    }
}
