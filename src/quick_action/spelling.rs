//! The three spellings of a command: how one line is read, and how a command is written.
//!
//! Only single lines are looked at here; which lines count is the extractor's part.

use super::Action;
use super::catalogue::CommandName;
use super::extract::is_space;

/// The word of the third spelling: `/crm add_contacts …`.
const CRM: &str = "crm";

/// How a command is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// `/add_contacts …`, as GitLab's own commands are written.
    Slash,
    /// `@liaison add_contacts …` or `@liaison /add_contacts …`.
    Mention,
    /// `/crm add_contacts …`.
    Crm,
}

/// Which spellings are commands on a connection. [`Spelling::Crm`] always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect<'a> {
    /// The bot's username on the connection, without the `@`; makes [`Spelling::Mention`] a command.
    pub bot: Option<&'a str>,
    /// Whether [`Spelling::Slash`] is a command. GitLab from 14.6 on takes such lines away itself.
    pub slash: bool,
}

/// What one command line says.
#[derive(Debug)]
pub(super) struct Recognised<'t> {
    pub(super) action: Action,
    pub(super) argument: &'t str,
    pub(super) spelling: Spelling,
}

impl Dialect<'_> {
    /// Writes a command as people are advised to type it on this connection.
    ///
    /// The argument must be one line; parsing the result as a text returns the command.
    pub fn write(&self, name: CommandName, argument: &str) -> String {
        let word = name.word();
        let command = match self.bot {
            _ if self.slash => format!("/{word}"),
            Some(bot) => format!("@{bot} {word}"),
            None => format!("/{CRM} {word}"),
        };
        if argument.is_empty() {
            command
        } else {
            format!("{command} {argument}")
        }
    }

    /// Returns the characters that a command line may start with.
    pub(super) fn markers(&self) -> &'static [char] {
        if self.bot.is_some() {
            &['/', '@']
        } else {
            &['/']
        }
    }

    /// Reads a line, given from its first column with its line end, if it is a command.
    pub(super) fn recognise<'t>(&self, line: &'t str) -> Option<Recognised<'t>> {
        let (spelling, (action, argument)) = if let Some(native) = native(line) {
            if native.name.eq_ignore_ascii_case(CRM) {
                (Spelling::Crm, words(native.argument))
            } else {
                let name = CommandName::from_word(native.name).filter(|_| self.slash)?;
                (Spelling::Slash, (Action::Known(name), native.argument))
            }
        } else {
            (Spelling::Mention, words(after_mention(line, self.bot?)?))
        };
        Some(Recognised {
            action,
            argument: if is_blank(argument) { "" } else { argument },
            spelling,
        })
    }
}

/// A line of GitLab's form: a slash, a name and perhaps an argument.
#[derive(Debug)]
pub(super) struct Native<'t> {
    pub(super) name: &'t str,
    /// All that follows the one blank after the name.
    pub(super) argument: &'t str,
}

/// Reads a line, given with its line end, as GitLab does: after the name either the line ends or a
/// space and the argument follow. Other blanks may only stand before a line end.
pub(super) fn native(line: &str) -> Option<Native<'_>> {
    let rest = line.strip_prefix('/')?;
    let body = rest.strip_suffix('\n');
    let has_line_end = body.is_some();
    let body = body.unwrap_or(rest);
    let (name, tail) = body.split_at(body.find(is_space).unwrap_or(body.len()));
    if name.is_empty() {
        return None;
    }
    if let Some(argument) = tail.strip_prefix(' ') {
        return Some(Native { name, argument });
    }
    let ends_here = tail.is_empty() || has_line_end && tail.chars().all(is_space);
    ends_here.then_some(Native { name, argument: "" })
}

/// Returns what follows a mention of exactly `bot` at the start of the line.
fn after_mention<'t>(line: &'t str, bot: &str) -> Option<&'t str> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let rest = line.strip_prefix('@')?;
    let (username, rest) = rest.split_at_checked(bot.len())?;
    if bot.is_empty() || !username.eq_ignore_ascii_case(bot) {
        return None;
    }
    let rest = rest.strip_prefix([':', ',']).unwrap_or(rest);
    // Anything but a blank belongs to a longer name: `@bot2`, `@bot-x`, `@bot/team`, `@bot:host`.
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest)
}

/// Reads the command word after a mention or `/crm`, and its argument.
fn words(text: &str) -> (Action, &str) {
    let text = text.trim_start();
    let text = text.strip_prefix('/').unwrap_or(text);
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    let mut rest = rest.chars();
    rest.next();
    let argument = rest.as_str();
    if word.is_empty() && is_blank(argument) {
        return (Action::Known(CommandName::Help), "");
    }
    // People end a request like any sentence: `@liaison undo!`
    let bare = word.trim_end_matches(['.', ',', ':', ';', '!', '?']);
    let action = match CommandName::from_word(bare) {
        Some(name) => Action::Known(name),
        None => Action::Unknown {
            word: word.to_owned(),
            nearest: CommandName::nearest(bare),
        },
    };
    (action, argument)
}

/// Whether GitLab would drop the argument: Rails' `blank?`.
fn is_blank(argument: &str) -> bool {
    argument.chars().all(char::is_whitespace)
}
