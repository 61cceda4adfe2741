//! `/`: the groups whose customers one may see, or may configure.

use askama::Template;
use axum::{Router, response::Response, routing::get};

use super::{
    Web,
    frame::{Frame, base, html},
    problem::Problem,
    visit::SignedIn,
};
use crate::{rules::Right, store::tree};

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
    let groups = roots
        .into_iter()
        .filter_map(|group| {
            let access = access.get(&(group.root, group.id))?;
            let page = if access.allows(Right::ViewContacts) {
                "crm/contacts"
            } else if access.allows(Right::Configure) {
                "settings"
            } else {
                return None;
            };
            Some(Entry {
                link: format!("{}/{page}", base(&group.path)),
                name: group.name,
                path: group.path,
            })
        })
        .collect();
    let frame = visitor.frame("Groups");
    Ok(html(&HomePage { frame, groups }))
}
