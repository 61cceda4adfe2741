//! A private PostgreSQL cluster that Liaison creates and supervises when no `database.url` is
//! configured.
//!
//! [`Cluster::start`] finds PostgreSQL's own binaries, creates the data folder on the first start,
//! runs `postgres` as a child that listens on a Unix socket only, restarts it when it dies and
//! stops it when the [`Cluster`] goes. Whether PostgreSQL runs is always answered by connecting: a
//! process id may be stale, reused, or that of a zombie.
//!
//! The room knows nothing of Liaison's schema: it ends with an empty database called `liaison`.

mod account;
mod binaries;
mod error;
mod keeper;
pub mod launcher;
mod leftover;
mod lock;
mod memory;
mod place;
mod probe;
mod server;
mod supervisor;
mod throw_away;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;

pub use self::error::ClusterError;
use self::lock::Lock;
use self::place::Place;
use self::probe::Answer;
use self::supervisor::Supervisor;

/// How long [`Cluster::join_or_start`] waits for a cluster that another process is bringing up.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks at a cluster that another process is bringing up.
const JOIN_PAUSE: Duration = Duration::from_millis(20);

/// What a cluster needs to know to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that holds the cluster, its lock and its log; created when missing, unused by
    /// [`Durability::ThrowAway`].
    pub data_dir: PathBuf,
    /// The folder of `initdb` and `postgres`; when unset they are searched for.
    pub bin_dir: Option<PathBuf>,
    /// The program that is re-executed to start PostgreSQL, see [`launcher`]; usually
    /// [`std::env::current_exe`].
    pub launcher: PathBuf,
    /// Whether data must outlive a crash of the machine.
    pub durability: Durability,
}

/// Whether data must outlive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// PostgreSQL's defaults: what was committed survives a power cut.
    Full,
    /// For tests: in memory where the system has `/dev/shm`, never synced, and removed at the stop.
    ThrowAway,
}

/// A running cluster; dropping it stops PostgreSQL if this handle started it.
///
/// The drop blocks its thread until PostgreSQL has ended; [`Cluster::stop`] does not.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    socket_folder: PathBuf,
    /// `None` when another process runs the cluster.
    supervisor: Option<Supervisor>,
}

impl Cluster {
    /// Starts the cluster of `options.data_dir`, creating it the first time, and returns when it
    /// takes connections.
    ///
    /// # Errors
    ///
    /// [`ClusterError::AlreadyServing`] when another Liaison holds the folder; otherwise what was
    /// wrong, where, and what to do.
    pub async fn start(options: Options) -> Result<Self, ClusterError> {
        match options.durability {
            Durability::Full => {
                let data_dir = place::prepare_data_dir(&options.data_dir)?;
                match Lock::take(&data_dir)? {
                    Some(lock) => Self::start_locked(options, data_dir, lock).await,
                    None => Err(ClusterError::AlreadyServing { data_dir }),
                }
            }
            Durability::ThrowAway => {
                let (data_dir, lock) = throw_away::create_folder()?;
                Self::start_locked(options, data_dir, lock).await
            }
        }
    }

    /// Connects to the cluster of `options.data_dir` if another process runs it, otherwise starts
    /// it.
    ///
    /// A joined cluster is not stopped with this handle, and goes when the process that started it
    /// ends.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NotAnswering`] when another process holds the folder but its PostgreSQL
    /// takes no connection within 10 s; otherwise as for [`Cluster::start`].
    pub async fn join_or_start(options: Options) -> Result<Self, ClusterError> {
        if options.durability == Durability::ThrowAway {
            return Self::start(options).await;
        }
        let data_dir = place::prepare_data_dir(&options.data_dir)?;
        let deadline = Instant::now() + JOIN_PATIENCE;
        loop {
            // Asked for again each time: the other process may end meanwhile.
            if let Some(lock) = Lock::take(&data_dir)? {
                return Self::start_locked(options, data_dir, lock).await;
            }
            if let Some(cluster) = Self::join(&data_dir).await? {
                return Ok(cluster);
            }
            if Instant::now() >= deadline {
                return Err(ClusterError::NotAnswering { data_dir });
            }
            tokio::time::sleep(JOIN_PAUSE).await;
        }
    }

    async fn start_locked(
        options: Options,
        data_dir: PathBuf,
        lock: Lock,
    ) -> Result<Self, ClusterError> {
        let (place, supervisor) = Supervisor::start(options, data_dir, lock).await?;
        Ok(Self {
            folder: place.folder,
            socket_folder: place.socket_folder,
            supervisor: Some(supervisor),
        })
    }

    /// Returns the cluster that another process runs, or `None` when it takes no connection yet.
    async fn join(data_dir: &Path) -> Result<Option<Self>, ClusterError> {
        let Place {
            folder,
            socket_folder,
            account,
        } = Place::settle(data_dir)?;
        // A folder of somebody else's could hold somebody else's server.
        if !place::belongs_to(&socket_folder, account.as_ref()) {
            return Ok(None);
        }
        match probe::ask(&socket_folder).await? {
            Answer::Ready => Ok(Some(Self {
                folder,
                socket_folder,
                supervisor: None,
            })),
            Answer::NoDatabase | Answer::NotYet => Ok(None),
        }
    }

    /// Returns options that connect to the database `liaison` as the superuser `liaison`.
    pub fn connect_options(&self) -> PgConnectOptions {
        probe::connect_options(&self.socket_folder, probe::DATABASE)
    }

    /// Returns the same as [`Cluster::connect_options`] as a URL, for other programs.
    pub fn url(&self) -> String {
        probe::url(&self.socket_folder)
    }

    /// Returns the folder that holds the data folder `postgres` and `postgres.log`: the canonical
    /// `data_dir`, or its replacement under `/var/lib/liaison` when the account that PostgreSQL
    /// runs as cannot reach `data_dir`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops PostgreSQL if this handle started it, and returns when it has ended.
    ///
    /// Open transactions are rolled back; usually takes less than 100 ms, at most 20 s.
    pub async fn stop(mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.stop().await;
        }
    }
}

/// Starts a cluster for tests and benches that goes without a trace when it is dropped.
///
/// `launcher` is the program `liaison`, since a test binary is not it.
///
/// # Errors
///
/// As for [`Cluster::start`].
pub async fn throw_away(launcher: impl Into<PathBuf>) -> Result<Cluster, ClusterError> {
    let launcher = launcher.into();
    Cluster::start(Options {
        data_dir: PathBuf::new(),
        bin_dir: None,
        launcher,
        durability: Durability::ThrowAway,
    })
    .await
}
