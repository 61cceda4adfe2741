//! `/crm/contacts/{id}`: a contact with its issues and its history.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    domain::ItemId,
    rules::Right,
    store::search::{self, Among, ContactRow},
    web::{
        Web,
        frame::{Frame, html},
        history::{self, Entry},
        issues::{IssueLink, newest},
        items::{self, Watchers},
        moment::Moment,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToView},
    },
};

/// What is written otherwise in a `mailto:` address.
const IN_ADDRESS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'@')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_');

#[derive(Template)]
#[template(path = "customers/contact_page.html")]
struct ContactPage {
    frame: Frame,
    contact: ContactRow,
    mailto: String,
    created: Moment,
    updated: Moment,
    issues: Vec<IssueLink>,
    history: Vec<Entry>,
    watchers: Watchers,
    /// Where the group's pages are.
    base: String,
    /// Where changes are told.
    live: String,
    /// Where this page is.
    item: String,
    kind: &'static str,
    active: bool,
    may_edit: bool,
    may_delete: bool,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/contacts/{id}", get(show))
}

async fn show(visit: InGroup<ToView>, Path(id): Path<ItemId>) -> Result<Response, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let mut found = search::contacts_by_ids(&mut connection, visit.holder(), &[id]).await?;
    drop(connection);
    let contact = found.remove(&id).ok_or(Problem::NotFound)?;
    let (item, on) = items::find(&visit, id).await?;
    let email = contact.email.as_deref().unwrap_or_default();
    Ok(html(&ContactPage {
        frame: visit.frame(format!("{} {}", contact.first_name, contact.last_name)),
        mailto: format!("mailto:{}", utf8_percent_encode(email, IN_ADDRESS)),
        created: visit.visitor.moment(contact.created_at),
        updated: visit.visitor.moment(contact.updated_at),
        issues: newest(&visit, Among::Contact(id)).await?,
        history: history::of_item(&visit, id).await?,
        watchers: Watchers::of(&visit, (&item, on)).await?,
        item: visit.path.clone(),
        kind: "contact",
        active: contact.active,
        may_edit: visit.access.allows(Right::CreateContacts),
        may_delete: visit.access.allows(Right::DeleteContacts),
        live: visit.live,
        base: visit.base,
        contact,
    }))
}
