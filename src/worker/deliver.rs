//! The outbox: effects are made in order per lane, each once, also through crashes.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};
use tracing::Instrument;

use super::{
    Remote, Worker,
    outlet::{Outlet, Reservation},
    pump::Pump,
    reply::Reply,
    retry::persist,
    tell::Told,
    trouble::Trouble,
};
use crate::{
    connector::{
        gitlab::{CallError, Client, Thread},
        messenger::Messenger,
    },
    domain::{Effect, Queue},
    egress::Retry,
    lookup::LookupError,
    queue::{self, Attempt, Pending, Release, Verdict},
    store::{
        StoreError,
        comment::{self, Answer, PostedReply},
    },
    telemetry,
};

/// Attempts that are recorded with one commit.
const GROUP: usize = 256;

/// An attempt that ended, and the answer that it posted.
#[derive(Debug)]
pub(super) struct Finished {
    attempt: Attempt,
    posted: Option<PostedReply>,
}

/// An effect that is to be made now.
pub(super) struct Due {
    pub(super) pending: Pending,
    /// What the answer says, where whoever decided it knows. It is read from the store otherwise.
    pub(super) answer: Option<Answer>,
}

/// What makes the effects that wait for a kind of system.
pub(super) trait Maker: Sized + Send + Sync + 'static {
    /// Makes one effect. `answer` is what an answer says, where whoever decided it knows.
    fn make(
        worker: &Worker,
        remote: &Remote<Self>,
        pending: &Pending,
        answer: Option<Answer>,
    ) -> impl Future<Output = Result<Done, Failure>> + Send;
}

/// Makes the effects of one queue of a tracker until the service stops.
pub async fn deliver(worker: Worker, remote: Arc<Remote>, queue: Queue) {
    run(worker, remote, queue).await;
}

/// Makes the effects of one queue of a messenger until the service stops.
pub async fn deliver_to_messenger(worker: Worker, remote: Arc<Remote<Messenger>>, queue: Queue) {
    run(worker, remote, queue).await;
}

async fn run<C: Maker>(worker: Worker, remote: Arc<Remote<C>>, queue: Queue) {
    let pump = Pump::new(worker.clone(), Arc::clone(&remote), queue);
    let (finish, finished) = mpsc::channel(GROUP);
    worker
        .tasks
        .spawn(record(worker.clone(), Arc::clone(&remote), queue, finished));
    let outlet = Outlet {
        places: Arc::clone(&pump.places),
        behind: Arc::clone(&pump.behind),
        finish: finish.clone(),
    };
    remote.set_outlet(queue, Some(outlet));
    while let Some(load) = pump.next().await {
        let take = || queue::take(&worker.pool, queue, &load.claimed);
        let Some(heads) = persist(&worker, "taking effects", take).await else {
            continue;
        };
        let busy: HashSet<_> = heads
            .iter()
            .map(|head| (head.claimed.root, head.claimed.lane))
            .collect();
        let empty = load
            .claimed
            .iter()
            .filter(|claimed| !busy.contains(&(claimed.root, claimed.lane)));
        let empty: Vec<Release> = empty
            .map(|claimed| Release {
                claimed: *claimed,
                pause: Duration::ZERO,
            })
            .collect();
        if !empty.is_empty() {
            let release = || queue::release(&worker.pool, queue, empty.clone());
            persist(&worker, "giving lanes back", release).await;
        }
        for (pending, place) in heads.into_iter().zip(load.places) {
            worker.at_work.begin([pending.id]);
            let due = Due {
                pending,
                answer: None,
            };
            start(&worker, &remote, due, (place, finish.clone()));
        }
    }
    // The recorder ends after the last sender.
    remote.set_outlet(queue, None);
}

/// Makes an effect that was committed a moment ago, in the place that was kept for it. It must be known to be at work since before that.
pub(super) fn start_at_once(
    worker: &Worker,
    remote: &Arc<Remote>,
    due: Due,
    reservation: Reservation,
) {
    let Reservation { place, finish, .. } = reservation;
    start(worker, remote, due, (place, finish));
}

fn start<C: Maker>(
    worker: &Worker,
    remote: &Arc<Remote<C>>,
    due: Due,
    (place, finish): (OwnedSemaphorePermit, mpsc::Sender<Finished>),
) {
    let (worker, remote) = (worker.clone(), Arc::clone(remote));
    worker.tasks.clone().spawn(async move {
        let finished = attempt(&worker, &remote, due).await;
        // Fails only where the recorder is gone, and it goes last.
        let _ = finish.send(finished).await;
        drop(place);
    });
}

/// Records attempts in groups, and has lanes with more work looked at.
async fn record<C: Maker>(
    worker: Worker,
    remote: Arc<Remote<C>>,
    queue: Queue,
    mut finished: mpsc::Receiver<Finished>,
) {
    let bell = worker.wake.bell(queue, remote.id);
    let mut group = Vec::new();
    while finished.recv_many(&mut group, GROUP).await > 0 {
        let (attempts, posted): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|finished| (finished.attempt, finished.posted))
            .unzip();
        // Before the attempts: what follows in their lanes has to find the answers.
        let posted: Vec<PostedReply> = posted.into_iter().flatten().collect();
        if !posted.is_empty() {
            let remember = || comment::set_posted_replies(&worker.pool, remote.id, &posted);
            persist(&worker, "remembering answers", remember).await;
        }
        let finish = || queue::finish(&worker.pool, queue, &attempts);
        let more = persist(&worker, "recording attempts", finish).await;
        worker
            .at_work
            .end(attempts.iter().map(|attempt| attempt.id));
        if more != Some(false) {
            bell.notify_one();
        }
    }
}

