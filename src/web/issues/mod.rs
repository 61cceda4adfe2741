//! Issues: which of them a customer is on, and which customers an issue has.

mod contacts;
mod in_project;
mod items;
mod list;
mod page;

use axum::Router;

use super::{Web, problem::Problem, visit::InGroup};
use crate::{
    domain::IssueId,
    rules::Right,
    store::search::{self, Among},
};

/// Issues that the page of a customer shows; the list of issues has all.
const NEWEST: u32 = 20;

/// Returns the routes within a group.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .merge(list::routes())
        .merge(page::routes())
        .merge(contacts::routes())
        .merge(items::routes())
}

/// Returns the routes within a project.
pub(super) fn of_projects() -> Router<Web> {
    in_project::routes()
}

/// An issue as pages name it.
#[derive(Debug)]
pub(super) struct IssueLink {
    /// Its id.
    pub(super) id: IssueId,
    /// `acme/shop#7`.
    pub(super) reference: String,
    /// Title.
    pub(super) title: String,
    /// Whether it is closed.
    pub(super) is_closed: bool,
    /// Where its page is.
    pub(super) path: String,
}

/// Issues that the reader may know of, out of those that were looked at.
#[derive(Debug)]
struct Seen {
    links: Vec<IssueLink>,
    /// The last one that was looked at, where more may follow.
    last: Option<IssueId>,
}

/// Returns the newest issues of a customer, as far as the reader may know of them.
pub(super) async fn newest<R>(visit: &InGroup<R>, among: Among) -> Result<Vec<IssueLink>, Problem> {
    Ok(seen(visit, among, (NEWEST, None)).await?.links)
}

/// Looks at a page of issues and leaves out those whose contacts the reader may not see.
async fn seen<R>(
    visit: &InGroup<R>,
    among: Among,
    (count, before): (u32, Option<IssueId>),
) -> Result<Seen, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let place = (visit.group.root, visit.group.id);
    let found = search::issues(&mut connection, place, among, (count, before)).await?;
    drop(connection);
    let ids: Vec<IssueId> = found.iter().map(|issue| issue.id).collect();
    let person = visit.visitor.bearer.person;
    let access = visit.visitor.web.crm.issues_access(person, &ids).await?;
    let may_see = |issue: &IssueId| {
        access
            .get(issue)
            .is_some_and(|access| access.allows(Right::ViewIssueContacts))
    };
    let is_full = found.len() == usize::try_from(count).unwrap_or_default();
    let last = ids.last().copied().filter(|_| is_full);
    let links = found
        .into_iter()
        .filter(|issue| may_see(&issue.id))
        .map(|issue| IssueLink {
            id: issue.id,
            reference: format!("{}#{}", issue.project_path, issue.iid),
            title: issue.title,
            is_closed: issue.state == "closed",
            path: visit.to(format_args!("issues/{}", issue.id)),
        })
        .collect();
    Ok(Seen { links, last })
}
