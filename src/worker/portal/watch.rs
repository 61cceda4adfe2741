//! When items are compared with those of a portal: soon after one changed here or there, and all of them now and then.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::{
    connector::{
        bitrix24::{Client, PAGE, PortalItem},
        messenger::Messenger,
    },
    domain::{FollowUp, ItemId, Queue, RootId},
    queue::Signal,
    store::portal::{self, Watched},
    worker::{Remote, Worker, trouble::Trouble},
};

/// Pause after items that changed here were looked for, in which further ones gather.
const GATHER: Duration = Duration::from_secs(1);
/// How often they are looked for though nobody told of any.
const LOOK: Duration = Duration::from_mins(1);
/// How often all links are looked through for what nobody told.
const SWEEP: Duration = Duration::from_mins(10);
/// Links that are taken at a time.
const TAKEN: i64 = 100;

/// Puts comparisons into the outbox, unless one waits that will see what happened.
pub(in crate::worker) async fn have_equalized(
    worker: &Worker,
    remote: &Remote<Messenger>,
    connection: &mut PgConnection,
    links: &[(RootId, ItemId)],
) -> Result<(), Trouble> {
    let looks = links
        .iter()
        .map(|&(root, item)| (root, FollowUp::look_at_portal_item(item, remote.id)))
        .collect();
    worker.have_looked_once(connection, looks, None).await?;
    Ok(())
}

/// Has items compared that changed here, and now and then all that differ though nobody told, until the service stops.
pub async fn keep_equal(worker: Worker, remote: Arc<Remote<Messenger>>) {
    let Messenger::Bitrix24(client) = remote.client.clone() else {
        return;
    };
    let mut swept = Instant::now();
    let mut marks = worker.wake.portal_links();
    loop {
        // What was told up to now is seen by this look.
        marks.mark_unchanged();
        if let Err(error) = take_due(&worker, &remote).await {
            tracing::warn!(%error, "items that changed could not be looked for");
        }
        if swept.elapsed() >= SWEEP {
            swept = Instant::now();
            if let Err(error) = sweep(&worker, &remote, &client).await {
                tracing::warn!(%error, "the items of the portal could not be looked through");
            }
        }
        let next = async {
            tokio::time::sleep(GATHER).await;
            // The sender is the worker's own.
            let _ = tokio::time::timeout(LOOK, marks.changed()).await;
        };
        if worker.stop.run_until_cancelled(next).await.is_none() {
            return;
        }
    }
}

async fn take_due(worker: &Worker, remote: &Remote<Messenger>) -> Result<(), Trouble> {
    loop {
        let mut tx = worker.pool.begin().await?;
        let due = portal::take_due(&mut tx, remote.id, TAKEN).await?;
        if due.is_empty() {
            return Ok(());
        }
        have_equalized(worker, remote, &mut tx, &due).await?;
        tx.commit().await?;
        worker.wake.announce(Signal::Work(Queue::Call, remote.id));
    }
}

/// Marks the links whose items the portal has otherwise than when they were last compared: an event of it may be lost.
async fn sweep(
    worker: &Worker,
    remote: &Remote<Messenger>,
    client: &Client,
) -> Result<(), Trouble> {
    let mut after = (RootId(0), ItemId(0));
    loop {
        let mut connection = worker.pool.acquire().await?;
        let links = portal::after(&mut connection, remote.id, after, TAKEN).await?;
        drop(connection);
        let Some(last) = links.last() else {
            return Ok(());
        };
        after = (last.root, last.item);
        let mut by_type: HashMap<i64, Vec<&Watched>> = HashMap::new();
        for link in &links {
            by_type.entry(link.entity_type).or_default().push(link);
        }
        let mut differ = Vec::new();
        for (entity_type, links) in by_type {
            for page in links.chunks(PAGE) {
                let ids: Vec<String> = page.iter().map(|link| link.remote_id.clone()).collect();
                let there = client.portal_items(entity_type, &ids).await?;
                let others = page.iter().filter(|link| is_other(link, &there));
                differ.extend(others.map(|link| (link.root, link.item)));
            }
        }
        let mut connection = worker.pool.acquire().await?;
        portal::set_due(&mut connection, &differ).await?;
    }
}

fn is_other(link: &Watched, there: &[PortalItem]) -> bool {
    let found = there.iter().find(|item| item.id == link.remote_id);
    found.is_none_or(|item| {
        let observers: BTreeSet<String> = item.observers.iter().cloned().collect();
        observers != link.seen.observers || item.responsible != link.seen.responsible
    })
}
