//! What a webhook is about.

/// A sort of events that a tracker can tell a webhook of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookEvent {
    /// Comments on issues, where quick actions are typed.
    Comments,
    /// Issues that are opened, changed and moved.
    Issues,
    /// People who become members, change their level or leave.
    Members,
    /// Projects and groups that come, go, move or are renamed.
    Tree,
}

impl HookEvent {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Comments, Self::Issues, Self::Members, Self::Tree];

    /// Returns the word used in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Comments => "comments",
            Self::Issues => "issues",
            Self::Members => "members",
            Self::Tree => "tree",
        }
    }

    /// Returns what a word of the database means, if it means anything.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for event in HookEvent::ALL {
            assert_eq!(HookEvent::from_word(event.word()), Some(event));
        }
    }
}
