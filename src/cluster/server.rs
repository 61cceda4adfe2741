//! One cluster's programs, settings and log: how its data is created and its server spawned.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Child;

use super::binaries::Binaries;
use super::launcher::Launcher;
use super::place::{Place, SOCKET};
use super::{ClusterError, Durability, Options, leftover, memory, probe};

/// A log longer than this many bytes is emptied at the next start.
const LONGEST_LOG: u64 = 10_000_000;
/// How much of the log's end an error shows, in bytes and lines.
const SHOWN_BYTES: u64 = 8_000;
const SHOWN_LINES: usize = 12;

/// Settings of every server. The rest is PostgreSQL's default, durability included.
const SETTINGS: &[&str] = &[
    // Reachable through the socket only.
    "listen_addresses=",
    "unix_socket_permissions=0700",
    // Liaison's statements are short: compiling them costs more than it saves, and parallel workers
    // would multiply the memory of a statement, in /dev/shm, of which a container has 64 MB.
    "jit=off",
    "max_parallel_workers_per_gather=0",
    // Neither statements nor the values in a message's details belong in a log: they hold names and
    // e-mail addresses.
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "cluster_name=liaison",
];

/// What [`Durability::ThrowAway`] adds: nothing is written twice or waited for, nothing runs in the
/// background.
const THROW_AWAY_SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=200",
];

/// Everything needed to spawn a cluster's server again and again.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) place: Place,
    binaries: Binaries,
    launcher: Launcher,
    durability: Durability,
}

/// A server process.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) child: Child,
    /// Where in the log its messages begin.
    log_start: u64,
}

impl Setup {
    /// Finds everything the cluster of `data_dir` needs, and creates its data the first time.
    pub(super) fn prepare(options: &Options, data_dir: &Path) -> Result<Self, ClusterError> {
        let place = Place::settle(data_dir)?;
        let data = place.data();
        let exists = data.is_dir();
        let wanted = if exists {
            Some((data_version(&data)?, data.as_path()))
        } else {
            None
        };
        let binaries = Binaries::find(options.bin_dir.as_deref(), wanted, place.account.as_ref())?;
        let launcher = Launcher {
            program: options.launcher.clone(),
            account: place.account.clone(),
        };
        place.prepare_private(&place.socket_folder)?;
        let setup = Self {
            place,
            binaries,
            launcher,
            durability: options.durability,
        };
        if !exists {
            setup.create_data()?;
        }
        Ok(setup)
    }

    /// Creates the data under another name first, so that a folder with the right name is always
    /// complete.
    fn create_data(&self) -> Result<(), ClusterError> {
        let (unfinished, data) = (self.place.unfinished_data(), self.place.data());
        tracing::info!(
            "creating a PostgreSQL {} cluster in {}",
            self.binaries.major,
            data.display()
        );
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(ClusterError::io("remove", &unfinished))?;
        }
        self.place.prepare_private(&unfinished)?;
        let mut args: Vec<OsString> = vec![
            "-D".into(),
            unfinished.clone().into(),
            "-U".into(),
            probe::SUPERUSER.into(),
        ];
        // Trust is safe here: the only way in is a socket in a folder of mode 0700, so whoever can
        // ask for a connection is the cluster's owner or root, and could as well read the data
        // files. A password would have to lie beside them.
        args.push("--auth=trust".into());
        // The same order of strings on every machine.
        args.extend(
            ["--locale=C.UTF-8", "--encoding=UTF8", "--no-instructions"].map(OsString::from),
        );
        if self.durability == Durability::ThrowAway {
            args.push("--no-sync".into());
        }
        let (log, log_start) = open_log(&self.place.log())?;
        let initdb = self.binaries.path("initdb");
        let mut child = self.launcher.spawn(&initdb, &args, &unfinished, &log)?;
        let status = child
            .wait()
            .map_err(ClusterError::io("wait for", &initdb))?;
        if !status.success() || data_version(&unfinished).is_err() {
            return Err(ClusterError::Initdb {
                folder: data,
                status,
                lines: self.log_since(log_start),
            });
        }
        fs::rename(&unfinished, &data).map_err(ClusterError::io("rename", &unfinished))?;
        // The new name has to survive a power cut as the files do.
        let folder = &self.place.folder;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(ClusterError::io("sync", folder))
    }

    /// Spawns a server; it may end at once if an earlier one still holds the data.
    pub(super) fn spawn(&self) -> Result<Server, ClusterError> {
        let data = self.place.data();
        let mut args: Vec<OsString> = vec![
            "-D".into(),
            data.clone().into(),
            "-p".into(),
            probe::PORT.to_string().into(),
        ];
        args.extend(["-k".into(), quoted(&self.place.socket_folder)]);
        let more = match self.durability {
            Durability::Full => &[],
            Durability::ThrowAway => THROW_AWAY_SETTINGS,
        };
        for setting in SETTINGS.iter().chain(more) {
            args.extend(["-c", setting].map(OsString::from));
        }
        if self.durability == Durability::Full {
            let buffers = format!("shared_buffers={}MB", memory::shared_buffers());
            args.extend(["-c".into(), buffers.into()]);
        }
        let (log, log_start) = open_log(&self.place.log())?;
        let child = self
            .launcher
            .spawn(&self.binaries.path("postgres"), &args, &data, &log)?;
        Ok(Server { child, log_start })
    }

    /// Says whether the process that has the data open is `server`, rather than an earlier one that
    /// has not yet gone.
    pub(super) fn is_held_by(&self, server: &Server) -> bool {
        let text = fs::read_to_string(self.place.data().join("postmaster.pid")).unwrap_or_default();
        text.lines()
            .next()
            .is_some_and(|pid| pid == server.child.id().to_string())
    }

    /// Takes over lock files that name a process which is no server of this cluster.
    pub(super) fn release_leftovers(&self) {
        let data = self.place.data();
        leftover::release(&data.join("postmaster.pid"), &data);
        leftover::release(
            &self.place.socket_folder.join(format!("{SOCKET}.lock")),
            &data,
        );
    }

    /// Returns the last lines that `server` wrote to the log.
    pub(super) fn last_words(&self, server: &Server) -> String {
        self.log_since(server.log_start)
    }

    fn log_since(&self, start: u64) -> String {
        last_lines(&self.place.log(), start)
            .unwrap_or_else(|error| format!("(it cannot be read: {error})"))
    }
}

