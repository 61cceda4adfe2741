//! Deliveries at work: read in order, settled once.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{Claimed, QueueError};
use crate::domain::{DeliveryId, Lane, RootId, WebhookId};

/// Bytes of a lane's bodies after which no further one is read.
const READ_BYTES: i64 = 1 << 20;

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
) -> sqlx::Result<HashMap<(RootId, Lane), Vec<Delivery>>> {
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
    let mut by_lane: HashMap<(RootId, Lane), Vec<Delivery>> = HashMap::new();
    for row in rows {
        by_lane
            .entry((row.root, row.lane))
            .or_default()
            .push(Delivery {
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

/// Records what came of a delivery, within the transaction that holds its changes.
///
/// # Errors
/// Fails with [`QueueError::LostLease`] when the lane is somebody else's by now or the delivery is settled; the caller rolls back.
pub async fn settle(
    connection: &mut PgConnection,
    claimed: Claimed,
    id: DeliveryId,
    verdict: &InboxVerdict,
) -> Result<(), QueueError> {
    let (state, outcome, pause) = match verdict {
        InboxVerdict::Done(outcome) => ("done", outcome, None),
        InboxVerdict::Ignored(outcome) => ("ignored", outcome, None),
        InboxVerdict::Dead(outcome) => ("dead", outcome, None),
        InboxVerdict::Later(outcome, pause) => ("pending", outcome, Some(pause.as_secs_f64())),
    };
    let settled = sqlx::query!(
        "UPDATE deliveries
         SET state = $5, outcome = $6, attempts = attempts + 1,
             next_at = now() + make_interval(secs => $7), settled_at = CASE WHEN $5 = 'pending' THEN NULL ELSE now() END
         WHERE root_id = $1 AND id = $2 AND state = 'pending'
           AND EXISTS (SELECT FROM lanes WHERE root_id = $1 AND queue = 'inbox' AND lane = $3 AND lease = $4)",
        claimed.root.0,
        id.0,
        claimed.lane.0,
        claimed.lease,
        state,
        outcome,
        pause,
    )
    .execute(connection)
    .await?;
    match settled.rows_affected() {
        1 => Ok(()),
        _ => Err(QueueError::LostLease),
    }
}
