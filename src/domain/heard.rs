//! What a messenger tells, whichever it is.

/// What a part of a messenger's request means: an event, or why it means nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Something to act on.
    Event(ChatEvent),
    /// Nothing to act on, with the reason for the log.
    Ignored(String),
}

/// What happened in a messenger. Who is in a chat is never read from an event: it only says that there is something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// Members, title or leader of a chat may be others than before.
    ChatTouched {
        /// The chat's id there.
        chat: String,
    },
    /// Somebody wrote something in a chat, or to the bot alone.
    ChatMessage(Box<ChatMessage>),
    /// The chat is gone, or the bot was removed from it.
    ChatGone {
        /// The chat's id there.
        chat: String,
    },
    /// The bot was asked to join a chat that it did not make.
    BotInvited {
        /// The chat's id there.
        chat: String,
        /// Id of the user who asked it.
        by: String,
        /// Whether it is a conversation of two.
        direct: bool,
    },
    /// An item of the messenger's own CRM may be another than before.
    PortalItemChanged {
        /// The kind of item, in the portal's numbers.
        entity_type: i64,
        /// Its id there.
        id: String,
    },
    /// A user came, went, or is another than before.
    UserChanged {
        /// The user's id there.
        user: String,
    },
}

/// A message that somebody wrote. Edits of messages are no messages: they run nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// The chat's id in the messenger.
    pub chat: String,
    /// The message's id.
    pub id: String,
    /// Id of the message that begins the thread it is in, where it is in one.
    pub thread: Option<String>,
    /// Who wrote it: the sender as the messenger vouches for him.
    pub author: String,
    /// What he wrote, as Markdown, without NUL characters. A mention of the bot stands there as `@` and the bot's username.
    pub text: String,
    /// Whether the event itself shows that nobody but the two reads it. False where that has to be asked.
    pub direct: bool,
    /// Whether the event itself shows that a bot wrote it.
    pub by_bot: bool,
}
