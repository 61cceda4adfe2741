//! Bitrix24: its events in, its REST API out.

mod client;
mod decode;
mod form;
mod render;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

pub use client::{
    Access, Application, Bot, Claim, Client, Limits, OAuth, PAGE, PortalItem, PortalWrite,
    TokenStore, TokenStoreError, Tokens,
};
pub use decode::decode;
pub use verify::{KEPT_HEADERS, route, sender, verify_body, without_secrets};
