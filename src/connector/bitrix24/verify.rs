//! Who sent a delivery, which lane it belongs to, whether it came before, and what of it may be stored. Nothing is understood here.
//!
//! Bitrix24 signs nothing: the only proof is the secret in `auth[application_token]`, which stands in the body. Whoever has seen one delivery can
//! send others, so what a delivery says is only ever a reason to look.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use url::form_urlencoded;

use super::form::Node;
use crate::{
    connector::{
        Malformed, Routing, VerifyError, WebhookSecrets, in_force, lane, messenger::chat_lane,
    },
    crypto::fingerprint,
    domain::{ConnectionId, Lane},
};

/// Headers that are kept with a delivery; none of them is secret.
pub const KEPT_HEADERS: [&str; 2] = ["content-type", "user-agent"];

const TOKEN: &str = "auth[application_token]";
const MEMBER: &str = "auth[member_id]";
const QUERY_TOKEN: &str = "token";

/// Fields whose values let somebody call the portal or us.
const SECRET_FIELDS: [&str; 4] = [
    "application_token",
    "access_token",
    "refresh_token",
    "client_secret",
];

/// Checks the token that the body carries, and that the pinned portal sent it.
///
/// Events of bots have a second token in `data[bot][auth]`; it is the application's that registered the bot, and proves nothing here. A bot that
/// an inbound webhook registered has a token of the portal's making, which nobody is shown: the address that it is registered with
/// carries ours instead, as `?token=`.
///
/// # Errors
/// Says what is wrong, for our log only.
pub fn verify_body(
    body: &[u8],
    query: Option<&str>,
    secrets: &WebhookSecrets,
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    if in_force(&secrets.tokens, now).next().is_none() {
        return Err(VerifyError::NoSecret);
    }
    let form = Node::parse(body).map_err(|error| VerifyError::Unreadable(error.to_string()))?;
    let in_query = query.and_then(|query| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find_map(|(name, value)| (name == QUERY_TOKEN).then_some(value))
    });
    match (in_query, form.text(&["auth", "application_token"])) {
        (Some(given), _) => secrets.check_token(given.as_bytes(), "token in the address", now)?,
        (None, Some(given)) => secrets.check_token(given.as_bytes(), TOKEN, now)?,
        (None, None) => return Err(VerifyError::Missing(TOKEN)),
    }
    let Some(pinned) = &secrets.sender else {
        return Ok(());
    };
    let member = form
        .text(&["auth", "member_id"])
        .ok_or(VerifyError::Missing(MEMBER))?;
    (member == pinned)
        .then_some(())
        .ok_or(VerifyError::Wrong(MEMBER))
}

/// Returns the id of the portal that says to have sent a body.
pub fn sender(body: &[u8]) -> Option<String> {
    let form = Node::parse(body).ok()?;
    form.text(&["auth", "member_id"]).map(str::to_owned)
}

/// Returns the lane of a delivery and the key by which a repeat of it is recognised: what it says, without the proof, which may change between
/// two attempts to send the same.
///
/// # Errors
/// Fails on a form that is larger than any event.
pub fn route(connection: ConnectionId, body: &[u8]) -> Result<Routing, Malformed> {
    let form = Node::parse(body).map_err(|error| Malformed(error.to_string()))?;
    let text = |path: &[&str]| form.text(path).unwrap_or_default().as_bytes();
    let data = form.at(&["data"]).map(Node::canonical).unwrap_or_default();
    Ok(Routing {
        lane: lane_of(connection, &form),
        dedupe_key: fingerprint([
            &b"bitrix24"[..],
            text(&["event"]),
            text(&["event_handler_id"]),
            data.as_bytes(),
            text(&["ts"]),
        ]),
    })
}

fn lane_of(connection: ConnectionId, form: &Node) -> Lane {
    let chat = [&["data", "chat", "id"][..], &["data", "PARAMS", "CHAT_ID"]]
        .into_iter()
        .find_map(|path| form.text(path));
    if let Some(chat) = chat {
        return chat_lane(connection, chat);
    }
    match form.text(&["data", "FIELDS", "ID"]) {
        // Ids count per type, which is in the event's name or beside the id. Types that share a lane only wait for each other.
        Some(item) => lane(connection, &[b"item", item.as_bytes()]),
        None => lane(connection, &[b"portal"]),
    }
}

/// Returns a proven body without the tokens that it carries, as it may be stored and shown.
pub fn without_secrets(body: &[u8]) -> Bytes {
    let is_secret = |key: &str| {
        key.split(['[', ']'])
            .any(|part| SECRET_FIELDS.contains(&part.to_ascii_lowercase().as_str()))
    };
    let kept = form_urlencoded::parse(body).filter(|(key, _)| !is_secret(key));
    form_urlencoded::Serializer::new(String::with_capacity(body.len()))
        .extend_pairs(kept)
        .finish()
        .into()
}
