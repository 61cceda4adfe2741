//! People, as far as colleagues see them.

use async_graphql::{ID, Object};

use super::id::user_gid;
use crate::{auth::Bearer, domain::PersonId};

/// The person who asks.
pub(super) struct CurrentUser(pub(super) Bearer);

/// The person who asks.
#[Object]
impl CurrentUser {
    /// Global id.
    async fn id(&self) -> ID {
        user_gid(self.0.person)
    }

    /// Username.
    async fn username(&self) -> &str {
        &self.0.username
    }

    /// Display name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// E-mail address.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }
}

/// Another person.
#[derive(Clone)]
pub(super) struct User {
    pub(super) id: PersonId,
    pub(super) username: String,
    pub(super) name: String,
}

/// A person.
#[Object(name = "UserCore")]
impl User {
    /// Global id.
    async fn id(&self) -> ID {
        user_gid(self.id)
    }

    /// Username.
    async fn username(&self) -> &str {
        &self.username
    }

    /// Display name.
    async fn name(&self) -> &str {
        &self.name
    }
}
