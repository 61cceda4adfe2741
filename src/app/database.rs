//! The database of the configuration: a given one, or the private cluster.

use std::{path::PathBuf, str::FromStr, time::Duration};

use secrecy::ExposeSecret;
use sqlx::{PgPool, migrate::MigrateError, postgres::PgConnectOptions};

use crate::{
    cluster::{Cluster, ClusterError, Durability, Options},
    config::{self, SecretError},
    egress::Limits,
    queue::{self, UnderWay},
    store::{self, PoolLimits, bulk_job},
};

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The private cluster does not run.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// `database.url` cannot be read.
    #[error("database.url: {0}")]
    Secret(#[from] SecretError),
    /// `database.url` is no address of a Postgres.
    #[error("database.url is not an address like postgres://user:password@host/database")]
    BadUrl,
    /// The database does not answer.
    #[error("the database does not answer: check database.url, and whether Postgres runs")]
    NoAnswer(#[source] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("the migrations could not be applied")]
    Migrate(#[from] MigrateError),
}

/// A database that answers.
#[derive(Debug)]
pub struct Database {
    /// Connections to it.
    pub pool: PgPool,
    cluster: Option<Cluster>,
    ownership: Ownership,
}

/// Whether a private cluster must be ours alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    Alone,
    Shared,
}

impl Database {
    /// Opens the database for the service. A private cluster must be free, and stops with it.
    ///
    /// # Errors
    /// Says what is missing and what to do.
    pub async fn serve(config: &config::Database) -> Result<Self, DatabaseError> {
        Self::open(config, Ownership::Alone).await
    }

    /// Opens the database for a command. A private cluster that serves already is joined.
    ///
    /// # Errors
    /// Says what is missing and what to do.
    pub async fn join(config: &config::Database) -> Result<Self, DatabaseError> {
        Self::open(config, Ownership::Shared).await
    }

    async fn open(config: &config::Database, ownership: Ownership) -> Result<Self, DatabaseError> {
        let (options, cluster) = match &config.url {
            Some(url) => {
                let url = url.resolve()?;
                // The parser's error would quote the address, which holds the password.
                let options = PgConnectOptions::from_str(url.expose_secret())
                    .map_err(|_| DatabaseError::BadUrl)?;
                (options, None)
            }
            None => {
                let cluster = start(config, ownership).await?;
                (cluster.connect_options(), Some(cluster))
            }
        };
        let limits = PoolLimits {
            connections: config.pool,
            statement: Duration::from_secs(config.statement_timeout_seconds),
        };
        let pool = store::pool(options, limits);
        if let Err(error) = sqlx::query!(r#"SELECT 1 AS "one!""#).fetch_one(&pool).await {
            return Err(DatabaseError::NoAnswer(error));
        }
        Ok(Self {
            pool,
            cluster,
            ownership,
        })
    }

    /// Brings the schema up to date.
    ///
    /// # Errors
    /// Fails when a migration fails, or the database was changed by a later version.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        Ok(store::migrate(&self.pool).await?)
    }

    /// Takes over the work of a process that was killed, where it is certain that it is dead: the private cluster is ours alone. On a
    /// Postgres that others may share its leases have to run out.
    ///
    /// # Errors
    /// Fails when the database does not answer.
    pub async fn take_over(&self) -> Result<(), DatabaseError> {
        if self.ownership == Ownership::Shared || self.cluster.is_none() {
            return Ok(());
        }
        // No call takes longer than this at our end, so by then one that was cut off has ended on the other side too.
        let under_way = UnderWay {
            only: None,
            longest: Limits::default().total,
        };
        let taken = async {
            queue::repair(&self.pool, &under_way).await?;
            queue::take_over(&self.pool, under_way.longest).await
        };
        let taken = async {
            let mut connection = self.pool.acquire().await?;
            bulk_job::take_over(&mut connection).await?;
            drop(connection);
            taken.await
        };
        match taken.await.map_err(DatabaseError::NoAnswer)? {
            0 => {}
            lanes => tracing::info!(lanes, "the work of a process that was killed is taken up"),
        }
        Ok(())
    }

    /// Closes all connections and stops a private cluster.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }
}

async fn start(config: &config::Database, ownership: Ownership) -> Result<Cluster, ClusterError> {
    let options = Options {
        data_dir: config.data_dir.clone(),
        bin_dir: config.bin_dir.clone(),
        launcher: launcher(),
        durability: Durability::Full,
    };
    match ownership {
        Ownership::Alone => Cluster::start(options).await,
        Ownership::Shared => Cluster::join_or_start(options).await,
    }
}

/// Returns the running program, which starts Postgres as a launcher of itself.
fn launcher() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("liaison"))
}
