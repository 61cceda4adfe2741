//! Webhooks and their secrets.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, group::Group};
use crate::{
    crypto::SealingKey,
    domain::{ConnectionId, ConnectionKind, GroupId, HookEvent, RootId, WebhookId},
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
    /// Whether the configuration file declares it.
    pub managed: bool,
    /// The events that it acts on; none for all.
    pub events: Option<Vec<HookEvent>>,
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
    /// Tenant and id.
    #[serde(skip)]
    pub key: (RootId, WebhookId),
    /// Its name.
    pub name: String,
    /// Path of its group.
    pub group: String,
    /// Name of its connection.
    pub connection: String,
    /// What that is a connection to.
    pub kind: String,
    /// active, paused or deleted.
    pub state: String,
    /// Whether the configuration file declares it.
    pub managed: bool,
    /// Words of the events that it is for; none for all.
    pub events: Option<Vec<String>>,
    /// Secrets in force.
    pub secrets: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// How it does.
    #[serde(flatten)]
    pub health: WebhookHealth,
}

/// How a webhook does. Receivers write it down every few seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookHealth {
    /// Deliveries that were stored, repeats too.
    pub accepted: i64,
    /// When it last received one.
    pub last_delivery_at: Option<DateTime<Utc>>,
    /// Requests that were turned away.
    pub refused: i64,
    /// When it last turned one away.
    pub last_refused_at: Option<DateTime<Utc>>,
    /// Why that was.
    pub last_refused_why: Option<String>,
    /// Deliveries that are given up, up to 100.
    pub dead: i64,
}

/// What a receiver saw of a webhook since it last said so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Deliveries that were stored.
    pub accepted: i64,
    /// When the last of them was.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Requests that were turned away.
    pub refused: i64,
    /// When the last of them was.
    pub refused_at: Option<DateTime<Utc>>,
    /// Why that was.
    pub refused_why: Option<&'static str>,
}

fn known(words: &[String]) -> Vec<HookEvent> {
    let events = words.iter().filter_map(|word| HookEvent::from_word(word));
    events.collect()
}

fn place(id: Uuid) -> String {
    format!("webhook_secrets.sealed:{id}")
}

/// Returns all webhooks with the secrets in force; of deleted ones the newest of each name, so that their URL answers "gone".
pub async fn load(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<Webhook>, StoreError> {
    some(connection, None, now).await
}

/// Returns one webhook with the secrets in force, though it may be deleted.
pub async fn one(
    connection: &mut PgConnection,
    webhook: (RootId, WebhookId),
    now: DateTime<Utc>,
) -> Result<Option<Webhook>, StoreError> {
    Ok(some(connection, Some(webhook), now).await?.pop())
}

/// Returns one webhook, or the newest one of each name.
async fn some(
    connection: &mut PgConnection,
    only: Option<(RootId, WebhookId)>,
    now: DateTime<Utc>,
) -> Result<Vec<Webhook>, StoreError> {
    let (root, id) = only.map(|(root, id)| (root.0, id.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (lower(webhooks.name)) root_id AS "root: RootId", webhooks.id AS "id: WebhookId", webhooks.name,
                  group_id AS "group: GroupId", connection_id AS "connection: ConnectionId", connections.kind, member_id, state, webhooks.managed, events
           FROM webhooks JOIN connections ON connections.id = webhooks.connection_id
           WHERE $2::bigint IS NULL OR root_id = $1 AND webhooks.id = $2
           ORDER BY lower(webhooks.name), state = 'deleted', webhooks.id DESC"#,
        root,
        id,
    )
    .fetch_all(&mut *connection)
    .await?;
    let secrets = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", webhook_id AS "webhook: WebhookId", id, kind, sealed, expires_at FROM webhook_secrets
           WHERE (expires_at IS NULL OR expires_at > $1) AND ($3::bigint IS NULL OR root_id = $2 AND webhook_id = $3)
           ORDER BY created_at DESC"#,
        now,
        root,
        id,
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
                managed: row.managed,
                events: row.events.map(|words| known(&words)),
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

/// Locks a connection against another webhook; returns the tenant and name of one that it has and that is not deleted.
pub async fn on_connection(
    connection: &mut PgConnection,
    on: ConnectionId,
) -> Result<Option<(RootId, String)>, StoreError> {
    sqlx::query!(
        "SELECT FROM connections WHERE id = $1 FOR NO KEY UPDATE",
        on.0
    )
    .fetch_optional(&mut *connection)
    .await?;
    let found = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", name FROM webhooks WHERE connection_id = $1 AND state <> 'deleted' ORDER BY id LIMIT 1"#,
        on.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|row| (row.root, row.name)))
}

/// Returns the tenant and group of a webhook that is not deleted and is named from outside.
pub async fn group_of(
    connection: &mut PgConnection,
    webhook: WebhookId,
) -> Result<Option<(RootId, GroupId)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", group_id AS "group: GroupId" FROM webhooks WHERE id = $1 AND state <> 'deleted'"#,
        webhook.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.root, row.group)))
}

