//! What the portal has.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use url::Url;

use super::{
    ACCOUNT, BOT, Fate, Fault, Limit, event_body,
    parameters::{number, text},
};

/// What somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Employee,
    Extranet,
    Bot,
}

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    pub(crate) active: bool,
    pub(crate) kind: Kind,
}

/// A message of a chat; author 0 is the portal.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) author: u64,
    pub(crate) text: String,
}

/// A chat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chat {
    pub(crate) title: String,
    pub(crate) owner: u64,
    pub(crate) managers: Vec<u64>,
    /// Who is in it, with the first message that he sees.
    pub(crate) members: BTreeMap<u64, u64>,
    pub(crate) entity: (String, String),
    pub(crate) messages: Vec<Message>,
}

/// An item of the CRM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) title: String,
    pub(crate) observers: Vec<u64>,
    pub(crate) assigned: u64,
    /// Whether the account of the webhook may not read it.
    pub(crate) hidden: bool,
}

/// A notice to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) id: u64,
    pub(crate) user: u64,
    pub(crate) text: String,
    pub(crate) tag: String,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) users: BTreeMap<u64, User>,
    pub(crate) chats: BTreeMap<u64, Chat>,
    pub(crate) items: BTreeMap<(i64, u64), Item>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) limit: Limit,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) renewals: usize,
    /// Where events go.
    pub(crate) outgoing: Option<Url>,
    /// What becomes of the next events, and of those after them.
    pub(crate) fates: VecDeque<Fate>,
    pub(crate) fate: Fate,
    pub(super) faults: VecDeque<Fault>,
    pub(super) calls: Vec<String>,
    pub(super) happened: Vec<Vec<u8>>,
    pub(super) unsent: usize,
    last_id: u64,
}

impl State {
    pub(super) fn with_people() -> Self {
        let employee = |name, email| User {
            name,
            email,
            active: true,
            kind: Kind::Employee,
        };
        let mut fired = employee("Fred", "fred@example.com");
        fired.active = false;
        let mut guest = employee("Gina", "gina@partner.example");
        guest.kind = Kind::Extranet;
        let mut bot = employee("Liaison", "");
        bot.kind = Kind::Bot;
        let users = [
            (ACCOUNT, employee("Account", "account@example.com")),
            (11, employee("Rita", "rita@example.com")),
            (12, employee("Dev", "dev@example.com")),
            (13, employee("Maya", "Maya@Example.com")),
            (20, fired),
            (30, guest),
            (BOT, bot),
        ];
        Self {
            users: users.into_iter().collect(),
            chats: BTreeMap::new(),
            items: BTreeMap::new(),
            notices: Vec::new(),
            limit: Limit::default(),
            access_token: "canary-access-0".to_owned(),
            refresh_token: "canary-refresh-0".to_owned(),
            renewals: 0,
            outgoing: None,
            fates: VecDeque::new(),
            fate: Fate::Once,
            faults: VecDeque::new(),
            calls: Vec::new(),
            happened: Vec::new(),
            unsent: 0,
            last_id: 100,
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn size(&self, dialog: &str) -> usize {
        let chat = dialog.trim_start_matches("chat").parse::<u64>().ok();
        chat.and_then(|chat| self.chats.get(&chat))
            .map_or(0, |chat| chat.members.len())
    }

    /// Has an event be sent.
    pub(super) fn happen(&mut self, event: &str, fields: &[(&str, String)]) {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        self.happened.push(event_body(event, &fields));
    }

    /// The names of members of a chat, in order.
    pub(crate) fn names(&self, chat: u64) -> Vec<&'static str> {
        let members = self.chats[&chat].members.keys();
        members.map(|user| self.users[user].name).collect()
    }

    /// `user.get`: bots are never listed, and an unknown field of the filter is left out without a word.
    pub(super) fn user_get(&self, parameters: &Value) -> Value {
        let filter = &parameters["FILTER"];
        let rows = self.users.iter().filter(|(id, user)| {
            user.kind != Kind::Bot
                && number(filter, "ID").is_none_or(|wanted| wanted == **id)
                && text(filter, "EMAIL").is_none_or(|email| email.eq_ignore_ascii_case(user.email))
                && text(filter, "ACTIVE").is_none_or(|_| user.active)
                && text(filter, "USER_TYPE").is_none_or(|kind| kind == kind_word(user.kind))
        });
        let rows = rows.map(|(id, user)| {
            json!({
                "ID": id.to_string(),
                "ACTIVE": user.active,
                "NAME": user.name,
                "LAST_NAME": "",
                "EMAIL": user.email,
                "USER_TYPE": kind_word(user.kind),
            })
        });
        Value::Array(rows.collect())
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Employee => "employee",
        Kind::Extranet => "extranet",
        Kind::Bot => "bot",
    }
}
