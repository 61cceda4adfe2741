//! `/crm/contacts/{id}`: a contact with its issues and its history.

use askama::Template;
use axum::{Router, extract::Path, response::Response, routing::get};

use super::{
    history::{self, Entry},
    issues::{self, IssueLink},
};
use crate::{
    domain::ItemId,
    rules::Right,
    store::search::{self, ContactRow},
    web::{
        Web,
        frame::{Frame, html},
        moment::Moment,
        problem::Problem,
        visit::{InGroup, ToView},
    },
};

#[derive(Template)]
#[template(path = "customers/contact_page.html")]
struct ContactPage {
    frame: Frame,
    contact: ContactRow,
    created: Moment,
    updated: Moment,
    issues: Vec<IssueLink>,
    history: Vec<Entry>,
    /// Where the group's pages are.
    base: String,
    /// Where this page is.
    here: String,
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
    let now = visit.visitor.web.crm.clock.now();
    Ok(html(&ContactPage {
        frame: visit.frame(format!("{} {}", contact.first_name, contact.last_name)),
        created: Moment::new(contact.created_at, now),
        updated: Moment::new(contact.updated_at, now),
        issues: issues::of_contact(&visit, id).await?,
        history: history::of_item(&visit, id).await?,
        here: visit.path.clone(),
        may_edit: visit.access.allows(Right::CreateContacts),
        may_delete: visit.access.allows(Right::DeleteContacts),
        base: visit.base,
        contact,
    }))
}
