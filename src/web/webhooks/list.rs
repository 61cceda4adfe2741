//! `/hooks`: the webhooks of a group and of those below it.

use askama::Template;
use axum::{Router, response::Response, routing::get};

use super::all;
use crate::{
    store::webhook::WebhookSummary,
    web::{
        Web,
        frame::{Frame, html},
        problem::Problem,
        table::{Cell, Table},
        visit::{InGroup, ToConfigure},
    },
};

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct ListPage {
    frame: Frame,
    table: Table,
    /// Where the group's pages are.
    base: String,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/hooks", get(list))
}

async fn list(visit: InGroup<ToConfigure>) -> Result<Response, Problem> {
    let webhooks = all(&visit).await?;
    let columns = [
        "Webhook",
        "Group",
        "Connection",
        "State",
        "Last delivery",
        "Stored",
        "Refused",
        "Given up",
    ];
    let table = Table {
        caption: "Webhooks",
        columns: columns.into_iter().map(Table::plain).collect(),
        rows: webhooks.iter().map(|webhook| row(&visit, webhook)).collect(),
        empty: "There are no webhooks here yet. A webhook is where your tracker or messenger tells Liaison what happens: without one, no command is seen. Make one with the button above.".to_owned(),
        ..Table::default()
    };
    Ok(html(&ListPage {
        frame: visit.frame("Webhooks"),
        table,
        base: visit.base.clone(),
    }))
}

fn row(visit: &InGroup<ToConfigure>, webhook: &WebhookSummary) -> Vec<Cell> {
    let health = &webhook.health;
    let moment = |at| visit.visitor.moment(at);
    let log = |query: &str| {
        let name = &webhook.name;
        visit.to(format_args!("deliveries?webhook={name}{query}"))
    };
    vec![
        Cell::link(
            &webhook.name,
            visit.to(format_args!("hooks/{}", webhook.name)),
        ),
        Cell::Text(webhook.group.clone()),
        Cell::Text(webhook.connection.clone()),
        match webhook.state.as_str() {
            "active" => Cell::Badge("Active", false),
            _ => Cell::Badge("Paused", true),
        },
        match health.last_delivery_at {
            Some(at) => Cell::When(moment(at)),
            None => Cell::Text("Never".to_owned()),
        },
        Cell::link(&health.accepted.to_string(), log("")),
        Cell::Text(health.refused.to_string()),
        match health.dead {
            0 => Cell::Text("0".to_owned()),
            dead => Cell::link(&dead.to_string(), log("&state=failed")),
        },
    ]
}
