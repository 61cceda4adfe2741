//! The configuration file's text, for line numbers; and paths into the configuration.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use serde_path_to_error::Segment;
use toml::Table;
use toml_edit::{Document, Item};

use super::load::{ConfigError, Overrides, Problem};

/// The file that is read when none is named, if it exists.
pub(super) const DEFAULT_FILE: &str = "config/liaison.toml";
/// Environment variables that configure, as `LIAISON_SECTION__KEY`.
const PREFIX: &str = "LIAISON_";

/// One step of a path into the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of a table.
    Key(String),
    /// A place in a list.
    Index(usize),
}

impl Step {
    pub(super) fn of(segment: &Segment) -> Option<Self> {
        match segment {
            Segment::Map { key } => Some(Self::Key(key.clone())),
            Segment::Seq { index } => Some(Self::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        }
    }
}

pub(super) fn dotted(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            // People count from one.
            Step::Index(index) => {
                let _ = write!(text, "[{}]", index + 1);
            }
        }
    }
    text
}

/// The configuration file's text, for line numbers.
pub(super) struct Source {
    path: Option<PathBuf>,
    text: String,
}

impl Source {
    pub(super) fn read(overrides: &Overrides) -> Result<Self, ConfigError> {
        let default = Path::new(DEFAULT_FILE);
        let path = overrides
            .file
            .clone()
            .or_else(|| default.exists().then(|| default.to_owned()));
        let text = match &path {
            None => String::new(),
            Some(path) => {
                std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                    path: path.display().to_string(),
                    source,
                })?
            }
        };
        Ok(Self { path, text })
    }

    pub(super) fn table(&self, problems: &mut Vec<Problem>) -> Table {
        self.text.parse().unwrap_or_else(|error: toml::de::Error| {
            problems.push(Problem {
                place: self.line(error.span().map_or(0, |span| span.start)),
                text: error.message().to_owned(),
            });
            Table::new()
        })
    }

    pub(super) fn line(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let file = self.path.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        format!("{}:{}", file.display(), before.matches('\n').count() + 1)
    }

    /// Names the place of a key: flag, environment variable, or file and line of the nearest thing that stands there.
    pub(super) fn place(&self, path: &[Step], overrides: &Overrides) -> String {
        let key = dotted(path);
        if overrides.flags.iter().any(|(flag, _)| *flag == key) {
            return format!("flag for {key}");
        }
        let variable = overrides
            .environment
            .iter()
            .find(|(name, _)| variable_path(name).is_some_and(|path| path.join(".") == key));
        if let Some((name, _)) = variable {
            return name.clone();
        }
        match self.offset(path) {
            Some(offset) => self.line(offset),
            None => key,
        }
    }

    pub(super) fn offset(&self, path: &[Step]) -> Option<usize> {
        let document = Document::parse(self.text.as_str()).ok()?;
        let mut item = document.as_item();
        let mut offset = None;
        for step in path {
            let next = match step {
                Step::Key(key) => {
                    let (name, value) = item.as_table_like()?.get_key_value(key)?;
                    offset = name.span().map(|span| span.start).or(offset);
                    value
                }
                Step::Index(index) => match item {
                    Item::ArrayOfTables(tables) => {
                        let table = tables.get(*index)?;
                        offset = table.span().map(|span| span.start).or(offset);
                        // A table of an array is no item of its own: look its keys up from here.
                        return within(table, path, *index, offset);
                    }
                    // Elements of an inline list are found with the key of the list.
                    _ => return offset,
                },
            };
            item = next;
        }
        offset
    }
}

/// Goes on below a table of an array of tables.
fn within(
    table: &toml_edit::Table,
    path: &[Step],
    index: usize,
    fallback: Option<usize>,
) -> Option<usize> {
    let at = path.iter().position(|step| *step == Step::Index(index))?;
    let rest = path.get(at + 1..)?;
    let Some(Step::Key(key)) = rest.first() else {
        return fallback;
    };
    let Some((name, item)) = table.get_key_value(key) else {
        return fallback;
    };
    let offset = name.span().map(|span| span.start).or(fallback);
    match (rest.get(1), item) {
        (Some(Step::Index(index)), Item::ArrayOfTables(tables)) => match tables.get(*index) {
            Some(table) => {
                let offset = table.span().map(|span| span.start).or(offset);
                within(table, rest, *index, offset)
            }
            None => offset,
        },
        _ => offset,
    }
}

/// Returns the path that an environment variable sets, if it configures.
pub(super) fn variable_path(name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix(PREFIX)?;
    rest.contains("__")
        .then(|| rest.split("__").map(str::to_lowercase).collect())
}
