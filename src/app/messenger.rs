//! Clients of messengers, from what the configuration says of them.

use std::{collections::HashMap, sync::Arc};

use super::StartError;
use crate::{
    config::{Config, Connection, Secret, SecretError},
    connector::{matrix, messenger::Messenger},
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
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<Remote<Messenger>>>, StartError> {
    let mut messengers = Vec::new();
    for declared in &config.connection {
        let Some(&id) = ids.get(&declared.name) else {
            continue;
        };
        let (egress, clock) = (Arc::clone(egress), Arc::clone(clock));
        let client = match declared.kind {
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
    };
    Ok(matrix::Client::new(egress, settings, clock))
}
