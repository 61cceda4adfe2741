//! Puts the layers together and finds out what is wrong with them, all of it, with line and nearest name.

use std::{fmt, path::PathBuf};

use toml::{Table, Value};

use super::{
    Config,
    layer::{merge, remove, restore, set},
    source::{Source, Step, dotted, variable_path},
    validate::validate,
};

const DEFAULTS: &str = include_str!("../../config/default.toml");
/// More problems than this are a wrong file rather than a file with mistakes.
const MAX_PROBLEMS: usize = 50;

/// What comes after defaults and file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file that was asked for; otherwise `config/liaison.toml` is read if it exists.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Keys set by flags, as `server.listen`.
    pub flags: Vec<(&'static str, String)>,
}

/// Something wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: file and line, environment variable, or key.
    pub place: String,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.text)
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read")]
    Unreadable {
        /// The file.
        path: String,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// There are problems in it.
    #[error("the configuration has {}", problems(.0))]
    Problems(Vec<Problem>),
}

fn problems(list: &[Problem]) -> String {
    let mut text = match list.len() {
        1 => "a problem:".to_owned(),
        count => format!("{count} problems:"),
    };
    for problem in list {
        text.push_str("\n  ");
        text.push_str(&problem.to_string());
    }
    text
}

/// Reads the configuration.
///
/// # Errors
/// Reports every problem at once.
pub fn load(overrides: &Overrides) -> Result<Config, ConfigError> {
    let source = Source::read(overrides)?;
    let mut problems = Vec::new();
    let mut table = defaults();
    merge(&mut table, source.table(&mut problems));
    for (name, value) in &overrides.environment {
        let Some(path) = variable_path(name) else {
            continue;
        };
        set(&mut table, &path, value);
    }
    for (key, value) in &overrides.flags {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        set(&mut table, &path, value);
    }
    let config = read(table, &source, overrides, &mut problems);
    if let Some(config) = config.filter(|_| problems.is_empty()) {
        problems = validate(&config)
            .into_iter()
            .map(|(path, text)| Problem {
                place: source.place(&path, overrides),
                text,
            })
            .collect();
        if problems.is_empty() {
            return Ok(config);
        }
    }
    Err(ConfigError::Problems(problems))
}

fn defaults() -> Table {
    // A test holds that the compiled-in file reads.
    DEFAULTS.parse().unwrap_or_default()
}

/// Deserialises, and on an error puts the default in place of the offending value, or takes it out, and goes on, so that all are found.
fn read(
    mut table: Table,
    source: &Source,
    overrides: &Overrides,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let mut found: Vec<(Vec<Step>, Problem)> = Vec::new();
    let mut removed = Removed::default();
    let mut config = None;
    for _ in 0..MAX_PROBLEMS {
        let error = match serde_path_to_error::deserialize(Value::Table(table.clone())) {
            Ok(read) => {
                config = Some(read);
                break;
            }
            Err(error) => error,
        };
        let message = error.inner().message().to_owned();
        let mut path: Vec<Step> = error.path().iter().filter_map(Step::of).collect();
        let unknown = quoted_after(&message, "unknown field ");
        if let Some(field) = unknown
            && path.last() != Some(&Step::Key(field.to_owned()))
        {
            path.push(Step::Key(field.to_owned()));
        }
        let written = removed.written(&path);
        // What was taken out for being wrong is missing then, which nobody needs to be told.
        let taken_out = quoted_after(&message, "missing field ").is_some_and(|field| {
            let field = Step::Key(field.to_owned());
            let at = found.iter().map(|(at, _)| at.split_last());
            at.flatten()
                .any(|(last, parent)| *last == field && parent == written)
        });
        if !taken_out {
            let problem = Problem {
                place: source.place(&written, overrides),
                text: explain(&message, unknown, &written),
            };
            found.push((written.clone(), problem));
        }
        if unknown.is_some() || !restore(&mut table, &defaults(), &path) {
            if !remove(&mut table, &path) {
                break;
            }
            removed.note(written);
        }
    }
    found.sort_by_key(|(at, _)| source.offset(at).unwrap_or(usize::MAX));
    problems.extend(found.into_iter().map(|(_, problem)| problem));
    config
}

