//! Deliveries: stored in groups, read in order, settled once.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Claimed, QueueError, Signal, log::replay, notify};
use crate::domain::{ConnectionId, DeliveryId, Lane, RootId, WebhookId};

/// A delivery on its way into the inbox.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its id, in the order of arrival.
    pub id: DeliveryId,
    /// Tenant of the webhook.
    pub root: RootId,
    /// The webhook it came through.
    pub webhook: WebhookId,
    /// The webhook's connection.
    pub connection: ConnectionId,
    /// Deliveries of one lane are processed in order.
    pub lane: Lane,
    /// Tells a repeat within the webhook.
    pub dedupe_key: [u8; 16],
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// A JSON object of the headers that are kept.
    pub headers: String,
    /// The body as it came.
    pub body: bytes::Bytes,
}

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// New: it is in the inbox.
    New(DeliveryId),
    /// It came before, under this id.
    Repeat(DeliveryId),
    /// It came before and its work, or what followed from it, had died: it is taken up again.
    Revived(DeliveryId),
}

/// A delivery on its way out of the inbox.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The webhook it came through.
    pub webhook: WebhookId,
    /// A JSON object of the headers that were kept.
    pub headers: String,
    /// The body as it came.
    pub body: Vec<u8>,
    /// How often it was tried before.
    pub attempts: i16,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
}

/// What came of processing a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxVerdict {
    /// Its work is done.
    Done(String),
    /// There was nothing to do.
    Ignored(String),
    /// It is tried again after a pause.
    Later(String, Duration),
    /// It is not tried again unless somebody replays it.
    Dead(String),
}

/// Stores a group of arrivals durably, with one commit; returns what became of each, in their order.
///
/// The arrivals must be sorted by root, webhook and dedupe key, so that two groups cannot wait for each other.
pub async fn store(pool: &PgPool, arrivals: &[Arrival]) -> sqlx::Result<Vec<Stored>> {
    let column = Columns::of(arrivals);
    // A lane that exists is locked without being changed: whoever is about to remove it waits and then finds the new work.
    let new = sqlx::query_scalar!(
        r#"WITH stored AS (
               INSERT INTO deliveries (root_id, id, webhook_id, lane, dedupe_key, received_at, headers, body)
               -- A webhook that has moved to another root group takes what was on its way to it along.
               SELECT coalesce((SELECT webhooks.root_id FROM webhooks WHERE webhooks.id = arrived.webhook_id), arrived.root_id),
                      arrived.id, webhook_id, lane, dedupe_key, received_at, headers, body
               FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bytea[], $6::timestamptz[], $7::text[], $8::bytea[])
                   AS arrived (root_id, id, webhook_id, lane, dedupe_key, received_at, headers, body)
               ON CONFLICT (root_id, webhook_id, dedupe_key) DO NOTHING
               RETURNING root_id, id, webhook_id, lane),
           queued AS (
               INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
               -- In one order for all who lock several lanes, so that they cannot wait for each other in a circle.
               SELECT DISTINCT stored.root_id, 'inbox', stored.lane, webhooks.connection_id, now()
               FROM stored JOIN webhooks ON webhooks.id = stored.webhook_id
               ORDER BY root_id, lane
               ON CONFLICT (root_id, queue, lane) DO UPDATE SET lease = lanes.lease WHERE false)
           SELECT id AS "id: DeliveryId" FROM stored"#,
        &column.roots,
        &column.ids,
        &column.webhooks,
        &column.lanes,
        &column.dedupe_keys as &[&[u8]],
        &column.received,
        &column.headers as &[&str],
        &column.bodies as &[&[u8]],
    )
    .fetch_all(pool)
    .await?;
    if new.len() == arrivals.len() {
        return Ok(arrivals
            .iter()
            .map(|arrival| Stored::New(arrival.id))
            .collect());
    }
    let repeats = recognise(pool, arrivals, &new).await?;
    let stored = arrivals.iter().map(|arrival| {
        let known = repeats.get(&(arrival.webhook, arrival.dedupe_key));
        Ok(match known {
            // Its own row: an earlier attempt was committed, though the answer to it was lost.
            Some(Stored::Repeat(id)) if *id == arrival.id => Stored::New(*id),
            Some(stored) if !new.contains(&arrival.id) => *stored,
            // A repeat of a delivery that was pruned in between: the sender sends it again.
            None if !new.contains(&arrival.id) => return Err(sqlx::Error::RowNotFound),
            _ => Stored::New(arrival.id),
        })
    });
    stored.collect()
}

