//! A real Matrix homeserver: Synapse, got by `scripts/synapse`, in a folder of its own and without a way to the outside.
//!
//! Most tests share one of the two of [`asking`] and [`joining`]; each takes one of its application services, with users and rooms of its own.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, StatusCode, header};
use liaison::{
    connector::matrix::{Client, Settings},
    domain::{Clock, SystemClock},
    egress::{Call, Egress, Limits},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::OnceCell, time::Instant};
use url::Url;

/// The name that the homeserver has; it never has to be found.
pub(crate) const SERVER: &str = "hs.test";
/// Longest that a homeserver may take to start: some seconds, more on a busy machine.
const START: Duration = Duration::from_secs(90);
/// Longest that anything that it is asked for may take: it has one thread, which all tests share.
const PATIENCE: Duration = Duration::from_mins(1);
/// Application services of one homeserver, and so tests that share it.
const SERVICES: usize = 24;

static ASKING: OnceCell<Homeserver> = OnceCell::const_new();
static JOINING: OnceCell<Homeserver> = OnceCell::const_new();

/// The homeserver on which people who are invited have to accept.
pub(crate) async fn asking() -> &'static Homeserver {
    ASKING
        .get_or_init(|| Homeserver::start(Kind::default()))
        .await
}

/// The homeserver on which people who are invited join by themselves.
pub(crate) async fn joining() -> &'static Homeserver {
    let kind = Kind {
        auto_accept: true,
        ..Kind::default()
    };
    JOINING.get_or_init(|| Homeserver::start(kind)).await
}

/// What a homeserver is to be like.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Kind {
    /// Whether people who are invited join by themselves.
    pub(crate) auto_accept: bool,
    /// Whether it limits its callers, the application services included.
    pub(crate) limits: bool,
}

/// A running homeserver; it ends with the tests.
pub(crate) struct Homeserver {
    pub(crate) base: Url,
    /// Removed when its test ends; those of the shared ones by the process that watches over them.
    folder: TempDir,
    running: Mutex<Option<Child>>,
    free: Mutex<Vec<Service>>,
}

/// An application service that is registered at a homeserver.
#[derive(Debug)]
pub(crate) struct Service {
    /// Name of the connection.
    pub(crate) connection: String,
    pub(crate) bot: String,
    pub(crate) as_token: String,
    pub(crate) hs_token: String,
    /// Where the homeserver sends to; until somebody accepts, what is sent waits.
    listener: Option<std::net::TcpListener>,
    pub(crate) url: Url,
}

impl Service {
    fn new(number: usize) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self {
            connection: format!("matrix{number}"),
            bot: format!("liaison{number}"),
            as_token: format!("as-canary-{number}-5d1f"),
            hs_token: format!("hs-canary-{number}-9c3e"),
            listener: Some(listener),
            url: url.parse().unwrap(),
        }
    }

    /// The bot's user id.
    pub(crate) fn bot_id(&self) -> String {
        format!("@{}:{SERVER}", self.bot)
    }

    /// Takes the listener, or opens it again after a service that had it ended.
    pub(crate) async fn listener(&mut self) -> TcpListener {
        match self.listener.take() {
            Some(listener) => TcpListener::from_std(listener).unwrap(),
            None => TcpListener::bind(self.url.socket_addrs(|| None).unwrap()[0])
                .await
                .unwrap(),
        }
    }

    fn registration(&self, limited: bool) -> Value {
        json!({
            "id": format!("liaison-{}", self.connection),
            "url": self.url.as_str().trim_end_matches('/'),
            "as_token": self.as_token,
            "hs_token": self.hs_token,
            "sender_localpart": self.bot,
            "rate_limited": limited,
            "namespaces": {
                "users": [{ "exclusive": true, "regex": format!("@{}:.*", self.bot) }],
                "aliases": [{ "exclusive": true, "regex": format!("#{}_.*:.*", self.bot) }],
                "rooms": [],
            },
        })
    }
}

/// Returns a port that nobody uses.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The folder of Synapse's programs. Without it the tests fail, since nothing else says what Synapse does.
fn programs() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told by scripts/test, and no configuration"
    )]
    let folder = std::env::var("TEST_SYNAPSE");
    let folder = folder.map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/synapse/bin"),
        PathBuf::from,
    );
    assert!(
        folder.join("python").exists(),
        "Synapse is missing in {}: run `scripts/synapse`, or the tests by `scripts/test`",
        folder.display()
    );
    folder
}

