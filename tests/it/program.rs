//! The built program as a child process on a durable cluster of its own, beside the sandbox tracker in this process.

use std::{
    fs::{self, File, Permissions},
    io::{Read, Seek, Write},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use http::{HeaderMap, Method};
use liaison::{
    egress::{Answer, Call, Egress, EgressError, Limits},
    sandbox::{Demo, HookOwner, NewHook, Sandbox},
    server,
};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::harness::{PATIENCE, SIGNING_TOKEN};

/// The bot's access token, which must be seen nowhere.
pub(crate) const BOT_TOKEN: &str = "glpat-canary-5d21e0";

/// Returns a folder that the account PostgreSQL runs as can reach when the tests run as root.
///
/// In memory where the system has that: what is synced outlives the death of a process there too, and sooner.
pub(crate) fn reachable_folder() -> TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    folder
}

/// Returns an address that is nobody else's: a loopback address of its own keeps it out of reach of ports that the system gives away.
pub(crate) async fn free_address() -> SocketAddr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let [low, high, ..] = std::process::id().to_le_bytes();
    let own = Ipv4Addr::new(127, 64 | (high & 63), low, count);
    let listener = TcpListener::bind((own, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// Returns the program, to be run in a folder and without any configuration of whoever runs the tests.
pub(crate) fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liaison"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LIAISON_") {
            command.env_remove(name);
        }
    }
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
}

/// Returns the host and port of an address.
pub(crate) fn listens_at(url: &Url) -> SocketAddr {
    url.socket_addrs(|| None).unwrap().remove(0)
}

/// A child process that does not outlive the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Returns how it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Waits for its end. The tracker lives on this thread, which therefore must not block.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

/// Runs the program to its end.
pub(crate) async fn output(folder: &Path, args: &[&str]) -> Printed {
    output_of(&mut program(folder, args), "").await
}

/// Runs a command to its end with something to read.
pub(crate) async fn output_of(command: &mut Command, input: &str) -> Printed {
    let [mut stdin, mut out, mut error] = [(); 3].map(|()| tempfile::tempfile().unwrap());
    stdin.write_all(input.as_bytes()).unwrap();
    stdin.rewind().unwrap();
    command.stdin(stdin);
    command.stdout(out.try_clone().unwrap());
    command.stderr(error.try_clone().unwrap());
    let status = Running::start(command).end().await;
    let text = |file: &mut File| {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    Printed {
        code: status.code(),
        out: text(&mut out),
        error: text(&mut error),
    }
}

/// A folder with a configuration, the service in it, and the tracker.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) url: Url,
    pub(crate) admin: Url,
    pub(crate) tracker_url: Url,
    pub(crate) sandbox: Sandbox,
    pub(crate) demo: Demo,
    egress: Egress,
    service: Option<Running>,
    tracker: JoinHandle<()>,
    stop_tracker: CancellationToken,
}

