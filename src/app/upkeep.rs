//! What the service does beside its work, from time to time or once.

use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Sessions,
    domain::Queue,
    queue::{self, Signal},
    store::{
        StoreError,
        search::{self, Completing},
    },
    worker::Worker,
};

/// How often settled work is looked through for what may be forgotten, and lanes for what was lost.
const UPKEEP: Duration = Duration::from_mins(10);
/// How often deliveries are looked for whose receiver was killed before it had them worked.
const LOST: Duration = Duration::from_secs(5);

/// Forgets old settled work, finds work whose lane was lost, and sums up counts.
pub(super) async fn upkeep(worker: Worker, retain: TimeDelta) {
    loop {
        tokio::select! {
            () = worker.stop.cancelled() => return,
            () = tokio::time::sleep(UPKEEP) => {}
        }
        match queue::repair(&worker.pool, &worker.under_way()).await {
            Ok(0) => {}
            Ok(lanes) => tracing::warn!(lanes, "work without a lane was found and put back"),
            Err(error) => tracing::warn!(%error, "lanes could not be looked through"),
        }
        match queue::prune(&worker.pool, worker.clock.now() - retain).await {
            Ok(pruned) => tracing::debug!(?pruned, "forgot old work"),
            Err(error) => tracing::warn!(%error, "old work could not be forgotten"),
        }
        if let Err(error) = fold_counts(&worker.pool).await {
            tracing::warn!(%error, "changes of counts could not be summed up");
        }
    }
}

/// Has deliveries worked that nobody opened a lane for.
pub(super) async fn find_lost(worker: Worker) {
    while worker
        .stop
        .run_until_cancelled(tokio::time::sleep(LOST))
        .await
        .is_some()
    {
        match queue::open_lost(&worker.pool).await {
            Ok(connections) => {
                for connection in connections {
                    worker.wake.announce(Signal::Work(Queue::Inbox, connection));
                }
            }
            Err(error) => tracing::debug!(%error, "lost deliveries could not be looked for"),
        }
    }
}

async fn fold_counts(pool: &PgPool) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    search::fold_counts(&mut connection).await?;
    Ok(())
}

/// Forgets sessions that have ended, from time to time.
pub(super) async fn forget_sessions(sessions: Sessions, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(UPKEEP))
        .await
        .is_some()
    {
        if let Err(error) = sessions.prune().await {
            tracing::warn!(%error, "ended sessions could not be forgotten");
        }
    }
}

/// Has the statements of autocompletion planned.
pub(super) async fn prepare(completing: Completing, stop: CancellationToken) {
    if let Some(Err(error)) = stop.run_until_cancelled(completing.prepare()).await {
        tracing::debug!(%error, "the first ones who complete contacts have to wait for it");
    }
}
