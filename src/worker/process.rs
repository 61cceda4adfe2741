//! The inbox: deliveries are decoded, decided on and settled, in order per lane.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument;

use super::{
    Remote, Worker,
    comment::comment,
    group::{Crew, Leased},
    issue::issue,
    member::member,
    pump::Pump,
    retry::persist,
    tree::tree,
};
use crate::{
    connector::{
        DecodeError,
        gitlab::{self, CallError},
    },
    domain::{Decoded, Event, Queue},
    egress::Retry,
    lookup::LookupError,
    queue::{self, Claimed, Delivery, InboxVerdict, QueueError, Release, Settled},
    store::{StoreError, road::Fresh},
    telemetry,
};

/// Deliveries of one lane that are worked under one lease.
pub(super) const PER_LANE: usize = 20;
/// Lanes whose heads are decided on together.
const TOGETHER: usize = 64;
/// Lanes that are given back with one commit.
pub(super) const GROUP: usize = 256;

/// One delivery at work.
pub(super) struct Job<'a> {
    pub(super) worker: &'a Worker,
    pub(super) remote: &'a Arc<Remote>,
    pub(super) claimed: Claimed,
    pub(super) delivery: &'a Delivery,
    /// The sender's id of the event, which goes back with the calls that follow.
    pub(super) cause: Option<String>,
}

/// Why a delivery is not settled yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Somebody else works the lane by now.
    #[error("the lease ran out")]
    Lost,
    /// It will not work, whenever it is tried.
    #[error("{0}")]
    Hopeless(String),
    /// The other side does not know yet what it told.
    #[error("GitLab does not confirm that the issue was moved")]
    Unconfirmed,
    /// The other side did not say what had to be known.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::LostLease => Self::Lost,
            QueueError::Database(error) => Self::Store(error.into()),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Call(error) => Self::Call(error),
            LookupError::Store(error) => Self::Store(error),
        }
    }
}

impl Failure {
    fn retry(&self) -> Retry {
        match self {
            Self::Hopeless(_) | Self::Store(StoreError::Refused { .. }) => Retry::Never,
            Self::Call(error) => match error.retry() {
                // A question that is refused today may be answered tomorrow: people grant rights.
                Retry::Never => Retry::Later { after: None },
                later @ Retry::Later { .. } => later,
            },
            Self::Lost | Self::Unconfirmed | Self::Store(_) => Retry::Later { after: None },
        }
    }
}

/// Works the inbox of a connection until the service stops.
pub async fn process(worker: Worker, remote: Arc<Remote>) {
    let pump = Pump::new(worker.clone(), Arc::clone(&remote), Queue::Inbox);
    let (release, released) = mpsc::channel(GROUP);
    worker
        .tasks
        .spawn(give_back(worker.clone(), Arc::clone(&remote), released));
    while let Some(load) = pump.next().await {
        let since = Instant::now();
        let read = || queue::read(&worker.pool, &load.claimed, PER_LANE);
        let Some(mut waiting) = persist(&worker, "reading deliveries", read).await else {
            continue;
        };
        let mut lanes: Vec<Leased> = load
            .claimed
            .into_iter()
            .zip(load.places)
            .map(|(claimed, place)| Leased {
                claimed,
                deliveries: waiting
                    .remove(&(claimed.root, claimed.lane))
                    .unwrap_or_default(),
                place,
            })
            .collect();
        lanes.sort_by_key(|lane| lane.claimed.root);
        while let Some(root) = lanes.last().map(|lane| lane.claimed.root) {
            let first = lanes
                .partition_point(|lane| lane.claimed.root < root)
                .max(lanes.len().saturating_sub(TOGETHER));
            let crew = Crew {
                worker: worker.clone(),
                remote: Arc::clone(&remote),
                since,
                release: release.clone(),
            };
            worker.tasks.spawn(crew.work(lanes.split_off(first)));
        }
    }
}

/// Gives lanes back in groups, and has those with more work looked at.
pub(super) async fn give_back<C: Send + Sync>(
    worker: Worker,
    remote: Arc<Remote<C>>,
    mut released: mpsc::Receiver<Release>,
) {
    let bell = worker.wake.bell(Queue::Inbox, remote.id);
    let mut group = Vec::new();
    while released.recv_many(&mut group, GROUP).await > 0 {
        let group = std::mem::take(&mut group);
        let release = || queue::release(&worker.pool, Queue::Inbox, group.clone());
        let more = persist(&worker, "giving lanes back", release).await;
        if more != Some(false) {
            bell.notify_one();
        }
    }
}

/// What is to happen to a lane after one of its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next delivery may be worked.
    GoOn,
    /// The delivery stays at the head and is tried again after a pause.
    Rest(Duration),
    /// The lane is somebody else's by now.
    Leave,
}

