//! Through what a change was made.

use serde::{Deserialize, Serialize};

/// Through what a change was made; part of every row of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A command in a comment.
    QuickAction,
    /// The GraphQL API.
    #[serde(rename = "graphql")]
    GraphQl,
    /// A page.
    Page,
    /// An import.
    Import,
    /// Something that the tracker told.
    Tracker,
    /// Something that happened in a chat.
    Chat,
    /// A rule that acts by itself.
    Automatic,
    /// The command line.
    CommandLine,
}

impl Via {
    const WORDS: [(Self, &'static str); 8] = [
        (Self::QuickAction, "quick_action"),
        (Self::GraphQl, "graphql"),
        (Self::Page, "page"),
        (Self::Import, "import"),
        (Self::Tracker, "tracker"),
        (Self::Chat, "chat"),
        (Self::Automatic, "automatic"),
        (Self::CommandLine, "command_line"),
    ];

    /// Returns the word used in the database.
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(via, _)| *via == self)
            .map_or("automatic", |(_, word)| word)
    }

    /// Returns what a word of the database means; one of a newer version counts as automatic.
    pub fn from_word(word: &str) -> Self {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map_or(Self::Automatic, |(via, _)| *via)
    }
}

impl From<String> for Via {
    fn from(word: String) -> Self {
        Self::from_word(&word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for (via, word) in Via::WORDS {
            assert_eq!((via.word(), Via::from_word(word)), (word, via));
        }
        assert_eq!(Via::from_word("telepathy"), Via::Automatic);
    }
}
