//! `/issues`: the issues of a group and those below it, or those of them that a customer is on, with their contacts.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use serde::Deserialize;

use super::{IssueLink, seen};
use crate::{
    domain::{IssueId, ItemId},
    store::{
        search::{self, Among, IssueContacts},
        shown,
    },
    web::{
        Web,
        frame::{Frame, html},
        params::Query,
        problem::Problem,
        table::{Cell, Table},
        visit::{InGroup, ToView},
    },
};

/// Issues that are looked at for a page.
const ROWS: u32 = 50;
/// Contacts of an issue that are named.
const NAMED: u32 = 3;

/// What an address says; the names are GitLab's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    crm_contact_id: Option<ItemId>,
    crm_organization_id: Option<ItemId>,
    before: Option<IssueId>,
}

#[derive(Template)]
#[template(path = "issues/list.html")]
struct ListPage {
    frame: Frame,
    table: Table,
    /// The customer whose issues these are: name and page.
    customer: Option<(String, String)>,
    /// Where all issues are.
    all: String,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/issues", get(list))
}

async fn list(visit: InGroup<ToView>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let (among, filter, folder) = match (asked.crm_contact_id, asked.crm_organization_id) {
        (Some(id), _) => (
            Among::Contact(id),
            format!("crm_contact_id={id}&"),
            "crm/contacts",
        ),
        (None, Some(id)) => (
            Among::Organization(id),
            format!("crm_organization_id={id}&"),
            "crm/organizations",
        ),
        (None, None) => (Among::Group, String::new(), ""),
    };
    let customer = match among {
        Among::Group => None,
        Among::Contact(id) | Among::Organization(id) => {
            let mut connection = visit.visitor.connection().await?;
            let found = shown::items(&mut connection, &[id]).await?;
            let mut here = found
                .into_iter()
                .filter(|item| (item.root, item.group) == visit.holder());
            let item = here.next().ok_or(Problem::NotFound)?;
            let path = visit.to(format_args!("{folder}/{id}"));
            Some((item.fields.title(), path))
        }
    };
    let found = seen(&visit, among, (ROWS, asked.before)).await?;
    let ids: Vec<IssueId> = found.links.iter().map(|issue| issue.id).collect();
    let mut connection = visit.visitor.connection().await?;
    let contacts =
        search::contacts_of_issues(&mut connection, visit.holder(), &ids, NAMED, None).await?;
    drop(connection);
    let all = visit.to("issues");
    let table = Table {
        caption: "Issues",
        columns: ["Issue", "Reference", "State", "Contacts"].map(Table::plain).into(),
        rows: found
            .links
            .into_iter()
            .map(|issue| {
                let named = contacts.get(&issue.id);
                row(issue, named)
            })
            .collect(),
        next: found.last.map(|last| format!("{all}?{filter}before={last}")),
        previous: asked.before.map(|_| format!("{all}?{}", filter.trim_end_matches('&'))),
        empty: "No issues that you may see. Liaison knows an issue from its first comment or change on.".to_owned(),
        live: Some(visit.live.clone()),
        ..Table::default()
    };
    Ok(html(&ListPage {
        frame: visit.frame("Issues"),
        table,
        customer,
        all,
    }))
}

fn row(issue: IssueLink, contacts: Option<&IssueContacts>) -> Vec<Cell> {
    let names = contacts.map(|contacts| {
        let mut names: Vec<_> = contacts
            .rows
            .iter()
            .map(|contact| format!("{} {}", contact.first_name, contact.last_name))
            .collect();
        if contacts.has_next {
            names.push("…".to_owned());
        }
        names.join(", ")
    });
    vec![
        Cell::Link {
            text: issue.title,
            path: issue.path,
        },
        Cell::Text(issue.reference),
        if issue.is_closed {
            Cell::Badge("Closed", true)
        } else {
            Cell::Badge("Open", false)
        },
        Cell::text(names),
    ]
}
