//! The state in Postgres: SQL by aggregate, rows to domain and back.
//!
//! Functions take a connection, so that the caller decides what is one transaction. Constraint names become conflicts here.

pub mod access;
pub mod bulk_job;
pub mod chat;
pub mod commanded;
pub mod comment;
pub mod connection;
pub mod connection_token;
pub mod export;
pub mod group;
pub mod group_settings;
pub mod history;
pub mod identity;
pub mod import;
pub mod issue;
pub mod item;
pub mod item_fields;
pub mod item_list;
mod item_row;
pub mod item_type;
pub mod leaver;
pub mod link;
pub mod login;
pub mod member;
pub mod membership;
pub mod notice;
pub mod observer;
pub mod operation;
pub mod person;
pub mod place;
pub mod policy;
pub mod portal;
pub mod relation;
pub mod road;
pub mod room;
pub mod said;
pub mod search;
pub mod shown;
pub mod standing;
pub mod token;
pub mod transfer;
pub mod tree;
mod watch_history;
pub mod webhook;

use std::time::Duration;

use sqlx::{
    Connection, Executor, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// The schema's migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed the same thing at the same time; deciding again on the new state settles it.
    #[error("the change met another one at {constraint}")]
    Conflict {
        /// The constraint that both would break.
        constraint: String,
    },
    /// The database refuses a value; it would refuse it again.
    #[error("the database refuses a value ({code})")]
    Refused {
        /// The SQLSTATE, of class 22 or 23.
        code: String,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A credential cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] crate::crypto::SealError),
    /// The database did not do it.
    #[error("the database did not do a statement of the store")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error
            .as_database_error()
            .filter(|error| {
                // Unique and foreign key violations, serialisation failures and deadlocks: all mean "look again".
                error.is_unique_violation()
                    || error.is_foreign_key_violation()
                    || matches!(error.code().as_deref(), Some("40001" | "40P01"))
            })
            .map(|error| error.constraint().unwrap_or("a lock").to_owned());
        let code = error
            .as_database_error()
            .and_then(|error| Some(error.code()?.into_owned()))
            .filter(|code| code.starts_with("22") || code.starts_with("23"));
        match (constraint, code) {
            (Some(constraint), _) => Self::Conflict { constraint },
            (None, Some(code)) => Self::Refused {
                code,
                source: error,
            },
            (None, None) => Self::Database(error),
        }
    }
}

/// How many connections a process may hold, and what each may take.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Most connections.
    pub connections: u32,
    /// Longest a statement may run.
    pub statement: Duration,
}

/// A connection that was not used for so long is asked whether it is alive.
const RESTED: Duration = Duration::from_secs(1);

/// How statements are planned: all look up few rows by index, and are planned once per connection.
///
/// Queue tables are empty most of the time. Plans that are made then, and kept, hold reading whole tables for cheap, and a burst of
/// work would find them a hundred times slower than the indexes. Planning anew for each execution costs more than most executions.
///
/// Nothing is compiled: what is ruled out here is planned at a price so high, where it has to be done all the same, that Postgres would take
/// 0.2 s to compile a statement of 0.3 ms.
const PLANNING: [(&str, &str); 6] = [
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// Returns a pool of connections; they are made when they are first needed.
pub fn pool(options: PgConnectOptions, limits: PoolLimits) -> PgPool {
    let milliseconds = limits.statement.as_millis().to_string();
    let options = options
        .application_name("liaison")
        .options([
            ("statement_timeout", milliseconds.as_str()),
            ("lock_timeout", "10000"),
        ])
        .options(PLANNING);
    pool_options(limits.connections).connect_lazy_with(options)
}

/// Returns how a pool of so many connections keeps them.
fn pool_options(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        // A ping before each use would be a round trip per statement. But whoever comes after a rest should not be the one who finds out
        // that Postgres was restarted meanwhile.
        .test_before_acquire(false)
        .before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for > RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// Brings the schema up to date, under a lock that other processes wait for, however long that and the migrations take.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let mut connection = pool.acquire().await?;
    connection
        // That the table of migrations is there already is told each time otherwise.
        .execute(
            "SET statement_timeout = 0; SET lock_timeout = 0; SET client_min_messages = warning",
        )
        .await?;
    let migrated = MIGRATOR.run(&mut *connection).await;
    // The settings of this one go with it.
    connection.close().await?;
    migrated
}

/// Returns how many migrations the schema lacks.
pub async fn pending_migrations(pool: &PgPool) -> sqlx::Result<usize> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(pool)
        .await?;
    let applied: Vec<i64> = if exists {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(pool)
            .await?
    } else {
        Vec::new()
    };
    let lacks = |version: &i64| !applied.contains(version);
    Ok(MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .filter(lacks)
        .count())
}
