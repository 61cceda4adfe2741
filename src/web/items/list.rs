//! `/crm/items`: leads, deals, invoices and custom items, by kind, state and words.

use std::collections::HashMap;

use askama::Template;
use axum::{Router, response::Response, routing::get};
use serde::{Deserialize, Serialize};

use super::BulkForm;
use crate::{
    domain::{ItemFields, ItemId, ItemKind, ItemTypeId, RecordKind},
    rules::Right,
    store::{
        item_list::{self, ItemFilter, ItemSort},
        item_type::{self, ItemType},
        shown::{self, ShownItem},
    },
    web::{
        Web,
        frame::{Frame, html},
        kind,
        params::Query,
        people::Names,
        problem::Problem,
        table::{Cell, Search, Tab, Table},
        visit::{InGroup, ToView},
    },
};

/// Rows of a page.
const ROWS: i64 = 25;
/// Matching items that are counted; above that the tab says how many at least.
const COUNTED: i64 = 10_000;

/// What the list can be sorted by: word in addresses, column, order.
const SORTS: [(&str, &str, ItemSort); 4] = [
    ("", "Newest", ItemSort::Newest),
    ("oldest", "Oldest", ItemSort::Oldest),
    ("updated", "Last changed", ItemSort::Updated),
    ("title", "Title", ItemSort::Title),
];

/// What an address says about the list. What makes no sense is as if it were not there.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Asked {
    /// `all` or `inactive`; else those in use.
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
    /// A word of [`ItemKind`], or `type-7`.
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    search: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sort: String,
    /// Number of an item.
    #[serde(skip_serializing_if = "String::is_empty")]
    after: String,
}

impl Asked {
    fn filter(&self) -> ItemFilter {
        let item_type = self.kind.strip_prefix("type-");
        let item_type = item_type.and_then(|id| id.parse().ok()).map(ItemTypeId);
        let known = ItemKind::ALL
            .into_iter()
            .find(|kind| kind.word() == self.kind && RecordKind::of(*kind).is_some());
        ItemFilter {
            kinds: known.map(|kind| vec![kind.word().to_owned()]),
            item_type,
            active: match self.state.as_str() {
                "all" => None,
                "inactive" => Some(false),
                _ => Some(true),
            },
            search: Some(self.search.replace('\0', "").trim().to_owned())
                .filter(|search| !search.is_empty()),
            ..ItemFilter::default()
        }
    }

    fn sort(&self) -> ItemSort {
        let known = SORTS.iter().find(|(word, ..)| *word == self.sort);
        known.map_or(ItemSort::Newest, |(.., sort)| *sort)
    }

    fn link(&self, path: &str) -> String {
        let query = serde_urlencoded::to_string(self).unwrap_or_default();
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    }
}

/// A choice of a form's list.
#[derive(Debug)]
struct Choice {
    value: String,
    label: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "items/list.html")]
struct ListPage {
    frame: Frame,
    table: Table,
    asked: Asked,
    kinds: Vec<Choice>,
    sorts: Vec<Choice>,
    may_create: bool,
    /// Where this page is.
    here: String,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/items", get(list))
}

async fn list(visit: InGroup<ToView>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let filter = asked.filter();
    let holder = visit.holder();
    let mut connection = visit.visitor.connection().await?;
    let after = match asked.after.parse().map(ItemId) {
        Ok(id) => item_list::after(&mut connection, holder, id).await?,
        Err(_) => None,
    };
    let order = (asked.sort(), after.as_ref(), ROWS + 1);
    let mut ids = item_list::page(&mut connection, holder, &filter, order).await?;
    let rows = usize::try_from(ROWS).unwrap_or_default();
    let has_next = ids.len() > rows;
    ids.truncate(rows);
    let found = shown::items(&mut connection, &ids).await?;
    let counts = counts(&mut connection, holder, &filter).await?;
    let types = item_type::of_root(&mut connection, visit.group.root).await?;
    let names = Names::of(
        &mut connection,
        found.iter().filter_map(|item| item.responsible),
    )
    .await?;
    drop(connection);
    let by_id: HashMap<ItemId, &ShownItem> = found.iter().map(|item| (item.id, item)).collect();
    let shown: Vec<&ShownItem> = ids.iter().filter_map(|id| by_id.get(id).copied()).collect();
    let here = visit.to("crm/items");
    let restarted = Asked {
        after: String::new(),
        ..asked.clone()
    };
    let may_create = visit.access.allows(Right::CreateContacts);
    let table = Table {
        caption: "Items",
        tabs: tabs(&restarted, &here, counts),
        search: Some(search(&asked, &here)),
        columns: columns(&restarted, &here),
        rows: shown
            .iter()
            .map(|item| row(&visit, item, (&names, &types)))
            .collect(),
        next: ids.last().filter(|_| has_next).map(|last| {
            let next = Asked {
                after: last.to_string(),
                ..asked.clone()
            };
            next.link(&here)
        }),
        previous: after.map(|_| restarted.link(&here)),
        empty: if filter.search.is_some() || !asked.kind.is_empty() {
            "No item matches.".to_owned()
        } else {
            "There are no items here: leads, deals, invoices and whatever types of your own a Maintainer adds in the settings. Make one with the button above.".to_owned()
        },
        live: Some(visit.live.clone()),
        bulk: may_create.then(|| BulkForm::new(&visit, &ids, &filter)),
    };
    Ok(html(&ListPage {
        frame: visit.frame("Items"),
        table,
        kinds: kinds(&asked, &types),
        sorts: SORTS
            .iter()
            .map(|(word, label, _)| Choice {
                value: (*word).to_owned(),
                label: (*label).to_owned(),
                is_chosen: *word == asked.sort,
            })
            .collect(),
        asked,
        may_create,
        here,
    }))
}

