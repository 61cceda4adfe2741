//! How many contacts and organizations there are, by state.

use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::{Holder, StoreError, by_estimate, terms::Terms};
use crate::domain::Listed;

/// Matches of a search that are counted, both states together; where there are more, a page says "more than".
const EXACT: i64 = 5000;

/// A number of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many; at least so many if it is not exact.
    pub count: i64,
    /// Whether they were all counted.
    pub exact: bool,
}

/// Numbers of items by state, as the tabs of a page show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateCounts {
    /// In any state.
    pub all: Count,
    /// Active ones.
    pub active: Count,
    /// Inactive ones.
    pub inactive: Count,
}

/// Returns how many contacts or organizations of a group match a search, by state. Without a search the numbers are exact.
pub async fn counts(
    connection: &mut PgConnection,
    (root, group): Holder,
    listed: Listed,
    search: Option<&str>,
) -> Result<StateCounts, StoreError> {
    let terms = Terms::of(search.unwrap_or_default());
    if terms.words().is_empty() {
        let row = sqlx::query!(
            r#"SELECT coalesce(sum(change) FILTER (WHERE state = 'active'), 0)::bigint AS "active!",
                      coalesce(sum(change) FILTER (WHERE state = 'inactive'), 0)::bigint AS "inactive!"
               FROM item_counts WHERE root_id = $1 AND group_id = $2 AND kind = $3"#,
            root.0,
            group.0,
            listed.kind(),
        )
        .fetch_one(connection)
        .await?;
        return Ok(state_counts((row.active, row.inactive), true));
    }
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT count(*) FILTER (WHERE active), count(*) FILTER (WHERE NOT active) FROM (SELECT state = 'active' AS active FROM items WHERE root_id = ",
    );
    sql.push_bind(root.0)
        .push(" AND group_id = ")
        .push_bind(group.0);
    sql.push(format_args!(" AND kind = '{}'", listed.kind()));
    for pattern in terms.patterns() {
        sql.push(" AND search_text LIKE lower(")
            .push_bind(pattern)
            .push(")");
    }
    sql.push(" LIMIT ").push_bind(EXACT + 1).push(") AS found");
    let mut reading = by_estimate(connection).await?;
    let (active, inactive): (i64, i64) = sql
        .build_query_as()
        .persistent(false)
        .fetch_one(&mut *reading)
        .await?;
    drop(reading);
    Ok(state_counts((active, inactive), active + inactive <= EXACT))
}

fn state_counts((active, inactive): (i64, i64), exact: bool) -> StateCounts {
    let count = |count| Count { count, exact };
    StateCounts {
        all: count(active + inactive),
        active: count(active),
        inactive: count(inactive),
    }
}

/// Sums up what writers noted of how many items came and went. Reading is right without it, only slower with each note.
pub async fn fold_counts(connection: &mut PgConnection) -> Result<u64, StoreError> {
    // Two at once: the second one's notes are gone when it gets to them, and it puts nothing in their place.
    let folded = sqlx::query!(
        "WITH noted AS (
             DELETE FROM item_counts USING (
                 SELECT root_id, group_id, kind, state FROM item_counts GROUP BY root_id, group_id, kind, state HAVING count(*) > 1) AS many
             WHERE item_counts.root_id = many.root_id AND item_counts.group_id = many.group_id
               AND item_counts.kind = many.kind AND item_counts.state = many.state
             RETURNING item_counts.*)
         INSERT INTO item_counts (root_id, group_id, kind, state, change)
         SELECT root_id, group_id, kind, state, sum(change) FROM noted GROUP BY root_id, group_id, kind, state"
    )
    .execute(connection)
    .await?;
    Ok(folded.rows_affected())
}
