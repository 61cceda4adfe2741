//! The log of deliveries as people look at it, and replay.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Connection, PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{
    block::{self, Place},
    inbox::revive,
};
use crate::domain::{ConnectionId, DeliveryId, Effect, Queue, RootId, WebhookId};

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliverySummary {
    /// The delivery's id.
    pub id: DeliveryId,
    /// Tenant and webhook that it came through.
    #[serde(skip)]
    pub through: (RootId, WebhookId),
    /// Name of the webhook.
    pub webhook: String,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// pending, done, ignored or dead.
    pub state: String,
    /// One sentence: what came of it.
    pub outcome: Option<String>,
    /// How often it was tried.
    pub attempts: i16,
    /// Effects of it that are dead.
    pub dead_effects: i64,
}

/// A delivery with everything that followed from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeliveryLog {
    /// The line of the log.
    #[serde(flatten)]
    pub summary: DeliverySummary,
    /// The headers that were kept.
    pub headers: serde_json::Value,
    /// The body, as text where it is text.
    pub body: String,
    /// The effects, in order.
    pub effects: Vec<EffectLog>,
}

/// An effect with its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectLog {
    /// The effect's id.
    pub id: Uuid,
    /// The call.
    pub effect: Effect,
    /// pending, done or dead.
    pub state: String,
    /// What came of it last.
    pub outcome: Option<String>,
    /// When it is tried again.
    pub next_at: Option<DateTime<Utc>>,
    /// The attempts that were recorded.
    pub attempts: Vec<AttemptLog>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptLog {
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
    /// What came of it.
    pub outcome: String,
}

/// So many of the newest deliveries of a tenant are looked at for those that a filter lets through, since there is no index for each filter:
/// it would cost every delivery that arrives.
const LOOKED_AT: i64 = 50_000;

/// Which part of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Only what came through these webhooks of a tenant.
    pub webhooks: Option<(RootId, Vec<WebhookId>)>,
    /// Only what came through a webhook of this name, whichever tenant's.
    pub name: Option<String>,
    /// Only in this state.
    pub state: Option<String>,
    /// Only what failed: dead deliveries, and those with dead effects.
    pub failed: bool,
    /// Only older ones.
    pub before: Option<DeliveryId>,
}

/// Returns the newest deliveries that a filter lets through, out of the newest 50,000 of each tenant, and of all that failed.
pub async fn deliveries(
    pool: &PgPool,
    filter: &LogFilter,
    limit: i64,
) -> sqlx::Result<Vec<DeliverySummary>> {
    let root = filter.webhooks.as_ref().map(|(root, _)| root.0);
    let webhooks: Option<Vec<i64>> = filter
        .webhooks
        .as_ref()
        .map(|(_, webhooks)| webhooks.iter().map(|webhook| webhook.0).collect());
    // Those that are given up are among those that failed.
    let is_dead = filter.state.as_deref() == Some("dead");
    let rows = sqlx::query!(
        r#"SELECT line.id AS "id: DeliveryId", line.root_id AS "root: RootId", line.webhook_id AS "webhook_id: WebhookId", line.webhook AS "webhook!",
                  line.received_at, line.state, line.outcome, line.attempts,
                  (SELECT count(*) FROM effects WHERE effects.delivery_id = line.id AND effects.state = 'dead') AS "dead_effects!"
           -- Root by root, since every key leads with it: the newest of each are at the end of an index. Of those only so many are looked at,
           -- and all that failed, which are few.
           FROM groups AS root
           CROSS JOIN LATERAL (
               SELECT deliveries.*, webhooks.name AS webhook
               FROM (SELECT id FROM (
                         SELECT newest.id FROM deliveries AS newest
                         WHERE NOT $6 AND newest.root_id = root.id AND ($5::uuid IS NULL OR newest.id < $5)
                         ORDER BY newest.id DESC LIMIT $8) AS newest
                     UNION ALL
                     SELECT dead.id FROM deliveries AS dead WHERE $6 AND dead.root_id = root.id AND dead.state = 'dead'
                     UNION
                     SELECT delivery_id FROM effects WHERE $6 AND effects.root_id = root.id AND effects.state = 'dead' AND delivery_id IS NOT NULL) AS looked
               JOIN deliveries ON deliveries.root_id = root.id AND deliveries.id = looked.id
               JOIN webhooks ON webhooks.root_id = deliveries.root_id AND webhooks.id = deliveries.webhook_id
               WHERE ($1::text IS NULL OR lower(webhooks.name) = lower($1)) AND ($2::text IS NULL OR deliveries.state = $2)
                 AND ($4::bigint[] IS NULL OR deliveries.webhook_id = ANY ($4))
                 AND ($5::uuid IS NULL OR deliveries.id < $5)
               ORDER BY deliveries.id DESC LIMIT $3) AS line
           WHERE root.root_id = root.id AND ($7::bigint IS NULL OR root.id = $7)
           ORDER BY line.id DESC LIMIT $3"#,
        filter.name,
        filter.state,
        limit,
        webhooks.as_deref(),
        filter.before.map(|id| id.0),
        filter.failed || is_dead,
        root,
        LOOKED_AT,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| DeliverySummary {
            id: row.id,
            through: (row.root, row.webhook_id),
            webhook: row.webhook,
            received_at: row.received_at,
            state: row.state,
            outcome: row.outcome,
            attempts: row.attempts,
            dead_effects: row.dead_effects,
        })
        .collect())
}