/// Places in lists that were taken out, so that the ones behind them are still called what they are in the file.
#[derive(Default)]
struct Removed(Vec<(Vec<Step>, usize)>);

impl Removed {
    fn note(&mut self, mut written: Vec<Step>) {
        if let Some(Step::Index(index)) = written.pop() {
            self.0.push((written, index));
            self.0.sort_by_key(|(_, index)| *index);
        }
    }

    /// Returns a path as it was before anything was taken out.
    fn written(&self, path: &[Step]) -> Vec<Step> {
        let mut written = Vec::new();
        for step in path {
            let step = match step {
                Step::Key(key) => Step::Key(key.clone()),
                Step::Index(index) => {
                    let gone = self.0.iter().filter(|(list, _)| *list == written);
                    Step::Index(gone.fold(*index, |index, (_, gone)| {
                        index + usize::from(*gone <= index)
                    }))
                }
            };
            written.push(step);
        }
        written
    }
}

fn explain(message: &str, unknown: Option<&str>, path: &[Step]) -> String {
    let key = dotted(path);
    let Some(field) = unknown else {
        return format!("{key}: {message}");
    };
    let known: Vec<&str> = message
        .split_once("expected ")
        .map_or("", |(_, rest)| rest)
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::osa_distance(field, name), name))
        .filter(|&(distance, name)| distance <= name.len().max(3) / 2)
        .min();
    match nearest {
        Some((_, name)) => format!("there is no key {key}; did you mean {name}?"),
        None => format!("there is no key {key}; here may stand {}", known.join(", ")),
    }
}

