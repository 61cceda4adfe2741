//! Users: their profiles, and with an administrator's token their addresses.

use serde::Deserialize;

use super::{ADMIN_1, ADMIN_2, CallError, Client, Request};
use crate::connector::{
    matrix::{server_of, username},
    messenger::UserFacts,
};

#[derive(Deserialize)]
struct WireProfile {
    #[serde(default)]
    displayname: Option<String>,
}

#[derive(Deserialize)]
struct WireAccount {
    #[serde(default)]
    deactivated: bool,
    #[serde(default)]
    is_guest: Flag,
    user_type: Option<String>,
    #[serde(default)]
    threepids: Vec<WireAddress>,
}

/// Synapse says 0 and 1 for some of its booleans.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Flag {
    #[default]
    Absent,
    Boolean(bool),
    Number(i64),
}

impl Flag {
    fn is_set(&self) -> bool {
        matches!(self, Self::Boolean(true)) || matches!(self, Self::Number(number) if *number != 0)
    }
}

#[derive(Deserialize)]
struct WireAddress {
    medium: String,
    address: String,
}

#[derive(Deserialize)]
struct WireUser {
    user_id: String,
}

impl Client {
    /// Returns a user as he is now. Addresses are known with an administrator's token only; the homeserver verified them.
    pub(super) async fn facts(&self, user: &str) -> Result<Option<UserFacts>, CallError> {
        if !self.is_reachable(user).await? {
            return Ok(None);
        }
        let bot = self.bot_id().await?;
        let path = ["profile", user];
        let profile: Option<WireProfile> = self.find(Request::get("GET profile", &path)).await?;
        let account = self.account_of(user).await?;
        if profile.is_none() && account.is_none() {
            return Ok(None);
        }
        let name = profile.and_then(|profile| profile.displayname);
        let mut facts = UserFacts {
            username: username(user, bot),
            name: name.unwrap_or_default(),
            email: None,
            active: true,
            is_bot: user == bot,
            is_guest: server_of(user) != server_of(bot),
            remote_id: user.to_owned(),
        };
        if let Some(account) = account {
            let emails = account
                .threepids
                .into_iter()
                .filter(|known| known.medium == "email");
            facts.email = emails.map(|known| known.address).next();
            facts.active = !account.deactivated;
            facts.is_bot |= account.user_type.as_deref() == Some("bot");
            facts.is_guest |= account.is_guest.is_set();
        }
        Ok(Some(facts))
    }

    async fn account_of(&self, user: &str) -> Result<Option<WireAccount>, CallError> {
        let is_own = server_of(user) == server_of(self.bot_id().await?);
        if self.settings.admin_token.is_none() || !is_own {
            return Ok(None);
        }
        let path = ["users", user];
        let mut request = Request::get("GET account", &path);
        request.api = ADMIN_2;
        Ok(self.find(request).await?)
    }

    /// Returns the id of the user with an address that the homeserver verified.
    pub(super) async fn by_email(&self, email: &str) -> Result<Option<String>, CallError> {
        if self.settings.admin_token.is_none() {
            return Ok(None);
        }
        // Synapse keeps addresses in lower case.
        let email = email.to_lowercase();
        let path = ["threepid", "email", "users", &email];
        let mut request = Request::get("GET user by address", &path);
        request.api = ADMIN_1;
        let found: Option<WireUser> = self.find(request).await?;
        Ok(found.map(|user| user.user_id))
    }
}
