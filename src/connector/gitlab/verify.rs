//! Who sent a delivery, which lane it belongs to, and whether it came before. Nothing is understood here.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    connector::{Malformed, Routing, VerifyError, WebhookSecrets, in_force, lane, single},
    crypto::{check_time, fingerprint},
    domain::{CommentRef, ConnectionId, Lane},
};

/// Headers that are kept with a delivery; none of them is secret.
pub const KEPT_HEADERS: [&str; 7] = [
    "idempotency-key",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "x-gitlab-event",
    "x-gitlab-event-uuid",
    "x-gitlab-instance",
];

const SIGNATURE: &str = "webhook-signature";
const TOKEN: &str = "x-gitlab-token";

/// Checks what the headers alone tell of the sender, before a body is read: the secret token, or that a signature is there and timely.
///
/// Where a signing token is set, the signature (GitLab 19.0, Standard Webhooks) must be right: there is no falling back to the
/// secret token, which everybody who can read the traffic of one delivery knows.
///
/// # Errors
/// Says which proof is missing or wrong, for our log only.
pub fn verify_head(
    headers: &HeaderMap,
    secrets: &WebhookSecrets,
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    if in_force(&secrets.signing, now).next().is_some() {
        let (_, timestamp, _) = signed(headers)?;
        return check_time(timestamp, now).map_err(|_| VerifyError::Stale);
    }
    if in_force(&secrets.tokens, now).next().is_none() {
        return Err(VerifyError::NoSecret);
    }
    secrets.check_token(single(headers, TOKEN)?, TOKEN, now)
}

/// Checks the signature of a body whose headers [`verify_head`] accepted.
///
/// # Errors
/// Says what is wrong, for our log only.
pub fn verify_body(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &WebhookSecrets,
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    let mut keys = in_force(&secrets.signing, now).peekable();
    if keys.peek().is_none() {
        return Ok(());
    }
    let signed = signed(headers)?;
    keys.any(|key| key.verify(signed, body, now).is_ok())
        .then_some(())
        .ok_or(VerifyError::Wrong(SIGNATURE))
}

/// Returns the id, the timestamp and the list of signatures.
fn signed(headers: &HeaderMap) -> Result<(&str, &str, &str), VerifyError> {
    let text = |name| {
        single(headers, name)
            .and_then(|value| std::str::from_utf8(value).map_err(|_| VerifyError::Wrong(name)))
    };
    Ok((
        text("webhook-id")?,
        text("webhook-timestamp")?,
        text(SIGNATURE)?,
    ))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    object_kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event_name: Option<Cow<'a, str>>,
    project_id: Option<i64>,
    user_id: Option<i64>,
    #[serde(borrow)]
    object_attributes: Option<Attributes<'a>>,
    issue: Option<Issue>,
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    id: Option<i64>,
    iid: Option<i64>,
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow)]
    updated_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    note: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Issue {
    iid: i64,
}

#[derive(Deserialize)]
struct Project {
    id: i64,
}

/// Returns the lane of a delivery and the key by which a repeat of it is recognised.
///
/// The key is the sender's id of the delivery (`webhook-id`, which equals `Idempotency-Key`), else what the body says it is about.
/// `X-Gitlab-Webhook-UUID` is made anew for each request and says nothing.
///
/// # Errors
/// Fails when the body is not JSON. JSON of an unexpected shape gets a lane of its own, and is explained in the log.
pub fn route(
    connection: ConnectionId,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Routing, Malformed> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Malformed(format!("invalid UTF-8 at byte {}", error.valid_up_to())))?;
    let envelope: Option<Envelope<'_>> = match serde_json::from_str(text) {
        Ok(envelope) => Some(envelope),
        // A value that the envelope cannot hold (of another type, a number too large, half a surrogate pair) is JSON all the same.
        Err(_) => {
            serde_json::from_str::<IgnoredAny>(text).map_err(malformed)?;
            None
        }
    };
    let sender_id = ["webhook-id", "idempotency-key"]
        .into_iter()
        .find_map(|name| headers.get(name));
    let dedupe_key = match (sender_id, &envelope) {
        (Some(id), _) => fingerprint([&b"id"[..], id.as_bytes()]),
        (None, Some(envelope)) => identity(envelope, body),
        (None, None) => fingerprint([&b"body"[..], body]),
    };
    Ok(Routing {
        lane: envelope.map_or(lane(connection, &[b"unknown"]), |envelope| {
            lane_of(connection, &envelope)
        }),
        dedupe_key,
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
fn malformed(error: serde_json::Error) -> Malformed {
    // The error's own text quotes no part of the body for syntax errors, but line and column say enough.
    Malformed(format!("line {}, column {}", error.line(), error.column()))
}

fn lane_of(connection: ConnectionId, envelope: &Envelope<'_>) -> Lane {
    let project = envelope
        .project_id
        .or(envelope.project.as_ref().map(|project| project.id));
    let iid = envelope.issue.as_ref().map(|issue| issue.iid).or_else(|| {
        let kind = envelope.object_kind.as_deref()?;
        matches!(kind, "issue" | "work_item")
            .then_some(envelope.object_attributes.as_ref()?.iid)
            .flatten()
    });
    match (project, iid, envelope.user_id) {
        (Some(project), Some(iid), _) => issue_lane(connection, &project.to_string(), iid),
        (None, None, Some(user)) => lane(connection, &[b"user", &user.to_le_bytes()]),
        _ => lane(connection, &[b"tree"]),
    }
}

/// Returns the lane of an issue: of the deliveries about it, and of the comments on it.
pub fn issue_lane(connection: ConnectionId, project: &str, iid: i64) -> Lane {
    lane(
        connection,
        &[b"issue", project.as_bytes(), &iid.to_le_bytes()],
    )
}

/// Returns the lane of replies on an issue, or of other calls about one comment.
pub fn reply_lane(connection: ConnectionId, on: &CommentRef, paced: bool) -> Lane {
    if paced {
        issue_lane(connection, &on.project, on.issue)
    } else {
        lane(
            connection,
            &[b"comment", on.project.as_bytes(), on.comment.as_bytes()],
        )
    }
}

/// Returns what the body says it is: for a comment its id, version and text, else all of it.
fn identity(envelope: &Envelope<'_>, body: &[u8]) -> [u8; 16] {
    let note = envelope.object_attributes.as_ref().filter(|_| {
        envelope.object_kind.as_deref() == Some("note") && envelope.event_name.is_none()
    });
    match note {
        Some(Attributes {
            id: Some(id),
            action,
            updated_at: Some(updated_at),
            note: Some(note),
            ..
        }) => fingerprint([
            &b"note"[..],
            &id.to_le_bytes(),
            action.as_deref().unwrap_or_default().as_bytes(),
            updated_at.as_bytes(),
            note.get().as_bytes(),
        ]),
        _ => fingerprint([&b"body"[..], body]),
    }
}
