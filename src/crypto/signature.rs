//! Webhook signatures of the Standard Webhooks specification 1.0, which GitLab follows from 19.0 on.
//!
//! The signed text is `id.timestamp.body`, the key what follows `whsec_` in base64, the header a list of
//! `v1,<base64 of HMAC-SHA256>` separated by blanks.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

/// How far the sender's clock may be from ours, in either direction.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// The key of a signing token.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

/// Why a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signing token is not `whsec_` and base64.
    #[error("a signing token must be \"whsec_\" followed by base64")]
    MalformedKey,
    /// The timestamp is no number or too far from now.
    #[error("the signed timestamp is missing or more than five minutes away")]
    Timestamp,
    /// No signature of the list is right.
    #[error("no signature matches")]
    Mismatch,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// Returns the key of a signing token (`whsec_…`).
    ///
    /// # Errors
    /// Fails on another prefix, on text that is not base64, and on an empty key.
    pub fn parse(token: &SecretString) -> Result<Self, SignatureError> {
        let encoded = token
            .expose_secret()
            .strip_prefix("whsec_")
            .ok_or(SignatureError::MalformedKey)?;
        let key = Zeroizing::new(
            STANDARD
                .decode(encoded)
                .map_err(|_| SignatureError::MalformedKey)?,
        );
        if key.is_empty() {
            return Err(SignatureError::MalformedKey);
        }
        Hmac::new_from_slice(&key)
            .map(Self)
            .map_err(|_| SignatureError::MalformedKey)
    }

    /// Checks the headers of a delivery against its raw body.
    ///
    /// # Errors
    /// Fails on a timestamp outside [`TOLERANCE`] and unless one of `signatures` is right.
    pub fn verify(
        &self,
        (id, timestamp, signatures): (&str, &str, &str),
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), SignatureError> {
        check_time(timestamp, now)?;
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|encoded| STANDARD.decode(encoded).ok())
            .any(|signature| mac.clone().verify_slice(&signature).is_ok())
            .then_some(())
            .ok_or(SignatureError::Mismatch)
    }
}

/// Checks that a signed timestamp (epoch seconds) is within [`TOLERANCE`] of `now`.
///
/// # Errors
/// Fails with [`SignatureError::Timestamp`].
pub fn check_time(timestamp: &str, now: DateTime<Utc>) -> Result<(), SignatureError> {
    timestamp
        .parse()
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .filter(|sent| (now - sent).abs() <= TOLERANCE)
        .map(drop)
        .ok_or(SignatureError::Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Standard Webhooks specification's reference libraries.
    const TOKEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn verify(
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        late: i64,
    ) -> Result<(), SignatureError> {
        let now = DateTime::from_timestamp(1_614_265_330 + late, 0).unwrap();
        SigningKey::parse(&TOKEN.into())
            .unwrap()
            .verify((id, timestamp, signatures), body, now)
    }

    #[test]
    fn accepts_the_right_signature_alone() {
        let time = "1614265330";
        let list = format!("v1,AAAA v2,zzz {SIGNATURE}");
        let hex = "v1,834c7cf52b04f8e4cf2531adfed9882ad4b2665137b8524425594d20e2c9d4e1";
        let (mismatch, timestamp) = (
            Err(SignatureError::Mismatch),
            Err(SignatureError::Timestamp),
        );
        for (id, time, signatures, body, late, expected) in [
            (ID, time, SIGNATURE, BODY, 0, Ok(())),
            (ID, time, list.as_str(), BODY, 300, Ok(())),
            (ID, time, SIGNATURE, BODY, 301, timestamp),
            (ID, time, SIGNATURE, BODY, -301, timestamp),
            (ID, "", SIGNATURE, BODY, 0, timestamp),
            (ID, "1614265330.0", SIGNATURE, BODY, 0, timestamp),
            (ID, "99999999999999999999", SIGNATURE, BODY, 0, timestamp),
            (ID, "1614265331", SIGNATURE, BODY, 0, mismatch),
            ("other", time, SIGNATURE, BODY, 0, mismatch),
            (ID, time, SIGNATURE, b"{}", 0, mismatch),
            (ID, time, "", BODY, 0, mismatch),
            (ID, time, &SIGNATURE[3..], BODY, 0, mismatch),
            (ID, time, &SIGNATURE[..20], BODY, 0, mismatch),
            (ID, time, hex, BODY, 0, mismatch),
        ] {
            assert_eq!(
                verify(id, time, signatures, body, late),
                expected,
                "{id} {time} {signatures} {late}"
            );
        }
    }

    #[test]
    fn refuses_malformed_keys() {
        for token in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_*"] {
            assert!(SigningKey::parse(&token.into()).is_err(), "{token}");
        }
    }
}
