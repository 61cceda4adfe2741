//! Folders for clusters that go without a trace.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::ClusterError;
use super::lock::Lock;

const PREFIX: &str = "liaison-throw-away-";
/// A folder younger than this may belong to a process that is about to lock it.
const GRACE: Duration = Duration::from_mins(1);

/// Creates and locks a folder of its own: in memory where the system has that, else among the
/// temporary ones.
pub(super) fn create_folder() -> Result<(PathBuf, Lock), ClusterError> {
    create_in(Path::new("/dev/shm")).or_else(|_| create_in(&std::env::temp_dir()))
}

fn create_in(parent: &Path) -> Result<(PathBuf, Lock), ClusterError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    sweep(parent);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{PREFIX}{}-{number}", process::id()));
        // Root's folder has to be entered by the account that PostgreSQL runs as; what is in it is
        // private.
        match DirBuilder::new().mode(0o711).create(&folder) {
            Ok(()) => {
                let folder =
                    fs::canonicalize(&folder).map_err(ClusterError::io("open", &folder))?;
                if let Some(lock) = Lock::take(&folder)? {
                    return Ok((folder, lock));
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(ClusterError::io("create", &folder)(error)),
        }
    }
}

/// Removes what processes of this user left behind that ended without stopping their cluster, as
/// test binaries do.
fn sweep(parent: &Path) {
    let us = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let named_so = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        let abandoned = || {
            let found = entry.metadata().ok()?;
            let age = SystemTime::now()
                .duration_since(found.modified().ok()?)
                .ok()?;
            (found.is_dir() && found.uid() == us && age > GRACE).then_some(())
        };
        if named_so && abandoned().is_some() && matches!(Lock::take(&entry.path()), Ok(Some(_))) {
            // Whoever comes next tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
