//! Forgetting settled work after a while, in small steps.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

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

/// Removes deliveries and effects that were settled well before `before`. Dead ones stay, for somebody to look at.
pub async fn prune(pool: &PgPool, before: DateTime<Utc>) -> sqlx::Result<Pruned> {
    let mut pruned = Pruned::default();
    loop {
        let effects = sqlx::query!(
            "DELETE FROM effects WHERE (root_id, id) IN (
                 SELECT root_id, id FROM effects WHERE settled_at < $1 AND state = 'done' LIMIT $2)",
            before,
            STEP,
        )
        .execute(pool)
        .await?
        .rows_affected();
        let deliveries = sqlx::query!(
            "DELETE FROM deliveries WHERE (root_id, id) IN (
                 SELECT root_id, id FROM deliveries WHERE settled_at < $1 AND state IN ('done', 'ignored') LIMIT $2)",
            before,
            STEP,
        )
        .execute(pool)
        .await?
        .rows_affected();
        pruned.effects += effects;
        pruned.deliveries += deliveries;
        if effects + deliveries == 0 {
            return Ok(pruned);
        }
    }
}
