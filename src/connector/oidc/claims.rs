//! What an OpenID provider says of somebody, and whether it may be believed. Pure.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::crypto::{digest, same_secret};

/// How far the provider's clock may be from ours.
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// What a sign-in begins with: a secret that stays in the browser, from which all else follows, so that nothing needs to be stored here.
pub(super) struct Beginning<'a>(pub(super) &'a str);

impl Beginning<'_> {
    fn part(&self, purpose: &str) -> String {
        URL_SAFE_NO_PAD.encode(digest(format!("{purpose}:{}", self.0).as_bytes()))
    }

    /// Returns what ties the provider's answer to the browser that asked.
    pub(super) fn state(&self) -> String {
        self.part("state")
    }

    /// Returns what ties the token to this sign-in.
    pub(super) fn nonce(&self) -> String {
        self.part("nonce")
    }

    /// Returns what proves to the provider that whoever asks for the token is who began (RFC 7636).
    pub(super) fn verifier(&self) -> String {
        self.part("verifier")
    }

    /// Returns what the provider is told of the verifier beforehand.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(self.verifier().as_bytes()))
    }
}

/// Who signed in at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// His immutable id there.
    pub subject: String,
    /// His e-mail address, where the provider vouches for it.
    pub verified_email: Option<String>,
}

/// Why an id token is not believed; never what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It is no token of the form that OpenID Connect gives.
    #[error("the id token cannot be read")]
    Unreadable,
    /// Somebody else issued it.
    #[error("the id token is from another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the id token is for another client")]
    Audience,
    /// It has ended, or is not from now.
    #[error("the id token is not in force: check the clocks")]
    Time,
    /// It answers another sign-in.
    #[error("the id token belongs to another sign-in")]
    Nonce,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    #[serde(default)]
    nonce: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

/// Reads an id token that came straight from the provider over TLS, which stands for its signature (OpenID Connect Core 3.1.3.7, 6).
pub(super) fn read(
    token: &str,
    (issuer, client): (&str, &str),
    nonce: &str,
    now: DateTime<Utc>,
) -> Result<Claims, ClaimError> {
    let payload = token.split('.').nth(1).ok_or(ClaimError::Unreadable)?;
    let payload = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| ClaimError::Unreadable)?;
    let claims: Payload = serde_json::from_slice(&payload).map_err(|_| ClaimError::Unreadable)?;
    if claims.iss.trim_end_matches('/') != issuer.trim_end_matches('/') {
        return Err(ClaimError::Issuer);
    }
    let is_for_us = match &claims.aud {
        Audience::One(one) => one == client,
        Audience::Many(many) => {
            many.iter().any(|one| one == client)
                && (many.len() == 1 || claims.azp.as_deref() == Some(client))
        }
    };
    if !is_for_us || claims.azp.as_deref().is_some_and(|azp| azp != client) {
        return Err(ClaimError::Audience);
    }
    let at = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(ClaimError::Time);
    if at(claims.exp)? <= now - SKEW || at(claims.iat)? > now + SKEW {
        return Err(ClaimError::Time);
    }
    if !same_secret(claims.nonce.as_bytes(), nonce.as_bytes()) {
        return Err(ClaimError::Nonce);
    }
    Ok(Claims {
        verified_email: claims.email.filter(|_| claims.email_verified),
        subject: claims.sub,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": "https://id.example.com", "sub": "7", "aud": "liaison", "exp": 2000, "iat": 1000, "nonce": "n",
            "email": "ann@example.com", "email_verified": true,
        });
        change(&mut claims);
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn claims(token: &str) -> Result<Claims, ClaimError> {
        let now = DateTime::from_timestamp(1500, 0).unwrap();
        read(token, ("https://id.example.com/", "liaison"), "n", now)
    }

    #[test]
    fn only_a_token_of_this_sign_in_is_believed() {
        let ann = Claims {
            subject: "7".into(),
            verified_email: Some("ann@example.com".into()),
        };
        assert_eq!(claims(&token(|_| {})), Ok(ann.clone()));
        assert_eq!(claims(&token(|c| c["aud"] = json!(["liaison"]))), Ok(ann));
        for (field, value, expected) in [
            ("iss", json!("https://evil.example"), ClaimError::Issuer),
            ("aud", json!("other"), ClaimError::Audience),
            ("aud", json!(["liaison", "other"]), ClaimError::Audience),
            ("azp", json!("other"), ClaimError::Audience),
            ("exp", json!(1400), ClaimError::Time),
            ("iat", json!(1600), ClaimError::Time),
            ("nonce", json!("m"), ClaimError::Nonce),
            ("sub", Value::Null, ClaimError::Unreadable),
        ] {
            assert_eq!(
                claims(&token(|c| c[field] = value)),
                Err(expected),
                "{field}"
            );
        }
        assert_eq!(claims("nonsense"), Err(ClaimError::Unreadable));
        let unverified = claims(&token(|c| c["email_verified"] = json!(false))).unwrap();
        assert_eq!(unverified.verified_email, None);
    }

    #[test]
    fn the_parts_of_a_beginning_differ() {
        let beginning = Beginning("secret");
        let parts = [
            beginning.state(),
            beginning.nonce(),
            beginning.verifier(),
            beginning.challenge(),
        ];
        for (place, part) in parts.iter().enumerate() {
            assert_eq!(part.len(), 43);
            assert!(!parts[place + 1..].contains(part));
        }
    }
}
