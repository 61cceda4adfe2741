//! Who sent a transaction, and which parts of it are stored as deliveries of their own. Nothing is understood here.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::form_urlencoded;

use crate::{
    connector::{
        Malformed, Routing, VerifyError, WebhookSecrets, lane,
        messenger::{Parcel, chat_lane},
        single,
    },
    crypto::{fingerprint, same_secret},
    domain::ConnectionId,
};

/// Headers that are kept with a delivery; none of them is secret.
pub const KEPT_HEADERS: [&str; 1] = ["user-agent"];
/// Most events of one transaction; Synapse sends a hundred at most.
pub const MAX_EVENTS: usize = 1000;

const HEADER: &str = "authorization";
const PARAMETER: &str = "access_token";

/// Returns the token by which a homeserver proves itself: in the header, or in the address as homeservers before Matrix 1.4 send it.
/// Where it stands in both, both must agree.
///
/// # Errors
/// Fails when there is none, when it stands somewhere twice, or when two places differ.
pub fn token<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
) -> Result<Cow<'a, [u8]>, VerifyError> {
    let in_query = in_query(query)?;
    if !headers.contains_key(header::AUTHORIZATION) {
        return in_query.ok_or(VerifyError::Missing(HEADER));
    }
    let value = single(headers, HEADER)?;
    let bearer = value
        .split_at_checked("Bearer ".len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
        .map(|(_, token)| token)
        .ok_or(VerifyError::Wrong(HEADER))?;
    match in_query {
        Some(other) if !same_secret(&other, bearer) => Err(VerifyError::Wrong(PARAMETER)),
        _ => Ok(Cow::Borrowed(bearer)),
    }
}

fn in_query(query: Option<&str>) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
    let mut found = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(name, _)| name == PARAMETER)
        .map(|(_, value)| match value {
            Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
            Cow::Owned(value) => Cow::Owned(value.into_bytes()),
        });
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(_) => Err(VerifyError::Twice(PARAMETER)),
    }
}

/// Checks a token (see [`token`]) against the secrets of a webhook.
///
/// # Errors
/// Fails when none of those in force is the same.
pub fn verify(
    given: &[u8],
    secrets: &WebhookSecrets,
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    secrets.check_token(given, HEADER, now)
}

#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

/// What is read of an event before anybody understands it.
#[derive(Deserialize)]
struct Envelope {
    event_id: String,
    room_id: String,
}

/// Takes a transaction apart: every event becomes a delivery in the lane of its room.
///
/// An event is recognised by its id, which is the same for ever. The transaction's id is not enough: it is a counter in the homeserver's
/// database, and begins anew with it. It counts only for what has no id.
///
/// # Errors
/// Fails when the body is no transaction. An event that does not read is stored as it is, so that it is in the log and keeps no other waiting.
pub fn unpack(
    connection: ConnectionId,
    transaction: &str,
    body: &Bytes,
) -> Result<Vec<Parcel>, Malformed> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Malformed(format!("invalid UTF-8 at byte {}", error.valid_up_to())))?;
    let read: Transaction<'_> = serde_json::from_str(text).map_err(|error| {
        // The error's own text may quote a value.
        Malformed(format!("line {}, column {}", error.line(), error.column()))
    })?;
    let parcel = |(index, event): (usize, &&RawValue)| {
        let raw = event.get().as_bytes();
        let routing = match serde_json::from_str::<Envelope>(event.get()) {
            Ok(envelope) => Routing {
                lane: chat_lane(connection, &envelope.room_id),
                dedupe_key: fingerprint([&b"event"[..], envelope.event_id.as_bytes()]),
            },
            Err(_) => Routing {
                lane: lane(connection, &[b"unknown"]),
                dedupe_key: fingerprint([
                    &b"part"[..],
                    transaction.as_bytes(),
                    &index.to_le_bytes(),
                    raw,
                ]),
            },
        };
        Parcel {
            routing,
            body: body.slice_ref(raw),
        }
    };
    Ok(read.events.iter().enumerate().map(parcel).collect())
}
