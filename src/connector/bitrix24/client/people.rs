//! Who is who in the portal.

use serde_json::json;

use super::{Access, CallError, Client};
use crate::{
    connector::{
        bitrix24::wire::{Profile, User, is_id},
        messenger::UserFacts,
    },
    domain::RemoteUser,
};

/// What is asked about a user.
const FIELDS: [&str; 6] = ["ID", "ACTIVE", "EMAIL", "NAME", "LAST_NAME", "USER_TYPE"];

#[derive(serde::Deserialize)]
struct BotAnswer {
    bot: BotFacts,
}

#[derive(serde::Deserialize)]
struct BotFacts {
    code: String,
}

impl From<User> for UserFacts {
    fn from(user: User) -> Self {
        let is_guest = user.kind.as_deref() != Some("employee");
        let names = [user.name, user.last_name];
        let names: Vec<String> = names.into_iter().flatten().collect();
        Self {
            username: user.id.0.clone(),
            remote_id: user.id.0,
            name: names.join(" ").trim().to_owned(),
            // The address of an employee is what the portal sends his letters to. Guests give theirs themselves.
            email: user
                .email
                .filter(|email| !is_guest && user.active && !email.is_empty()),
            active: user.active,
            is_bot: false,
            is_guest,
        }
    }
}

impl Client {
    /// Returns who answers in chats: the bot, or the account of the webhook where there is no bot.
    pub(super) async fn ask_whoami(&self) -> Result<RemoteUser, CallError> {
        if let (Some(bot), Some(body)) = (&self.0.bot, self.as_bot(json!({}))) {
            let answer: BotAnswer = self.read("imbot.v2.Bot.get", body).await?;
            return Ok(RemoteUser {
                id: bot.id.clone(),
                name: answer.bot.code.clone(),
                username: answer.bot.code,
                is_bot: true,
            });
        }
        let profile: Profile = self.read("profile", json!({})).await?;
        Ok(RemoteUser {
            username: profile.id.0.clone(),
            id: profile.id.0,
            name: profile.name,
            is_bot: false,
        })
    }

    /// Returns the id of the account that calls are made with.
    pub(super) async fn account(&self) -> Result<&str, CallError> {
        let ask = async || {
            let profile: Profile = self.read("profile", json!({})).await?;
            Ok::<_, CallError>(profile.id.0)
        };
        match &self.0.access {
            Access::Webhook { user, .. } => Ok(user),
            Access::OAuth(_) => self
                .0
                .account
                .get_or_try_init(ask)
                .await
                .map(String::as_str),
        }
    }

    pub(super) async fn ask_user(&self, user: &str) -> Result<Option<UserFacts>, CallError> {
        if !is_id(user) {
            return Ok(None);
        }
        let body = json!({ "FILTER": { "ID": user }, "select": FIELDS });
        let users: Vec<User> = self.read("user.get", body).await?;
        let found = users.into_iter().find(|found| found.id.0 == user);
        Ok(found.map(UserFacts::from))
    }

    /// Returns the one active employee with an address; none where several have it, since then it proves nobody.
    pub(super) async fn ask_user_by_email(&self, email: &str) -> Result<Option<String>, CallError> {
        let filter = json!({ "EMAIL": email, "ACTIVE": true, "USER_TYPE": "employee" });
        let body = json!({ "FILTER": filter, "select": FIELDS });
        let users: Vec<User> = self.read("user.get", body).await?;
        // What the filter did is looked at again: a field that the portal does not know is left out without a word.
        let mut found = users
            .into_iter()
            .map(UserFacts::from)
            .filter(|user| user.active && !user.is_guest)
            .filter(|user| {
                let has = user.email.as_deref();
                has.is_some_and(|has| has.to_lowercase() == email.to_lowercase())
            });
        match (found.next(), found.next()) {
            (Some(user), None) => Ok(Some(user.remote_id)),
            _ => Ok(None),
        }
    }
}
