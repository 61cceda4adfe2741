//! `/issues/{id}`: an issue with its contacts, and what a comment on it would do.

use askama::Template;
use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;

use crate::{
    crm::Preview,
    domain::{IssueId, ItemId, ItemKind},
    rules::Right,
    store::{
        item_list,
        search::{self, ContactRow, Holder},
        shown,
        tree::{self, IssueNode},
    },
    web::{
        Web,
        form::{Errors, Typed},
        frame::{Frame, base, html},
        kind,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToView},
    },
};

/// Contacts that the page shows.
const SHOWN: u32 = 1000;

#[derive(Template)]
#[template(path = "issues/page.html")]
struct IssuePage {
    frame: Frame,
    issue: IssueNode,
    reference: String,
    contacts: Vec<ContactRow>,
    /// Where the pages of its own group are.
    base: String,
    /// Where changes are told.
    live: String,
    /// Where this page is.
    here: String,
    may_relate: bool,
    /// Where contacts are suggested.
    suggestions: String,
    /// Items beside contacts: id, title, kind and path.
    items: Vec<(ItemId, String, &'static str, String)>,
    /// Where items are suggested.
    item_suggestions: String,
    /// What is wrong with the contact that was typed: that is said on the next page.
    errors: Errors,
    /// What a comment would do: as typed, and what would be answered.
    comment: String,
    preview: Option<Preview>,
}

/// A comment that is not written yet.
#[derive(Debug, Deserialize)]
struct Input {
    #[serde(default)]
    comment: String,
}

/// An issue on whose contacts the visitor may look.
pub(super) struct Found {
    pub(super) issue: IssueNode,
    /// The group that holds its contacts.
    pub(super) holder: Holder,
    pub(super) may_relate: bool,
    /// Where the pages are of the group whose project it is in: its customers are there.
    pub(super) home: String,
    reference: String,
}

/// Returns the routes of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/issues/{id}", get(show))
        .route("/issues/{id}/preview", post(preview))
}

/// Returns an issue in the visited group or below it; one of elsewhere, or whose contacts are not for the visitor, is not there.
pub(super) async fn find(visit: &InGroup<ToView>, id: IssueId) -> Result<Found, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let issue = tree::issues(&mut connection, &[id]).await?.pop();
    let issue = issue.filter(|issue| issue.root == visit.group.root);
    let issue = issue.ok_or(Problem::NotFound)?;
    let project = tree::projects(&mut connection, &[issue.project])
        .await?
        .pop();
    let project = project.ok_or(Problem::NotFound)?;
    let home = tree::groups(&mut connection, &[project.group]).await?.pop();
    drop(connection);
    let within = format!("{}/", visit.group.path);
    let home = home
        .filter(|home| format!("{}/", home.path).starts_with(&within))
        .ok_or(Problem::NotFound)?;
    let person = visit.visitor.bearer.person;
    let crm = &visit.visitor.web.crm;
    let access = crm.issue_access(person, issue.root, issue.id).await?;
    if !access.allows(Right::ViewIssueContacts) {
        return Err(Problem::NotFound);
    }
    Ok(Found {
        reference: format!("{}#{}", project.path, issue.iid),
        holder: (issue.root, home.contact_group),
        may_relate: access.allows(Right::RelateContacts),
        home: base(&home.path),
        issue,
    })
}

async fn show(visit: InGroup<ToView>, Path(id): Path<IssueId>) -> Result<Response, Problem> {
    page(visit, id, String::new(), None).await
}

async fn preview(
    visit: InGroup<ToView>,
    Path(id): Path<IssueId>,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let comment = form.values.comment;
    let asker = visit.visitor.asker();
    let crm = &visit.visitor.web.crm;
    let preview = crm.preview(asker, id, &comment).await?;
    page(visit, id, comment, Some(preview)).await
}

async fn page(
    visit: InGroup<ToView>,
    id: IssueId,
    comment: String,
    preview: Option<Preview>,
) -> Result<Response, Problem> {
    let found = find(&visit, id).await?;
    let mut connection = visit.visitor.connection().await?;
    let mut contacts =
        search::contacts_of_issues(&mut connection, found.holder, &[id], SHOWN, None).await?;
    let related = (found.issue.root, id);
    let items = item_list::of_issues(&mut connection, &[related], SHOWN.into()).await?;
    let items: Vec<ItemId> = items.into_iter().map(|(.., item)| item).collect();
    let items = shown::items(&mut connection, &items).await?;
    drop(connection);
    let items = items
        .into_iter()
        .filter(|item| (item.root, item.group) == found.holder)
        .filter(|item| item.fields.kind() != ItemKind::Contact)
        .map(|item| {
            let kind = item.fields.kind();
            let path = format!("{}/{}", found.home, kind::path(kind, item.id));
            (item.id, item.fields.title(), kind::label(kind), path)
        })
        .collect();
    Ok(html(&IssuePage {
        frame: visit.frame(&found.issue.title),
        items,
        item_suggestions: format!("{}/crm/items/suggest", found.home),
        contacts: contacts.remove(&id).unwrap_or_default().rows,
        here: visit.to(format_args!("issues/{id}")),
        suggestions: visit.to(format_args!("issues/{id}/suggest")),
        errors: Errors::default(),
        live: visit.live,
        base: found.home,
        issue: found.issue,
        reference: found.reference,
        may_relate: found.may_relate,
        comment,
        preview,
    }))
}
