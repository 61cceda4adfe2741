//! `/crm/organizations`: the list of organizations.

use axum::{Router, response::Response, routing::get};

use super::list::{self, Words};
use crate::{
    domain::OrganizationSort,
    store::search::{self, OrganizationRow},
    web::{
        Web,
        kind::Kind,
        params::Query,
        problem::Problem,
        table::{Asked, Cell, Sort},
        visit::{InGroup, ToView},
    },
};

impl Sort for OrganizationSort {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Name, "name", "Name"),
        (Self::DefaultRate, "default_rate", "Default rate"),
        (Self::Description, "description", "Description"),
        (Self::Created, "created", "Created"),
        (Self::Updated, "updated", "Updated"),
    ];
    const DEFAULT: Self = Self::Name;
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/organizations", get(list))
}

async fn list(visit: InGroup<ToView>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let listing = search::organizations(&mut connection, visit.holder(), &asked.query()).await?;
    drop(connection);
    let words = Words {
        title: "Organizations",
        search: "Search organizations",
    };
    let what = (Kind::Organization, words);
    let shown = |organization: &OrganizationRow| (organization.id, row(&visit, organization));
    list::page::<OrganizationSort, _>(&visit, &asked, what, &listing, shown).await
}

fn row(visit: &InGroup<ToView>, organization: &OrganizationRow) -> Vec<Cell> {
    let id = organization.id;
    vec![
        Cell::link(
            &organization.title,
            visit.to(format_args!("crm/organizations/{id}")),
        ),
        Cell::text(organization.default_rate.map(|rate| rate.to_string())),
        Cell::text(organization.description.clone()),
        Cell::When(visit.visitor.moment(organization.created_at)),
        Cell::When(visit.visitor.moment(organization.updated_at)),
        Cell::state(organization.active),
        Cell::link(
            "View issues",
            visit.to(format_args!("issues?crm_organization_id={id}")),
        ),
    ]
}
