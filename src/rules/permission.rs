//! Who may do what in the CRM: the table of rights, in one place.

use crate::domain::{IssueFacts, Level, Visibility};

/// What is known about a person's standing towards an issue and the group that holds its contacts.
///
/// Issue contacts need a right in two places: in the group that holds the contacts, and in the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// False once the person was deactivated.
    pub active: bool,
    /// Whether the CRM is on for the issue's group and for the group that holds the contacts.
    pub crm_enabled: bool,
    /// Level in the group that holds the contacts.
    pub contact_group: Level,
    /// Level in the issue's project.
    pub project: Level,
    /// Whether the person may read the issue.
    pub issue_readable: bool,
}

/// A thing that a person may do or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See the contacts and organizations of the group.
    ViewContacts,
    /// See which contacts an issue has.
    ViewIssueContacts,
    /// Relate contacts to an issue, or no longer.
    RelateContacts,
    /// Create, edit and archive contacts and organizations.
    CreateContacts,
    /// Delete contacts and organizations.
    DeleteContacts,
    /// Merge contacts or organizations.
    MergeContacts,
    /// Import contacts and organizations.
    ImportContacts,
    /// Export contacts and organizations.
    ExportContacts,
    /// Configure the group: its CRM, its webhooks and connections. The CRM may be off, or nobody could switch it on.
    Configure,
}

impl Access {
    /// Returns whether the person has the right.
    pub fn allows(self, right: Right) -> bool {
        let view = self.active && self.crm_enabled && self.contact_group >= Level::Planner;
        match right {
            Right::ViewContacts => view,
            Right::ViewIssueContacts | Right::RelateContacts => {
                view && self.issue_readable && self.project >= Level::Planner
            }
            // From an issue that the person cannot read nothing is done at all.
            Right::CreateContacts => {
                view && self.issue_readable && self.contact_group >= Level::Developer
            }
            Right::DeleteContacts
            | Right::MergeContacts
            | Right::ImportContacts
            | Right::ExportContacts => view && self.contact_group >= Level::Maintainer,
            Right::Configure => self.active && self.contact_group >= Level::Maintainer,
        }
    }
}

/// What is known about a person's standing towards one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnItem {
    /// What he may do with the items of its group.
    pub access: Access,
    /// Whether he may sign in: he has some level somewhere in the tree of its root group.
    pub is_member: bool,
    /// Whether he is responsible for it.
    pub is_responsible: bool,
    /// Whether he observes it.
    pub is_observer: bool,
}

impl OnItem {
    /// Returns whether he may read the item, its history and its chat. Whoever observes it or is responsible for it may, as long as he is
    /// anybody in the tree.
    pub fn reads(self) -> bool {
        self.access.allows(Right::ViewContacts)
            || (self.is_responsible || self.is_observer) && self.is_there()
    }

    /// Returns whether he may change the item.
    pub fn edits(self) -> bool {
        self.access.allows(Right::CreateContacts)
    }

    /// Returns whether he may change who observes the item: editors may, and the responsible.
    pub fn changes_observers(self) -> bool {
        self.edits() || self.is_responsible && self.is_there()
    }

    fn is_there(self) -> bool {
        self.access.active && self.access.crm_enabled && self.is_member
    }
}

/// Returns whether a user may read an issue: a confidential one is for planners and up, its author and its assignees
/// (GitLab, `issue_policy`).
pub fn issue_is_readable(
    issue: &IssueFacts,
    visibility: Visibility,
    remote_user: &str,
    project: Level,
) -> bool {
    if issue.confidential {
        project >= Level::Planner
            || issue.author == remote_user
            || issue
                .assignees
                .iter()
                .any(|assignee| assignee == remote_user)
    } else {
        project_is_readable(visibility, project)
    }
}

/// Returns whether a user with a level may read a project.
pub fn project_is_readable(visibility: Visibility, level: Level) -> bool {
    visibility != Visibility::Private || level >= Level::Guest
}