impl Site {
    /// Prepares everything; nothing serves yet but the tracker, which has `lanes` requests under way at once.
    pub(crate) async fn new(more: &str, lanes: usize) -> Self {
        let site = Self::undeclared(lanes).await;
        let [listen, admin] = [&site.url, &site.admin].map(listens_at);
        let (url, tracker) = (&site.url, &site.tracker_url);
        let config = format!(
            r#"{more}
[server]
listen = "{listen}"
admin_listen = "{admin}"
public_url = "{url}"
[database]
data_dir = "data"
[[connection]]
name = "gitlab"
kind = "gitlab"
url = "{tracker}"
token = "{BOT_TOKEN}"
bot = "liaison"
notes_per_minute = 1000000
[[person]]
username = "ann"
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
        fs::create_dir(site.path().join("config")).unwrap();
        fs::write(site.path().join("config/liaison.toml"), config).unwrap();
        let mut hook = NewHook::to(site.at("/hooks/acme-gitlab"));
        hook.signing_token = Some(SIGNING_TOKEN.to_owned());
        let owner = HookOwner::Group(site.demo.acme);
        site.sandbox.create_hook(owner, hook).unwrap();
        site
    }

    /// Prepares a folder with nothing in it, and the tracker.
    pub(crate) async fn undeclared(lanes: usize) -> Self {
        let (listen, admin) = (free_address().await, free_address().await);
        let tracker = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let [url, admin, tracker_url]: [Url; 3] = [listen, admin, tracker.local_addr().unwrap()]
            .map(|address| format!("http://{address}").parse().unwrap());
        let sandbox = Sandbox::new(tracker_url.clone());
        let demo = sandbox.seed_demo(BOT_TOKEN).unwrap();
        sandbox.set_lanes(lanes);
        let stop_tracker = CancellationToken::new();
        let serve = server::serve(tracker, sandbox.router(), 256, stop_tracker.clone());
        Self {
            egress: Egress::new([&url, &admin], Limits::default()).unwrap(),
            folder: reachable_folder(),
            url,
            admin,
            tracker_url,
            sandbox,
            demo,
            service: None,
            tracker: spawn(serve),
            stop_tracker,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("service.log")
    }

    /// Starts the service without waiting for it.
    pub(crate) fn spawn_service(&mut self, args: &[&str]) {
        let open = |path| {
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap()
        };
        let mut command = program(self.path(), &["serve"]);
        command
            .args(args)
            .stdout(open(self.path().join("service.out")));
        command.stderr(open(self.log()));
        self.service = Some(Running::start(&mut command));
    }

    /// Starts the service and waits until it is ready.
    pub(crate) async fn serve(&mut self, args: &[&str]) {
        self.spawn_service(args);
        self.ready().await;
    }

    /// Waits until the service is ready.
    pub(crate) async fn ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.call(Call::new(Method::GET, self.at("/-/readiness")));
            if answer.await.is_ok_and(|answer| answer.status.is_success()) {
                return;
            }
            let ended = self.service.as_mut().unwrap().ended();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the service is not ready ({ended:?}):\n{}",
                self.trouble()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the service wrote to its log.
    pub(crate) fn told(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// What the service printed.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.path().join("service.out")).unwrap_or_default()
    }

    /// The warnings and errors of the log, for the message of a test that fails.
    pub(crate) fn trouble(&self) -> String {
        let log = self.told();
        let lines = log.lines();
        let grave = lines.filter(|line| !line.contains(r#""level":"INFO""#));
        grave.fold(String::new(), |text, line| text + line + "\n")
    }

    /// Kills the service, as `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        self.stop(Signal::KILL).await;
    }

    /// Has the service end and returns how it did.
    pub(crate) async fn stop(&mut self, by: Signal) -> ExitStatus {
        let mut service = self.service.take().unwrap();
        service.signal(by);
        service.end().await
    }

    /// Ends everything.
    pub(crate) async fn end(mut self) {
        if self.service.is_some() {
            self.stop(Signal::TERM).await;
        }
        self.sandbox.shutdown().await;
        self.stop_tracker.cancel();
        self.tracker.await.unwrap();
    }

    /// Process id of the PostgreSQL server.
    pub(crate) fn postmaster(&self) -> Option<Pid> {
        let file = self.path().join("data/postgres/postmaster.pid");
        let text = fs::read_to_string(file).ok()?;
        let (pid, _) = text.split_once('\n')?;
        Pid::from_raw(pid.parse().ok()?)
    }

    /// A connection of one's own to the service's database.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.try_connect().await.unwrap()
    }

    pub(crate) async fn try_connect(&self) -> sqlx::Result<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.path().canonicalize().unwrap().join("data/run"))
            .username("liaison")
            .database("liaison");
        options.connect().await
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// Makes a request of the service.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, EgressError> {
        self.egress.send(call).await
    }

    /// Posts JSON to a path of the service.
    pub(crate) async fn post(&self, path: &str, headers: HeaderMap, body: &str) -> Answer {
        let mut call = Call::new(Method::POST, self.at(path));
        call.headers = headers;
        call.body = body.to_owned().into();
        self.call(call).await.unwrap()
    }

    /// Runs a command in the site's folder.
    pub(crate) async fn run(&self, args: &[&str]) -> Printed {
        output(self.path(), args).await
    }

    /// Runs a command that succeeds, and returns what it prints.
    pub(crate) async fn succeed(&self, args: &[&str]) -> String {
        let printed = self.run(args).await;
        assert_eq!(printed.code, Some(0), "{args:?}: {}", printed.error);
        assert!(!printed.error.contains("canary"), "{}", printed.error);
        printed.out
    }

    /// Runs a command that fails, and returns what it says of that.
    pub(crate) async fn fail(&self, args: &[&str]) -> String {
        let printed = self.run(args).await;
        assert_eq!(printed.code, Some(1), "{args:?}: {printed:?}");
        assert!(!printed.error.contains("canary"), "{}", printed.error);
        printed.error
    }
}

/// Starts a task that the test ends itself.
#[expect(
    clippy::disallowed_methods,
    reason = "the tracker is no part of the service, whose tracker tasks are awaited"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
