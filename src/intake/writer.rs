//! Grouped commits: requests that wait at the same time share one transaction, and each is answered after it.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{
    Problem,
    commit::{COMMIT_TIMEOUT, Committer},
    opener::{Opener, new_in, open_lanes},
};
use crate::queue::{Arrival, Stored, Wake};

/// Writers at work. A lane always has the same one, so that what arrives in order is committed in order, and two groups never hold
/// the same lane or key.
const WRITERS: usize = 2;
/// Arrivals that may wait for each writer; more are refused.
const WAITING: usize = 1024;
/// Most arrivals of one commit.
const GROUP: usize = 256;
/// Most bytes of one commit's bodies.
const GROUP_BYTES: usize = 8 << 20;
/// Longest that a sender waits for his commit: GitLab hangs up after ten seconds.
const PATIENCE: Duration = COMMIT_TIMEOUT;

/// An arrival with who waits for it, and its body's share of the memory, which it keeps until it is stored.
struct Waiting {
    arrival: Arrival,
    answer: oneshot::Sender<Result<Stored, Problem>>,
    share: Option<OwnedSemaphorePermit>,
}

/// The entrance to the writers.
#[derive(Debug, Clone)]
pub struct Writer {
    lanes: Arc<Vec<mpsc::Sender<Waiting>>>,
}

/// The writers' tasks: they end when every [`Writer`] is dropped and all that waits is stored.
pub type WriterTasks = TaskTracker;

impl Writer {
    /// Starts the writers.
    pub fn start(pool: &PgPool, wake: &Arc<Wake>) -> (Self, WriterTasks) {
        let tasks = TaskTracker::new();
        let (opener, stored) = Opener::new();
        tasks.spawn(open_lanes(stored, pool.clone(), Arc::clone(wake)));
        let lanes = (0..WRITERS)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(WAITING);
                tasks.spawn(write(receiver, Committer::new(pool), opener.clone()));
                sender
            })
            .collect();
        tasks.close();
        (
            Self {
                lanes: Arc::new(lanes),
            },
            tasks,
        )
    }

    /// Stores an arrival and returns what became of it, once that is durable.
    ///
    /// # Errors
    /// [`Problem::Unavailable`] when too many wait, or the database does not answer in time.
    pub async fn store(
        &self,
        arrival: Arrival,
        share: Option<OwnedSemaphorePermit>,
    ) -> Result<Stored, Problem> {
        let (answer, stored) = oneshot::channel();
        let writer = arrival.lane.0.unsigned_abs() % self.lanes.len().max(1) as u64;
        let lane = usize::try_from(writer)
            .ok()
            .and_then(|writer| self.lanes.get(writer));
        let lane = lane.ok_or(Problem::Unavailable)?;
        lane.try_send(Waiting {
            arrival,
            answer,
            share,
        })
        .map_err(|_| Problem::Unavailable)?;
        // Groups before this one may have waited long already. What is stored after all is a repeat when it is sent again.
        match tokio::time::timeout(PATIENCE, stored).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(_)) | Err(_) => Err(Problem::Unavailable),
        }
    }
}

async fn write(mut waiting: mpsc::Receiver<Waiting>, mut committer: Committer, opener: Opener) {
    let mut group = Vec::with_capacity(GROUP);
    while gather(&mut waiting, &mut group).await {
        while !group.is_empty() {
            let mut bytes = 0;
            let fits = group
                .iter()
                .take_while(|waiting| {
                    bytes += waiting.arrival.body.len();
                    bytes <= GROUP_BYTES
                })
                .count();
            let rest = group.split_off(fits.max(1));
            commit(std::mem::replace(&mut group, rest), &mut committer, &opener).await;
        }
    }
}

/// Waits for arrivals; returns false when there will be none any more.
async fn gather(waiting: &mut mpsc::Receiver<Waiting>, group: &mut Vec<Waiting>) -> bool {
    let some = waiting.recv_many(group, GROUP).await > 0;
    // Requests that are here already come along, instead of making the next group: where nothing waits, this takes no time.
    tokio::task::yield_now().await;
    while group.len() < GROUP {
        match waiting.try_recv() {
            Ok(arrived) => group.push(arrived),
            Err(_) => break,
        }
    }
    some
}

async fn commit(mut group: Vec<Waiting>, committer: &mut Committer, opener: &Opener) {
    // One order of keys for all groups; repeats of one delivery keep the order of arrival.
    group.sort_unstable_by_key(|Waiting { arrival, .. }| {
        (
            arrival.root,
            arrival.webhook,
            arrival.dedupe_key,
            arrival.id,
        )
    });
    let (arrivals, answers): (Vec<Arrival>, Vec<_>) = group
        .into_iter()
        .map(|waiting| (waiting.arrival, (waiting.answer, waiting.share)))
        .unzip();
    let results = committer.commit(&arrivals).await;
    let new = new_in(&arrivals, &results);
    for ((answer, _share), result) in answers.into_iter().zip(results) {
        // A sender that went away needs no answer.
        let _ = answer.send(result);
    }
    opener.open(new).await;
}
