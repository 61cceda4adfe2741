//! The net under lost events: chats that nobody told anything of are looked at now and then.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;

use super::{Remote, Worker, trouble::Trouble};
use crate::{
    connector::messenger::Messenger,
    domain::{FollowUp, Queue},
    queue::Signal,
    store::room,
};

/// How often it is looked whether chats are due.
const LOOK: Duration = Duration::from_secs(30);
/// Chats that are put into the outbox at once; the others follow.
const MANY: i64 = 500;

/// Has every chat of a messenger looked at once in a period, until the service stops.
pub async fn keep_in_step(worker: Worker, remote: Arc<Remote<Messenger>>, period: TimeDelta) {
    loop {
        tokio::select! {
            () = worker.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        match look(&worker, &remote, period).await {
            Ok(0) => {}
            Ok(chats) => tracing::debug!(chats, "chats are looked at that nobody told of lately"),
            Err(error) => tracing::warn!(%error, "chats could not be looked at"),
        }
    }
}

async fn look(
    worker: &Worker,
    remote: &Remote<Messenger>,
    period: TimeDelta,
) -> Result<usize, Trouble> {
    let now = worker.clock.now();
    let mut tx = worker.pool.begin().await?;
    let due = room::due(&mut tx, remote.id, now - period, MANY).await?;
    let looks = due
        .iter()
        .map(|&(root, chat)| (root, FollowUp::look_at_chat(chat, remote.id)));
    worker.have_looked(&mut tx, looks, None).await?;
    tx.commit().await?;
    if !due.is_empty() {
        worker.wake.announce(Signal::Work(Queue::Call, remote.id));
    }
    Ok(due.len())
}
