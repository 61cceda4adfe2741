//! `/hooks/{name}`: a webhook, how it does, what it received last, and what can be done with it.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use serde::Deserialize;

use super::{EventChoice, find};
use crate::{
    queue::LogFilter,
    store::webhook::WebhookSummary,
    web::{
        Web, deliveries,
        frame::{Frame, html},
        moment::Moment,
        params::{Path, Query},
        problem::Problem,
        table::{Cell, Table},
        visit::{InGroup, ToConfigure},
    },
};

/// Deliveries that the page shows; the log has all.
const NEWEST: i64 = 10;

/// What the page goes on with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// The project into which the webhook was installed a moment ago.
    project: String,
}

#[derive(Template)]
#[template(path = "webhooks/page.html")]
struct WebhookPage {
    frame: Frame,
    webhook: WebhookSummary,
    url: String,
    created: Moment,
    last: Option<Moment>,
    refused: Option<Moment>,
    events: Vec<EventChoice>,
    project: String,
    table: Table,
    /// Where the group's pages are.
    base: String,
    /// Where this page is.
    item: String,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/hooks/{name}", get(show))
}

async fn show(
    visit: InGroup<ToConfigure>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let webhook = find(&visit, &name).await?;
    let filter = LogFilter {
        webhooks: Some((webhook.key.0, vec![webhook.key.1])),
        ..LogFilter::default()
    };
    let webhooks = &visit.visitor.web.webhooks;
    let group = (visit.group.root, visit.group.id);
    let newest = webhooks.deliveries(group, filter, NEWEST).await?;
    let moment = |at| visit.visitor.moment(at);
    Ok(html(&WebhookPage {
        frame: visit.frame(webhook.name.clone()),
        url: webhooks.url(&webhook.name),
        created: moment(webhook.created_at),
        last: webhook.health.last_delivery_at.map(moment),
        refused: webhook.health.last_refused_at.map(moment),
        events: EventChoice::all(webhook.events.as_deref()),
        project: asked.project,
        table: deliveries::table(&visit, &newest).await?,
        item: visit.to(format_args!("hooks/{}", webhook.name)),
        base: visit.base.clone(),
        webhook,
    }))
}
