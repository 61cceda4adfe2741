//! Waking those who wait for work: in process, and by NOTIFY from other processes.
//!
//! A wake-up is a hint. Whoever misses one finds the work at the next poll, and every reconnect of the listener wakes everybody.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{PgExecutor, PgPool, postgres::PgListener};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{UnderWay, repair};
use crate::domain::{ConnectionId, GroupId, IssueId, Queue};

/// The channel of Postgres on which processes wake each other.
pub const CHANNEL: &str = "liaison";

const ISSUE_CONTACTS: &str = "issue_contacts";
const CUSTOMERS: &str = "customers";
/// Changes of contacts that a listener may be behind before it is told only that it missed some.
const BEHIND: usize = 1024;

/// Pause between two announcements.
const GATHER: Duration = Duration::from_millis(5);

/// Pause before the listener connects again.
const RECONNECT: Duration = Duration::from_millis(500);

/// What there is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// A queue has work about a connection.
    Work(Queue, ConnectionId),
    /// Webhooks or their secrets changed.
    Webhooks,
    /// The contacts of an issue were set.
    IssueContacts(IssueId),
    /// Contacts, organizations or other items that a group holds changed, or on which issues they are.
    Customers(GroupId),
    /// Somebody asked for a change of many items.
    BulkJobs,
    /// Items have to be compared with those of a portal; Postgres tells it whenever one is marked.
    PortalLinks,
}

impl Signal {
    fn payload(self) -> String {
        match self {
            Self::Work(queue, connection) => format!("{}:{connection}", queue.word()),
            Self::Webhooks => "webhooks".to_owned(),
            Self::BulkJobs => "bulk_jobs".to_owned(),
            Self::PortalLinks => "portal_links".to_owned(),
            Self::IssueContacts(issue) => format!("{ISSUE_CONTACTS}:{issue}"),
            Self::Customers(group) => format!("{CUSTOMERS}:{group}"),
        }
    }

    fn parse(payload: &str) -> Option<Self> {
        if payload == "webhooks" {
            return Some(Self::Webhooks);
        }
        if payload == "bulk_jobs" {
            return Some(Self::BulkJobs);
        }
        if payload == "portal_links" {
            return Some(Self::PortalLinks);
        }
        let (word, connection) = payload.split_once(':')?;
        if word == ISSUE_CONTACTS {
            return Some(Self::IssueContacts(IssueId(connection.parse().ok()?)));
        }
        if word == CUSTOMERS {
            return Some(Self::Customers(GroupId(connection.parse().ok()?)));
        }
        let queue = [Queue::Inbox, Queue::Reply, Queue::Call]
            .into_iter()
            .find(|queue| queue.word() == word)?;
        Some(Self::Work(queue, ConnectionId(connection.parse().ok()?)))
    }
}

/// The bells of one process.
#[derive(Debug)]
pub struct Wake {
    local: HashSet<Queue>,
    bells: Mutex<HashMap<(Queue, ConnectionId), Arc<Notify>>>,
    webhooks: watch::Sender<u64>,
    bulk_jobs: Arc<Notify>,
    portal_links: watch::Sender<u64>,
    /// What other processes are to be told of.
    untold: Mutex<HashSet<Signal>>,
    to_tell: Notify,
    issue_contacts: broadcast::Sender<Option<IssueId>>,
    customers: broadcast::Sender<Option<GroupId>>,
    /// How often something was told of customers.
    customers_told: AtomicU64,
}

impl Wake {
    /// Returns the bells of a process that works the queues of `local` itself.
    pub fn new(local: impl IntoIterator<Item = Queue>) -> Self {
        Self {
            local: local.into_iter().collect(),
            bells: Mutex::default(),
            webhooks: watch::Sender::new(0),
            bulk_jobs: Arc::default(),
            portal_links: watch::Sender::new(0),
            untold: Mutex::default(),
            to_tell: Notify::new(),
            issue_contacts: broadcast::Sender::new(BEHIND),
            customers: broadcast::Sender::new(BEHIND),
            customers_told: AtomicU64::new(0),
        }
    }

