//! Rooms: made once, named, led, closed.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::{CallError, Client, Denied, Request};
use crate::{
    connector::{
        matrix::server_of,
        messenger::{History, NewChat, Put, Refusal, RemoteChat, Told},
    },
    crypto::fingerprint,
};

/// Power level of who leads a room: he invites, removes and renames, and cannot take the bot's rights.
pub(super) const LEADS: i64 = 50;
/// Power level that nobody but the bot has.
const NOBODY: i64 = 100;

#[derive(Deserialize)]
struct WireRoom {
    room_id: String,
}

#[derive(Deserialize)]
struct WireName {
    #[serde(default)]
    name: String,
}

/// The power levels of a room; what is not read is kept as it is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, serde::Serialize)]
pub(super) struct Levels {
    #[serde(default)]
    pub(super) users: Map<String, Value>,
    #[serde(default)]
    events_default: i64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Levels {
    /// Returns the level of a user whose own is given.
    pub(super) fn of(&self, user: &str) -> i64 {
        self.users
            .get(user)
            .or_else(|| self.rest.get("users_default"))
            .and_then(Value::as_i64)
            .unwrap_or(0)
    }
}

impl Client {
    /// Makes a room, or finds the one with the same key: the homeserver gives an alias to one room only.
    pub(super) async fn room(&self, new: &NewChat<'_>) -> Told<RemoteChat> {
        let alias = self.alias("chat", new.key);
        let room = self.make(&alias, self.new_room(new)).await?;
        if !self.is_in(&room).await? {
            // It was made before, and the bot was removed from it.
            return Ok(Err(Refusal::ChatGone));
        }
        if let Some(admin) = new.admin {
            // Apart from the making, since rooms before version 12 hold the bot's own level in the same list.
            self.let_lead(&room, admin).await?;
        }
        let server = server_of(self.bot_id().await?).unwrap_or_default();
        Ok(Ok(RemoteChat {
            url: Some(link(&room, server, self.settings.web_client.as_ref())),
            remote_id: room,
        }))
    }

    /// Describes a new room. Who is not of this homeserver is added one by one, since one invitation that fails would fail all.
    fn new_room(&self, new: &NewChat<'_>) -> Value {
        let visibility = match new.history {
            History::All => "shared",
            History::FromJoining => "joined",
        };
        json!({
            "preset": "private_chat",
            "name": new.title,
            "invite": new.members,
            "creation_content": { "m.federate": self.settings.federate },
            "power_level_content_override": {
                "invite": if self.settings.members_invite { 0 } else { LEADS },
            },
            "initial_state": [{
                // From the first event on: it counts when each message is sent.
                "type": "m.room.history_visibility",
                "state_key": "",
                "content": { "history_visibility": visibility },
            }],
        })
    }

    /// Makes a room with an alias, or returns the one that has it.
    pub(super) async fn make(&self, alias: &str, mut room: Value) -> Result<String, CallError> {
        let bot = self.bot_id().await?;
        let server = server_of(bot).unwrap_or_default();
        if let Value::Object(fields) = &mut room {
            fields.insert("room_alias_name".to_owned(), alias.into());
            if let Some(Value::Array(invited)) = fields.get_mut("invite") {
                invited.retain(|user| user.as_str().and_then(server_of) == Some(server));
            }
        }
        let request = Request::write("POST createRoom", Method::POST, &["createRoom"], room);
        match self.read::<WireRoom>(request).await {
            Ok(made) => Ok(made.room_id),
            Err(denied) if denied.is("M_ROOM_IN_USE") => {
                let found = self.room_of(alias).await?;
                // It went in between: the next attempt makes it.
                found.ok_or_else(|| denied.into())
            }
            Err(denied) => Err(denied.into()),
        }
    }

