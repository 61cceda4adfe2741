//! The outbox: effects are made in order per lane, each once, also through crashes.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use http::StatusCode;
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument;

use super::{Remote, Worker, pump::Pump, retry::persist};
use crate::{
    connector::gitlab::{CallError, Rendered, standing_apart},
    domain::{CommentRef, Effect, Queue, ReplyId},
    egress::Retry,
    lookup::LookupError,
    queue::{self, Attempt, Pending, Release, Verdict},
    store::{
        StoreError,
        comment::{self, Answer},
    },
    telemetry,
};

/// Attempts that are recorded with one commit.
const GROUP: usize = 256;

/// Makes the effects of one queue of a connection until the service stops.
pub async fn deliver(worker: Worker, remote: Arc<Remote>, queue: Queue) {
    let pump = Pump::new(worker.clone(), Arc::clone(&remote), queue);
    let (finish, finished) = mpsc::channel(GROUP);
    worker
        .tasks
        .spawn(record(worker.clone(), Arc::clone(&remote), queue, finished));
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
        let ids = heads.iter().map(|pending| pending.id);
        worker.at_work.ids().extend(ids);
        for (pending, place) in heads.into_iter().zip(load.places) {
            let (worker, remote, finish) = (worker.clone(), Arc::clone(&remote), finish.clone());
            worker.tasks.clone().spawn(async move {
                let attempt = attempt(&worker, &remote, queue, pending).await;
                // The receiver ends after the last sender.
                let _ = finish.send(attempt).await;
                drop(place);
            });
        }
    }
}

/// Records attempts in groups, and has lanes with more work looked at.
async fn record(
    worker: Worker,
    remote: Arc<Remote>,
    queue: Queue,
    mut finished: mpsc::Receiver<Attempt>,
) {
    let bell = worker.wake.bell(queue, remote.id);
    let mut group = Vec::new();
    while finished.recv_many(&mut group, GROUP).await > 0 {
        let group = std::mem::take(&mut group);
        let finish = || queue::finish(&worker.pool, queue, &group);
        persist(&worker, "recording attempts", finish).await;
        for attempt in &group {
            worker.at_work.ids().remove(&attempt.id);
        }
        bell.notify_one();
    }
}

/// Why an effect was not made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored effect does not read: {0}")]
    Unreadable(String),
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
    fn retry(&self) -> Retry {
        match self {
            Self::Call(error) => error.retry(),
            Self::Unreadable(_) | Self::Store(StoreError::Refused { .. }) => Retry::Never,
            Self::Store(_) => Retry::Later { after: None },
        }
    }
}