    /// Returns the bell for a queue's work about a connection. It keeps one ring for a waiter that is not there yet.
    pub fn bell(&self, queue: Queue, connection: ConnectionId) -> Arc<Notify> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(bells.entry((queue, connection)).or_default())
    }

    /// Returns a receiver that changes whenever webhooks may have changed.
    pub fn webhooks(&self) -> watch::Receiver<u64> {
        self.webhooks.subscribe()
    }

    /// Returns the bell for changes of many items. It keeps one ring for a waiter that is not there yet.
    pub fn bulk_jobs(&self) -> Arc<Notify> {
        Arc::clone(&self.bulk_jobs)
    }

    /// Returns a receiver that changes whenever items may have to be compared with those of a portal.
    pub fn portal_links(&self) -> watch::Receiver<u64> {
        self.portal_links.subscribe()
    }

    /// Returns a receiver of the issues whose contacts were set, in whatever process; none stands for any issue, since some may have been missed.
    pub fn issue_contacts(&self) -> broadcast::Receiver<Option<IssueId>> {
        self.issue_contacts.subscribe()
    }

    /// Returns a receiver of the groups whose customers changed, in whatever process; none stands for any group.
    pub fn customers(&self) -> broadcast::Receiver<Option<GroupId>> {
        self.customers.subscribe()
    }

    /// Returns how often this process was told of changed customers. Whoever reads something and listens later sees by it whether he missed
    /// a change in between.
    pub fn customers_told(&self) -> u64 {
        self.customers_told.load(Ordering::SeqCst)
    }

    fn tell_of_customers(&self, group: Option<GroupId>) {
        // Counted first: who does not see the count yet is told.
        self.customers_told.fetch_add(1, Ordering::SeqCst);
        // Nobody may be listening.
        drop(self.customers.send(group));
    }

    /// Wakes whoever works the queue: in this process if it does, else by NOTIFY, which [`tell`] sends.
    pub fn announce(&self, signal: Signal) {
        match signal {
            Signal::Work(queue, connection) if self.local.contains(&queue) => {
                self.bell(queue, connection).notify_one();
            }
            Signal::Work(..)
            | Signal::Webhooks
            | Signal::IssueContacts(_)
            | Signal::Customers(_)
            | Signal::BulkJobs
            | Signal::PortalLinks => {
                self.untold().insert(signal);
                self.to_tell.notify_one();
            }
        }
    }

    fn untold(&self) -> MutexGuard<'_, HashSet<Signal>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, signal: Signal) {
        match signal {
            Signal::Work(queue, connection) => self.bell(queue, connection).notify_one(),
            Signal::Webhooks => self.webhooks.send_modify(|version| *version += 1),
            Signal::BulkJobs => self.bulk_jobs.notify_one(),
            Signal::PortalLinks => self.portal_links.send_modify(|version| *version += 1),
            // Nobody may be listening.
            Signal::IssueContacts(issue) => drop(self.issue_contacts.send(Some(issue))),
            Signal::Customers(group) => self.tell_of_customers(Some(group)),
        }
    }

    fn ring_all(&self) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.values().for_each(|bell| bell.notify_one());
        drop(bells);
        self.ring(Signal::Webhooks);
        self.ring(Signal::BulkJobs);
        self.ring(Signal::PortalLinks);
        drop(self.issue_contacts.send(None));
        self.tell_of_customers(None);
    }
}

/// Tells other processes what was announced, until `stop`. A NOTIFY makes commits wait for each other, so one tells of all that gathered
/// since the last.
pub async fn tell(pool: PgPool, wake: Arc<Wake>, stop: CancellationToken) {
    loop {
        let told = stop.run_until_cancelled(wake.to_tell.notified()).await;
        let signals: Vec<Signal> = wake.untold().drain().collect();
        if let Err(error) = notify_all(&pool, &signals).await {
            tracing::debug!(%error, "wake-ups could not be sent; the poll finds the work");
        }
        if told.is_none() {
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Wakes other processes by NOTIFY.
pub async fn notify(database: impl PgExecutor<'_>, signal: Signal) -> sqlx::Result<()> {
    sqlx::query!(
        r#"SELECT pg_notify($1, $2) AS "done!: ()""#,
        CHANNEL,
        signal.payload()
    )
    .fetch_one(database)
    .await
    .map(drop)
}

/// Wakes other processes by NOTIFY, with one statement for all.
pub async fn notify_all(pool: &PgPool, signals: &[Signal]) -> sqlx::Result<()> {
    if signals.is_empty() {
        return Ok(());
    }
    let payloads: Vec<String> = signals.iter().map(|signal| signal.payload()).collect();
    sqlx::query!(
        r#"SELECT pg_notify($1, payload) AS "done!: ()" FROM unnest($2::text[]) AS payload"#,
        CHANNEL,
        &payloads,
    )
    .fetch_all(pool)
    .await
    .map(drop)
}

/// Rings the bells for what other processes announce, until `stop`.
///
/// A connection that broke may mean that Postgres crashed, so each new one has lanes put back, as [`repair`] does with what is under way then.
pub async fn listen(
    pool: PgPool,
    wake: Arc<Wake>,
    under_way: impl Fn() -> UnderWay + Send,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        if let Some(error) = session(&pool, &wake, &under_way, &stop).await {
            tracing::debug!(%error, "the listener lost its connection");
            tokio::time::sleep(RECONNECT).await;
        }
    }
}

/// Listens over one connection until it fails, and returns why, or until `stop`. A repair that is begun is finished, since it holds a lock.
async fn session(
    pool: &PgPool,
    wake: &Wake,
    under_way: &(impl Fn() -> UnderWay + Send),
    stop: &CancellationToken,
) -> Option<sqlx::Error> {
    let connected = async {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        sqlx::Result::Ok(listener)
    };
    let mut listener = match stop.run_until_cancelled(connected).await? {
        Ok(listener) => listener,
        Err(error) => return Some(error),
    };
    loop {
        // Connected, for the first time or again: something may have been missed.
        match repair(pool, &under_way()).await {
            Ok(0) => {}
            Ok(lanes) => tracing::info!(lanes, "Postgres was away; its lanes were put back"),
            Err(error) => return Some(error),
        }
        wake.ring_all();
        loop {
            match stop.run_until_cancelled(listener.try_recv()).await? {
                Ok(Some(notification)) => {
                    if let Some(signal) = Signal::parse(notification.payload()) {
                        wake.ring(signal);
                    }
                }
                Ok(None) => break,
                Err(error) => return Some(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_read_back() {
        for signal in [
            Signal::Work(Queue::Inbox, ConnectionId(3)),
            Signal::Work(Queue::Reply, ConnectionId(12)),
            Signal::Work(Queue::Call, ConnectionId(1)),
            Signal::Webhooks,
            Signal::IssueContacts(IssueId(7)),
            Signal::Customers(GroupId(9)),
            Signal::BulkJobs,
            Signal::PortalLinks,
        ] {
            assert_eq!(Signal::parse(&signal.payload()), Some(signal));
        }
        for other in [
            "",
            "inbox",
            "inbox:",
            "inbox:x",
            "outbox:1",
            "issue_contacts:",
            "customers:x",
        ] {
            assert_eq!(Signal::parse(other), None, "{other}");
        }
    }
}
