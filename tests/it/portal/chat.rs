//! `im.*`: chats, messages and notices.

use serde_json::{Value, json};

use super::{
    BOT, Refused, State,
    crm::observe,
    parameters::{number, numbers, text},
    state::{Chat, Kind, Message, Notice},
};

const DENIED: Refused = (403, "ACCESS_ERROR", "Action unavailable");

pub(super) fn run(
    state: &mut State,
    user: u64,
    method: &str,
    parameters: &Value,
) -> Result<Value, Refused> {
    match method {
        "im.chat.get" => Ok(find(state, parameters)),
        "im.chat.add" => Ok(add(state, user, parameters)),
        "im.notify.system.add" => Ok(notify(state, parameters)),
        "im.message.add" => {
            let dialog = text(parameters, "DIALOG_ID").unwrap_or_default();
            let text = text(parameters, "MESSAGE").unwrap_or_default();
            let chat = member_chat(state, user, &dialog)?;
            Ok(json!(say(state, chat, user, &text)))
        }
        "im.dialog.get" | "im.dialog.users.list" | "im.dialog.messages.get" => {
            let dialog = text(parameters, "DIALOG_ID").unwrap_or_default();
            let chat = match (member_chat(state, user, &dialog), method) {
                // Strangers see nobody, and are not told why.
                (Err(_), "im.dialog.users.list") => return Ok(json!([])),
                (chat, _) => chat?,
            };
            Ok(look(state, chat, method, parameters))
        }
        _ => in_chat(state, user, method, parameters),
    }
}

fn find(state: &State, parameters: &Value) -> Value {
    let entity = (
        text(parameters, "ENTITY_TYPE").unwrap_or_default(),
        text(parameters, "ENTITY_ID").unwrap_or_default(),
    );
    let found = state.chats.iter().find(|(_, chat)| chat.entity == entity);
    found.map_or(Value::Null, |(id, _)| json!({ "ID": id }))
}

/// Makes a chat, and a second one for the same thing as readily.
fn add(state: &mut State, user: u64, parameters: &Value) -> Value {
    let id = state.next_id();
    let chat = Chat {
        title: text(parameters, "TITLE").unwrap_or_default(),
        owner: user,
        managers: vec![user],
        entity: (
            text(parameters, "ENTITY_TYPE").unwrap_or_default(),
            text(parameters, "ENTITY_ID").unwrap_or_default(),
        ),
        ..Chat::default()
    };
    state.chats.insert(id, chat);
    join(state, id, user, 0);
    for other in numbers(&parameters["USERS"]) {
        join(state, id, other, 0);
    }
    json!(id)
}

/// Puts somebody into a chat, with everything from a message on; tells the bot, and makes him observe what the chat is about.
pub(super) fn join(state: &mut State, chat: u64, user: u64, floor: u64) -> bool {
    let Some(facts) = state.users.get(&user).cloned() else {
        return false;
    };
    let known = state.chats.get_mut(&chat).unwrap();
    // Who is switched off is left out without a word.
    if !facts.active || known.members.contains_key(&user) {
        return false;
    }
    known.members.insert(user, floor);
    let about = known.entity.clone();
    if user == BOT {
        let fields = bot_fields(state, chat, user);
        state.happen("ONIMBOTV2JOINCHAT", &fields);
    } else {
        system(
            state,
            chat,
            &format!("[USER={user}]{}[/USER] joined", facts.name),
        );
    }
    if about.0 == "CRM" {
        observe(state, &about.1, user);
    }
    true
}

/// Takes somebody out of a chat; the owner stays.
pub(super) fn leave(state: &mut State, chat: u64, user: u64) -> bool {
    let known = state.chats.get_mut(&chat).unwrap();
    if known.owner == user || known.members.remove(&user).is_none() {
        return false;
    }
    known.managers.retain(|manager| *manager != user);
    system(
        state,
        chat,
        &format!("[USER={user}]Somebody[/USER] left the chat"),
    );
    true
}

fn system(state: &mut State, chat: u64, words: &str) {
    say(state, chat, 0, words);
}

/// Writes a message, and tells the bot where it is in the chat.
pub(super) fn say(state: &mut State, chat: u64, author: u64, words: &str) -> u64 {
    let id = state.next_id();
    let known = state.chats.get_mut(&chat).unwrap();
    known.messages.push(Message {
        id,
        author,
        text: words.to_owned(),
    });
    let hears = known.members.contains_key(&BOT) && author != BOT;
    if hears {
        let mut fields = bot_fields(state, chat, author);
        fields.extend([
            ("data[message][id]", id.to_string()),
            ("data[message][chatId]", chat.to_string()),
            ("data[message][authorId]", author.to_string()),
            ("data[message][text]", words.to_owned()),
            ("data[message][isSystem]", u8::from(author == 0).to_string()),
        ]);
        state.happen("ONIMBOTV2MESSAGEADD", &fields);
    }
    id
}

fn bot_fields(state: &State, chat: u64, user: u64) -> Vec<(&'static str, String)> {
    let known = &state.chats[&chat];
    let kind = state.users.get(&user).map(|user| user.kind);
    vec![
        ("data[bot][id]", BOT.to_string()),
        ("data[bot][code]", "liaison".to_owned()),
        (
            "data[bot][auth][application_token]",
            "of-the-application".to_owned(),
        ),
        ("data[chat][id]", chat.to_string()),
        ("data[chat][dialogId]", format!("chat{chat}")),
        ("data[chat][entityType]", known.entity.0.clone()),
        ("data[chat][entityId]", known.entity.1.clone()),
        ("data[user][id]", user.to_string()),
        (
            "data[user][bot]",
            u8::from(kind == Some(Kind::Bot)).to_string(),
        ),
    ]
}

