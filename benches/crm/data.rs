//! A tenant of a million contacts with names as people have them: few are common, most are rare.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};

use crate::{
    figure::{Figure, line},
    names::{BRANDS, FIRST, FORMS, LAST, MAILERS, NOTES, TRADES},
};

/// Organizations of the group.
pub(crate) const ORGANIZATIONS: i64 = 100_000;
/// Contacts of the group, whose ids follow those of the organizations.
pub(crate) const CONTACTS: i64 = 1_000_000;
/// Issues of the group's project.
pub(crate) const ISSUES: i64 = 300_000;
const RELATIONS: i64 = 3_000_000;
/// Contacts of one statement.
const STEP: i64 = 100_000;

/// A number from 0 up to 1 that follows from a row's number, different for each `seed`.
fn chance(seed: u8) -> String {
    format!("((hashint8extended(n, {seed}) & 2147483647)::float8 / 2147483648)")
}

/// One of the texts of a parameter; the first ones are the likelier, the higher the skew.
fn pick(parameter: u8, seed: u8, skew: f64) -> String {
    format!(
        "(${parameter}::text[])[1 + floor(power({}, {skew}) * cardinality(${parameter}::text[]))::int]",
        chance(seed)
    )
}

/// Fills an empty database; returns how long the last step of contacts took, with all others, indexes and triggers there.
///
/// What comes before that is written bare, and indexes, words and counts are made of it at once, as the migration makes them.
pub(crate) async fn fill(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let filled: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM groups)")
        .fetch_one(pool)
        .await?;
    if filled {
        return Ok(Vec::new());
    }
    let begun = Instant::now();
    pool.execute(
        "INSERT INTO connections (name, kind, url, bot_username, created_at) VALUES ('tracker', 'gitlab', 'http://tracker.example', 'bot', now());
         INSERT INTO groups (root_id, id, path, name, contact_group_id, created_at) VALUES (1, 1, 'acme', 'Acme', 1, now());
         INSERT INTO projects (root_id, group_id, connection_id, remote_id, path, visibility, checked_at) VALUES (1, 1, 1, '1', 'acme/shop', 'private', now());
         SELECT setval(pg_get_serial_sequence('items', 'id'), 10000000)",
    )
    .await?;
    let mut connection = pool.acquire().await?;
    let (last, before) = (CONTACTS - STEP, "SET session_replication_role = ");
    connection
        .execute(AssertSqlSafe(format!("{before}replica")))
        .await?;
    let indexes = without_indexes(&mut connection).await?;
    organizations(&mut connection).await?;
    contacts(&mut connection, 0, last).await?;
    relations(&mut connection).await?;
    derive(&mut connection, &indexes).await?;
    connection
        .execute(AssertSqlSafe(format!("{before}DEFAULT")))
        .await?;
    settle(&mut connection).await?;
    line(&format!(
        "filled but for the last {STEP} in {:.0} s",
        begun.elapsed().as_secs_f64()
    ))?;
    let step = Instant::now();
    contacts(&mut connection, last, STEP).await?;
    let import = step.elapsed();
    settle(&mut connection).await?;
    Ok(vec![Figure {
        name: "import of 100,000 contacts beside 900,000".to_owned(),
        target: Duration::from_secs(20),
        times: vec![import],
        slowest: Vec::new(),
    }])
}

/// Drops the indexes of items that keep nothing unique, and returns how they are made.
async fn without_indexes(connection: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'items' AND indexdef NOT LIKE '%UNIQUE%'",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut definitions = Vec::new();
    for (name, definition) in indexes {
        connection
            .execute(AssertSqlSafe(format!("DROP INDEX {name}")))
            .await?;
        definitions.push(definition);
    }
    Ok(definitions)
}

/// Makes what triggers would have made, and the indexes.
async fn derive(connection: &mut PgConnection, indexes: &[String]) -> anyhow::Result<()> {
    connection
        .execute(
            "SET maintenance_work_mem = '512MB';
             INSERT INTO item_words (root_id, group_id, kind, active, rank, word, item_id)
             SELECT root_id, group_id, kind, state = 'active', rank, word, id FROM items, item_words_of(first_name, last_name, title, email);
             INSERT INTO item_counts (root_id, group_id, kind, state, change)
             SELECT root_id, group_id, kind, state, count(*) FROM items GROUP BY root_id, group_id, kind, state",
        )
        .await?;
    for definition in indexes {
        connection
            .execute(AssertSqlSafe(definition.clone()))
            .await?;
    }
    connection.execute("RESET maintenance_work_mem").await?;
    Ok(())
}

