//! All that a homeserver knows: accounts, rooms, and what its application service was not told yet.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::{Denied, FORBIDDEN, Membership, NOT_FOUND, Room, Setup};

/// Somebody's account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name that he chose.
    pub display: String,
    /// His address, for which the homeserver vouches.
    pub email: Option<String>,
    /// Whether the account is switched off.
    pub deactivated: bool,
}

/// All that a homeserver knows.
#[derive(Debug)]
pub struct World {
    pub(super) setup: Setup,
    /// Accounts by id.
    pub accounts: BTreeMap<String, Account>,
    /// Rooms by id.
    pub rooms: BTreeMap<String, Room>,
    /// Rooms in the order of their making.
    pub order: Vec<String>,
    /// Events that the application service was not told yet.
    pub(super) outgoing: VecDeque<Value>,
    pub(super) transactions: u64,
    /// Calls that arrived: method and path.
    pub calls: Vec<String>,
    /// How many of the next calls fail before they are looked at.
    pub(super) failing: usize,
}

/// A room that is to be made.
#[derive(Debug, Default)]
pub(super) struct NewRoom {
    pub(super) alias: Option<String>,
    pub(super) name: String,
    pub(super) direct: bool,
    pub(super) invite: Vec<String>,
    pub(super) levels: Value,
    pub(super) state: Vec<(String, Value)>,
}

impl World {
    pub(super) fn new(setup: Setup) -> Self {
        let mut world = Self {
            setup,
            accounts: BTreeMap::new(),
            rooms: BTreeMap::new(),
            order: Vec::new(),
            outgoing: VecDeque::new(),
            transactions: 0,
            calls: Vec::new(),
            failing: 0,
        };
        let bot = world.setup.bot.clone();
        world.register(&bot, "Liaison", None);
        world
    }

    /// Returns the id of the bot.
    pub fn bot(&self) -> String {
        self.id(&self.setup.bot)
    }

    /// Returns the id of a name.
    pub fn id(&self, name: &str) -> String {
        format!("@{name}:{}", self.setup.name)
    }

    pub(super) fn register(&mut self, name: &str, display: &str, email: Option<&str>) -> String {
        let id = self.id(name);
        let account = Account {
            display: display.to_owned(),
            email: email.map(str::to_lowercase),
            deactivated: false,
        };
        self.accounts.insert(id.clone(), account);
        id
    }

    /// Returns a room.
    pub fn room(&self, id: &str) -> Option<&Room> {
        self.rooms.get(id)
    }

    /// Returns the room with a name, the newest of several.
    pub fn room_named(&self, name: &str) -> Option<&Room> {
        let rooms = self.order.iter().rev().filter_map(|id| self.rooms.get(id));
        rooms.into_iter().find(|room| room.name() == name)
    }

    pub(super) fn room_of_alias(&self, alias: &str) -> Option<&Room> {
        self.rooms
            .values()
            .find(|room| room.alias.as_deref() == Some(alias))
    }

