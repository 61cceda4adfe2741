//! An item's columns and what they mean, for every statement that reads whole items.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::domain::{
    ContactFields, GroupId, ItemFields, ItemId, ItemKind, ItemTypeId, OrganizationFields, PersonId,
    RecordFields, RecordKind, RootId,
};

/// A row of `items`, with what it was looked up for.
pub(super) struct Row {
    pub(super) owner: Option<i64>,
    pub(super) root: RootId,
    pub(super) id: ItemId,
    pub(super) group: GroupId,
    pub(super) kind: String,
    pub(super) item_type: Option<ItemTypeId>,
    pub(super) active: bool,
    pub(super) title: String,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) description: Option<String>,
    pub(super) organization: Option<ItemId>,
    pub(super) default_rate: Option<Decimal>,
    pub(super) stage: Option<String>,
    pub(super) amount: Option<Decimal>,
    pub(super) currency: Option<String>,
    pub(super) responsible: Option<PersonId>,
    pub(super) responsible_in_chat: bool,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl Row {
    /// Returns the fields of the item, by its kind.
    pub(super) fn fields(self) -> ItemFields {
        let kind = ItemKind::from_word(&self.kind);
        match RecordKind::of(kind) {
            Some(of) => ItemFields::Record(RecordFields {
                of,
                item_type: self.item_type,
                title: self.title,
                stage: self.stage,
                amount: self.amount,
                currency: self.currency,
                description: self.description,
                active: self.active,
            }),
            None if kind == ItemKind::Contact => ItemFields::Contact(ContactFields {
                first_name: self.first_name.unwrap_or_default(),
                last_name: self.last_name.unwrap_or_default(),
                email: self.email,
                phone: self.phone,
                description: self.description,
                organization: self.organization,
                active: self.active,
            }),
            None => ItemFields::Organization(OrganizationFields {
                name: self.title,
                default_rate: self.default_rate,
                description: self.description,
                active: self.active,
            }),
        }
    }
}