async fn organizations(connection: &mut PgConnection) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO items (root_id, id, group_id, kind, state, title, description, default_rate, created_at, updated_at)
         SELECT 1, n, 1, 'organization', CASE WHEN {} < 0.05 THEN 'inactive' ELSE 'active' END, {} || ' ' || {} || {} || ' ' || n,
                CASE WHEN {} < 0.4 THEN {} END, CASE WHEN {} < 0.6 THEN round((20 + 200 * {})::numeric, 2) END,
                now() - {} * interval '3 years', now() - {} * interval '1 year'
         FROM generate_series(1, $5::bigint) AS n",
        chance(1), pick(1, 2, 1.3), pick(2, 3, 1.3), pick(3, 4, 1.0), chance(5), pick(4, 6, 1.0), chance(7), chance(8), chance(9), chance(10)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(BRANDS)
        .bind(TRADES)
        .bind(FORMS)
        .bind(NOTES)
        .bind(ORGANIZATIONS)
        .execute(connection)
        .await?;
    Ok(())
}

async fn contacts(connection: &mut PgConnection, before: i64, count: i64) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO items (root_id, id, group_id, kind, state, title, first_name, last_name, email, phone, description, organization_id, organization_title, created_at, updated_at)
         SELECT 1, $5 + n, 1, 'contact', CASE WHEN {} < 0.08 THEN 'inactive' ELSE 'active' END, f || ' ' || l, f, l,
                CASE WHEN {} < 0.9 THEN translate(lower(f || '.' || l), ' ''', '') || CASE WHEN o IS NULL THEN n::text ELSE '' END
                     || '@' || coalesce('o' || o || '-' || n % 97 || '.example', {}) END,
                CASE WHEN {} < 0.7 THEN '+' || 30 + n % 60 || ' ' || (1000000 + 8999999 * {})::int END,
                CASE WHEN {} < 0.4 THEN {} END, o,
                (SELECT title FROM items WHERE root_id = 1 AND id = o), now() - {} * interval '3 years', now() - {} * interval '1 year'
         FROM generate_series($6::bigint, $7::bigint) AS n,
              LATERAL (SELECT {} AS f, {} AS l, CASE WHEN {} < 0.8 THEN 1 + floor(power({}, 1.5) * $5)::bigint END AS o) AS person
         ON CONFLICT DO NOTHING",
        chance(11), chance(12), pick(3, 13, 1.0), chance(14), chance(15), chance(16), pick(4, 17, 1.0), chance(18), chance(19),
        pick(1, 20, 2.0), pick(2, 21, 2.0), chance(22), chance(23)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(FIRST)
        .bind(LAST)
        .bind(MAILERS)
        .bind(NOTES)
        .bind(ORGANIZATIONS)
        .bind(before + 1)
        .bind(before + count)
        .execute(connection)
        .await?;
    Ok(())
}

async fn relations(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
         SELECT 1, 1, n::text, n, 'Issue ' || n, 'opened', false, '1', '{}', now() FROM generate_series(1, $1::bigint) AS n",
    )
    .bind(ISSUES)
    .execute(&mut *connection)
    .await?;
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO issue_items (root_id, issue_id, item_id, added_at)
         SELECT 1, 1 + n % $1, 1 + $2 + floor(power({}, 3) * $3)::bigint, now() FROM generate_series(1, $4::bigint) AS n
         ON CONFLICT DO NOTHING",
        chance(31)
    )))
    .bind(ISSUES)
    .bind(ORGANIZATIONS)
    .bind(CONTACTS)
    .bind(RELATIONS)
    .execute(connection)
    .await?;
    Ok(())
}

/// Brings statistics and free pages up to date, as upkeep does after a while.
async fn settle(connection: &mut PgConnection) -> anyhow::Result<()> {
    for table in [
        "items",
        "item_words",
        "item_counts",
        "issues",
        "issue_items",
    ] {
        let vacuum = format!("VACUUM (ANALYZE) {table}");
        connection.execute(AssertSqlSafe(vacuum)).await?;
    }
    connection.execute("CHECKPOINT").await?;
    Ok(())
}
