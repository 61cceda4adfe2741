//! Matrix: a homeserver's application service. Its transactions in, its client API out.

mod client;
mod decode;
mod registration;
mod render;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

pub use client::{Client, PingError, Settings};
pub use decode::decode;
pub use registration::{Registration, service_id};
pub use verify::{KEPT_HEADERS, MAX_EVENTS, token, unpack, verify};

/// Returns the server's part of a user id or room alias (`@user:server`), which itself may have a port.
fn server_of(id: &str) -> Option<&str> {
    id.split_once(':').map(|(_, server)| server)
}

/// Returns the local part of a user id, or none where the text is no user id.
fn localpart_of(id: &str) -> Option<&str> {
    let (local, server) = id.strip_prefix('@')?.split_once(':')?;
    (!local.is_empty() && !server.is_empty()).then_some(local)
}

/// Returns the name by which a user is mentioned: the local part on the bot's own server, where it is unique, else the whole id without its `@`.
fn username(id: &str, bot: &str) -> String {
    let local = localpart_of(id).filter(|_| server_of(id) == server_of(bot));
    local
        .unwrap_or_else(|| id.strip_prefix('@').unwrap_or(id))
        .to_owned()
}
