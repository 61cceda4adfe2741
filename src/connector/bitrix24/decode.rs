//! From Bitrix24's form to what it means.
//!
//! Events of the CRM carry an id and nothing else, and a system message in a chat has no documented wording: both are only a reason to look.

mod text;

use super::form::Node;
use crate::{
    connector::{DecodeError, bitrix24::wire::is_id},
    domain::{ChatEvent, ChatMessage, Heard},
};

/// Types of the portal's CRM whose events have names of their own, with the numbers that its API knows them by.
const CRM_TYPES: [(&str, i64); 5] = [
    ("LEAD", 1),
    ("DEAL", 2),
    ("CONTACT", 3),
    ("COMPANY", 4),
    ("QUOTE", 7),
];

/// Returns what a stored delivery means.
///
/// # Errors
/// Fails, naming the place, where an event of a known kind lacks what Bitrix24 documents.
pub fn decode(body: &[u8]) -> Result<Heard, DecodeError> {
    let form = Node::parse(body).map_err(|error| DecodeError {
        path: "the form".to_owned(),
        problem: error.to_string(),
    })?;
    let event = required(&form, &["event"])?.to_ascii_uppercase();
    match event.as_str() {
        "ONIMBOTV2MESSAGEADD" => message(&form, &V2),
        "ONIMBOTV2COMMANDADD" => match form.text(&["data", "command", "context"]) {
            None | Some("textarea") => message(&form, &V2),
            Some(_) => Ok(ignored("a command from a button, which we never set")),
        },
        "ONIMBOTV2JOINCHAT" => joined(&form, &V2),
        "ONIMBOTMESSAGEADD" => message(&form, &V1),
        "ONIMCOMMANDADD" => old_command(&form),
        "ONIMBOTJOINCHAT" => joined(&form, &V1),
        "ONIMBOTV2DELETE" | "ONIMBOTDELETE" => Ok(ignored(
            "the bot was removed from the portal: register it anew, and enter its id and token",
        )),
        "ONIMBOTV2MESSAGEUPDATE"
        | "ONIMBOTV2MESSAGEDELETE"
        | "ONIMBOTMESSAGEUPDATE"
        | "ONIMBOTMESSAGEDELETE" => Ok(ignored(
            "a message that was changed or deleted runs nothing",
        )),
        "ONUSERADD" => Ok(Heard::Event(ChatEvent::UserChanged {
            user: id(&form, &["data", "ID"])?,
        })),
        other => match other.strip_prefix("ONCRM").and_then(crm_type) {
            Some(entity_type) => item(&form, entity_type),
            None => Ok(ignored(format!("{} events are not used", clip(other)))),
        },
    }
}

/// Which type an event of the CRM is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CrmType {
    Known(i64),
    /// The event says so beside the id.
    Told,
}

/// Reads `DEALUPDATE` and `DYNAMICITEMUPDATE_147`.
fn crm_type(event: &str) -> Option<CrmType> {
    let of = |rest: &str, suffix: &str| {
        ["ADD", "UPDATE", "DELETE"]
            .iter()
            .any(|what| rest.strip_prefix(what) == Some(suffix))
    };
    if let Some(rest) = event.strip_prefix("DYNAMICITEM") {
        let (what, _) = rest.split_once('_').unwrap_or((rest, ""));
        return of(what, "").then_some(CrmType::Told);
    }
    CRM_TYPES.into_iter().find_map(|(name, number)| {
        let rest = event.strip_prefix(name)?;
        of(rest, "").then_some(CrmType::Known(number))
    })
}

fn item(form: &Node, entity_type: CrmType) -> Result<Heard, DecodeError> {
    let entity_type = match entity_type {
        CrmType::Known(number) => number,
        CrmType::Told => {
            let path = ["data", "FIELDS", "ENTITY_TYPE_ID"];
            let told = id(form, &path)?;
            told.parse()
                .map_err(|_| wrong(&path, "expected a number"))?
        }
    };
    Ok(Heard::Event(ChatEvent::PortalItemChanged {
        entity_type,
        id: id(form, &["data", "FIELDS", "ID"])?,
    }))
}

/// Where the parts of a bot's event are, by generation.
struct Places {
    chat: &'static [&'static str],
    dialog: &'static [&'static str],
    chat_type: &'static [&'static str],
    message: &'static [&'static str],
    texts: [&'static [&'static str]; 2],
    author: &'static [&'static str],
    user: &'static [&'static str],
    by_bot: &'static [&'static str],
    system: &'static [&'static str],
}

const V2: Places = Places {
    chat: &["data", "chat", "id"],
    dialog: &["data", "chat", "dialogId"],
    chat_type: &["data", "chat", "type"],
    message: &["data", "message", "id"],
    texts: [&["data", "message", "text"], &["data", "message", "text"]],
    author: &["data", "message", "authorId"],
    user: &["data", "user", "id"],
    by_bot: &["data", "user", "bot"],
    system: &["data", "message", "isSystem"],
};