/// Why an effect was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Messenger(#[from] Trouble),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored effect does not read: {0}")]
    Unreadable(String),
    #[error("this connection is of a kind that makes no such calls")]
    Misplaced,
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Call(error) => Self::Call(error),
            LookupError::Store(error) => Self::Store(error),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Failure {
    /// Returns whether the other side asks all calls to slow down, and for how long.
    fn throttle(&self) -> Option<Retry> {
        match self {
            Self::Call(error) => error.is_throttled().then(|| error.retry()),
            Self::Messenger(Trouble::Call(error)) => error.is_throttled().then(|| error.retry()),
            Self::Messenger(_) | Self::Store(_) | Self::Unreadable(_) | Self::Misplaced => None,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Call(error) => error.retry(),
            Self::Messenger(trouble) => trouble.retry(),
            Self::Unreadable(_) | Self::Misplaced | Self::Store(StoreError::Refused { .. }) => {
                Retry::Never
            }
            Self::Store(_) => Retry::Later { after: None },
        }
    }
}

async fn attempt<C: Maker>(worker: &Worker, remote: &Remote<C>, due: Due) -> Finished {
    let Due { pending, answer } = due;
    let at = worker.clock.now();
    let began = Instant::now();
    if let (1, Ok(effect)) = (pending.attempt, &pending.effect) {
        telemetry::record_lag(
            effect.queue().word(),
            (at - pending.created_at).to_std().unwrap_or_default(),
        );
    }
    let kind = match &pending.effect {
        Ok(Effect::Reply { .. }) => "reply",
        Ok(Effect::TellRemoved { .. }) => "tell",
        Ok(Effect::React { .. }) => "react",
        Ok(Effect::Answer { .. }) => "answer",
        Ok(Effect::SettleChat { .. }) => "settle_chat",
        Ok(Effect::EqualizePortal { .. }) => "equalize_portal",
        Ok(Effect::Notify { .. }) => "notify",
        Err(_) => "unreadable",
    };
    let delivery = pending.delivery.map(tracing::field::display);
    let span =
        tracing::info_span!("effect", id = %pending.id, delivery, kind, attempt = pending.attempt);
    let made = AssertUnwindSafe(C::make(worker, remote, &pending, answer))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let _entered = span.entered();
    let mut posted = None;
    let verdict = match made {
        Ok(Ok(done)) => {
            posted = done.posted;
            Verdict::Done(done.outcome.to_owned())
        }
        Ok(Err(failure)) => {
            if let Some(pause) = failure.throttle() {
                remote.pause(pause);
            }
            telemetry::log_chain(&failure);
            give_up_or_wait(
                worker,
                pending.attempt,
                failure.to_string(),
                failure.retry(),
            )
        }
        Err(_panic) => {
            let failed = "an internal error, which is in the log".to_owned();
            give_up_or_wait(
                worker,
                pending.attempt,
                failed,
                Retry::Later { after: None },
            )
        }
    };
    match &verdict {
        Verdict::Done(outcome) => {
            telemetry::count_effect(kind, "done");
            tracing::info!(outcome, "done");
        }
        Verdict::Later(outcome, pause) => {
            telemetry::count_effect(kind, "later");
            tracing::warn!(outcome, pause_s = pause.as_secs(), "to be tried again");
        }
        Verdict::Dead(outcome) => {
            telemetry::count_effect(kind, "dead");
            tracing::error!(outcome, "dead: replay its delivery once the reason is gone");
        }
    }
    Finished {
        attempt: Attempt {
            claimed: pending.claimed,
            id: pending.id,
            number: pending.attempt,
            at,
            took: began.elapsed(),
            verdict,
        },
        posted,
    }
}

fn give_up_or_wait(worker: &Worker, attempt: i16, why: String, retry: Retry) -> Verdict {
    match worker.schedule.next(attempt, retry) {
        Some(pause) => Verdict::Later(why, pause),
        None => Verdict::Dead(why),
    }
}

/// What an effect did.
pub(super) struct Done {
    pub(super) outcome: &'static str,
    pub(super) posted: Option<PostedReply>,
}

impl From<&'static str> for Done {
    fn from(outcome: &'static str) -> Self {
        Self {
            outcome,
            posted: None,
        }
    }
}

impl Maker for Client {
    async fn make(
        worker: &Worker,
        remote: &Remote,
        pending: &Pending,
        answer: Option<Answer>,
    ) -> Result<Done, Failure> {
        match &pending.effect {
            Err(error) => Err(Failure::Unreadable(error.clone())),
            Ok(
                Effect::SettleChat { .. }
                | Effect::EqualizePortal { .. }
                | Effect::Notify { .. }
                | Effect::Answer { .. },
            ) => Err(Failure::Misplaced),
            Ok(Effect::React {
                on,
                reaction,
                cause,
            }) => {
                remote.client.react(on, *reaction, cause.as_deref()).await?;
                Ok("reaction set".into())
            }
            Ok(Effect::TellRemoved {
                project,
                issue,
                contacts,
                note,
                cause,
            }) => {
                let told = Told {
                    on: Thread {
                        project,
                        issue: *issue,
                        discussion: None,
                    },
                    contacts: *contacts,
                    note: *note,
                    cause: cause.as_deref(),
                };
                Ok(told.post(worker, remote, pending.attempt > 1).await?.into())
            }
            Ok(Effect::Reply {
                on,
                reply,
                first,
                link,
                cause,
            }) => {
                let reply = Reply {
                    on,
                    id: *reply,
                    may_be_there: !first || pending.attempt > 1,
                    link: link.as_deref(),
                    cause: cause.as_deref(),
                };
                reply.put(worker, remote, pending, answer).await
            }
        }
    }
}
