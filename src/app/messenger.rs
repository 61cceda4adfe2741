//! Clients of messengers, from what the configuration says of them.

use std::sync::Arc;

use crate::{
    config::{Connection, Secret, SecretError},
    connector::matrix,
    domain::Clock,
    egress::Egress,
};

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
