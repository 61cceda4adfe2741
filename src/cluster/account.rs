//! The account that PostgreSQL runs as: PostgreSQL refuses to run as root.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ClusterError;

/// Who runs PostgreSQL when the program itself is root, the better first.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// A user that a child process runs as instead of root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Returns the account to run a new cluster as, or `None` when the program is not root and so
    /// runs it as itself.
    pub(super) fn for_new_cluster() -> Result<Option<Self>, ClusterError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = read_passwd();
        let known =
            |name: &str| entries(&passwd).find(|account| account.name == name && account.uid != 0);
        NAMES
            .iter()
            .find_map(|name| known(name))
            .map(Some)
            .ok_or(ClusterError::NoAccount)
    }

    /// Returns the account to run the existing cluster in `data` as: its owner, since PostgreSQL
    /// accepts no other.
    pub(super) fn for_existing(data: &Path) -> Result<Option<Self>, ClusterError> {
        let owner = fs::metadata(data).map_err(ClusterError::io("read", data))?;
        let us = rustix::process::geteuid();
        match (us.is_root(), owner.uid()) {
            (true, 1..) => Ok(Some(Self::of_owner(&read_passwd(), &owner))),
            (false, uid) if uid == us.as_raw() => Ok(None),
            _ => {
                let owner = Self::of_owner(&read_passwd(), &owner).name;
                Err(ClusterError::WrongOwner {
                    folder: data.to_owned(),
                    owner: format!("the user `{owner}`"),
                })
            }
        }
    }

    /// In a container the owner of a mounted folder often has no name, so the folder's own group
    /// must do.
    fn of_owner(passwd: &str, owner: &Metadata) -> Self {
        entries(passwd)
            .find(|account| account.uid == owner.uid())
            .unwrap_or_else(|| Self {
                name: owner.uid().to_string(),
                uid: owner.uid(),
                gid: owner.gid(),
            })
    }

    /// Returns the first folder on the way to `path`, itself included, that this account may not
    /// enter.
    ///
    /// Mode bits alone are asked; an access list that grants more is not seen and ends in a
    /// needless refusal, never in a failure later.
    pub(super) fn blocked_at(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        for folder in path.ancestors() {
            if !self.may_execute(&fs::metadata(folder)?) {
                return Ok(Some(folder.to_owned()));
            }
        }
        Ok(None)
    }

    /// Says whether this account may enter the folder, or execute the file.
    fn may_execute(&self, target: &Metadata) -> bool {
        let bit = match target {
            _ if target.uid() == self.uid => 0o100,
            _ if target.gid() == self.gid => 0o010,
            _ => 0o001,
        };
        target.mode() & bit != 0
    }
}

/// An unreadable file is as good as an empty one: either way there is nobody to drop to, and the
/// error says so.
fn read_passwd() -> String {
    fs::read("/etc/passwd")
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Reads passwd(5): `name:password:uid:gid:…`; other lines are skipped.
fn entries(passwd: &str) -> impl Iterator<Item = Account> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Account {
            name: name.to_owned(),
            uid,
            gid,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn reads_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n# a comment\nbroken:x:many:1::\n\n\
                      postgres:x:101:104:admin,,,:/var:/bin/sh\n";
        let read: Vec<_> = entries(passwd)
            .map(|account| (account.name, account.uid, account.gid))
            .collect();
        assert_eq!(
            read,
            [("root".to_owned(), 0, 0), ("postgres".to_owned(), 101, 104)]
        );
    }

    #[test]
    fn finds_the_folder_that_blocks() {
        let stranger = Account {
            name: "stranger".to_owned(),
            uid: 54_321,
            gid: 54_321,
        };
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        for (mode, blocked) in [(0o700, true), (0o770, true), (0o711, false), (0o755, false)] {
            fs::set_permissions(outer.path(), fs::Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
            let expected = blocked.then(|| outer.path().to_owned());
            assert_eq!(stranger.blocked_at(&inner).unwrap(), expected, "{mode:o}");
        }
    }
}
