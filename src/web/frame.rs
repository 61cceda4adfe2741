//! What is around every page: its title, who is signed in, the way to other pages, what was just done.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header;

use super::{assets::Assets, flash::Flash, problem::Problem};
use crate::{
    auth::Bearer,
    rules::{Access, Right},
    store::tree::GroupNode,
};

/// What the layout of a page needs (`web/templates/base.html`).
#[derive(Debug)]
pub(super) struct Frame {
    /// Title of the page.
    pub(super) title: String,
    /// Name of whoever is signed in.
    pub(super) person: Option<String>,
    /// The group that the page is about.
    pub(super) group: Option<GroupFrame>,
    /// What was just done.
    pub(super) flash: Option<Flash>,
    /// Style sheet and scripts.
    pub(super) assets: &'static Assets,
}

/// The group that a page is about, and the ways within it.
#[derive(Debug)]
pub(super) struct GroupFrame {
    /// Its name.
    pub(super) name: String,
    /// Where its pages are: `/groups/acme/-`.
    pub(super) base: String,
    /// Its pages.
    pub(super) ways: Vec<Way>,
}

/// A way to a page.
#[derive(Debug)]
pub(super) struct Way {
    /// What it is called.
    pub(super) label: &'static str,
    /// Where it leads.
    pub(super) path: String,
    /// Whether the page is there, or below.
    pub(super) is_here: bool,
}

/// The pages of a group that its menu names: label, path below the group's, the right that they ask for.
const WAYS: [(&str, &str, Right); 8] = [
    ("Contacts", "crm/contacts", Right::ViewContacts),
    ("Organizations", "crm/organizations", Right::ViewContacts),
    ("Items", "crm/items", Right::ViewContacts),
    ("Issues", "issues", Right::ViewContacts),
    ("Webhooks", "hooks", Right::Configure),
    ("Deliveries", "deliveries", Right::Configure),
    ("Settings", "settings", Right::Configure),
    ("Audit", "audit", Right::Configure),
];

impl Frame {
    /// Returns the frame of a page for nobody in particular.
    pub(super) fn bare(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            person: None,
            group: None,
            flash: None,
            assets: Assets::get(),
        }
    }

    /// Returns the frame of a page for somebody.
    pub(super) fn of(bearer: &Bearer, flash: Option<Flash>) -> Self {
        let name = if bearer.name.is_empty() {
            &bearer.username
        } else {
            &bearer.name
        };
        Self {
            person: Some(name.clone()),
            flash,
            ..Self::bare("")
        }
    }

    /// Adds the group that the page is about, with what the visitor may do with its customers and whether he may configure it; `path` is
    /// that of the page.
    pub(super) fn within(
        self,
        group: &GroupNode,
        (access, configures): (Access, bool),
        path: &str,
    ) -> Self {
        let base = base(&group.path);
        let ways = WAYS
            .iter()
            .filter(|(_, _, right)| match right {
                Right::Configure => configures,
                right => access.allows(*right),
            })
            .map(|(label, below, _)| {
                let way = format!("{base}/{below}");
                let rest = path.strip_prefix(&way);
                Way {
                    label,
                    is_here: rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
                    path: way,
                }
            })
            .collect();
        let name = group.name.clone();
        Self {
            group: Some(GroupFrame { name, base, ways }),
            ..self
        }
    }

    /// Sets the title.
    pub(super) fn titled(self, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..self
        }
    }

    /// Returns the title with that of what is around the page.
    pub(super) fn full_title(&self) -> String {
        match &self.group {
            Some(group) => format!("{} · {} · Liaison", self.title, group.name),
            None => format!("{} · Liaison", self.title),
        }
    }
}

/// Returns where the pages of a group are.
pub(super) fn base(group: &str) -> String {
    format!("/groups/{group}/-")
}

/// Returns a page as the answer to a request.
pub(super) fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                // Customers' data stays out of caches, and the page after a change is never the one before it.
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            Problem::Unavailable.into_response()
        }
    }
}