/// Returns the bodies of deliveries of a tenant that are no longer than so many bytes.
pub async fn bodies(
    pool: &PgPool,
    root: RootId,
    deliveries: &[DeliveryId],
    longest: i32,
) -> sqlx::Result<Vec<(DeliveryId, Vec<u8>)>> {
    let ids: Vec<Uuid> = deliveries.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT id AS "id: DeliveryId", block_id, block_from, headers_size, body_size FROM deliveries
           WHERE root_id = $1 AND id = ANY($2) AND body_size <= $3"#,
        root.0,
        &ids,
        longest,
    )
    .fetch_all(pool)
    .await?;
    let places = rows.iter().map(|row| Place {
        block: row.block_id,
        from: row.block_from,
        headers: row.headers_size,
        body: row.body_size,
    });
    let places: Vec<Place> = places.collect();
    let blocks = block::read(pool, &places).await?;
    let bodies = rows.iter().zip(places);
    let bodies = bodies.map(|(row, place)| (row.id, blocks.sent(place).1.to_vec()));
    Ok(bodies.collect())
}

/// Returns the tenant and the webhook that a delivery came through.
pub async fn through(pool: &PgPool, id: DeliveryId) -> sqlx::Result<Option<(RootId, WebhookId)>> {
    let row = sqlx::query!(
        r#"SELECT deliveries.root_id AS "root: RootId", webhook_id AS "webhook: WebhookId"
           FROM groups AS root JOIN deliveries ON deliveries.root_id = root.id AND deliveries.id = $1
           WHERE root.root_id = root.id"#,
        id.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.root, row.webhook)))
}

