//! The log of what arrived through a group's webhooks, and replay. For whoever may configure the group.

mod list;
mod page;

pub(super) use list::table;

use axum::Router;

use super::Web;

/// Returns the routes within a group.
pub(super) fn routes() -> Router<Web> {
    Router::new().merge(list::routes()).merge(page::routes())
}
