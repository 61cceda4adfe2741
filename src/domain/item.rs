//! Items of any kind: what they have in common, and the fields of each.
//!
//! A form or patch is what somebody typed; it becomes fields, which are trimmed and within the limits, or all the errors at once.

use serde::{Deserialize, Serialize};

use super::{
    ContactFields, ContactForm, ContactPatch, FieldError, ItemId, ItemTypeId, OrganizationFields,
    OrganizationForm, OrganizationPatch, RecordFields, RecordForm, RecordPatch,
};

/// Which sort of item; each has fields of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// A customer person.
    Contact,
    /// A customer company.
    Organization,
    /// Somebody who may become a customer.
    Lead,
    /// A sale that is being made.
    Deal,
    /// An invoice.
    Invoice,
    /// An item of a type of the root group's own.
    Custom,
    /// An estimate.
    Estimate,
    /// A document that is to be signed.
    SigningDocument,
}

impl ItemKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Contact,
        Self::Organization,
        Self::Lead,
        Self::Deal,
        Self::Invoice,
        Self::Custom,
        Self::Estimate,
        Self::SigningDocument,
    ];

    /// Returns the word used in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Organization => "organization",
            Self::Lead => "lead",
            Self::Deal => "deal",
            Self::Invoice => "invoice",
            Self::Custom => "custom",
            Self::Estimate => "estimate",
            Self::SigningDocument => "signing_document",
        }
    }

    /// Returns what a word of the database means. A check there holds the words.
    pub fn from_word(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word() == word)
            .unwrap_or(Self::Custom)
    }

    /// Returns the word for several.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Contact => "contacts",
            Self::Organization => "organizations",
            Self::Lead => "leads",
            Self::Deal => "deals",
            Self::Invoice => "invoices",
            Self::Custom => "items",
            Self::Estimate => "estimates",
            Self::SigningDocument => "signing documents",
        }
    }

    /// Returns whether items of this kind can have observers; custom types switch it for themselves.
    pub fn has_observers(self) -> bool {
        !matches!(self, Self::Estimate | Self::SigningDocument)
    }

    /// Returns whether items of this kind are worth an amount of money.
    pub fn has_amount(self) -> bool {
        matches!(self, Self::Deal | Self::Invoice)
    }
}

/// The fields of an item of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ItemFields {
    /// Of a contact.
    Contact(ContactFields),
    /// Of an organization.
    Organization(OrganizationFields),
    /// Of a lead, deal, invoice and so on.
    Record(RecordFields),
}

/// A new item of any kind as somebody typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemForm {
    /// A contact.
    Contact(ContactForm),
    /// An organization.
    Organization(OrganizationForm),
    /// A lead, deal, invoice and so on.
    Record(RecordForm),
}

/// What is to change of an item of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemPatch {
    /// Of a contact.
    Contact(ContactPatch),
    /// Of an organization.
    Organization(OrganizationPatch),
    /// Of a lead, deal, invoice and so on.
    Record(RecordPatch),
}

impl ItemForm {
    /// Returns which sort of item it is for.
    pub fn kind(&self) -> ItemKind {
        match self {
            Self::Contact(_) => ItemKind::Contact,
            Self::Organization(_) => ItemKind::Organization,
            Self::Record(record) => record.of.kind(),
        }
    }

    /// Returns the fields of a new, active item.
    ///
    /// # Errors
    /// Names every field that is blank, too long, malformed or out of range.
    pub fn check(&self) -> Result<ItemFields, Vec<FieldError>> {
        match self {
            Self::Contact(form) => form.check().map(ItemFields::Contact),
            Self::Organization(form) => form.check().map(ItemFields::Organization),
            Self::Record(form) => form.check().map(ItemFields::Record),
        }
    }

    /// Returns the value that no other item of the kind and group may have, as typed.
    pub fn unique(&self) -> Option<&str> {
        let typed = match self {
            Self::Contact(form) => form.email.as_deref(),
            Self::Organization(form) => Some(form.name.as_str()),
            Self::Record(_) => None,
        };
        typed.map(str::trim)
    }

    /// Returns the organization that a contact is to belong to.
    pub fn organization(&self) -> Option<ItemId> {
        match self {
            Self::Contact(form) => form.organization,
            Self::Organization(_) | Self::Record(_) => None,
        }
    }
}

impl ItemForm {
    /// Returns the type that a custom item is to be of.
    pub fn item_type(&self) -> Option<ItemTypeId> {
        match self {
            Self::Record(form) => form.item_type,
            Self::Contact(_) | Self::Organization(_) => None,
        }
    }
}

