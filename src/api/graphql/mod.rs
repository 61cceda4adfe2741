//! The schema: GitLab's names, arguments and words for the CRM, and what GitLab does not have in the same style.
//!
//! Resolvers look up and pass on. What may be seen and done is found out by the CRM; who may not see something gets what he would get
//! if it did not exist.

mod endpoint;
mod error;
mod id;
mod limit;

use async_graphql::Context;

use super::Api;
use crate::auth::{Bearer, Credential};
use error::Refusal;

pub use endpoint::schema_language;
pub(super) use endpoint::Endpoint;

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
        let bearer = credential.bearer(&mut connection, api.crm.clock.now()).await?;
        bearer.map(|bearer| Self::Somebody(bearer, *credential)).ok_or(Refusal::Unauthenticated)
    }
}
