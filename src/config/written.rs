//! Writes a file for whoever starts from nothing. What stands in one that is there already stays as it is, with its comments.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};
use url::Url;

use super::{
    Config,
    load::{ConfigError, Overrides, load},
    source::DEFAULT_FILE,
};

/// What stands above everything in a file that was not there before.
const HEAD: &str = "# Written by the set-up page, and yours from now on: change it as you like, and start Liaison again.\n# Every key that there is, with its default and what it means, is in config/default.toml.\n\n";

/// What somebody who starts from nothing declares: one tracker, himself, and a group.
#[derive(Debug)]
pub struct First<'a> {
    /// The address under which people reach Liaison; none where it is configured already.
    pub public_url: Option<&'a Url>,
    /// Name of the connection.
    pub connection: &'a str,
    /// Base address of the GitLab.
    pub url: &'a Url,
    /// The bot's token.
    pub token: &'a SecretString,
    /// The bot's username.
    pub bot: &'a str,
    /// Id and username of whoever sets Liaison up, in GitLab.
    pub person: (&'a str, &'a str),
    /// Path and name of the group there.
    pub group: (&'a str, &'a str),
}

/// Why a first configuration is not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system said no.
    #[error("{path} could not be written: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file that is there cannot be added to.
    #[error("{path} could not be added to: {why}")]
    Unsuitable {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// What would be written is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The configuration file that a first set-up writes.
#[derive(Debug)]
pub struct FirstFile {
    overrides: Overrides,
    path: PathBuf,
    /// What stood in it before.
    before: String,
}

impl FirstFile {
    /// Finds the place of the file, and tries whether one can be written there.
    ///
    /// # Errors
    /// Says what stands in the way.
    pub fn prepare(overrides: Overrides) -> Result<Self, WriteError> {
        let named = overrides.file.clone();
        let path = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let before = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(failed(&path, source)),
        };
        let prepared = Self {
            overrides,
            path,
            before,
        };
        let tried = prepared.place("try", "")?;
        fs::remove_file(&tried).map_err(|source| failed(&tried, source))?;
        Ok(prepared)
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the token and the file, and returns the configuration that is in force with them. Both are readable by their owner alone.
    /// What cannot be read as a configuration is not put in the file's place.
    ///
    /// # Errors
    /// See [`WriteError`]; the file is then as it was before.
    pub fn write(&self, first: &First<'_>) -> Result<Config, WriteError> {
        let token = self
            .path
            .with_file_name(format!("{}.token", first.connection));
        let text = added(&self.before, first, &token).map_err(|why| WriteError::Unsuitable {
            path: self.path.display().to_string(),
            why,
        })?;
        create_private(&token, first.token.expose_secret())?;
        let new = self.place("new", &text)?;
        let overrides = Overrides {
            file: Some(new.clone()),
            ..self.overrides.clone()
        };
        let loaded = load(&overrides);
        if loaded.is_err() {
            // What is left behind would only puzzle.
            let _ = fs::remove_file(&new);
        }
        let config = loaded?;
        fs::rename(&new, &self.path).map_err(|source| failed(&self.path, source))?;
        Ok(config)
    }

    /// Writes a text to a file beside the configuration's, whose folder is made where it is missing.
    fn place(&self, ending: &str, text: &str) -> Result<PathBuf, WriteError> {
        let folder = self.path.parent().filter(|path| *path != Path::new(""));
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{ending}"));
        let place = PathBuf::from(name);
        create_private(&place, text)?;
        Ok(place)
    }
}

fn failed(path: &Path, source: io::Error) -> WriteError {
    WriteError::File {
        path: path.display().to_string(),
        source,
    }
}

/// Writes a file that its owner alone may read, also where there was one.
fn create_private(path: &Path, text: &str) -> Result<(), WriteError> {
    let write = || {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| failed(path, source))
}

/// Returns a file's text with the first objects in it.
fn added(before: &str, first: &First<'_>, token: &Path) -> Result<String, String> {
    let mut document: DocumentMut = before.parse().map_err(|_| "it is no TOML".to_owned())?;
    let mut text = String::new();
    if document.is_empty() {
        // Comments alone belong to the end of a document, below what is added.
        document.set_trailing("");
        text.push_str(if before.is_empty() { HEAD } else { before });
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    if let Some(public_url) = first.public_url {
        let server = document
            .entry("server")
            .or_insert(Item::Table(Table::new()));
        let server = server.as_table_like_mut().ok_or("server is no table")?;
        server.insert("public_url", value(public_url.as_str()));
    }
    let token = token
        .to_str()
        .ok_or("its path has characters that are no text")?;
    let connection = [
        ("name", first.connection.into()),
        ("kind", "gitlab".into()),
        ("url", first.url.as_str().into()),
        ("token", inline([("file", token)])),
        ("bot", first.bot.into()),
    ];
    append(&mut document, "connection", connection)?;
    let (id, username) = first.person;
    let identity = [
        ("connection", first.connection),
        ("id", id),
        ("username", username),
    ];
    let identities = [inline(identity)].into_iter().collect();
    let person = [
        ("username", username.into()),
        ("identities", Value::Array(identities)),
    ];
    append(&mut document, "person", person)?;
    let (path, name) = first.group;
    let tracker = inline([("connection", first.connection), ("path", path)]);
    let group = [
        ("path", path.into()),
        ("name", name.into()),
        ("tracker", tracker),
    ];
    append(&mut document, "group", group)?;
    text.push_str(&document.to_string());
    Ok(text)
}

fn inline<const N: usize>(pairs: [(&str, &str); N]) -> Value {
    Value::InlineTable(pairs.into_iter().collect::<InlineTable>())
}

/// Appends an entry to a list of tables, such as `[[group]]`.
fn append<const N: usize>(
    document: &mut DocumentMut,
    list: &str,
    values: [(&str, Value); N],
) -> Result<(), String> {
    let item = document
        .entry(list)
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let tables = item.as_array_of_tables_mut();
    let tables = tables.ok_or_else(|| format!("{list} is written as a list in one line"))?;
    tables.push(
        values
            .into_iter()
            .map(|(key, item)| (key, value(item)))
            .collect(),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first<'a>(public_url: &'a Url, url: &'a Url, token: &'a SecretString) -> First<'a> {
        First {
            public_url: Some(public_url),
            connection: "gitlab",
            url,
            token,
            bot: "liaison",
            person: ("7", "ann"),
            group: ("acme", "Acme \"East\""),
        }
    }

    #[test]
    fn a_first_file_says_all_of_it_and_keeps_what_was_there() {
        let (public_url, url) = ("https://l.example", "https://gitlab.example/git");
        let (public_url, url) = (public_url.parse().unwrap(), url.parse().unwrap());
        let token = SecretString::from("glpat-canary");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config/liaison.toml");
        for before in [
            None,
            Some("# mine"),
            Some("# mine\n[server]\nlisten = \"127.0.0.1:1\" # here\n"),
        ] {
            if let Some(before) = before {
                fs::write(&path, before).unwrap();
            }
            let overrides = Overrides {
                file: Some(path.clone()),
                ..Overrides::default()
            };
            let file = FirstFile::prepare(overrides.clone()).unwrap();
            let config = file.write(&first(&public_url, &url, &token)).unwrap();
            assert_eq!(config.server.public_url, public_url);
            assert_eq!(config.connection[0].url, url);
            assert_eq!(config.group[0].name, "Acme \"East\"");
            assert_eq!(config.person[0].identities[0].id, "7");
            let kept = load(&overrides).unwrap();
            let kept_token = kept.connection[0]
                .token
                .as_ref()
                .unwrap()
                .resolve()
                .unwrap();
            assert_eq!(kept_token.expose_secret(), token.expose_secret());
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("canary"), "{text}");
            let stays = before.unwrap_or(HEAD).trim_end();
            assert!(text.starts_with(stays), "{text}");
            let mut names: Vec<_> = fs::read_dir(path.parent().unwrap())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            assert_eq!(names, ["gitlab.token", "liaison.toml"]);
        }
    }

    #[test]
    fn what_cannot_be_written_is_said_and_changes_nothing() {
        let url: Url = "https://gitlab.example".parse().unwrap();
        let token = SecretString::from("glpat-canary");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("liaison.toml");
        let prepared = || {
            FirstFile::prepare(Overrides {
                file: Some(path.clone()),
                ..Overrides::default()
            })
        };
        fs::write(&path, "connection = []\n").unwrap();
        let error = prepared().unwrap().write(&first(&url, &url, &token));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("connection is written as a list"), "{error}");
        let mut odd = first(&url, &url, &token);
        odd.group.0 = "a/b";
        fs::write(&path, "# nothing\n").unwrap();
        let error = prepared().unwrap().write(&odd).unwrap_err();
        assert!(
            error.to_string().contains("declared groups are root"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "# nothing\n");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = prepared().unwrap_err().to_string();
        assert!(error.contains("liaison.toml could not be"), "{error}");
    }
}