/// Returns the connection that a webhook is for, and whether it is deleted.
pub async fn connection(
    connection: &mut PgConnection,
    (root, webhook): (RootId, WebhookId),
) -> Result<(ConnectionId, bool), StoreError> {
    let row = sqlx::query!(
        r#"SELECT connection_id AS "id: ConnectionId", state = 'deleted' AS "is_deleted!" FROM webhooks WHERE root_id = $1 AND id = $2"#,
        root.0,
        webhook.0,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.id, row.is_deleted))
}

/// Returns the webhooks of a group and of the groups below it, deleted ones too.
pub async fn below(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
) -> Result<Vec<WebhookId>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"SELECT webhooks.id AS "id: WebhookId" FROM groups AS scope
           JOIN groups ON groups.root_id = $1 AND (groups.id = scope.id OR starts_with(groups.path, scope.path || '/'))
           JOIN webhooks ON webhooks.root_id = $1 AND webhooks.group_id = groups.id
           WHERE scope.root_id = $1 AND scope.id = $2"#,
        root.0,
        group.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Creates a webhook; a name that is taken is a conflict.
pub async fn create(
    connection: &mut PgConnection,
    name: &str,
    (root, group): (RootId, GroupId),
    on: ConnectionId,
    now: DateTime<Utc>,
) -> Result<(RootId, WebhookId), StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO webhooks (root_id, name, group_id, connection_id, created_at) VALUES ($1, $2, $3, $4, $5)
           RETURNING id AS "id: WebhookId""#,
        root.0,
        name,
        group.0,
        on.0,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok((root, id))
}

