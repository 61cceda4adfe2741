//! Work that follows what it is about to another root group.
//!
//! A lane is of one tenant. What waits in a lane of the old one is put into the same lane of the new one, and whoever works it at that
//! moment finds that it is gone: a delivery cannot be settled any more and its changes are rolled back, and what a call did is found by
//! the attempt that comes after its lease.

use sqlx::PgConnection;

use crate::domain::{ConnectionId, Followers, Queue};

/// Has work follow, within the transaction of the move; returns the queues that have work now.
pub async fn follow(
    connection: &mut PgConnection,
    followers: &Followers,
) -> sqlx::Result<Vec<(Queue, ConnectionId)>> {
    if followers.from == followers.to {
        return Ok(Vec::new());
    }
    let (from, to) = (followers.from.0, followers.to.0);
    let (on, projects): (Vec<i64>, Vec<&str>) = followers
        .projects
        .iter()
        .map(|(on, project)| (on.0, project.as_str()))
        .unzip();
    sqlx::query!(
        "UPDATE deliveries SET root_id = $2 WHERE root_id = $1 AND webhook_id = ANY($3)",
        from,
        to,
        &followers.webhooks,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "WITH following AS MATERIALIZED (
             SELECT effects.id FROM deliveries JOIN effects ON effects.delivery_id = deliveries.id AND effects.root_id = $1
             WHERE deliveries.root_id = $2 AND deliveries.webhook_id = ANY($3)
             UNION
             SELECT id FROM effects
             JOIN unnest($4::bigint[], $5::text[]) AS moved (connection_id, project)
               ON moved.connection_id = effects.connection_id AND moved.project = coalesce(payload #>> '{on,project}', payload ->> 'project')
             WHERE root_id = $1 AND (settled_at IS NULL OR state = 'dead')),
         moved AS (
             UPDATE effects SET root_id = $2 FROM following WHERE effects.root_id = $1 AND effects.id = following.id)
         UPDATE effect_attempts SET root_id = $2 FROM following
         WHERE effect_attempts.root_id = $1 AND effect_attempts.effect_id = following.id",
        from,
        to,
        &followers.webhooks,
        &on,
        &projects as &[&str],
    )
    .execute(&mut *connection)
    .await?;
    lanes(connection, followers).await
}

/// Opens the lanes of what waits. A lane whose head may be under way is left alone until its lease runs out.
async fn lanes(
    connection: &mut PgConnection,
    followers: &Followers,
) -> sqlx::Result<Vec<(Queue, ConnectionId)>> {
    let (from, to) = (followers.from.0, followers.to.0);
    let mut opened = Vec::new();
    let inbox = sqlx::query_scalar!(
        r#"INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
           SELECT DISTINCT ON (waiting.lane) $1::bigint, 'inbox', waiting.lane, webhooks.connection_id, coalesce(waiting.next_at, now())
           FROM deliveries AS waiting JOIN webhooks ON webhooks.id = waiting.webhook_id
           WHERE waiting.root_id = $1 AND waiting.webhook_id = ANY($2) AND waiting.settled_at IS NULL
           ORDER BY waiting.lane, waiting.id
           ON CONFLICT (root_id, queue, lane) DO UPDATE SET lease = lanes.lease
           RETURNING connection_id AS "connection: ConnectionId""#,
        to,
        &followers.webhooks,
    )
    .fetch_all(&mut *connection)
    .await?;
    opened.extend(inbox.into_iter().map(|on| (Queue::Inbox, on)));
    let outbox = sqlx::query!(
        r#"INSERT INTO lanes (root_id, queue, lane, connection_id, ready_at)
           SELECT DISTINCT ON (waiting.queue, waiting.lane) $2::bigint, waiting.queue, waiting.lane, waiting.connection_id,
                  greatest(coalesce(waiting.next_at, now()), CASE WHEN before.lease IS NOT NULL THEN before.ready_at END)
           FROM effects AS waiting
           LEFT JOIN lanes AS before ON before.root_id = $1 AND before.queue = waiting.queue AND before.lane = waiting.lane
           WHERE waiting.root_id = $2 AND waiting.settled_at IS NULL
             AND (SELECT true FROM lanes WHERE lanes.root_id = $2 AND lanes.queue = waiting.queue AND lanes.lane = waiting.lane) IS NULL
           ORDER BY waiting.queue, waiting.lane, waiting.id
           ON CONFLICT (root_id, queue, lane) DO NOTHING
           RETURNING queue, connection_id AS "connection: ConnectionId""#,
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    opened.extend(outbox.into_iter().map(|row| match row.queue.as_str() {
        "reply" => (Queue::Reply, row.connection),
        _ => (Queue::Call, row.connection),
    }));
    opened.sort_unstable_by_key(|(queue, on)| (queue.word(), *on));
    opened.dedup();
    Ok(opened)
}

/// Finds deliveries that were stored for a webhook's old root group while it moved, and has them follow. Their lanes are opened by whoever
/// calls this.
pub(super) async fn gather(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let gathered = sqlx::query!(
        "UPDATE deliveries SET root_id = webhooks.root_id FROM webhooks
         WHERE deliveries.settled_at IS NULL AND webhooks.id = deliveries.webhook_id AND webhooks.root_id <> deliveries.root_id",
    )
    .execute(connection)
    .await?;
    Ok(gathered.rows_affected())
}
