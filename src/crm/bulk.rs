//! Changes of many items: asked for, foreseen, worked page by page, stopped.
//!
//! A page is one transaction of a few statements over sets: items locked, decided on, changed, told of, and the place of the job moved on. So
//! what is done is done, and whoever takes a job over after a crash goes on behind it. Messages are counted from the history when the job
//! ends, one for each person.

use std::{sync::Arc, time::Duration};

use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Asker, Crm, CrmError, Outage,
    error::Failure,
    items::known,
    observers::{WatchReport, decide},
    watch::{Decided, reachable},
};
use crate::{
    domain::{BulkJobId, GroupId, OperationId, RootId},
    queue::Signal,
    rules::{self, OnItem, Refused, Right, notices},
    store::{
        bulk_job::{self, BulkTask, Job, NewJob, Progress, Selection},
        item_list, observer,
        operation::Act,
        policy::{self, Policy},
        road::Fresh,
        standing::{self, Held},
    },
};

/// Items of one page.
pub(super) const PAGE: i64 = 2000;
/// How jobs are worked.
#[derive(Debug, Clone)]
pub struct Pace {
    /// How long a worker keeps a job without a sign of life.
    pub lease: Duration,
    /// How often it is looked whether there is a job, beside when the bell rings.
    pub look: Duration,
    /// Rings when somebody asks for one.
    pub bell: Arc<Notify>,
}

impl Pace {
    /// Returns the pace of the service.
    pub fn new(bell: Arc<Notify>) -> Self {
        Self {
            lease: Duration::from_secs(30),
            look: Duration::from_secs(5),
            bell,
        }
    }
}

/// Items that may be named by their ids.
const MAX_IDS: usize = 10_000;

impl Crm {
    /// Asks for a change of many items of a group; whoever works it takes it from here.
    ///
    /// # Errors
    /// [`CrmError::Denied`] below Developer; [`CrmError::Invalid`] where nobody or a stranger is named.
    pub async fn begin_bulk(
        &self,
        asker: Asker,
        group: GroupId,
        task: &BulkTask,
    ) -> Result<BulkJobId, CrmError> {
        check(task)?;
        self.decide(|fresh| self.begin_once(asker, group, task, fresh))
            .await
    }

    async fn begin_once(
        &self,
        asker: Asker,
        group: GroupId,
        task: &BulkTask,
        fresh: Fresh,
    ) -> Result<BulkJobId, Failure> {
        let (root, _, total) = self.may_begin(asker, group, task, fresh).await?;
        let mut connection = self.pool.acquire().await?;
        let new = NewJob {
            root,
            group,
            operation: OperationId(self.clock.id()),
            actor: asker.person,
            via: asker.via,
            task: task.clone(),
            total,
            at: self.clock.now(),
        };
        let id = bulk_job::create(&mut connection, &new).await?;
        drop(connection);
        self.signal(&[Signal::BulkJobs]).await;
        Ok(id)
    }

    /// Returns the tenant, what the asker may do there, and how many items are meant.
    pub(super) async fn may_begin(
        &self,
        asker: Asker,
        group: GroupId,
        task: &BulkTask,
        fresh: Fresh,
    ) -> Result<(RootId, OnItem, i64), Failure> {
        let mut connection = self.pool.acquire().await?;
        let root = standing::root_of_group(&mut connection, group).await?;
        let root = root.ok_or(Refused::NotFound)?;
        let place = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(&mut connection, asker.person, place, fresh)
            .await?;
        rules::may(&access, Right::CreateContacts, "change many items")?;
        if task.task.brings() {
            known(&mut connection, root, &task.task.people()).await?;
        }
        let total = match &task.items {
            Selection::Ids(ids) => i64::try_from(ids.len()).unwrap_or(i64::MAX),
            Selection::Filter(filter) => {
                item_list::count(&mut connection, (root, group), filter).await?
            }
        };
        let on = OnItem {
            access,
            is_member: true,
            is_responsible: false,
            is_observer: false,
        };
        Ok((root, on, total))
    }