/// Returns how many items are in use, archived, and both; up to [`COUNTED`] of each.
async fn counts(
    connection: &mut sqlx::PgConnection,
    holder: crate::store::search::Holder,
    filter: &ItemFilter,
) -> Result<[i64; 3], Problem> {
    let mut counts = [0; 3];
    for (count, active) in counts.iter_mut().zip([Some(true), Some(false), None]) {
        let of = ItemFilter {
            active,
            ..filter.clone()
        };
        *count = item_list::count_up_to(connection, holder, &of, COUNTED + 1).await?;
    }
    Ok(counts)
}

fn tabs(asked: &Asked, here: &str, counts: [i64; 3]) -> Vec<Tab> {
    ["", "inactive", "all"]
        .into_iter()
        .zip(["Active", "Archived", "All"])
        .zip(counts)
        .map(|((state, label), count)| Tab {
            label,
            count: if count > COUNTED {
                format!("{COUNTED}+")
            } else {
                count.to_string()
            },
            path: Asked {
                state: state.to_owned(),
                ..asked.clone()
            }
            .link(here),
            is_here: state == asked.state,
        })
        .collect()
}

fn search(asked: &Asked, here: &str) -> Search {
    let kept = [
        ("state", &asked.state),
        ("kind", &asked.kind),
        ("sort", &asked.sort),
    ];
    Search {
        path: here.to_owned(),
        label: "Search items",
        value: asked.search.clone(),
        kept: kept
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.clone()))
            .collect(),
    }
}

fn columns(asked: &Asked, here: &str) -> Vec<crate::web::table::Column> {
    let mut columns: Vec<_> = [
        "Title",
        "Kind",
        "Stage",
        "Amount",
        "Responsible",
        "Changed",
        "State",
    ]
    .into_iter()
    .map(Table::plain)
    .collect();
    for (label, word) in [("Title", "title"), ("Changed", "updated")] {
        if let Some(column) = columns.iter_mut().find(|column| column.label == label) {
            let is_now = asked.sort == word;
            column.sorted = match (is_now, word) {
                (false, _) => "none",
                (true, "title") => "ascending",
                (true, _) => "descending",
            };
            let by = Asked {
                sort: word.to_owned(),
                ..asked.clone()
            };
            column.path = Some(by.link(here));
        }
    }
    columns
}

fn kinds(asked: &Asked, types: &[ItemType]) -> Vec<Choice> {
    let kinds = ItemKind::ALL
        .into_iter()
        .filter(|kind| RecordKind::of(*kind).is_some() && *kind != ItemKind::Custom)
        .map(|kind| {
            let plural = kind.plural();
            (kind.word().to_owned(), plural.to_owned())
        });
    let types = types
        .iter()
        .map(|found| (format!("type-{}", found.id), found.name.clone()));
    std::iter::once((String::new(), "all kinds".to_owned()))
        .chain(kinds)
        .chain(types)
        .map(|(value, label)| Choice {
            is_chosen: value == asked.kind,
            value,
            label,
        })
        .collect()
}

fn row(
    visit: &InGroup<ToView>,
    item: &ShownItem,
    (names, types): (&Names, &[ItemType]),
) -> Vec<Cell> {
    let ItemFields::Record(record) = &item.fields else {
        return Vec::new();
    };
    let amount = record.amount.map(|amount| {
        let currency = record.currency.as_deref().unwrap_or_default();
        format!("{amount} {currency}")
    });
    vec![
        Cell::link(
            &record.title,
            visit.to(format_args!("crm/items/{}", item.id)),
        ),
        Cell::Text(kind_name(item.fields.kind(), record.item_type, types)),
        Cell::text(record.stage.clone()),
        Cell::text(amount),
        Cell::text(item.responsible.map(|person| names.get(Some(person)))),
        Cell::When(visit.visitor.moment(item.updated_at)),
        if record.active {
            Cell::Badge("Active", false)
        } else {
            Cell::Badge("Archived", true)
        },
    ]
}

/// Returns what an item's kind is called; custom ones have a type with a name of its own.
pub(super) fn kind_name(of: ItemKind, item_type: Option<ItemTypeId>, types: &[ItemType]) -> String {
    let named = types.iter().find(|known| Some(known.id) == item_type);
    named.map_or_else(|| kind::label(of).to_owned(), |known| known.name.clone())
}
