//! Where a cluster's files and its socket are.
//!
//! The answer depends on the data folder and the file system only, so that two processes find the
//! same.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::ClusterError;
use super::account::Account;

/// Where clusters go whose data folder the account cannot reach.
const ELSEWHERE: &str = "/var/lib/liaison";
/// The longest path of a Unix socket in bytes: `sun_path` of unix(7), less the closing zero.
const LONGEST_SOCKET_PATH: usize = 107;
/// The name PostgreSQL gives its socket; the number is the port it would have.
pub(super) const SOCKET: &str = ".s.PGSQL.5432";

/// The folders of one cluster, and who owns them.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Holds everything below but, perhaps, the socket folder.
    pub(super) folder: PathBuf,
    pub(super) socket_folder: PathBuf,
    /// Whom PostgreSQL runs as; `None` when as the program itself.
    pub(super) account: Option<Account>,
}

impl Place {
    /// Finds the place of the cluster of the canonical `data_dir`, or where a new one would go.
    pub(super) fn settle(data_dir: &Path) -> Result<Self, ClusterError> {
        let elsewhere = Path::new(ELSEWHERE).join(short_hash(data_dir));
        // Data that exists decides: a folder whose mode changed must not lead to a second, empty
        // cluster.
        let existing = [data_dir, elsewhere.as_path()]
            .into_iter()
            .find(|folder| data_in(folder).is_dir());
        let (folder, account) = if let Some(folder) = existing {
            let account = Account::for_existing(&data_in(folder))?;
            check_reachable(folder, account.as_ref())?;
            (folder, account)
        } else {
            let account = Account::for_new_cluster()?;
            let folder = choose_folder(data_dir, &elsewhere, account.as_ref())?;
            (folder, account)
        };
        if folder == elsewhere {
            tracing::info!(
                "the database of {} is in {}",
                data_dir.display(),
                folder.display()
            );
        }
        Ok(Self {
            socket_folder: socket_folder(folder),
            folder: folder.to_owned(),
            account,
        })
    }

    /// Returns PostgreSQL's data folder.
    pub(super) fn data(&self) -> PathBuf {
        data_in(&self.folder)
    }

    /// Returns the folder in which a data folder is made before it gets its name.
    pub(super) fn unfinished_data(&self) -> PathBuf {
        self.folder.join("postgres.new")
    }

    /// Returns the file that PostgreSQL's own messages go to.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// Creates a private folder for the account, or checks that the existing one is its.
    pub(super) fn prepare_private(&self, folder: &Path) -> Result<(), ClusterError> {
        let failed = || ClusterError::io("create", folder);
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {
                if let Some(account) = &self.account {
                    chown(folder, Some(account.uid), Some(account.gid)).map_err(failed())?;
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed()(error)),
        }
        if !belongs_to(folder, self.account.as_ref()) {
            return Err(ClusterError::ForeignFolder {
                folder: folder.to_owned(),
            });
        }
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed())
    }
}

/// Creates `data_dir` if it is missing and returns its canonical path.
pub(super) fn prepare_data_dir(data_dir: &Path) -> Result<PathBuf, ClusterError> {
    fs::create_dir_all(data_dir).map_err(ClusterError::io("create", data_dir))?;
    fs::canonicalize(data_dir).map_err(ClusterError::io("open", data_dir))
}

/// Says whether `folder` is a folder, not a link to one, of the account or, without one, of this
/// process's user.
pub(super) fn belongs_to(folder: &Path, account: Option<&Account>) -> bool {
    let owner = account.map_or_else(
        || rustix::process::geteuid().as_raw(),
        |account| account.uid,
    );
    fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == owner)
}

fn data_in(folder: &Path) -> PathBuf {
    folder.join("postgres")
}

