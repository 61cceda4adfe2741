//! Leases on lanes.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::{ConnectionId, Lane, Queue, RootId};

/// Which lanes to lease, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Queue of the lanes.
    pub queue: Queue,
    /// Connection that the lanes' work is about.
    pub connection: ConnectionId,
    /// Most lanes to lease.
    pub limit: usize,
    /// How long the lease lasts.
    pub lease_for: Duration,
}

/// A leased lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// Tenant of the lane.
    pub root: RootId,
    /// The lane.
    pub lane: Lane,
    /// The fencing token: work settles only under it.
    pub lease: Uuid,
}

/// A lane that is given back.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The lane.
    pub claimed: Claimed,
    /// How long the rest of its work has to wait.
    pub pause: Duration,
}

/// Leases lanes whose work is due, the longest waiting first.
///
/// Only leases: the work is read in a later statement, since a statement that locks a lane and reads its work at once sees the work
/// as it was before the lock, and would miss what was added meanwhile.
pub async fn claim(pool: &PgPool, claim: Claim, lease: Uuid) -> sqlx::Result<Vec<Claimed>> {
    let rows = sqlx::query!(
        r#"WITH due AS MATERIALIZED (
               SELECT root_id, queue, lane FROM lanes
               WHERE queue = $1 AND connection_id = $2 AND ready_at <= now()
               ORDER BY ready_at LIMIT $3
               FOR UPDATE SKIP LOCKED)
           UPDATE lanes SET lease = $4, ready_at = now() + make_interval(secs => $5)
           FROM due
           WHERE lanes.root_id = due.root_id AND lanes.queue = due.queue AND lanes.lane = due.lane
           RETURNING lanes.root_id AS "root: RootId", lanes.lane AS "lane: Lane""#,
        claim.queue.word(),
        claim.connection.0,
        i64::try_from(claim.limit).unwrap_or(i64::MAX),
        lease,
        claim.lease_for.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claimed {
            root: row.root,
            lane: row.lane,
            lease,
        })
        .collect())
}

/// Gives lanes back: a lane without work goes, another becomes due after its pause.
pub async fn release(pool: &PgPool, queue: Queue, mut lanes: Vec<Release>) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    release_in(&mut tx, queue, &mut lanes).await?;
    tx.commit().await
}

/// The same within a transaction of the caller.
pub(super) async fn release_in(
    connection: &mut PgConnection,
    queue: Queue,
    lanes: &mut [Release],
) -> sqlx::Result<()> {
    // One order for all who lock several lanes, so that they cannot wait for each other in a circle.
    lanes.sort_by_key(|release| (release.claimed.root, release.claimed.lane));
    let roots: Vec<i64> = lanes.iter().map(|release| release.claimed.root.0).collect();
    let keys: Vec<i64> = lanes.iter().map(|release| release.claimed.lane.0).collect();
    let leases: Vec<Uuid> = lanes.iter().map(|release| release.claimed.lease).collect();
    let pauses: Vec<f64> = lanes
        .iter()
        .map(|release| release.pause.as_secs_f64())
        .collect();
    // The lock comes first and by itself: whoever adds work to one of these lanes now waits for us, or has committed and is seen below.
    sqlx::query!(
        r#"SELECT 1 AS "one!" FROM lanes
           JOIN unnest($2::bigint[], $3::bigint[], $4::uuid[]) AS mine (root_id, lane, lease)
             ON lanes.root_id = mine.root_id AND lanes.queue = $1 AND lanes.lane = mine.lane AND lanes.lease = mine.lease
           ORDER BY lanes.root_id, lanes.lane
           FOR UPDATE OF lanes"#,
        queue.word(),
        &roots,
        &keys,
        &leases,
    )
    .fetch_all(&mut *connection)
    .await?;
    // "(SELECT … LIMIT 1) IS NULL" looks into the index once per lane. NOT EXISTS would become a join, and one planned while nothing
    // waited reads everything that waits, for each lane.
    match queue {
        Queue::Inbox => {
            sqlx::query!(
                "DELETE FROM lanes
                 USING unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS mine (root_id, lane, lease)
                 WHERE lanes.root_id = mine.root_id AND lanes.queue = 'inbox' AND lanes.lane = mine.lane AND lanes.lease = mine.lease
                   AND (SELECT id FROM deliveries WHERE deliveries.root_id = mine.root_id AND deliveries.lane = mine.lane AND settled_at IS NULL LIMIT 1) IS NULL",
                &roots,
                &keys,
                &leases,
            )
            .execute(&mut *connection)
            .await?;
        }
        Queue::Reply | Queue::Call => {
            sqlx::query!(
                "DELETE FROM lanes
                 USING unnest($2::bigint[], $3::bigint[], $4::uuid[]) AS mine (root_id, lane, lease)
                 WHERE lanes.root_id = mine.root_id AND lanes.queue = $1 AND lanes.lane = mine.lane AND lanes.lease = mine.lease
                   AND (SELECT id FROM effects WHERE effects.root_id = mine.root_id AND effects.queue = $1 AND effects.lane = mine.lane AND settled_at IS NULL LIMIT 1) IS NULL",
                queue.word(),
                &roots,
                &keys,
                &leases,
            )
            .execute(&mut *connection)
            .await?;
        }
    }
    sqlx::query!(
        "UPDATE lanes SET lease = NULL, ready_at = now() + make_interval(secs => mine.pause)
         FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::float8[]) AS mine (root_id, lane, lease, pause)
         WHERE lanes.root_id = mine.root_id AND lanes.queue = $1 AND lanes.lane = mine.lane AND lanes.lease = mine.lease",
        queue.word(),
        &roots,
        &keys,
        &leases,
        &pauses,
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Returns how long until the next lane is due, or none where no lane waits.
pub async fn next_ready(
    pool: &PgPool,
    queue: Queue,
    connection: ConnectionId,
) -> sqlx::Result<Option<Duration>> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM min(ready_at) - now())::float8 FROM lanes WHERE queue = $1 AND connection_id = $2"#,
        queue.word(),
        connection.0,
    )
    .fetch_one(pool)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

/// Puts lanes back that unsettled work lost: after a crash of Postgres the table is empty.
pub async fn repair(pool: &PgPool) -> sqlx::Result<u64> {
    let inbox = sqlx::query!(
        "INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
         SELECT DISTINCT ON (waiting.root_id, waiting.lane)
                waiting.root_id, 'inbox', waiting.lane, webhooks.connection_id, coalesce(waiting.next_at, now())
         FROM deliveries AS waiting
         JOIN webhooks ON webhooks.root_id = waiting.root_id AND webhooks.id = waiting.webhook_id
         WHERE waiting.settled_at IS NULL
         ORDER BY waiting.root_id, waiting.lane, waiting.id
         ON CONFLICT DO NOTHING",
    )
    .execute(pool)
    .await?;
    let outbox = sqlx::query!(
        "INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
         SELECT DISTINCT ON (root_id, queue, lane) root_id, queue, lane, connection_id, coalesce(next_at, now())
         FROM effects
         WHERE settled_at IS NULL
         ORDER BY root_id, queue, lane, id
         ON CONFLICT DO NOTHING",
    )
    .execute(pool)
    .await?;
    Ok(inbox.rows_affected() + outbox.rows_affected())
}
