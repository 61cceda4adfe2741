//! Forgetting settled work after a while, in small steps; and how much unsettled work there is.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Rows removed by one statement, so that none holds locks for long.
const STEP: i64 = 1000;

/// How many rows a pruning removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Deliveries.
    pub deliveries: u64,
    /// Effects, with their attempts.
    pub effects: u64,
}

/// Removes deliveries and effects that arrived before `before` and are settled, and the blocks of which no delivery is left. Dead ones
/// stay, for somebody to look at.
pub async fn prune(pool: &PgPool, before: DateTime<Utc>) -> sqlx::Result<Pruned> {
    let mut pruned = Pruned::default();
    let before = first_id_of(before);
    loop {
        // Ids begin with the time, so that the oldest are at the beginning of an index, root by root.
        let effects = sqlx::query!(
            "DELETE FROM effects USING (
                 SELECT old.root_id, old.id FROM groups AS root
                 CROSS JOIN LATERAL (
                     SELECT root_id, id FROM effects
                     WHERE effects.root_id = root.id AND effects.id < $1 AND state = 'done' ORDER BY id LIMIT $2) AS old
                 WHERE root.root_id = root.id LIMIT $2) AS old
             WHERE effects.root_id = old.root_id AND effects.id = old.id",
            before,
            STEP,
        )
        .execute(pool)
        .await?
        .rows_affected();
        let deliveries = sqlx::query!(
            "DELETE FROM deliveries USING (
                 SELECT old.root_id, old.id FROM groups AS root
                 CROSS JOIN LATERAL (
                     SELECT root_id, id FROM deliveries
                     WHERE deliveries.root_id = root.id AND deliveries.id < $1 AND state IN ('done', 'ignored')
                       AND NOT EXISTS (SELECT FROM effects WHERE effects.root_id = root.id AND effects.delivery_id = deliveries.id AND effects.state <> 'done')
                     ORDER BY id LIMIT $2) AS old
                 WHERE root.root_id = root.id LIMIT $2) AS old
             WHERE deliveries.root_id = old.root_id AND deliveries.id = old.id",
            before,
            STEP,
        )
        .execute(pool)
        .await?
        .rows_affected();
        pruned.effects += effects;
        pruned.deliveries += deliveries;
        if effects + deliveries == 0 {
            break;
        }
    }
    // A block is as new as the newest of its deliveries.
    sqlx::query!(
        "WITH kept AS MATERIALIZED (
             SELECT block_id FROM groups AS root JOIN deliveries ON deliveries.root_id = root.id AND deliveries.id < $1
             WHERE root.root_id = root.id)
         DELETE FROM delivery_blocks WHERE id < $1 AND NOT EXISTS (SELECT FROM kept WHERE kept.block_id = delivery_blocks.id)",
        before,
    )
    .execute(pool)
    .await?;
    Ok(pruned)
}

/// Returns the least id of a moment (UUID version 7: 48 bits of milliseconds come first).
fn first_id_of(moment: DateTime<Utc>) -> Uuid {
    let milliseconds = u64::try_from(moment.timestamp_millis()).unwrap_or_default();
    Uuid::from_u64_pair(milliseconds << 16, 0)
}

/// Work that waits, as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backlog {
    /// Deliveries that are not settled.
    pub deliveries: i64,
    /// Age of the oldest of them, in seconds.
    pub delivery_age: f64,
    /// Effects that are not settled.
    pub effects: i64,
    /// Age of the oldest of them, in seconds.
    pub effect_age: f64,
}

/// Returns how much work waits and for how long.
pub async fn backlog(pool: &PgPool) -> sqlx::Result<Backlog> {
    sqlx::query_as!(
        Backlog,
        r#"SELECT inbox.count AS "deliveries!", inbox.age AS "delivery_age!", outbox.count AS "effects!", outbox.age AS "effect_age!"
           FROM (SELECT count(*), coalesce(extract(epoch FROM now() - min(received_at)), 0)::float8 AS age
                 FROM deliveries WHERE settled_at IS NULL) AS inbox,
                (SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
                 FROM effects WHERE settled_at IS NULL) AS outbox"#
    )
    .fetch_one(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, ManualClock};

    #[test]
    fn ids_of_a_moment_come_after_its_first() {
        let moment = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let id = ManualClock::at(moment).id();
        let millisecond = chrono::TimeDelta::milliseconds(1);
        assert!(first_id_of(moment) <= id && id < first_id_of(moment + millisecond));
    }
}