impl Homeserver {
    /// Starts a homeserver and waits until it answers.
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_at(free_port(), kind, None).await
    }

    /// Starts a homeserver on a port, which knows one more application service by its registration file.
    pub(crate) async fn start_at(port: u16, kind: Kind, registration: Option<&str>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("liaison-synapse-")
            .tempdir()
            .unwrap();
        let services: Vec<Service> = (0..SERVICES).map(Service::new).collect();
        configure((folder.path(), port), kind, &services, registration);
        let keys = Command::new(programs().join("python"))
            .args(["-m", "synapse.app.homeserver", "--generate-keys", "-c"])
            .arg(folder.path().join("homeserver.json"))
            .output()
            .unwrap();
        assert!(keys.status.success(), "{keys:?}");
        let base: Url = format!("http://127.0.0.1:{port}").parse().unwrap();
        let homeserver = Self {
            base,
            folder,
            running: Mutex::default(),
            free: Mutex::new(services),
        };
        homeserver.run().await;
        homeserver
    }

    /// Runs the homeserver and waits until it answers.
    async fn run(&self) {
        self.launch();
        let deadline = Instant::now() + START;
        while !self.is_up().await {
            let read = |name| fs::read_to_string(self.folder.path().join(name));
            assert!(
                Instant::now() <= deadline,
                "Synapse does not answer:\n{:?}\n{:?}",
                read("out"),
                read("hs.log")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
            // While nobody listened, the port may have become that of somebody's connection, for as long as that is open.
            if read("out").is_ok_and(|out| out.contains("Address already in use")) {
                self.stop();
                fs::remove_file(self.folder.path().join("out")).unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.launch();
            }
        }
    }

    /// Starts the homeserver beside a shell that ends it when the tests end: a process that is killed ends nothing itself.
    fn launch(&self) {
        let script = r#""$1/python" -m synapse.app.homeserver -c "$2/homeserver.json" >>"$2/out" 2>&1 </dev/null &
            server=$!
            read -r line
            kill $server
            wait $server
            [ "$line" = stop ] || rm -rf "$2""#;
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([programs().as_path(), self.folder.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.running.lock().unwrap() = Some(child);
    }

    /// The way to the homeserver of this thread, and so of this test: connections end with the runtime that opened them.
    fn egress(&self) -> Arc<Egress> {
        thread_local! {
            static EGRESS: RefCell<HashMap<Url, Arc<Egress>>> = RefCell::default();
        }
        EGRESS.with_borrow_mut(|known| {
            let new = || Arc::new(Egress::new([&self.base], Limits::default()).unwrap());
            Arc::clone(known.entry(self.base.clone()).or_insert_with(new))
        })
    }

    async fn is_up(&self) -> bool {
        let call = Call::new(Method::GET, self.base.join("/health").unwrap());
        let answer = self.egress().send(call).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    /// Ends the homeserver and waits for that.
    pub(crate) fn stop(&self) {
        let mut child = self.running.lock().unwrap().take().unwrap();
        child.stdin.take().unwrap().write_all(b"stop\n").unwrap();
        child.wait().unwrap();
    }

    /// Ends the homeserver and starts it again.
    pub(crate) async fn restart(&self) {
        self.stop();
        self.run().await;
    }

    /// Takes an application service that no other test has.
    pub(crate) fn service(&self) -> Service {
        let service = self.free.lock().unwrap().pop();
        service.unwrap_or_else(|| panic!("more tests than {SERVICES} share the homeserver"))
    }

    /// Returns the connector's client for an application service.
    pub(crate) fn client(&self, service: &Service) -> Client {
        self.client_with(service, |_| ())
    }

    /// Returns a client with other settings.
    pub(crate) fn client_with(
        &self,
        service: &Service,
        change: impl FnOnce(&mut Settings),
    ) -> Client {
        let mut settings = Settings {
            base: self.base.clone(),
            token: service.as_token.as_str().into(),
            admin_token: None,
            bot: service.bot.clone(),
            federate: false,
            members_invite: false,
            web_client: None,
        };
        change(&mut settings);
        let clock = Arc::new(SystemClock::default());
        Client::new(self.egress(), settings, clock)
    }

    /// Registers somebody with a name that nobody has yet.
    pub(crate) async fn user(&self, name: &str) -> User<'_> {
        let unique = SystemClock::default().id().simple().to_string();
        let name = format!("{name}-{}", &unique[20..]);
        let body = json!({
            "username": name, "password": "correct horse", "auth": { "type": "m.login.dummy" },
        });
        let registered = self
            .ask(None, Method::POST, "/_matrix/client/v3/register", body)
            .await;
        let answer = registered.unwrap();
        User {
            homeserver: self,
            id: answer["user_id"].as_str().unwrap().to_owned(),
            token: answer["access_token"].as_str().unwrap().to_owned(),
        }
    }

    /// Registers an administrator of the homeserver.
    pub(crate) async fn admin(&self) -> User<'_> {
        let name = format!("admin-{}", SystemClock::default().id().simple());
        let registered = Command::new(programs().join("register_new_matrix_user"))
            .args(["-u", &name, "-p", "correct horse", "--admin", "-c"])
            .arg(self.folder.path().join("homeserver.json"))
            .arg(self.base.as_str())
            .output()
            .unwrap();
        assert!(registered.status.success(), "{registered:?}");
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": name },
            "password": "correct horse",
        });
        let login = self
            .ask(None, Method::POST, "/_matrix/client/v3/login", body)
            .await
            .unwrap();
        User {
            homeserver: self,
            id: login["user_id"].as_str().unwrap().to_owned(),
            token: login["access_token"].as_str().unwrap().to_owned(),
        }
    }

    /// Makes a call; an answer that says no is the error.
    pub(crate) async fn ask(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, (StatusCode, Value)> {
        let mut call = Call::new(method.clone(), self.base.join(path).unwrap());
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            call.headers.insert(header::AUTHORIZATION, value);
        }
        if method != Method::GET {
            call.body = body.to_string().into();
        }
        let answer = self.egress().send(call).await.unwrap();
        let body = serde_json::from_slice(&answer.body).unwrap();
        if answer.status.is_success() {
            Ok(body)
        } else {
            Err((answer.status, body))
        }
    }
}

