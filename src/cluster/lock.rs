//! The lock that makes one process the owner of a data folder.
//!
//! PostgreSQL's own `postmaster.pid` guards its files but not the decision who starts, stops and
//! restarts it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::ClusterError;

const FILE: &str = "liaison.lock";
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// The lock on a data folder, held until it is dropped or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `data_dir`, or returns `None` when another process, or another cluster of
    /// this one, has it.
    pub(super) fn take(data_dir: &Path) -> Result<Option<Self>, ClusterError> {
        let path = data_dir.join(FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(ClusterError::io("open", &path))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: file })),
                // A child process that is being made holds what its parent held, for the moment until it executes its program.
                Err(TryLockError::WouldBlock) => sleep(PAUSE),
                Err(TryLockError::Error(source)) => {
                    return Err(ClusterError::io("lock", &path)(source));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_exclusive_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(folder.path()).unwrap().is_none());
        drop(first);
        assert!(Lock::take(folder.path()).unwrap().is_some());
    }
}
