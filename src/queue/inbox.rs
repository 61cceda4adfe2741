//! Deliveries at work: read in order, settled once.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Claimed, QueueError,
    block::{Blocks, Place},
};
use crate::domain::{DeliveryId, HookEvent, Lane, RootId, WebhookId};

/// Bytes of a lane's bodies after which no further one is read.
const READ_BYTES: i64 = 1 << 20;

/// A delivery on its way out of the inbox.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The webhook it came through.
    pub webhook: WebhookId,
    /// The events that the webhook is for; none for all.
    pub events: Option<Vec<HookEvent>>,
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
    let mut rows = sqlx::query!(
        r#"SELECT waiting.root_id AS "root!: RootId", waiting.lane AS "lane!: Lane", waiting.id AS "id: DeliveryId", waiting.webhook_id AS "webhook: WebhookId",
                  waiting.block_id, waiting.block_from, waiting.headers_size, waiting.body_size, waiting.attempts, waiting.received_at,
                  block.size AS "block_size?", block.content AS "block_content?",
                  (SELECT events FROM webhooks WHERE webhooks.root_id = waiting.root_id AND webhooks.id = waiting.webhook_id) AS events
           FROM (
               SELECT waiting.*, row_number() OVER (PARTITION BY block_id) = 1 AS brings_block
               FROM unnest($1::bigint[], $2::bigint[]) AS mine (root_id, lane)
               -- No more than fits into memory: the first, and others up to some bytes.
               CROSS JOIN LATERAL (
                   SELECT *, sum(body_size) OVER (ORDER BY id) - body_size AS before FROM (
                       SELECT * FROM deliveries
                       WHERE deliveries.root_id = mine.root_id AND deliveries.lane = mine.lane AND settled_at IS NULL
                       ORDER BY deliveries.id LIMIT $3) AS first) AS waiting
               WHERE waiting.before < $4) AS waiting
           LEFT JOIN LATERAL (SELECT size, content FROM delivery_blocks WHERE waiting.brings_block AND delivery_blocks.id = waiting.block_id LIMIT 1) AS block ON true
           ORDER BY waiting.root_id, waiting.lane, waiting.id"#,
        &roots,
        &lanes,
        i64::try_from(per_lane).unwrap_or(i64::MAX),
        READ_BYTES,
    )
    .fetch_all(pool)
    .await?;
    let mut blocks = Blocks::default();
    for row in &mut rows {
        if let (Some(size), Some(content)) = (row.block_size, row.block_content.take()) {
            blocks.add(row.block_id, size, content);
        }
    }
    let mut by_lane: HashMap<(RootId, Lane), VecDeque<Delivery>> = HashMap::new();
    for row in rows {
        let place = Place {
            block: row.block_id,
            from: row.block_from,
            headers: row.headers_size,
            body: row.body_size,
        };
        let (headers, body) = blocks.sent(place);
        by_lane
            .entry((row.root, row.lane))
            .or_default()
            .push_back(Delivery {
                id: row.id,
                webhook: row.webhook,
                events: row.events.map(|words| {
                    words
                        .iter()
                        .filter_map(|word| HookEvent::from_word(word))
                        .collect()
                }),
                headers: String::from_utf8_lossy(headers).into_owned(),
                body: body.to_vec(),
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
