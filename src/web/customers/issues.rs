//! The issues of a customer, across projects, as far as the reader may know of them.

use crate::{
    domain::{IssueId, ItemId},
    rules::Right,
    store::search,
    web::{problem::Problem, visit::InGroup},
};

/// Issues that a page shows; the list of issues has all.
const SHOWN: u32 = 20;

/// An issue as a page names it.
#[derive(Debug)]
pub(super) struct IssueLink {
    /// `acme/shop#7`.
    pub(super) reference: String,
    /// Title.
    pub(super) title: String,
    /// Whether it is closed.
    pub(super) is_closed: bool,
    /// Where its page is.
    pub(super) path: String,
}

/// Returns the newest issues of a contact.
pub(super) async fn of_contact<R>(
    visit: &InGroup<R>,
    contact: ItemId,
) -> Result<Vec<IssueLink>, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let root = visit.group.root;
    let found = search::issues_of_contact(&mut connection, root, contact, SHOWN, None).await?;
    drop(connection);
    let ids: Vec<IssueId> = found.iter().map(|issue| issue.id).collect();
    let person = visit.visitor.bearer.person;
    let access = visit.visitor.web.crm.issues_access(person, &ids).await?;
    let may_see = |issue: &IssueId| {
        access
            .get(issue)
            .is_some_and(|access| access.allows(Right::ViewIssueContacts))
    };
    Ok(found
        .into_iter()
        .filter(|issue| may_see(&issue.id))
        .map(|issue| IssueLink {
            reference: format!("{}#{}", issue.project_path, issue.iid),
            title: issue.title,
            is_closed: issue.state == "closed",
            path: visit.to(format_args!("issues/{}", issue.id)),
        })
        .collect())
}