/// A new notice with the same tag takes the place of the old one.
fn notify(state: &mut State, parameters: &Value) -> Value {
    let user = number(parameters, "USER_ID").unwrap_or_default();
    if !state.users.get(&user).is_some_and(|user| user.active) {
        return json!(false);
    }
    let tag = text(parameters, "TAG").unwrap_or_default();
    assert!(
        tag.is_empty() || text(parameters, "CLIENT_ID").is_some(),
        "a tag needs CLIENT_ID"
    );
    state
        .notices
        .retain(|notice| notice.user != user || notice.tag != tag);
    let id = state.next_id();
    let text = text(parameters, "MESSAGE").unwrap_or_default();
    state.notices.push(Notice {
        id,
        user,
        text,
        tag,
    });
    json!(id)
}

fn member_chat(state: &State, user: u64, dialog: &str) -> Result<u64, Refused> {
    let number = dialog
        .strip_prefix("chat")
        .and_then(|chat| chat.parse().ok());
    let chat = number.ok_or(DENIED)?;
    let known = state.chats.get(&chat).ok_or(DENIED)?;
    known
        .members
        .contains_key(&user)
        .then_some(chat)
        .ok_or(DENIED)
}

fn look(state: &State, chat: u64, method: &str, parameters: &Value) -> Value {
    let known = &state.chats[&chat];
    match method {
        "im.dialog.get" => json!({
            "id": chat,
            "name": known.title,
            "owner": known.owner,
            "manager_list": known.managers,
            "entity_type": known.entity.0,
            "entity_id": known.entity.1,
        }),
        "im.dialog.users.list" => {
            let limit = number(parameters, "LIMIT").unwrap_or(50).min(200);
            let offset = number(parameters, "OFFSET").unwrap_or_default();
            let page = known.members.keys().skip(usize::try_from(offset).unwrap());
            let rows = page.take(usize::try_from(limit).unwrap()).map(|id| {
                let user = &state.users[id];
                json!({
                    "id": id,
                    "name": user.name,
                    "active": user.active,
                    "bot": user.kind == Kind::Bot,
                    "extranet": user.kind == Kind::Extranet,
                    "connector": false,
                })
            });
            Value::Array(rows.collect())
        }
        _ => {
            let newest = known.messages.iter().rev().take(50);
            let rows = newest.map(|message| {
                json!({ "id": message.id, "author_id": message.author, "text": message.text })
            });
            json!({ "chat_id": chat, "messages": rows.collect::<Vec<_>>() })
        }
    }
}

/// Methods that name a chat by number.
fn in_chat(
    state: &mut State,
    user: u64,
    method: &str,
    parameters: &Value,
) -> Result<Value, Refused> {
    let chat =
        number(parameters, "CHAT_ID").ok_or((400, "CHAT_ID_EMPTY", "Chat ID can't be empty"))?;
    let is_in = member_chat(state, user, &format!("chat{chat}")).is_ok();
    if method == "im.chat.user.list" {
        let known = state.chats.get(&chat).filter(|_| is_in);
        return Ok(json!(
            known
                .map(|chat| chat.members.keys().collect::<Vec<_>>())
                .unwrap_or_default()
        ));
    }
    if !is_in {
        return Err(DENIED);
    }
    let known = &state.chats[&chat];
    let (owner, leads) = (known.owner, known.managers.contains(&user));
    let last = known.messages.last().map_or(0, |message| message.id);
    let other = number(parameters, "USER_ID").unwrap_or_default();
    match method {
        "im.chat.user.add" => {
            let hide = text(parameters, "HIDE_HISTORY").unwrap() == "Y";
            let floor = if hide { last + 1 } else { 0 };
            let users = numbers(&parameters["USERS"]);
            let joined = users
                .into_iter()
                .filter(|user| join(state, chat, *user, floor));
            match joined.count() {
                0 => Err((
                    400,
                    "WRONG_REQUEST",
                    "You don't have access or user already member",
                )),
                _ => Ok(json!(true)),
            }
        }
        "im.chat.user.delete" if !leads && other != user => {
            Err((403, "ACCESS_DENIED_KICK", "Insufficient rights"))
        }
        "im.chat.user.delete" if owner == other => Err(DENIED),
        "im.chat.user.delete" | "im.chat.leave" => {
            let gone = leave(
                state,
                chat,
                if method == "im.chat.leave" {
                    user
                } else {
                    other
                },
            );
            gone.then_some(json!(true))
                .ok_or((400, "USER_NOT_FOUND", "Not in the chat"))
        }
        "im.chat.updateTitle" => {
            let title = text(parameters, "TITLE").unwrap_or_default();
            state.chats.get_mut(&chat).unwrap().title = title;
            Ok(json!(true))
        }
        "im.chat.setOwner" => {
            let known = state.chats.get_mut(&chat).unwrap();
            if owner != user || !known.members.contains_key(&other) {
                return Err((
                    400,
                    "WRONG_REQUEST",
                    "Change owner can only owner and user must be member in chat",
                ));
            }
            known.managers.retain(|manager| *manager != user);
            known.managers.push(other);
            known.owner = other;
            Ok(json!(true))
        }
        _ => Err((404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}
