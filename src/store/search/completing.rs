//! Connections for whoever waits while he types.

use futures_util::future::try_join_all;
use sqlx::PgPool;

use super::{
    Holder, StoreError,
    complete::{Completion, Purpose, complete, plan},
};
use crate::{
    domain::IssueId,
    store::{PLANNING, pool_options},
};

/// How many there are. Each answers several hundred people who type.
const CONNECTIONS: u32 = 2;

/// How their statements are planned, beside what holds for all: ranges of indexes are taken in their order, whatever the statistics say. What
/// has to be sorted all the same, is.
const IN_ORDER: [(&str, &str); 2] = [
    ("enable_sort", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

/// Connections that complete contacts and do nothing else.
///
/// Postgres plans a statement on each connection that carries it out for the first time, which takes ten times as long as what is planned
/// here: of many connections that take turns, one after the other would keep somebody waiting. These few keep their plans, and their settings,
/// which others make for each statement.
#[derive(Debug, Clone)]
pub struct Completing(PgPool);

impl Completing {
    /// Returns connections beside those of a pool; they are made when they are first needed.
    pub fn beside(pool: &PgPool) -> Self {
        let kept = pool_options(CONNECTIONS)
            .idle_timeout(None)
            .max_lifetime(None);
        let options = pool.connect_options().as_ref().clone();
        Self(kept.connect_lazy_with(options.options(PLANNING).options(IN_ORDER)))
    }

    /// Makes the connections and their plans before anybody waits for them.
    ///
    /// # Errors
    /// Fails when the store does not answer; nothing is lost then but time.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        let all = (0..CONNECTIONS).map(|_| self.0.acquire());
        let mut all = try_join_all(all).await?;
        try_join_all(all.iter_mut().map(|connection| plan(connection))).await?;
        Ok(())
    }

    /// Completes contacts, see [`complete`].
    ///
    /// # Errors
    /// Fails when the store does not answer.
    pub async fn complete(
        &self,
        holder: Holder,
        term: &str,
        issue: Option<IssueId>,
        purpose: Purpose,
        limit: u32,
    ) -> Result<Vec<Completion>, StoreError> {
        let mut connection = self.0.acquire().await?;
        complete(&mut connection, holder, term, issue, purpose, limit).await
    }
}
