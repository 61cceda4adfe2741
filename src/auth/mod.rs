//! Who is asking: the person behind the token of a request or the session of a browser, and how he signs in.
//!
//! Says who somebody is and nothing of what he may do, which is for the rules. A token itself is never kept, logged or compared:
//! only its digest is.

mod limit;
mod openid;
mod password;
mod session;

pub use limit::Attempts;
pub use openid::{OpenId, OpenIdError};
pub use password::{PasswordError, Passwords, hash as hash_password};
pub use session::{FORM_LASTS, LINK_LASTS, Sessions};

use chrono::{DateTime, Utc};
use http::{HeaderMap, header};
use sqlx::PgConnection;

use crate::{
    crypto::digest,
    store::{StoreError, token},
};

/// The person who asks.
pub use crate::store::token::Bearer;

/// GitLab's own header for tokens, which its clients send.
const PRIVATE_TOKEN: &str = "private-token";

/// Proof of who is asking. It is looked up anew whenever it matters, since it can end while a connection is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    digest: [u8; 32],
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credential")
    }
}

impl Credential {
    /// Returns the credential of an API token.
    pub fn from_token(token: &str) -> Self {
        Self {
            digest: digest(token.as_bytes()),
        }
    }

    /// Returns the credential that a request carries: `PRIVATE-TOKEN: …`, else `Authorization: Bearer …`.
    ///
    /// Other schemes of `Authorization` may be meant for a proxy in front and count as none.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        if let Some(token) = headers.get(PRIVATE_TOKEN) {
            return Some(Self::from_bytes(token.as_bytes()));
        }
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, token) = value.split_at_checked("Bearer ".len())?;
        scheme
            .eq_ignore_ascii_case(b"Bearer ")
            .then(|| Self::from_bytes(token))
    }

    fn from_bytes(token: &[u8]) -> Self {
        Self {
            digest: digest(token.trim_ascii()),
        }
    }

    /// Returns the person whom the credential proves, or none where it is unknown, revoked or expired, or the person was deactivated.
    pub async fn bearer(
        self,
        connection: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Option<Bearer>, StoreError> {
        token::bearer(connection, &self.digest, now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_token_where_clients_put_it() {
        let token = Some(Credential::from_token("lia_abc"));
        for (name, value, expected) in [
            ("authorization", "Bearer lia_abc", token),
            ("authorization", "bearer  lia_abc ", token),
            ("private-token", "lia_abc", token),
            ("authorization", "Basic bGlhX2FiYw==", None),
            ("authorization", "Bearer", None),
            ("authorization", "", None),
            ("cookie", "token=lia_abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(
                Credential::from_headers(&headers),
                expected,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn shows_nothing_in_logs() {
        assert_eq!(
            format!("{:?}", Credential::from_token("lia_abc")),
            "Credential"
        );
    }
}
