//! Connections to trackers and messengers.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;

use super::StoreError;
use crate::{
    crypto::{SealError, SealingKey},
    domain::{ConnectionId, ConnectionKind, IssueId, RootId},
};

/// A connection as it is stored.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Its name in the configuration.
    pub name: String,
    /// What it connects to.
    pub kind: ConnectionKind,
    /// Base address of the other side.
    pub url: String,
    /// The bot's username there.
    pub bot: String,
    /// The bot's immutable id there, once asked.
    pub bot_remote_id: Option<String>,
    token_sealed: Option<Vec<u8>>,
}

/// A connection as it is declared.
#[derive(Debug)]
pub struct Declared<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it connects to.
    pub kind: ConnectionKind,
    /// Base address of the other side.
    pub url: &'a str,
    /// The bot's username there.
    pub bot: &'a str,
    /// The bot's access token there.
    pub token: Option<&'a SecretString>,
}

fn place(id: ConnectionId) -> String {
    format!("connections.token_sealed:{id}")
}

impl Connection {
    /// Opens the access token.
    pub fn token(&self, key: &SealingKey) -> Result<Option<SecretString>, SealError> {
        self.token_sealed
            .as_deref()
            .map(|sealed| key.open(&place(self.id), sealed))
            .transpose()
    }
}

/// Creates or changes a declared connection; another address or token makes the bot's id unknown again.
pub async fn declare(
    connection: &mut PgConnection,
    declared: &Declared<'_>,
    key: &SealingKey,
    now: DateTime<Utc>,
) -> Result<ConnectionId, StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO connections (name, kind, url, bot_username, managed, created_at) VALUES ($1, $2, $3, $4, true, $5)
           ON CONFLICT (name) DO UPDATE
           SET kind = excluded.kind, url = excluded.url, bot_username = excluded.bot_username, managed = true,
               bot_remote_id = CASE WHEN (connections.url, connections.bot_username) = (excluded.url, excluded.bot_username)
                                    THEN connections.bot_remote_id END,
               member_id = CASE WHEN connections.url = excluded.url THEN connections.member_id END
           RETURNING id AS "id: ConnectionId""#,
        declared.name,
        declared.kind.word(),
        declared.url,
        declared.bot,
        now,
    )
    .fetch_one(&mut *connection)
    .await?;
    let before = list(&mut *connection)
        .await?
        .into_iter()
        .find(|stored| stored.id == id)
        .and_then(|stored| stored.token(key).ok().flatten());
    let is_same = match (&before, declared.token) {
        (Some(before), Some(token)) => before.expose_secret() == token.expose_secret(),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_same {
        return Ok(id);
    }
    let sealed = declared
        .token
        .map(|token| key.seal(&place(id), token))
        .transpose()?;
    // Another token may be another account's.
    sqlx::query!(
        "UPDATE connections SET token_sealed = $2, bot_remote_id = NULL WHERE id = $1",
        id.0,
        sealed
    )
    .execute(connection)
    .await?;
    Ok(id)
}

/// Pins a connection to the portal with this id, as it is declared.
pub async fn set_member(
    connection: &mut PgConnection,
    id: ConnectionId,
    member: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE connections SET member_id = $2 WHERE id = $1 AND member_id IS DISTINCT FROM $2",
        id.0,
        member
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Pins a connection to the portal that a proven delivery came from, if it is pinned to none. Returns whether it was not.
pub async fn learn_member(
    connection: &mut PgConnection,
    id: ConnectionId,
    member: &str,
) -> Result<bool, StoreError> {
    let learned = sqlx::query!(
        "UPDATE connections SET member_id = $2 WHERE id = $1 AND member_id IS NULL",
        id.0,
        member
    )
    .execute(connection)
    .await?;
    Ok(learned.rows_affected() > 0)
}

/// Returns all connections, by name.
pub async fn list(connection: &mut PgConnection) -> Result<Vec<Connection>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: ConnectionId", name, kind, url, bot_username, bot_remote_id, token_sealed FROM connections ORDER BY name"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Connection {
                id: row.id,
                name: row.name,
                // The check constraint admits known kinds only.
                kind: row.kind.parse().ok()?,
                url: row.url,
                bot: row.bot_username,
                bot_remote_id: row.bot_remote_id,
                token_sealed: row.token_sealed,
            })
        })
        .collect())
}

