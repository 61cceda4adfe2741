//! What the lists of contacts and of organizations have in common.

use askama::Template;
use axum::response::Response;

use crate::{
    domain::ItemId,
    rules::Right,
    store::{
        item_list::ItemFilter,
        search::{self, Listing},
    },
    web::{
        frame::{Frame, html},
        items::BulkForm,
        kind::Kind,
        problem::Problem,
        table::{Asked, Cell, Sort, Table},
        visit::{InGroup, ToView},
    },
};

/// A list; the kind says which.
#[derive(Template)]
#[template(path = "customers/list.html")]
struct ListPage {
    frame: Frame,
    table: Table,
    /// Where the group's pages are.
    base: String,
    /// `contact` or `organization`.
    kind: &'static str,
    /// Where new ones are made.
    folder: String,
    may_create: bool,
    may_import: bool,
    may_export: bool,
}

/// The words of a list.
pub(super) struct Words {
    /// Its title.
    pub(super) title: &'static str,
    /// What its search is called.
    pub(super) search: &'static str,
}

/// Answers with a list whose columns are those of its sorts, the state, and the way to the issues.
pub(super) async fn page<S: Sort, R>(
    visit: &InGroup<ToView>,
    asked: &Asked,
    (kind, words): (Kind, Words),
    listing: &Listing<R>,
    row: impl Fn(&R) -> (ItemId, Vec<Cell>),
) -> Result<Response, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let counts = search::counts(
        &mut connection,
        visit.holder(),
        kind.listed(),
        asked.search(),
    )
    .await?;
    drop(connection);
    let path = visit.to(kind.folder());
    let mut columns = asked.columns::<S>(&path);
    columns.push(Table::plain("State"));
    columns.push(Table::plain("Issues"));
    let [previous, next] = asked.pager(&path, listing);
    let (ids, rows): (Vec<ItemId>, Vec<_>) =
        listing.rows.iter().map(|(found, _)| row(found)).unzip();
    let filter = ItemFilter {
        kinds: Some(vec![kind.word().to_owned()]),
        active: asked.active(),
        search: asked.search().map(str::to_owned),
        ..ItemFilter::default()
    };
    let may_create = visit.access.allows(Right::CreateContacts);
    let table = Table {
        caption: words.title,
        tabs: asked.tabs(&path, counts),
        search: Some(asked.search_box(&path, words.search)),
        columns,
        rows,
        bulk: may_create.then(|| BulkForm::new(visit, &ids, &filter)),
        previous,
        next,
        empty: match asked.search() {
            Some(_) => format!("No {} matches the search.", kind.word()),
            None => format!("There are no {} here.", kind.plural()),
        },
        live: Some(visit.live.clone()),
    };
    Ok(html(&ListPage {
        frame: visit.frame(words.title),
        table,
        kind: kind.word(),
        folder: path,
        may_create,
        may_import: visit.access.allows(Right::ImportContacts),
        may_export: visit.access.allows(Right::ExportContacts),
        base: visit.base.clone(),
    }))
}
