//! Webhooks and their secrets.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, group::Group};
use crate::{
    crypto::SealingKey,
    domain::{ConnectionId, ConnectionKind, GroupId, RootId, WebhookId},
};

/// What a secret proves a sender with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretKind {
    /// A shared token, sent with each delivery.
    Token,
    /// The key of a signature.
    Signing,
}

impl SecretKind {
    /// Returns the word used in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Signing => "signing",
        }
    }
}

/// A webhook as intake needs it.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Tenant.
    pub root: RootId,
    /// Its id.
    pub id: WebhookId,
    /// Its name, which is in its URL.
    pub name: String,
    /// The group it is for.
    pub group: GroupId,
    /// The connection it is for.
    pub connection: ConnectionId,
    /// What that is a connection to.
    pub kind: ConnectionKind,
    /// Who the sender must say to be, where the connection is pinned to one.
    pub sender: Option<String>,
    /// active, paused or deleted.
    pub state: String,
    /// Its secrets that have not ended: kind, sealed bytes, id, end.
    pub secrets: Vec<SealedSecret>,
}

/// A secret as it is stored.
#[derive(Debug, Clone)]
pub struct SealedSecret {
    id: Uuid,
    sealed: Vec<u8>,
    /// What it proves a sender with.
    pub kind: SecretKind,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

impl SealedSecret {
    /// Opens the secret.
    pub fn open(&self, key: &SealingKey) -> Result<SecretString, crate::crypto::SealError> {
        key.open(&place(self.id), &self.sealed)
    }
}

/// A webhook as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookSummary {
    /// Its name.
    pub name: String,
    /// Path of its group.
    pub group: String,
    /// Name of its connection.
    pub connection: String,
    /// active, paused or deleted.
    pub state: String,
    /// Whether the configuration file declares it.
    pub managed: bool,
    /// Secrets in force.
    pub secrets: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last received something.
    pub last_delivery_at: Option<DateTime<Utc>>,
}

fn place(id: Uuid) -> String {
    format!("webhook_secrets.sealed:{id}")
}

/// Returns all webhooks with the secrets in force; of deleted ones the newest of each name, so that their URL answers "gone".
pub async fn load(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<Webhook>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (lower(webhooks.name)) root_id AS "root: RootId", webhooks.id AS "id: WebhookId", webhooks.name,
                  group_id AS "group: GroupId", connection_id AS "connection: ConnectionId", connections.kind, member_id, state
           FROM webhooks JOIN connections ON connections.id = webhooks.connection_id
           ORDER BY lower(webhooks.name), state = 'deleted', webhooks.id DESC"#
    )
    .fetch_all(&mut *connection)
    .await?;
    let secrets = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", webhook_id AS "webhook: WebhookId", id, kind, sealed, expires_at FROM webhook_secrets
           WHERE expires_at IS NULL OR expires_at > $1 ORDER BY created_at DESC"#,
        now,
    )
    .fetch_all(connection)
    .await?;
    let mut by_webhook: std::collections::HashMap<(RootId, WebhookId), Vec<SealedSecret>> =
        std::collections::HashMap::new();
    for row in secrets {
        by_webhook
            .entry((row.root, row.webhook))
            .or_default()
            .push(SealedSecret {
                id: row.id,
                sealed: row.sealed,
                kind: if row.kind == "signing" {
                    SecretKind::Signing
                } else {
                    SecretKind::Token
                },
                expires_at: row.expires_at,
            });
    }
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Webhook {
                secrets: by_webhook.remove(&(row.root, row.id)).unwrap_or_default(),
                root: row.root,
                id: row.id,
                name: row.name,
                group: row.group,
                connection: row.connection,
                // The check constraint admits known kinds only.
                kind: row.kind.parse().ok()?,
                sender: row.member_id,
                state: row.state,
            })
        })
        .collect())
}

/// Returns the webhook with a name that is not deleted.
pub async fn find(
    connection: &mut PgConnection,
    name: &str,
) -> Result<Option<(RootId, WebhookId)>, StoreError> {
    let found = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", id AS "id: WebhookId" FROM webhooks WHERE lower(name) = lower($1) AND state <> 'deleted'"#,
        name,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|row| (row.root, row.id)))
}

