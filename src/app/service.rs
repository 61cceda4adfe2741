//! The service: everything that runs while `liaison serve` does.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use chrono::TimeDelta;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Health,
    messenger::messengers,
    upkeep::{find_lost, forget_sessions, prepare, upkeep},
};
use crate::{
    api::{Api, explorer},
    auth::{Attempts, OpenId, Passwords, Sessions},
    config::{Config, Connection, SecretError},
    connector::{gitlab::Client, messenger::Messenger, oidc::Provider},
    crm::{Crm, Pace, Webhooks},
    crypto::SealingKey,
    domain::{Clock, ConnectionId, ConnectionKind, Queue},
    egress::{Egress, Limits},
    intake::{Book, Budget, Intake, Tallies, Writer, WriterTasks, keep_current, router},
    queue::{self, Wake},
    server,
    setup::{DeclareError, declare},
    store::{StoreError, connection, search::Completing},
    web::{self, Web},
    worker::{
        AtWork, Remote, Schedule, Worker, deliver, deliver_to_messenger, hear, keep_equal,
        keep_in_step, process,
    },
};

/// Memory that large bodies may take together, in bytes.
const BODY_BUDGET: usize = 256 << 20;
/// Longest that work may take to end once the service stops.
const DRAIN: Duration = Duration::from_secs(20);

/// What a process does; a service may be split over several that share one Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Role {
    /// Receives webhooks.
    Receive,
    /// Understands deliveries.
    Process,
    /// Makes calls.
    Deliver,
    /// Serves pages and the API.
    Web,
}