    /// Changes a room and has the application service told what happened there, if the bot is there before or afterwards.
    pub(super) fn within<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Room) -> Result<T, Denied>,
    ) -> Result<T, Denied> {
        let bot = self.bot();
        let room = self.rooms.get_mut(id).ok_or(FORBIDDEN)?;
        let is_there = |room: &Room| {
            matches!(
                room.membership(&bot),
                Some(Membership::Joined | Membership::Invited)
            )
        };
        let (before, was_there) = (room.events.len(), is_there(room));
        let result = change(room);
        if was_there || is_there(room) {
            self.outgoing
                .extend(room.events.iter().skip(before).cloned());
        }
        result
    }

    pub(super) fn make(&mut self, by: &str, new: NewRoom) -> Result<String, Denied> {
        if let Some(alias) = &new.alias
            && self.room_of_alias(alias).is_some()
        {
            return Err(Denied("M_ROOM_IN_USE", "Room alias already taken"));
        }
        let display = self.display(by);
        let room = Room::new(new.alias, new.direct);
        let id = room.id.clone();
        self.order.push(id.clone());
        self.rooms.insert(id.clone(), room);
        self.within(&id, |room| {
            room.append((by, "m.room.create"), Some(""), &json!({}));
            room.set_member(by, by, Membership::Joined, display.as_deref());
            let mut levels =
                json!({ "users": { by: 100 }, "events_default": 0, "invite": 0, "kick": 50 });
            if let (Value::Object(levels), Value::Object(over)) = (&mut levels, new.levels) {
                levels.extend(over);
            }
            room.append((by, "m.room.power_levels"), Some(""), &levels);
            for (kind, content) in new.state {
                room.append((by, &kind), Some(""), &content);
            }
            room.append((by, "m.room.name"), Some(""), &json!({ "name": new.name }));
            Ok(())
        })?;
        for who in new.invite {
            self.invite(&id, by, &who)?;
        }
        Ok(id)
    }

    fn display(&self, user: &str) -> Option<String> {
        self.accounts
            .get(user)
            .map(|account| account.display.clone())
    }

    pub(super) fn invite(&mut self, room: &str, by: &str, who: &str) -> Result<(), Denied> {
        let bot = self.bot();
        let accepts = self.setup.auto_accept
            && who != bot
            && self
                .accounts
                .get(who)
                .is_some_and(|account| !account.deactivated);
        let display = self.display(who);
        self.within(room, |room| {
            room.may_invite(by)?;
            match room.membership(who) {
                Some(Membership::Joined) => {
                    return Err(Denied("M_FORBIDDEN", "The user is already in the room."));
                }
                Some(Membership::Invited) => return Ok(()),
                Some(Membership::Left) | None => {}
            }
            room.set_member(by, who, Membership::Invited, display.as_deref());
            if accepts {
                room.set_member(who, who, Membership::Joined, display.as_deref());
            }
            Ok(())
        })
    }

    pub(super) fn join(&mut self, room: &str, user: &str) -> Result<(), Denied> {
        let display = self.display(user);
        self.within(room, |room| match room.membership(user) {
            Some(Membership::Joined) => Ok(()),
            Some(Membership::Invited) => {
                room.set_member(user, user, Membership::Joined, display.as_deref());
                Ok(())
            }
            Some(Membership::Left) | None => Err(FORBIDDEN),
        })
    }

    pub(super) fn remove(&mut self, room: &str, by: &str, who: &str) -> Result<(), Denied> {
        self.within(room, |room| {
            room.may_remove(by, who)?;
            room.set_member(by, who, Membership::Left, None);
            Ok(())
        })
    }

    pub(super) fn send(
        &mut self,
        room: &str,
        user: &str,
        kind: &str,
        content: &Value,
    ) -> Result<String, Denied> {
        self.within(room, |room| {
            room.may_write(user)?;
            Ok(room.append((user, kind), None, content))
        })
    }

    /// Returns the room of somebody and the bot, which the bot is invited to if there is none.
    pub(super) fn direct_room(&mut self, user: &str) -> Result<String, Denied> {
        let bot = self.bot();
        let known = self
            .rooms
            .values()
            .filter(|room| room.direct)
            .find(|room| room.membership(user).is_some() && room.membership(&bot).is_some());
        if let Some(room) = known {
            return Ok(room.id.clone());
        }
        if !self.accounts.contains_key(user) {
            return Err(NOT_FOUND);
        }
        let new = NewRoom {
            name: String::new(),
            direct: true,
            invite: vec![bot],
            ..NewRoom::default()
        };
        self.make(user, new)
    }

    /// Returns whether the application service was told everything.
    pub fn is_told(&self) -> bool {
        self.outgoing.is_empty()
    }

    pub(super) fn tell_again(&mut self, id: &str) {
        let found = self.rooms.values().find_map(|room| room.event(id).ok());
        let event = found.cloned();
        self.outgoing.extend(event);
    }

    pub(super) fn deactivate(&mut self, user: &str) {
        if let Some(account) = self.accounts.get_mut(user) {
            account.deactivated = true;
        }
        let rooms: Vec<String> = self.rooms.keys().cloned().collect();
        for room in rooms {
            // Where he was not, there is nothing to leave.
            let _ = self.remove(&room, user, user);
        }
    }
}
