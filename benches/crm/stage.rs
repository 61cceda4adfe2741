//! The database: a private durable cluster on disk, or one at an address.

use std::{path::PathBuf, str::FromStr, time::Duration};

use liaison::{
    cluster::{Cluster, Durability, Options},
    store::{self, PoolLimits},
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tempfile::TempDir;

/// A migrated database.
pub(crate) struct Stage {
    pub(crate) pool: PgPool,
    cluster: Option<(Cluster, TempDir)>,
}

impl Stage {
    /// Connects, or starts Postgres; and migrates.
    pub(crate) async fn set(address: Option<&str>) -> anyhow::Result<Self> {
        let (options, cluster) = match address {
            Some(address) => (PgConnectOptions::from_str(address)?, None),
            None => {
                let folder = tempfile::Builder::new()
                    .prefix("crm-")
                    .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
                let cluster = Cluster::start(Options {
                    data_dir: folder.path().join("data"),
                    bin_dir: None,
                    launcher: PathBuf::from(env!("CARGO_BIN_EXE_liaison")),
                    durability: Durability::Full,
                })
                .await?;
                (cluster.connect_options(), Some((cluster, folder)))
            }
        };
        // The settings of the service, but for the longest time of a statement: filling takes minutes.
        let limits = PoolLimits {
            connections: 4,
            statement: Duration::from_hours(1),
        };
        let pool = store::pool(options, limits);
        store::migrate(&pool).await?;
        Ok(Self { pool, cluster })
    }

    /// Tells on what it is measured.
    pub(crate) async fn machine(&self) -> anyhow::Result<String> {
        let postgres: String = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&self.pool)
            .await?;
        let buffers: String = sqlx::query_scalar("SHOW shared_buffers")
            .fetch_one(&self.pool)
            .await?;
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cores = std::thread::available_parallelism()?;
        Ok(format!(
            "{cores} cores, Postgres {postgres}, shared_buffers {buffers}, load before: {}",
            load.trim()
        ))
    }

    /// Stops a private Postgres and removes it.
    pub(crate) async fn strike(self) {
        self.pool.close().await;
        if let Some((cluster, _folder)) = self.cluster {
            cluster.stop().await;
        }
    }
}
