//! API tokens of people. Only digests are stored.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::PersonId;

/// A token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    /// Its number, by which it is revoked.
    pub id: i64,
    /// Username of the person it acts for.
    pub person: String,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Stores a new token; returns its number.
pub async fn create(
    connection: &mut PgConnection,
    person: PersonId,
    name: &str,
    digest: &[u8; 32],
    (now, expires_at): (DateTime<Utc>, Option<DateTime<Utc>>),
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO api_tokens (person_id, name, digest, created_at, expires_at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        person.0,
        name,
        digest.as_slice(),
        now,
        expires_at,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Returns the tokens of a person, or all, newest first.
pub async fn list(
    connection: &mut PgConnection,
    of: Option<PersonId>,
) -> Result<Vec<ApiToken>, StoreError> {
    let tokens = sqlx::query_as!(
        ApiToken,
        "SELECT api_tokens.id, people.username AS person, api_tokens.name, api_tokens.created_at, expires_at, revoked_at
         FROM api_tokens JOIN people ON people.id = api_tokens.person_id
         WHERE $1::bigint IS NULL OR person_id = $1 ORDER BY api_tokens.id DESC",
        of.map(|person| person.0),
    )
    .fetch_all(connection)
    .await?;
    Ok(tokens)
}

/// Revokes a token, of a person where that is said; returns false where there is no such token in force.
pub async fn revoke(
    connection: &mut PgConnection,
    (id, of): (i64, Option<PersonId>),
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let revoked = sqlx::query!(
        "UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL AND ($3::bigint IS NULL OR person_id = $3)",
        id,
        now,
        of.map(|person| person.0),
    )
    .execute(connection)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// The person that a token acts for.
#[derive(Clone)]
pub struct Bearer {
    /// The person.
    pub person: PersonId,
    /// Username.
    pub username: String,
    /// Display name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
}

// Names and addresses of people stay out of logs.
impl std::fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Bearer({})", self.person)
    }
}

/// Returns the active person whose token, in force at `now`, has this digest.
pub async fn bearer(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<Bearer>, StoreError> {
    let bearer = sqlx::query_as!(
        Bearer,
        r#"SELECT people.id AS "person: PersonId", people.username, people.name, people.email
           FROM api_tokens JOIN people ON people.id = api_tokens.person_id
           WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) AND people.active"#,
        digest.as_slice(),
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(bearer)
}
