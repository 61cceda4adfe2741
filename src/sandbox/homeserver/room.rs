//! A room: its state, which follows from its events, and its timeline.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::{Denied, FORBIDDEN, NOT_FOUND};
use crate::sandbox::{now, random_uuid};

/// Level of those who lead a room.
const LEADS: i64 = 50;

/// How somebody stands to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Asked to come.
    Invited,
    /// In it.
    Joined,
    /// Was there, or asked to come, and is not any more.
    Left,
}

impl Membership {
    fn word(self) -> &'static str {
        match self {
            Self::Invited => "invite",
            Self::Joined => "join",
            Self::Left => "leave",
        }
    }
}

/// A room.
#[derive(Debug, Clone)]
pub struct Room {
    /// Its id.
    pub id: String,
    /// Its alias, without server.
    pub alias: Option<String>,
    /// Whether it was made for two.
    pub direct: bool,
    /// What happened, oldest first.
    pub events: Vec<Value>,
    /// Places of the current state's events, by type and key.
    state: BTreeMap<(String, String), usize>,
    /// Ids of messages by the key that their sender gave them.
    pub(super) sent: HashMap<String, String>,
}

impl Room {
    pub(super) fn new(alias: Option<String>, direct: bool) -> Self {
        Self {
            id: format!("!{}", random_uuid().replace('-', "")),
            alias,
            direct,
            events: Vec::new(),
            state: BTreeMap::new(),
            sent: HashMap::new(),
        }
    }

    /// Appends an event and returns its id. `unsigned` tells what it replaces, as homeservers do.
    pub(super) fn append(
        &mut self,
        (sender, kind): (&str, &str),
        state_key: Option<&str>,
        content: &Value,
    ) -> String {
        let id = format!("${}", random_uuid().replace('-', ""));
        let mut event = json!({
            "type": kind,
            "room_id": self.id,
            "event_id": id,
            "sender": sender,
            "origin_server_ts": now().timestamp_millis(),
            "content": content,
        });
        if let (Some(key), Value::Object(fields)) = (state_key, &mut event) {
            fields.insert("state_key".to_owned(), key.into());
            if let Some(before) = self.state_event(kind, key) {
                let unsigned = json!({
                    "prev_content": before.get("content"),
                    "prev_sender": before.get("sender"),
                    "replaces_state": before.get("event_id"),
                });
                fields.insert("unsigned".to_owned(), unsigned);
            }
            let place = (kind.to_owned(), key.to_owned());
            self.state.insert(place, self.events.len());
        }
        self.events.push(event);
        id
    }

    /// Returns the event that holds a part of the state.
    pub(super) fn state_event(&self, kind: &str, key: &str) -> Option<&Value> {
        let place = (kind.to_owned(), key.to_owned());
        self.events.get(*self.state.get(&place)?)
    }

    /// Returns the events that hold the state of a type.
    pub(super) fn state_events<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.state
            .iter()
            .filter(move |((of, _), _)| of == kind)
            .filter_map(|(_, place)| self.events.get(*place))
    }

    pub(super) fn content(&self, kind: &str, key: &str) -> Option<&Value> {
        self.state_event(kind, key)?.get("content")
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.content("m.room.name", "")
            .and_then(|content| content.get("name")?.as_str())
            .unwrap_or_default()
    }

    /// Returns how somebody stands to it.
    pub fn membership(&self, user: &str) -> Option<Membership> {
        let content = self.content("m.room.member", user)?;
        Some(match content.get("membership")?.as_str()? {
            "invite" => Membership::Invited,
            "join" => Membership::Joined,
            _ => Membership::Left,
        })
    }

    /// Returns who is in it or asked to come.
    pub fn members(&self) -> Vec<(&str, Membership)> {
        self.state_events("m.room.member")
            .filter_map(|event| event.get("state_key")?.as_str())
            .filter_map(|user| Some((user, self.membership(user)?)))
            .filter(|(_, membership)| *membership != Membership::Left)
            .collect()
    }

    /// Returns who joined it, by id.
    pub fn joined(&self) -> Vec<&str> {
        self.members()
            .into_iter()
            .filter(|(_, membership)| *membership == Membership::Joined)
            .map(|(user, _)| user)
            .collect()
    }

    /// Returns the texts of its messages with their senders, oldest first.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.events.iter().filter_map(|event| {
            let is_message = event.get("type")?.as_str()? == "m.room.message";
            let text = event.get("content")?.get("body")?.as_str()?;
            is_message.then_some((event.get("sender")?.as_str()?, text))
        })
    }

    fn levels(&self) -> Option<&Value> {
        self.content("m.room.power_levels", "")
    }

    fn level_for(&self, what: &str, otherwise: i64) -> i64 {
        self.levels()
            .and_then(|levels| levels.get(what)?.as_i64())
            .unwrap_or(otherwise)
    }

    /// Returns the level of somebody.
    pub fn level(&self, user: &str) -> i64 {
        self.levels()
            .and_then(|levels| levels.get("users")?.get(user)?.as_i64())
            .unwrap_or(0)
    }

    /// Returns who leads it, beside the bot.
    pub fn leaders(&self, bot: &str) -> Vec<&str> {
        self.joined()
            .into_iter()
            .filter(|user| *user != bot && self.level(user) >= LEADS)
            .collect()
    }

    pub(super) fn must_be_in(&self, user: &str) -> Result<(), Denied> {
        match self.membership(user) {
            Some(Membership::Joined) => Ok(()),
            _ => Err(FORBIDDEN),
        }
    }

    /// Sets how somebody stands to it.
    pub(super) fn set_member(
        &mut self,
        sender: &str,
        user: &str,
        membership: Membership,
        display: Option<&str>,
    ) {
        let mut content = json!({ "membership": membership.word() });
        if let (Some(display), Value::Object(fields)) = (display, &mut content) {
            fields.insert("displayname".to_owned(), display.into());
        }
        if let (true, Value::Object(fields)) = (self.direct, &mut content) {
            fields.insert("is_direct".to_owned(), true.into());
        }
        self.append((sender, "m.room.member"), Some(user), &content);
    }

    /// Checks whether somebody may write.
    pub(super) fn may_write(&self, user: &str) -> Result<(), Denied> {
        self.must_be_in(user)?;
        if self.level(user) < self.level_for("events_default", 0) {
            return Err(FORBIDDEN);
        }
        Ok(())
    }

    /// Checks whether somebody may invite.
    pub(super) fn may_invite(&self, user: &str) -> Result<(), Denied> {
        self.must_be_in(user)?;
        if self.level(user) < self.level_for("invite", 0) {
            return Err(FORBIDDEN);
        }
        Ok(())
    }

    /// Checks whether somebody may remove somebody else.
    pub(super) fn may_remove(&self, by: &str, who: &str) -> Result<(), Denied> {
        match self.membership(who) {
            None | Some(Membership::Left) => {
                return Err(Denied("M_FORBIDDEN", "The target user is not in the room"));
            }
            Some(Membership::Invited | Membership::Joined) => {}
        }
        if by == who {
            return Ok(());
        }
        self.must_be_in(by)?;
        if self.level(by) < self.level_for("kick", LEADS) || self.level(by) <= self.level(who) {
            return Err(FORBIDDEN);
        }
        Ok(())
    }

    /// Returns an event.
    pub(super) fn event(&self, id: &str) -> Result<&Value, Denied> {
        self.events
            .iter()
            .find(|event| event.get("event_id").and_then(Value::as_str) == Some(id))
            .ok_or(NOT_FOUND)
    }
}
