//! What is asked of the CRM, and what it answers.

use chrono::{DateTime, Utc};

use crate::domain::{GroupId, IssueId, ItemId, OperationId, PersonId, Via};

/// Who asks, and through what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The person.
    pub person: PersonId,
    /// Remembered in the history of what he changes.
    pub via: Via,
}

/// Contacts that somebody names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactNames {
    /// By id.
    pub ids: Vec<ItemId>,
    /// By address, without regard to case.
    pub emails: Vec<String>,
}

/// Which contacts an issue is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetContacts {
    /// These and no others.
    Replace(ContactNames),
    /// Some more and some less. A contact that is named in both is added, or stays.
    Change {
        /// Who comes.
        add: ContactNames,
        /// Who goes.
        remove: ContactNames,
    },
}

impl SetContacts {
    /// Returns the wish that these contacts be added.
    pub fn append(add: ContactNames) -> Self {
        Self::Change {
            add,
            remove: ContactNames::default(),
        }
    }

    /// Returns the wish that these contacts be removed.
    pub fn remove(remove: ContactNames) -> Self {
        Self::Change {
            add: ContactNames::default(),
            remove,
        }
    }
}

/// A contact as the caller named it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamedContact {
    /// By id; with [`SetContacts::Replace`] also those that nobody named and that go.
    Id(ItemId),
    /// By address, as typed.
    Email(String),
}

/// What came of one contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactOutcome {
    /// Related now.
    Added,
    /// Was related before.
    AlreadyThere,
    /// Related no longer.
    Removed,
    /// Was not related.
    NotThere,
    /// No contact of the group has this address. Nothing else suffers from it, as in GitLab.
    UnknownEmail,
}

/// What came of setting an issue's contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetReport {
    /// Per contact, in the order in which they were named.
    pub outcomes: Vec<(NamedContact, ContactOutcome)>,
    /// By which it is undone; none where nothing changed.
    pub operation: Option<OperationId>,
}

/// What came of taking back an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoReport {
    /// The operation that took it back.
    pub operation: OperationId,
    /// How many changes were taken back.
    pub undone: usize,
    /// What stays as it is, with the reason, in words for people and without customers' data.
    pub kept: Vec<String>,
}

/// Whose history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryOf {
    /// Of one item, those that were merged into it included; also of one that is deleted.
    Item(ItemId),
    /// Of all contacts and organizations that a group uses, wherever they are held.
    Group(GroupId),
}

/// Which part of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPage {
    /// Entries older than this one ([`HistoryEntry::id`]); none for the newest.
    pub before: Option<i64>,
    /// At most so many, up to 100.
    pub limit: usize,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Place in the history.
    pub id: i64,
    /// The operation that it is part of.
    pub operation: OperationId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, if he is still known.
    pub actor: Option<PersonId>,
    /// Through what.
    pub via: Via,
    /// What: `item_created`, `item_edited`, `item_deleted`, `item_merged`, `item_related`, `item_unrelated` …
    pub action: String,
    /// Which item.
    pub item: Option<ItemId>,
    /// On which issue. Whether the asker may see the issue is not checked here.
    pub issue: Option<IssueId>,
    /// Fields before and after, and what else belongs to the action.
    pub detail: serde_json::Value,
    /// The operation that took it back.
    pub undone_by: Option<OperationId>,
}

/// What is to change about a group's CRM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupSettings {
    /// Whether the CRM is on, for this group alone.
    pub crm_enabled: Option<bool>,
    /// The group that holds the contacts of this one and of those below that name none themselves; the inner none for "where the parent's are".
    pub contact_source: Option<Option<GroupId>>,
    /// Whether issues are related by themselves to the contacts whose addresses open or head them.
    pub relates_automatically: Option<bool>,
}

/// What follows from changing a group's CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupReport {
    /// Groups that keep their contacts somewhere else now.
    pub groups_affected: u64,
    /// Relations between issues and contacts that are lost, since the contacts are not where the issues' groups keep theirs.
    pub relations_removed: u64,
    /// By which the lost relations are found in the history; none where nothing changed.
    pub operation: Option<OperationId>,
}
