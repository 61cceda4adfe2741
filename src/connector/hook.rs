//! How each kind of system sends its deliveries: content type, proof, lane and repeat key. Intake asks here and knows no system.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, header, request::Parts};

use super::{Malformed, Routing, VerifyError, WebhookSecrets, bitrix24, gitlab};
use crate::domain::{ConnectionId, ConnectionKind};

/// Returns whether a system of this kind sends its deliveries with the content type of `headers`.
pub fn is_readable(kind: ConnectionKind, headers: &HeaderMap) -> bool {
    let expected = match kind {
        ConnectionKind::Bitrix24 => "application/x-www-form-urlencoded",
        _ => "application/json",
    };
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|given| given.trim().eq_ignore_ascii_case(expected))
}

/// Checks what the headers alone tell of the sender, before a body is read.
///
/// # Errors
/// Says which proof is missing or wrong, for our log only. Kinds that send no webhooks are never believed.
pub fn verify_head(
    kind: ConnectionKind,
    headers: &HeaderMap,
    secrets: &WebhookSecrets,
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    match kind {
        ConnectionKind::Gitlab => gitlab::verify_head(headers, secrets, now),
        // The proof is in the body.
        ConnectionKind::Bitrix24 => Ok(()),
        _ => Err(VerifyError::NoSecret),
    }
}

/// Checks the proof that is about or in the body, or that the address carries, after [`verify_head`] accepted the headers.
///
/// # Errors
/// Says what is wrong, for our log only.
pub fn verify_body(
    kind: ConnectionKind,
    (head, body): (&Parts, &[u8]),
    secrets: &WebhookSecrets,
    now: DateTime<Utc>,
) -> Result<(), VerifyError> {
    match kind {
        ConnectionKind::Gitlab => gitlab::verify_body(&head.headers, body, secrets, now),
        ConnectionKind::Bitrix24 => bitrix24::verify_body(body, head.uri.query(), secrets, now),
        _ => Err(VerifyError::NoSecret),
    }
}

/// Returns the lane of a proven delivery and the key by which a repeat of it is recognised.
///
/// # Errors
/// Fails when the body is not what its content type says.
pub fn route(
    (kind, connection): (ConnectionKind, ConnectionId),
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Routing, Malformed> {
    match kind {
        ConnectionKind::Bitrix24 => bitrix24::route(connection, body),
        _ => gitlab::route(connection, headers, body),
    }
}

/// Returns the headers that are kept with a delivery; none of them is secret.
pub fn kept_headers(kind: ConnectionKind) -> &'static [&'static str] {
    match kind {
        ConnectionKind::Bitrix24 => &bitrix24::KEPT_HEADERS,
        _ => &gitlab::KEPT_HEADERS,
    }
}

/// Returns a proven body as it may be stored: without the secrets that some systems send in it.
pub fn stored_body(kind: ConnectionKind, body: Bytes) -> Bytes {
    match kind {
        ConnectionKind::Bitrix24 => bitrix24::without_secrets(&body),
        _ => body,
    }
}
