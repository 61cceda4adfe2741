//! Messages: into a room, or to one person alone.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
};

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CallError, Client, Denied, Request, account::DEVICE};
use crate::connector::{
    matrix::render::{self, Tone},
    messenger::{Message, Put, Refusal, Told},
};

#[derive(Deserialize)]
struct WireSent {
    event_id: String,
}

impl Client {
    /// Sends a message into a room.
    pub(super) async fn answer(&self, chat: &str, message: &Message<'_>) -> Told<String> {
        self.write(chat, message, Tone::Notice).await
    }

    /// Sends a message into the room that the bot has with one person alone.
    pub(super) async fn notify(&self, user: &str, message: &Message<'_>) -> Told<String> {
        match self.direct_room(user).await? {
            Ok(room) => self.write(&room, message, Tone::Text).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    async fn write(&self, chat: &str, message: &Message<'_>, tone: Tone) -> Told<String> {
        let bot = self.bot_id().await?.to_owned();
        let content = render::message(message.markdown, tone, message.answers);
        let key = message.key.to_string();
        let sent = match self.put_message((chat, &key), &bot, content.clone()).await {
            // Somebody removed the device.
            Err(denied) if denied.is("M_UNKNOWN_DEVICE") => {
                self.make_device(&bot).await?;
                self.put_message((chat, &key), &bot, content).await
            }
            sent => sent,
        };
        match sent {
            Ok(id) => Ok(Ok(id)),
            Err(denied) => Ok(Err(self.refusal(chat, denied).await?)),
        }
    }

    /// The key names the message for good: with the device, also after the homeserver was restarted.
    async fn put_message(
        &self,
        (chat, key): (&str, &str),
        bot: &str,
        content: Value,
    ) -> Result<String, Denied> {
        let path = ["rooms", chat, "send", "m.room.message", key];
        let mut request = Request::write("PUT message", Method::PUT, &path, content);
        let query = [("user_id", bot), ("device_id", DEVICE)];
        request.query = &query;
        self.read::<WireSent>(request)
            .await
            .map(|sent| sent.event_id)
    }

    /// Returns the room of the bot and one person. It is found again by its alias, and whoever left it is asked back.
    async fn direct_room(&self, user: &str) -> Told<String> {
        if !self.is_reachable(user).await? {
            return Ok(Err(Refusal::UnknownUser));
        }
        let known = self.direct_rooms().get(user).cloned();
        let room = match known {
            Some(room) => room,
            None if self.exists(user).await? => self.make_direct_room(user).await?,
            None => return Ok(Err(Refusal::UnknownUser)),
        };
        match self.invite(&room, user, true).await? {
            Put::Done | Put::AlreadySo => Ok(Ok(room)),
            Put::Refused(refusal) => {
                // Should the room be gone, its alias is too, and the next attempt makes another one.
                self.direct_rooms().remove(user);
                Ok(Err(refusal))
            }
        }
    }

    /// Makes the room of the bot and one person, or finds it. The alias is not looked up first: the homeserver would ask Liaison about it.
    async fn make_direct_room(&self, user: &str) -> Result<String, CallError> {
        let new = json!({
            "preset": "private_chat",
            "is_direct": true,
            "name": self.settings.bot,
            "invite": [user],
            "creation_content": { "m.federate": self.settings.federate },
        });
        let room = self.make(&self.alias("direct", user), new).await?;
        self.direct_rooms().insert(user.to_owned(), room.clone());
        Ok(room)
    }

    fn direct_rooms(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
