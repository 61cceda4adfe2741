//! `/audit`: what was done in a group and those below it, by whom and through what. For whoever may configure the group.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use serde::Deserialize;

use super::{
    Web,
    frame::{Frame, html},
    history::{self, Entry},
    params::Query,
    problem::Problem,
    visit::{InGroup, ToConfigure},
};
use crate::crm::{HistoryOf, HistoryPage};

/// Entries of a page.
const ROWS: usize = 50;

/// Where the page begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    before: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    history: Vec<Entry>,
    /// The page after.
    next: Option<String>,
    /// Where the group's pages are.
    base: String,
    /// Where this page is.
    item: String,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/audit", get(list))
}

async fn list(
    visit: InGroup<ToConfigure>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let page = HistoryPage {
        before: asked.before.parse().ok(),
        limit: ROWS + 1,
    };
    let crm = &visit.visitor.web.crm;
    let of = HistoryOf::Below(visit.group.id);
    let mut entries = crm.history(visit.visitor.asker(), of, page).await?;
    let has_more = entries.len() > ROWS;
    entries.truncate(ROWS);
    let last = entries.last().map(|entry| entry.id).filter(|_| has_more);
    let here = visit.to("audit");
    Ok(html(&AuditPage {
        frame: visit.frame("Audit"),
        history: history::told(&visit, entries, true).await?,
        next: last.map(|last| format!("{here}?before={last}")),
        base: visit.base.clone(),
        item: here,
    }))
}