const V1: Places = Places {
    chat: &["data", "PARAMS", "CHAT_ID"],
    dialog: &["data", "PARAMS", "DIALOG_ID"],
    chat_type: &["data", "PARAMS", "CHAT_TYPE"],
    message: &["data", "PARAMS", "MESSAGE_ID"],
    // The mention is taken out of the first one.
    texts: [
        &["data", "PARAMS", "MESSAGE_ORIGINAL"],
        &["data", "PARAMS", "MESSAGE"],
    ],
    author: &["data", "PARAMS", "FROM_USER_ID"],
    user: &["data", "USER", "ID"],
    by_bot: &["data", "USER", "IS_BOT"],
    system: &["data", "PARAMS", "SYSTEM"],
};

/// A chat as an event names it.
struct Chat {
    /// Its dialog id.
    id: String,
    /// Whether it is a conversation of two.
    direct: bool,
}

fn chat(form: &Node, at: &Places) -> Result<Chat, DecodeError> {
    let dialog = form.text(at.dialog).unwrap_or_default();
    let is_private = matches!(form.text(at.chat_type), Some("private" | "P"));
    // A conversation of two is named by the other one.
    if is_private || is_id(dialog) {
        let user = if is_id(dialog) {
            dialog.to_owned()
        } else {
            id(form, at.user)?
        };
        return Ok(Chat {
            id: user,
            direct: true,
        });
    }
    let number = match dialog.strip_prefix("chat").filter(|number| is_id(number)) {
        Some(number) => number.to_owned(),
        None => id(form, at.chat)?,
    };
    Ok(Chat {
        id: format!("chat{number}"),
        direct: false,
    })
}

fn message(form: &Node, at: &Places) -> Result<Heard, DecodeError> {
    let chat = chat(form, at)?;
    let author = form.text(at.author).filter(|id| is_id(id) && *id != "0");
    let author = match author {
        Some(author) if !form.is_on(at.system) => author.to_owned(),
        // Somebody came, left, or something was changed: which, only the chat tells.
        _ => return Ok(Heard::Event(ChatEvent::ChatTouched { chat: chat.id })),
    };
    let text = at.texts.iter().find_map(|path| form.text(path));
    let Some(text) = text else {
        return Ok(ignored("a message without text"));
    };
    heard_message(form, at, (chat, author), text)
}

fn heard_message(
    form: &Node,
    at: &Places,
    (chat, author): (Chat, String),
    text: &str,
) -> Result<Heard, DecodeError> {
    let (bot, name) = bot(form);
    Ok(Heard::Event(ChatEvent::ChatMessage(Box::new(
        ChatMessage {
            chat: chat.id,
            id: id(form, at.message)?,
            thread: None,
            by_bot: form.is_on(at.by_bot),
            author,
            text: text::markdown(text, bot.zip(name)),
            direct: chat.direct,
        },
    ))))
}

/// A command of the first generation stands in pieces: one per bot that knows it.
fn old_command(form: &Node) -> Result<Heard, DecodeError> {
    let commands = form.at(&["data", "COMMAND"]);
    let command = commands.and_then(|map| map.values().next());
    let Some(command) = command else {
        return Err(wrong(&["data", "COMMAND"], "expected a command"));
    };
    let name = command.text(&["COMMAND"]).unwrap_or_default();
    let params = command.text(&["COMMAND_PARAMS"]).unwrap_or_default();
    let text = format!("/{} {params}", name.trim_start_matches('/'));
    let chat = chat(form, &V1)?;
    let author = id(form, V1.author).or_else(|_| id(form, V1.user))?;
    heard_message(form, &V1, (chat, author), &text)
}

fn joined(form: &Node, at: &Places) -> Result<Heard, DecodeError> {
    let chat = chat(form, at)?;
    let by = form
        .text(at.user)
        .or_else(|| form.text(&["data", "PARAMS", "USER_ID"]));
    Ok(Heard::Event(ChatEvent::BotInvited {
        chat: chat.id,
        by: by.filter(|by| is_id(by)).unwrap_or("0").to_owned(),
        direct: chat.direct,
    }))
}

/// Returns id and code of the bot that an event is for.
fn bot(form: &Node) -> (Option<&str>, Option<&str>) {
    if let Some(id) = form.text(&["data", "bot", "id"]) {
        return (Some(id), form.text(&["data", "bot", "code"]));
    }
    let old = form
        .at(&["data", "BOT"])
        .and_then(|map| map.values().next());
    let text = |key| old.and_then(|bot| bot.text(&[key]));
    (text("BOT_ID"), text("BOT_CODE"))
}

fn ignored(reason: impl Into<String>) -> Heard {
    Heard::Ignored(reason.into())
}

/// Returns at most 40 characters of a word that the sender chose.
fn clip(word: &str) -> String {
    word.chars()
        .filter(|char| !char.is_control())
        .take(40)
        .collect()
}

fn wrong(path: &[&str], problem: &str) -> DecodeError {
    DecodeError {
        path: path.join("."),
        problem: problem.to_owned(),
    }
}

fn required<'a>(form: &'a Node, path: &[&str]) -> Result<&'a str, DecodeError> {
    form.text(path).ok_or_else(|| wrong(path, "missing field"))
}

fn id(form: &Node, path: &[&str]) -> Result<String, DecodeError> {
    let text = required(form, path)?;
    if is_id(text) {
        Ok(text.to_owned())
    } else {
        Err(wrong(path, "expected an id"))
    }
}
