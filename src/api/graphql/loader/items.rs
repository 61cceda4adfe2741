//! What belongs to items, put together as everything else.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;

use super::Rows;
use crate::{
    api::graphql::Refusal,
    domain::{IssueId, ItemId, ItemTypeId, RootId},
    rules::{Observer, OnItem},
    store::{
        chat::{self, Chat},
        item_list,
        item_type::{self, ItemType},
    },
};

/// What the asker may do with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api::graphql) struct ItemAccess(pub(in crate::api::graphql) ItemId);

/// Who observes an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api::graphql) struct ObserversOf(
    pub(in crate::api::graphql) RootId,
    pub(in crate::api::graphql) ItemId,
);

/// What an item is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api::graphql) struct LinkedTo(
    pub(in crate::api::graphql) RootId,
    pub(in crate::api::graphql) ItemId,
);

/// The chat of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api::graphql) struct ChatOf(
    pub(in crate::api::graphql) RootId,
    pub(in crate::api::graphql) ItemId,
);

/// The items of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api::graphql) struct ItemsOf(
    pub(in crate::api::graphql) RootId,
    pub(in crate::api::graphql) IssueId,
);

/// Items of an issue that are shown at most.
pub(in crate::api::graphql) const MAX_ISSUE_ITEMS: i64 = 100;

impl Loader<ItemAccess> for Rows {
    type Value = OnItem;
    type Error = Refusal;

    async fn load(&self, keys: &[ItemAccess]) -> Result<HashMap<ItemAccess, OnItem>, Refusal> {
        let Some(person) = self.person else {
            return Ok(HashMap::new());
        };
        let items: Vec<ItemId> = keys.iter().map(|key| key.0).collect();
        let found = self.api.crm.items_access(person, &items).await?;
        Ok(found
            .into_iter()
            .map(|(item, on)| (ItemAccess(item), on))
            .collect())
    }
}

impl Loader<ObserversOf> for Rows {
    type Value = Vec<Observer>;
    type Error = Refusal;

    async fn load(
        &self,
        keys: &[ObserversOf],
    ) -> Result<HashMap<ObserversOf, Vec<Observer>>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let items: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let mut found: HashMap<ObserversOf, Vec<Observer>> = HashMap::new();
        for (root, item, observer) in item_list::observers(&mut connection, &items).await? {
            found
                .entry(ObserversOf(root, item))
                .or_default()
                .push(observer);
        }
        Ok(found)
    }
}

impl Loader<LinkedTo> for Rows {
    type Value = Vec<ItemId>;
    type Error = Refusal;

    async fn load(&self, keys: &[LinkedTo]) -> Result<HashMap<LinkedTo, Vec<ItemId>>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let items: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let mut found: HashMap<LinkedTo, Vec<ItemId>> = HashMap::new();
        for (root, item, linked) in item_list::linked(&mut connection, &items).await? {
            found.entry(LinkedTo(root, item)).or_default().push(linked);
        }
        Ok(found)
    }
}

impl Loader<ChatOf> for Rows {
    type Value = Chat;
    type Error = Refusal;

    async fn load(&self, keys: &[ChatOf]) -> Result<HashMap<ChatOf, Chat>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let items: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let chats = chat::of_items(&mut connection, &items).await?;
        Ok(chats
            .into_iter()
            .map(|(root, chat)| (ChatOf(root, chat.item), chat))
            .collect())
    }
}

impl Loader<ItemsOf> for Rows {
    type Value = Vec<ItemId>;
    type Error = Refusal;

    async fn load(&self, keys: &[ItemsOf]) -> Result<HashMap<ItemsOf, Vec<ItemId>>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let issues: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let mut found: HashMap<ItemsOf, Vec<ItemId>> = HashMap::new();
        let items = item_list::of_issues(&mut connection, &issues, MAX_ISSUE_ITEMS).await?;
        for (root, issue, item) in items {
            found.entry(ItemsOf(root, issue)).or_default().push(item);
        }
        Ok(found)
    }
}

impl Loader<ItemTypeId> for Rows {
    type Value = ItemType;
    type Error = Refusal;

    async fn load(&self, ids: &[ItemTypeId]) -> Result<HashMap<ItemTypeId, ItemType>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let types = item_type::find(&mut connection, ids).await?;
        Ok(types.into_iter().map(|one| (one.id, one)).collect())
    }
}