/// Returns a delivery with its effects and their attempts.
pub async fn delivery(pool: &PgPool, id: DeliveryId) -> sqlx::Result<Option<DeliveryLog>> {
    let row = sqlx::query!(
        r#"SELECT deliveries.root_id AS "root: RootId", webhook_id AS "webhook_id: WebhookId", webhooks.name AS webhook, received_at,
                  deliveries.state, outcome, attempts, block_id, block_from, headers_size, body_size
           FROM groups AS root
           JOIN deliveries ON deliveries.root_id = root.id AND deliveries.id = $1
           JOIN webhooks ON webhooks.root_id = deliveries.root_id AND webhooks.id = deliveries.webhook_id
           WHERE root.root_id = root.id"#,
        id.0,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let place = Place {
        block: row.block_id,
        from: row.block_from,
        headers: row.headers_size,
        body: row.body_size,
    };
    let blocks = block::read(pool, &[place]).await?;
    let (headers, body) = blocks.sent(place);
    let effects = effects(pool, id).await?;
    let dead_effects = effects
        .iter()
        .filter(|effect| effect.state == "dead")
        .count();
    Ok(Some(DeliveryLog {
        summary: DeliverySummary {
            id,
            through: (row.root, row.webhook_id),
            webhook: row.webhook,
            received_at: row.received_at,
            state: row.state,
            outcome: row.outcome,
            attempts: row.attempts,
            dead_effects: i64::try_from(dead_effects).unwrap_or(i64::MAX),
        },
        headers: serde_json::from_slice(headers).unwrap_or_default(),
        body: String::from_utf8_lossy(body).into_owned(),
        effects,
    }))
}

/// By the delivery alone: its effects may have followed what they are about to another root group.
async fn effects(pool: &PgPool, delivery: DeliveryId) -> sqlx::Result<Vec<EffectLog>> {
    let rows = sqlx::query!(
        r#"SELECT id, payload AS "payload: Json<Effect>", state, outcome, next_at, began_at, duration_ms FROM effects
           WHERE delivery_id = $1 ORDER BY id"#,
        delivery.0,
    )
    .fetch_all(pool)
    .await?;
    let attempts = sqlx::query!(
        "SELECT effect_id, at, effect_attempts.duration_ms, effect_attempts.outcome
         FROM effects JOIN effect_attempts ON effect_attempts.root_id = effects.root_id AND effect_attempts.effect_id = effects.id
         WHERE delivery_id = $1 ORDER BY effect_id, attempt",
        delivery.0,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut made: Vec<AttemptLog> = attempts
                .iter()
                .filter(|attempt| attempt.effect_id == row.id)
                .map(|attempt| AttemptLog {
                    at: attempt.at,
                    duration_ms: attempt.duration_ms,
                    outcome: attempt.outcome.clone(),
                })
                .collect();
            // One that was done by its first attempt has no other record of it than itself.
            let only = row
                .began_at
                .zip(row.duration_ms)
                .filter(|_| made.is_empty());
            made.extend(only.map(|(at, duration_ms)| AttemptLog {
                at,
                duration_ms,
                outcome: row.outcome.clone().unwrap_or_default(),
            }));
            EffectLog {
                attempts: made,
                id: row.id,
                effect: row.payload.0,
                state: row.state,
                outcome: row.outcome,
                next_at: row.next_at,
            }
        })
        .collect())
}

/// Takes up again a dead delivery, and the dead effects of a delivery; returns the queues that have work now.
///
/// What was done is not done again. An empty list means that nothing of it is dead.
pub async fn replay(
    connection: &mut PgConnection,
    id: DeliveryId,
) -> sqlx::Result<Vec<(Queue, ConnectionId)>> {
    let mut tx = connection.begin().await?;
    let found = sqlx::query!(
        r#"SELECT deliveries.root_id AS "root: RootId", webhooks.connection_id AS "connection: ConnectionId" FROM groups AS root
           JOIN deliveries ON deliveries.root_id = root.id AND deliveries.id = $1
           JOIN webhooks ON webhooks.root_id = deliveries.root_id AND webhooks.id = deliveries.webhook_id
           WHERE root.root_id = root.id"#,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(found) = found else {
        return Ok(Vec::new());
    };
    let mut woken = Vec::new();
    if revive(&mut tx, found.root, id).await? {
        woken.push((Queue::Inbox, found.connection));
    }
    let effects = sqlx::query!(
        r#"WITH revived AS (
               UPDATE effects SET state = 'pending', attempts = 1, next_at = NULL, settled_at = NULL, outcome = 'taken up again'
               WHERE delivery_id = $1 AND state = 'dead'
               RETURNING root_id, queue, lane, connection_id),
           queued AS (
               INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
               SELECT DISTINCT root_id, queue, lane, connection_id, now() FROM revived
               ON CONFLICT (root_id, queue, lane) DO UPDATE SET lease = lanes.lease WHERE false)
           SELECT DISTINCT queue, connection_id AS "connection: ConnectionId" FROM revived"#,
        id.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    woken.extend(effects.into_iter().map(|row| match row.queue.as_str() {
        "reply" => (Queue::Reply, row.connection),
        _ => (Queue::Call, row.connection),
    }));
    Ok(woken)
}
