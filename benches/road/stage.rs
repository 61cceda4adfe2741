//! The durable Postgres on disk, with a template of a database that knows the declared objects and has contacts.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use liaison::{
    cluster::{Cluster, Durability, Options},
    config::{self, Config, Overrides},
    crypto::SealingKey,
    domain::SystemClock,
    setup,
    store::{self, PoolLimits},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, postgres::PgConnectOptions};
use tempfile::TempDir;

/// The webhook's signing token, and the key in it.
pub(crate) const SIGNING_TOKEN: &str = "whsec_bGlhaXNvbi1iZW5jaC1zaWduaW5nLWtleS0zMi1ieXQ=";
pub(crate) const SIGNING_KEY: &[u8] = b"liaison-bench-signing-key-32-byt";
/// The bot's access token at the tracker.
pub(crate) const BOT_TOKEN: &str = "glpat-benchmark";
/// Contacts of the group, `c1@example.com` and so on.
pub(crate) const CONTACTS: usize = 10_000;
const SEALING_KEY: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=";
const TEMPLATE: &str = "template_road";

/// The cluster and a folder for files.
pub(crate) struct Stage {
    cluster: Cluster,
    folder: TempDir,
}

impl Stage {
    /// Starts Postgres and prepares the template.
    pub(crate) async fn set() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("road-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let cluster = Cluster::start(Options {
            data_dir: folder.path().join("data"),
            bin_dir: None,
            launcher: PathBuf::from(env!("CARGO_BIN_EXE_liaison")),
            durability: Durability::Full,
        })
        .await?;
        let stage = Self { cluster, folder };
        let url = "http://127.0.0.1:1".parse()?;
        let config = read_config(&stage.write_config(&url)?)?;
        let mut admin = stage.admin().await?;
        admin
            .execute(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}")))
            .await?;
        let template = pool(stage.options(TEMPLATE), 2);
        store::migrate(&template).await?;
        let key = sealing_key()?;
        setup::declare(&template, &config, &key, &SystemClock::default()).await?;
        sqlx::query(
            "INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
             SELECT groups.root_id, groups.id, 'contact', 'Contact ' || n, 'Contact', n::text, 'c' || n || '@example.com', now(), now()
             FROM groups, generate_series(1, $1) AS n",
        )
        .bind(i32::try_from(CONTACTS)?)
        .execute(&template)
        .await?;
        // Only this table: the others are as new, and Postgres should not believe that they stay empty.
        sqlx::query("VACUUM ANALYZE items")
            .execute(&template)
            .await?;
        template.close().await;
        Ok(stage)
    }

    /// Stops Postgres and removes everything.
    pub(crate) async fn strike(self) {
        self.cluster.stop().await;
    }

    /// Makes a database from the template, with all that came before on disk, so that no run pays for an earlier one.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<PgPool> {
        let mut admin = self.admin().await?;
        for statement in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"),
            "CHECKPOINT".to_owned(),
        ] {
            admin.execute(AssertSqlSafe(statement)).await?;
        }
        Ok(pool(self.options(name), 2))
    }

    /// Returns the address of a database, for a child.
    pub(crate) fn url(&self, database: &str) -> String {
        self.cluster
            .url()
            .replacen("/liaison?", &format!("/{database}?"), 1)
    }

    /// Returns the process id of the postmaster.
    pub(crate) fn postmaster(&self) -> anyhow::Result<u32> {
        let file = self.cluster.folder().join("postgres/postmaster.pid");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let line = text.lines().next().context("postmaster.pid is empty")?;
        Ok(line.trim().parse()?)
    }

    /// Writes the configuration of a service whose tracker is at `tracker`; returns its path.
    pub(crate) fn write_config(&self, tracker: &url::Url) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join("liaison.toml");
        let text = format!(
            r#"[server]
listen = "127.0.0.1:0"
[secrets]
key = "{SEALING_KEY}"
[[connection]]
name = "gitlab"
kind = "gitlab"
url = "{tracker}"
token = "{BOT_TOKEN}"
bot = "liaison"
notes_per_minute = 100000000
[[group]]
path = "acme"
name = "Acme"
tracker = {{ connection = "gitlab", path = "acme" }}
[[group.webhook]]
name = "acme-gitlab"
connection = "gitlab"
signing_token = "{SIGNING_TOKEN}"
"#
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Returns a file for what a child logs.
    pub(crate) fn log(&self, child: &str) -> anyhow::Result<std::fs::File> {
        Ok(std::fs::File::create(
            self.folder.path().join(format!("{child}.log")),
        )?)
    }

    pub(crate) async fn admin(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.cluster.connect_options()).await?)
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        self.cluster.connect_options().database(database)
    }
}

/// Reads a configuration as `liaison serve` would.
pub(crate) fn read_config(path: &std::path::Path) -> anyhow::Result<Config> {
    Ok(config::load(&Overrides {
        file: Some(path.to_owned()),
        ..Overrides::default()
    })?)
}

/// The key of all these databases.
pub(crate) fn sealing_key() -> anyhow::Result<Arc<SealingKey>> {
    Ok(Arc::new(SealingKey::from_base64(&SEALING_KEY.into())?))
}

/// A pool with the settings of the service.
pub(crate) fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    let limits = PoolLimits {
        connections,
        statement: std::time::Duration::from_secs(30),
    };
    store::pool(options, limits)
}
