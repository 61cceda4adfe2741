//! Grouped commits: requests that wait at the same time share one transaction, and each is answered after it.

use std::{io, sync::Arc, thread, time::Duration};

use sqlx::PgPool;
use tokio::{
    runtime::{self, Runtime},
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
};
use tokio_util::task::TaskTracker;

use super::{
    Problem,
    commit::{COMMIT_TIMEOUT, Committer},
    opener::{Opener, new_in, open_lanes},
    own::Own,
};
use crate::queue::{Arrival, Stored, Wake};

/// Arrivals that may wait; more are refused.
const WAITING: usize = 2048;
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

/// The entrance to the writer. There is one, so that what arrives in order is committed in order, and no two groups hold the same lane or key:
/// while it waits for a commit the next group gathers, and large groups cost least.
#[derive(Debug, Clone)]
pub struct Writer(mpsc::Sender<Waiting>);

/// The writer's tasks: they end when every [`Writer`] is dropped and all that waits is stored.
pub type WriterTasks = TaskTracker;

impl Writer {
    /// Starts the writer on a thread of its own: among all other tasks it would wait behind requests that arrive meanwhile, and Postgres would
    /// wait for it.
    ///
    /// # Errors
    /// Fails where the system has no thread for it.
    pub fn start(pool: &PgPool, wake: &Arc<Wake>) -> io::Result<(Self, WriterTasks)> {
        let tasks = TaskTracker::new();
        let until_done = tasks.clone();
        let (hand_over, handed) = std::sync::mpsc::channel::<Runtime>();
        // Before its runtime is made, which could not be dropped among the tasks of another one if there were no thread for it.
        thread::Builder::new()
            .name("intake".to_owned())
            .spawn(move || {
                handed
                    .recv()
                    .map(|runtime| runtime.block_on(until_done.wait()))
            })?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (opener, stored) = Opener::new();
        let opening = open_lanes(stored, Own::like(pool), Arc::clone(wake));
        tasks.spawn_on(opening, runtime.handle());
        let (sender, receiver) = mpsc::channel(WAITING);
        let writing = write(receiver, Committer::new(pool), opener);
        tasks.spawn_on(writing, runtime.handle());
        tasks.close();
        // The thread waits for it.
        let _ = hand_over.send(runtime);
        Ok((Self(sender), tasks))
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
        let waiting = Waiting {
            arrival,
            answer,
            share,
        };
        self.0.try_send(waiting).map_err(|_| Problem::Unavailable)?;
        // Groups before this one may have waited long already. What is stored after all is a repeat when it is sent again.
        match tokio::time::timeout(PATIENCE, stored).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(_)) | Err(_) => Err(Problem::Unavailable),
        }
    }
}

async fn write(mut waiting: mpsc::Receiver<Waiting>, mut committer: Committer, opener: Opener) {
    let mut gathered = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut gathered, GROUP).await > 0 {
        while !gathered.is_empty() {
            let mut bytes = 0;
            let fits = gathered
                .iter()
                .take_while(|waiting: &&Waiting| {
                    bytes += waiting.arrival.sent.bytes().len();
                    bytes <= GROUP_BYTES
                })
                .count();
            let group = gathered.drain(..fits.max(1)).collect();
            commit(group, &mut committer, &opener).await;
        }
    }
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
    // Before their senders go on: what comes next finds the memory free.
    drop(arrivals);
    for ((answer, _share), result) in answers.into_iter().zip(results) {
        // A sender that went away needs no answer.
        let _ = answer.send(result);
    }
    opener.open(new).await;
}
