//! The outside systems: one folder each.
//!
//! In every folder `verify`, `wire`, `decode` and `render` are pure; `client` alone makes calls, through `egress`.

pub mod bitrix24;
pub mod gitlab;
pub mod hook;
pub mod matrix;
pub mod messenger;
pub mod oidc;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::{SigningKey, same_secret},
    domain::{ConnectionId, Lane},
};

/// What a webhook's sender must prove to know.
#[derive(Debug, Default, Clone)]
pub struct WebhookSecrets {
    /// Shared tokens, each with the moment it ends.
    pub tokens: Vec<(SecretString, Option<DateTime<Utc>>)>,
    /// Signing keys, each with the moment it ends.
    pub signing: Vec<(SigningKey, Option<DateTime<Utc>>)>,
    /// Who the sender must say to be, where the connection is pinned to one: the `member_id` of a Bitrix24 portal.
    pub sender: Option<String>,
}

impl WebhookSecrets {
    /// Checks a shared token against those in force.
    fn check_token(
        &self,
        given: &[u8],
        name: &'static str,
        now: DateTime<Utc>,
    ) -> Result<(), VerifyError> {
        // All are compared, so that the time does not tell which one was right.
        let right = in_force(&self.tokens, now).fold(false, |right, token| {
            right | same_secret(given, token.expose_secret().as_bytes())
        });
        right.then_some(()).ok_or(VerifyError::Wrong(name))
    }
}

/// Returns the secrets that have not ended.
fn in_force<T>(
    secrets: &[(T, Option<DateTime<Utc>>)],
    now: DateTime<Utc>,
) -> impl Iterator<Item = &T> {
    secrets
        .iter()
        .filter(move |(_, until)| until.is_none_or(|until| now < until))
        .map(|(secret, _)| secret)
}

/// Why a delivery is not believed. The sender is told no more than "unauthorized".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header or field that proves something is missing.
    #[error("the request carries no proof of its sender: {0} is missing")]
    Missing(&'static str),
    /// A header that proves something stands there twice.
    #[error("{0} stands there more than once")]
    Twice(&'static str),
    /// The proof is wrong.
    #[error("{0} does not match")]
    Wrong(&'static str),
    /// The signed moment is too far from now.
    #[error("the signature is too old or from the future: check the clocks")]
    Stale,
    /// The webhook has no secret in force.
    #[error("the webhook has no secret in force: rotate it")]
    NoSecret,
    /// The body that holds the proof does not read.
    #[error("the body that holds the proof does not read: {0}")]
    Unreadable(String),
}

/// What intake needs to know of a delivery before anybody understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Deliveries of one lane are processed in order.
    pub lane: Lane,
    /// Tells a repeat from a new delivery, within one webhook.
    pub dedupe_key: [u8; 16],
}

/// The body is not what its content type says.
#[derive(Debug, thiserror::Error)]
#[error("the body does not read: {0}")]
pub struct Malformed(pub String);

/// A stored delivery does not read as its sender documents it.
#[derive(Debug, thiserror::Error)]
#[error("the body is not as documented at {path}: {problem}")]
pub struct DecodeError {
    /// Where in the body.
    pub path: String,
    /// What is wrong there; never the value itself.
    pub problem: String,
}

/// Headers of a stored delivery, by lower-case name.
pub type StoredHeaders = BTreeMap<String, String>;

/// Returns the only value of a header.
///
/// # Errors
/// A header that proves something must stand there exactly once, or another reader of the request could see another value.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a [u8], VerifyError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(VerifyError::Missing(name))?;
    match values.next() {
        None => Ok(value.as_bytes()),
        Some(_) => Err(VerifyError::Twice(name)),
    }
}

/// Returns the lane for the thing that `parts` name on a connection.
fn lane(connection: ConnectionId, parts: &[&[u8]]) -> Lane {
    let connection = connection.0.to_le_bytes();
    let print = crate::crypto::fingerprint(
        std::iter::once(connection.as_slice()).chain(parts.iter().copied()),
    );
    Lane(
        print
            .first_chunk()
            .map_or(0, |bytes| i64::from_le_bytes(*bytes)),
    )
}
