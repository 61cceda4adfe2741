//! The service in front of the database, and somebody who asks it over HTTP.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use http::{HeaderMap, HeaderValue, Method, header};
use liaison::{
    app::{Parts, Role, Service, sessions},
    config::{self, Overrides},
    crypto::{SealingKey, digest},
    domain::{PersonId, SystemClock},
    egress::{Call, Egress, Limits},
    store::{self, PoolLimits},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sqlx::{Executor, PgPool};
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

const TOKEN: &str = "lia_benchmark";
const SEALING_KEY: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=";

/// The service, and a keep-alive connection to it.
pub(crate) struct Http {
    service: Service,
    pool: PgPool,
    egress: Egress,
    url: Url,
    session: SecretString,
    _folder: TempDir,
}

impl Http {
    /// Starts the service and makes a Reporter of group and project, of whom the tracker told lately.
    pub(crate) async fn start(pool: &PgPool) -> anyhow::Result<Self> {
        pool.execute(
            "UPDATE projects SET checked_at = now();
             DELETE FROM people WHERE username = 'reader';
             INSERT INTO people (username, name, created_at) VALUES ('reader', 'Reader', now());
             INSERT INTO identities (connection_id, remote_id, person_id, username) SELECT 1, '7', id, 'reader' FROM people WHERE username = 'reader';
             INSERT INTO memberships (root_id, group_id, person_id, level) SELECT 1, 1, id, 20 FROM people WHERE username = 'reader';
             DELETE FROM access_levels;
             INSERT INTO access_levels (root_id, connection_id, remote_user_id, scope, remote_scope_id, level, checked_at)
             VALUES (1, 1, '7', 'project', '1', 20, now() + interval '1 hour')",
        )
        .await?;
        sqlx::query("INSERT INTO api_tokens (person_id, name, digest, created_at) SELECT id, 'benchmark', $1, now() FROM people WHERE username = 'reader'")
            .bind(digest(TOKEN.as_bytes()).as_slice())
            .execute(pool)
            .await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let url: Url = format!("http://{address}/").parse()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("liaison.toml");
        std::fs::write(
            &file,
            format!("[server]\nlisten = \"{address}\"\npublic_url = \"{url}\"\n"),
        )?;
        let config = config::load(&Overrides {
            file: Some(file),
            ..Overrides::default()
        })?;
        let limits = PoolLimits {
            connections: config.database.pool,
            statement: Duration::from_secs(30),
        };
        let own = store::pool((*pool.connect_options()).clone(), limits);
        let parts = Parts {
            pool: own.clone(),
            key: Arc::new(SealingKey::from_base64(&SEALING_KEY.into())?),
            clock: Arc::new(SystemClock::default()),
            listener,
            admin: None,
            roles: vec![Role::Web],
            demo: false,
        };
        let reader = sqlx::query_scalar("SELECT id FROM people WHERE username = 'reader'")
            .fetch_one(pool)
            .await?;
        let session = sessions(&config, own.clone(), Arc::clone(&parts.clock))
            .begin(PersonId(reader), None)
            .await?;
        Ok(Self {
            session,
            service: Service::start(&config, parts).await?,
            pool: own,
            egress: Egress::new([&url], Limits::default())?,
            url,
            _folder: folder,
        })
    }

    /// Stops the service.
    pub(crate) async fn stop(self) {
        self.service.stop().await;
        self.pool.close().await;
    }

    /// Asks for completions of what was typed on an issue; returns how long the answer took and how many contacts it had.
    pub(crate) async fn complete(
        &self,
        typed: &str,
        iid: i64,
        command: Option<&str>,
    ) -> anyhow::Result<(Duration, usize)> {
        let mut url = self
            .url
            .join("groups/acme/-/autocomplete_sources/contacts")?;
        let iid = iid.to_string();
        url.query_pairs_mut()
            .extend_pairs([("type", "Issue"), ("type_id", &iid), ("q", typed)])
            .extend_pairs(command.map(|command| ("command", command)));
        let (took, answer) = self.send(Call::new(Method::GET, url)).await?;
        Ok((took, answer.as_array().context("no list")?.len()))
    }

    /// Opens a page as somebody who is signed in; returns how long the answer took.
    pub(crate) async fn page(&self, path: &str) -> anyhow::Result<Duration> {
        let mut call = Call::new(Method::GET, self.url.join(path)?);
        let cookie = format!("liaison_session={}", self.session.expose_secret());
        call.headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&cookie)?)]);
        let begun = Instant::now();
        let answer = self.egress.send(call).await?;
        let took = begun.elapsed();
        anyhow::ensure!(answer.status.is_success(), "{path}: {}", answer.status);
        Ok(took)
    }

    /// Asks a query; returns how long the answer took.
    pub(crate) async fn ask(&self, query: &str, variables: &Value) -> anyhow::Result<Duration> {
        let mut call = Call::new(Method::POST, self.url.join("api/graphql")?);
        call.body = serde_json::json!({ "query": query, "variables": variables })
            .to_string()
            .into();
        let (took, answer) = self.send(call).await?;
        anyhow::ensure!(answer.get("errors").is_none(), "{answer}");
        Ok(took)
    }

    async fn send(&self, mut call: Call) -> anyhow::Result<(Duration, Value)> {
        call.headers = HeaderMap::from_iter([
            (
                header::AUTHORIZATION,
                HeaderValue::from_str(&format!("Bearer {TOKEN}"))?,
            ),
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            ),
        ]);
        let begun = Instant::now();
        let answer = self.egress.send(call).await?;
        let took = begun.elapsed();
        anyhow::ensure!(answer.status.is_success(), "{}", answer.status);
        Ok((took, serde_json::from_slice(&answer.body)?))
    }
}
