//! Effects: committed with the change they follow from, taken one per lane, finished in groups.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{
    Claimed, Release,
    lane::{adopt, release_in},
};
use crate::domain::{
    Clock, ConnectionId, DeliveryId, Effect, EffectId, FollowUp, Lane, Queue, RootId,
};

/// An effect on its way into the outbox.
#[derive(Debug, Clone)]
pub struct NewEffect {
    /// Its id, in the order in which effects of a lane are made.
    pub id: EffectId,
    /// The delivery it follows from.
    pub delivery: Option<DeliveryId>,
    /// The connection that it calls.
    pub connection: ConnectionId,
    /// Effects of one lane are made in order.
    pub lane: Lane,
    /// The call.
    pub effect: Effect,
    /// The lease under which the maker works it at once, if its lane is idle. Such an effect is alone in its lane among those of one call.
    pub lease: Option<Uuid>,
}

/// An effect that is to be made now.
#[derive(Debug)]
pub struct Pending {
    /// Its lane, leased.
    pub claimed: Claimed,
    /// Its id.
    pub id: EffectId,
    /// The delivery it follows from.
    pub delivery: Option<DeliveryId>,
    /// The call, or why it does not read.
    pub effect: Result<Effect, String>,
    /// The number of this attempt, from 1. A number above 1 means that an earlier attempt may have been made without being recorded.
    pub attempt: i16,
    /// When it was committed.
    pub created_at: DateTime<Utc>,
}

impl NewEffect {
    /// Returns an effect of a change of items, which waits in its lane like all others.
    pub fn following(follow_up: FollowUp, delivery: Option<DeliveryId>, clock: &dyn Clock) -> Self {
        Self {
            id: EffectId(clock.id()),
            delivery,
            connection: follow_up.connection,
            lane: follow_up.lane,
            effect: follow_up.effect,
            lease: None,
        }
    }
}

impl Pending {
    /// Returns the queue of the effect, or none where it does not read.
    pub fn queue(&self) -> Option<Queue> {
        self.effect.as_ref().ok().map(Effect::queue)
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Made.
    Done(String),
    /// To be tried again after a pause.
    Later(String, Duration),
    /// Given up.
    Dead(String),
}

/// One attempt, finished.
#[derive(Debug)]
pub struct Attempt {
    /// The effect's lane.
    pub claimed: Claimed,
    /// The effect.
    pub id: EffectId,
    /// The attempt's number.
    pub number: i16,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub verdict: Verdict,
}

/// Puts effects into the outbox, within the transaction of the change they follow from.
///
/// Returns those that are to be made as soon as it is committed: their lanes were idle and are leased for `lease_for`, and the first attempt
/// is counted. They need neither be found nor taken.
pub async fn enqueue(
    connection: &mut PgConnection,
    root: RootId,
    effects: Vec<NewEffect>,
    now: DateTime<Utc>,
    lease_for: Duration,
) -> sqlx::Result<Vec<Pending>> {
    let ids: Vec<Uuid> = effects.iter().map(|new| new.id.0).collect();
    let deliveries: Vec<Option<Uuid>> = effects
        .iter()
        .map(|new| new.delivery.map(|id| id.0))
        .collect();
    let connections: Vec<i64> = effects.iter().map(|new| new.connection.0).collect();
    let queues: Vec<&str> = effects
        .iter()
        .map(|new| new.effect.queue().word())
        .collect();
    let lanes: Vec<i64> = effects.iter().map(|new| new.lane.0).collect();
    let payloads: Vec<Json<&Effect>> = effects.iter().map(|new| Json(&new.effect)).collect();
    let leases: Vec<Option<Uuid>> = effects.iter().map(|new| new.lease).collect();
    let taken = sqlx::query_scalar!(
        r#"WITH new AS (
               SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::bigint[], $7::jsonb[], $8::uuid[])
                   AS new (id, delivery_id, connection_id, queue, lane, payload, lease)),
           -- A lane that exists is locked without being changed: whoever is about to remove it waits and then finds the new work.
           queued AS (
               INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at, lease)
               SELECT DISTINCT $1::bigint, queue, lane, connection_id,
                      CASE WHEN lease IS NULL THEN now() ELSE now() + make_interval(secs => $10) END, lease
               FROM new ORDER BY queue, lane
               ON CONFLICT (root_id, queue, lane) DO UPDATE SET lease = lanes.lease WHERE false
               RETURNING lease),
           stored AS (
               INSERT INTO effects (root_id, id, delivery_id, connection_id, queue, lane, payload, attempts, created_at)
               SELECT $1, id, delivery_id, connection_id, queue, lane, payload,
                      (SELECT count(*) FROM queued WHERE queued.lease = new.lease), $9
               FROM new
               RETURNING id, attempts)
           SELECT id AS "id: EffectId" FROM stored WHERE attempts > 0"#,
        root.0,
        &ids,
        &deliveries as &[Option<Uuid>],
        &connections,
        &queues as &[&str],
        &lanes,
        &payloads as &[Json<&Effect>],
        &leases as &[Option<Uuid>],
        now,
        lease_for.as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    let pending = effects.into_iter().filter_map(|new| {
        let lease = new.lease.filter(|_| taken.contains(&new.id))?;
        Some(Pending {
            claimed: Claimed {
                root,
                lane: new.lane,
                lease,
            },
            id: new.id,
            delivery: new.delivery,
            effect: Ok(new.effect),
            attempt: 1,
            created_at: now,
        })
    });
    Ok(pending.collect())
}

