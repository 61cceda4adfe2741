//! Words about the chats of items, who reads what in them, and a group's policies.

use serde::{Deserialize, Serialize};

/// Makes an enum of words that are stored and configured.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$of])* $variant),+
        }

        impl $name {
            /// Returns the word used in the database.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// Returns what a word of the database means, if it means anything.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    )+};
}

words! {
    /// Who may read what was written in a chat before he came.
    ChatHistory {
        /// Everybody in it may read all.
        All = "all",
        /// Everybody reads from his joining on.
        FromJoining = "from_joining",
    }

    /// What a chat is meant to be.
    ChatState {
        /// There.
        Open = "open",
        /// Archived or deleted with its item.
        Closed = "closed",
        /// Somebody removed the room, or the bot from it.
        Gone = "gone",
    }

    /// What leaving a chat means.
    ChatPreset {
        /// Whoever leaves the chat observes on.
        Current = "current",
        /// Leaving the chat ends observing too.
        Legacy = "legacy",
    }

    /// Who makes observers by adding people to a chat.
    InvitePolicy {
        /// Whoever may read the item.
        Readers = "readers",
        /// Whoever may change its observers.
        Editors = "editors",
        /// As [`Self::Editors`]; what others do waits until one of those approves.
        Approval = "approval",
    }

    /// What becomes of a responsible person who is replaced.
    Reassignment {
        /// He observes on.
        Keep = "keep",
        /// He goes.
        Drop = "drop",
    }

    /// Which comments with commands are answered.
    Replies {
        /// Each.
        Always = "always",
        /// Those that ask something, and those of which something was not done.
        WhenNeeded = "when_needed",
    }

    /// Whether a reaction on a comment with commands says how they went.
    Reactions {
        /// On each.
        Always = "always",
        /// On none.
        Never = "never",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_are_what_serde_writes() {
        for policy in [
            InvitePolicy::Readers,
            InvitePolicy::Editors,
            InvitePolicy::Approval,
        ] {
            assert_eq!(InvitePolicy::from_word(policy.word()), Some(policy));
            assert_eq!(serde_json::json!(policy), policy.word());
        }
        assert_eq!(
            serde_json::json!(ChatHistory::FromJoining),
            ChatHistory::FromJoining.word()
        );
        assert_eq!(ChatPreset::from_word("modern"), None);
    }
}
