//! Items of every kind: lists, pages and forms of leads, deals, invoices and custom ones, and for all kinds who watches them, their chats,
//! and changes of many at once.

mod actions;
mod bulk;
mod form;
mod job;
mod list;
mod page;
mod suggest;
mod watch;
mod watchers;
mod why;

pub(super) use bulk::BulkForm;
pub(super) use watchers::Watchers;

use axum::Router;

use super::{Web, kind, problem::Problem, visit::InGroup};
use crate::{
    domain::ItemId,
    rules::OnItem,
    store::shown::{self, ShownItem},
};

/// Returns the routes within a group.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .merge(list::routes())
        .merge(form::routes())
        .merge(page::routes())
        .merge(actions::routes())
        .merge(watch::routes())
        .merge(why::routes())
        .merge(bulk::routes())
        .merge(job::routes())
        .merge(suggest::routes())
}

/// Returns an item that the group holds, and what the visitor may do with it; one that he may not see is not there.
pub(super) async fn find<R>(
    visit: &InGroup<R>,
    id: ItemId,
) -> Result<(ShownItem, OnItem), Problem> {
    let mut connection = visit.visitor.connection().await?;
    let found = shown::items(&mut connection, &[id]).await?;
    drop(connection);
    let mut found = found.into_iter();
    let item = found
        .find(|found| (found.root, found.group) == visit.holder())
        .ok_or(Problem::NotFound)?;
    let person = visit.visitor.bearer.person;
    let access = visit.visitor.web.crm.items_access(person, &[id]).await?;
    let on = access.get(&id).copied().filter(|on| on.reads());
    Ok((item, on.ok_or(Problem::NotFound)?))
}

/// Returns where the page of an item is that the visitor may see: contacts and organizations have their own, for whoever may see all of them.
fn page_of<R>(visit: &InGroup<R>, item: &ShownItem, on: OnItem) -> String {
    if on.access.allows(crate::rules::Right::ViewContacts) {
        visit.to(kind::path(item.fields.kind(), item.id))
    } else {
        visit.to(format_args!("crm/items/{}", item.id))
    }
}
