//! Signing in at an OpenID provider: who there is who here.

use std::sync::Arc;

use sqlx::PgPool;
use url::Url;

use crate::{
    connector::oidc::{OidcError, Provider},
    domain::{Clock, ConnectionId, PersonId},
    store::{StoreError, login},
};

/// Signs people in who have an account at a provider.
#[derive(Debug, Clone)]
pub struct OpenId {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The connection whose ids of people are the provider's, as they are where GitLab is both.
    pub connection: Option<ConnectionId>,
    /// Whether somebody is also known by an e-mail address that the provider vouches for.
    pub by_email: bool,
    /// The database.
    pub pool: PgPool,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// The provider did not say who it is, or is not believed.
    #[error(transparent)]
    Provider(#[from] OidcError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenId {
    /// Returns where a browser goes that begins with a secret.
    pub async fn begin(&self, secret: &str) -> Result<Url, OpenIdError> {
        Ok(self.provider.begin(secret).await?)
    }

    /// Returns whom an answer of the provider signs in, or none where he is nobody's here.
    pub async fn finish(
        &self,
        secret: &str,
        (state, code): (&str, &str),
    ) -> Result<Option<PersonId>, OpenIdError> {
        let claims = self
            .provider
            .finish(secret, (state, code), &*self.clock)
            .await?;
        let connection = self.pool.acquire().await;
        let mut connection = connection.map_err(StoreError::from)?;
        if let Some(on) = self.connection {
            let known = login::by_identity(&mut connection, on, &claims.subject).await?;
            if known.is_some() {
                return Ok(known);
            }
        }
        match claims.verified_email.filter(|_| self.by_email) {
            Some(email) => Ok(login::by_email(&mut connection, &email).await?),
            None => Ok(None),
        }
    }
}
