//! Deliveries on their way in: stored in groups, each once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Signal, copy::copy, log::replay, notify};
use crate::domain::{ConnectionId, DeliveryId, Lane, RootId, WebhookId};

/// Fewest arrivals for which a `COPY` is worth its second round trip.
const MANY: usize = 4;

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

/// By which statement a group of arrivals is stored. It is stored right by either; the wrong one costs time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `COPY`, the cheaper one where nothing came before. Not over TCP: its end is sent apart from its data, which waits for the other side's
    /// delayed acknowledgement, some 40 ms, since sqlx does not set `TCP_NODELAY`.
    Copy,
    /// `INSERT`, in one round trip, which leaves out what came before.
    Insert,
}

/// Stores a group of arrivals durably, with one commit; returns what became of each, in their order. [`super::open()`] has the new ones worked.
///
/// The arrivals must be sorted by root, webhook and dedupe key, so that two groups cannot wait for each other. Whoever gives up waiting must
/// not use the connection again.
pub async fn store(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    way: Way,
) -> sqlx::Result<Vec<Stored>> {
    if way == Way::Copy && arrivals.len() >= MANY {
        match copy(connection, arrivals).await {
            Err(sqlx::Error::Database(refusal)) if refusal.is_unique_violation() => {}
            copied => return copied.map(|()| all_new(arrivals)),
        }
    }
    let new = insert(connection, arrivals).await?;
    if new.len() == arrivals.len() {
        return Ok(all_new(arrivals));
    }
    let repeats = recognise(connection, arrivals, &new).await?;
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

fn all_new(arrivals: &[Arrival]) -> Vec<Stored> {
    let new = arrivals.iter().map(|arrival| Stored::New(arrival.id));
    new.collect()
}

/// Stores those arrivals that did not come before; returns which these are.
async fn insert(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
) -> sqlx::Result<Vec<DeliveryId>> {
    let column = Columns::of(arrivals.iter());
    sqlx::query_scalar!(
        r#"INSERT INTO deliveries (root_id, id, webhook_id, lane, dedupe_key, received_at, headers, body)
           -- A webhook that has moved to another root group takes what was on its way to it along.
           SELECT coalesce((SELECT webhooks.root_id FROM webhooks WHERE webhooks.id = arrived.webhook_id), arrived.root_id),
                  arrived.id, webhook_id, lane, dedupe_key, received_at, headers, body
           FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bytea[], $6::timestamptz[], $7::text[], $8::bytea[])
               AS arrived (root_id, id, webhook_id, lane, dedupe_key, received_at, headers, body)
           ON CONFLICT (dedupe_key, webhook_id) DO NOTHING
           RETURNING id AS "id: DeliveryId""#,
        &column.roots,
        &column.ids,
        &column.webhooks,
        &column.lanes,
        &column.dedupe_keys as &[&[u8]],
        &column.received,
        &column.headers as &[&str],
        &column.bodies as &[&[u8]],
    )
    .fetch_all(connection)
    .await
}

#[derive(Default)]
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
    fn of(arrivals: impl Iterator<Item = &'a Arrival>) -> Self {
        let mut columns = Self::default();
        for arrival in arrivals {
            columns.roots.push(arrival.root.0);
            columns.ids.push(arrival.id.0);
            columns.webhooks.push(arrival.webhook.0);
            columns.lanes.push(arrival.lane.0);
            columns.dedupe_keys.push(&arrival.dedupe_key);
            columns.received.push(arrival.received_at);
            columns.headers.push(&arrival.headers);
            columns.bodies.push(&arrival.body);
        }
        columns
    }
}

type RepeatKey = (WebhookId, [u8; 16]);

/// Finds the deliveries that arrivals repeat, and takes up again those whose work had died.
async fn recognise(
    connection: &mut PgConnection,
    arrivals: &[Arrival],
    new: &[DeliveryId],
) -> sqlx::Result<HashMap<RepeatKey, Stored>> {
    let repeats = arrivals.iter().filter(|arrival| !new.contains(&arrival.id));
    let column = Columns::of(repeats);
    let known = sqlx::query!(
        r#"SELECT DISTINCT deliveries.id AS "id: DeliveryId", deliveries.webhook_id AS "webhook: WebhookId",
                  deliveries.dedupe_key, (deliveries.state = 'dead' OR EXISTS (
                      SELECT FROM effects WHERE effects.delivery_id = deliveries.id AND effects.state = 'dead')) AS "dead!"
           FROM unnest($1::bigint[], $2::bytea[]) AS arrived (webhook_id, dedupe_key)
           JOIN deliveries USING (webhook_id, dedupe_key)"#,
        &column.webhooks,
        &column.dedupe_keys as &[&[u8]],
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut found = HashMap::new();
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
        if let Ok(key) = row.dedupe_key.try_into() {
            found.insert((row.webhook, key), stored);
        }
    }
    Ok(found)
}
