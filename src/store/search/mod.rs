//! Lists, search, counts and autocompletion of contacts and organizations.
//!
//! Reads only. What it reads beside the plain columns is generated or kept by triggers (see the migration named search), so that nothing
//! here has to be told of a change. `docs/PLANS.md` has the plans of these statements.
//!
//! **Two ways of planning.** A statement that looks up a range of one index is right with the one plan that the settings of `by_index`
//! leave. A statement that looks for a substring depends on what is looked for, and is planned anew each time (`by_estimate`). Both hold
//! whatever the settings of the connection are and whatever was planned on it before, since they open a transaction (or a savepoint) of
//! their own. Only autocompletion has connections for itself, with the settings of `by_index` for good ([`Completing`]).

mod complete;
mod completing;
mod count;
mod cursor;
mod issues;
mod list;
mod order;
mod ranges;
mod related;
mod row;
mod scan;
mod terms;

use sqlx::{Connection, Executor, PgConnection, Postgres, Transaction};

pub use complete::{Completion, Purpose, complete};
pub use completing::Completing;
pub use count::{Count, StateCounts, counts, fold_counts};
pub use cursor::{Cursor, InvalidCursor};
pub use issues::{Among, ListedIssue, issues};
pub use list::{ListError, Listing, Page, Query, contacts, organizations};
pub use related::{
    ContactIssue, IssueContacts, contacts_by_ids, contacts_of_issues, contacts_of_organization,
    issues_of_contact, organization_named, organizations_by_ids,
};
pub use row::{ContactRow, OrganizationRow};

use super::StoreError;
use crate::domain::{GroupId, Listed, RootId};

/// Where contacts are looked for: the tenant, and the group that holds them.
pub type Holder = (RootId, GroupId);

/// Returns the patterns for LIKE on the lower-case search text that must all match for a search to find something.
pub(super) fn patterns(search: &str) -> Vec<String> {
    terms::Terms::of(search).patterns().collect()
}

impl Listed {
    const fn kind(self) -> &'static str {
        match self {
            Self::Contacts => "contact",
            Self::Organizations => "organization",
        }
    }
}

/// Opens a read that takes ranges of indexes in their order, whatever the statistics say: they may be from when a table was empty. What
/// has to be sorted all the same, is.
async fn by_index(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, StoreError> {
    begin(
        connection,
        "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 0",
    )
    .await
}

/// Opens a read whose statements are planned for the very values that are asked for, and sort what they found: an index in the order of the
/// sort would be walked to the end. Whole tables are still not read: they are all tenants'.
async fn by_estimate(
    connection: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, StoreError> {
    begin(
        connection,
        "BEGIN; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_hashjoin = on; \
         SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL max_parallel_workers_per_gather = 0",
    )
    .await
}

/// Opens a read as [`by_estimate`] does, of what matches and stands before a place in the sort though most of what matches stands behind it.
/// Postgres takes the two for independent, and would look at everything that matches. With rows this dear it asks both indexes first, where
/// the range before the place has less than some four entries for each row that matches, which is where that mostly takes less time.
async fn by_both(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, StoreError> {
    let mut reading = by_estimate(connection).await?;
    reading.execute("SET LOCAL cpu_tuple_cost = 1").await?;
    Ok(reading)
}

/// Opens a read that gathers what an index of trigrams has, whatever it is asked, so that the plan is kept: estimating what a pattern will
/// find takes longer than finding it.
async fn by_trigrams(
    connection: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, StoreError> {
    begin(
        connection,
        "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_seqscan = off; \
         SET LOCAL enable_indexscan = off; SET LOCAL max_parallel_workers_per_gather = 0",
    )
    .await
}

/// Opens a transaction with settings of its own in one round trip, or a savepoint within an open one. It changes nothing and is dropped when
/// it has been read: its rollback goes along with whatever the connection sends next, and nobody waits for it.
async fn begin<'c>(
    connection: &'c mut PgConnection,
    opening: &'static str,
) -> Result<Transaction<'c, Postgres>, StoreError> {
    if !connection.is_in_transaction() {
        return Ok(connection.begin_with(opening).await?);
    }
    let mut transaction = connection.begin().await?;
    let settings = opening.trim_start_matches("BEGIN; ");
    transaction.execute(settings).await?;
    Ok(transaction)
}
