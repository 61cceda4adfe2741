//! Deliveries on their way in: stored in groups, each once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Signal, block::Press, log::replay, notify};
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
    /// What came.
    pub sent: Sent,
}

/// Headers and body of a delivery, one behind the other.
///
/// They are copied, while they are in the processor's caches: a part of a connection's buffer would keep it from being filled again.
#[derive(Debug, Clone)]
pub struct Sent {
    bytes: Vec<u8>,
    headers: usize,
}

impl Sent {
    /// Puts a body behind the headers that are kept, as a JSON object; behind an empty one where they cannot be written so.
    pub fn new(headers: &impl Serialize, body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(HEADERS + body.len());
        if serde_json::to_writer(&mut bytes, headers).is_err() {
            bytes.clear();
            bytes.extend_from_slice(b"{}");
        }
        let headers = bytes.len();
        bytes.extend_from_slice(body);
        Self { bytes, headers }
    }

    /// Returns both.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns how many bytes the headers have, and how many the body behind them.
    pub fn sizes(&self) -> (usize, usize) {
        (self.headers, self.bytes.len().saturating_sub(self.headers))
    }
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

/// What a group of arrivals is expected to hold. It is stored right whatever it holds; a wrong guess costs time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing that came before.
    New,
    /// Repeats, which are looked for first.
    Repeats,
}

/// Bytes of the headers that are kept, mostly.
const HEADERS: usize = 512;
/// How often somebody else may store one of the arrivals at the same moment.
const RACES: usize = 3;

/// Stores a group of arrivals durably, with one commit; returns what became of each, in their order. [`super::open()`] has the new ones worked.
///
/// The arrivals must be sorted by root, webhook and dedupe key, so that two groups cannot wait for each other. Whoever gives up waiting must
/// not use the connection again.
pub async fn store(
    connection: &mut PgConnection,
    press: &mut Press,
    arrivals: &[Arrival],
    expected: Expected,
) -> sqlx::Result<Vec<Stored>> {
    let mut repeats = HashMap::new();
    let mut races = 0;
    if expected == Expected::Repeats {
        recognise(connection, arrivals, &mut repeats).await?;
    }
    loop {
        let mut first = HashMap::new();
        let fresh = arrivals.iter().filter(|arrival| {
            let key = arrival.key();
            !repeats.contains_key(&key) && *first.entry(key).or_insert(arrival.id) == arrival.id
        });
        let fresh: Vec<&Arrival> = fresh.collect();
        match insert(connection, press, &fresh).await {
            Err(sqlx::Error::Database(refusal))
                if refusal.is_unique_violation() && races < RACES =>
            {
                races += 1;
                recognise(connection, arrivals, &mut repeats).await?;
            }
            inserted => {
                inserted?;
                let stored = arrivals.iter().map(|arrival| {
                    let key = arrival.key();
                    let first = first.get(&key).copied().map(Stored::Repeat);
                    match repeats.get(&key).copied().or(first) {
                        // Its own row, perhaps since an earlier attempt was committed, though the answer to it was lost.
                        Some(Stored::Repeat(id)) if id == arrival.id => Stored::New(id),
                        Some(stored) => stored,
                        None => Stored::New(arrival.id),
                    }
                });
                return Ok(stored.collect());
            }
        }
    }
}