/// Sets the events that a webhook is for; none for all.
pub async fn set_events(
    connection: &mut PgConnection,
    (root, webhook): (RootId, WebhookId),
    events: Option<&[HookEvent]>,
) -> Result<(), StoreError> {
    let words: Option<Vec<String>> =
        events.map(|events| events.iter().map(|event| event.word().to_owned()).collect());
    sqlx::query!(
        "UPDATE webhooks SET events = $3 WHERE root_id = $1 AND id = $2",
        root.0,
        webhook.0,
        words.as_deref(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes down what a receiver saw of webhooks.
pub async fn tally(
    connection: &mut PgConnection,
    seen: &[((RootId, WebhookId), Tally)],
) -> Result<(), StoreError> {
    let (roots, webhooks): (Vec<i64>, Vec<i64>) =
        seen.iter().map(|((root, id), _)| (root.0, id.0)).unzip();
    let tallies = || seen.iter().map(|(_, tally)| tally);
    let accepted: Vec<i64> = tallies().map(|tally| tally.accepted).collect();
    let accepted_at: Vec<_> = tallies().map(|tally| tally.accepted_at).collect();
    let refused: Vec<i64> = tallies().map(|tally| tally.refused).collect();
    let refused_at: Vec<_> = tallies().map(|tally| tally.refused_at).collect();
    let refused_why: Vec<Option<&str>> = tallies().map(|tally| tally.refused_why).collect();
    sqlx::query!(
        "UPDATE webhooks
         SET accepted = webhooks.accepted + seen.accepted, accepted_at = greatest(webhooks.accepted_at, seen.accepted_at),
             refused = webhooks.refused + seen.refused, refused_at = greatest(webhooks.refused_at, seen.refused_at),
             refused_why = coalesce(seen.refused_why, webhooks.refused_why)
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::timestamptz[], $7::text[])
              AS seen (root, id, accepted, accepted_at, refused, refused_at, refused_why)
         WHERE webhooks.root_id = seen.root AND webhooks.id = seen.id",
        &roots,
        &webhooks,
        &accepted,
        &accepted_at as &[Option<DateTime<Utc>>],
        &refused,
        &refused_at as &[Option<DateTime<Utc>>],
        &refused_why as &[Option<&str>],
    )
    .execute(connection)
    .await?;
    Ok(())
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
        None => create(&mut *connection, name, (group.root, group.id), on, now).await?,
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
    let found = one(connection, webhook, now).await?;
    Ok(found.map(|found| found.secrets).unwrap_or_default())
}

/// Holds a webhook against other changes until the transaction ends. What is read of it afterwards is as it is.
pub async fn lock(
    connection: &mut PgConnection,
    (root, id): (RootId, WebhookId),
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT FROM webhooks WHERE root_id = $1 AND id = $2 FOR NO KEY UPDATE",
        root.0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(())
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

/// Returns the webhooks that are not deleted, by name: those of a group and of the groups below it, or all.
pub async fn list(
    connection: &mut PgConnection,
    below: Option<(RootId, GroupId)>,
    now: DateTime<Utc>,
) -> Result<Vec<WebhookSummary>, StoreError> {
    let (root, group) = below.unzip();
    let rows = sqlx::query!(
        r#"SELECT webhooks.root_id AS "root: RootId", webhooks.id AS "id: WebhookId", webhooks.name, groups.path AS "group",
                  connections.name AS connection, connections.kind, state, webhooks.managed, webhooks.created_at, events,
                  accepted, accepted_at, refused, refused_at, refused_why,
                  (SELECT count(*) FROM webhook_secrets AS secret
                   WHERE secret.root_id = webhooks.root_id AND secret.webhook_id = webhooks.id AND (expires_at IS NULL OR expires_at > $1)) AS "secrets!",
                  (SELECT count(*) FROM (
                       SELECT FROM deliveries
                       WHERE deliveries.root_id = webhooks.root_id AND deliveries.webhook_id = webhooks.id AND deliveries.state = 'dead'
                       LIMIT 100) AS dead) AS "dead!"
           FROM webhooks
           JOIN groups ON groups.root_id = webhooks.root_id AND groups.id = webhooks.group_id
           JOIN connections ON connections.id = webhooks.connection_id
           WHERE state <> 'deleted'
             AND ($2::bigint IS NULL OR webhooks.root_id = $2 AND (groups.id = $3 OR starts_with(groups.path,
                  (SELECT scope.path || '/' FROM groups AS scope WHERE scope.root_id = $2 AND scope.id = $3))))
           ORDER BY lower(webhooks.name)"#,
        now,
        root.map(|root| root.0),
        group.map(|group| group.0),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| WebhookSummary {
            key: (row.root, row.id),
            name: row.name,
            group: row.group,
            connection: row.connection,
            kind: row.kind,
            state: row.state,
            managed: row.managed,
            events: row.events,
            secrets: row.secrets,
            created_at: row.created_at,
            health: WebhookHealth {
                accepted: row.accepted,
                last_delivery_at: row.accepted_at,
                refused: row.refused,
                last_refused_at: row.refused_at,
                last_refused_why: row.refused_why,
                dead: row.dead,
            },
        })
        .collect())
}

/// Marks those webhooks no longer as declared that the configuration file does not name any more.
pub async fn undeclare_others(
    connection: &mut PgConnection,
    declared: &[String],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE webhooks SET managed = false WHERE managed AND lower(name) <> ALL($1)",
        declared,
    )
    .execute(connection)
    .await?;
    Ok(())
}
