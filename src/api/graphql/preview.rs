//! What a text would do.

use async_graphql::{Object, SimpleObject};

use crate::{
    crm::Preview,
    quick_action::{Action, Found},
};

/// A command in a text.
#[derive(Debug, SimpleObject)]
#[graphql(name = "CommandPreviewCommand")]
struct Command {
    /// Its name; the word as it was typed where there is no such command.
    name: String,
    /// What follows it on the line.
    argument: String,
    /// The line of the text, counted from 1.
    line: usize,
    /// Whether there is such a command.
    known: bool,
}

impl From<&Found> for Command {
    fn from(found: &Found) -> Self {
        let (name, known) = match &found.action {
            Action::Known(name) => (name.word().to_owned(), true),
            Action::Unknown { word, .. } => (word.clone(), false),
        };
        Self {
            name,
            argument: found.argument.trim().to_owned(),
            line: found.line,
            known,
        }
    }
}

/// What a comment would do.
pub(super) struct CommandPreview(pub(super) Preview);

/// What a comment would do on an issue. Nothing of it is done.
#[Object]
impl CommandPreview {
    /// The commands in the text, in their order.
    async fn commands(&self) -> Vec<Command> {
        self.0.commands.iter().map(Command::from).collect()
    }

    /// What would be answered: Markdown, a line per command.
    async fn answer(&self) -> &[String] {
        &self.0.answer
    }

    /// How many changes would be made.
    async fn changes(&self) -> usize {
        self.0.changes
    }
}
