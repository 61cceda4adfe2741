//! Contacts and organizations: their lists, pages and forms, and what is done with them.

mod actions;
mod contact_form;
mod contact_list;
mod contact_page;
mod form;
mod list;
mod merge;
mod organization_form;
mod organization_list;
mod organization_page;
mod suggest;

use axum::Router;

use super::{Web, kind::Kind, problem::Problem, visit::InGroup};
use crate::{
    domain::ItemId,
    store::shown::{self, ShownItem},
};

/// Returns the routes within a group.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .merge(contact_list::routes())
        .merge(contact_form::routes())
        .merge(contact_page::routes())
        .merge(organization_list::routes())
        .merge(organization_form::routes())
        .merge(organization_page::routes())
        .merge(merge::routes())
        .merge(suggest::routes())
        .merge(actions::routes())
}

/// Returns an item of the group's customers; one of elsewhere or of the other kind is not there.
async fn find<R>(visit: &InGroup<R>, kind: Kind, item: ItemId) -> Result<ShownItem, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let found = shown::items(&mut connection, &[item]).await?;
    found
        .into_iter()
        .find(|found| {
            (found.root, found.group) == visit.holder() && found.fields.kind() == kind.of_item()
        })
        .ok_or(Problem::NotFound)
}
