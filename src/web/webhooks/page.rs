//! `/hooks/{name}`: a webhook, how it does, what it received last, and what can be done with it.

use askama::Template;
use axum::{Router, extract::Path, response::Response, routing::get};

use super::{EventChoice, find};
use crate::{
    queue::LogFilter,
    store::webhook::WebhookSummary,
    web::{
        Web, deliveries,
        frame::{Frame, html},
        moment::Moment,
        problem::Problem,
        table::{Cell, Table},
        visit::{InGroup, ToConfigure},
    },
};

/// Deliveries that the page shows; the log has all.
const NEWEST: i64 = 10;

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

async fn show(visit: InGroup<ToConfigure>, Path(name): Path<String>) -> Result<Response, Problem> {
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
        table: deliveries::table(&visit, &newest),
        item: visit.to(format_args!("hooks/{}", webhook.name)),
        base: visit.base.clone(),
        webhook,
    }))
}
