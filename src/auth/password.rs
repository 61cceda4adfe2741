//! Passwords: Argon2id with the parameters that OWASP names, computed a few at a time.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    crypto::random_salt,
    domain::PersonId,
    store::{StoreError, login},
};

/// Shortest password that is taken, in characters.
const SHORTEST: usize = 12;
/// Longest password that is looked at, in bytes.
const LONGEST: usize = 1024;
/// Hashes that are computed at a time; each takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 2;
/// The hash of nobody's password, in the same parameters: who is unknown takes as long as who is known.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cy1zYWx0LTE2Yg$4rzCPHbhTyYZfUDPIZQmKzyJQAkKl7xKqJzqtTqWCnU";

/// Why a password is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Fewer characters than it takes.
    #[error("A password has at least {SHORTEST} characters")]
    TooShort,
    /// More bytes than are hashed.
    #[error("A password has at most {LONGEST} bytes")]
    TooLong,
    /// The hash could not be computed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    pool: PgPool,
    places: Arc<Semaphore>,
}

/// Returns the hash of a new password.
///
/// # Errors
/// Refuses passwords that are too short or too long.
pub fn hash(password: &SecretString) -> Result<String, PasswordError> {
    let password = password.expose_secret();
    if password.chars().count() < SHORTEST {
        return Err(PasswordError::TooShort);
    }
    if password.len() > LONGEST {
        return Err(PasswordError::TooLong);
    }
    let hash: PasswordHash = Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &random_salt())
        .map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

impl Passwords {
    /// Returns a checker of passwords.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Returns whom a username and a password sign in. Whoever is unknown, deactivated or without a password takes as long as anybody.
    pub async fn check(
        &self,
        username: &str,
        password: SecretString,
    ) -> Result<Option<PersonId>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        // Postgres has no text with this character.
        let known = if username.contains('\0') {
            None
        } else {
            login::password(&mut connection, username).await?
        };
        drop(connection);
        let (person, hash) = match known {
            Some((person, hash)) => (Some(person), hash),
            None => (None, NOBODYS.to_owned()),
        };
        let Ok(_place) = self.places.acquire().await else {
            return Ok(None);
        };
        let matches = spawn_blocking(move || {
            let password = password.expose_secret().as_bytes();
            password.len() <= LONGEST
                && Argon2::default()
                    .verify_password(password, hash.as_str())
                    .is_ok()
        });
        let matches = matches.await.unwrap_or(false);
        Ok(person.filter(|_| matches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_salted_and_hold() {
        let password: SecretString = "correct horse".to_owned().into();
        let (one, two) = (hash(&password).unwrap(), hash(&password).unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let argon = Argon2::default();
        argon
            .verify_password(b"correct horse", one.as_str())
            .unwrap();
        argon
            .verify_password(b"wrong horse", one.as_str())
            .unwrap_err();
    }

    #[test]
    fn nobodys_hash_is_as_dear_as_any() {
        let error = Argon2::default()
            .verify_password(b"x", NOBODYS)
            .unwrap_err();
        // It was computed and differs, and did not fail to be read.
        assert_eq!(error, argon2::password_hash::Error::PasswordInvalid);
        assert!(NOBODYS.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(matches!(
            hash(&"short".to_owned().into()),
            Err(PasswordError::TooShort)
        ));
        assert!(matches!(
            hash(&"x".repeat(LONGEST + 1).into()),
            Err(PasswordError::TooLong)
        ));
    }
}