impl Drop for Homeserver {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.lock().unwrap().take() {
            // Its input is at an end, which ends it.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Writes the configuration: JSON, which is YAML too.
fn configure(
    (folder, port): (&Path, u16),
    kind: Kind,
    services: &[Service],
    registration: Option<&str>,
) {
    let write = |name: &str, value: &Value| {
        let path = folder.join(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    let log = write(
        "log.json",
        &json!({
            "version": 1,
            "formatters": { "p": { "format": "%(asctime)s %(levelname)s %(name)s %(message)s" } },
            "handlers": { "f": { "class": "logging.FileHandler", "filename": folder.join("hs.log"), "formatter": "p" } },
            "root": { "level": "INFO", "handlers": ["f"] },
            "disable_existing_loggers": false,
        }),
    );
    let mut registrations: Vec<PathBuf> = services
        .iter()
        .map(|service| {
            let name = format!("{}.json", service.connection);
            write(&name, &service.registration(kind.limits))
        })
        .collect();
    if let Some(text) = registration {
        let path = folder.join("liaison.yaml");
        fs::write(&path, text).unwrap();
        registrations.push(path);
    }
    let mut config = json!({
        "server_name": SERVER,
        "pid_file": folder.join("hs.pid"),
        "listeners": [{
            "port": port, "type": "http", "tls": false, "x_forwarded": false, "bind_addresses": ["127.0.0.1"],
            "resources": [{ "names": ["client"], "compress": false }],
        }],
        "database": { "name": "sqlite3", "args": { "database": folder.join("hs.db") } },
        "log_config": log,
        "media_store_path": folder.join("media"),
        "signing_key_path": folder.join("signing.key"),
        "registration_shared_secret": "reg-secret",
        "macaroon_secret_key": "m",
        "form_secret": "f",
        "report_stats": false,
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "federation_domain_whitelist": [],
        "bcrypt_rounds": 4,
        "enable_registration": true,
        "enable_registration_without_verification": true,
        "rc_registration": { "per_second": 1000, "burst_count": 1000 },
        "app_service_config_files": registrations,
        "auto_accept_invites": { "enabled": kind.auto_accept, "only_from_local_users": true },
    });
    if !kind.limits {
        let unlimited = json!({ "per_second": 1000, "burst_count": 1000 });
        let limits = json!({
            "rc_message": unlimited,
            "rc_login": { "address": unlimited, "account": unlimited },
            "rc_joins": { "local": unlimited },
            "rc_joins_per_room": unlimited,
            "rc_invites": { "per_room": unlimited, "per_user": unlimited, "per_issuer": unlimited },
        });
        let (Value::Object(fields), Value::Object(limits)) = (&mut config, limits) else {
            unreachable!("both are objects");
        };
        fields.extend(limits);
    }
    write("homeserver.json", &config);
}

/// A person with a client of his own.
pub(crate) struct User<'a> {
    homeserver: &'a Homeserver,
    pub(crate) id: String,
    pub(crate) token: String,
}

impl User<'_> {
    /// Makes a call as this person.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Value,
    ) -> Result<Value, (StatusCode, Value)> {
        let mut url = self.homeserver.base.join("/_matrix/client/v3").unwrap();
        url.path_segments_mut().unwrap().extend(path);
        self.homeserver
            .ask(Some(&self.token), method, url.path(), body)
            .await
    }