/// Returns the connections that a tenant may use: its own, and those that no other tenant uses.
pub async fn of_tenant(
    connection: &mut PgConnection,
    root: RootId,
) -> Result<Vec<Connection>, StoreError> {
    let used = sqlx::query!(
        r#"SELECT connection AS "connection!: ConnectionId", bool_or(root = $1) AS "ours!" FROM (
               SELECT connection_id AS connection, root_id AS root FROM groups WHERE connection_id IS NOT NULL
               UNION ALL
               SELECT messenger_id, root_id FROM groups WHERE messenger_id IS NOT NULL
               UNION ALL
               SELECT connection_id, root_id FROM webhooks WHERE state <> 'deleted') AS used
           GROUP BY connection"#,
        root.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut stored = list(connection).await?;
    stored.retain(|stored| {
        used.iter()
            .find(|used| used.connection == stored.id)
            .is_none_or(|used| used.ours)
    });
    Ok(stored)
}

/// How the calls of a tenant to a connection do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Calls that wait.
    pub pending: i64,
    /// Calls that were given up.
    pub dead: i64,
    /// When one of the newest thousand calls last worked.
    pub worked_at: Option<DateTime<Utc>>,
}

/// Returns how the calls of a tenant to connections do.
pub async fn traffic(
    connection: &mut PgConnection,
    root: RootId,
    connections: &[ConnectionId],
) -> Result<HashMap<ConnectionId, Traffic>, StoreError> {
    let ids: Vec<i64> = connections.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"WITH newest AS MATERIALIZED (
               SELECT connection_id, settled_at FROM (
                   SELECT connection_id, state, settled_at FROM effects WHERE root_id = $1 ORDER BY id DESC LIMIT 1000) AS newest
               WHERE state = 'done'),
           waiting AS MATERIALIZED (SELECT connection_id FROM effects WHERE root_id = $1 AND settled_at IS NULL),
           dead AS MATERIALIZED (SELECT connection_id FROM effects WHERE root_id = $1 AND state = 'dead')
           SELECT id AS "id!: ConnectionId",
                  (SELECT count(*) FROM waiting WHERE connection_id = id) AS "pending!",
                  (SELECT count(*) FROM dead WHERE connection_id = id) AS "dead!",
                  (SELECT max(settled_at) FROM newest WHERE connection_id = id) AS worked_at
           FROM unnest($2::bigint[]) AS id"#,
        root.0,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let traffic = Traffic {
                pending: row.pending,
                dead: row.dead,
                worked_at: row.worked_at,
            };
            (row.id, traffic)
        })
        .collect())
}

/// Returns a connection.
pub async fn find(
    connection: &mut PgConnection,
    id: ConnectionId,
) -> Result<Connection, StoreError> {
    let found = list(connection)
        .await?
        .into_iter()
        .find(|stored| stored.id == id);
    Ok(found.ok_or(sqlx::Error::RowNotFound)?)
}

/// Remembers the bot's immutable id on the other side.
pub async fn set_bot(
    connection: &mut PgConnection,
    id: ConnectionId,
    remote_id: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE connections SET bot_remote_id = $2 WHERE id = $1",
        id.0,
        remote_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the bot's username where an issue is.
pub async fn bot_of_issue(
    connection: &mut PgConnection,
    root: RootId,
    issue: IssueId,
) -> Result<String, StoreError> {
    let bot = sqlx::query_scalar!(
        "SELECT bot_username FROM issues
         JOIN projects ON projects.root_id = $1 AND projects.id = issues.project_id
         JOIN connections ON connections.id = projects.connection_id
         WHERE issues.root_id = $1 AND issues.id = $2",
        root.0,
        issue.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(bot)
}
