//! What a PostgreSQL that did not stop by itself leaves behind, and how the next one gets past it.

use std::fs;
use std::path::Path;
use std::process;

/// Says whether a start failed because an earlier server, or its last backends, still holds the
/// data: that passes.
///
/// `lines` are the server's own, which are in English because the launcher and `initdb` set the
/// locale.
pub(super) fn still_held(lines: &str) -> bool {
    let lock_file = |line: &str| line.contains("lock file \"") && line.contains("already exists");
    lines
        .lines()
        .any(|line| lock_file(line) || line.contains("pre-existing shared memory block"))
}

/// Makes a lock file of PostgreSQL's harmless whose process id now belongs to a process that is no
/// server of `data`.
///
/// PostgreSQL refuses to start while *any* process of its user has the id in the file, be it a
/// zombie or, after a restart of the machine or container, a stranger. Removing the file would take
/// away the id of the shared memory, by which PostgreSQL recognises backends that outlived their
/// server; so only the process id is replaced, by that of the program itself, which PostgreSQL does
/// not mind because it is its parent.
pub(super) fn release(lock_file: &Path, data: &Path) {
    let Ok(text) = fs::read_to_string(lock_file) else {
        return;
    };
    let Some((first, rest)) = text.split_once('\n') else {
        return;
    };
    let Ok(pid) = first.trim().parse::<u32>() else {
        return;
    };
    if pid == process::id() || may_serve(pid, data) {
        return;
    }
    tracing::warn!(
        "{} names process {pid}, which is no PostgreSQL of this data: taking it over",
        lock_file.display()
    );
    if let Err(error) = fs::write(lock_file, format!("{}\n{rest}", process::id())) {
        tracing::warn!("could not write {}: {error}", lock_file.display());
    }
}

/// Says whether the process may be a server of `data`; when in doubt it may.
fn may_serve(pid: u32, data: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    // proc(5): `pid (name) state …`; a zombie holds nothing.
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    if stat
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('Z'))
    {
        return false;
    }
    // A server works in its data folder from before it writes the lock file until it ends.
    fs::read_link(process.join("cwd")).map_or(true, |folder| folder == data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_what_passes() {
        for (lines, passes) in [
            (
                "FATAL:  lock file \"postmaster.pid\" already exists\nHINT:  Is another running?",
                true,
            ),
            (
                "FATAL:  lock file \"/srv/run/.s.PGSQL.5432.lock\" already exists",
                true,
            ),
            (
                "FATAL:  pre-existing shared memory block (key 5432, ID 7) is still in use",
                true,
            ),
            (
                "FATAL:  could not create lock file \"postmaster.pid\": Permission denied",
                false,
            ),
            (
                "FATAL:  data directory \"/srv\" has invalid permissions",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(still_held(lines), passes, "{lines}");
        }
    }

    #[test]
    fn takes_over_from_strangers_only() {
        let folder = tempfile::tempdir().unwrap();
        let lock_file = folder.path().join("postmaster.pid");
        let other = folder.path().join("other");
        fs::create_dir(&other).unwrap();
        let mut worker = process::Command::new("sleep")
            .arg("60")
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        for (data, replaced) in [(folder.path(), false), (other.as_path(), true)] {
            let before = format!("{}\n/srv/postgres\n5432\n", worker.id());
            fs::write(&lock_file, &before).unwrap();
            release(&lock_file, &data.canonicalize().unwrap());
            let expected = if replaced {
                format!("{}\n/srv/postgres\n5432\n", process::id())
            } else {
                before
            };
            assert_eq!(fs::read_to_string(&lock_file).unwrap(), expected);
        }
        worker.kill().unwrap();
        // Not waited for yet, so a zombie once the signal has arrived.
        while may_serve(worker.id(), folder.path()) {
            std::thread::yield_now();
        }
        worker.wait().unwrap();
    }
}
