//! Leases on lanes.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{follow::gather, outbox::Attempt};
use crate::domain::{ConnectionId, EffectId, Lane, Queue, RootId};

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
        // By row address, which the lock keeps from changing: the lanes that were found are not looked up a second time.
        r#"UPDATE lanes SET lease = $4, ready_at = now() + make_interval(secs => $5)
           WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM lanes
               WHERE queue = $1 AND connection_id = $2 AND ready_at <= now()
               ORDER BY ready_at LIMIT $3
               FOR UPDATE SKIP LOCKED))
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

/// Gives lanes back: a lane without work goes, another becomes due after its pause. Returns whether there are such others.
pub async fn release(pool: &PgPool, queue: Queue, mut lanes: Vec<Release>) -> sqlx::Result<bool> {
    let mut tx = pool.begin().await?;
    let released = release_in(&mut tx, queue, &mut lanes).await?;
    tx.commit().await?;
    Ok(released.busy > 0)
}

/// What became of lanes that were given back.
pub(super) struct Released {
    /// How many were still leased so.
    pub(super) held: usize,
    /// How many of those have more work.
    pub(super) busy: usize,
}

/// The same within a transaction of the caller.
pub(super) async fn release_in(
    connection: &mut PgConnection,
    queue: Queue,
    lanes: &mut [Release],
) -> sqlx::Result<Released> {
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
    // Lanes are looked up one by one, in the order of the list: a join may read all lanes there are, by a plan from when there were few.
    let held = sqlx::query!(
        r#"SELECT held.one AS "one!" FROM unnest($2::bigint[], $3::bigint[], $4::uuid[]) AS mine (root_id, lane, lease)
           CROSS JOIN LATERAL (
               SELECT 1 AS one FROM lanes
               WHERE lanes.root_id = mine.root_id AND lanes.queue = $1 AND lanes.lane = mine.lane AND lanes.lease = mine.lease
               LIMIT 1 FOR UPDATE) AS held"#,
        queue.word(),
        &roots,
        &keys,
        &leases,
    )
    .fetch_all(&mut *connection)
    .await?;
    let removed = remove_idle(&mut *connection, queue, [&roots, &keys], &leases).await?;
    let busy = held.len().saturating_sub(removed);
    if busy > 0 {
        sqlx::query!(
            "UPDATE lanes SET lease = NULL, ready_at = now() + make_interval(secs => mine.pause)
             FROM (SELECT busy.ctid, mine.pause
                   FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::float8[]) AS mine (root_id, lane, lease, pause)
                   CROSS JOIN LATERAL (
                       SELECT ctid FROM lanes
                       WHERE lanes.root_id = mine.root_id AND lanes.queue = $1 AND lanes.lane = mine.lane AND lanes.lease = mine.lease
                       LIMIT 1) AS busy) AS mine
             WHERE lanes.ctid = mine.ctid",
            queue.word(),
            &roots,
            &keys,
            &leases,
            &pauses,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(Released {
        held: held.len(),
        busy,
    })
}

/// Removes those of locked lanes that have no work, and returns how many they were.
async fn remove_idle(
    connection: &mut PgConnection,
    queue: Queue,
    [roots, keys]: [&[i64]; 2],
    leases: &[Uuid],
) -> sqlx::Result<usize> {
    let removed = match queue {
        Queue::Inbox => {
            sqlx::query!(
                "DELETE FROM lanes WHERE ctid = ANY(ARRAY(
                     SELECT idle.ctid FROM unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS mine (root_id, lane, lease)
                     CROSS JOIN LATERAL (
                         SELECT ctid FROM lanes
                         WHERE lanes.root_id = mine.root_id AND lanes.queue = 'inbox' AND lanes.lane = mine.lane AND lanes.lease = mine.lease
                           AND (SELECT id FROM deliveries
                                WHERE deliveries.root_id = mine.root_id AND deliveries.lane = mine.lane AND settled_at IS NULL LIMIT 1) IS NULL
                         LIMIT 1) AS idle))",
                roots,
                keys,
                leases,
            )
            .execute(connection)
            .await?
        }
        Queue::Reply | Queue::Call => {
            sqlx::query!(
                "DELETE FROM lanes WHERE ctid = ANY(ARRAY(
                     SELECT idle.ctid FROM unnest($2::bigint[], $3::bigint[], $4::uuid[]) AS mine (root_id, lane, lease)
                     CROSS JOIN LATERAL (
                         SELECT ctid FROM lanes
                         WHERE lanes.root_id = mine.root_id AND lanes.queue = $1 AND lanes.lane = mine.lane AND lanes.lease = mine.lease
                           AND (SELECT id FROM effects
                                WHERE effects.root_id = mine.root_id AND effects.queue = $1 AND effects.lane = mine.lane AND settled_at IS NULL
                                LIMIT 1) IS NULL
                         LIMIT 1) AS idle))",
                queue.word(),
                roots,
                keys,
                leases,
            )
            .execute(connection)
            .await?
        }
    };
    Ok(usize::try_from(removed.rows_affected()).unwrap_or(usize::MAX))
}

