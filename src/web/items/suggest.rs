//! Options for whoever types into a combobox: people of the tenant, and items.

use axum::{Router, extract::Query, response::Response, routing::get};
use serde::Deserialize;

use crate::{
    domain::ItemKind,
    store::{
        item_list::{self, ItemFilter, ItemSort},
        person, shown,
    },
    web::{
        Web,
        frame::html,
        kind,
        problem::Problem,
        suggestion::{Choice, Options},
        visit::{InGroup, ToView},
    },
};

/// Most options.
const MOST: i64 = 10;

/// What was typed so far.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    q: String,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/crm/people/suggest", get(people))
        .route("/crm/items/suggest", get(items))
        .route("/crm/customers/suggest", get(customers))
}

async fn people(visit: InGroup<ToView>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    // Several may be typed; the last one is on the way.
    let typed = asked.q.rsplit([',', ' ']).next().unwrap_or_default();
    let typed = typed.trim_start_matches('@').replace('\0', "");
    let mut connection = visit.visitor.connection().await?;
    let found = person::suggest(&mut connection, visit.group.root, &typed, MOST).await?;
    let options = found.into_iter().map(|(username, name)| Choice {
        label: if name.is_empty() {
            username.clone()
        } else {
            name
        },
        note: format!("@{username}"),
        value: username,
    });
    Ok(html(&Options {
        options: options.collect(),
    }))
}

async fn items(visit: InGroup<ToView>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    suggest(&visit, &asked, None).await
}

async fn customers(
    visit: InGroup<ToView>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let kinds = [ItemKind::Contact, ItemKind::Organization];
    let kinds = kinds.map(|kind| kind.word().to_owned());
    suggest(&visit, &asked, Some(kinds.into())).await
}

async fn suggest(
    visit: &InGroup<ToView>,
    asked: &Asked,
    kinds: Option<Vec<String>>,
) -> Result<Response, Problem> {
    let filter = ItemFilter {
        kinds,
        active: Some(true),
        search: Some(asked.q.replace('\0', "")),
        ..ItemFilter::default()
    };
    let mut connection = visit.visitor.connection().await?;
    let order = (ItemSort::Title, None, MOST);
    let ids = item_list::page(&mut connection, visit.holder(), &filter, order).await?;
    let found = shown::items(&mut connection, &ids).await?;
    let options = ids
        .iter()
        .filter_map(|id| found.iter().find(|item| item.id == *id))
        .map(|item| Choice {
            value: format!("#{}", item.id),
            label: item.fields.title(),
            note: format!("{} #{}", kind::label(item.fields.kind()), item.id),
        });
    Ok(html(&Options {
        options: options.collect(),
    }))
}
