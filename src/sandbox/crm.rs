//! The tracker's own CRM: contacts and organizations of root groups, and the contacts of issues.
//!
//! GitLab shows it to planners and up, over GraphQL alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Sandbox,
    model::{Group, Level, Place},
    state::{State, take_id},
};

/// A customer company.
#[derive(Debug, Clone, Default)]
pub struct Organization {
    /// Root group that holds it.
    pub group: u64,
    /// Name.
    pub name: String,
    /// Default rate.
    pub default_rate: Option<f64>,
    /// Description.
    pub description: Option<String>,
    /// True once deactivated.
    pub inactive: bool,
}

/// A customer person.
#[derive(Debug, Clone, Default)]
pub struct Contact {
    /// Root group that holds it.
    pub group: u64,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Company.
    pub organization: Option<u64>,
    /// True once deactivated.
    pub inactive: bool,
}

/// What the tracker knows of customers.
#[derive(Debug, Default)]
pub(super) struct Crm {
    pub(super) organizations: BTreeMap<u64, Organization>,
    pub(super) contacts: BTreeMap<u64, Contact>,
    /// Which issue has which contacts.
    pub(super) issue_contacts: BTreeSet<(u64, u64)>,
}

impl Sandbox {
    /// Creates a customer company and returns its id.
    pub fn create_organization(&self, new: Organization) -> u64 {
        self.change(|state| {
            let id = take_id(&state.crm.organizations, None);
            state.crm.organizations.insert(id, new);
            id
        })
    }

    /// Creates a customer person and returns its id.
    pub fn create_contact(&self, new: Contact) -> u64 {
        self.change(|state| {
            let id = take_id(&state.crm.contacts, None);
            state.crm.contacts.insert(id, new);
            id
        })
    }

    /// Relates a contact to an issue. GitLab fires no hook.
    pub fn relate_contact(&self, issue: u64, contact: u64) {
        self.change(|state| state.crm.issue_contacts.insert((issue, contact)));
    }
}

impl State {
    /// Tells whether a user may see the customers of a group.
    pub(super) fn may_read_crm(&self, user: u64, group: &Group) -> bool {
        self.level(Place::Group(group.id), user) >= Some(Level::Planner)
    }
}
