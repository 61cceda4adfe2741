//! Opening the lanes of what has arrived, after it is stored: lanes follow from deliveries and need not be as durable.

use sqlx::{PgConnection, PgPool};

use super::follow::gather;
use crate::domain::{ConnectionId, Lane, RootId, WebhookId};

/// Where something new has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Opening {
    /// Tenant under which it was stored.
    pub root: RootId,
    /// The webhook it came through.
    pub webhook: WebhookId,
    /// Its lane.
    pub lane: Lane,
}

/// Has the lanes of stored deliveries worked. Until then nobody looks for them but [`open_lost`].
pub async fn open(connection: &mut PgConnection, openings: &[Opening]) -> sqlx::Result<()> {
    if open_current(connection, openings).await? {
        // Stored for a root group that their webhook has left.
        gather(connection).await?;
        open_current(connection, openings).await?;
    }
    Ok(())
}

/// Opens lanes in the root groups where the webhooks are now; returns whether that is another one for any of them.
async fn open_current(connection: &mut PgConnection, openings: &[Opening]) -> sqlx::Result<bool> {
    let roots: Vec<i64> = openings.iter().map(|opening| opening.root.0).collect();
    let webhooks: Vec<i64> = openings.iter().map(|opening| opening.webhook.0).collect();
    let lanes: Vec<i64> = openings.iter().map(|opening| opening.lane.0).collect();
    let mut hooks = webhooks.clone();
    hooks.sort_unstable();
    hooks.dedup();
    // A lane that nobody has leased at this moment, when the deliveries are committed already, is removed by nobody who has not leased it
    // after it, and he sees them: it is left as it is. One that is leased is locked without being changed: whoever is about to remove it is
    // waited for, and it is made anew.
    sqlx::query_scalar!(
        r#"WITH hook AS MATERIALIZED (SELECT id, root_id, connection_id FROM webhooks WHERE id = ANY($4)),
           arrived AS MATERIALIZED (
               SELECT hook.root_id, hook.connection_id, arrived.lane, hook.root_id <> arrived.root_id AS has_moved
               FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS arrived (root_id, webhook_id, lane)
               JOIN hook ON hook.id = arrived.webhook_id),
           opened AS (
               INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
               -- In one order for all who lock several lanes, so that they cannot wait for each other in a circle.
               SELECT DISTINCT root_id, 'inbox', lane, connection_id, now() FROM arrived
               WHERE (SELECT true FROM lanes
                      WHERE lanes.root_id = arrived.root_id AND queue = 'inbox' AND lanes.lane = arrived.lane AND lease IS NULL
                      LIMIT 1) IS NULL
               ORDER BY root_id, lane
               ON CONFLICT (root_id, queue, lane) DO UPDATE SET lease = lanes.lease WHERE false)
           SELECT coalesce(bool_or(has_moved), false) AS "has_moved!" FROM arrived"#,
        &roots,
        &webhooks,
        &lanes,
        &hooks,
    )
    .fetch_one(connection)
    .await
}

/// Opens the lanes of deliveries that lost them, or never had any since their receiver was killed before it opened them; returns the
/// connections that have such work.
///
/// It goes from lane to lane along the index of what waits, at the cost of a few look-ups for each lane with work.
pub async fn open_lost(pool: &PgPool) -> sqlx::Result<Vec<ConnectionId>> {
    sqlx::query_scalar!(
        r#"WITH RECURSIVE waiting AS (
               (SELECT lane, root_id FROM deliveries WHERE settled_at IS NULL ORDER BY lane, root_id LIMIT 1)
               UNION ALL
               SELECT next.lane, next.root_id FROM waiting
               CROSS JOIN LATERAL (
                   SELECT lane, root_id FROM deliveries
                   WHERE settled_at IS NULL AND (deliveries.lane, deliveries.root_id) > (waiting.lane, waiting.root_id)
                   ORDER BY lane, root_id LIMIT 1) AS next),
           opened AS (
               INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
               SELECT waiting.root_id, 'inbox', waiting.lane, webhooks.connection_id, coalesce(head.next_at, now())
               FROM waiting
               CROSS JOIN LATERAL (
                   SELECT webhook_id, next_at FROM deliveries
                   WHERE deliveries.lane = waiting.lane AND deliveries.root_id = waiting.root_id AND settled_at IS NULL
                   ORDER BY id LIMIT 1) AS head
               JOIN webhooks ON webhooks.root_id = waiting.root_id AND webhooks.id = head.webhook_id
               WHERE (SELECT true FROM lanes
                      WHERE lanes.root_id = waiting.root_id AND queue = 'inbox' AND lanes.lane = waiting.lane LIMIT 1) IS NULL
               ORDER BY waiting.root_id, waiting.lane
               -- One that was put back meanwhile, or whose work was settled meanwhile and that is opened for nothing, does no harm.
               ON CONFLICT DO NOTHING
               RETURNING connection_id)
           SELECT DISTINCT connection_id AS "connection!: ConnectionId" FROM opened"#
    )
    .fetch_all(pool)
    .await
}
