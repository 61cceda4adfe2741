//! How people sign in: sessions, passwords, one-time links. Only digests and slow hashes are stored.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, token::Bearer};
use crate::domain::{ConnectionId, PersonId};

/// Most forms that are kept at a time: whoever fills them has not signed in yet.
const KEPT_FORMS: i64 = 1000;

/// A session in force.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose it is.
    pub bearer: Bearer,
    /// When it was last noted as used.
    pub seen_at: DateTime<Utc>,
}

/// Stores a new session, which ends at `expires_at` at the latest.
pub async fn begin_session(
    connection: &mut PgConnection,
    person: PersonId,
    digest: &[u8; 32],
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO sessions (digest, person_id, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $3, $4)",
        digest.as_slice(),
        person.0,
        now,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the session with a digest if it is in force at `now`, was used since `idle_since`, and its person is active.
pub async fn session(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    (now, idle_since): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Option<Session>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT people.id AS "person: PersonId", people.username, people.name, people.email, seen_at
           FROM sessions JOIN people ON people.id = sessions.person_id
           WHERE digest = $1 AND expires_at > $2 AND seen_at > $3 AND people.active"#,
        digest.as_slice(),
        now,
        idle_since,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Session {
        bearer: Bearer {
            person: row.person,
            username: row.username,
            name: row.name,
            email: row.email,
        },
        seen_at: row.seen_at,
    }))
}

/// Notes that a session is in use.
pub async fn touch_session(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sessions SET seen_at = $2 WHERE digest = $1 AND seen_at < $2",
        digest.as_slice(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a session.
pub async fn end_session(
    connection: &mut PgConnection,
    digest: &[u8; 32],
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM sessions WHERE digest = $1", digest.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends all sessions of a person, and the links that would begin another one; returns how many sessions there were.
pub async fn end_sessions(
    connection: &mut PgConnection,
    person: PersonId,
) -> Result<u64, StoreError> {
    sqlx::query!("DELETE FROM login_links WHERE person_id = $1", person.0)
        .execute(&mut *connection)
        .await?;
    let ended = sqlx::query!("DELETE FROM sessions WHERE person_id = $1", person.0)
        .execute(connection)
        .await?;
    Ok(ended.rows_affected())
}

/// Forgets sessions and links that have ended.
pub async fn prune(
    connection: &mut PgConnection,
    (now, idle_since): (DateTime<Utc>, DateTime<Utc>),
) -> Result<u64, StoreError> {
    let links = sqlx::query!("DELETE FROM login_links WHERE expires_at <= $1", now)
        .execute(&mut *connection)
        .await?;
    let sessions = sqlx::query!(
        "DELETE FROM sessions WHERE expires_at <= $1 OR seen_at <= $2",
        now,
        idle_since,
    )
    .execute(&mut *connection)
    .await?;
    let forms = sqlx::query!("DELETE FROM kept_forms WHERE expires_at <= $1", now)
        .execute(connection)
        .await?;
    Ok(links.rows_affected() + sessions.rows_affected() + forms.rows_affected())
}

/// Keeps a form for whoever sets out to sign in elsewhere; returns false where so many are kept that it is not.
pub async fn keep_form(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    form: &str,
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<bool, StoreError> {
    let kept = sqlx::query!(
        "INSERT INTO kept_forms (digest, form, expires_at)
         SELECT $1, $2, $3 WHERE (SELECT count(*) FROM kept_forms WHERE expires_at > $5) < $4",
        digest.as_slice(),
        form.as_bytes(),
        expires_at,
        KEPT_FORMS,
        now,
    )
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// Gives a kept form back, once.
pub async fn take_form(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let form = sqlx::query_scalar!(
        "DELETE FROM kept_forms WHERE digest = $1 AND expires_at > $2 RETURNING form",
        digest.as_slice(),
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(form.and_then(|form| String::from_utf8(form).ok()))
}

/// Sets a person's password, by its hash.
pub async fn set_password(
    connection: &mut PgConnection,
    person: PersonId,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO passwords (person_id, hash, set_at) VALUES ($1, $2, $3)
         ON CONFLICT (person_id) DO UPDATE SET hash = excluded.hash, set_at = excluded.set_at",
        person.0,
        hash,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the active person with a username, without regard to case, who has a password, with its hash.
pub async fn password(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<(PersonId, String)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT people.id AS "person: PersonId", hash
           FROM people JOIN passwords ON passwords.person_id = people.id
           WHERE lower(username) = lower($1) AND active"#,
        username,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.person, row.hash)))
}

/// Stores a link that signs a person in once.
pub async fn add_link(
    connection: &mut PgConnection,
    person: PersonId,
    digest: &[u8; 32],
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO login_links (digest, person_id, expires_at) VALUES ($1, $2, $3)",
        digest.as_slice(),
        person.0,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Uses a link up; returns whom it signs in, if it was in force and he is active.
pub async fn take_link(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<PersonId>, StoreError> {
    let person = sqlx::query_scalar!(
        r#"DELETE FROM login_links USING people
           WHERE digest = $1 AND expires_at > $2 AND people.id = person_id AND people.active
           RETURNING person_id AS "person: PersonId""#,
        digest.as_slice(),
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(person)
}

/// Returns the active person who has an identity on a connection.
pub async fn by_identity(
    connection: &mut PgConnection,
    on: ConnectionId,
    remote_id: &str,
) -> Result<Option<PersonId>, StoreError> {
    let person = sqlx::query_scalar!(
        r#"SELECT people.id AS "person: PersonId" FROM identities JOIN people ON people.id = identities.person_id
           WHERE connection_id = $1 AND remote_id = $2 AND NOT is_bot AND active"#,
        on.0,
        remote_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(person)
}

/// Returns the active person with an e-mail address, without regard to case, if only one has it.
pub async fn by_email(
    connection: &mut PgConnection,
    email: &str,
) -> Result<Option<PersonId>, StoreError> {
    let people = sqlx::query_scalar!(
        r#"SELECT id AS "person: PersonId" FROM people WHERE lower(email) = lower($1) AND active LIMIT 2"#,
        email,
    )
    .fetch_all(connection)
    .await?;
    Ok(match people.as_slice() {
        [person] => Some(*person),
        _ => None,
    })
}
