//! `/`: the groups whose customers one may see, or may configure, and the items that one watches.

use std::collections::HashMap;

use askama::Template;
use axum::{Router, response::Response, routing::get};

use super::{
    Web,
    frame::{Frame, base, html},
    kind,
    problem::Problem,
    visit::SignedIn,
};
use crate::{
    domain::ItemId,
    rules::{Access, Right},
    store::{
        item_list,
        shown::{self, ShownItem},
        tree::{self, GroupNode},
    },
};

/// Root groups that are looked at; whoever has more finds them by their addresses.
const MOST: i64 = 200;
/// Items that are named, of those that the visitor watches.
const MOST_WATCHED: i64 = 50;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    groups: Vec<Entry>,
    /// What the visitor observes or is responsible for.
    watched: Vec<Entry>,
    /// Whether there is no group at all.
    is_new: bool,
}

struct Entry {
    name: String,
    path: String,
    link: String,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/", get(home))
}

async fn home(visitor: SignedIn) -> Result<Response, Problem> {
    let mut connection = visitor.connection().await?;
    let roots = tree::root_groups(&mut connection, MOST).await?;
    drop(connection);
    let is_new = roots.is_empty();
    let keys: Vec<_> = roots.iter().map(|group| (group.root, group.id)).collect();
    let person = visitor.bearer.person;
    let access = visitor.web.crm.groups_access(person, &keys).await?;
    let mut groups = Vec::new();
    for group in roots {
        let Some(access) = access.get(&(group.root, group.id)) else {
            continue;
        };
        let page = if access.allows(Right::ViewContacts) {
            "crm/contacts"
        } else if configures(&visitor, &group, *access).await? {
            "settings"
        } else {
            continue;
        };
        groups.push(Entry {
            link: format!("{}/{page}", base(&group.path)),
            name: group.name,
            path: group.path,
        });
    }
    let watched = watched(&visitor).await?;
    let frame = visitor.frame("Groups");
    Ok(html(&HomePage {
        frame,
        groups,
        watched,
        is_new,
    }))
}

/// Returns the newest items that the visitor observes or is responsible for, of whatever group, as far as he may read them.
async fn watched(visitor: &SignedIn) -> Result<Vec<Entry>, Problem> {
    let person = visitor.bearer.person;
    let mut connection = visitor.connection().await?;
    let ids = item_list::watched(&mut connection, person, MOST_WATCHED).await?;
    drop(connection);
    let access = visitor.web.crm.items_access(person, &ids).await?;
    let readable: Vec<ItemId> = ids
        .into_iter()
        .filter(|id| access.get(id).is_some_and(|on| on.reads()))
        .collect();
    let mut connection = visitor.connection().await?;
    let mut items = shown::items(&mut connection, &readable).await?;
    items.sort_by_key(|item| std::cmp::Reverse(item.id));
    let ids: Vec<_> = items.iter().map(|item| item.group).collect();
    let groups = tree::groups(&mut connection, &ids).await?;
    let groups: HashMap<_, _> = groups.into_iter().map(|group| (group.id, group)).collect();
    let entry = |item: ShownItem| {
        let group = groups.get(&item.group)?;
        Some(Entry {
            // Where it is shown to him, of whatever kind it is.
            link: format!("{}/crm/items/{}", base(&group.path), item.id),
            name: item.fields.title(),
            path: format!("{} in {}", kind::label(item.fields.kind()), group.path),
        })
    };
    Ok(items.into_iter().filter_map(entry).collect())
}

/// Returns whether the visitor may configure a group, of which `access` is what he may do with the customers that it uses.
async fn configures(
    visitor: &SignedIn,
    group: &GroupNode,
    access: Access,
) -> Result<bool, Problem> {
    let own = if group.contact_group == group.id {
        access
    } else {
        let person = visitor.bearer.person;
        let crm = &visitor.web.crm;
        crm.own_access(person, group.root, group.id).await?
    };
    Ok(own.allows(Right::Configure))
}
