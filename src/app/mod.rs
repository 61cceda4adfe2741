//! Composition: what is built from what, and in which order it ends.

mod database;
mod first;
mod health;
mod messenger;
mod service;
mod tokens;
mod upkeep;

pub use database::{Database, DatabaseError};
pub use first::{set_up, set_up_at};
pub use health::Health;
pub use messenger::{bitrix24, bitrix24_by_webhook, matrix};
pub use service::{Parts, Role, Service, StartError, sessions};
