//! The two kinds of customers that have pages of their own: everything else that is an item is shown as one.

use crate::domain::{ItemId, ItemKind, Listed};

/// A kind of customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A person.
    Contact,
    /// A company.
    Organization,
}

impl Kind {
    /// Returns the kind of item.
    pub(super) fn of_item(self) -> ItemKind {
        match self {
            Self::Contact => ItemKind::Contact,
            Self::Organization => ItemKind::Organization,
        }
    }

    /// Returns the word for one.
    pub(super) fn word(self) -> &'static str {
        self.of_item().word()
    }

    /// Returns the word for several.
    pub(super) fn plural(self) -> &'static str {
        self.of_item().plural()
    }

    /// Returns what lists call the kind.
    pub(super) fn listed(self) -> Listed {
        match self {
            Self::Contact => Listed::Contacts,
            Self::Organization => Listed::Organizations,
        }
    }

    /// Returns the path of its pages below the group's.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Contact => "crm/contacts",
            Self::Organization => "crm/organizations",
        }
    }
}

/// Returns the path of an item's page below its group's.
pub(super) fn path(kind: ItemKind, id: ItemId) -> String {
    match kind {
        ItemKind::Contact => format!("{}/{id}", Kind::Contact.folder()),
        ItemKind::Organization => format!("{}/{id}", Kind::Organization.folder()),
        _ => format!("crm/items/{id}"),
    }
}

/// Returns what a kind is called at the head of a page or in a list.
pub(super) fn label(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Contact => "Contact",
        ItemKind::Organization => "Organization",
        ItemKind::Lead => "Lead",
        ItemKind::Deal => "Deal",
        ItemKind::Invoice => "Invoice",
        ItemKind::Custom => "Item",
        ItemKind::Estimate => "Estimate",
        ItemKind::SigningDocument => "Signing document",
    }
}