/// Opens a log for appending, emptied if it is too long, and tells where it ends now.
fn open_log(path: &Path) -> Result<(File, u64), ClusterError> {
    let opened = || {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        if file.metadata()?.len() > LONGEST_LOG {
            file.set_len(0)?;
        }
        let length = file.metadata()?.len();
        Ok((file, length))
    };
    opened().map_err(ClusterError::io("open", path))
}

/// Returns the last lines of a file, looking at nothing before `start`.
fn last_lines(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        start.max(length.saturating_sub(SHOWN_BYTES)),
    ))?;
    let mut bytes = Vec::new();
    file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines
        .get(lines.len().saturating_sub(SHOWN_LINES)..)
        .unwrap_or_default()
        .join("\n"))
}

/// Reads the major version that wrote a data folder.
fn data_version(data: &Path) -> Result<u32, ClusterError> {
    let text = fs::read_to_string(data.join("PG_VERSION")).unwrap_or_default();
    text.trim().parse().map_err(|_| ClusterError::NotAData {
        folder: data.to_owned(),
    })
}

/// Quotes a path for a setting that takes a list of them, where a comma would separate.
fn quoted(path: &Path) -> OsString {
    let mut quoted = OsString::from("\"");
    quoted.push(path);
    quoted.push("\"");
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_end_of_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("postgres.log");
        fs::write(&log, "old\nnew\nnewest\n").unwrap();
        assert_eq!(last_lines(&log, 4).unwrap(), "new\nnewest");
        assert_eq!(last_lines(&log, 100).unwrap(), "");
        let many: Vec<_> = (0..5_000).map(|number| format!("line {number}")).collect();
        fs::write(&log, many.join("\n")).unwrap();
        let shown = last_lines(&log, 0).unwrap();
        assert_eq!(
            (shown.lines().count(), shown.lines().last()),
            (SHOWN_LINES, Some("line 4999"))
        );
    }

    #[test]
    fn empties_a_log_that_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("postgres.log");
        for (before, after) in [(0, 0), (LONGEST_LOG, LONGEST_LOG), (LONGEST_LOG + 1, 0)] {
            File::create(&log).unwrap().set_len(before).unwrap();
            let (file, end) = open_log(&log).unwrap();
            assert_eq!(
                (end, file.metadata().unwrap().len()),
                (after, after),
                "{before}"
            );
        }
    }

    #[test]
    fn reads_the_version_of_data() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            data_version(folder.path()),
            Err(ClusterError::NotAData { .. })
        ));
        fs::write(folder.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(data_version(folder.path()).unwrap(), 15);
    }
}
