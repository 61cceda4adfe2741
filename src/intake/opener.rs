//! Has what was stored worked: opens its lanes, for several commits at once, and wakes whoever works them.
//!
//! Senders have their answers by then. If the process is killed in between, whoever looks for lost lanes next opens these.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{Problem, commit::COMMIT_TIMEOUT, own::Own};
use crate::{
    domain::{ConnectionId, Queue},
    queue::{self, Arrival, Opening, Signal, Stored, Wake},
};

/// Commits whose lanes may wait; the writer waits then too.
const WAITING: usize = 64;
/// Pause after lanes were opened, in which further ones gather.
const GATHER: Duration = Duration::from_millis(5);
/// That pause after many were opened: a statement costs as much as opening some dozens of lanes by it.
const GATHER_MANY: Duration = Duration::from_millis(20);
/// How many are many.
const MANY: usize = 16;
/// Pause before lanes that could not be opened are tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Where a commit brought something new.
pub(super) type New = (ConnectionId, Opening);

/// The entrance to the opener.
#[derive(Debug, Clone)]
pub(super) struct Opener(mpsc::Sender<Vec<New>>);

impl Opener {
    /// Returns the entrance, and what comes through it for [`open_lanes`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Vec<New>>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Has lanes opened.
    pub(super) async fn open(&self, new: Vec<New>) {
        if !new.is_empty() {
            // The opener ends after the writer.
            let _ = self.0.send(new).await;
        }
    }
}

/// Returns where a commit brought something new.
pub(super) fn new_in(arrivals: &[Arrival], results: &[Result<Stored, Problem>]) -> Vec<New> {
    let results = arrivals.iter().zip(results);
    let new = results
        .filter(|(_, result)| matches!(result, Ok(Stored::New(_) | Stored::Revived(_))))
        .map(|(arrival, _)| {
            let opening = Opening {
                root: arrival.root,
                webhook: arrival.webhook,
                lane: arrival.lane,
            };
            (arrival.connection, opening)
        });
    new.collect()
}

/// Opens lanes until every [`Opener`] is dropped and all that came is open.
pub(super) async fn open_lanes(
    mut commits: mpsc::Receiver<Vec<New>>,
    mut own: Own,
    wake: Arc<Wake>,
) {
    let mut gathered = Vec::with_capacity(WAITING);
    while commits.recv_many(&mut gathered, WAITING).await > 0 {
        let new: HashSet<New> = gathered.drain(..).flatten().collect();
        let openings: Vec<Opening> = new.iter().map(|(_, opening)| *opening).collect();
        let opened = tokio::time::timeout(COMMIT_TIMEOUT, open(&mut own, &openings)).await;
        if opened.is_err() {
            tracing::warn!(
                lanes = openings.len(),
                "lanes could not be opened; they are found later"
            );
        }
        let connections: HashSet<ConnectionId> = new.into_iter().map(|(on, _)| on).collect();
        for connection in connections {
            wake.announce(Signal::Work(Queue::Inbox, connection));
        }
        let pause = if openings.len() < MANY {
            GATHER
        } else {
            GATHER_MANY
        };
        tokio::time::sleep(pause).await;
    }
}

async fn open(own: &mut Own, openings: &[Opening]) {
    while let Err(error) = open_once(own, openings).await {
        tracing::debug!(%error, "lanes could not be opened yet");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn open_once(own: &mut Own, openings: &[Opening]) -> sqlx::Result<()> {
    let mut connection = own.take().await?;
    queue::open(&mut connection, openings).await?;
    own.keep(connection);
    Ok(())
}
