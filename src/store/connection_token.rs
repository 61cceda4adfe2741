//! The tokens of connections that use OAuth, sealed.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;

use super::StoreError;
use crate::{
    crypto::{SealingKey, digest},
    domain::ConnectionId,
};

/// How long a process may take to renew tokens without being thought dead, longer than the slowest call.
const RENEWAL: TimeDelta = TimeDelta::seconds(30);

/// What came of asking to renew a token.
#[derive(Debug)]
pub enum Claimed {
    /// Nobody else renews meanwhile: with this refresh token.
    Mine(SecretString),
    /// It was renewed since: this is the access token.
    Renewed(SecretString),
    /// Somebody else renews.
    Busy,
}

fn access_place(id: ConnectionId) -> String {
    format!("connection_tokens.access_sealed:{id}")
}

fn refresh_place(id: ConnectionId) -> String {
    format!("connection_tokens.refresh_sealed:{id}")
}

/// Begins a line of tokens with a declared refresh token. The one that the present line began with changes nothing.
pub async fn declare(
    connection: &mut PgConnection,
    id: ConnectionId,
    refresh: &SecretString,
    key: &SealingKey,
) -> Result<(), StoreError> {
    let declared = digest(refresh.expose_secret().as_bytes());
    let sealed = key.seal(&refresh_place(id), refresh)?;
    sqlx::query!(
        "INSERT INTO connection_tokens (connection_id, refresh_sealed, declared) VALUES ($1, $2, $3)
         ON CONFLICT (connection_id) DO UPDATE
         SET access_sealed = NULL, refresh_sealed = excluded.refresh_sealed, declared = excluded.declared, refreshing_until = NULL
         WHERE connection_tokens.declared <> excluded.declared",
        id.0,
        sealed,
        &declared[..],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the access token, or none before the first renewal.
pub async fn access(
    connection: &mut PgConnection,
    id: ConnectionId,
    key: &SealingKey,
) -> Result<Option<SecretString>, StoreError> {
    let sealed = sqlx::query_scalar!(
        "SELECT access_sealed FROM connection_tokens WHERE connection_id = $1",
        id.0
    )
    .fetch_optional(connection)
    .await?
    .flatten();
    let opened = sealed.map(|sealed| key.open(&access_place(id), &sealed));
    Ok(opened.transpose()?)
}

/// Asks to renew the access token `worn`: one process does at a time, and none that was renewed already.
pub async fn claim(
    connection: &mut PgConnection,
    id: ConnectionId,
    worn: Option<&SecretString>,
    (key, now): (&SealingKey, DateTime<Utc>),
) -> Result<Claimed, StoreError> {
    if let Some(current) = access(&mut *connection, id, key).await? {
        let is_worn = worn.is_some_and(|worn| worn.expose_secret() == current.expose_secret());
        if !is_worn {
            return Ok(Claimed::Renewed(current));
        }
    }
    let refresh = sqlx::query_scalar!(
        "UPDATE connection_tokens SET refreshing_until = $2
         WHERE connection_id = $1 AND (refreshing_until IS NULL OR refreshing_until <= $3) RETURNING refresh_sealed",
        id.0,
        now + RENEWAL,
        now,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(refresh) = refresh else {
        return Ok(Claimed::Busy);
    };
    // Between both statements somebody else may have finished: then his refresh token would be used up for nothing.
    let current = access(connection, id, key).await?;
    let same = current
        .as_ref()
        .map(|token| token.expose_secret().to_owned())
        == worn.map(|token| token.expose_secret().to_owned());
    match current {
        Some(current) if !same => Ok(Claimed::Renewed(current)),
        _ => Ok(Claimed::Mine(key.open(&refresh_place(id), &refresh)?)),
    }
}

/// Stores renewed tokens; whoever waits for them finds them.
pub async fn save(
    connection: &mut PgConnection,
    id: ConnectionId,
    (access, refresh): (&SecretString, &SecretString),
    key: &SealingKey,
) -> Result<(), StoreError> {
    let access = key.seal(&access_place(id), access)?;
    let refresh = key.seal(&refresh_place(id), refresh)?;
    sqlx::query!(
        "UPDATE connection_tokens SET access_sealed = $2, refresh_sealed = $3, refreshing_until = NULL WHERE connection_id = $1",
        id.0,
        access,
        refresh,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a claim that brought nothing: somebody else may try.
pub async fn release(connection: &mut PgConnection, id: ConnectionId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE connection_tokens SET refreshing_until = NULL WHERE connection_id = $1",
        id.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
