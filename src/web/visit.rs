//! Who visits a page, and what for: extractors that every handler begins with.

use std::marker::PhantomData;

use axum::{extract::FromRequestParts, response::Response};
use chrono::{DateTime, Utc};
use http::request::Parts;
use sqlx::{Postgres, pool::PoolConnection};
use url::Url;

use super::{
    Web,
    dispatch::Place,
    flash::Flash,
    frame::{Frame, base},
    moment::Moment,
    problem::Problem,
};
use crate::{
    auth::Bearer,
    crm::Asker,
    domain::Via,
    rules::{self, Access, Right},
    store::{
        search::Holder,
        tree::{self, GroupNode},
    },
};

/// Somebody who is signed in.
#[derive(Debug)]
pub(super) struct SignedIn {
    /// What the pages are made of.
    pub(super) web: Web,
    /// The person.
    pub(super) bearer: Bearer,
    /// What is to be said on the page.
    flash: Option<Flash>,
}

impl SignedIn {
    /// Returns who asks for a change.
    pub(super) fn asker(&self) -> Asker {
        Asker {
            person: self.bearer.person,
            via: Via::Page,
        }
    }

    /// Returns a connection to the database.
    pub(super) async fn connection(&self) -> Result<PoolConnection<Postgres>, Problem> {
        Ok(self.web.crm.pool.acquire().await?)
    }

    /// Returns the frame of a page.
    pub(super) fn frame(&self, title: impl Into<String>) -> Frame {
        Frame::of(&self.bearer, self.flash.clone()).titled(title)
    }

    /// Returns a time as it is seen now.
    pub(super) fn moment(&self, at: DateTime<Utc>) -> Moment {
        Moment::new(at, self.web.crm.clock.now())
    }

    /// Goes on to a page on which something is said.
    pub(super) fn say(&self, flash: Flash, path: &str) -> Response {
        flash.then(path, self.public_url())
    }

    /// Returns the address under which people reach the pages.
    pub(super) fn public_url(&self) -> &Url {
        &self.web.public_url
    }
}

impl FromRequestParts<Web> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let flash = Flash::read(&parts.headers, &web.public_url);
        // Put there by the guard, without which no page is reached.
        let bearer = parts.extensions.remove().ok_or(Problem::NotFound)?;
        let web = web.clone();
        Ok(Self { web, bearer, flash })
    }
}

/// What a page of a group asks for.
pub(super) trait Requires {
    /// The right without which there is no page; none where the page itself asks what it is about.
    const RIGHT: Option<Right>;
    /// What it allows, as in "You have insufficient permissions to … for this group".
    const WHAT: &'static str;
    /// Whether it is a right in the group itself, not in the one that holds its customers.
    const HERE: bool = false;
}

macro_rules! purposes {
    ($($(#[$doc:meta])* $name:ident: $right:ident, $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl Requires for $name {
            const RIGHT: Option<Right> = Some(Right::$right);
            const WHAT: &'static str = $what;
        }
    )+};
}

purposes! {
    /// To see contacts and organizations.
    ToView: ViewContacts, "see contacts and organizations";
    /// To create and edit them.
    ToManage: CreateContacts, "manage contacts and organizations";
    /// To merge them.
    ToMerge: MergeContacts, "merge contacts and organizations";
    /// To bring lists of them in.
    ToImport: ImportContacts, "import contacts";
    /// To take lists of them out.
    ToExport: ExportContacts, "export contacts";
}

/// To see one item, which those may who observe it or are responsible for it, too.
#[derive(Debug)]
pub(super) struct ToSeeItem;

impl Requires for ToSeeItem {
    const RIGHT: Option<Right> = None;
    const WHAT: &'static str = "see this";
}

/// To configure the group, which its customers have no part in.
#[derive(Debug)]
pub(super) struct ToConfigure;

impl Requires for ToConfigure {
    const RIGHT: Option<Right> = Some(Right::Configure);
    const WHAT: &'static str = "configure this group";
    const HERE: bool = true;
}

/// Somebody on a page of a group who has the right that it asks for. Whoever may not even see the group's customers is told that there
/// is no such page, as for a group that does not exist.
#[derive(Debug)]
pub(super) struct InGroup<R> {
    /// Who.
    pub(super) visitor: SignedIn,
    /// The group.
    pub(super) group: GroupNode,
    /// What he may do with its customers.
    pub(super) access: Access,
    /// Whether he may configure the group.
    pub(super) configures: bool,
    /// Where the group's pages are: `/groups/acme/-`.
    pub(super) base: String,
    /// The path of this page.
    pub(super) path: String,
    /// Where changes are told from what this page shows on.
    pub(super) live: String,
    purpose: PhantomData<R>,
}

impl<R> InGroup<R> {
    /// Returns the group that holds the customers.
    pub(super) fn holder(&self) -> Holder {
        (self.group.root, self.group.contact_group)
    }

    /// Returns the frame of a page.
    pub(super) fn frame(&self, title: impl Into<String>) -> Frame {
        let frame = self.visitor.frame(title);
        frame.within(&self.group, (self.access, self.configures), &self.path)
    }

    /// Returns the address of a page of the group: `to("crm/contacts")`.
    pub(super) fn to(&self, below: impl std::fmt::Display) -> String {
        format!("{}/{below}", self.base)
    }
}

impl<R: Requires + Send> FromRequestParts<Web> for InGroup<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        // Before anything is read.
        let seen = web.wake.customers_told();
        let visitor = SignedIn::from_request_parts(parts, web).await?;
        let Place(place) = parts.extensions.get().ok_or(Problem::NotFound)?;
        let mut connection = visitor.connection().await?;
        let group = tree::group_at(&mut connection, place).await?;
        drop(connection);
        let group = group.ok_or(Problem::NotFound)?;
        let crm = &visitor.web.crm;
        let person = visitor.bearer.person;
        let access = crm.group_access(person, group.root, group.id).await?;
        let own = if group.contact_group == group.id {
            access
        } else {
            crm.own_access(person, group.root, group.id).await?
        };
        let asked = if R::HERE { &own } else { &access };
        if let Some(right) = R::RIGHT {
            rules::may(asked, right, R::WHAT).map_err(crate::crm::CrmError::from)?;
        }
        let base = base(&group.path);
        Ok(Self {
            path: format!("{base}{}", parts.uri.path()),
            live: format!("{base}/live?seen={seen}"),
            purpose: PhantomData,
            visitor,
            group,
            access,
            configures: own.allows(Right::Configure),
            base,
        })
    }
}
