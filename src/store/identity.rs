//! Which account in a messenger is which person, and the codes by which somebody proves it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::{
    crypto::digest,
    domain::{ConnectionId, DeliveryId, PersonId},
};

/// How long a code may be entered, in minutes.
pub const CODE_MINUTES: i64 = 15;
/// Codes that one account is given within that time.
const CODES: i64 = 3;

/// Gives an account to a person, unless it is somebody's already. Returns whether it was given.
pub async fn link(
    connection: &mut PgConnection,
    person: PersonId,
    (on, remote_id, username): (ConnectionId, &str, &str),
) -> Result<bool, StoreError> {
    let linked = sqlx::query!(
        "INSERT INTO identities (connection_id, remote_id, person_id, username) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        on.0,
        remote_id,
        person.0,
        username,
    )
    .execute(connection)
    .await?;
    Ok(linked.rows_affected() > 0)
}

/// Returns the person behind an account.
pub async fn person_of(
    connection: &mut PgConnection,
    (on, remote_id): (ConnectionId, &str),
) -> Result<Option<PersonId>, StoreError> {
    let person = sqlx::query_scalar!(
        r#"SELECT person_id AS "person: PersonId" FROM identities WHERE connection_id = $1 AND remote_id = $2"#,
        on.0,
        remote_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(person)
}

/// Returns the active person with an address, without regard to case; none where several have it.
pub async fn by_email(
    connection: &mut PgConnection,
    email: &str,
) -> Result<Option<PersonId>, StoreError> {
    let people = sqlx::query_scalar!(
        r#"SELECT id AS "id: PersonId" FROM people WHERE lower(email) = lower($1) AND active ORDER BY id LIMIT 2"#,
        email,
    )
    .fetch_all(connection)
    .await?;
    match people[..] {
        [person] => Ok(Some(person)),
        _ => Ok(None),
    }
}

/// Remembers a code that an account is given for a delivery; those that ended are forgotten. Returns false where the account has enough codes.
///
/// A delivery that is tried again has another code, and counts once: whichever of them the messenger shows works.
pub async fn give_code(
    connection: &mut PgConnection,
    (code, delivery): (&str, DeliveryId),
    (on, remote_id, username): (ConnectionId, &str, &str),
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    sqlx::query!("DELETE FROM link_codes WHERE expires_at <= $1", now)
        .execute(&mut *connection)
        .await?;
    let given = sqlx::query!(
        "INSERT INTO link_codes (digest, connection_id, remote_id, username, created_at, expires_at, delivery_id)
         SELECT $1, $2, $3, $4, $5, $6, $8
         WHERE (SELECT count(DISTINCT delivery_id) FROM link_codes
                WHERE connection_id = $2 AND remote_id = $3 AND delivery_id <> $8) < $7",
        &digest(code.as_bytes())[..],
        on.0,
        remote_id,
        username,
        now,
        now + TimeDelta::minutes(CODE_MINUTES),
        CODES,
        delivery.0,
    )
    .execute(connection)
    .await?;
    Ok(given.rows_affected() > 0)
}

/// An account that its user proved to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The messenger.
    pub on: ConnectionId,
    /// The user's id there.
    pub remote_id: String,
    /// The user's name there.
    pub username: String,
}

/// Uses up a code, with all others of the same account. Returns whose it was, or none for a wrong or old one.
pub async fn use_code(
    connection: &mut PgConnection,
    code: &str,
    now: DateTime<Utc>,
) -> Result<Option<Proven>, StoreError> {
    let proven = sqlx::query_as!(
        Proven,
        r#"DELETE FROM link_codes WHERE digest = $1 AND expires_at > $2
           RETURNING connection_id AS "on: ConnectionId", remote_id, username"#,
        &digest(code.as_bytes())[..],
        now,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(proven) = &proven {
        sqlx::query!(
            "DELETE FROM link_codes WHERE connection_id = $1 AND remote_id = $2",
            proven.on.0,
            proven.remote_id,
        )
        .execute(connection)
        .await?;
    }
    Ok(proven)
}

/// Gives a proven account to a person, also one that was somebody else's, unless the configuration says whose it is.
pub async fn prove(
    connection: &mut PgConnection,
    person: PersonId,
    proven: &Proven,
) -> Result<bool, StoreError> {
    let linked = sqlx::query!(
        "INSERT INTO identities (connection_id, remote_id, person_id, username) VALUES ($1, $2, $3, $4)
         ON CONFLICT (connection_id, remote_id) DO UPDATE SET person_id = excluded.person_id, username = excluded.username
         WHERE NOT identities.managed OR identities.person_id = excluded.person_id",
        proven.on.0,
        proven.remote_id,
        person.0,
        proven.username,
    )
    .execute(connection)
    .await?;
    Ok(linked.rows_affected() > 0)
}