fn check_reachable(folder: &Path, account: Option<&Account>) -> Result<(), ClusterError> {
    let Some(account) = account else {
        return Ok(());
    };
    match account
        .blocked_at(folder)
        .map_err(ClusterError::io("read", folder))?
    {
        None => Ok(()),
        Some(blocked) => Err(ClusterError::NotReachable {
            folder: folder.to_owned(),
            blocked,
            user: account.name.clone(),
        }),
    }
}

/// Returns `data_dir` for a new cluster, or `elsewhere` if the account cannot reach that.
fn choose_folder<'a>(
    data_dir: &'a Path,
    elsewhere: &'a Path,
    account: Option<&Account>,
) -> Result<&'a Path, ClusterError> {
    let (blocked, user) = match check_reachable(data_dir, account) {
        Ok(()) => return Ok(data_dir),
        Err(ClusterError::NotReachable { blocked, user, .. }) => (blocked, user),
        Err(error) => return Err(error),
    };
    tracing::warn!(
        "PostgreSQL runs as the user {user}, who may not enter {}: \
         the database goes to {} instead of {}",
        blocked.display(),
        elsewhere.display(),
        data_dir.display(),
    );
    prepare_elsewhere(elsewhere)?;
    check_reachable(elsewhere, account)?;
    Ok(elsewhere)
}

/// Sets the modes itself, since the umask of a service may be stricter than the account needs.
fn prepare_elsewhere(folder: &Path) -> Result<(), ClusterError> {
    for folder in [Path::new(ELSEWHERE), folder] {
        let failed = || ClusterError::io("create", folder);
        if folder.is_dir() {
            continue;
        }
        fs::create_dir_all(folder).map_err(failed())?;
        fs::set_permissions(folder, Permissions::from_mode(0o711)).map_err(failed())?;
    }
    Ok(())
}

/// Returns `<folder>/run` if a socket in it has a path that the system takes, else a short folder
/// among the temporary ones.
fn socket_folder(folder: &Path) -> PathBuf {
    let name = format!("liaison-{}", short_hash(folder));
    let fits = |folder: &PathBuf| folder.join(SOCKET).as_os_str().len() <= LONGEST_SOCKET_PATH;
    let candidates = [folder.join("run"), std::env::temp_dir().join(&name)];
    candidates
        .into_iter()
        .find(fits)
        .unwrap_or_else(|| Path::new("/tmp").join(name))
}

/// FNV-1a, 64 bits: the name of a folder must stay the same for ever, which the standard library's
/// hashes do not promise.
fn short_hash(path: &Path) -> String {
    let hash = path
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_fnv_does() {
        // From the test vectors of the algorithm's authors.
        for (text, hash) in [
            ("", "cbf29ce484222325"),
            ("a", "af63dc4c8601ec8c"),
            ("foobar", "85944171f73967e8"),
        ] {
            assert_eq!(short_hash(Path::new(text)), hash, "{text}");
        }
    }

    #[test]
    fn a_socket_has_a_path_that_fits() {
        // "/run/.s.PGSQL.5432" has 18 bytes.
        let at_limit = PathBuf::from(format!("/{}", "d".repeat(88)));
        assert_eq!(socket_folder(&at_limit), at_limit.join("run"));
        let too_long = PathBuf::from(format!("/{}", "d".repeat(89)));
        let short = socket_folder(&too_long);
        assert!(!short.starts_with(&too_long), "{}", short.display());
        assert!(short.join(SOCKET).as_os_str().len() <= LONGEST_SOCKET_PATH);
    }

    #[test]
    fn another_folder_is_not_ours() {
        assert!(belongs_to(tempfile::tempdir().unwrap().path(), None));
        let stranger = Account {
            name: "stranger".to_owned(),
            uid: 54_321,
            gid: 54_321,
        };
        assert!(!belongs_to(
            tempfile::tempdir().unwrap().path(),
            Some(&stranger)
        ));
        let link = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", link.path().join("link")).unwrap();
        assert!(!belongs_to(&link.path().join("link"), None));
        assert!(!belongs_to(&link.path().join("missing"), None));
    }
}
