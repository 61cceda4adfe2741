//! Questions to the tracker that a decision waits for: where a project is, what level somebody has. The answers are remembered.
//!
//! No transaction is open while the tracker is asked. What the answers mean is decided elsewhere.

use sqlx::PgPool;

use crate::{
    connector::gitlab::{CallError, Client},
    domain::{Clock, ConnectionId, RootId, Scope},
    store::{StoreError, access, group},
};

/// Why something about a connection is not known.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The other side did not say.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for LookupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Where a project turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Within the tree of the root group.
    Inside,
    /// Outside of it.
    Outside,
    /// The tracker shows the bot no such project.
    Unseen,
}

/// A tracker that is asked for one root group.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// Where the answers are remembered.
    pub pool: &'a PgPool,
    /// When they were given.
    pub clock: &'a dyn Clock,
    /// The root group.
    pub root: RootId,
    /// The connection.
    pub connection: ConnectionId,
    /// Its client.
    pub client: &'a Client,
}

impl Lookup<'_> {
    /// Asks where a project is and puts it there.
    pub async fn place(&self, project: &str) -> Result<Placed, LookupError> {
        let now = self.clock.now();
        let Some(facts) = self.client.project(project).await? else {
            return Ok(Placed::Unseen);
        };
        let mut tx = self.pool.begin().await?;
        let inside = group::place_project(&mut tx, self.root, self.connection, &facts, now).await?;
        tx.commit().await?;
        Ok(if inside {
            Placed::Inside
        } else {
            Placed::Outside
        })
    }

    /// Asks what level a user has in a group or project.
    pub async fn level(&self, user: &str, (scope, id): (Scope, &str)) -> Result<(), LookupError> {
        let asked_at = self.clock.now();
        let level = self.client.access_level(scope, id, user).await?;
        let mut connection = self.pool.acquire().await?;
        let place = (self.root, self.connection);
        access::remember(&mut connection, place, user, (scope, id), level, asked_at).await?;
        Ok(())
    }
}
