//! Who is in a room, and who put him there.

use std::sync::PoisonError;

use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{CallError, Client, Denied, Request, chat::LEADS};
use crate::connector::{
    matrix::{
        localpart_of, server_of,
        wire::{MemberContent, MemberEvent, Unsigned},
    },
    messenger::{Member, Presence, Put, Refusal, Told},
};

/// Questions about memberships of one room that are under way at a time.
const AT_ONCE: usize = 8;
/// Most memberships whose inviters are remembered.
const REMEMBERED: usize = 100_000;
/// Changes of a profile that are looked past to find out who invited somebody.
const STEPS: usize = 10;

#[derive(Deserialize)]
struct WireMembers {
    chunk: Vec<MemberEvent>,
}

#[derive(Deserialize)]
struct WireEmpty {}

impl Client {
    /// Returns who is in a room or asked to come.
    pub(super) async fn all_members(&self, chat: &str) -> Told<Vec<Member>> {
        let bot = self.bot_id().await?;
        let path = ["rooms", chat, "members"];
        let mut request = Request::get("GET members", &path);
        request.query = &[("not_membership", "leave")];
        let found: WireMembers = match self.read(request).await {
            Ok(found) => found,
            Err(denied) if denied.is_refusal() => return Ok(Err(Refusal::ChatGone)),
            Err(denied) => return Err(denied.into()),
        };
        // Who was in a room may read who was there when he left: that is not now.
        let is_here =
            |event: &MemberEvent| event.state_key == bot && event.content.membership == "join";
        if !found.chunk.iter().any(is_here) {
            return Ok(Err(Refusal::ChatGone));
        }
        let levels = self.levels(chat).await?;
        let here = found.chunk.into_iter().filter_map(|event| {
            let presence = match event.content.membership.as_str() {
                "join" => Presence::Joined,
                "invite" => Presence::Invited,
                _ => return None,
            };
            Some((event, presence))
        });
        let asked = here.map(|(event, presence)| async move {
            let added_by = self.added_by(chat, &event).await?;
            Ok::<_, CallError>((event, presence, added_by))
        });
        let asked: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let member =
            |(event, presence, added_by): (MemberEvent, Presence, Option<String>)| Member {
                is_bot: event.state_key == bot,
                is_admin: event.state_key != bot && levels.of(&event.state_key) >= LEADS,
                is_guest: server_of(&event.state_key) != server_of(bot)
                    || event.content.kind.as_deref() == Some("guest"),
                name: event.content.displayname.unwrap_or_default(),
                remote_id: event.state_key,
                presence,
                added_by,
            };
        Ok(Ok(asked.into_iter().map(member).collect()))
    }