/// Works one delivery.
pub(super) async fn work(
    worker: &Worker,
    remote: &Arc<Remote>,
    claimed: Claimed,
    delivery: &Delivery,
) -> Next {
    record_lag(worker, delivery);
    let job = Job::new(worker, remote, claimed, delivery);
    let span = job.span();
    let verdict = AssertUnwindSafe(Box::pin(handle(&job)))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let verdict = match verdict {
        Ok(Ok(outcome)) => {
            span.in_scope(|| report(&outcome));
            return Next::GoOn;
        }
        Ok(Err(Failure::Lost)) => return Next::Leave,
        Ok(Err(failure)) => {
            if let Failure::Call(error) = &failure {
                remote.heed(error);
            }
            span.in_scope(|| telemetry::log_chain(&failure));
            give_up_or_wait(worker, delivery, &failure.to_string(), failure.retry())
        }
        Err(_panic) => {
            let failed = "an internal error, which is in the log";
            give_up_or_wait(worker, delivery, failed, Retry::Later { after: None })
        }
    };
    span.in_scope(|| report(&verdict));
    let settled = async {
        let mut connection = worker.pool.acquire().await.map_err(QueueError::from)?;
        queue::settle(&mut connection, &[job.settled(verdict.clone())]).await
    };
    match (settled.instrument(span).await, verdict) {
        (Ok(()), InboxVerdict::Later(_, pause)) => Next::Rest(pause),
        (Ok(()), _) => Next::GoOn,
        (Err(QueueError::LostLease), _) => Next::Leave,
        (Err(error), _) => {
            tracing::warn!(%error, "what came of a delivery could not be recorded; it is tried again");
            Next::Rest(Duration::from_secs(1))
        }
    }
}

pub(super) fn give_up_or_wait(
    worker: &Worker,
    delivery: &Delivery,
    why: &str,
    retry: Retry,
) -> InboxVerdict {
    match worker.schedule.next(delivery.attempts + 1, retry) {
        Some(pause) => InboxVerdict::Later(why.to_owned(), pause),
        None => InboxVerdict::Dead(why.to_owned()),
    }
}

/// Tells for how long a delivery waited.
pub(super) fn record_lag(worker: &Worker, delivery: &Delivery) {
    let lag = worker.clock.now() - delivery.received_at;
    telemetry::record_lag("inbox", lag.to_std().unwrap_or_default());
}

/// Logs and counts what came of a delivery.
pub(super) fn report(verdict: &InboxVerdict) {
    match verdict {
        InboxVerdict::Done(outcome) => {
            telemetry::count_delivery("done");
            tracing::info!(outcome, "done");
        }
        InboxVerdict::Ignored(outcome) => {
            telemetry::count_delivery("ignored");
            tracing::info!(outcome, "ignored");
        }
        InboxVerdict::Later(outcome, pause) => {
            telemetry::count_delivery("later");
            tracing::warn!(outcome, pause_s = pause.as_secs(), "to be tried again");
        }
        InboxVerdict::Dead(outcome) => {
            telemetry::count_delivery("dead");
            tracing::error!(outcome, "dead: replay it once the reason is gone");
        }
    }
}

fn cause(headers: &str) -> Option<String> {
    let mut headers: BTreeMap<String, String> = serde_json::from_str(headers).ok()?;
    headers.remove("x-gitlab-event-uuid")
}

/// Understands a delivery and settles it together with its changes.
async fn handle(job: &Job<'_>) -> Result<InboxVerdict, Failure> {
    let decoded = job
        .decode()
        .map_err(|error| Failure::Hopeless(error.to_string()))?;
    let event = match decoded {
        Decoded::Event(event) => event,
        Decoded::Ignored(reason) => return job.ignore(reason).await,
    };
    match event {
        Event::CommentPosted(posted) => Box::pin(comment(job, &posted)).await,
        Event::IssueChanged(change) => Box::pin(issue(job, &change)).await,
        Event::MemberChanged { user, summary } => member(job, &user, &summary).await,
        Event::TreeChanged { change, summary } => Box::pin(tree(job, &change, &summary)).await,
    }
}

impl<'a> Job<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        remote: &'a Arc<Remote>,
        claimed: Claimed,
        delivery: &'a Delivery,
    ) -> Self {
        Self {
            worker,
            remote,
            claimed,
            delivery,
            cause: cause(&delivery.headers),
        }
    }

    /// Returns what the delivery means; what its webhook is not for means nothing.
    pub(super) fn decode(&self) -> Result<Decoded, DecodeError> {
        let decoded = gitlab::decode(&self.delivery.body)?;
        Ok(match (&decoded, &self.delivery.events) {
            (Decoded::Event(event), Some(chosen)) if !chosen.contains(&event.sort()) => {
                let word = event.sort().word();
                Decoded::Ignored(format!("the webhook is not for events about {word}"))
            }
            _ => decoded,
        })
    }

    /// Returns what the log of its work is headed with.
    pub(super) fn span(&self) -> tracing::Span {
        let (id, attempt) = (self.delivery.id, self.delivery.attempts + 1);
        tracing::info_span!("delivery", %id, attempt)
    }

    /// Returns the delivery with what came of it.
    pub(super) fn settled(&self, verdict: InboxVerdict) -> Settled {
        Settled {
            claimed: self.claimed,
            id: self.delivery.id,
            verdict,
        }
    }

    /// Returns what may be believed without asking, as of now.
    pub(super) fn fresh(&self) -> Fresh {
        let now = self.worker.clock.now();
        Fresh {
            places: now - self.worker.place_fresh,
            levels: now - self.worker.level_fresh,
            asked: false,
        }
    }

    /// Commits a transaction together with what came of the delivery.
    pub(super) async fn settle(
        &self,
        mut tx: sqlx::Transaction<'_, sqlx::Postgres>,
        verdict: InboxVerdict,
    ) -> Result<InboxVerdict, Failure> {
        queue::settle(&mut tx, &[self.settled(verdict.clone())]).await?;
        tx.commit().await?;
        Ok(verdict)
    }

    /// Settles a delivery that changes nothing.
    pub(super) async fn ignore(&self, reason: impl Into<String>) -> Result<InboxVerdict, Failure> {
        let verdict = InboxVerdict::Ignored(reason.into());
        let mut connection = self.worker.pool.acquire().await?;
        queue::settle(&mut connection, &[self.settled(verdict.clone())]).await?;
        Ok(verdict)
    }
}