async fn attempt(worker: &Worker, remote: &Remote, queue: Queue, pending: Pending) -> Attempt {
    let at = worker.clock.now();
    let began = Instant::now();
    if pending.attempt == 1 {
        telemetry::record_lag(
            queue.word(),
            (at - pending.created_at).to_std().unwrap_or_default(),
        );
    }
    let kind = match &pending.effect {
        Ok(Effect::Reply { .. }) => "reply",
        Ok(Effect::React { .. }) => "react",
        Err(_) => "unreadable",
    };
    let delivery = pending.delivery.map(tracing::field::display);
    let span =
        tracing::info_span!("effect", id = %pending.id, delivery, kind, attempt = pending.attempt);
    let made = AssertUnwindSafe(make(worker, remote, &pending))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let _entered = span.entered();
    let verdict = match made {
        Ok(Ok(outcome)) => Verdict::Done(outcome.to_owned()),
        Ok(Err(failure)) => {
            if let Failure::Call(error) = &failure {
                remote.heed(error);
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
    Attempt {
        claimed: pending.claimed,
        id: pending.id,
        number: pending.attempt,
        at,
        took: began.elapsed(),
        verdict,
    }
}

fn give_up_or_wait(worker: &Worker, attempt: i16, why: String, retry: Retry) -> Verdict {
    match worker.schedule.next(attempt, retry) {
        Some(pause) => Verdict::Later(why, pause),
        None => Verdict::Dead(why),
    }
}

async fn make(
    worker: &Worker,
    remote: &Remote,
    pending: &Pending,
) -> Result<&'static str, Failure> {
    match &pending.effect {
        Err(error) => Err(Failure::Unreadable(error.clone())),
        Ok(Effect::React {
            on,
            reaction,
            cause,
        }) => {
            remote.client.react(on, *reaction, cause.as_deref()).await?;
            Ok("reaction set")
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
            reply.put(worker, remote, pending).await
        }
    }
}

/// The answer to a comment, on its way to be as the store has it.
struct Reply<'a> {
    on: &'a CommentRef,
    id: ReplyId,
    /// Whether an earlier attempt may have posted it without living to tell.
    may_be_there: bool,
    link: Option<&'a str>,
    cause: Option<&'a str>,
}

impl Reply<'_> {
    async fn put(
        &self,
        worker: &Worker,
        remote: &Remote,
        pending: &Pending,
    ) -> Result<&'static str, Failure> {
        remote.pace().await;
        let whose = (pending.claimed.root, remote.id);
        let mut connection = worker.pool.acquire().await?;
        // Read now and not when the effect was made: a replay of an old one brings no old text back.
        let answer = comment::answer(&mut connection, whose, &self.on.comment).await?;
        drop(connection);
        let Some(answer) = answer else {
            return Ok("the issue is forgotten, and its answers with it");
        };
        let exposed = self.would_be_exposed(&answer, remote).await?;
        let apart = answer.internal || exposed;
        let mut text = Rendered::body(&answer.lines, self.id);
        if apart {
            text = standing_apart(&text, self.link);
        }
        if let Some(note) = &answer.note {
            return if exposed {
                Ok(
                    "the issue is not confidential any more: the answer, which names customers, stays as it was",
                )
            } else {
                self.edit(remote, note, &text).await
            };
        }
        let found = if self.may_be_there {
            let bot = remote.bot_id(&worker.pool).await?;
            remote.client.find_reply(self.on, self.id, bot).await?
        } else {
            None
        };
        let (note, outcome) = match found {
            Some((note, posted)) if posted.trim() == text.trim() => {
                (note, "answer was posted before")
            }
            Some((note, _)) => {
                self.edit(remote, &note, &text).await?;
                (note, "answer was posted before, and brought up to date")
            }
            None => {
                let hidden = apart || answer.names || answer.comment_internal;
                (
                    self.post(remote, &text, apart, hidden).await?,
                    "answer posted",
                )
            }
        };
        let mut connection = worker.pool.acquire().await?;
        comment::set_posted_reply(&mut connection, whose, &self.on.comment, &note).await?;
        Ok(outcome)
    }

    /// Returns whether the answer, which names customers in an open thread since the issue was confidential, would now be read by others.
    async fn would_be_exposed(&self, answer: &Answer, remote: &Remote) -> Result<bool, Failure> {
        if !answer.names || answer.internal || answer.comment_internal {
            return Ok(false);
        }
        let asked = remote
            .client
            .issue_is_confidential(&self.on.project, self.on.issue);
        Ok(asked.await? == Some(false))
    }

    async fn edit(&self, remote: &Remote, note: &str, text: &str) -> Result<&'static str, Failure> {
        let there = remote
            .client
            .edit_note(self.on, note, text, self.cause)
            .await?;
        Ok(if there {
            "answer brought up to date"
        } else {
            "the answer was deleted over there and stays deleted"
        })
    }

    /// Posts in the thread, or apart; `hidden` is whether readers of the issue at large may not see it.
    async fn post(
        &self,
        remote: &Remote,
        text: &str,
        apart: bool,
        hidden: bool,
    ) -> Result<String, Failure> {
        let post = |on, internal| remote.client.post_reply(on, text, internal, self.cause);
        match post(self.on, apart).await {
            // The thread is gone with the comment: whoever asked still gets the answer, on the issue, where it may stand there.
            Err(CallError::Status { status, .. })
                if status == StatusCode::NOT_FOUND && self.on.discussion.is_some() && !apart =>
            {
                // In a confidential issue an internal note hides nothing from anybody, and needs no more rights than a comment.
                let on = CommentRef {
                    discussion: None,
                    ..self.on.clone()
                };
                let posted = remote.client.post_reply(&on, text, hidden, self.cause);
                Ok(posted.await?)
            }
            other => Ok(other?),
        }
    }
}
