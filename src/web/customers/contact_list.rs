//! `/crm/contacts`: the list of contacts.

use askama::Template;
use axum::{Router, extract::Query, response::Response, routing::get};

use crate::{
    domain::{ContactSort, Listed},
    rules::Right,
    store::search::{self, ContactRow, ListError},
    web::{
        Web,
        frame::{Frame, html},
        moment::Moment,
        problem::Problem,
        table::{Asked, Cell, Sort, Table},
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

#[derive(Template)]
#[template(path = "customers/contact_list.html")]
struct ListPage {
    frame: Frame,
    table: Table,
    /// Where new ones are made, if one may.
    new: Option<String>,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/contacts", get(list))
}

async fn list(visit: InGroup<ToView>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let holder = visit.holder();
    let listing = match search::contacts(&mut connection, holder, &asked.query()).await {
        // A place of the list in another sort is none.
        Err(ListError::Cursor(_)) => {
            let first = asked.from_the_first().query();
            search::contacts(&mut connection, holder, &first).await
        }
        other => other,
    };
    let listing = listing.map_err(|error| match error {
        ListError::Cursor(_) => Problem::NotFound,
        ListError::Store(error) => error.into(),
    })?;
    let counts = search::counts(&mut connection, holder, Listed::Contacts, asked.search()).await?;
    drop(connection);
    let path = visit.to("crm/contacts");
    let mut columns = asked.columns::<ContactSort>(&path);
    columns.push(Table::plain("State"));
    columns.push(Table::plain("Issues"));
    let [previous, next] = asked.pager(&path, &listing);
    let table = Table {
        caption: "Contacts",
        tabs: asked.tabs(&path, counts),
        search: Some(asked.search_box(&path, "Search contacts")),
        columns,
        rows: listing
            .rows
            .iter()
            .map(|(contact, _)| row(&visit, contact))
            .collect(),
        previous,
        next,
        empty: if asked.search().is_some() {
            "No contact matches the search.".to_owned()
        } else {
            "There are no contacts here.".to_owned()
        },
        live: None,
    };
    let may_create = visit.access.allows(Right::CreateContacts);
    Ok(html(&ListPage {
        frame: visit.frame("Contacts"),
        table,
        new: may_create.then(|| visit.to("crm/contacts/new")),
    }))
}

fn row(visit: &InGroup<ToView>, contact: &ContactRow) -> Vec<Cell> {
    let now = visit.visitor.web.crm.clock.now();
    let own = visit.to(format_args!("crm/contacts/{}", contact.id));
    let link = |text: &str, path: String| Cell::Link {
        text: text.to_owned(),
        path,
    };
    let organization = contact
        .organization_title
        .as_deref()
        .zip(contact.organization_id);
    vec![
        link(&contact.first_name, own.clone()),
        link(&contact.last_name, own),
        Cell::text(contact.email.clone()),
        Cell::text(contact.phone.clone()),
        organization.map_or(Cell::Empty, |(title, id)| {
            link(title, visit.to(format_args!("crm/organizations/{id}")))
        }),
        Cell::text(contact.description.clone()),
        Cell::When(Moment::new(contact.created_at, now)),
        Cell::When(Moment::new(contact.updated_at, now)),
        Cell::state(contact.active),
        link(
            "View issues",
            visit.to(format_args!("issues?crm_contact_id={}", contact.id)),
        ),
    ]
}
