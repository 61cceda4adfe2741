//! Options for whoever types into a combobox: a fragment of a page, asked for while typing.

use axum::{Router, response::Response, routing::get};
use serde::Deserialize;

use crate::{
    store::search::Purpose,
    web::{
        Web,
        frame::html,
        params::Query,
        problem::Problem,
        suggestion::{Choice, Options, organizations_like},
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

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/crm/contacts/suggest", get(contacts))
        .route("/crm/organizations/suggest", get(organizations))
}

async fn contacts(visit: InGroup<ToView>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let (holder, any) = (visit.holder(), Purpose::Any);
    let completing = &visit.visitor.web.completing;
    let found = completing.complete(holder, &asked.q, None, any, MOST);
    let found = found.await?;
    Ok(html(&Options {
        options: found.into_iter().map(Choice::from).collect(),
    }))
}

async fn organizations(
    visit: InGroup<ToView>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let options = organizations_like(&visit, asked.q, MOST).await?;
    let options = options.into_iter().map(|organization| Choice {
        value: organization.title.clone(),
        label: organization.title,
        note: String::new(),
    });
    Ok(html(&Options {
        options: options.collect(),
    }))
}
