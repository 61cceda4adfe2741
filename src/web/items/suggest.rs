//! Options for whoever types into a combobox: people of the tenant, and items.

use axum::{Router, response::Response, routing::get};
use serde::Deserialize;

use crate::{
    domain::{ItemId, ItemKind},
    store::{
        item_list::{self, ItemFilter, ItemSort},
        person,
        search::Purpose,
        shown,
    },
    web::{
        Web,
        frame::html,
        kind,
        params::Query,
        problem::Problem,
        suggestion::{Choice, Options, organizations_like},
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
    let options = items_like(&visit, asked.q).await?;
    Ok(html(&Options { options }))
}

async fn customers(
    visit: InGroup<ToView>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let options = customers_like(&visit, asked.q).await?;
    Ok(html(&Options { options }))
}

/// Returns items that are offered to whoever types a part of their names.
pub(super) async fn items_like<R>(
    visit: &InGroup<R>,
    typed: String,
) -> Result<Vec<Choice>, Problem> {
    let filter = ItemFilter {
        active: Some(true),
        search: Some(typed),
        ..ItemFilter::default()
    };
    let mut connection = visit.visitor.connection().await?;
    let order = (ItemSort::Title, None, MOST);
    let ids = item_list::page(&mut connection, visit.holder(), &filter, order).await?;
    let found = shown::items(&mut connection, &ids).await?;
    Ok(ids
        .iter()
        .filter_map(|id| found.iter().find(|item| item.id == *id))
        .map(|item| numbered(item.id, item.fields.title(), item.fields.kind()))
        .collect())
}

/// Returns contacts as they are completed everywhere, then organizations.
pub(super) async fn customers_like<R>(
    visit: &InGroup<R>,
    typed: String,
) -> Result<Vec<Choice>, Problem> {
    let typed = typed.replace('\0', "");
    if typed.trim().is_empty() {
        return Ok(Vec::new());
    }
    let most = u32::try_from(MOST).unwrap_or_default();
    let (holder, any) = (visit.holder(), Purpose::Any);
    let completing = &visit.visitor.web.completing;
    let contacts = completing.complete(holder, &typed, None, any, most);
    let contacts = contacts.await?;
    let organizations = organizations_like(visit, typed, most).await?;
    let contacts = contacts.into_iter().map(|contact| {
        let name = format!("{} {}", contact.first_name, contact.last_name);
        numbered(contact.id, name, ItemKind::Contact)
    });
    let organizations = organizations
        .into_iter()
        .map(|organization| numbered(organization.id, organization.title, ItemKind::Organization));
    Ok(contacts.chain(organizations).collect())
}

/// Returns an option that means an item by its number.
fn numbered(id: ItemId, title: String, kind: ItemKind) -> Choice {
    Choice {
        value: format!("#{id}"),
        label: title,
        note: format!("{} #{id}", kind::label(kind)),
    }
}