/// Creates a webhook; a name that is taken is a conflict.
pub async fn create(
    connection: &mut PgConnection,
    name: &str,
    group: &Group,
    on: ConnectionId,
    now: DateTime<Utc>,
) -> Result<(RootId, WebhookId), StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO webhooks (root_id, name, group_id, connection_id, created_at) VALUES ($1, $2, $3, $4, $5)
           RETURNING id AS "id: WebhookId""#,
        group.root.0,
        name,
        group.id.0,
        on.0,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok((group.root, id))
}

/// Creates or changes a declared webhook.
pub async fn declare(
    connection: &mut PgConnection,
    name: &str,
    group: &Group,
    on: ConnectionId,
    now: DateTime<Utc>,
) -> Result<(RootId, WebhookId), StoreError> {
    let found = match find(&mut *connection, name).await? {
        // A webhook cannot change its tenant: one that is declared for another root group starts anew.
        Some((root, id)) if root != group.root => {
            set_state(&mut *connection, (root, id), "deleted").await?;
            None
        }
        other => other,
    };
    let webhook = match found {
        Some(webhook) => webhook,
        None => create(&mut *connection, name, group, on, now).await?,
    };
    sqlx::query!(
        "UPDATE webhooks SET group_id = $3, connection_id = $4, managed = true WHERE root_id = $1 AND id = $2",
        webhook.0.0,
        webhook.1.0,
        group.id.0,
        on.0,
    )
    .execute(connection)
    .await?;
    Ok(webhook)
}

/// Ends the secrets of a webhook at `end`, those that do not end before.
pub async fn end_secrets(
    connection: &mut PgConnection,
    (root, webhook): (RootId, WebhookId),
    end: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE webhook_secrets SET expires_at = least(expires_at, $3) WHERE root_id = $1 AND webhook_id = $2",
        root.0,
        webhook.0,
        end,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes all secrets of a webhook.
pub async fn clear_secrets(
    connection: &mut PgConnection,
    (root, webhook): (RootId, WebhookId),
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM webhook_secrets WHERE root_id = $1 AND webhook_id = $2",
        root.0,
        webhook.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds a secret to a webhook.
pub async fn add_secret(
    connection: &mut PgConnection,
    (root, webhook): (RootId, WebhookId),
    (kind, secret): (SecretKind, &SecretString),
    (id, key): (Uuid, &SealingKey),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sealed = key.seal(&place(id), secret)?;
    sqlx::query!(
        "INSERT INTO webhook_secrets (root_id, id, webhook_id, kind, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        root.0,
        id,
        webhook.0,
        kind.word(),
        sealed,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the secrets of one webhook that have not ended, newest first.
pub async fn secrets(
    connection: &mut PgConnection,
    webhook: (RootId, WebhookId),
    now: DateTime<Utc>,
) -> Result<Vec<SealedSecret>, StoreError> {
    Ok(load(connection, now)
        .await?
        .into_iter()
        .find(|loaded| (loaded.root, loaded.id) == webhook)
        .map(|loaded| loaded.secrets)
        .unwrap_or_default())
}

/// Sets the state of a webhook: active, paused or deleted.
pub async fn set_state(
    connection: &mut PgConnection,
    (root, id): (RootId, WebhookId),
    state: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE webhooks SET state = $3 WHERE root_id = $1 AND id = $2",
        root.0,
        id.0,
        state,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns all webhooks that are not deleted, by name.
pub async fn list(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<WebhookSummary>, StoreError> {
    let webhooks = sqlx::query_as!(
        WebhookSummary,
        r#"SELECT webhooks.name, groups.path AS "group", connections.name AS connection, state, webhooks.managed, webhooks.created_at,
                  (SELECT count(*) FROM webhook_secrets AS secret
                   WHERE secret.root_id = webhooks.root_id AND secret.webhook_id = webhooks.id AND (expires_at IS NULL OR expires_at > $1)) AS "secrets!",
                  (SELECT received_at FROM deliveries WHERE deliveries.root_id = webhooks.root_id AND deliveries.webhook_id = webhooks.id
                   ORDER BY deliveries.id DESC LIMIT 1) AS last_delivery_at
           FROM webhooks
           JOIN groups ON groups.root_id = webhooks.root_id AND groups.id = webhooks.group_id
           JOIN connections ON connections.id = webhooks.connection_id
           WHERE state <> 'deleted' ORDER BY lower(webhooks.name)"#,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(webhooks)
}
