//! `/crm/items/{id}`: an item with what it is about, who watches it, its chat, its issues and its history.
//!
//! Whoever observes an item or is responsible for it finds it here, of whatever kind it is, though the group's lists may not be his to see.

use askama::Template;
use axum::{
    Router,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use super::{Watchers, actions::Converted, find, list::kind_name};
use crate::{
    domain::{ItemFields, ItemId, ItemKind},
    rules::{OnItem, Right},
    store::{
        item_list, item_type,
        search::Among,
        shown::{self, ShownItem},
    },
    web::{
        Web,
        frame::{Frame, html},
        history::{self, Entry},
        issues::{IssueLink, newest},
        kind,
        moment::Moment,
        params::{Path, Query},
        problem::Problem,
        visit::{InGroup, ToSeeItem},
    },
};

#[derive(Template)]
#[template(path = "items/page.html")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each switches a part of the page"
)]
struct ItemPage {
    frame: Frame,
    id: ItemId,
    /// What it is, in words.
    kind_name: String,
    /// Labels and values.
    facts: Vec<(&'static str, String)>,
    created: Moment,
    updated: Moment,
    active: bool,
    /// What it is about: id, title and path.
    links: Vec<(ItemId, String, String)>,
    issues: Vec<IssueLink>,
    history: Vec<Entry>,
    watchers: Watchers,
    /// Where the group's pages are.
    base: String,
    /// Where changes are told.
    live: String,
    /// Where this page is.
    item: String,
    /// What was typed to make a deal of it.
    converted: Converted,
    is_lead: bool,
    is_record: bool,
    may_edit: bool,
    may_delete: bool,
    /// Whether the group's lists are the visitor's to see.
    may_list: bool,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/items/{id}", get(show))
}

async fn show(
    visit: InGroup<ToSeeItem>,
    Path(id): Path<ItemId>,
    Query(converted): Query<Converted>,
) -> Result<Response, Problem> {
    let (item, on) = find(&visit, id).await?;
    let of = item.fields.kind();
    let is_record = !matches!(of, ItemKind::Contact | ItemKind::Organization);
    let may_list = visit.access.allows(Right::ViewContacts);
    if !is_record && may_list {
        return Ok(Redirect::to(&visit.to(kind::path(of, id))).into_response());
    }
    page(&visit, (&item, on), converted, (is_record, may_list)).await
}

async fn page(
    visit: &InGroup<ToSeeItem>,
    (item, on): (&ShownItem, OnItem),
    converted: Converted,
    (is_record, may_list): (bool, bool),
) -> Result<Response, Problem> {
    let links = if may_list {
        links(visit, item).await?
    } else {
        Vec::new()
    };
    let mut connection = visit.visitor.connection().await?;
    let types = item_type::of_root(&mut connection, item.root).await?;
    drop(connection);
    let item_type = match &item.fields {
        ItemFields::Record(record) => record.item_type,
        ItemFields::Contact(_) | ItemFields::Organization(_) => None,
    };
    let issues = if may_list {
        newest(visit, Among::Contact(item.id)).await?
    } else {
        Vec::new()
    };
    Ok(html(&ItemPage {
        frame: visit.frame(item.fields.title()),
        id: item.id,
        kind_name: kind_name(item.fields.kind(), item_type, &types),
        facts: facts(&item.fields),
        created: visit.visitor.moment(item.created_at),
        updated: visit.visitor.moment(item.updated_at),
        active: item.fields.active(),
        links,
        issues,
        history: history::of_item(visit, item.id).await?,
        watchers: Watchers::of(visit, (item, on)).await?,
        live: visit.live.clone(),
        base: visit.base.clone(),
        item: visit.path.clone(),
        converted,
        is_lead: item.fields.kind() == ItemKind::Lead,
        is_record,
        may_edit: on.edits(),
        may_delete: on.edits() && visit.access.allows(Right::DeleteContacts),
        may_list,
    }))
}

/// Returns the contacts and organizations that an item is about.
async fn links<R>(
    visit: &InGroup<R>,
    item: &ShownItem,
) -> Result<Vec<(ItemId, String, String)>, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let linked = item_list::linked(&mut connection, &[(item.root, item.id)]).await?;
    let ids: Vec<ItemId> = linked.into_iter().map(|(.., linked)| linked).collect();
    let found = shown::items(&mut connection, &ids).await?;
    let here = found
        .into_iter()
        .filter(|other| (other.root, other.group) == visit.holder());
    Ok(here
        .map(|other| {
            let path = visit.to(kind::path(other.fields.kind(), other.id));
            (other.id, other.fields.title(), path)
        })
        .collect())
}

fn facts(fields: &ItemFields) -> Vec<(&'static str, String)> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let all = match fields {
        ItemFields::Record(record) => {
            let amount = record.amount.map(|amount| {
                let currency = record.currency.as_deref().unwrap_or_default();
                format!("{amount} {currency}")
            });
            vec![
                ("Stage", text(&record.stage)),
                ("Amount", amount.unwrap_or_default()),
                ("Description", text(&record.description)),
            ]
        }
        ItemFields::Contact(contact) => vec![
            ("Email", text(&contact.email)),
            ("Phone", text(&contact.phone)),
            ("Description", text(&contact.description)),
        ],
        ItemFields::Organization(organization) => {
            vec![("Description", text(&organization.description))]
        }
    };
    all.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