    /// Returns who invited somebody, asked once for each membership.
    async fn added_by(&self, chat: &str, event: &MemberEvent) -> Result<Option<String>, CallError> {
        if event.content.membership == "invite" {
            return Ok(Some(event.sender.clone()));
        }
        let known = || self.inviters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inviter) = known().get(&event.event_id) {
            return Ok(inviter.clone());
        }
        let inviter = self.ask_inviter(chat, event).await?;
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(event.event_id.clone(), inviter.clone());
        Ok(inviter)
    }

    /// Looks for an invitation: it stands before the joining, and before the changes of the profile since.
    async fn ask_inviter(
        &self,
        chat: &str,
        event: &MemberEvent,
    ) -> Result<Option<String>, CallError> {
        let mut before = event.unsigned.as_ref().map(Step::of);
        for _ in 0..STEPS {
            match before {
                Some(Step::Found(sender)) => return Ok(Some(sender)),
                Some(Step::Ask(id)) => {
                    let path = ["rooms", chat, "event", &id];
                    let asked = self
                        .find::<MemberEvent>(Request::get("GET event", &path))
                        .await;
                    before = match asked {
                        Ok(Some(event)) => Some(Step::after(&event)),
                        // The bot may not see what was before it came.
                        Ok(None) => None,
                        Err(denied) if denied.is_refusal() => None,
                        Err(denied) => return Err(denied.into()),
                    };
                }
                Some(Step::Nobody) | None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Asks somebody to come.
    pub(super) async fn invite(
        &self,
        chat: &str,
        user: &str,
        show_history: bool,
    ) -> Result<Put, CallError> {
        if !self.is_reachable(user).await? {
            return Ok(Put::Refused(Refusal::UnknownUser));
        }
        match self.membership(chat, user).await? {
            Ok(Some(there)) => match there.membership.as_str() {
                "join" | "invite" => return Ok(Put::AlreadySo),
                "ban" => return Ok(Put::Refused(Refusal::Banned)),
                _ => {}
            },
            Ok(None) => {}
            Err(refusal) => return Ok(Put::Refused(refusal)),
        }
        if !show_history && self.shows_past(chat).await? {
            return Ok(Put::Refused(Refusal::CannotHideHistory));
        }
        if !self.exists(user).await? {
            return Ok(Put::Refused(Refusal::UnknownUser));
        }
        let path = ["rooms", chat, "invite"];
        let body = json!({ "user_id": user });
        let sent = self
            .send(Request::write("POST invite", Method::POST, &path, body))
            .await;
        match sent {
            // Somebody else was faster.
            Err(denied) if denied.is_refusal() && self.is_there(chat, user).await? => {
                Ok(Put::AlreadySo)
            }
            sent => self.put(chat, sent.map(drop)).await,
        }
    }

    /// Has somebody leave, or takes his invitation back.
    pub(super) async fn kick(&self, chat: &str, user: &str) -> Result<Put, CallError> {
        // The homeserver would let it, and the room would be out of reach.
        if user == self.bot_id().await? {
            return Ok(Put::Refused(Refusal::NoRight));
        }
        match self.membership(chat, user).await? {
            Ok(Some(there)) if matches!(there.membership.as_str(), "join" | "invite" | "knock") => {
            }
            Ok(_) => return Ok(Put::AlreadySo),
            Err(refusal) => return Ok(Put::Refused(refusal)),
        }
        let path = ["rooms", chat, "kick"];
        let body = json!({ "user_id": user });
        let sent = self
            .send(Request::write("POST kick", Method::POST, &path, body))
            .await;
        match sent {
            Err(denied) if denied.is_refusal() && self.is_in(chat).await? => {
                // "Not in the room" and "no right" have one error code: the state tells them apart.
                if self.is_there(chat, user).await? {
                    Ok(Put::Refused(Refusal::NoRight))
                } else {
                    Ok(Put::AlreadySo)
                }
            }
            sent => self.put(chat, sent.map(drop)).await,
        }
    }

    /// Has the bot join a room.
    pub(super) async fn join(&self, chat: &str) -> Result<Put, CallError> {
        if self.is_in(chat).await? {
            return Ok(Put::AlreadySo);
        }
        let path = ["join", chat];
        let request = Request::write("POST join", Method::POST, &path, json!({}));
        match self.send(request).await {
            Ok(_) => Ok(Put::Done),
            Err(denied) if denied.is_refusal() => Ok(Put::Refused(Refusal::ChatGone)),
            Err(denied) => Err(denied.into()),
        }
    }

    /// Returns somebody's membership, [`Refusal::ChatGone`] where the bot cannot see the room.
    pub(super) async fn membership(&self, chat: &str, user: &str) -> Told<Option<MemberContent>> {
        let path = ["rooms", chat, "state", "m.room.member", user];
        match self.find(Request::get("GET membership", &path)).await {
            Ok(found) => Ok(Ok(found)),
            Err(denied) if denied.is_refusal() => Ok(Err(Refusal::ChatGone)),
            Err(denied) => Err(denied.into()),
        }
    }

    async fn is_there(&self, chat: &str, user: &str) -> Result<bool, CallError> {
        let found = self.membership(chat, user).await?;
        let is = |there: &MemberContent| matches!(there.membership.as_str(), "join" | "invite");
        Ok(found.is_ok_and(|found| found.as_ref().is_some_and(is)))
    }

    /// Returns whether the bot is in a room.
    pub(super) async fn is_in(&self, chat: &str) -> Result<bool, CallError> {
        let bot = self.bot_id().await?;
        let found = self.membership(chat, bot).await?;
        let is = |there: &MemberContent| there.membership == "join";
        Ok(found.is_ok_and(|found| found.as_ref().is_some_and(is)))
    }

    /// Returns whether who comes now could read what was written before.
    async fn shows_past(&self, chat: &str) -> Result<bool, CallError> {
        #[derive(Deserialize)]
        struct Visibility {
            history_visibility: String,
        }
        let path = ["rooms", chat, "state", "m.room.history_visibility"];
        let found: Result<Option<Visibility>, Denied> = self
            .find(Request::get("GET history visibility", &path))
            .await;
        // Without a rule, everything is shown to everybody in the room.
        Ok(found?
            .is_none_or(|found| !matches!(found.history_visibility.as_str(), "joined" | "invited")))
    }

    /// Returns whether a text is the id of a user whom the bot may ask for: of its own homeserver, unless others may come too.
    pub(super) async fn is_reachable(&self, user: &str) -> Result<bool, CallError> {
        let own = server_of(self.bot_id().await?);
        let is_near = self.settings.federate || server_of(user) == own;
        Ok(localpart_of(user).is_some() && is_near)
    }

    /// Returns whether there is such a user. An invitation of nobody would wait for ever.
    pub(super) async fn exists(&self, user: &str) -> Result<bool, CallError> {
        let path = ["profile", user];
        match self
            .find::<WireEmpty>(Request::get("GET profile", &path))
            .await
        {
            Ok(found) => Ok(found.is_some()),
            // A homeserver that shows no profiles: the invitation will tell.
            Err(denied) if denied.is_refusal() => Ok(true),
            Err(denied) => Err(denied.into()),
        }
    }
}

/// What stands before a membership.
enum Step {
    /// An invitation by this user.
    Found(String),
    /// Something that has to be asked for.
    Ask(String),
    /// Nothing: he came by himself.
    Nobody,
}

impl Step {
    fn of(unsigned: &Unsigned) -> Self {
        let before = unsigned
            .prev_content
            .as_ref()
            .map(|content| content.membership.as_str());
        match (before, &unsigned.prev_sender, &unsigned.replaces_state) {
            (Some("invite"), Some(sender), _) => Self::Found(sender.clone()),
            // Homeservers other than Synapse do not say what was before.
            (None | Some("invite" | "join"), _, Some(id)) => Self::Ask(id.clone()),
            _ => Self::Nobody,
        }
    }

    /// Returns what an event says that was asked for: it is the invitation, or something before it is.
    fn after(event: &MemberEvent) -> Self {
        match event.content.membership.as_str() {
            "invite" => Self::Found(event.sender.clone()),
            "join" => event.unsigned.as_ref().map_or(Self::Nobody, Self::of),
            _ => Self::Nobody,
        }
    }
}