fn quoted_after<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    message
        .strip_prefix(words)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RelationSource;
    use std::io::Write;

    fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let overrides = Overrides {
            file: Some(file.path().to_owned()),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            flags: Vec::new(),
        };
        load(&overrides).map_err(|error| match error {
            ConfigError::Problems(problems) => problems
                .iter()
                .map(|problem| {
                    problem
                        .to_string()
                        .replace(&file.path().display().to_string(), "FILE")
                })
                .collect(),
            ConfigError::Unreadable { .. } => panic!("{error}"),
        })
    }

    #[test]
    fn defaults_are_complete() {
        let config = load_text("", &[]).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
        assert!(config.database.migrate);
    }

    #[test]
    fn later_layers_win() {
        let text =
            "[server]\nlisten = \"127.0.0.1:1\"\n[queue]\nattempts = 3\n[secrets]\nkey = \"x\"";
        let config = load_text(
            text,
            &[
                ("LIAISON_SERVER__LISTEN", "127.0.0.1:2"),
                ("LIAISON_CONFIG", "x"),
                ("LIAISON_QUEUE__RETRY_SECONDS", "[1, 2]"),
            ],
        )
        .unwrap();
        assert_eq!(config.server.listen.port(), 2);
        assert_eq!(
            (config.queue.attempts, config.queue.retry_seconds),
            (3, vec![1, 2])
        );
        assert!(matches!(config.secrets.key, super::super::Secret::Plain(_)));
    }

    #[test]
    fn every_problem_is_named_with_its_line() {
        let text = r#"[server]
lisen = "127.0.0.1:1"
max_connections = "many"

[[connection]]
name = "gitlab"
kind = "gitlab"
ulr = "https://gitlab.example.com"
url = "https://gitlab.example.com"
bot = "liaison"

[[group]]
path = "acme"
name = "Acme"
[[group.webhook]]
name = "a"
conection = "gitlab"
connection = "gitlab"
"#;
        let problems = load_text(text, &[("LIAISON_QUEUE__ATEMPTS", "3")]).unwrap_err();
        let find = |start: &str| {
            assert!(
                problems.iter().any(|problem| problem.starts_with(start)),
                "{start} in {problems:#?}"
            );
        };
        find("FILE:2: there is no key server.lisen; did you mean listen?");
        find("FILE:3: server.max_connections: invalid type");
        find("FILE:8: there is no key connection[1].ulr; did you mean url?");
        find("FILE:17: there is no key group[1].webhook[1].conection; did you mean connection?");
        find("LIAISON_QUEUE__ATEMPTS: there is no key queue.atempts; did you mean attempts?");
    }

    #[test]
    fn a_wrong_value_is_one_problem_and_hides_no_other() {
        let text = r#"queue = 3
[server]
listen = "nowhere"
[[connection]]
name = "a"
kind = "gitlb"
[[connection]]
name = 5
kind = "gitlab"
url = "https://gitlab.example.com"
bot = "liaison"
[[connection]]
name = "c"
kind = "gitlab"
url = "no address"
bot = "liaison"
"#;
        let problems = load_text(text, &[("LIAISON_LOG__FORMAT", "loud")]).unwrap_err();
        let places: Vec<&str> = problems
            .iter()
            .map(|problem| problem.rsplit_once(": ").unwrap().0)
            .map(|place| place.split(": ").next().unwrap())
            .collect();
        assert_eq!(
            places,
            [
                "FILE:1",
                "FILE:3",
                "FILE:6",
                "FILE:8",
                "FILE:15",
                "LIAISON_LOG__FORMAT"
            ],
            "{problems:#?}"
        );
    }

    #[test]
    fn broken_toml_is_named_with_its_line() {
        let problems = load_text("[server]\nlisten = \n", &[]).unwrap_err();
        assert!(problems[0].starts_with("FILE:2: "), "{problems:?}");
    }

    #[test]
    fn references_are_checked() {
        let text = r#"[[connection]]
name = "gitlab"
kind = "gitlab"
url = "https://gitlab.example.com"
bot = "liaison"
token = "t"
[[group]]
path = "acme/x y"
name = "Acme"
tracker = { connection = "gitlb", path = "acme" }
members = [{ person = "ann", level = "boss" }]
[[group.webhook]]
name = "a b"
connection = "gitlab"
"#;
        let problems = load_text(text, &[]).unwrap_err().join("\n");
        for part in ["FILE:8: ", "gitlb", "ann", "boss", "FILE:13: ", "secret"] {
            assert!(problems.contains(part), "{part} in\n{problems}");
        }
    }

    #[test]
    fn a_matrix_connection_is_one_application_service() {
        let text = r#"[[connection]]
name = "matrix"
kind = "matrix"
url = "https://matrix.example.com"
token = "t"
bot = "@liaison:example.com"
web_client = "ftp://chat.example.com"
[[connection]]
name = "gitlab"
kind = "gitlab"
url = "https://gitlab.example.com"
token = "t"
bot = "liaison"
federate = true
[[group]]
path = "acme"
name = "Acme"
[[group.webhook]]
name = "a"
connection = "matrix"
secret = "long enough"
[[group]]
path = "other"
name = "Other"
[[group.webhook]]
name = "b"
connection = "matrix"
secret = "long enough too"
signing_token = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
"#;
        let problems = load_text(text, &[]).unwrap_err();
        for (place, part) in [
            ("FILE:6: ", "local part"),
            ("FILE:7: ", "https://"),
            ("FILE:14: ", "matrix only"),
            ("FILE:27: ", "a has it already"),
            ("FILE:29: ", "do not sign"),
        ] {
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.starts_with(place) && problem.contains(part)),
                "{place}{part} in {problems:#?}"
            );
        }
        assert_eq!(problems.len(), 5, "{problems:#?}");
    }

    #[test]
    fn automatic_relations_are_off_unless_known_words_choose_them() {
        let group = |line: &str| format!("[[group]]\npath = \"acme\"\nname = \"Acme\"\n{line}\n");
        let chosen = |line| load_text(&group(line), &[]).unwrap().group[0].clone();
        assert_eq!(chosen("").automatic_relations, []);
        let sources = chosen(r#"automatic_relations = ["author", "description"]"#);
        assert_eq!(
            sources.automatic_relations,
            [RelationSource::Author, RelationSource::Description]
        );
        let wrong = group(r#"automatic_relations = ["autor"]"#);
        let problems = load_text(&wrong, &[]).unwrap_err().join("\n");
        assert!(
            problems.starts_with("FILE:4: ") && problems.contains("`participants`"),
            "{problems}"
        );
    }
}
