//! Composition: what is built from what, and in which order it ends.

mod database;
mod declare;
mod health;
mod messenger;
mod service;
mod tokens;

pub use database::{Database, DatabaseError};
pub use declare::{DeclareError, declare};
pub use health::Health;
pub use messenger::{bitrix24, bitrix24_by_webhook, matrix};
pub use service::{Parts, Role, Service, StartError};
