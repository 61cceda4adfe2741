//! From an event of Matrix to what it means.

mod mention;

use serde::de::DeserializeOwned;

use super::wire::{Head, MemberContent, Of, Text, Unsigned};
use crate::{
    connector::DecodeError,
    domain::{ChatEvent, ChatMessage, Heard},
};

/// Returns what an event means to the bot with this user id.
///
/// # Errors
/// Fails, naming the place, where the event lacks what homeservers fill in. What users fill in makes an event be ignored at most.
pub fn decode(body: &[u8], bot: &str) -> Result<Heard, DecodeError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let head: Head = serde_path_to_error::deserialize(&mut json).map_err(|error| DecodeError {
        path: error.path().to_string(),
        // What serde says of a wrong value quotes it.
        problem: format!(
            "line {}, column {}",
            error.inner().line(),
            error.inner().column()
        ),
    })?;
    let is_state = head.state_key.is_some();
    Ok(match (head.kind.as_str(), is_state) {
        ("m.room.member", true) => match content(body) {
            Some(of) => member(head, &of, bot),
            None => unreadable(),
        },
        ("m.room.message", false) => match content(body) {
            Some(Of { content, .. }) => message(head, content, bot),
            None => unreadable(),
        },
        ("m.room.name" | "m.room.power_levels", true) if head.sender != bot => touched(head),
        ("m.room.tombstone", true) => Heard::Event(ChatEvent::ChatGone { chat: head.room_id }),
        ("m.room.encrypted", false) => ignored(
            "an encrypted message, which only its readers can read: commands work in rooms without encryption",
        ),
        ("m.room.encryption", true) => ignored(
            "encryption was switched on in the room: commands in it cannot be read from now on",
        ),
        _ if head.sender == bot => own(),
        (kind, _) => ignored(format!("{} events are not used", clip(kind))),
    })
}

fn content<T: DeserializeOwned>(body: &[u8]) -> Option<Of<T>> {
    serde_json::from_slice(body).ok()
}

fn ignored(reason: impl Into<String>) -> Heard {
    Heard::Ignored(reason.into())
}

fn unreadable() -> Heard {
    ignored("the content of the event is not as Matrix documents it")
}

fn own() -> Heard {
    ignored("the bot did this itself")
}

fn touched(head: Head) -> Heard {
    Heard::Event(ChatEvent::ChatTouched { chat: head.room_id })
}

/// Returns at most 40 characters of a word that a user chose.
fn clip(word: &str) -> String {
    word.chars()
        .filter(|char| !char.is_control())
        .take(40)
        .collect()
}

fn member(head: Head, of: &Of<MemberContent>, bot: &str) -> Heard {
    let before = of
        .unsigned
        .as_ref()
        .and_then(|Unsigned { prev_content, .. }| prev_content.as_ref())
        .map(|content| content.membership.as_str());
    let is_bot = head.state_key.as_deref() == Some(bot);
    match (of.content.membership.as_str(), before) {
        ("invite", _) if is_bot && head.sender != bot => Heard::Event(ChatEvent::BotInvited {
            chat: head.room_id,
            by: head.sender,
            direct: of.content.is_direct == Some(true),
        }),
        ("leave", Some("invite" | "knock")) if is_bot => {
            ignored("an invitation of the bot was taken back or declined")
        }
        ("leave" | "ban", _) if is_bot => Heard::Event(ChatEvent::ChatGone { chat: head.room_id }),
        _ if head.sender == bot => own(),
        ("join", Some("join")) => ignored("a changed profile: nobody joined"),
        ("knock", _) => ignored("somebody asks to be let in, which the bot leaves to people"),
        ("invite" | "join" | "leave" | "ban", _) => touched(head),
        (other, _) => ignored(format!("a membership \"{}\" is not used", clip(other))),
    }
}

fn message(head: Head, content: Text, bot: &str) -> Heard {
    if head.sender == bot {
        return own();
    }
    let relation = content.relation.as_ref();
    let kind = relation.and_then(|relation| relation.rel_type.as_deref());
    match (content.msgtype.as_deref(), kind) {
        (_, Some("m.replace")) => return ignored("an edited message: it runs nothing"),
        (Some("m.notice"), _) => return ignored("a notice, as bots write them"),
        (Some("m.text"), _) => {}
        (Some(other), _) => {
            return ignored(format!("a message of the type {} has no text", clip(other)));
        }
        (None, _) => return ignored("a message without content: it was removed"),
    }
    let Some(body) = content.body else {
        return unreadable();
    };
    let is_reply = relation.is_some_and(|relation| relation.in_reply_to.is_some());
    let said = if is_reply {
        without_quote(&body)
    } else {
        &body
    };
    let thread = relation
        .filter(|_| kind == Some("m.thread"))
        .and_then(|relation| relation.event_id.clone());
    let text = mention::plain(said, content.formatted_body.as_deref(), bot);
    Heard::Event(ChatEvent::ChatMessage(Box::new(ChatMessage {
        chat: head.room_id,
        id: head.event_id,
        thread,
        author: head.sender,
        text: text.replace('\0', ""),
        // A room says nowhere reliably that it is a conversation of two.
        direct: false,
        by_bot: false,
    })))
}

/// Returns a reply without the quotation that clients put before it until Matrix 1.13: lines that begin with `>`, and an empty one.
fn without_quote(body: &str) -> &str {
    if !body.starts_with("> <") {
        return body;
    }
    let mut rest = body;
    while rest.starts_with('>') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest.strip_prefix('\n').unwrap_or(rest)
}
