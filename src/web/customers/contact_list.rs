//! `/crm/contacts`: the list of contacts.

use axum::{Router, response::Response, routing::get};

use super::list::{self, Words};
use crate::{
    domain::ContactSort,
    store::search::{self, ContactRow},
    web::{
        Web,
        kind::Kind,
        params::Query,
        problem::Problem,
        table::{Asked, Cell, Sort},
        visit::{InGroup, ToView},
    },
};

impl Sort for ContactSort {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::FirstName, "first_name", "First name"),
        (Self::LastName, "last_name", "Last name"),
        (Self::Email, "email", "Email"),
        (Self::Phone, "phone", "Phone"),
        (Self::Organization, "organization", "Organization"),
        (Self::Description, "description", "Description"),
        (Self::Created, "created", "Created"),
        (Self::Updated, "updated", "Updated"),
    ];
    const DEFAULT: Self = Self::LastName;
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/contacts", get(list))
}

async fn list(visit: InGroup<ToView>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let listing = search::contacts(&mut connection, visit.holder(), &asked.query()).await?;
    drop(connection);
    let words = Words {
        title: "Contacts",
        search: "Search contacts",
    };
    let what = (Kind::Contact, words);
    list::page::<ContactSort, _>(&visit, &asked, what, &listing, |contact| {
        (contact.id, row(&visit, contact))
    })
    .await
}

fn row(visit: &InGroup<ToView>, contact: &ContactRow) -> Vec<Cell> {
    let own = visit.to(format_args!("crm/contacts/{}", contact.id));
    let organization = contact
        .organization_title
        .as_deref()
        .zip(contact.organization_id);
    vec![
        Cell::link(&contact.first_name, own.clone()),
        Cell::link(&contact.last_name, own),
        Cell::text(contact.email.clone()),
        Cell::text(contact.phone.clone()),
        organization.map_or(Cell::Empty, |(title, id)| {
            Cell::link(title, visit.to(format_args!("crm/organizations/{id}")))
        }),
        Cell::text(contact.description.clone()),
        Cell::When(visit.visitor.moment(contact.created_at)),
        Cell::When(visit.visitor.moment(contact.updated_at)),
        Cell::state(contact.active),
        Cell::link(
            "View issues",
            visit.to(format_args!("issues?crm_contact_id={}", contact.id)),
        ),
    ]
}