/// Stores arrivals, all of them or none.
///
/// # Errors
/// Fails with a unique violation where one came before: looking for repeats first would cost each of them a sixth more.
async fn insert(
    connection: &mut PgConnection,
    press: &mut Press,
    arrivals: &[&Arrival],
) -> sqlx::Result<()> {
    if arrivals.is_empty() {
        return Ok(());
    }
    let (blocks, places) = press.pack(arrivals);
    let column = Columns::of(arrivals);
    let held_in: Vec<Uuid> = places.iter().map(|place| place.block).collect();
    let from: Vec<i32> = places.iter().map(|place| place.from).collect();
    let headers: Vec<i32> = places.iter().map(|place| place.headers).collect();
    let bodies: Vec<i32> = places.iter().map(|place| place.body).collect();
    let block_ids: Vec<Uuid> = blocks.iter().map(|block| block.id).collect();
    let block_sizes: Vec<i32> = blocks.iter().map(|block| block.size).collect();
    // They are sorted by webhook within each root.
    let mut hooks = column.webhooks.clone();
    hooks.dedup();
    let contents: Vec<&[u8]> = blocks.iter().map(|block| block.content).collect();
    sqlx::query!(
        "WITH block AS (
             INSERT INTO delivery_blocks (id, size, content) SELECT * FROM unnest($11::uuid[], $12::integer[], $13::bytea[])),
         hook AS MATERIALIZED (SELECT id, root_id FROM webhooks WHERE id = ANY($14))
         INSERT INTO deliveries (root_id, id, webhook_id, lane, dedupe_key, received_at, block_id, block_from, headers_size, body_size)
         -- A webhook that has moved to another root group takes what was on its way to it along.
         SELECT coalesce(hook.root_id, arrived.root_id), arrived.id, webhook_id, lane, dedupe_key, received_at,
                block_id, block_from, headers_size, body_size
         FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::timestamptz[],
                     $7::uuid[], $8::integer[], $9::integer[], $10::integer[])
             AS arrived (root_id, id, webhook_id, lane, dedupe_key, received_at, block_id, block_from, headers_size, body_size)
         LEFT JOIN hook ON hook.id = arrived.webhook_id",
        &column.roots,
        &column.ids,
        &column.webhooks,
        &column.lanes,
        &column.dedupe_keys,
        &column.received,
        &held_in,
        &from,
        &headers,
        &bodies,
        &block_ids,
        &block_sizes,
        &contents as &[&[u8]],
        &hooks,
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(Default)]
struct Columns {
    roots: Vec<i64>,
    ids: Vec<Uuid>,
    webhooks: Vec<i64>,
    lanes: Vec<i64>,
    dedupe_keys: Vec<Uuid>,
    received: Vec<DateTime<Utc>>,
}

impl Columns {
    fn of(arrivals: &[&Arrival]) -> Self {
        let mut columns = Self::default();
        for arrival in arrivals {
            columns.roots.push(arrival.root.0);
            columns.ids.push(arrival.id.0);
            columns.webhooks.push(arrival.webhook.0);
            columns.lanes.push(arrival.lane.0);
            columns
                .dedupe_keys
                .push(Uuid::from_bytes(arrival.dedupe_key));
            columns.received.push(arrival.received_at);
        }
        columns
    }
}

type RepeatKey = (WebhookId, [u8; 16]);

impl Arrival {
    const fn key(&self) -> RepeatKey {
        (self.webhook, self.dedupe_key)
    }
}

/// Finds further deliveries that arrivals repeat, and takes up again those whose work had died.
async fn recognise(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    repeats: &mut HashMap<RepeatKey, Stored>,
) -> sqlx::Result<()> {
    let unknown = arrivals
        .iter()
        .filter(|arrival| !repeats.contains_key(&arrival.key()));
    let column = Columns::of(&unknown.collect::<Vec<_>>());
    let known = sqlx::query!(
        r#"SELECT DISTINCT deliveries.id AS "id: DeliveryId", deliveries.webhook_id AS "webhook: WebhookId",
                  deliveries.dedupe_key, (deliveries.state = 'dead' OR EXISTS (
                      SELECT FROM effects WHERE effects.delivery_id = deliveries.id AND effects.state = 'dead')) AS "dead!"
           FROM unnest($1::bigint[], $2::uuid[]) AS arrived (webhook_id, dedupe_key)
           JOIN deliveries USING (webhook_id, dedupe_key)"#,
        &column.webhooks,
        &column.dedupe_keys,
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in known {
        let revived = if row.dead {
            replay(connection, row.id).await?
        } else {
            Vec::new()
        };
        let stored = if revived.is_empty() {
            Stored::Repeat(row.id)
        } else {
            for (queue, on) in revived {
                notify(&mut *connection, Signal::Work(queue, on)).await?;
            }
            Stored::Revived(row.id)
        };
        repeats.insert((row.webhook, row.dedupe_key.into_bytes()), stored);
    }
    Ok(())
}