    /// Returns a job, for whoever may see the items that it changes.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] for everybody else.
    pub async fn bulk_job(&self, asker: Asker, id: BulkJobId) -> Result<Job, CrmError> {
        let mut connection = self.pool.acquire().await.map_err(outage)?;
        let job = bulk_job::find(&mut connection, id).await.map_err(failed)?;
        drop(connection);
        let job = job.ok_or(CrmError::NotFound)?;
        let access = self.group_access(asker.person, job.root, job.group).await?;
        if access.allows(Right::ViewContacts) {
            Ok(job)
        } else {
            Err(CrmError::NotFound)
        }
    }

    /// Stops a job; what it did stays, and can be taken back.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] for whoever may not see it; [`CrmError::Denied`] below Developer.
    pub async fn stop_bulk(&self, asker: Asker, id: BulkJobId) -> Result<(), CrmError> {
        let job = self.bulk_job(asker, id).await?;
        let access = self.group_access(asker.person, job.root, job.group).await?;
        rules::may(&access, Right::CreateContacts, "stop this")?;
        let mut tx = self.pool.begin().await.map_err(outage)?;
        let job = bulk_job::lock(&mut tx, id).await.map_err(failed)?;
        let Some(job) = job.filter(|job| job.state == "running") else {
            return Ok(());
        };
        let signals = self
            .finish(&mut tx, &job, ("stopped", None))
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(outage)?;
        self.signal(&signals).await;
        Ok(())
    }