    /// His local part.
    pub(crate) fn name(&self) -> &str {
        self.id[1..].split(':').next().unwrap()
    }

    /// What he is in a room: `join`, `leave` and so on, or nothing where he never was.
    pub(crate) async fn membership(&self, room: &str) -> String {
        let path = ["rooms", room, "state", "m.room.member", &self.id];
        let found = self.ask(Method::GET, &path, Value::Null).await;
        found.map_or(String::new(), |content| {
            content["membership"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
    }

    async fn must(&self, method: Method, path: &[&str], body: Value) -> Value {
        self.ask(method, path, body).await.unwrap()
    }

    pub(crate) async fn join(&self, room: &str) {
        self.must(Method::POST, &["join", room], json!({})).await;
    }

    pub(crate) async fn leave(&self, room: &str) {
        self.must(Method::POST, &["rooms", room, "leave"], json!({}))
            .await;
    }

    pub(crate) async fn invite(&self, room: &str, user: &str) {
        let body = json!({ "user_id": user });
        self.must(Method::POST, &["rooms", room, "invite"], body)
            .await;
    }

    pub(crate) async fn kick(&self, room: &str, user: &str) {
        let body = json!({ "user_id": user });
        self.must(Method::POST, &["rooms", room, "kick"], body)
            .await;
    }

    /// Makes a room of his own.
    pub(crate) async fn room(&self, body: Value) -> String {
        let made = self.must(Method::POST, &["createRoom"], body).await;
        made["room_id"].as_str().unwrap().to_owned()
    }

    /// Writes something; returns its id.
    pub(crate) async fn say(&self, room: &str, text: &str) -> String {
        self.send(room, json!({ "msgtype": "m.text", "body": text }))
            .await
    }

    /// Sends a message with this content; returns its id.
    pub(crate) async fn send(&self, room: &str, content: Value) -> String {
        let transaction = SystemClock::default().id().to_string();
        let path = ["rooms", room, "send", "m.room.message", &transaction];
        let sent = self.must(Method::PUT, &path, content).await;
        sent["event_id"].as_str().unwrap().to_owned()
    }

    /// All events that he can read in a room, oldest first.
    pub(crate) async fn events(&self, room: &str) -> Vec<Value> {
        let mut url = self.homeserver.base.join("/_matrix/client/v3").unwrap();
        url.path_segments_mut()
            .unwrap()
            .extend(["rooms", room, "messages"]);
        let path = format!("{}?dir=b&limit=1000", url.path());
        let asked = self
            .homeserver
            .ask(Some(&self.token), Method::GET, &path, Value::Null);
        let mut answer = asked.await.unwrap();
        let Value::Array(mut events) = answer["chunk"].take() else {
            panic!("{answer}");
        };
        events.reverse();
        events
    }

    /// The texts of the messages that he can read in a room, oldest first.
    pub(crate) async fn texts(&self, room: &str) -> Vec<String> {
        let events = self.events(room).await;
        let messages = events
            .iter()
            .filter(|event| event["type"] == "m.room.message");
        messages
            .filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned()))
            .collect()
    }

    /// The rooms that he is in (`join`), or asked to come into (`invite`).
    pub(crate) async fn rooms(&self, membership: &str) -> Vec<String> {
        let synced = self.must(Method::GET, &["sync"], Value::Null).await;
        let rooms = synced["rooms"][membership].as_object();
        rooms.map_or_else(Vec::new, |rooms| rooms.keys().cloned().collect())
    }

    /// Waits until he is in a room, or asked to come; returns the first such room.
    pub(crate) async fn room_where(&self, membership: &str) -> String {
        until(&format!("{} has a room", self.id), async || {
            self.rooms(membership).await.into_iter().next()
        })
        .await
    }
}

/// Waits until something is so.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
