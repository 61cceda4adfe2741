//! `imbot.v2.*`: what a bot may do, with its token.

use serde_json::{Value, json};

use super::{
    BOT, BOT_TOKEN, Refused, State,
    chat::{leave, say},
    parameters::{number, numbers, text},
};

const DENIED: Refused = (403, "ACCESS_DENIED", "Access denied");

pub(super) fn run(state: &mut State, method: &str, parameters: &Value) -> Result<Value, Refused> {
    if number(parameters, "botId") != Some(BOT) {
        return Err((400, "BOT_NOT_FOUND", "Bot not found"));
    }
    if text(parameters, "botToken").as_deref() != Some(BOT_TOKEN) {
        return Err((
            403,
            "BOT_OWNERSHIP_ERROR",
            "Bot belongs to another application",
        ));
    }
    match method {
        "imbot.v2.Bot.get" => {
            return Ok(json!({ "bot": { "id": BOT, "code": "liaison" }, "users": [] }));
        }
        "imbot.v2.Command.list" => {
            return Ok(
                json!({ "commands": [{ "id": 78, "botId": BOT, "command": "/crm", "common": true }] }),
            );
        }
        _ => {}
    }
    let dialog = text(parameters, "dialogId").unwrap_or_default();
    let number_of_chat = dialog
        .strip_prefix("chat")
        .and_then(|chat| chat.parse().ok());
    let chat: u64 = number_of_chat.ok_or(DENIED)?;
    let known = state.chats.get(&chat).ok_or(DENIED)?;
    let is_in = known.members.contains_key(&BOT);
    let (owner, leads) = (known.owner, known.managers.contains(&BOT));
    let words = text(&parameters["fields"], "message").unwrap_or_default();
    let done = json!({ "result": true });
    match method {
        // The one call that works where the bot is not.
        "imbot.v2.Command.answer" => {
            let message = number(parameters, "messageId");
            let was_said = known.messages.iter().any(|said| Some(said.id) == message);
            if number(parameters, "commandId") != Some(78) || !was_said {
                return Err((400, "COMMAND_ANSWER_FAILED", "Command answer failed"));
            }
            say(state, chat, BOT, &words);
            Ok(done)
        }
        _ if !is_in => Err(DENIED),
        "imbot.v2.Chat.Message.send" if words.is_empty() => {
            Err((400, "EMPTY_MESSAGE", "Message is empty"))
        }
        "imbot.v2.Chat.Message.send" => {
            Ok(json!({ "id": say(state, chat, BOT, &words), "uuidMap": {} }))
        }
        "imbot.v2.Chat.User.delete" if !leads => Err(DENIED),
        "imbot.v2.Chat.User.delete" => {
            leave(
                state,
                chat,
                number(parameters, "userId").unwrap_or_default(),
            );
            Ok(done)
        }
        "imbot.v2.Chat.Manager.add" | "imbot.v2.Chat.Manager.delete" if owner != BOT => Err(DENIED),
        "imbot.v2.Chat.Manager.add" => {
            let known = state.chats.get_mut(&chat).unwrap();
            for user in numbers(&parameters["userIds"]) {
                if known.members.contains_key(&user) && !known.managers.contains(&user) {
                    known.managers.push(user);
                }
            }
            Ok(done)
        }
        "imbot.v2.Chat.Manager.delete" => {
            let users = numbers(&parameters["userIds"]);
            let known = state.chats.get_mut(&chat).unwrap();
            known.managers.retain(|manager| !users.contains(manager));
            Ok(done)
        }
        _ => Err((404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}