    /// Returns the room that has an alias of the bot's.
    pub(super) async fn room_of(&self, alias: &str) -> Result<Option<String>, CallError> {
        let server = server_of(self.bot_id().await?).unwrap_or_default();
        let full = format!("#{alias}:{server}");
        let path = ["directory", "room", &full];
        let found: Option<WireRoom> = self.find(Request::get("GET alias", &path)).await?;
        Ok(found.map(|room| room.room_id))
    }

    /// Returns the alias for a key. What an alias could not hold is in its fingerprint.
    pub(super) fn alias(&self, kind: &str, key: &str) -> String {
        let is_plain = key.len() <= 100
            && key
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let key = if is_plain {
            key.to_owned()
        } else {
            uuid::Uuid::from_bytes(fingerprint([key.as_bytes()]))
                .simple()
                .to_string()
        };
        format!("{}_{kind}_{key}", self.settings.bot)
    }

    /// Has a room be called so.
    pub(super) async fn set_name(&self, chat: &str, title: &str) -> Result<Put, CallError> {
        let path = ["rooms", chat, "state", "m.room.name"];
        match self.find::<WireName>(Request::get("GET name", &path)).await {
            Ok(Some(known)) if known.name == title => return Ok(Put::AlreadySo),
            Ok(_) => {}
            Err(denied) => return self.put(chat, Err(denied)).await,
        }
        let body = json!({ "name": title });
        let sent = self
            .send(Request::write("PUT name", Method::PUT, &path, body))
            .await;
        self.put(chat, sent.map(drop)).await
    }

    /// Has everybody write in a room, or nobody but the bot.
    pub(super) async fn let_write(&self, chat: &str, open: bool) -> Result<Put, CallError> {
        self.change_levels(chat, |levels| {
            levels.events_default = if open { 0 } else { NOBODY };
        })
        .await
    }

    /// Has one user lead a room, and nobody else but the bot, who keeps the rights of whoever made the room.
    pub(super) async fn let_lead(&self, chat: &str, user: &str) -> Result<Put, CallError> {
        let bot = self.bot_id().await?;
        self.change_levels(chat, |levels| {
            levels.users.retain(|known, _| known == bot);
            levels.users.insert(user.to_owned(), LEADS.into());
        })
        .await
    }

    async fn change_levels(
        &self,
        chat: &str,
        change: impl FnOnce(&mut Levels) + Send,
    ) -> Result<Put, CallError> {
        let before = match self.levels(chat).await {
            Ok(levels) => levels,
            Err(denied) => return self.put(chat, Err(denied)).await,
        };
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(Put::AlreadySo);
        }
        let path = ["rooms", chat, "state", "m.room.power_levels"];
        let body = serde_json::to_value(after).unwrap_or_default();
        let sent = self
            .send(Request::write("PUT levels", Method::PUT, &path, body))
            .await;
        self.put(chat, sent.map(drop)).await
    }

    pub(super) async fn levels(&self, chat: &str) -> Result<Levels, Denied> {
        let path = ["rooms", chat, "state", "m.room.power_levels"];
        let found = self.find(Request::get("GET levels", &path)).await?;
        Ok(found.unwrap_or_default())
    }

    /// Returns what came of a call about a room.
    pub(super) async fn put(&self, chat: &str, sent: Result<(), Denied>) -> Result<Put, CallError> {
        match sent {
            Ok(()) => Ok(Put::Done),
            Err(denied) => Ok(Put::Refused(self.refusal(chat, denied).await?)),
        }
    }
}

/// Returns the address of a room for people, in a web client or where they choose one. Ids of rooms since version 12 name no server, so it is
/// said where the room is found.
fn link(room: &str, server: &str, client: Option<&Url>) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(room.as_bytes()).collect();
    let via: String = url::form_urlencoded::byte_serialize(server.as_bytes()).collect();
    match client {
        Some(client) => {
            let client = client.as_str().trim_end_matches('/');
            format!("{client}/#/room/{encoded}?via={via}")
        }
        None => format!("https://matrix.to/#/{encoded}?via={via}"),
    }
}
