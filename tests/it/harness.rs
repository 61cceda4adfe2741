//! The service in this process, on a database of its own, beside the sandbox tracker.
//!
//! [`run`] starts both, lets the test act, and fails on what the test did not say it expects: work left, dead work, a service that does not end.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, Once, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use liaison::{
    app::{Parts, Role, Service},
    cluster::{self, Cluster},
    config::{self, Config, Overrides},
    crypto::SealingKey,
    domain::{Clock, ContactDraft, DeliveryId, RootId, SystemClock},
    egress::{Answer, Call, Egress, Limits},
    queue::{self, DeliveryLog, DeliverySummary, LogFilter},
    sandbox::{Demo, HookOwner, NewHook, Note, Sandbox},
    server,
    store::{self, PoolLimits, group, item},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgPool, postgres::PgConnectOptions};
use tokio::{net::TcpListener, sync::OnceCell, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};
use url::Url;
use uuid::Uuid;

/// Longest that anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The webhook's signing token.
pub(crate) const SIGNING_TOKEN: &str = "whsec_bGlhaXNvbi10ZXN0LXNpZ25pbmcta2V5LTMyLWJ5dGU=";
/// The bot's access token.
pub(crate) const BOT_TOKEN: &str = "glpat-canary-7f3a9c";
/// Seals the credentials at rest.
pub(crate) const SEALING_KEY: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=";
const TEMPLATE: &str = "template_liaison";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// A new database with the schema, cloned from a template that is migrated once per run of the tests.
pub(crate) async fn database() -> PgConnectOptions {
    let cluster = CLUSTER
        .get_or_init(async || {
            let cluster = cluster::throw_away(env!("CARGO_BIN_EXE_liaison"))
                .await
                .unwrap();
            let mut connection = sqlx::PgConnection::connect_with(&cluster.connect_options())
                .await
                .unwrap();
            connection
                .execute(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}")))
                .await
                .unwrap();
            let template = pool(cluster.connect_options().database(TEMPLATE));
            store::migrate(&template).await.unwrap();
            template.close().await;
            cluster
        })
        .await;
    let name = format!("test_{}", SystemClock::default().id().simple());
    let mut connection = sqlx::PgConnection::connect_with(&cluster.connect_options())
        .await
        .unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy");
    connection.execute(AssertSqlSafe(create)).await.unwrap();
    connection.close().await.unwrap();
    cluster.connect_options().database(&name)
}

pub(crate) fn pool(options: PgConnectOptions) -> PgPool {
    let limits = PoolLimits {
        connections: 8,
        statement: Duration::from_secs(30),
    };
    store::pool(options, limits)
}

/// What a test wants to be different.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Lines of `[queue]` and other sections, after the defaults of the tests.
    pub(crate) config: &'static str,
    /// More lines of the `[[group]]` acme.
    pub(crate) group: &'static str,
    /// What the service does.
    pub(crate) roles: Vec<Role>,
    /// Whether dead work at the end is what the test is about.
    pub(crate) dead_is_fine: bool,
    /// Where the service listens, if somebody knows that already.
    pub(crate) listener: Option<TcpListener>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: "[queue]\nretry_seconds = [0]\nattempts = 4\n",
            group: "",
            roles: vec![Role::Receive, Role::Process, Role::Deliver, Role::Web],
            dead_is_fine: false,
            listener: None,
        }
    }
}

/// The service, the tracker, and the way to both.
pub(crate) struct World {
    pub(crate) pool: PgPool,
    pub(crate) sandbox: Sandbox,
    pub(crate) demo: Demo,
    /// Number of the hook in the tracker.
    pub(crate) hook: u64,
    pub(crate) url: Url,
    pub(crate) config: Config,
    egress: Egress,
    service: Option<Service>,
    roles: Vec<Role>,
    tracker: JoinHandle<()>,
    stop_tracker: CancellationToken,
}

