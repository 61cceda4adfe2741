//! Where the tokens of connections that use OAuth are kept: sealed in Postgres.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use secrecy::SecretString;
use sqlx::PgPool;

use crate::{
    connector::bitrix24::{Claim, TokenStore, TokenStoreError, Tokens},
    crypto::SealingKey,
    domain::{Clock, ConnectionId},
    store::{
        StoreError,
        connection_token::{self, Claimed},
    },
};

/// The tokens of one connection.
#[derive(Debug)]
pub(super) struct StoredTokens {
    pub(super) pool: PgPool,
    pub(super) key: Arc<SealingKey>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) connection: ConnectionId,
}

fn failed(error: impl Into<StoreError>) -> TokenStoreError {
    TokenStoreError(error.into().to_string())
}

impl TokenStore for StoredTokens {
    fn access(&self) -> BoxFuture<'_, Result<Option<SecretString>, TokenStoreError>> {
        async {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            let access = connection_token::access(&mut connection, self.connection, &self.key);
            access.await.map_err(failed)
        }
        .boxed()
    }

    fn claim<'a>(
        &'a self,
        worn: Option<&'a SecretString>,
    ) -> BoxFuture<'a, Result<Claim, TokenStoreError>> {
        async move {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            let with = (&*self.key, self.clock.now());
            let claimed =
                connection_token::claim(&mut connection, self.connection, worn, with).await;
            Ok(match claimed.map_err(failed)? {
                Claimed::Mine(refresh) => Claim::Mine(refresh),
                Claimed::Renewed(access) => Claim::Renewed(access),
                Claimed::Busy => Claim::Busy,
            })
        }
        .boxed()
    }

    fn save<'a>(&'a self, tokens: &'a Tokens) -> BoxFuture<'a, Result<(), TokenStoreError>> {
        async move {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            let both = (&tokens.access, &tokens.refresh);
            let saved = connection_token::save(&mut connection, self.connection, both, &self.key);
            saved.await.map_err(failed)
        }
        .boxed()
    }

    fn release(&self) -> BoxFuture<'_, Result<(), TokenStoreError>> {
        async move {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            let released = connection_token::release(&mut connection, self.connection);
            released.await.map_err(failed)
        }
        .boxed()
    }
}
