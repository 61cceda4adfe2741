//! Chats: made, named, and who is in them.
//!
//! A chat is named by its dialog id, `chat1439`. Where there is a bot it owns the chats that Liaison makes, since only an owner can name managers
//! and nobody can remove one; the account of the webhook is a member, since only as a person it can add somebody without the history.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{CallError, Client, batch::Command, is};
use crate::connector::{
    bitrix24::wire::{Card, ChatId, Dialog, Id, User, is_id},
    messenger::{Member, NewChat, Presence, Put, Refusal, RemoteChat, Told},
};

/// Members that one page has at most.
const PAGE: usize = 200;
/// Pages of members that are read: more people than that in one chat is a mistake of the portal's.
const MAX_PAGES: usize = 50;
/// What the portal answers where a chat is not to be seen or changed by our account.
const NO_RIGHT: [&str; 5] = [
    "ACCESS_ERROR",
    "ACCESS_DENIED",
    "ACCESS_DENIED_EXTEND",
    "ACCESS_DENIED_KICK",
    "WRONG_REQUEST",
];
/// The kind of thing that our chats are bound to in the portal.
const OURS: &str = "LIAISON";
/// Longest title, in characters.
const MAX_TITLE: usize = 255;

/// Returns the number of a chat, from its dialog id.
fn number(chat: &str) -> Option<&str> {
    chat.strip_prefix("chat").filter(|number| is_id(number))
}

/// Returns what a chat with a key is bound to: an item of the portal's own CRM, or one of ours.
fn entity(key: &str) -> (&'static str, &str) {
    match key.strip_prefix("crm:") {
        Some(item) => ("CRM", item),
        None => (OURS, key),
    }
}

fn title_of(title: &str) -> String {
    let words: Vec<&str> = title.split_whitespace().collect();
    words.join(" ").chars().take(MAX_TITLE).collect()
}

impl Client {
    pub(super) async fn make_chat(&self, new: &NewChat<'_>) -> Told<RemoteChat> {
        let (entity_type, entity_id) = entity(new.key);
        let bound = json!({ "ENTITY_TYPE": entity_type, "ENTITY_ID": entity_id });
        // The portal makes a second chat for the same thing without a word, so the first one is looked for.
        let found: Option<ChatId> = self.read("im.chat.get", bound).await?;
        let number = match found.and_then(|found| found.id) {
            Some(number) => number,
            None => {
                let bot = self.0.bot.as_ref().map(|bot| &bot.id);
                let users: BTreeSet<&String> = new.members.iter().chain(bot).collect();
                let body = json!({
                    "TYPE": "CHAT",
                    "TITLE": title_of(new.title),
                    "USERS": users,
                    "ENTITY_TYPE": entity_type,
                    "ENTITY_ID": entity_id,
                });
                match self.read::<Id>("im.chat.add", body).await {
                    Ok(number) => number,
                    Err(error) if is(&error, &NO_RIGHT) => return Ok(Err(Refusal::NoRight)),
                    Err(error) => return Err(error),
                }
            }
        };
        let chat = format!("chat{}", number.0);
        if let Some(admin) = new.admin {
            // What cannot be is said when the chat is settled.
            self.put_admin(&chat, admin).await?;
        }
        let url = self.0.base.join(&format!("online/?IM_DIALOG={chat}"));
        Ok(Ok(RemoteChat {
            remote_id: chat,
            url: url.ok().map(String::from),
        }))
    }

    /// Gives the chat that our account owns to the bot, once.
    async fn hand_over(&self, chat: &str, dialog: &Dialog) -> Result<bool, CallError> {
        let (Some(bot), Some(number)) = (&self.0.bot, number(chat)) else {
            return Ok(false);
        };
        let owner = dialog.owner.as_ref().map(|owner| owner.0.as_str());
        if owner == Some(bot.id.as_str()) {
            return Ok(true);
        }
        if owner != Some(self.account().await?) {
            return Ok(false);
        }
        let run = vec![
            // In chats that were made before there was a bot.
            Command::new("add", "im.chat.user.add")
                .with("CHAT_ID", number)
                .with_list("USERS", std::slice::from_ref(&bot.id))
                .with("HIDE_HISTORY", "N"),
            Command::new("owner", "im.chat.setOwner")
                .with("CHAT_ID", number)
                .with("USER_ID", &bot.id),
        ];
        let batch = self.batch(run).await?;
        Ok(batch.get::<Value>("owner")?.is_ok())
    }

