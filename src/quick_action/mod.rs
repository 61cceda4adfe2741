//! Quick actions: finds the commands in a Markdown text and says what they ask for.
//!
//! Which lines are commands is decided exactly as GitLab's extractor decides it, so that a text
//! means the same on every tracker; the catalogue, the typed arguments and the difference that an
//! edit makes live here too. Everything is a pure function of its input: this room neither executes
//! a command nor knows who typed it, and it names no other room.

mod address;
mod argument;
mod catalogue;
mod diff;
mod exclusion;
mod extract;
mod markdown;
mod render;
mod spelling;
mod token;
mod watching;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use address::addresses;
pub use argument::{ArgumentError, ContactRef, NewContact, contacts, create_contact};
pub use catalogue::{CATALOGUE, CommandName, Spec};
pub use diff::{Signature, added};
pub use render::{MAX_CODE_SPAN, code_span, redact};
pub use spelling::{Dialect, Spelling};
pub use watching::{ItemRef, Named, named};

/// The longest text that is scanned, in bytes.
///
/// GitLab accepts notes of up to a million characters; what is longer did not come from a comment box.
pub const MAX_TEXT: usize = 1024 * 1024;

/// The most commands of one text that are reported.
pub const MAX_COMMANDS: usize = 50;

/// What a text holds: its commands and the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The commands in the order of the text, at most [`MAX_COMMANDS`].
    pub commands: Vec<Found>,
    /// The text without carriage returns and without the lines of known commands, stripped at its
    /// end. Unknown commands stay in it.
    pub text: String,
    /// How many further commands the text holds beyond [`MAX_COMMANDS`].
    pub dropped: usize,
    /// Whether the text was not looked at: it is longer than [`MAX_TEXT`], or it is nested so that
    /// looking at it would take long.
    pub unscanned: bool,
}

/// One command as it stands in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is asked for.
    pub action: Action,
    /// The rest of the line after one blank, not trimmed; empty when it is all blank.
    pub argument: String,
    /// The line of the text, counted from 1.
    pub line: usize,
    /// How the command was written.
    pub spelling: Spelling,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A command of the catalogue.
    Known(CommandName),
    /// A word that the catalogue does not have.
    Unknown {
        /// The word as typed. It is user text: neutralise it with [`code_span`] before echoing it.
        word: String,
        /// The command that the person probably meant.
        nearest: Option<CommandName>,
    },
}

/// Returns the commands of `text` and the text that remains without them.
pub fn parse(text: &str, dialect: &Dialect<'_>) -> Parsed {
    let text = without_carriage_returns(text);
    if !markdown::is_scannable(&text) {
        return Parsed {
            text: text.into_owned(),
            unscanned: true,
            ..Parsed::default()
        };
    }
    let matches = extract::extract(&text, dialect.markers(), |line| dialect.recognise(line));

    let known = matches
        .iter()
        .filter(|found| matches!(found.value.action, Action::Known(_)));
    let rest = extract::rewrite(&text, known.map(|found| (found.range.clone(), "")));

    let dropped = matches.len().saturating_sub(MAX_COMMANDS);
    let commands = matches.into_iter().take(MAX_COMMANDS).map(|found| Found {
        action: found.value.action,
        argument: found.value.argument.to_owned(),
        line: found.line,
        spelling: found.value.spelling,
    });
    Parsed {
        commands: commands.collect(),
        text: rest,
        dropped,
        unscanned: false,
    }
}

/// Drops every carriage return, as GitLab does before it looks at a text.
fn without_carriage_returns(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace('\r', ""))
    } else {
        Cow::Borrowed(text)
    }
}