impl ItemPatch {
    /// Returns the form to change an item so, with the state it is to have; none where the patch is for another kind.
    pub fn onto(&self, fields: &ItemFields) -> Option<(ItemForm, bool)> {
        match (self, fields) {
            (Self::Contact(patch), ItemFields::Contact(fields)) => {
                let active = patch.active.unwrap_or(fields.active);
                Some((ItemForm::Contact(patch.onto(fields)), active))
            }
            (Self::Organization(patch), ItemFields::Organization(fields)) => {
                let active = patch.active.unwrap_or(fields.active);
                Some((ItemForm::Organization(patch.onto(fields)), active))
            }
            (Self::Record(patch), ItemFields::Record(fields)) => {
                let active = patch.active.unwrap_or(fields.active);
                Some((ItemForm::Record(patch.onto(fields)), active))
            }
            _ => None,
        }
    }
}

/// A field of an item of either kind, where one is chosen by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemField {
    /// First name of a contact.
    FirstName,
    /// Last name of a contact.
    LastName,
    /// E-mail address of a contact.
    Email,
    /// Phone number of a contact.
    Phone,
    /// Organization of a contact.
    Organization,
    /// Name of an organization.
    Name,
    /// Default rate of an organization.
    DefaultRate,
    /// Description of either.
    Description,
}

impl ItemFields {
    /// Puts the value of another item's field in the place of its own. What only the other kind has stays as it is.
    pub fn take(&mut self, field: ItemField, from: &Self) {
        match (self, from) {
            (Self::Contact(to), Self::Contact(from)) => match field {
                ItemField::FirstName => to.first_name.clone_from(&from.first_name),
                ItemField::LastName => to.last_name.clone_from(&from.last_name),
                ItemField::Email => to.email.clone_from(&from.email),
                ItemField::Phone => to.phone.clone_from(&from.phone),
                ItemField::Organization => to.organization = from.organization,
                ItemField::Description => to.description.clone_from(&from.description),
                ItemField::Name | ItemField::DefaultRate => {}
            },
            (Self::Organization(to), Self::Organization(from)) => match field {
                ItemField::Name => to.name.clone_from(&from.name),
                ItemField::DefaultRate => to.default_rate = from.default_rate,
                ItemField::Description => to.description.clone_from(&from.description),
                ItemField::FirstName
                | ItemField::LastName
                | ItemField::Email
                | ItemField::Phone
                | ItemField::Organization => {}
            },
            _ => {}
        }
    }

    /// Returns which sort of item has these fields.
    pub fn kind(&self) -> ItemKind {
        match self {
            Self::Contact(_) => ItemKind::Contact,
            Self::Organization(_) => ItemKind::Organization,
            Self::Record(record) => record.of.kind(),
        }
    }

    /// Returns what it is called: a title, the name of an organization, first and last name of a contact.
    pub fn title(&self) -> String {
        match self {
            Self::Contact(contact) => contact.full_name(),
            Self::Organization(organization) => organization.name.clone(),
            Self::Record(record) => record.title.clone(),
        }
    }

    /// Returns the field that no other item of the kind and group has the same value in, by its name and value.
    pub fn unique(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Contact(contact) => contact.email.as_deref().map(|email| ("Email", email)),
            Self::Organization(organization) => Some(("Name", &organization.name)),
            Self::Record(_) => None,
        }
    }

    /// Returns a contact's organization.
    pub fn organization(&self) -> Option<ItemId> {
        match self {
            Self::Contact(contact) => contact.organization,
            Self::Organization(_) | Self::Record(_) => None,
        }
    }

    /// Returns the fields with another state.
    #[must_use]
    pub fn with_state(mut self, is_active: bool) -> Self {
        match &mut self {
            Self::Contact(contact) => contact.active = is_active,
            Self::Organization(organization) => organization.active = is_active,
            Self::Record(record) => record.active = is_active,
        }
        self
    }

    /// Returns whether two items are of one kind and type.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Record(one), Self::Record(two)) => {
                (one.of, one.item_type) == (two.of, two.item_type)
            }
            _ => self.kind() == other.kind(),
        }
    }

    /// Returns whether the item is in use.
    pub fn active(&self) -> bool {
        match self {
            Self::Contact(contact) => contact.active,
            Self::Organization(organization) => organization.active,
            Self::Record(record) => record.active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_kinds_read_back() {
        for kind in ItemKind::ALL {
            assert_eq!(ItemKind::from_word(kind.word()), kind);
        }
    }
}
