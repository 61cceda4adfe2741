//! Options for whoever types into a combobox: a fragment of a page, asked for while typing.

use askama::Template;
use axum::{Router, extract::Query, response::Response, routing::get};
use serde::Deserialize;

use crate::{
    domain::{Direction, OrganizationSort, States},
    store::search::{self, ListError, Page},
    web::{
        Web,
        frame::html,
        problem::Problem,
        visit::{InGroup, ToView},
    },
};

/// Most options.
const MOST: u32 = 10;

/// What was typed so far.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    q: String,
}

/// An option: what is put into the field, what is shown, and what tells it apart.
struct Choice {
    value: String,
    label: String,
    note: String,
}

#[derive(Template)]
#[template(path = "parts/options.html")]
struct Options {
    options: Vec<Choice>,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/organizations/suggest", get(organizations))
}

async fn organizations(
    visit: InGroup<ToView>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let query = search::Query {
        search: Some(asked.q),
        states: States::Active,
        ids: None,
        sort: OrganizationSort::Name,
        direction: Direction::Ascending,
        page: Page::First {
            count: MOST,
            after: None,
        },
    };
    let mut connection = visit.visitor.connection().await?;
    let found = search::organizations(&mut connection, visit.holder(), &query).await;
    let found = found.map_err(|error| match error {
        ListError::Cursor(_) => Problem::NotFound,
        ListError::Store(error) => error.into(),
    })?;
    let options = found.rows.into_iter().map(|(organization, _)| Choice {
        value: organization.title.clone(),
        label: organization.title,
        note: String::new(),
    });
    Ok(html(&Options {
        options: options.collect(),
    }))
}
