//! `/crm/organizations/{id}`: an organization with its contacts, their issues, and its history.

use askama::Template;
use axum::{Router, response::Response, routing::get};

use crate::{
    domain::ItemId,
    rules::Right,
    store::search::{self, Among, ContactRow, OrganizationRow},
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

/// Contacts that the page shows; the list of contacts finds all by the name.
const CONTACTS: u32 = 50;

#[derive(Template)]
#[template(path = "customers/organization_page.html")]
struct OrganizationPage {
    frame: Frame,
    organization: OrganizationRow,
    contacts: Vec<ContactRow>,
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
    Router::new().route("/crm/organizations/{id}", get(show))
}

async fn show(visit: InGroup<ToView>, Path(id): Path<ItemId>) -> Result<Response, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let holder = visit.holder();
    let mut found = search::organizations_by_ids(&mut connection, holder, &[id]).await?;
    let organization = found.remove(&id).ok_or(Problem::NotFound)?;
    let contacts = search::contacts_of_organization(&mut connection, holder, id, CONTACTS).await?;
    drop(connection);
    let (item, on) = items::find(&visit, id).await?;
    Ok(html(&OrganizationPage {
        frame: visit.frame(&organization.title),
        contacts,
        created: visit.visitor.moment(organization.created_at),
        updated: visit.visitor.moment(organization.updated_at),
        issues: newest(&visit, Among::Organization(id)).await?,
        history: history::of_item(&visit, id).await?,
        watchers: Watchers::of(&visit, (&item, on)).await?,
        item: visit.path.clone(),
        kind: "organization",
        active: organization.active,
        may_edit: visit.access.allows(Right::CreateContacts),
        may_delete: visit.access.allows(Right::DeleteContacts),
        live: visit.live,
        base: visit.base,
        organization,
    }))
}
