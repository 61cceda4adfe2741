//! Bitrix24: its events in, its REST API out.

mod form;
mod verify;

pub use verify::{KEPT_HEADERS, chat_lane, route, verify_body, without_secrets};
