//! The servers under load, each in a process of its own: the service, and what it is compared with.

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{self, State},
    routing::post,
};
use http::{HeaderMap, StatusCode};
use liaison::{
    app::{Parts, Role, Service},
    config::Config,
    connector::gitlab,
    domain::{Clock, DeliveryId, SystemClock},
    intake::Book,
    server, telemetry,
};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

use crate::{
    report,
    stage::{pool, read_config, sealing_key},
};

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A route that reads the body and answers: what the generator and the machine can do.
    Hello,
    /// The receiver without its store.
    Verify,
    /// The receiver with one insert per request instead of its store.
    Insert,
    /// The service that only receives.
    Receive,
    /// The service with all its roles.
    All,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Hello,
        Self::Verify,
        Self::Insert,
        Self::Receive,
        Self::All,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Verify => "verify",
            Self::Insert => "insert",
            Self::Receive => "receive",
            Self::All => "all",
        }
    }
}

/// Serves until standard input ends.
pub(crate) async fn run(kind: &str, config: &str, database: &str) -> anyhow::Result<()> {
    let kind = Kind::ALL
        .into_iter()
        .find(|known| known.word() == kind)
        .context("an unknown kind of server")?;
    let config = read_config(Path::new(config))?;
    telemetry::init(&config.log.filter, telemetry::Format::Json)?;
    let pool = pool(PgConnectOptions::from_str(database)?, config.database.pool);
    let listener = TcpListener::bind(config.server.listen).await?;
    let address = listener.local_addr()?.to_string();
    let roles: &[Role] = match kind {
        Kind::Receive => &[Role::Receive],
        Kind::All => &[Role::Receive, Role::Process, Role::Deliver, Role::Web],
        Kind::Hello | Kind::Verify | Kind::Insert => {
            let router = compared(kind, &pool).await?;
            let stop = CancellationToken::new();
            report::line(&address)?;
            let serving = server::serve(
                listener,
                router,
                config.server.max_connections,
                stop.clone(),
            );
            let until_told = async {
                told_to_stop().await;
                stop.cancel();
            };
            tokio::join!(serving, until_told);
            return Ok(());
        }
    };
    let service = start(&config, pool, listener, roles).await?;
    report::line(&address)?;
    told_to_stop().await;
    service.stop().await;
    Ok(())
}

async fn start(
    config: &Config,
    pool: PgPool,
    listener: TcpListener,
    roles: &[Role],
) -> anyhow::Result<Service> {
    let parts = Parts {
        pool,
        key: sealing_key()?,
        clock: Arc::new(SystemClock::default()),
        listener,
        admin: None,
        roles: roles.to_vec(),
        demo: false,
    };
    Ok(Service::start(config, parts).await?)
}

async fn told_to_stop() {
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(_)) = lines.next_line().await {}
}

/// A receiver that is compared with Liaison's: the same HTTP server, routing, verification and reading of the routing fields.
#[derive(Clone)]
struct Compared {
    book: Arc<Book>,
    clock: Arc<dyn Clock>,
    /// None where nothing is stored.
    pool: Option<PgPool>,
}

async fn compared(kind: Kind, pool: &PgPool) -> anyhow::Result<Router> {
    if kind == Kind::Hello {
        let hello = async |body: Bytes| (StatusCode::ACCEPTED, Json(json!({ "read": body.len() })));
        return Ok(Router::new().route("/hooks/{webhook}", post(hello)));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let book = Arc::new(Book::read(pool, &*sealing_key()?, &*clock).await?);
    let store = match kind {
        Kind::Insert => {
            sqlx::query("CREATE TABLE arrivals (id uuid PRIMARY KEY, dedupe_key bytea UNIQUE, received_at timestamptz, body jsonb)")
                .execute(pool)
                .await?;
            Some(pool.clone())
        }
        Kind::Verify => None,
        Kind::Hello | Kind::Receive | Kind::All => bail!("not compared"),
    };
    Ok(Router::new()
        .route("/hooks/{webhook}", post(receive))
        .with_state(Compared {
            book,
            clock,
            pool: store,
        }))
}

async fn receive(
    State(compared): State<Compared>,
    extract::Path(webhook): extract::Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let entry = compared.book.find(&webhook).ok_or(StatusCode::NOT_FOUND)?;
    let now = compared.clock.now();
    gitlab::verify_head(&headers, &entry.secrets, now)
        .and_then(|()| gitlab::verify_body(&headers, &body, &entry.secrets, now))
        .map_err(|_| StatusCode::UNAUTHORIZED)?;
    let routing =
        gitlab::route(entry.connection, &headers, &body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let id = DeliveryId(compared.clock.id());
    if let Some(pool) = &compared.pool {
        let text = std::str::from_utf8(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
        let stored = sqlx::query(
            "INSERT INTO arrivals VALUES ($1, $2, $3, $4::text::jsonb) ON CONFLICT DO NOTHING",
        )
        .bind(id.0)
        .bind(routing.dedupe_key.as_slice())
        .bind(now)
        .bind(text)
        .execute(pool);
        tokio::time::timeout(Duration::from_secs(8), stored)
            .await
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "delivery": id }))))
}
