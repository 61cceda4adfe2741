//! A connection to Postgres that one task keeps for itself.

use sqlx::{Connection, PgConnection, PgPool};

/// A pool looks whether a connection still works each time it is given back, and hands them out in turn: each statement meets a process of
/// Postgres that has worked on something else.
pub(super) struct Own {
    pool: PgPool,
    /// None until it is needed, and after it failed.
    connection: Option<PgConnection>,
}

impl Own {
    /// Returns one that will go where those of a pool go.
    pub(super) fn like(pool: &PgPool) -> Self {
        Self {
            pool: pool.clone(),
            connection: None,
        }
    }

    /// Takes it out, so that one on which nobody waits for the end of something is closed.
    pub(super) async fn take(&mut self) -> sqlx::Result<PgConnection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => PgConnection::connect_with(&self.pool.connect_options()).await,
        }
    }

    /// Puts it back: it can be used again.
    pub(super) fn keep(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
    }
}