    /// Works jobs, one after the other, until `stop`. A job whose worker died is taken over once its lease has run out.
    pub async fn work_bulk(self, pace: Pace, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let worked = match self.claim(pace.lease).await {
                Ok(Some(job)) => self.work(&job, pace.lease, &stop).await,
                Ok(None) => Ok(false),
                Err(failure) => Err(failure),
            };
            match worked {
                Ok(true) => continue,
                Ok(false) => {}
                Err(failure) => {
                    tracing::warn!(?failure, "a change of many items has to be taken up again");
                }
            }
            let bell = tokio::time::timeout(pace.look, pace.bell.notified());
            stop.run_until_cancelled(bell).await;
        }
    }

    async fn claim(&self, lease: Duration) -> Result<Option<Job>, Failure> {
        let mut connection = self.pool.acquire().await?;
        Ok(bulk_job::claim(&mut connection, lease).await?)
    }

    /// Works a job until it ends or the service does.
    async fn work(
        &self,
        job: &Job,
        lease: Duration,
        stop: &CancellationToken,
    ) -> Result<bool, Failure> {
        // Whoever asked for it may have lost the right since.
        let access = self.group_access(job.actor, job.root, job.group).await;
        let on = match access {
            Ok(access) if access.allows(Right::CreateContacts) => OnItem {
                access,
                is_member: true,
                is_responsible: false,
                is_observer: false,
            },
            Ok(_) | Err(CrmError::NotFound) => {
                let mut tx = self.pool.begin().await?;
                let why = "whoever asked for it has no right to change these items any more";
                let signals = self.finish(&mut tx, job, ("failed", Some(why))).await?;
                tx.commit().await?;
                self.signal(&signals).await;
                return Ok(true);
            }
            Err(_) => return Ok(false),
        };
        while !stop.is_cancelled() {
            match self.page(job, on, lease).await {
                // Where somebody changed the same items, the page is decided anew.
                Ok(true) | Err(Failure::Conflict) => {}
                Ok(false) => return Ok(true),
                Err(other) => return Err(other),
            }
        }
        Ok(true)
    }

    /// Works one page; returns whether there may be more.
    async fn page(&self, job: &Job, on: OnItem, lease: Duration) -> Result<bool, Failure> {
        let mut tx = self.pool.begin().await?;
        let now = bulk_job::lock(&mut tx, job.id).await?;
        let Some(now) = now.filter(|now| now.state == "running") else {
            return Ok(false);
        };
        let act = self.act_of(job);
        let looked = self
            .look(&mut tx, (&act, on), &job.task, (now.after, PAGE))
            .await?;
        let Some((last, page, _)) = looked else {
            let mut signals = self.finish(&mut tx, job, ("done", None)).await?;
            tx.commit().await?;
            signals.push(Signal::Customers(job.group));
            self.signal(&signals).await;
            return Ok(false);
        };
        let signals = self.watch_silently(&mut tx, &act, &page.decided).await?;
        let refused: u64 = page.report.refused.values().sum();
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let progress = Progress {
            after: last,
            worked: number(page.report.changed + page.report.same + refused),
            changed: number(page.report.changed),
            refused: number(refused),
            chats: number(page.report.chats),
        };
        bulk_job::advance(&mut tx, job, progress, lease).await?;
        tx.commit().await?;
        self.signal(&signals).await;
        Ok(true)
    }

    /// Locks a page of items and decides on them; none where there are no more.
    pub(super) async fn look(
        &self,
        connection: &mut PgConnection,
        (act, on): (&Act, OnItem),
        task: &BulkTask,
        (above, limit): (i64, i64),
    ) -> Result<Option<(i64, Page, Policy)>, Failure> {
        let holder = (act.root, act.group);
        let ids = match &task.items {
            Selection::Ids(ids) => {
                let next = ids.iter().copied().filter(|id| *id > above);
                next.take(usize::try_from(limit).unwrap_or_default())
                    .collect()
            }
            Selection::Filter(filter) => {
                item_list::ids_above(connection, holder, filter, (above, limit)).await?
            }
        };
        let Some(&last) = ids.last() else {
            return Ok(None);
        };
        let policy = policy::of_group(connection, act.root, act.group).await?;
        let messenger = policy.messenger.map(|(_, kind)| kind);
        let ids = observer::those_in_group(connection, holder, &ids).await?;
        let seen = observer::lock(connection, act.root, &ids, messenger).await?;
        let mut page = Page::default();
        let who = act
            .actor
            .map(|actor| (on, actor))
            .ok_or(Refused::NotFound)?;
        for seen in &seen {
            let one = decide(seen, &task.task, who, act, policy.policies);
            page.report.add(seen.watched.item, &one);
            page.decided
                .extend(one.ok().filter(|one| !one.watching.changes.is_empty()));
        }
        // Nobody reads these of a hundred thousand items.
        page.report.outcomes.clear();
        Ok(Some((last, page, policy)))
    }

    /// Ends a job, and tells each person once what it did.
    async fn finish(
        &self,
        connection: &mut PgConnection,
        job: &Job,
        end: (&'static str, Option<&str>),
    ) -> Result<Vec<Signal>, Failure> {
        let act = self.act_of(job);
        let told = bulk_job::digest(connection, job.root, job.operation).await?;
        let people: Vec<_> = told.iter().map(|(person, _)| *person).collect();
        let policy = policy::of_group(connection, job.root, job.group).await?;
        let reachable = reachable(connection, &policy, &people).await?;
        let why = (act.actor, act.via, act.operation);
        let messages = notices(told, &reachable, why);
        let signals = self.enqueue(connection, &act, messages).await?;
        bulk_job::end(connection, job, end, act.at).await?;
        Ok(signals)
    }

    /// Returns the frame of a job's operation; all its pages are part of it.
    fn act_of(&self, job: &Job) -> Act {
        let asker = Asker {
            person: job.actor,
            via: job.via,
        };
        Act {
            operation: job.operation,
            ..self.act(asker, job.root, job.group)
        }
    }
}

/// A page of items, decided on.
#[derive(Default)]
pub(super) struct Page {
    pub(super) report: WatchReport,
    pub(super) decided: Vec<Decided>,
}

pub(super) fn check(task: &BulkTask) -> Result<(), Refused> {
    task.task.check()?;
    match &task.items {
        Selection::Ids(ids) if ids.len() > MAX_IDS => {
            let reason = format!("You can only name up to {MAX_IDS} items; use a filter for more");
            Err(Refused::because(reason))
        }
        Selection::Ids(ids) if !ids.is_sorted() => Err(Refused::because(
            "The items have to be in the order of their ids",
        )),
        _ => Ok(()),
    }
}

pub(super) fn outage(error: sqlx::Error) -> CrmError {
    CrmError::Unavailable(Outage::Store(error.into()))
}

pub(super) fn failed(failure: impl Into<Failure>) -> CrmError {
    match failure.into() {
        Failure::Refused(refused) => refused.into(),
        Failure::Store(error) => CrmError::Unavailable(Outage::Store(error)),
        Failure::Changed => CrmError::Changed,
        Failure::Ask(_) | Failure::Conflict => CrmError::Unavailable(Outage::Busy),
    }
}
