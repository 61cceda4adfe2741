//! Lanes that were leased together are worked together: the heads of all of them are one group, whose comments are decided on with one
//! transaction.
//!
//! What is no comment, needs a question to the tracker, was tried before, or is in a group that fails, is worked by itself in its lane. So a
//! tracker that hangs and a delivery that is broken keep no other lane waiting.

use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

use super::{
    Remote, Worker,
    comment::Posted,
    decide::decide,
    process::{Failure, Job, Next, record_lag, report, work},
};
use crate::{
    domain::{Comment, Decoded, DeliveryId, Event},
    queue::{Claimed, Delivery, InboxVerdict, Release, Settled},
};

/// A leased lane with its deliveries.
pub(super) struct Leased {
    pub(super) claimed: Claimed,
    pub(super) deliveries: VecDeque<Delivery>,
    /// Its place among the lanes worked at the same time.
    pub(super) place: OwnedSemaphorePermit,
}

/// Who works lanes under a lease.
#[derive(Clone)]
pub(super) struct Crew {
    pub(super) worker: Worker,
    pub(super) remote: Arc<Remote>,
    /// Since when the lanes are leased.
    pub(super) since: Instant,
    /// Where lanes are given back.
    pub(super) release: mpsc::Sender<Release>,
}

impl Crew {
    /// Works lanes of one tenant, their heads together as long as that goes.
    pub(super) async fn work(self, mut lanes: Vec<Leased>) {
        while lanes.len() > 1 && !self.worker.is_worn(self.since) {
            let mut settled = self.settle_heads(&lanes).await;
            let mut going_on = Vec::new();
            for mut lane in lanes {
                let head = lane.deliveries.front().map(|head| head.id);
                match head.and_then(|head| settled.remove(&head)) {
                    None => {
                        let crew = self.clone();
                        let alone = async move { crew.work_alone(lane).await };
                        self.worker.tasks.spawn(alone);
                    }
                    Some(_) => {
                        lane.deliveries.pop_front();
                        if lane.deliveries.is_empty() {
                            self.give_back(lane, Duration::ZERO).await;
                        } else {
                            going_on.push(lane);
                        }
                    }
                }
            }
            lanes = going_on;
        }
        for lane in lanes {
            self.work_alone(lane).await;
        }
    }

    /// Works the deliveries of one lane, one after the other.
    async fn work_alone(&self, lane: Leased) {
        let mut next = Next::GoOn;
        for delivery in &lane.deliveries {
            if self.worker.is_worn(self.since) || next != Next::GoOn {
                break;
            }
            next = Box::pin(work(&self.worker, &self.remote, lane.claimed, delivery)).await;
        }
        match next {
            Next::GoOn => self.give_back(lane, Duration::ZERO).await,
            Next::Rest(pause) => self.give_back(lane, pause).await,
            Next::Leave => {}
        }
    }

    async fn give_back(&self, lane: Leased, pause: Duration) {
        let Leased { claimed, place, .. } = lane;
        // The receiver ends after the last sender.
        let _ = self.release.send(Release { claimed, pause }).await;
        drop(place);
    }

    /// Settles the heads of lanes together, and returns which; all or those that need nothing else, or none.
    async fn settle_heads(&self, lanes: &[Leased]) -> HashMap<DeliveryId, InboxVerdict> {
        let jobs: Vec<Job<'_>> = lanes
            .iter()
            .filter_map(|lane| Some((lane.claimed, lane.deliveries.front()?)))
            // What failed before may fail again, and the others with it.
            .filter(|(_, delivery)| delivery.attempts == 0)
            .map(|(claimed, delivery)| Job::new(&self.worker, &self.remote, claimed, delivery))
            .collect();
        let settled = AssertUnwindSafe(settle_together(&jobs))
            .catch_unwind()
            .await;
        let settled = match settled {
            Ok(Ok(settled)) => settled,
            Ok(Err(failure)) => {
                tracing::debug!(%failure, "a group of deliveries failed; each is worked by itself");
                Vec::new()
            }
            // It is in the log, and is met again by the delivery that it is about.
            Err(_panic) => Vec::new(),
        };
        let verdicts: HashMap<DeliveryId, InboxVerdict> = settled
            .into_iter()
            .map(|settled| (settled.id, settled.verdict))
            .collect();
        for job in &jobs {
            if let Some(verdict) = verdicts.get(&job.delivery.id) {
                record_lag(&self.worker, job.delivery);
                job.span().in_scope(|| report(verdict));
            }
        }
        verdicts
    }
}

/// Settles those of some deliveries that need nothing but the store, with one transaction; returns them.
async fn settle_together(jobs: &[Job<'_>]) -> Result<Vec<Settled>, Failure> {
    let Some(first) = jobs.first() else {
        return Ok(Vec::new());
    };
    let mut ignored = Vec::new();
    let mut comments: Vec<(&Job<'_>, Box<Comment>)> = Vec::new();
    for job in jobs {
        match job.decode() {
            Ok(Decoded::Ignored(reason)) => {
                ignored.push(job.settled(InboxVerdict::Ignored(reason)));
            }
            Ok(Decoded::Event(Event::CommentPosted(comment))) => comments.push((job, comment)),
            Ok(Decoded::Event(_)) | Err(_) => {}
        }
    }
    let mut posted = Vec::new();
    for (job, comment) in &comments {
        let read = Posted::read(job, comment);
        let read = match (read, job.remote.known_bot_id()) {
            (Err(reason), _) => Err(reason),
            // Whether the bot wrote it has to be asked first.
            (Ok(_), None) => continue,
            (Ok(posted), Some(bot)) => match posted.author_is_ignored(bot) {
                Some(reason) => Err(reason),
                None => Ok(posted),
            },
        };
        match read {
            Ok(read) => posted.push(read),
            Err(reason) => ignored.push(job.settled(InboxVerdict::Ignored(reason.to_owned()))),
        }
    }
    if posted.is_empty() && ignored.is_empty() {
        return Ok(Vec::new());
    }
    let decided = decide(first, &posted, ignored, first.fresh()).await?;
    Ok(decided.settled)
}
