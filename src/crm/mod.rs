//! The CRM for everybody who is known by a person's id and not by a comment: GraphQL, pages, the command line.
//!
//! Each call loads what the decision needs, asks the tracker for levels that are not known lately (with no transaction open), lets
//! `rules` decide, and commits changes and history together. Nothing here knows HTTP, and nothing here decides.

mod error;
mod types;

pub use error::{CrmError, Outage};
pub use types::{
    Asker, ContactNames, ContactOutcome, GroupReport, GroupSettings, HistoryEntry, HistoryOf,
    HistoryPage, NamedContact, SetContacts, SetReport, UndoReport,
};

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::PgPool;

use crate::{
    connector::gitlab::Client,
    domain::{
        Clock, ConnectionId, ContactForm, ContactPatch, GroupId, IssueId, ItemId, OperationId,
        OrganizationForm, OrganizationPatch, PersonId, RootId,
    },
    rules::Access,
};

/// The way to the CRM for people who are signed in.
#[derive(Debug, Clone)]
pub struct Crm {
    /// The database.
    pub pool: PgPool,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// The trackers that tell levels, by connection.
    pub trackers: Arc<HashMap<ConnectionId, Client>>,
    /// How long a level that the tracker told is believed.
    pub level_fresh: Duration,
    /// How long the place of a project is believed.
    pub place_fresh: Duration,
}

/// Read, write; see the modules.
impl Crm {
    /// Returns what a person may do with the contacts that a group uses, wherever they are held.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] where there is no such group or person; [`CrmError::Unavailable`] where the tracker or database does not answer.
    pub async fn group_access(
        &self,
        _person: PersonId,
        _root: RootId,
        _group: GroupId,
    ) -> Result<Access, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Returns what a person may do with the contacts of an issue.
    ///
    /// # Errors
    /// As for [`Self::group_access`].
    pub async fn issue_access(
        &self,
        _person: PersonId,
        _root: RootId,
        _issue: IssueId,
    ) -> Result<Access, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Creates a contact in the group that holds it; returns its id.
    pub async fn create_contact(
        &self,
        _asker: Asker,
        _group: GroupId,
        _form: &ContactForm,
    ) -> Result<ItemId, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Changes a contact.
    pub async fn update_contact(
        &self,
        _asker: Asker,
        _contact: ItemId,
        _patch: &ContactPatch,
    ) -> Result<(), CrmError> {
        Err(CrmError::NotFound)
    }

    /// Creates an organization in the group that holds it; returns its id.
    pub async fn create_organization(
        &self,
        _asker: Asker,
        _group: GroupId,
        _form: &OrganizationForm,
    ) -> Result<ItemId, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Changes an organization.
    pub async fn update_organization(
        &self,
        _asker: Asker,
        _organization: ItemId,
        _patch: &OrganizationPatch,
    ) -> Result<(), CrmError> {
        Err(CrmError::NotFound)
    }

    /// Deletes contacts and organizations of one group, with their relations; returns the operation, by which it is undone.
    pub async fn delete(&self, _asker: Asker, _items: &[ItemId]) -> Result<OperationId, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Merges items into one of them, all of one kind and group; returns the operation, by which it is undone.
    pub async fn merge(
        &self,
        _asker: Asker,
        _survivor: ItemId,
        _losers: &[ItemId],
    ) -> Result<OperationId, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Takes back an operation, as far as nobody changed since what it changed.
    pub async fn undo(
        &self,
        _asker: Asker,
        _operation: OperationId,
    ) -> Result<UndoReport, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Returns a page of the history of an item or of a group's contacts and organizations, newest first.
    pub async fn history(
        &self,
        _asker: Asker,
        _of: HistoryOf,
        _page: HistoryPage,
    ) -> Result<Vec<HistoryEntry>, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Changes which contacts an issue has. With one that cannot be added, nothing is changed.
    pub async fn set_issue_contacts(
        &self,
        _asker: Asker,
        _issue: IssueId,
        _wanted: &SetContacts,
    ) -> Result<SetReport, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Returns what [`Self::set_group`] would do, and does nothing.
    pub async fn preview_group(
        &self,
        _asker: Asker,
        _group: GroupId,
        _settings: GroupSettings,
    ) -> Result<GroupReport, CrmError> {
        Err(CrmError::NotFound)
    }

    /// Switches the CRM of a group and says where it keeps its contacts.
    pub async fn set_group(
        &self,
        _asker: Asker,
        _group: GroupId,
        _settings: GroupSettings,
    ) -> Result<GroupReport, CrmError> {
        Err(CrmError::NotFound)
    }
}
