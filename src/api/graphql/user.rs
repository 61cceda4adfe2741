//! People, as far as colleagues see them.

use async_graphql::{Context, ID, Object, Result};

use super::{
    Refusal, Scope,
    id::user_gid,
    item::{Item, ItemConnection, ItemCount},
    page::{Page, cost},
};
use crate::{
    auth::Bearer,
    domain::{ItemId, PersonId},
    store::item_list,
};

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

    /// The items that the person observes, the newest first.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn observed_items(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ItemConnection> {
        let scope = Scope::of(context)?;
        let page = Page::new((first, None, after, None))?;
        let slice = page.slice(true)?;
        let below = slice.below.unwrap_or(i64::MAX);
        let mut connection = scope.single().await?;
        let found = item_list::observed(&mut connection, self.0.person, (below, slice.limit)).await;
        let mut found = found.map_err(Refusal::from)?;
        drop(connection);
        let more = found.len() > page.size;
        found.truncate(page.size);
        let ids: Vec<ItemId> = found.iter().map(|(_, item)| *item).collect();
        let items = Item::all(scope, &ids).await?;
        let count = ItemCount(None);
        Ok(Item::connection(items, (page.after.is_some(), more), count))
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
