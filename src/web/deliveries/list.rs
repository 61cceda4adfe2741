//! `/deliveries`: the log, newest first, by webhook and by what came of it.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::DeliveryId,
    queue::{DeliverySummary, LogFilter},
    store::webhook,
    web::{
        Web,
        frame::{Frame, html},
        params::Query,
        problem::Problem,
        table::{Cell, Tab, Table},
        visit::{InGroup, ToConfigure},
    },
};

/// Deliveries of a page.
const ROWS: i64 = 50;

/// What came of deliveries: word in addresses, label of the tab.
const STATES: [(&str, &str); 6] = [
    ("", "All"),
    ("pending", "Pending"),
    ("done", "Done"),
    ("ignored", "Ignored"),
    ("dead", "Given up"),
    ("failed", "Anything failed"),
];

/// What an address says about the log. What makes no sense is as if it were not there.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct Asked {
    #[serde(skip_serializing_if = "String::is_empty")]
    webhook: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    before: String,
}

#[derive(Template)]
#[template(path = "deliveries/list.html")]
struct ListPage {
    frame: Frame,
    table: Table,
    asked: Asked,
    webhooks: Vec<String>,
    /// Where this page is.
    here: String,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/deliveries", get(list))
}

async fn list(
    visit: InGroup<ToConfigure>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let group = (visit.group.root, visit.group.id);
    let word = STATES.iter().find(|(word, _)| *word == asked.state);
    let word = word.map_or("", |(word, _)| *word);
    let filter = LogFilter {
        name: Some(asked.webhook.replace('\0', "")).filter(|name| !name.is_empty()),
        state: Some(word.to_owned()).filter(|word| !word.is_empty() && word != "failed"),
        failed: word == "failed",
        before: asked.before.parse().ok().map(DeliveryId),
        ..LogFilter::default()
    };
    let mut found = visit
        .visitor
        .web
        .webhooks
        .deliveries(group, filter, ROWS + 1)
        .await?;
    let rows = usize::try_from(ROWS).unwrap_or_default();
    let has_more = found.len() > rows;
    found.truncate(rows);
    let mut connection = visit.visitor.connection().await?;
    let now = visit.visitor.web.crm.clock.now();
    let webhooks = webhook::list(&mut connection, Some(group), now).await?;
    drop(connection);
    let here = visit.to("deliveries");
    let link = |asked: &Asked| {
        let query = serde_urlencoded::to_string(asked).unwrap_or_default();
        format!("{here}?{query}")
    };
    let last: Option<Uuid> = found.last().map(|line| line.id.0).filter(|_| has_more);
    let table = Table {
        tabs: STATES
            .iter()
            .map(|(state, label)| Tab {
                label,
                count: String::new(),
                path: link(&Asked {
                    state: (*state).to_owned(),
                    before: String::new(),
                    ..asked.clone()
                }),
                is_here: *state == word,
            })
            .collect(),
        next: last.map(|last| {
            link(&Asked {
                before: last.to_string(),
                ..asked.clone()
            })
        }),
        ..table(&visit, &found).await?
    };
    Ok(html(&ListPage {
        frame: visit.frame("Deliveries"),
        table,
        webhooks: webhooks.into_iter().map(|webhook| webhook.name).collect(),
        asked,
        here,
    }))
}

/// Returns a table of deliveries.
pub(in crate::web) async fn table(
    visit: &InGroup<ToConfigure>,
    found: &[DeliverySummary],
) -> Result<Table, Problem> {
    let webhooks = &visit.visitor.web.webhooks;
    let mut events = webhooks.events(visit.group.root, found).await?;
    let columns = [
        "Received",
        "What",
        "Webhook",
        "State",
        "What came of it",
        "Attempts",
    ];
    let row = |line: &DeliverySummary| {
        let own = visit.to(format_args!("deliveries/{}", line.id));
        let outcome = line.outcome.clone().unwrap_or_default();
        vec![
            Cell::Moment(visit.visitor.moment(line.received_at), own),
            Cell::Text(events.remove(&line.id).unwrap_or_default()),
            Cell::Text(line.webhook.clone()),
            state(line),
            Cell::Text(match line.dead_effects {
                0 => outcome,
                1 => format!("{outcome} (one call of it failed)"),
                count => format!("{outcome} ({count} calls of it failed)"),
            }),
            Cell::Text(line.attempts.to_string()),
        ]
    };
    Ok(Table {
        caption: "Deliveries",
        columns: columns.into_iter().map(Table::plain).collect(),
        rows: found.iter().map(row).collect(),
        empty: "Nothing arrived that fits. Write a comment in the tracker, or send a test from the page of a webhook.".to_owned(),
        ..Table::default()
    })
}

fn state(line: &DeliverySummary) -> Cell {
    match line.state.as_str() {
        "done" if line.dead_effects == 0 => Cell::Badge("Done", false),
        "done" => Cell::Warning("Failed in part"),
        "ignored" => Cell::Badge("Ignored", true),
        "dead" => Cell::Warning("Given up"),
        _ => Cell::Badge("Pending", true),
    }
}
