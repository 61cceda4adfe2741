//! `/`: the groups whose customers one may see, or may configure.

use askama::Template;
use axum::{Router, response::Response, routing::get};

use super::{
    Web,
    frame::{Frame, base, html},
    problem::Problem,
    visit::SignedIn,
};
use crate::{
    rules::{Access, Right},
    store::tree::{self, GroupNode},
};

/// Root groups that are looked at; whoever has more finds them by their addresses.
const MOST: i64 = 200;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    groups: Vec<Entry>,
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
    let frame = visitor.frame("Groups");
    Ok(html(&HomePage { frame, groups }))
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
