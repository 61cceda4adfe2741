//! The short way from a decision to the calls that follow from it: where nothing waits before them, they are made as soon as they are
//! committed, without being looked for and taken.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sqlx::PgConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use uuid::Uuid;

use super::{
    deliver::{Due, Finished, start_at_once},
    process::{Failure, Job},
};
use crate::{
    domain::{EffectId, Queue},
    queue::{self, NewEffect, Pending, Signal},
    store::comment::Answer,
};

/// Where the effects of one queue of a connection are made in this process.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    /// One per lane worked at the same time.
    pub(super) places: Arc<Semaphore>,
    /// Whether more lanes wait than there were places: then new ones have to wait behind them.
    pub(super) behind: Arc<AtomicBool>,
    /// Where attempts are recorded.
    pub(super) finish: mpsc::Sender<Finished>,
}

/// A place for an effect that is about to be committed.
#[derive(Debug)]
pub(super) struct Reservation {
    /// The lease for its lane.
    pub(super) lease: Uuid,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) finish: mpsc::Sender<Finished>,
}

impl Outlet {
    /// Returns a place, unless all are taken or others wait for one.
    pub(super) fn reserve(&self, lease: Uuid) -> Option<Reservation> {
        if self.behind.load(Ordering::Relaxed) {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Reservation {
            lease,
            place,
            finish: self.finish.clone(),
        })
    }
}

/// Effects of a transaction, on their way to be made.
pub(super) struct Calls<'a> {
    job: &'a Job<'a>,
    /// Those that are made as soon as they are committed.
    at_once: Vec<(Pending, Reservation)>,
    /// Queues in which others wait to be found.
    waiting: HashSet<Queue>,
}

impl<'a> Calls<'a> {
    /// Puts effects into the outbox, with leases for those that there is a place for. They are in different lanes.
    pub(super) async fn put(
        job: &'a Job<'a>,
        connection: &mut PgConnection,
        mut effects: Vec<NewEffect>,
    ) -> Result<Self, Failure> {
        let worker = job.worker;
        let mut reserved = HashMap::new();
        for new in &mut effects {
            let reservation = job.remote.reserve(new.effect.queue(), worker.clock.id());
            new.lease = reservation.as_ref().map(|reservation| reservation.lease);
            reserved.extend(reservation.map(|reservation| (new.id, reservation)));
        }
        let queues: Vec<(EffectId, Queue)> = effects
            .iter()
            .map(|new| (new.id, new.effect.queue()))
            .collect();
        let root = job.claimed.root;
        let now = worker.clock.now();
        let pending = if effects.is_empty() {
            Vec::new()
        } else {
            queue::enqueue(connection, root, effects, now, worker.lease).await?
        };
        let at_once: Vec<_> = pending
            .into_iter()
            .filter_map(|pending| {
                let reservation = reserved.remove(&pending.id)?;
                Some((pending, reservation))
            })
            .collect();
        let made: HashSet<EffectId> = at_once.iter().map(|(pending, _)| pending.id).collect();
        let waiting = queues
            .into_iter()
            .filter_map(|(id, queue)| (!made.contains(&id)).then_some(queue))
            .collect();
        // Before the commit: nobody may take a leased effect for one that its maker has forgotten.
        worker
            .at_work
            .begin(at_once.iter().map(|(pending, _)| pending.id));
        Ok(Self {
            job,
            at_once,
            waiting,
        })
    }

    /// Makes the calls, now that they are committed. `answers` tells what those say of which it is known.
    pub(super) fn make(mut self, answers: impl IntoIterator<Item = (EffectId, Answer)>) {
        let Job { worker, remote, .. } = self.job;
        let mut answers: HashMap<EffectId, Answer> = answers.into_iter().collect();
        for (pending, reservation) in self.at_once.drain(..) {
            let answer = answers.remove(&pending.id);
            start_at_once(worker, remote, Due { pending, answer }, reservation);
        }
        for queue in &self.waiting {
            let signal = Signal::Work(*queue, remote.id);
            worker.wake.announce(signal);
        }
    }
}

impl Drop for Calls<'_> {
    /// What was not made was rolled back.
    fn drop(&mut self) {
        let left = self.at_once.iter().map(|(pending, _)| pending.id);
        self.job.worker.at_work.end(left);
    }
}
