//! The step between the program and PostgreSQL: a process that gives up root, ties its life to the
//! program's, and becomes `postgres` or `initdb`.
//!
//! The program re-executes itself with [`WORD`] as first argument, because the request "interrupt
//! me when my parent dies" can only be made by the child itself, after its change of user (which
//! clears the request) and before PostgreSQL takes over; doing it between fork and exec would need
//! `unsafe`.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitCode, Stdio};

use super::ClusterError;
use super::account::Account;

/// The hidden first argument that makes the program a launcher.
pub const WORD: &str = "__postgres-launcher";

/// What PostgreSQL may see of the program's environment: enough to find libraries and the time
/// zone, none of the program's secrets and none of the `PG…` variables that would change what it
/// does.
const PASSED_ON: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ"];

/// Has glibc keep what a statement freed for the next one, up to 16 MiB per connection, instead of giving it back to the system after each
/// statement that took more than 128 KiB: touching new memory is what costs most on virtual machines (a fifth of the slowest
/// autocompletions). Others than glibc do not know these names.
const KEEPS_MEMORY: [(&str, &str); 3] = [
    ("MALLOC_TRIM_THRESHOLD_", "16777216"),
    ("MALLOC_MMAP_THRESHOLD_", "8388608"),
    ("MALLOC_TOP_PAD_", "1048576"),
];

/// Becomes the PostgreSQL program named by `args`, the arguments behind [`WORD`]; returns only on
/// failure.
///
/// Must be called before the process starts a thread.
pub fn run(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = args
        .next()
        .and_then(|pid| pid.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        eprintln!("{WORD} is for liaison's own use");
        return ExitCode::from(2);
    };
    if let Err(error) = follow_parent_into_death() {
        eprintln!("could not ask to be interrupted when the parent dies: {error}");
        return ExitCode::FAILURE;
    }
    // The parent may have died before the request was made; then nobody would ever stop PostgreSQL.
    if rustix::process::Pid::as_raw(rustix::process::getppid()) != parent {
        eprintln!("the parent has died");
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(args).exec();
    eprintln!("could not execute {}: {error}", program.display());
    ExitCode::FAILURE
}

/// SIGINT is PostgreSQL's fast shutdown and makes `initdb` clean up behind itself.
#[cfg(target_os = "linux")]
fn follow_parent_into_death() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::INT))
}

/// Other systems have no such request: there a killed program leaves PostgreSQL running, and the
/// next start waits for it in vain.
#[cfg(not(target_os = "linux"))]
fn follow_parent_into_death() -> rustix::io::Result<()> {
    Ok(())
}

/// Starts PostgreSQL's programs through a launcher.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    pub(super) program: PathBuf,
    /// Whom to become; `None` when the program is not root.
    pub(super) account: Option<Account>,
}

impl Launcher {
    /// Spawns `binary` in `folder`, its output going to `output`.
    ///
    /// The request to die with the parent follows the *thread* that spawns: it has to live as long
    /// as the child shall.
    pub(super) fn spawn(
        &self,
        binary: &Path,
        args: &[OsString],
        folder: &Path,
        output: &File,
    ) -> Result<process::Child, ClusterError> {
        let failed = || ClusterError::io("run", &self.program);
        // Opened here, as root, and executed through the descriptor: the account may be unable to
        // reach the program by its path, for instance in root's home.
        let program = File::open(&self.program).map_err(failed())?;
        let path = match self.account {
            Some(_) => PathBuf::from(format!("/proc/self/fd/{}", program.as_raw_fd())),
            None => self.program.clone(),
        };
        let mut command = Command::new(path);
        command
            .arg0(&self.program)
            .arg(WORD)
            .arg(process::id().to_string())
            .arg(binary)
            .args(args);
        command.env_clear().env("LC_ALL", "C").envs(KEEPS_MEMORY);
        command.envs(
            PASSED_ON
                .iter()
                .filter_map(|name| Some((name, env::var_os(name)?))),
        );
        command.current_dir(folder).stdin(Stdio::null());
        command
            .stdout(output.try_clone().map_err(failed())?)
            .stderr(output.try_clone().map_err(failed())?);
        // A group of its own, so that Ctrl-C in a terminal reaches the program only, which stops
        // PostgreSQL last.
        command.process_group(0);
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command.spawn().map_err(failed())
    }
}
