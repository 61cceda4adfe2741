//! `liaison parse`: what would run.

use std::io::Read;

use clap::Args;
use serde::Serialize;

use super::print;
use crate::{
    domain::ConnectionKind,
    quick_action::{Action, CommandName, Dialect, Found, Spelling, parse as parse_text},
};

/// Quick actions that GitLab has itself, since 14.6.
const GITLABS_OWN: [&str; 2] = ["add_contacts", "remove_contacts"];

#[derive(Debug, Args)]
pub(super) struct ParseArgs {
    /// The bot's username, which makes `@NAME command` a command.
    #[arg(long, value_name = "NAME", default_value = "liaison")]
    bot: String,
    /// The kind of system that the comment comes from.
    #[arg(long, value_name = "KIND", default_value = "gitlab")]
    connection: ConnectionKind,
}

#[derive(Serialize)]
struct Printed {
    commands: Vec<PrintedCommand>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<PrintedUnknown>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped: usize,
    text: String,
}

#[derive(Serialize)]
struct PrintedCommand {
    name: &'static str,
    argument: String,
    line: usize,
}

#[derive(Serialize)]
struct PrintedUnknown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<&'static str>,
    line: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Prints the commands of the comment on standard input as JSON.
pub(super) fn parse(args: &ParseArgs) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes)?;
    let dialect = Dialect {
        bot: Some(&args.bot),
        slash: true,
    };
    let parsed = parse_text(&text, &dialect);
    anyhow::ensure!(
        !parsed.unscanned,
        "the comment is too long or too deeply nested to be searched for commands"
    );
    let native = |found: &&Found| found.spelling == Spelling::Slash;
    let natives = parsed.commands.iter().filter(native);
    let eaten = natives
        .filter_map(|found| match &found.action {
            Action::Known(name) => Some(name.word()),
            Action::Unknown { .. } => None,
        })
        .find(|word| args.connection == ConnectionKind::Gitlab && GITLABS_OWN.contains(word));
    let mut printed = Printed {
        commands: Vec::new(),
        unknown: Vec::new(),
        dropped: parsed.dropped,
        text: parsed.text,
    };
    for found in parsed.commands {
        match found.action {
            Action::Known(name) => printed.commands.push(PrintedCommand {
                name: name.word(),
                argument: found.argument,
                line: found.line,
            }),
            Action::Unknown { word, nearest } => printed.unknown.push(PrintedUnknown {
                name: word,
                nearest: nearest.map(CommandName::word),
                line: found.line,
            }),
        }
    }
    print::line(&serde_json::to_string(&printed)?);
    if let Some(word) = eaten {
        print::error(&format!(
            "GitLab takes lines that begin with `/{word}` for itself, before any webhook: write `@{} {word}` there.",
            args.bot
        ));
    }
    Ok(())
}
