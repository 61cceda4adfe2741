//! The messengers that there are, behind one face.

use super::{
    Abilities, CallError, Calls, Member, Message, NewChat, Put, RemoteChat, Told, UserFacts,
};
use crate::{
    connector::{DecodeError, bitrix24, matrix},
    domain::{Heard, RemoteUser},
};

/// Declares the messengers, and passes every call on to the one that it is.
macro_rules! messengers {
    ($($(#[$doc:meta])* $variant:ident($client:ty)),* $(,)?) => {
        /// The client of a messenger.
        #[derive(Debug, Clone)]
        pub enum Messenger {$(
            $(#[$doc])*
            $variant($client),
        )*}

        messengers!(@calls [$($variant)*]
            whoami() -> Result<RemoteUser, CallError>;
            create_chat(new: &NewChat<'_>) -> Told<RemoteChat>;
            members(chat: &str) -> Told<Vec<Member>>;
            add(chat: &str, user: &str, show_history: bool) -> Result<Put, CallError>;
            remove(chat: &str, user: &str) -> Result<Put, CallError>;
            rename(chat: &str, title: &str) -> Result<Put, CallError>;
            set_open(chat: &str, open: bool) -> Result<Put, CallError>;
            set_admin(chat: &str, user: &str) -> Result<Put, CallError>;
            enter(chat: &str) -> Result<Put, CallError>;
            say(chat: &str, message: &Message<'_>) -> Told<String>;
            tell(user: &str, message: &Message<'_>) -> Told<String>;
            user(user: &str) -> Result<Option<UserFacts>, CallError>;
            user_by_email(email: &str) -> Result<Option<String>, CallError>;
        );
    };
    (@calls $variants:tt $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Calls for Messenger {
            fn abilities(&self) -> Abilities {
                messengers!(@pass self $variants abilities())
            }

            $(async fn $name(&self, $($argument: $type),*) -> $answer {
                messengers!(@wait self $variants $name($($argument),*))
            })*
        }
    };
    (@pass $self:ident [$($variant:ident)*] $name:ident()) => {
        match *$self { $(Self::$variant(ref client) => client.$name(),)* }
    };
    (@wait $self:ident [$($variant:ident)*] $name:ident $arguments:tt) => {
        match *$self { $(Self::$variant(ref client) => messengers!(@call client $name $arguments),)* }
    };
    (@call $client:ident $name:ident($($argument:ident),*)) => {
        $client.$name($($argument),*).await
    };
}

impl Messenger {
    /// Returns who says to have sent a delivery, where the messenger's deliveries tell.
    pub fn sender(&self, body: &[u8]) -> Option<String> {
        match self {
            Self::Bitrix24(_) => bitrix24::sender(body),
            Self::Matrix(_) => None,
        }
    }

    /// Returns what a stored part of a request means.
    ///
    /// # Errors
    /// Fails, naming the place, where it is not as the messenger documents it.
    pub fn decode(&self, body: &[u8], bot: &str) -> Result<Heard, DecodeError> {
        match self {
            Self::Bitrix24(_) => bitrix24::decode(body),
            Self::Matrix(_) => matrix::decode(body, bot),
        }
    }
}

messengers! {
    /// A Bitrix24 portal.
    Bitrix24(bitrix24::Client),
    /// A Matrix homeserver.
    Matrix(matrix::Client),
}