struct Columns<'a> {
    roots: Vec<i64>,
    ids: Vec<Uuid>,
    webhooks: Vec<i64>,
    lanes: Vec<i64>,
    dedupe_keys: Vec<&'a [u8]>,
    received: Vec<DateTime<Utc>>,
    headers: Vec<&'a str>,
    bodies: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(arrivals: &'a [Arrival]) -> Self {
        Self {
            roots: arrivals.iter().map(|arrival| arrival.root.0).collect(),
            ids: arrivals.iter().map(|arrival| arrival.id.0).collect(),
            webhooks: arrivals.iter().map(|arrival| arrival.webhook.0).collect(),
            lanes: arrivals.iter().map(|arrival| arrival.lane.0).collect(),
            dedupe_keys: arrivals
                .iter()
                .map(|arrival| arrival.dedupe_key.as_slice())
                .collect(),
            received: arrivals.iter().map(|arrival| arrival.received_at).collect(),
            headers: arrivals
                .iter()
                .map(|arrival| arrival.headers.as_str())
                .collect(),
            bodies: arrivals
                .iter()
                .map(|arrival| arrival.body.as_ref())
                .collect(),
        }
    }
}

/// Bytes of a lane's bodies after which no further one is read.
const READ_BYTES: i64 = 1 << 20;

type RepeatKey = (WebhookId, [u8; 16]);

/// Finds the deliveries that arrivals repeat, and takes up again those whose work had died.
async fn recognise(
    pool: &PgPool,
    arrivals: &[Arrival],
    new: &[DeliveryId],
) -> sqlx::Result<HashMap<RepeatKey, Stored>> {
    let repeats: Vec<Arrival> = arrivals
        .iter()
        .filter(|arrival| !new.contains(&arrival.id))
        .cloned()
        .collect();
    let column = Columns::of(&repeats);
    let known = sqlx::query!(
        // By the webhook alone, which may be in another root group by now.
        r#"SELECT DISTINCT deliveries.id AS "id: DeliveryId", deliveries.webhook_id AS "webhook: WebhookId",
                  deliveries.dedupe_key, (deliveries.state = 'dead' OR EXISTS (
                      SELECT FROM effects WHERE effects.delivery_id = deliveries.id AND effects.state = 'dead')) AS "dead!"
           FROM unnest($1::bigint[], $2::bytea[]) AS arrived (webhook_id, dedupe_key)
           JOIN deliveries USING (webhook_id, dedupe_key)"#,
        &column.webhooks,
        &column.dedupe_keys as &[&[u8]],
    )
    .fetch_all(pool)
    .await?;
    let mut found = HashMap::new();
    for row in known {
        let revived = if row.dead {
            replay(pool, row.id).await?
        } else {
            Vec::new()
        };
        let stored = if revived.is_empty() {
            Stored::Repeat(row.id)
        } else {
            for (queue, connection) in revived {
                notify(pool, Signal::Work(queue, connection)).await?;
            }
            Stored::Revived(row.id)
        };
        if let Ok(key) = row.dedupe_key.try_into() {
            found.insert((row.webhook, key), stored);
        }
    }
    Ok(found)
}

/// Makes a dead or otherwise settled-without-success delivery pending again; returns false where it is not dead.
pub(super) async fn revive(
    connection: &mut PgConnection,
    root: RootId,
    id: DeliveryId,
) -> sqlx::Result<bool> {
    let revived = sqlx::query!(
        "WITH revived AS (
             UPDATE deliveries SET state = 'pending', attempts = 0, next_at = NULL, settled_at = NULL, outcome = 'taken up again'
             WHERE root_id = $1 AND id = $2 AND state = 'dead'
             RETURNING root_id, lane, webhook_id)
         INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
         SELECT revived.root_id, 'inbox', revived.lane, webhooks.connection_id, now()
         FROM revived JOIN webhooks ON webhooks.root_id = revived.root_id AND webhooks.id = revived.webhook_id
         ON CONFLICT (root_id, queue, lane) DO UPDATE SET lease = lanes.lease",
        root.0,
        id.0,
    )
    .execute(connection)
    .await?;
    Ok(revived.rows_affected() > 0)
}

