//! The schema: GitLab's names, arguments and words for the CRM, and what GitLab does not have in the same style.
//!
//! Resolvers look up and pass on. What may be seen and done is found out by the CRM; who may not see something gets what he would get
//! if it did not exist.

mod contact;
mod count;
mod endpoint;
mod error;
mod group;
mod history;
mod id;
mod issue;
mod item;
mod limit;
mod loader;
mod mutation;
mod organization;
mod page;
mod preview;
mod query;
mod subscription;
mod time;
mod user;
mod watching;
mod webhook;

use async_graphql::{Context, dataloader::DataLoader};
use sqlx::{Postgres, pool::PoolConnection};

use super::Api;
use crate::{
    auth::{Bearer, Credential},
    crm::Asker,
    domain::{ItemId, ItemKind, Via},
};
use error::Refusal;
use loader::Rows;

pub(super) use endpoint::Endpoint;
pub use endpoint::schema_language;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) enum Viewer {
    /// Somebody without a token.
    Nobody,
    /// A person, and by what he proved it.
    Somebody(Bearer, Credential),
}

impl Viewer {
    /// Returns the person.
    pub(super) fn bearer(&self) -> Option<&Bearer> {
        match self {
            Self::Nobody => None,
            Self::Somebody(bearer, _) => Some(bearer),
        }
    }

    /// Looks the person up again, since a token may have ended meanwhile.
    async fn again(&self, api: &Api) -> Result<Self, Refusal> {
        let Self::Somebody(_, credential) = self else {
            return Ok(Self::Nobody);
        };
        let mut connection = api.crm.pool.acquire().await?;
        let bearer = credential
            .bearer(&mut connection, api.crm.clock.now())
            .await?;
        let again = bearer.map(|bearer| Self::Somebody(bearer, *credential));
        again.ok_or(Refusal::Unauthenticated)
    }
}

/// What every resolver works with.
#[derive(Clone, Copy)]
struct Scope<'a> {
    api: &'a Api,
    viewer: &'a Viewer,
    rows: &'a DataLoader<Rows>,
}

impl<'a> Scope<'a> {
    /// Returns the scope of a request, which the endpoint gave it.
    fn of(context: &Context<'a>) -> Result<Self, Refusal> {
        let api = context.data_opt();
        let viewer = context.data_opt();
        let rows = context.data_opt();
        match (api, viewer, rows) {
            (Some(api), Some(viewer), Some(rows)) => Ok(Self { api, viewer, rows }),
            _ => Err(Refusal::internal("a request came without its scope")),
        }
    }

    /// Returns a connection to the database for a look-up that is not put together with others.
    async fn single(self) -> Result<PoolConnection<Postgres>, Refusal> {
        self.rows.loader().single()?;
        self.connection().await
    }

    /// Returns a connection to the database.
    async fn connection(self) -> Result<PoolConnection<Postgres>, Refusal> {
        Ok(self.api.crm.pool.acquire().await?)
    }

    /// Says whether items are all of a kind; what is of another one is not there.
    async fn all_are(self, kind: ItemKind, items: &[ItemId]) -> Result<(), Refusal> {
        let found = self.rows.load_many(items.iter().copied()).await?;
        let is = |item: &ItemId| {
            found
                .get(item)
                .is_some_and(|found| found.fields.kind() == kind)
        };
        if items.iter().all(is) {
            Ok(())
        } else {
            Err(Refusal::NotAvailable)
        }
    }

    /// Returns the person who asks for a change; nobody changes nothing.
    fn asker(self) -> Result<Asker, Refusal> {
        let bearer = self.viewer.bearer().ok_or(Refusal::NotAvailable)?;
        Ok(Asker {
            person: bearer.person,
            via: Via::GraphQl,
        })
    }
}