/// What a service is made of.
#[derive(Debug)]
pub struct Parts {
    /// The database, migrated.
    pub pool: PgPool,
    /// The key that seals credentials.
    pub key: Arc<SealingKey>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Where it listens.
    pub listener: TcpListener,
    /// Where administrators ask, and what they are told.
    pub admin: Option<(TcpListener, PrometheusHandle)>,
    /// What it does.
    pub roles: Vec<Role>,
    /// Whether anybody may sign in to the pages as anybody, which is for trying out alone.
    pub demo: bool,
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The declared objects cannot be applied.
    #[error(transparent)]
    Declare(#[from] DeclareError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A connection's token is not to be had.
    #[error("connection {connection}: the token cannot be used: {source}")]
    Token {
        /// Name of the connection.
        connection: String,
        /// Why.
        source: SecretError,
    },
    /// The secret of the OpenID provider is not to be had.
    #[error("login.oidc.client_secret cannot be used: {0}")]
    Provider(#[source] SecretError),
    /// The TLS backend does not start.
    #[error("outbound calls cannot be set up")]
    Egress(#[from] reqwest::Error),
    /// The system has no thread for the writer of deliveries.
    #[error("there is no thread for what arrives: {0}")]
    Thread(#[source] std::io::Error),
    /// The socket is not usable.
    #[error("the listening socket cannot be used")]
    Listen(#[from] std::io::Error),
}

impl From<sqlx::Error> for StartError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where administrators ask.
    pub admin_address: Option<SocketAddr>,
    /// The way to the CRM within this process.
    pub crm: Crm,
    stop_serving: CancellationToken,
    stop_working: CancellationToken,
    serving: TaskTracker,
    writing: WriterTasks,
    working: TaskTracker,
}

impl Service {
    /// Applies the declared objects and starts what the roles ask for.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub async fn start(config: &Config, parts: Parts) -> Result<Self, StartError> {
        let connections = declare(&parts.pool, config, &parts.key, &*parts.clock).await?;
        let has = |role| parts.roles.contains(&role);
        let mut local = Vec::new();
        if has(Role::Process) {
            local.push(Queue::Inbox);
        }
        if has(Role::Deliver) {
            local.extend([Queue::Reply, Queue::Call]);
        }
        let wake = Arc::new(Wake::new(local));
        let (remotes, messengers) = remotes(config, &connections, &parts).await?;
        let crm = crm(config, &parts, &remotes);
        let worker = worker(config, &parts, &wake, crm);
        queue::repair(&parts.pool, &worker.under_way()).await?;
        let retain = TimeDelta::days(i64::from(config.queue.retain_days));
        let stop_serving = CancellationToken::new();
        let serving = TaskTracker::new();
        let (writer, writing) = Writer::start(&parts.pool, &wake).map_err(StartError::Thread)?;
        let pool = parts.pool.clone();
        let mut routes = Health { pool }.router();
        if has(Role::Receive) {
            routes = routes.merge(receiver(&parts, &worker, writer).await?);
        }
        let mut admin_routes = Router::new();
        if has(Role::Web) {
            let completing = Completing::beside(&parts.pool);
            let planning = prepare(completing.clone(), worker.stop.clone());
            worker.tasks.spawn(planning);
            let api = Api {
                crm: worker.crm.clone(),
                completing,
                webhooks: webhooks(config, &parts, &worker.crm),
                wake: Arc::clone(&wake),
                tasks: serving.clone(),
                stop: stop_serving.clone(),
            };
            let web = web(config, &parts, &api, &connections)?;
            worker
                .tasks
                .spawn(forget_sessions(web.sessions.clone(), worker.stop.clone()));
            let api = api.router();
            // The explorer asks the host that it comes from.
            admin_routes = api.clone().merge(explorer());
            routes = web.router(&routes.merge(api));
        }
        let address = parts.listener.local_addr()?;
        spawn_loops(&worker, &remotes, &parts.roles);
        spawn_messengers(&worker, &messengers, &parts.roles);
        if has(Role::Process) {
            keep_chats_in_step(&worker, &messengers, config.chats.reconcile_minutes);
            let pace = Pace::new(worker.wake.bulk_jobs());
            let bulk = worker.crm.clone().work_bulk(pace, worker.stop.clone());
            worker.tasks.spawn(bulk);
            worker.tasks.spawn(find_lost(worker.clone()));
        }
        worker.tasks.spawn(upkeep(worker.clone(), retain));
        spawn_signals(&worker);
        serve(&serving, parts.listener, routes, config, &stop_serving);
        let mut admin_address = None;
        if let Some((listener, metrics)) = parts.admin {
            admin_address = Some(listener.local_addr()?);
            let pool = parts.pool.clone();
            let routes = Health { pool }.admin_router(metrics).merge(admin_routes);
            serve(&serving, listener, routes, config, &stop_serving);
        }
        Ok(Self {
            address,
            admin_address,
            crm: worker.crm.clone(),
            stop_serving,
            stop_working: worker.stop,
            serving,
            writing,
            working: worker.tasks,
        })
    }

    /// Ends the service: first no request is taken any more and what was taken is stored, then work at hand is finished.
    pub async fn stop(self) {
        self.stop_serving.cancel();
        self.serving.close();
        self.serving.wait().await;
        self.writing.wait().await;
        self.stop_working.cancel();
        self.working.close();
        if tokio::time::timeout(DRAIN, self.working.wait())
            .await
            .is_err()
        {
            tracing::warn!("work at hand was left; it is taken up again once its leases run out");
        }
    }
}

/// Returns what begins and finds sessions.
pub fn sessions(config: &Config, pool: PgPool, clock: Arc<dyn Clock>) -> Sessions {
    Sessions {
        pool,
        clock,
        idle: TimeDelta::hours(config.login.idle_hours.into()),
        longest: TimeDelta::days(config.login.longest_days.into()),
    }
}

/// Returns the pages, on the same way to the CRM as the API.
fn web(
    config: &Config,
    parts: &Parts,
    api: &Api,
    connections: &HashMap<String, ConnectionId>,
) -> Result<Web, StartError> {
    Ok(Web {
        openid: openid(config, parts, connections)?,
        crm: api.crm.clone(),
        completing: api.completing.clone(),
        webhooks: api.webhooks.clone(),
        wake: Arc::clone(&api.wake),
        sessions: sessions(config, parts.pool.clone(), Arc::clone(&parts.clock)),
        passwords: Passwords::new(parts.pool.clone()),
        attempts: Attempts::default(),
        public_url: config.server.public_url.clone(),
        demo: parts.demo,
        stop: api.stop.clone(),
    })
}

/// Returns the declared OpenID provider. Calls can go to its issuer and to nowhere else.
fn openid(
    config: &Config,
    parts: &Parts,
    connections: &HashMap<String, ConnectionId>,
) -> Result<Option<OpenId>, StartError> {
    let Some(declared) = &config.login.oidc else {
        return Ok(None);
    };
    let secret = declared
        .client_secret
        .resolve()
        .map_err(StartError::Provider)?;
    let mut redirect = config.server.public_url.clone();
    redirect.set_path(web::OPENID_BACK);
    let provider = Provider::new(
        Egress::new([&declared.issuer], Limits::default())?,
        declared.issuer.clone(),
        (declared.client_id.clone(), secret),
        redirect,
    );
    let name = declared.connection.as_ref();
    Ok(Some(OpenId {
        provider: Arc::new(provider),
        connection: name.and_then(|name| connections.get(name).copied()),
        by_email: declared.by_email,
        pool: parts.pool.clone(),
        clock: Arc::clone(&parts.clock),
    }))
}

/// Returns the way to the CRM for people who are signed in.
fn crm(config: &Config, parts: &Parts, remotes: &[Arc<Remote>]) -> Crm {
    let trackers = remotes
        .iter()
        .map(|remote| (remote.id, remote.client.clone()));
    Crm {
        pool: parts.pool.clone(),
        clock: Arc::clone(&parts.clock),
        trackers: Arc::new(trackers.collect()),
        level_fresh: Duration::from_secs(config.access.cache_seconds.into()),
        place_fresh: Duration::from_secs(config.access.place_seconds.into()),
    }
}

/// Returns the way to the webhooks of groups.
fn webhooks(config: &Config, parts: &Parts, crm: &Crm) -> Webhooks {
    Webhooks {
        pool: parts.pool.clone(),
        clock: Arc::clone(&parts.clock),
        key: Arc::clone(&parts.key),
        public_url: config.server.public_url.clone(),
        trackers: Arc::clone(&crm.trackers),
    }
}

/// Starts the loops of each connection that the roles ask for.
fn spawn_loops(worker: &Worker, remotes: &[Arc<Remote>], roles: &[Role]) {
    for remote in remotes {
        if roles.contains(&Role::Process) {
            worker
                .tasks
                .spawn(process(worker.clone(), Arc::clone(remote)));
        }
        if roles.contains(&Role::Deliver) {
            for queue in [Queue::Reply, Queue::Call] {
                worker
                    .tasks
                    .spawn(deliver(worker.clone(), Arc::clone(remote), queue));
            }
        }
    }
}

/// Starts the loops of each messenger that the roles ask for.
fn spawn_messengers(worker: &Worker, remotes: &[Arc<Remote<Messenger>>], roles: &[Role]) {
    for remote in remotes {
        if roles.contains(&Role::Process) {
            worker.tasks.spawn(hear(worker.clone(), Arc::clone(remote)));
        }
        if roles.contains(&Role::Deliver) {
            for queue in [Queue::Reply, Queue::Call] {
                let (worker, remote) = (worker.clone(), Arc::clone(remote));
                let tasks = worker.tasks.clone();
                tasks.spawn(deliver_to_messenger(worker, remote, queue));
            }
            let (worker, remote) = (worker.clone(), Arc::clone(remote));
            worker.tasks.clone().spawn(keep_equal(worker, remote));
        }
    }
}

/// Tells other processes what happens here, and hears what happens there.
fn spawn_signals(worker: &Worker) {
    let (pool, wake, stop) = (&worker.pool, &worker.wake, &worker.stop);
    worker
        .tasks
        .spawn(queue::tell(pool.clone(), Arc::clone(wake), stop.clone()));
    let under_way = {
        let worker = worker.clone();
        move || worker.under_way()
    };
    let listen = queue::listen(pool.clone(), Arc::clone(wake), under_way, stop.clone());
    worker.tasks.spawn(listen);
}

/// Has every chat looked at once in so many minutes; 0 for never.
fn keep_chats_in_step(worker: &Worker, messengers: &[Arc<Remote<Messenger>>], minutes: u32) {
    if minutes == 0 {
        return;
    }
    for remote in messengers {
        let period = TimeDelta::minutes(minutes.into());
        let step = keep_in_step(worker.clone(), Arc::clone(remote), period);
        worker.tasks.spawn(step);
    }
}

/// Returns the receiver's route, with a book of webhooks that is kept current.
async fn receiver(parts: &Parts, worker: &Worker, writer: Writer) -> Result<Router, StartError> {
    let book = Book::read(&parts.pool, &parts.key, &*parts.clock).await?;
    let (sender, book) = watch::channel(Arc::new(book));
    let source = (
        parts.pool.clone(),
        Arc::clone(&parts.key),
        Arc::clone(&parts.clock),
    );
    let changes = worker.wake.webhooks();
    worker
        .tasks
        .spawn(keep_current(sender, source, changes, worker.stop.clone()));
    let tallies = Tallies::default();
    let keep = tallies
        .clone()
        .keep(parts.pool.clone(), worker.stop.clone());
    worker.tasks.spawn(keep);
    Ok(router(Intake {
        book,
        writer,
        tallies,
        budget: Budget::new(BODY_BUDGET),
        clock: Arc::clone(&parts.clock),
    }))
}

fn serve(
    tasks: &TaskTracker,
    listener: TcpListener,
    routes: Router,
    config: &Config,
    stop: &CancellationToken,
) {
    tasks.spawn(server::serve(
        listener,
        routes,
        config.server.max_connections,
        stop.clone(),
    ));
}

fn worker(config: &Config, parts: &Parts, wake: &Arc<Wake>, crm: Crm) -> Worker {
    Worker {
        pool: parts.pool.clone(),
        clock: Arc::clone(&parts.clock),
        wake: Arc::clone(wake),
        schedule: Schedule {
            pauses: config
                .queue
                .retry_seconds
                .iter()
                .copied()
                .map(Duration::from_secs)
                .collect(),
            attempts: config.queue.attempts,
        },
        concurrency: config.queue.concurrency,
        lease: Duration::from_secs(config.queue.lease_seconds),
        level_fresh: crm.level_fresh,
        place_fresh: crm.place_fresh,
        crm,
        public_url: config.server.public_url.clone(),
        at_work: AtWork::default(),
        // A private cluster serves one process.
        alone: config.database.url.is_none(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    }
}

/// Builds the run-time side of the declared connections. Calls can go to their addresses and to no other.
async fn remotes(
    config: &Config,
    ids: &HashMap<String, ConnectionId>,
    parts: &Parts,
) -> Result<(Vec<Arc<Remote>>, Vec<Arc<Remote<Messenger>>>), StartError> {
    let egress = Egress::new(
        config.connection.iter().flat_map(Connection::addresses),
        Limits::default(),
    )?;
    let egress = Arc::new(egress);
    let stored = connection::list(&mut *parts.pool.acquire().await?).await?;
    for left in stored
        .iter()
        .filter(|stored| !ids.contains_key(&stored.name))
    {
        tracing::warn!(
            connection = left.name,
            "is stored but not configured any more: what arrives for it waits"
        );
    }
    let mut remotes = Vec::new();
    let trackers = config
        .connection
        .iter()
        .filter(|declared| declared.kind == ConnectionKind::Gitlab);
    for declared in trackers {
        let (Some(id), Some(token)) = (ids.get(&declared.name), &declared.token) else {
            continue;
        };
        let token = token.resolve().map_err(|source| StartError::Token {
            connection: declared.name.clone(),
            source,
        })?;
        let client = Client::new(
            Arc::clone(&egress),
            declared.url.clone(),
            token,
            Arc::clone(&parts.clock),
        );
        let known = stored.iter().find(|stored| stored.id == *id);
        let bot_id = known.and_then(|stored| stored.bot_remote_id.clone());
        remotes.push(Arc::new(Remote::new(
            (*id, client),
            (declared.bot.clone(), bot_id),
            declared.allow_bots,
            declared.notes_per_minute,
        )));
    }
    let messengers = messengers(config, (ids, &stored), &egress, parts)?;
    Ok((remotes, messengers))
}
