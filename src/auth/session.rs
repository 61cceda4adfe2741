//! Sessions of people who are signed in to the pages.
//!
//! A cookie holds a random token, the store its digest. A session ends when it was not used for a while, however much it is used after a
//! longer while, when its person signs out, and with its person. Signing in always begins a new one, so that a token that somebody
//! planted before is worth nothing afterwards.

use std::sync::Arc;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use super::Bearer;
use crate::{
    crypto::{digest, random_token},
    domain::{Clock, PersonId},
    store::{StoreError, login},
};

/// A session's use is noted when the last note is so old.
const NOTED: TimeDelta = TimeDelta::minutes(1);
/// How long a link signs somebody in.
pub const LINK_LASTS: TimeDelta = TimeDelta::minutes(15);
/// How long a form is kept while somebody signs in elsewhere.
pub const FORM_LASTS: TimeDelta = TimeDelta::minutes(10);

/// Begins, finds and ends sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// The database.
    pub pool: PgPool,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How long a session lasts without being used.
    pub idle: TimeDelta,
    /// How long a session lasts at most.
    pub longest: TimeDelta,
}

impl Sessions {
    /// Begins a session; what the browser had before ends. Returns the token for its cookie.
    pub async fn begin(
        &self,
        person: PersonId,
        before: Option<&str>,
    ) -> Result<SecretString, StoreError> {
        let token = random_token("");
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        if let Some(before) = before {
            login::end_session(&mut tx, &hash(before)).await?;
        }
        let digest = hash(token.expose_secret());
        login::begin_session(&mut tx, person, &digest, (now, now + self.longest)).await?;
        tx.commit().await?;
        Ok(token)
    }

    /// Returns whose session a token is, if it is in force.
    pub async fn find(&self, token: &str) -> Result<Option<Bearer>, StoreError> {
        let (now, digest) = (self.clock.now(), hash(token));
        let mut connection = self.pool.acquire().await?;
        let found = login::session(&mut connection, &digest, (now, now - self.idle)).await?;
        let Some(session) = found else {
            return Ok(None);
        };
        if session.seen_at < now - NOTED {
            login::touch_session(&mut connection, &digest, now).await?;
        }
        Ok(Some(session.bearer))
    }

    /// Ends a session.
    pub async fn end(&self, token: &str) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        login::end_session(&mut connection, &hash(token)).await
    }

    /// Ends all sessions of a person, wherever he is signed in.
    pub async fn end_all(&self, person: PersonId) -> Result<u64, StoreError> {
        let mut tx = self.pool.begin().await?;
        let ended = login::end_sessions(&mut tx, person).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Makes a token for a link that signs a person in once, within [`LINK_LASTS`].
    pub async fn link(&self, person: PersonId) -> Result<SecretString, StoreError> {
        let token = random_token("");
        let ends = self.clock.now() + LINK_LASTS;
        let mut connection = self.pool.acquire().await?;
        login::add_link(&mut connection, person, &hash(token.expose_secret()), ends).await?;
        Ok(token)
    }

    /// Uses up the token of a link; returns whom it signs in, if it was in force.
    pub async fn take_link(&self, token: &str) -> Result<Option<PersonId>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        login::take_link(&mut connection, &hash(token), self.clock.now()).await
    }

    /// Keeps a form for [`FORM_LASTS`], for whoever knows a secret; returns false where too many are kept.
    pub async fn keep_form(&self, secret: &str, form: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut connection = self.pool.acquire().await?;
        login::keep_form(
            &mut connection,
            &hash(secret),
            form,
            (now, now + FORM_LASTS),
        )
        .await
    }

    /// Gives the form that is kept for whoever knows a secret back, once.
    pub async fn take_form(&self, secret: &str) -> Result<Option<String>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        login::take_form(&mut connection, &hash(secret), self.clock.now()).await
    }

    /// Forgets what has ended.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let gone = login::prune(&mut tx, (now, now - self.idle)).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

fn hash(token: &str) -> [u8; 32] {
    digest(token.as_bytes())
}
