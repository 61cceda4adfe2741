//! Kinds of external systems.

use serde::{Deserialize, Serialize};

/// A kind of tracker or messenger that a connection can be made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionKind {
    /// GitLab (tracker).
    Gitlab,
    /// GitHub (tracker).
    Github,
    /// Gitea (tracker).
    Gitea,
    /// Forgejo (tracker).
    Forgejo,
    /// Bitrix24 (messenger).
    Bitrix24,
    /// Matrix (messenger).
    Matrix,
    /// Mattermost (messenger).
    Mattermost,
    /// Slack (messenger).
    Slack,
}

/// A word that names no kind of system.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no kind of connection")]
pub struct UnknownKind(pub String);

impl ConnectionKind {
    const WORDS: [(Self, &'static str); 8] = [
        (Self::Gitlab, "gitlab"),
        (Self::Github, "github"),
        (Self::Gitea, "gitea"),
        (Self::Forgejo, "forgejo"),
        (Self::Bitrix24, "bitrix24"),
        (Self::Matrix, "matrix"),
        (Self::Mattermost, "mattermost"),
        (Self::Slack, "slack"),
    ];

    /// Returns the word used in configuration, database and logs.
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|&&(kind, _)| kind == self)
            .map_or("", |&(_, word)| word)
    }

    /// Returns whether it is a messenger, and no tracker.
    pub fn is_messenger(self) -> bool {
        match self {
            Self::Bitrix24 | Self::Matrix | Self::Mattermost | Self::Slack => true,
            Self::Gitlab | Self::Github | Self::Gitea | Self::Forgejo => false,
        }
    }

    /// Returns whether such a messenger can hide the past of a chat from one person. Matrix hides it from everybody or from nobody;
    /// Mattermost and Slack show it to whoever joins.
    pub fn hides_history(self) -> bool {
        self == Self::Bitrix24
    }
}

impl std::str::FromStr for ConnectionKind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        Self::WORDS
            .iter()
            .find(|&&(_, known)| known == word)
            .map(|&(kind, _)| kind)
            .ok_or_else(|| UnknownKind(word.to_owned()))
    }
}
