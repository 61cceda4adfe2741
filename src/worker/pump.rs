//! Leases lanes for a queue of a connection, as many as can be worked, and waits when there are none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, sleep_until, timeout},
};
use uuid::Uuid;

use super::{Remote, Worker, retry::TROUBLE};
use crate::{
    domain::Queue,
    queue::{self, Claim, Claimed},
};

/// Longest wait without a wake-up; the net under lost notifications.
const POLL: Duration = Duration::from_secs(5);
/// How long lanes may gather before they are leased together, while others are being worked.
const GATHER: Duration = Duration::from_millis(3);

/// Leased lanes, and their places among those worked at the same time.
pub(super) struct Load {
    pub(super) claimed: Vec<Claimed>,
    pub(super) places: Vec<OwnedSemaphorePermit>,
}

/// Leases lanes until the service stops.
pub(super) struct Pump<C> {
    worker: Worker,
    remote: Arc<Remote<C>>,
    queue: Queue,
    /// Lanes worked at the same time.
    most: usize,
    pub(super) places: Arc<Semaphore>,
    /// Whether more lanes may wait than were leased last.
    pub(super) behind: Arc<AtomicBool>,
}

impl<C> Pump<C> {
    pub(super) fn new(worker: Worker, remote: Arc<Remote<C>>, queue: Queue) -> Self {
        // Replies wait for their turn under a lease, which must not run out meanwhile.
        let most = match queue {
            Queue::Reply => remote.comments_within(worker.lease / 3),
            Queue::Inbox | Queue::Call => usize::MAX,
        };
        let most = most.min(worker.concurrency);
        let places = Arc::new(Semaphore::new(most));
        Self {
            worker,
            remote,
            queue,
            most,
            places,
            behind: Arc::default(),
        }
    }

    /// Returns the next lanes to work, or none once the service stops.
    pub(super) async fn next(&self) -> Option<Load> {
        let bell = self.worker.wake.bell(self.queue, self.remote.id);
        loop {
            let places = tokio::select! {
                () = self.worker.stop.cancelled() => return None,
                places = self.free_places() => places,
            };
            if let Some(until) = self.remote.paused_until() {
                tokio::select! {
                    () = self.worker.stop.cancelled() => return None,
                    () = sleep_until(until) => continue,
                }
            }
            let claim = Claim {
                queue: self.queue,
                connection: self.remote.id,
                limit: places.len(),
                lease_for: self.worker.lease,
            };
            let lease: Uuid = self.worker.clock.id();
            let claimed = queue::claim(&self.worker.pool, claim, lease).await;
            let filled = claimed
                .as_ref()
                .is_ok_and(|claimed| claimed.len() == places.len());
            self.behind.store(filled, Ordering::Relaxed);
            let wait = match claimed {
                Ok(claimed) if !claimed.is_empty() => return Some(Load { claimed, places }),
                Ok(_) => self.until_next().await,
                Err(error) => {
                    tracing::warn!(%error, queue = self.queue.word(), "lanes could not be leased");
                    TROUBLE
                }
            };
            drop(places);
            tokio::select! {
                () = self.worker.stop.cancelled() => return None,
                () = bell.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Takes the free places: all at once when few lanes are worked, else after others had a moment to become free too,
    /// since a statement for many lanes costs little more than one for one.
    async fn free_places(&self) -> Vec<OwnedSemaphorePermit> {
        let half = u32::try_from(self.most.div_ceil(2)).unwrap_or(1);
        let gathered = timeout(GATHER, self.places.acquire_many(half)).await;
        drop(gathered);
        let mut places = Vec::new();
        if let Ok(first) = Arc::clone(&self.places).acquire_owned().await {
            places.push(first);
        }
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            places.push(place);
        }
        places
    }

    /// Returns how long to wait for the next lane that is due at a known time.
    async fn until_next(&self) -> Duration {
        match queue::next_ready(&self.worker.pool, self.queue, self.remote.id).await {
            Ok(Some(next)) => next.clamp(Duration::from_millis(1), POLL),
            Ok(None) => POLL,
            Err(_) => TROUBLE,
        }
    }
}