/// Runs a test in a world of its own.
pub(crate) async fn run(test: impl AsyncFnOnce(&mut World)) {
    run_with(Setup::default(), test).await;
}

/// Runs a test in a world that differs.
pub(crate) async fn run_with(setup: Setup, test: impl AsyncFnOnce(&mut World)) {
    let dead_is_fine = setup.dead_is_fine;
    let mut world = World::start(setup).await;
    test(&mut world).await;
    if world.service.is_some() && world.roles.len() == 4 {
        world.settled().await;
    }
    if !dead_is_fine {
        let dead = world
            .deliveries()
            .await
            .into_iter()
            .filter(|line| line.state == "dead" || line.dead_effects > 0);
        assert_eq!(
            dead.collect::<Vec<_>>(),
            [],
            "dead work that the test did not expect"
        );
    }
    world.end().await;
}

impl World {
    async fn start(setup: Setup) -> Self {
        record_log();
        let pool = pool(database().await);
        let listener = match setup.listener {
            Some(listener) => listener,
            None => TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let tracker_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let tracker_url: Url = format!("http://{}", tracker_listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let config = configuration(&url, &tracker_url, (setup.config, setup.group));

        let sandbox = Sandbox::new(tracker_url.clone());
        let demo = sandbox.seed_demo(BOT_TOKEN).unwrap();
        let mut hook = NewHook::to(url.join("/hooks/acme-gitlab").unwrap());
        hook.signing_token = Some(SIGNING_TOKEN.to_owned());
        let hook = sandbox
            .create_hook(HookOwner::Group(demo.acme), hook)
            .unwrap();
        let stop_tracker = CancellationToken::new();
        let tracker = spawn(server::serve(
            tracker_listener,
            sandbox.router(),
            256,
            stop_tracker.clone(),
        ));

        let egress = Egress::new([&url, &tracker_url], Limits::default()).unwrap();
        let mut world = Self {
            pool,
            sandbox,
            demo,
            hook,
            url,
            config,
            egress,
            service: None,
            roles: setup.roles,
            tracker,
            stop_tracker,
        };
        world.serve(listener).await;
        world.contact("Ada", "Byron", "ada@example.com", true).await;
        world
            .contact("Grace", "Murray", "Grace@Example.com", true)
            .await;
        world
            .contact("Otto", "Retired", "otto@example.com", false)
            .await;
        world
    }

    async fn serve(&mut self, listener: TcpListener) {
        let parts = Parts {
            pool: self.pool.clone(),
            key: Arc::new(SealingKey::from_base64(&SEALING_KEY.into()).unwrap()),
            clock: Arc::new(SystemClock::default()),
            listener,
            admin: None,
            roles: self.roles.clone(),
            demo: false,
        };
        self.service = Some(Service::start(&self.config, parts).await.unwrap());
    }

    /// Stops the service.
    pub(crate) async fn stop_service(&mut self) {
        self.service.take().unwrap().stop().await;
    }

    /// Starts the service again, where it was, with other roles.
    pub(crate) async fn start_service(&mut self, roles: &[Role]) {
        self.roles = roles.to_vec();
        let listener = TcpListener::bind(self.config.server.listen).await.unwrap();
        self.serve(listener).await;
    }

    async fn end(mut self) {
        self.sandbox.shutdown().await;
        self.stop_tracker.cancel();
        self.tracker.await.unwrap();
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
        self.pool.close().await;
    }

    /// Creates a contact of the group acme.
    pub(crate) async fn contact(&self, first: &str, last: &str, email: &str, active: bool) {
        let mut connection = self.pool.acquire().await.unwrap();
        let acme = group::find(&mut connection, "acme").await.unwrap().unwrap();
        let draft = ContactDraft::new(first, last, email).unwrap();
        let now = SystemClock::default().now();
        item::insert_contact(&mut connection, (acme.root, acme.id), &draft, active, now)
            .await
            .unwrap();
    }

    /// Writes a comment and waits for the bot's answer; returns it without its marker.
    pub(crate) async fn ask(&self, issue: u64, user: u64, text: &str) -> String {
        let comment = self.sandbox.comment(issue, user, text).unwrap();
        self.answer(issue, comment).await
    }

    /// Waits for the bot's answer to a comment; returns it without its marker.
    pub(crate) async fn answer(&self, issue: u64, comment: u64) -> String {
        let note = self.answer_note(issue, comment).await;
        without_marker(&note.body)
    }

    /// Waits for the bot's answer to a comment: in its thread, or apart and linked to it.
    pub(crate) async fn answer_note(&self, issue: u64, comment: u64) -> Note {
        let bot = self.demo.liaison;
        let answer = self.sandbox.wait_for(
            |state| {
                let asked = state.note(comment)?;
                let link = format!("#note_{comment})");
                state
                    .notes(issue)
                    .filter(|note| note.author == bot)
                    .find(|note| {
                        let same_thread =
                            note.discussion_id == asked.discussion_id && note.id > comment;
                        let linked = note
                            .body
                            .lines()
                            .next()
                            .is_some_and(|line| line.contains(&link));
                        same_thread || linked
                    })
                    .cloned()
            },
            PATIENCE,
        );
        match answer.await {
            Some(note) => note,
            None => panic!("no answer to comment {comment}:\n{}", self.story().await),
        }
    }

    /// Everything that the log tells, for a test that fails.
    async fn story(&self) -> String {
        let mut story = String::new();
        for line in self.deliveries().await {
            let log = self.delivery(line.id).await;
            let _ = writeln!(story, "{:?}\n{:#?}", log.summary, log.effects);
        }
        story
    }

    /// All notes of the bot on an issue.
    pub(crate) fn bot_notes(&self, issue: u64) -> Vec<Note> {
        let bot = self.demo.liaison;
        self.sandbox
            .notes(issue)
            .into_iter()
            .filter(|note| note.author == bot)
            .collect()
    }

    /// Addresses of the contacts of an issue (by its number in the tracker's project), in order.
    pub(crate) async fn issue_contacts(&self, issue: u64) -> Vec<String> {
        let iid = self
            .sandbox
            .read(|state| state.issue(issue).map(|issue| (issue.id, issue.iid)))
            .unwrap();
        sqlx::query_scalar(
            "SELECT items.email FROM issue_items JOIN items ON items.root_id = issue_items.root_id AND items.id = issue_items.item_id
             JOIN issues ON issues.root_id = issue_items.root_id AND issues.id = issue_items.issue_id
             WHERE issues.remote_id = $1 ORDER BY lower(items.email)",
        )
        .bind(iid.0.to_string())
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Waits until the tracker sent all it had to send and no work waits, in a lane or for one.
    pub(crate) async fn settled(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let work = "(SELECT FROM lanes UNION ALL SELECT FROM deliveries WHERE settled_at IS NULL) AS waiting";
        loop {
            // The bot's own calls make the tracker send too, so that both must be quiet, seen in this order twice.
            let unsent = self.sandbox.read(liaison::sandbox::State::unsent);
            let waiting = self.count(work).await;
            if unsent == 0
                && waiting == 0
                && self.sandbox.read(liaison::sandbox::State::unsent) == 0
            {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{waiting} lanes and deliveries still wait: {:#?}",
                self.deliveries().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The log, newest first.
    pub(crate) async fn deliveries(&self) -> Vec<DeliverySummary> {
        queue::deliveries(&self.pool, &LogFilter::default(), 10_000)
            .await
            .unwrap()
    }

    /// A delivery with its effects.
    pub(crate) async fn delivery(&self, id: DeliveryId) -> DeliveryLog {
        queue::delivery(&self.pool, id).await.unwrap().unwrap()
    }

    /// Waits until a delivery is in a state; returns its line of the log.
    pub(crate) async fn delivery_in(&self, state: &str) -> DeliverySummary {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let filter = LogFilter {
            state: Some(state.to_owned()),
            ..LogFilter::default()
        };
        loop {
            let found = queue::deliveries(&self.pool, &filter, 1).await.unwrap();
            if let Some(line) = found.into_iter().next() {
                return line;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "no delivery is {state}: {:#?}",
                self.deliveries().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a request to the service.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut call = Call::new(method, self.url.join(path).unwrap());
        call.headers = headers;
        call.body = body.into();
        self.egress.send(call).await.unwrap()
    }

    /// Sends a body as the tracker's hook would, signed.
    pub(crate) async fn deliver(&self, body: impl Into<Bytes>) -> Answer {
        let (headers, body) = self
            .sandbox
            .signed_delivery(self.hook, body.into())
            .unwrap();
        self.send(Method::POST, "/hooks/acme-gitlab", headers, body)
            .await
    }

    /// Starts one more service on the same database, with a listener of its own; the test stops it.
    pub(crate) async fn another_service(&self, roles: &[Role]) -> Service {
        let parts = Parts {
            pool: self.pool.clone(),
            key: Arc::new(SealingKey::from_base64(&SEALING_KEY.into()).unwrap()),
            clock: Arc::new(SystemClock::default()),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            admin: None,
            roles: roles.to_vec(),
            demo: false,
        };
        Service::start(&self.config, parts).await.unwrap()
    }

    /// Stops the service and starts it with other roles.
    pub(crate) async fn start_again(&mut self, roles: &[Role]) {
        self.stop_service().await;
        self.start_service(roles).await;
    }

    /// Waits until the tracker sent all it had to send.
    pub(crate) async fn settled_sending(&self) {
        let quiet = |state: &liaison::sandbox::State| (state.unsent() == 0).then_some(());
        self.sandbox.wait_for(quiet, PATIENCE).await.unwrap();
    }

    /// Waits until a condition, in SQL, holds.
    pub(crate) async fn until(&self, condition: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let holds: bool = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {condition}")))
                .fetch_one(&self.pool)
                .await
                .unwrap();
            if holds {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{condition} never held: {:#?}",
                self.deliveries().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the delivery of a comment's version is stored; returns the newest one's id.
    pub(crate) async fn delivery_of(&self, comment: u64) -> DeliveryId {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            for line in self.deliveries().await {
                let body = self.delivery(line.id).await.body;
                let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
                let is_note = body["object_kind"] == "note";
                if line.webhook == "acme-gitlab"
                    && is_note
                    && body["object_attributes"]["id"] == comment
                {
                    return line.id;
                }
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "no delivery of comment {comment}: {:#?}",
                self.deliveries().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a delivery is no longer pending; returns its line of the log.
    pub(crate) async fn outcome_of(&self, id: DeliveryId) -> DeliverySummary {
        self.until(&format!(
            "EXISTS (SELECT FROM deliveries WHERE id = '{id}' AND state <> 'pending')"
        ))
        .await;
        self.delivery(id).await.summary
    }

    /// Replays a delivery and wakes whoever works it, as the command line does; returns how many queues have work now.
    pub(crate) async fn replay(&self, id: DeliveryId) -> usize {
        let mut connection = self.pool.acquire().await.unwrap();
        let woken = queue::replay(&mut connection, id).await.unwrap();
        for (queue, connection) in &woken {
            queue::notify(&self.pool, queue::Signal::Work(*queue, *connection))
                .await
                .unwrap();
        }
        woken.len()
    }
}

/// What every service of this run logged so far, at a level that nobody runs in production.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn record_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = EnvFilter::new("debug,liaison=trace");
        tracing_subscriber::registry()
            .with(filter)
            .with(
                tracing_subscriber::fmt::layer()
                    .with_writer(|| Recorder)
                    .with_ansi(false),
            )
            .try_init()
            .unwrap();
    });
}

/// Returns the whole log of this run, that of other tests included.
pub(crate) fn recorded_log() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

struct Recorder;

impl std::io::Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns how often something is done that is measured: a few times, unless somebody wants to know (`LIAISON_MEASURE`) and leaves the machine to it.
pub(crate) fn measured(few: u32, many: u32) -> u32 {
    match std::env::var_os("LIAISON_MEASURE") {
        Some(_) => many,
        None => few,
    }
}

/// Starts a task that the test ends itself.
#[expect(
    clippy::disallowed_methods,
    reason = "the tracker is no part of the service, whose tracker tasks are awaited"
)]
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

/// Returns an answer's text without its hidden marker.
pub(crate) fn without_marker(body: &str) -> String {
    body.split("\n\n<!-- liaison:reply:")
        .next()
        .unwrap_or(body)
        .trim_end()
        .to_owned()
}

/// The bodies of all deliveries as they came, in the order of arrival.
pub(crate) async fn bodies(pool: &PgPool) -> Vec<(DeliveryId, Vec<u8>)> {
    let stored: Vec<(i64, Uuid)> = sqlx::query_as("SELECT root_id, id FROM deliveries")
        .fetch_all(pool)
        .await
        .unwrap();
    let mut bodies = Vec::new();
    for (root, id) in stored {
        let ids = [DeliveryId(id)];
        let read = queue::bodies(pool, RootId(root), &ids, i32::MAX).await;
        bodies.extend(read.unwrap());
    }
    bodies.sort_unstable_by_key(|(id, _)| id.0);
    bodies
}

/// Stores arrivals and has the new ones worked, as the receiver does.
pub(crate) async fn arrive(pool: &PgPool, arrivals: &[queue::Arrival]) -> Vec<queue::Stored> {
    let stored = store(pool, arrivals).await;
    let new = arrivals
        .iter()
        .zip(&stored)
        .filter(|(_, stored)| matches!(stored, queue::Stored::New(_)));
    let openings: Vec<_> = new.map(|(arrival, _)| opening(arrival)).collect();
    let mut connection = pool.acquire().await.unwrap();
    queue::open(&mut connection, &openings).await.unwrap();
    stored
}

/// Stores arrivals and has nothing worked.
pub(crate) async fn store(pool: &PgPool, arrivals: &[queue::Arrival]) -> Vec<queue::Stored> {
    let mut connection = pool.acquire().await.unwrap();
    queue::store(
        &mut connection,
        &mut queue::Press::default(),
        arrivals,
        queue::Expected::New,
    )
    .await
    .unwrap()
}

/// Returns what has an arrival worked.
pub(crate) fn opening(arrival: &queue::Arrival) -> queue::Opening {
    queue::Opening {
        root: arrival.root,
        webhook: arrival.webhook,
        lane: arrival.lane,
    }
}

/// Returns the id that the service gave to a delivery.
pub(crate) fn delivery_id(answer: &Answer) -> DeliveryId {
    let receipt: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    serde_json::from_value(receipt["delivery"].clone()).unwrap()
}

/// Returns a header map.
pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn configuration(url: &Url, tracker: &Url, (more, group): (&str, &str)) -> Config {
    let listen = url.socket_addrs(|| None).unwrap()[0];
    let text = format!(
        r#"{more}
[server]
listen = "{listen}"
public_url = "{url}"
[secrets]
key = "{SEALING_KEY}"
[[connection]]
name = "gitlab"
kind = "gitlab"
url = "{tracker}"
token = "{BOT_TOKEN}"
bot = "liaison"
notes_per_minute = 1000000
[[group]]
path = "acme"
name = "Acme"
tracker = {{ connection = "gitlab", path = "acme" }}
{group}
[[group.webhook]]
name = "acme-gitlab"
connection = "gitlab"
signing_token = "{SIGNING_TOKEN}"
"#
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let overrides = Overrides {
        file: Some(file.path().to_owned()),
        ..Overrides::default()
    };
    config::load(&overrides).unwrap()
}