/// Takes the first waiting effect of each lane that is still leased so and counts the attempt before it is made, so that one that crashes is
/// known of: it has no time for the next.
pub async fn take(pool: &PgPool, queue: Queue, claimed: &[Claimed]) -> sqlx::Result<Vec<Pending>> {
    let roots: Vec<i64> = claimed.iter().map(|claimed| claimed.root.0).collect();
    let lanes: Vec<i64> = claimed.iter().map(|claimed| claimed.lane.0).collect();
    let leases: Vec<Uuid> = claimed.iter().map(|claimed| claimed.lease).collect();
    let rows = sqlx::query!(
        r#"UPDATE effects SET attempts = attempts + 1, next_at = NULL
           WHERE ctid = ANY(ARRAY(
               SELECT head.ctid FROM unnest($2::bigint[], $3::bigint[], $4::uuid[]) AS mine (root_id, lane, lease)
               CROSS JOIN LATERAL (
                   SELECT 1 FROM lanes
                   WHERE lanes.root_id = mine.root_id AND lanes.queue = $1 AND lanes.lane = mine.lane AND lanes.lease = mine.lease
                   LIMIT 1) AS held
               CROSS JOIN LATERAL (
                   SELECT ctid FROM effects
                   WHERE effects.root_id = mine.root_id AND effects.queue = $1 AND effects.lane = mine.lane AND settled_at IS NULL
                   ORDER BY effects.id LIMIT 1 FOR UPDATE) AS head))
           RETURNING effects.root_id AS "root: RootId", effects.lane AS "lane: Lane", effects.id AS "id: EffectId",
                     effects.delivery_id AS "delivery: DeliveryId", effects.payload, effects.attempts, effects.created_at"#,
        queue.word(),
        &roots,
        &lanes,
        &leases,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let claimed = *claimed
                .iter()
                .find(|claimed| claimed.root == row.root && claimed.lane == row.lane)?;
            Some(Pending {
                claimed,
                id: row.id,
                delivery: row.delivery,
                effect: serde_json::from_value(row.payload).map_err(|error| error.to_string()),
                attempt: row.attempts,
                created_at: row.created_at,
            })
        })
        .collect())
}

/// Records a group of attempts and gives their lanes back, with one commit. Returns whether some of the lanes have more work.
pub async fn finish(pool: &PgPool, queue: Queue, attempts: &[Attempt]) -> sqlx::Result<bool> {
    let mut lanes: Vec<Release> = attempts
        .iter()
        .map(|attempt| Release {
            claimed: attempt.claimed,
            pause: match attempt.verdict {
                Verdict::Later(_, pause) => pause,
                Verdict::Done(_) | Verdict::Dead(_) => Duration::ZERO,
            },
        })
        .collect();
    let mut tx = pool.begin().await?;
    record(&mut tx, attempts).await?;
    let released = release_in(&mut tx, queue, &mut lanes).await?;
    if released.held == lanes.len() {
        tx.commit().await?;
        return Ok(released.busy > 0);
    }
    // Some leases are gone, perhaps with all others in a crash of Postgres. Once more from the start, so that lanes are taken in one order.
    tx.rollback().await?;
    let mut tx = pool.begin().await?;
    adopt(&mut tx, queue, attempts).await?;
    record(&mut tx, attempts).await?;
    release_in(&mut tx, queue, &mut lanes).await?;
    tx.commit().await?;
    Ok(true)
}