    async fn dialog(&self, chat: &str) -> Result<Option<Dialog>, CallError> {
        match self
            .read("im.dialog.get", json!({ "DIALOG_ID": chat }))
            .await
        {
            Ok(dialog) => Ok(Some(dialog)),
            Err(error) if is(&error, &NO_RIGHT) || is(&error, &GONE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn ask_members(&self, chat: &str) -> Told<Vec<Member>> {
        if number(chat).is_none() {
            return Ok(Err(Refusal::ChatGone));
        }
        let mut cards: Vec<Card> = Vec::new();
        let mut dialog: Option<Dialog> = None;
        for _ in 0..MAX_PAGES {
            let run = vec![
                Command::new("dialog", "im.dialog.get").with("DIALOG_ID", chat),
                Command::new("users", "im.dialog.users.list")
                    .with("DIALOG_ID", chat)
                    .with("LIMIT", &PAGE.to_string())
                    .with("OFFSET", &cards.len().to_string()),
            ];
            let batch = self.batch(run).await?;
            let (Ok(told), Ok(page)) = (
                batch.get::<Dialog>("dialog")?,
                batch.get::<Vec<Card>>("users")?,
            ) else {
                return Ok(Err(Refusal::ChatGone));
            };
            dialog = Some(told);
            let is_full = page.len() >= PAGE;
            let total = batch.total("users");
            cards.extend(page);
            if !is_full || total.is_some_and(|total| cards.len() >= total) {
                break;
            }
        }
        // Whoever may see a chat is in it: a list without anybody means that we are not.
        if cards.is_empty() {
            return Ok(Err(Refusal::ChatGone));
        }
        let account = self.account().await?;
        let bot = self.0.bot.as_ref().map(|bot| bot.id.as_str());
        let leads = |id: &Id| {
            dialog.as_ref().is_some_and(|dialog| {
                dialog.owner.as_ref() == Some(id) || dialog.manager_list.contains(id)
            })
        };
        let mut seen = BTreeSet::new();
        let members = cards.into_iter().filter(|card| {
            // With a bot, the account of the webhook only makes its calls.
            let is_tool = bot.is_some() && card.id.0 == account;
            !is_tool && seen.insert(card.id.clone())
        });
        let members = members.map(|card| Member {
            is_admin: leads(&card.id),
            is_bot: card.bot || Some(card.id.0.as_str()) == bot,
            is_guest: card.extranet || card.connector,
            remote_id: card.id.0,
            name: card.name,
            presence: Presence::Joined,
            added_by: None,
        });
        Ok(Ok(members.collect()))
    }

    pub(super) async fn put_in(
        &self,
        chat: &str,
        user: &str,
        show_history: bool,
    ) -> Result<Put, CallError> {
        let Some(number) = number(chat) else {
            return Ok(Put::Refused(Refusal::ChatGone));
        };
        if !is_id(user) {
            return Ok(Put::Refused(Refusal::UnknownUser));
        }
        let history = if show_history { "N" } else { "Y" };
        let add = Command::new("add", "im.chat.user.add")
            .with("CHAT_ID", number)
            .with("USERS[0]", user)
            // Without it the portal's own setting decides.
            .with("HIDE_HISTORY", history);
        let who = Command::new("who", "user.get").with("FILTER[ID]", user);
        let run = vec![list("before", number), add, list("after", number), who];
        let batch = self.batch(run).await?;
        let is_in = |list: &Vec<Id>| list.iter().any(|id| id.0 == user);
        match (
            batch.get::<Vec<Id>>("before")?,
            batch.get::<Vec<Id>>("after")?,
        ) {
            (Ok(before), Ok(_)) if before.is_empty() => Ok(Put::Refused(Refusal::ChatGone)),
            (Ok(before), Ok(_)) if is_in(&before) => Ok(Put::AlreadySo),
            (Ok(_), Ok(after)) if is_in(&after) => Ok(Put::Done),
            (Ok(_), Ok(_)) => {
                // Those who are switched off are left out without a word.
                let who = batch.get::<Vec<User>>("who")?.unwrap_or_default();
                Ok(Put::Refused(match who.first() {
                    None => Refusal::UnknownUser,
                    Some(user) if !user.active => Refusal::InactiveUser,
                    Some(_) => Refusal::NoRight,
                }))
            }
            _ => Ok(Put::Refused(Refusal::ChatGone)),
        }
    }

    pub(super) async fn put_out(&self, chat: &str, user: &str) -> Result<Put, CallError> {
        let Some(number) = number(chat) else {
            return Ok(Put::Refused(Refusal::ChatGone));
        };
        if !is_id(user) {
            return Ok(Put::AlreadySo);
        }
        let as_bot = self.bot_command("bot", "imbot.v2.Chat.User.delete");
        let as_bot = as_bot.map(|command| command.with("dialogId", chat).with("userId", user));
        let as_user = Command::new("user", "im.chat.user.delete")
            .with("CHAT_ID", number)
            .with("USER_ID", user);
        // Whoever of both leads the chat may remove people from it.
        let mut run = vec![list("before", number)];
        run.extend(as_bot);
        run.extend([as_user, list("after", number)]);
        let batch = self.batch(run).await?;
        let is_in = |list: &Vec<Id>| list.iter().any(|id| id.0 == user);
        match (
            batch.get::<Vec<Id>>("before")?,
            batch.get::<Vec<Id>>("after")?,
        ) {
            (Ok(before), Ok(_)) if before.is_empty() => Ok(Put::Refused(Refusal::ChatGone)),
            (Ok(before), Ok(_)) if !is_in(&before) => Ok(Put::AlreadySo),
            (Ok(_), Ok(after)) if is_in(&after) => Ok(Put::Refused(Refusal::NoRight)),
            (Ok(_), Ok(_)) => Ok(Put::Done),
            _ => Ok(Put::Refused(Refusal::ChatGone)),
        }
    }

    pub(super) async fn put_title(&self, chat: &str, title: &str) -> Result<Put, CallError> {
        let title = title_of(title);
        let Some((number, dialog)) = number(chat).zip(self.dialog(chat).await?) else {
            return Ok(Put::Refused(Refusal::ChatGone));
        };
        if dialog.name == title {
            return Ok(Put::AlreadySo);
        }
        let body = json!({ "CHAT_ID": number, "TITLE": title });
        match self.read::<Value>("im.chat.updateTitle", body).await {
            Ok(_) => Ok(Put::Done),
            Err(error) if is(&error, &NO_RIGHT) => Ok(Put::Refused(Refusal::NoRight)),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn put_admin(&self, chat: &str, user: &str) -> Result<Put, CallError> {
        let Some(dialog) = self.dialog(chat).await? else {
            return Ok(Put::Refused(Refusal::ChatGone));
        };
        // So it is in the chats of the portal's own CRM.
        if dialog.owner.as_ref().is_some_and(|owner| owner.0 == user) {
            return Ok(Put::AlreadySo);
        }
        if self.0.bot.is_none() {
            return Ok(Put::Refused(Refusal::NoAdmin));
        }
        if !self.hand_over(chat, &dialog).await? {
            return Ok(Put::Refused(Refusal::NoRight));
        }
        let account = self.account().await?;
        let bot = self.0.bot.as_ref().map(|bot| bot.id.as_str());
        let is_ours = |id: &str| id == account || Some(id) == bot;
        let managers = dialog.manager_list.iter().map(|id| id.0.clone());
        let others: Vec<String> = managers.filter(|id| id != user && !is_ours(id)).collect();
        let leads = |list: &[Id]| list.iter().any(|id| id.0 == user);
        if others.is_empty() && leads(&dialog.manager_list) {
            return Ok(Put::AlreadySo);
        }
        let named = [user.to_owned()];
        let mut run = Vec::new();
        let add = self.bot_command("add", "imbot.v2.Chat.Manager.add");
        run.extend(add.map(|command| command.with("dialogId", chat).with_list("userIds", &named)));
        if !others.is_empty() {
            let delete = self.bot_command("delete", "imbot.v2.Chat.Manager.delete");
            run.extend(
                delete.map(|command| command.with("dialogId", chat).with_list("userIds", &others)),
            );
        }
        run.push(Command::new("after", "im.dialog.get").with("DIALOG_ID", chat));
        let after = self.batch(run).await?.get::<Dialog>("after")?;
        Ok(match after {
            Ok(dialog) if leads(&dialog.manager_list) => Put::Done,
            // Somebody who is not in the chat is left out without a word.
            Ok(_) => Put::Refused(Refusal::NoRight),
            Err(_) => Put::Refused(Refusal::ChatGone),
        })
    }
}

/// What the portal answers about a chat that there is not.
const GONE: [&str; 4] = [
    "CHAT_NOT_FOUND",
    "DIALOG_ID_EMPTY",
    "CHAT_ID_EMPTY",
    "NOT_FOUND",
];

fn list(key: &'static str, number: &str) -> Command {
    Command::new(key, "im.chat.user.list").with("CHAT_ID", number)
}