/// Leases lanes again that nobody holds, under their old leases: Postgres forgot those in a crash, and [`repair`] put the lanes back to
/// wait for the attempts that end now. A lane whose effect somebody else has tried since (its number of attempts tells) is left alone.
pub(super) async fn adopt(
    connection: &mut PgConnection,
    queue: Queue,
    attempts: &[Attempt],
) -> sqlx::Result<()> {
    let claimed = attempts.iter().map(|attempt| attempt.claimed);
    let roots: Vec<i64> = claimed.clone().map(|claimed| claimed.root.0).collect();
    let keys: Vec<i64> = claimed.clone().map(|claimed| claimed.lane.0).collect();
    let leases: Vec<Uuid> = claimed.map(|claimed| claimed.lease).collect();
    let effects: Vec<Uuid> = attempts.iter().map(|attempt| attempt.id.0).collect();
    let numbers: Vec<i16> = attempts.iter().map(|attempt| attempt.number).collect();
    sqlx::query!(
        "WITH free AS MATERIALIZED (
             SELECT lanes.root_id, lanes.lane, mine.lease FROM lanes
             JOIN unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::smallint[]) AS mine (root_id, lane, lease, effect_id, number)
               ON lanes.root_id = mine.root_id AND lanes.queue = $1 AND lanes.lane = mine.lane AND lanes.lease IS NULL
             JOIN effects ON effects.root_id = mine.root_id AND effects.id = mine.effect_id
                         AND effects.settled_at IS NULL AND effects.attempts = mine.number
             ORDER BY lanes.root_id, lanes.lane
             FOR UPDATE OF lanes)
         UPDATE lanes SET lease = free.lease FROM free
         WHERE lanes.root_id = free.root_id AND lanes.queue = $1 AND lanes.lane = free.lane",
        queue.word(),
        &roots,
        &keys,
        &leases,
        &effects,
        &numbers,
    )
    .execute(connection)
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

/// Effects that may be under way at this moment, though no lease says so any more. Made twice at a time, an effect could not find its own
/// first attempt on the other side.
#[derive(Debug, Clone)]
pub struct UnderWay {
    /// Which: these, or every one that was ever taken, where other processes may be at work too.
    pub only: Option<Vec<EffectId>>,
    /// How long they may last; longest for which their lanes are left alone.
    pub longest: Duration,
}

/// Puts lanes back that unsettled work lost: after a crash of Postgres the table is empty.
pub async fn repair(pool: &PgPool, under_way: &UnderWay) -> sqlx::Result<u64> {
    let mut tx = pool.begin().await?;
    // Nobody else writes lanes meanwhile. Otherwise one whose work is being settled could be seen as waiting and put back, after it was
    // removed for good.
    sqlx::query!("LOCK TABLE lanes IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await?;
    gather(&mut tx).await?;
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
    .execute(&mut *tx)
    .await?;
    let only = under_way.only.as_ref();
    let only: Option<Vec<Uuid>> = only.map(|only| only.iter().map(|id| id.0).collect());
    let outbox = sqlx::query!(
        "INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
         SELECT DISTINCT ON (root_id, queue, lane) root_id, queue, lane, connection_id,
                CASE WHEN next_at IS NOT NULL THEN next_at
                     WHEN attempts > 0 AND ($2::uuid[] IS NULL OR id = ANY($2)) THEN now() + make_interval(secs => $1)
                     ELSE now() END
         FROM effects
         WHERE settled_at IS NULL
         ORDER BY root_id, queue, lane, id
         ON CONFLICT DO NOTHING",
        under_way.longest.as_secs_f64(),
        only.as_deref(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(inbox.rows_affected() + outbox.rows_affected())
}

/// Ends all leases, for a process that knows it is the only one: who held them is dead.
///
/// A call of the dead may still be at work on the other side; its lane waits for `in_flight`, or to the end of its lease if that is sooner.
pub async fn take_over(pool: &PgPool, in_flight: Duration) -> sqlx::Result<u64> {
    let ended = sqlx::query!(
        "UPDATE lanes
         SET lease = NULL,
             ready_at = CASE WHEN EXISTS (
                     SELECT FROM effects
                     WHERE effects.root_id = lanes.root_id AND effects.queue = lanes.queue AND effects.lane = lanes.lane
                       AND settled_at IS NULL AND attempts > 0 AND next_at IS NULL)
                 THEN least(ready_at, now() + make_interval(secs => $1))
                 ELSE now() END
         WHERE lease IS NOT NULL",
        in_flight.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(ended.rows_affected())
}
