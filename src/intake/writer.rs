//! Grouped commits: requests that wait at the same time share one transaction, and each is answered after it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::{PgPool, error::DatabaseError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::Problem;
use crate::{
    domain::Queue,
    queue::{self, Arrival, Signal, Stored, Wake},
};

/// Writers at work. A lane always has the same one, so that what arrives in order is committed in order, and two groups never hold
/// the same lane or key.
const WRITERS: usize = 2;
/// Arrivals that may wait for each writer; more are refused.
const WAITING: usize = 1024;
/// Most arrivals of one commit.
const GROUP: usize = 256;
/// Most bytes of one commit's bodies.
const GROUP_BYTES: usize = 8 << 20;
/// Pause before a group is sent to Postgres again after its connection broke.
const AGAIN: Duration = Duration::from_millis(50);
/// Longest that a commit may take, and longest that a sender waits for his: GitLab hangs up after ten seconds.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(8);

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
        let lanes = (0..WRITERS)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(WAITING);
                tasks.spawn(write(receiver, pool.clone(), Arc::clone(wake)));
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
        match tokio::time::timeout(COMMIT_TIMEOUT, stored).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(_)) | Err(_) => Err(Problem::Unavailable),
        }
    }
}

async fn write(mut waiting: mpsc::Receiver<Waiting>, pool: PgPool, wake: Arc<Wake>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
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
            commit(std::mem::replace(&mut group, rest), &pool, &wake).await;
        }
    }
}

async fn commit(mut group: Vec<Waiting>, pool: &PgPool, wake: &Wake) {
    // One order of keys for all groups; repeats of one delivery keep the order of arrival.
    group.sort_by_key(|Waiting { arrival, .. }| {
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
    let results = match store(pool, &arrivals).await {
        Ok(stored) => stored.into_iter().map(Ok).collect(),
        // The database is there and refuses something: one bad row must not fail the others.
        Err(Failure::Refused) if arrivals.len() > 1 => one_by_one(pool, &arrivals).await,
        Err(_) => vec![Err(Problem::Unavailable); arrivals.len()],
    };
    let work: HashSet<_> = arrivals
        .iter()
        .zip(&results)
        .filter(|(_, result)| matches!(result, Ok(Stored::New(_) | Stored::Revived(_))))
        .map(|(arrival, _)| arrival.connection)
        .collect();
    for ((answer, _share), result) in answers.into_iter().zip(results) {
        // A sender that went away needs no answer.
        let _ = answer.send(result);
    }
    for connection in work {
        wake.announce(Signal::Work(Queue::Inbox, connection));
    }
}

enum Failure {
    /// The database answers, and refuses.
    Refused,
    /// The database does not answer.
    Away,
}

async fn store(pool: &PgPool, arrivals: &[Arrival]) -> Result<Vec<Stored>, Failure> {
    match tokio::time::timeout(COMMIT_TIMEOUT, store_once(pool, arrivals)).await {
        Ok(Ok(stored)) => Ok(stored),
        Ok(Err(error)) => {
            tracing::warn!(%error, deliveries = arrivals.len(), "a group of deliveries could not be stored");
            Err(match error {
                sqlx::Error::Database(ref refusal) if !is_away(&**refusal) => Failure::Refused,
                _ => Failure::Away,
            })
        }
        Err(_) => {
            tracing::warn!(
                deliveries = arrivals.len(),
                "Postgres did not answer in time"
            );
            Err(Failure::Away)
        }
    }
}

/// Stores a group over a connection that works: those of the pool may have broken while nobody used them, and trackers do not send again by
/// themselves. Storing twice is harmless, since a row that is there stays as it is.
async fn store_once(pool: &PgPool, arrivals: &[Arrival]) -> sqlx::Result<Vec<Stored>> {
    loop {
        match queue::store(pool, arrivals).await {
            Err(sqlx::Error::Io(error)) => tracing::debug!(%error, "a connection broke"),
            Err(sqlx::Error::Database(error)) if is_away(&*error) => {
                tracing::debug!(%error, "Postgres is away");
            }
            stored => return stored,
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Returns whether Postgres says that it is full, waits for a lock, or shuts down or takes too long (classes 53, 55 and 57 of its error
/// codes), rather than that a row is wrong.
fn is_away(error: &dyn DatabaseError) -> bool {
    let class = error.code().unwrap_or_default();
    ["53", "55", "57"]
        .iter()
        .any(|away| class.starts_with(away))
}

async fn one_by_one(pool: &PgPool, arrivals: &[Arrival]) -> Vec<Result<Stored, Problem>> {
    let mut results = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let stored = store(pool, std::slice::from_ref(arrival)).await;
        let away = matches!(stored, Err(Failure::Away));
        results.push(
            stored
                .ok()
                .and_then(|stored| stored.first().copied())
                .ok_or(Problem::Unavailable),
        );
        if away {
            // The senders of the others have waited long enough.
            break;
        }
    }
    results.resize(arrivals.len(), Err(Problem::Unavailable));
    results
}