/// Writes attempts down. What was called was called, under whatever lease; but settled work stays as it is.
async fn record(connection: &mut PgConnection, attempts: &[Attempt]) -> sqlx::Result<()> {
    let roots: Vec<i64> = attempts
        .iter()
        .map(|attempt| attempt.claimed.root.0)
        .collect();
    let ids: Vec<Uuid> = attempts.iter().map(|attempt| attempt.id.0).collect();
    let numbers: Vec<i16> = attempts.iter().map(|attempt| attempt.number).collect();
    let began: Vec<DateTime<Utc>> = attempts.iter().map(|attempt| attempt.at).collect();
    let took: Vec<i32> = attempts
        .iter()
        .map(|attempt| i32::try_from(attempt.took.as_millis()).unwrap_or(i32::MAX))
        .collect();
    let parts: Vec<(&str, &str, Option<f64>)> = attempts
        .iter()
        .map(|attempt| match &attempt.verdict {
            Verdict::Done(outcome) => ("done", outcome.as_str(), None),
            Verdict::Later(outcome, pause) => {
                ("pending", outcome.as_str(), Some(pause.as_secs_f64()))
            }
            Verdict::Dead(outcome) => ("dead", outcome.as_str(), None),
        })
        .collect();
    let states: Vec<&str> = parts.iter().map(|part| part.0).collect();
    let outcomes: Vec<&str> = parts.iter().map(|part| part.1).collect();
    let pauses: Vec<Option<f64>> = parts.iter().map(|part| part.2).collect();
    sqlx::query!(
        "WITH made AS (
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::timestamptz[], $5::integer[], $6::text[], $7::text[], $8::float8[])
                 AS made (root_id, id, number, at, took, state, outcome, pause)),
         log AS (
             INSERT INTO effect_attempts (root_id, effect_id, attempt, at, duration_ms, outcome)
             SELECT root_id, id, number, at, took, outcome FROM made
             WHERE (number > 1 OR state <> 'done')
               -- One that followed what it is about to another root group is tried again there, and finds what this attempt did.
               AND (SELECT id FROM effects WHERE effects.root_id = made.root_id AND effects.id = made.id) IS NOT NULL
             ON CONFLICT DO NOTHING)
         UPDATE effects
         SET state = made.state, outcome = made.outcome, next_at = now() + make_interval(secs => made.pause),
             settled_at = CASE WHEN made.state = 'pending' THEN NULL ELSE now() END, began_at = made.at, duration_ms = made.took
         FROM (SELECT open.ctid, made.* FROM made CROSS JOIN LATERAL (
                   SELECT ctid FROM effects
                   WHERE effects.root_id = made.root_id AND effects.id = made.id AND effects.state = 'pending'
                   LIMIT 1 FOR UPDATE) AS open) AS made
         WHERE effects.ctid = made.ctid",
        &roots,
        &ids,
        &numbers,
        &began,
        &took,
        &states as &[&str],
        &outcomes as &[&str],
        &pauses as &[Option<f64>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the lanes of a queue in which an effect waits that was not tried yet: it will see all that is committed until then.
pub async fn waiting(
    connection: &mut PgConnection,
    queue: Queue,
    lanes: &[(RootId, Lane)],
) -> sqlx::Result<Vec<(RootId, Lane)>> {
    let (roots, lanes): (Vec<i64>, Vec<i64>) =
        lanes.iter().map(|(root, lane)| (root.0, lane.0)).unzip();
    let waiting = sqlx::query!(
        r#"SELECT root AS "root!: RootId", lane AS "lane!: Lane" FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, lane)
           WHERE EXISTS (
               SELECT FROM effects
               WHERE effects.root_id = wanted.root AND queue = $3 AND effects.lane = wanted.lane AND settled_at IS NULL AND attempts = 0)"#,
        &roots,
        &lanes,
        queue.word(),
    )
    .fetch_all(connection)
    .await?;
    Ok(waiting
        .into_iter()
        .map(|row| (row.root, row.lane))
        .collect())
}