/// Reads the waiting deliveries of leased lanes, at most `per_lane` each, in order.
pub async fn read(
    pool: &PgPool,
    claimed: &[Claimed],
    per_lane: usize,
) -> sqlx::Result<HashMap<(RootId, Lane), VecDeque<Delivery>>> {
    let roots: Vec<i64> = claimed.iter().map(|claimed| claimed.root.0).collect();
    let lanes: Vec<i64> = claimed.iter().map(|claimed| claimed.lane.0).collect();
    let rows = sqlx::query!(
        r#"SELECT mine.root_id AS "root!: RootId", mine.lane AS "lane!: Lane", waiting.id AS "id: DeliveryId", waiting.webhook_id AS "webhook: WebhookId",
                  waiting.headers, waiting.body, waiting.attempts, waiting.received_at
           FROM unnest($1::bigint[], $2::bigint[]) AS mine (root_id, lane)
           -- No more than fits into memory: the first, and others up to some bytes.
           CROSS JOIN LATERAL (
               SELECT *, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS before FROM (
                   SELECT * FROM deliveries
                   WHERE deliveries.root_id = mine.root_id AND deliveries.lane = mine.lane AND settled_at IS NULL
                   ORDER BY deliveries.id LIMIT $3) AS first) AS waiting
           WHERE waiting.before < $4
           ORDER BY mine.root_id, mine.lane, waiting.id"#,
        &roots,
        &lanes,
        i64::try_from(per_lane).unwrap_or(i64::MAX),
        READ_BYTES,
    )
    .fetch_all(pool)
    .await?;
    let mut by_lane: HashMap<(RootId, Lane), VecDeque<Delivery>> = HashMap::new();
    for row in rows {
        by_lane
            .entry((row.root, row.lane))
            .or_default()
            .push_back(Delivery {
                id: row.id,
                webhook: row.webhook,
                headers: row.headers,
                body: row.body,
                attempts: row.attempts,
                received_at: row.received_at,
            });
    }
    Ok(by_lane)
}

/// A delivery with what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its lane, leased.
    pub claimed: Claimed,
    /// The delivery.
    pub id: DeliveryId,
    /// What came of it.
    pub verdict: InboxVerdict,
}

/// Records what came of deliveries, within the transaction that holds their changes.
///
/// # Errors
/// Fails with [`QueueError::LostLease`] when one of the lanes is somebody else's by now or one of the deliveries is settled; the caller rolls
/// back, since some may have been recorded.
pub async fn settle(connection: &mut PgConnection, settled: &[Settled]) -> Result<(), QueueError> {
    let roots: Vec<i64> = settled.iter().map(|one| one.claimed.root.0).collect();
    let lanes: Vec<i64> = settled.iter().map(|one| one.claimed.lane.0).collect();
    let leases: Vec<Uuid> = settled.iter().map(|one| one.claimed.lease).collect();
    let ids: Vec<Uuid> = settled.iter().map(|one| one.id.0).collect();
    let parts: Vec<(&str, &str, Option<f64>)> = settled
        .iter()
        .map(|one| match &one.verdict {
            InboxVerdict::Done(outcome) => ("done", outcome.as_str(), None),
            InboxVerdict::Ignored(outcome) => ("ignored", outcome.as_str(), None),
            InboxVerdict::Dead(outcome) => ("dead", outcome.as_str(), None),
            InboxVerdict::Later(outcome, pause) => {
                ("pending", outcome.as_str(), Some(pause.as_secs_f64()))
            }
        })
        .collect();
    let states: Vec<&str> = parts.iter().map(|part| part.0).collect();
    let outcomes: Vec<&str> = parts.iter().map(|part| part.1).collect();
    let pauses: Vec<Option<f64>> = parts.iter().map(|part| part.2).collect();
    let changed = sqlx::query!(
        "UPDATE deliveries
         SET state = made.state, outcome = made.outcome, attempts = attempts + 1, next_at = now() + make_interval(secs => made.pause),
             settled_at = CASE WHEN made.state = 'pending' THEN NULL ELSE now() END
         FROM (SELECT open.ctid, made.* FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::float8[])
                   AS made (root_id, lane, lease, id, state, outcome, pause)
               CROSS JOIN LATERAL (
                   SELECT 1 FROM lanes
                   WHERE lanes.root_id = made.root_id AND lanes.queue = 'inbox' AND lanes.lane = made.lane AND lanes.lease = made.lease
                   LIMIT 1) AS held
               CROSS JOIN LATERAL (
                   SELECT ctid FROM deliveries
                   WHERE deliveries.root_id = made.root_id AND deliveries.id = made.id
                   LIMIT 1) AS open) AS made
         WHERE deliveries.ctid = made.ctid AND deliveries.state = 'pending'",
        &roots,
        &lanes,
        &leases,
        &ids,
        &states as &[&str],
        &outcomes as &[&str],
        &pauses as &[Option<f64>],
    )
    .execute(connection)
    .await?;
    if changed.rows_affected() == settled.len() as u64 {
        Ok(())
    } else {
        Err(QueueError::LostLease)
    }
}
