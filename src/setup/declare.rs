//! Applies what the configuration file declares: objects are created or updated and marked as managed; others are left alone.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{PgConnection, PgPool};

use crate::{
    config::{Bitrix24, Config, Group, Secret, SecretError, Webhook},
    crypto::SealingKey,
    domain::{Clock, ConnectionId, Level, PersonId},
    store::{
        StoreError, connection, connection_token, group, person, policy,
        webhook::{self, SecretKind},
    },
};

/// Why the declared objects cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// A secret is not to be had.
    #[error("{place}: {source}")]
    Secret {
        /// The key.
        place: String,
        /// Why.
        source: SecretError,
    },
    /// The store did not take them.
    #[error("the declared objects could not be stored")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for DeclareError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Applies the declared objects in one transaction; returns the connections' ids by name.
///
/// # Errors
/// Fails when a secret is not to be had or the store does not take something; then nothing is applied.
pub async fn declare(
    pool: &PgPool,
    config: &Config,
    key: &SealingKey,
    clock: &dyn Clock,
) -> Result<HashMap<String, ConnectionId>, DeclareError> {
    let mut tx = pool.begin().await?;
    let mut declaration = Declaration {
        key,
        clock,
        now: clock.now(),
        connections: HashMap::new(),
        people: HashMap::new(),
    };
    declaration.connections(&mut tx, config).await?;
    declaration.people(&mut tx, config).await?;
    for group in &config.group {
        declaration.group(&mut tx, group).await?;
    }
    let webhooks = config.group.iter().flat_map(|group| &group.webhook);
    let webhooks: Vec<String> = webhooks
        .map(|webhook| webhook.name.to_lowercase())
        .collect();
    webhook::undeclare_others(&mut tx, &webhooks).await?;
    tx.commit().await?;
    Ok(declaration.connections)
}

struct Declaration<'a> {
    key: &'a SealingKey,
    clock: &'a dyn Clock,
    now: DateTime<Utc>,
    connections: HashMap<String, ConnectionId>,
    people: HashMap<String, PersonId>,
}

fn secret(place: String, source: SecretError) -> DeclareError {
    DeclareError::Secret { place, source }
}

impl Declaration<'_> {
    async fn connections(
        &mut self,
        tx: &mut PgConnection,
        config: &Config,
    ) -> Result<(), DeclareError> {
        for declared in &config.connection {
            let token = declared
                .token
                .as_ref()
                .map(Secret::resolve)
                .transpose()
                .map_err(|error| secret(format!("connection {}: token", declared.name), error))?;
            let row = connection::Declared {
                name: &declared.name,
                kind: declared.kind,
                url: declared.url.as_str(),
                bot: &declared.bot,
                token: token.as_ref(),
            };
            let id = connection::declare(tx, &row, self.key, self.now).await?;
            if let Some(settings) = &declared.bitrix24 {
                self.bitrix24(tx, (id, &declared.name), settings).await?;
            }
            self.connections.insert(declared.name.clone(), id);
        }
        Ok(())
    }

    /// Stores what only a Bitrix24 connection has.
    async fn bitrix24(
        &self,
        tx: &mut PgConnection,
        (id, name): (ConnectionId, &str),
        settings: &Bitrix24,
    ) -> Result<(), DeclareError> {
        // Without one, what was learned stays.
        if let Some(member) = &settings.member_id {
            connection::set_member(tx, id, member).await?;
        }
        if let Some(oauth) = &settings.oauth {
            let refresh = oauth.refresh_token.resolve().map_err(|error| {
                secret(format!("connection {name}: oauth.refresh_token"), error)
            })?;
            connection_token::declare(tx, id, &refresh, self.key).await?;
        }
        Ok(())
    }

    async fn people(&mut self, tx: &mut PgConnection, config: &Config) -> Result<(), DeclareError> {
        for declared in &config.person {
            let id = person::declare(tx, &declared.username, declared.email.as_deref(), self.now)
                .await?;
            person::clear_identities(tx, id).await?;
            for identity in &declared.identities {
                // Validation holds that the connection is declared.
                if let Some(on) = self.connections.get(&identity.connection) {
                    person::declare_identity(tx, id, *on, &identity.id, &identity.username).await?;
                }
            }
            self.people.insert(declared.username.to_lowercase(), id);
        }
        Ok(())
    }

    async fn group(&self, tx: &mut PgConnection, declared: &Group) -> Result<(), DeclareError> {
        let tracker = declared.tracker.as_ref().and_then(|tracker| {
            Some((
                *self.connections.get(&tracker.connection)?,
                tracker.path.as_str(),
            ))
        });
        let row = group::Declared {
            path: &declared.path,
            name: &declared.name,
            crm: declared.crm,
            automatic_relations: &declared.automatic_relations,
            tracker,
        };
        let stored = group::declare(tx, &row, self.now).await?;
        let messenger = declared.messenger.as_ref();
        let policies = policy::Declared {
            messenger: messenger
                .and_then(|messenger| self.connections.get(&messenger.connection).copied()),
            preset: declared.chat_preset,
            invites: declared.invite_policy,
            reassignment: declared.reassignment,
            replies: declared.replies,
            reactions: declared.reactions,
        };
        policy::declare(tx, (stored.root, stored.id), policies).await?;
        let members: Vec<(PersonId, Level)> = declared
            .members
            .iter()
            .filter_map(|member| {
                let person = self.people.get(&member.person.to_lowercase())?;
                Some((*person, member.level.parse().ok()?))
            })
            .collect();
        group::declare_members(tx, &stored, &members).await?;
        for webhook in &declared.webhook {
            self.webhook(tx, &stored, webhook).await?;
        }
        Ok(())
    }

    async fn webhook(
        &self,
        tx: &mut PgConnection,
        group: &group::Group,
        declared: &Webhook,
    ) -> Result<(), DeclareError> {
        let Some(on) = self.connections.get(&declared.connection) else {
            return Ok(());
        };
        let mut wanted: Vec<(SecretKind, SecretString)> = Vec::new();
        for (kind, given) in [
            (SecretKind::Token, &declared.secret),
            (SecretKind::Signing, &declared.signing_token),
        ] {
            if let Some(given) = given {
                let place = format!("webhook {}: {}", declared.name, kind.word());
                wanted.push((kind, given.resolve().map_err(|error| secret(place, error))?));
            }
        }
        let id = webhook::declare(tx, &declared.name, group, *on, self.now).await?;
        let known = webhook::secrets(tx, id, self.now).await?;
        let is_known = |(kind, secret): &(SecretKind, SecretString)| {
            known.iter().any(|sealed| {
                let opened = sealed.open(self.key);
                sealed.kind == *kind
                    && opened.is_ok_and(|opened| opened.expose_secret() == secret.expose_secret())
            })
        };
        if known.len() == wanted.len() && wanted.iter().all(is_known) {
            return Ok(());
        }
        webhook::clear_secrets(tx, id).await?;
        for (kind, secret) in &wanted {
            webhook::add_secret(
                tx,
                id,
                (*kind, secret),
                (self.clock.id(), self.key),
                self.now,
            )
            .await?;
        }
        Ok(())
    }
}
