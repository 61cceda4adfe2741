//! Clients of messengers, from what the configuration says of them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::PgPool;

use super::{Parts, StartError, tokens::StoredTokens};
use crate::{
    config::{Config, Connection, Secret, SecretError, inbound_webhook},
    connector::{
        bitrix24::{self, Access, Application, Bot, Limits, OAuth},
        matrix,
        messenger::Messenger,
    },
    crypto::SealingKey,
    domain::{Clock, ConnectionId, ConnectionKind},
    egress::Egress,
    store::connection,
    worker::Remote,
};

/// Builds the run-time side of the declared messengers.
///
/// # Errors
/// Fails when a token is not to be had.
pub(super) fn messengers(
    config: &Config,
    (ids, stored): (&HashMap<String, ConnectionId>, &[connection::Connection]),
    egress: &Arc<Egress>,
    parts: &Parts,
) -> Result<Vec<Arc<Remote<Messenger>>>, StartError> {
    let mut messengers = Vec::new();
    for declared in &config.connection {
        let Some(&id) = ids.get(&declared.name) else {
            continue;
        };
        let (egress, clock) = (Arc::clone(egress), Arc::clone(&parts.clock));
        let client = match declared.kind {
            ConnectionKind::Bitrix24 => {
                let kept = (&parts.pool, &parts.key);
                bitrix24((id, declared), kept, egress, clock).map(Messenger::Bitrix24)
            }
            ConnectionKind::Matrix => matrix(declared, egress, clock).map(Messenger::Matrix),
            _ => continue,
        };
        let client = client.map_err(|source| StartError::Token {
            connection: declared.name.clone(),
            source,
        })?;
        let known = stored.iter().find(|stored| stored.id == id);
        let bot_id = known.and_then(|stored| stored.bot_remote_id.clone());
        messengers.push(Arc::new(Remote::new(
            (id, client),
            (declared.bot.clone(), bot_id),
            declared.allow_bots,
            declared.notes_per_minute,
        )));
    }
    Ok(messengers)
}

/// Returns the client of a Bitrix24 connection. Tokens of an application are kept in the database, sealed with the key.
///
/// # Errors
/// Fails when a secret is not to be had.
pub fn bitrix24(
    (id, declared): (ConnectionId, &Connection),
    (pool, key): (&PgPool, &Arc<SealingKey>),
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
) -> Result<bitrix24::Client, SecretError> {
    let oauth = declared.bitrix24.as_ref();
    let Some(oauth) = oauth.and_then(|settings| settings.oauth.as_ref()) else {
        let access = by_webhook(declared)?;
        return portal(declared, access, egress, clock);
    };
    let application = Application {
        server: oauth.server.clone(),
        client_id: oauth.client_id.clone(),
        client_secret: oauth.client_secret.resolve()?,
    };
    let tokens = StoredTokens {
        pool: pool.clone(),
        key: Arc::clone(key),
        clock: Arc::clone(&clock),
        connection: id,
    };
    let access = Access::OAuth(Arc::new(OAuth::new(application, Arc::new(tokens))));
    portal(declared, access, egress, clock)
}

/// Returns the client of a Bitrix24 connection that needs no database: one with an inbound webhook.
///
/// # Errors
/// Fails when a secret is not to be had.
pub fn bitrix24_by_webhook(
    declared: &Connection,
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
) -> Result<Option<bitrix24::Client>, SecretError> {
    if declared.token.is_none() {
        return Ok(None);
    }
    let access = by_webhook(declared)?;
    portal(declared, access, egress, clock).map(Some)
}

fn by_webhook(declared: &Connection) -> Result<Access, SecretError> {
    let token = declared.token.as_ref().map(Secret::resolve).transpose()?;
    // Validation holds that it reads.
    let webhook = inbound_webhook(&declared.url, &token.unwrap_or_default())
        .map_err(|_| SecretError::Empty)?;
    Ok(Access::Webhook {
        user: webhook.user,
        secret: webhook.secret,
    })
}

fn portal(
    declared: &Connection,
    access: Access,
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
) -> Result<bitrix24::Client, SecretError> {
    let settings = declared.bitrix24.clone().unwrap_or_default();
    let token = settings
        .bot_token
        .as_ref()
        .map(Secret::resolve)
        .transpose()?;
    let bot = settings.bot_id.map(|id| Bot {
        id: id.to_string(),
        token,
    });
    let limits = Limits {
        burst: settings.burst,
        per_second: settings.requests_per_second,
        operating: Duration::from_secs(settings.operating_seconds),
    };
    let base = declared.url.clone();
    Ok(bitrix24::Client::new(
        egress,
        base,
        (access, bot),
        limits,
        clock,
    ))
}

/// Returns the client of a Matrix connection.
///
/// # Errors
/// Fails when a token is not to be had.
pub fn matrix(
    declared: &Connection,
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
) -> Result<matrix::Client, SecretError> {
    let resolve = |secret: &Option<Secret>| secret.as_ref().map(Secret::resolve).transpose();
    let settings = matrix::Settings {
        base: declared.url.clone(),
        token: resolve(&declared.token)?.unwrap_or_default(),
        admin_token: resolve(&declared.admin_token)?,
        bot: declared.bot.clone(),
        federate: declared.federate,
        members_invite: declared.members_invite,
        web_client: declared.web_client.clone(),
    };
    Ok(matrix::Client::new(egress, settings, clock))
}
