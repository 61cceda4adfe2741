//! Messages: into chats by the bot, and notices to one person.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CallError, Client, is};
use crate::connector::{
    bitrix24::{
        render::{bb_code, marked, marker},
        wire::{Id, Messages, Sent, is_id},
    },
    messenger::{Message, Refusal, Told},
};

/// Newest messages of a chat that are searched for one that was sent though its answer was lost.
const SEARCHED: u32 = 50;
/// Names us to the portal, beside the tags of notices.
const CLIENT_ID: &str = "liaison";
/// What the portal answers where we may not write.
const NO_RIGHT: [&str; 6] = [
    "ACCESS_ERROR",
    "ACCESS_DENIED",
    "CHAT_ID",
    "DIALOG_ID_EMPTY",
    "CHAT_NOT_FOUND",
    "USER_NOT_FOUND",
];

#[derive(Deserialize)]
struct Commands {
    commands: Vec<CommandFacts>,
}

#[derive(Deserialize)]
struct CommandFacts {
    id: Id,
    command: String,
}

impl Client {
    pub(super) async fn send_into(&self, chat: &str, message: &Message<'_>) -> Told<String> {
        if let Some(sent) = self.find_sent(chat, message).await? {
            return Ok(Ok(sent));
        }
        let text = marked(&bb_code(message.markdown), message.key);
        let answers = message.answers.filter(|id| is_id(id));
        let Some(body) = self.as_bot(json!({
            "dialogId": chat,
            "fields": { "message": text, "replyId": answers, "urlPreview": false },
        })) else {
            return self.send_as_user(chat, &text, answers).await;
        };
        match self.read::<Sent>("imbot.v2.Chat.Message.send", body).await {
            Ok(sent) => Ok(Ok(sent.id.0)),
            Err(error) if is(&error, &NO_RIGHT) => match answers {
                // A command may be given where the bot is not, and is answered there.
                Some(command) => self.answer_command(chat, command, &text).await,
                None => Ok(Err(Refusal::ChatGone)),
            },
            Err(error) => Err(error),
        }
    }

    async fn send_as_user(&self, chat: &str, text: &str, answers: Option<&str>) -> Told<String> {
        let body = json!({
            "DIALOG_ID": chat,
            "MESSAGE": text,
            "REPLY_ID": answers,
            "URL_PREVIEW": "N",
        });
        match self.read::<Id>("im.message.add", body).await {
            Ok(id) => Ok(Ok(id.0)),
            Err(error) if is(&error, &NO_RIGHT) => Ok(Err(Refusal::ChatGone)),
            Err(error) => Err(error),
        }
    }

    /// Answers a command in a chat that the bot is not in, which the portal allows for the message that gave it. The answer's id is not told.
    async fn answer_command(&self, chat: &str, message: &str, text: &str) -> Told<String> {
        let Some(body) = self.as_bot(json!({})) else {
            return Ok(Err(Refusal::ChatGone));
        };
        let listed: Commands = self.read("imbot.v2.Command.list", body).await?;
        let is_ours = |command: &CommandFacts| command.command.trim_start_matches('/') == "crm";
        let command = listed.commands.into_iter().find(is_ours);
        let Some(body) = command.and_then(|command| {
            self.as_bot(json!({
                "commandId": command.id.0,
                "messageId": message,
                "dialogId": chat,
                "fields": { "message": text, "urlPreview": false },
            }))
        }) else {
            return Ok(Err(Refusal::ChatGone));
        };
        match self.read::<Value>("imbot.v2.Command.answer", body).await {
            Ok(_) => Ok(Ok(String::new())),
            Err(error) if is(&error, &NO_RIGHT) || is(&error, &["COMMAND_ANSWER_FAILED"]) => {
                Ok(Err(Refusal::ChatGone))
            }
            Err(error) => Err(error),
        }
    }

    /// Looks for a message that was sent with the same key. Where our account may not read, nobody knows.
    async fn find_sent(
        &self,
        chat: &str,
        message: &Message<'_>,
    ) -> Result<Option<String>, CallError> {
        let body = json!({ "DIALOG_ID": chat, "LIMIT": SEARCHED });
        let newest: Messages = match self.read("im.dialog.messages.get", body).await {
            Ok(newest) => newest,
            Err(error) if is(&error, &NO_RIGHT) => return Ok(None),
            Err(error) => return Err(error),
        };
        let marker = marker(message.key);
        let is_it = |text: &String| text.contains(&marker);
        let found = newest
            .messages
            .into_iter()
            .find(|message| message.text.as_ref().is_some_and(is_it));
        Ok(found.map(|message| message.id.0))
    }

    /// Sends a notice. One with the same tag takes the place of the one before, so that sending it again changes nothing.
    pub(super) async fn notify(&self, user: &str, message: &Message<'_>) -> Told<String> {
        if !is_id(user) {
            return Ok(Err(Refusal::UnknownUser));
        }
        let key = message.key.to_string();
        let body = json!({
            "USER_ID": user,
            "MESSAGE": bb_code(message.markdown),
            "TAG": message.tag.unwrap_or(&key),
            "CLIENT_ID": CLIENT_ID,
        });
        let answer: Value = self.read("im.notify.system.add", body).await?;
        if let Ok(id) = serde_json::from_value::<Id>(answer) {
            return Ok(Ok(id.0));
        }
        // It says no more than no.
        Ok(Err(match self.ask_user(user).await? {
            None => Refusal::UnknownUser,
            Some(user) if !user.active => Refusal::InactiveUser,
            Some(_) => Refusal::NoRight,
        }))
    }
}
