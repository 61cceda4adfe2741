//! The webhooks, in memory with their secrets open, so that a request for none of them costs no statement.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    connector::WebhookSecrets,
    crypto::{SealingKey, SigningKey},
    domain::{Clock, ConnectionId, ConnectionKind, RootId, WebhookId},
    store::{
        StoreError,
        webhook::{self, SecretKind, Webhook},
    },
};

/// How often the book is read anew though nobody announced a change.
const REREAD: Duration = Duration::from_secs(30);

/// What intake knows of a webhook.
#[derive(Debug)]
pub struct Entry {
    /// Tenant.
    pub root: RootId,
    /// The webhook.
    pub id: WebhookId,
    /// The connection it is for.
    pub connection: ConnectionId,
    /// What sends to it.
    pub kind: ConnectionKind,
    /// Whether it takes deliveries.
    pub active: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// What a sender must prove to know.
    pub secrets: WebhookSecrets,
}

/// All webhooks by lower-case name.
#[derive(Debug, Default)]
pub struct Book(HashMap<String, Arc<Entry>>);

impl Book {
    /// Reads all webhooks and opens their secrets.
    ///
    /// # Errors
    /// Fails when the database does not answer. A secret that does not open is logged and left out.
    pub async fn read(
        pool: &PgPool,
        key: &SealingKey,
        clock: &dyn Clock,
    ) -> Result<Self, StoreError> {
        let mut connection = pool.acquire().await?;
        let webhooks = webhook::load(&mut connection, clock.now()).await?;
        Ok(Self(
            webhooks
                .into_iter()
                .map(|webhook| (webhook.name.to_lowercase(), Arc::new(entry(&webhook, key))))
                .collect(),
        ))
    }

    /// Returns the webhook with a name, without regard to case.
    pub fn find(&self, name: &str) -> Option<&Arc<Entry>> {
        self.0
            .get(name)
            .or_else(|| self.0.get(&name.to_lowercase()))
    }

    /// Returns the webhooks of one kind of connection that were not deleted.
    pub fn of_kind(&self, kind: ConnectionKind) -> impl Iterator<Item = &Arc<Entry>> {
        self.0
            .values()
            .filter(move |entry| entry.kind == kind && !entry.deleted)
    }
}

fn entry(webhook: &Webhook, key: &SealingKey) -> Entry {
    let mut secrets = WebhookSecrets {
        sender: webhook.sender.clone(),
        ..WebhookSecrets::default()
    };
    for sealed in &webhook.secrets {
        let opened = match sealed.open(key) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(webhook = webhook.name, %error, "a webhook's secret cannot be used");
                continue;
            }
        };
        match sealed.kind {
            SecretKind::Token => secrets.tokens.push((opened, sealed.expires_at)),
            SecretKind::Signing => match SigningKey::parse(&opened) {
                Ok(signing) => secrets.signing.push((signing, sealed.expires_at)),
                Err(error) => {
                    tracing::error!(webhook = webhook.name, %error, "a webhook's secret cannot be used");
                }
            },
        }
    }
    Entry {
        root: webhook.root,
        id: webhook.id,
        connection: webhook.connection,
        kind: webhook.kind,
        active: webhook.state == "active",
        deleted: webhook.state == "deleted",
        secrets,
    }
}

/// Keeps `book` current: reads it anew on each change that is announced, and now and then.
pub async fn keep_current(
    book: watch::Sender<Arc<Book>>,
    (pool, key, clock): (PgPool, Arc<SealingKey>, Arc<dyn Clock>),
    mut changes: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            announced = changes.changed() => if announced.is_err() { return },
            () = tokio::time::sleep(REREAD) => {}
        }
        match Book::read(&pool, &key, &*clock).await {
            Ok(read) => drop(book.send(Arc::new(read))),
            Err(error) => {
                tracing::warn!(%error, "the webhooks could not be read; the known ones stay");
            }
        }
    }
}
