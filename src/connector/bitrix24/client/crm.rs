//! Items of the portal's own CRM: who is responsible, who observes.

use serde_json::json;

use super::{CallError, Client, batch::Command, is};
use crate::connector::{
    bitrix24::wire::{Item, ItemAnswer, ItemsAnswer, is_id},
    messenger::{Refusal, Told},
};

/// What the portal answers where an item is not to be seen or changed by our account.
const NO_RIGHT: [&str; 4] = [
    "ACCESS_DENIED",
    "allowed_only_intranet_user",
    "insufficient_scope",
    "user_access_error",
];

/// Items that the portal lists at once.
pub const PAGE: usize = 50;

/// An item of the portal's CRM, as far as it is kept equal with ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalItem {
    /// Its id, within its type.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Ids of the users who observe it.
    pub observers: Vec<String>,
    /// Id of the user who is responsible.
    pub responsible: Option<String>,
}

/// What is to be different at an item of the portal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortalWrite {
    /// The whole list of observers.
    pub observers: Option<Vec<String>>,
    /// The responsible user.
    pub responsible: Option<String>,
}

impl From<Item> for PortalItem {
    fn from(item: Item) -> Self {
        Self {
            id: item.id.0,
            title: item.title.unwrap_or_default(),
            observers: item.observers.into_iter().map(|id| id.0).collect(),
            responsible: item.assigned_by_id.map(|id| id.0),
        }
    }
}

impl Client {
    /// Returns an item, or none where the portal has no such item.
    pub async fn portal_item(&self, entity_type: i64, id: &str) -> Told<Option<PortalItem>> {
        if !is_id(id) {
            return Ok(Ok(None));
        }
        let body = json!({ "entityTypeId": entity_type, "id": id });
        match self.read::<ItemAnswer>("crm.item.get", body).await {
            Ok(answer) => Ok(Ok(Some(answer.item.into()))),
            Err(error) if is(&error, &["NOT_FOUND"]) => Ok(Ok(None)),
            Err(error) if is(&error, &NO_RIGHT) => Ok(Err(Refusal::NoRight)),
            Err(error) => Err(error),
        }
    }

    /// Changes an item and returns it as it is then; what the portal left out without a word is left out there. None where it is gone.
    ///
    /// The list of observers is replaced as a whole: the portal has no other way.
    pub async fn write_portal_item(
        &self,
        entity_type: i64,
        id: &str,
        write: &PortalWrite,
    ) -> Told<Option<PortalItem>> {
        if !is_id(id) {
            return Ok(Ok(None));
        }
        let of = |command: Command| {
            command
                .with("entityTypeId", &entity_type.to_string())
                .with("id", id)
        };
        let mut update = of(Command::new("update", "crm.item.update"));
        match write.observers.as_deref() {
            // An empty list changes nothing: an empty text clears.
            Some([]) => update = update.with("fields[observers]", ""),
            Some(observers) => update = update.with_list("fields[observers]", observers),
            None => {}
        }
        if let Some(responsible) = &write.responsible {
            update = update.with("fields[assignedById]", responsible);
        }
        let get = of(Command::new("get", "crm.item.get"));
        let batch = self.batch(vec![update, get]).await?;
        let updated = batch.get::<serde_json::Value>("update")?;
        match (updated, batch.get::<ItemAnswer>("get")?) {
            (Err(code), _) if NO_RIGHT.contains(&code.as_str()) => Ok(Err(Refusal::NoRight)),
            (_, Ok(answer)) => Ok(Ok(Some(answer.item.into()))),
            (_, Err(code)) if code == "NOT_FOUND" => Ok(Ok(None)),
            (_, Err(_)) => Ok(Err(Refusal::NoRight)),
        }
    }

    /// Returns those of at most [`PAGE`] items of a type that the portal has and shows.
    pub async fn portal_items(
        &self,
        entity_type: i64,
        ids: &[String],
    ) -> Result<Vec<PortalItem>, CallError> {
        let body = json!({
            "entityTypeId": entity_type,
            "select": ["id", "title", "observers", "assignedById"],
            "filter": { "@id": ids },
            // Without a count of all, which takes the portal longer than the page.
            "start": -1,
        });
        let answer: ItemsAnswer = self.read("crm.item.list", body).await?;
        Ok(answer.items.into_iter().map(PortalItem::from).collect())
    }
}
