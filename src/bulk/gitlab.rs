//! A GitLab group's own CRM, brought in like a file, with the issues that its contacts are on.

use std::collections::HashMap;

use serde::Serialize;

use super::{Report, session::Session};
use crate::{
    connector::gitlab::{CrmContact, CrmIssue, CrmOrganization, GroupCrm},
    domain::{ItemId, ProjectFacts},
    exchange::{ContactRow, OrganizationRow, Row},
    queue,
    store::{
        StoreError,
        import::{self as store, FoundIssue},
        place::{Finder, place_project},
    },
};

/// What the CRM of a GitLab group holds, as rows.
#[derive(Debug)]
pub struct Harvest {
    organizations: Vec<Row<OrganizationRow>>,
    contacts: Vec<Row<ContactRow>>,
    /// Place of a contact in the list, by GitLab's id.
    places: HashMap<String, usize>,
    /// The issues that have contacts.
    issues: Vec<CrmIssue>,
    /// Their projects, by GitLab's id; none where the bot sees none.
    projects: HashMap<String, Option<ProjectFacts>>,
}

/// What came of importing a GitLab group.
#[derive(Debug, Default, Serialize)]
pub struct GitLabReport {
    /// Its organizations, in the order of GitLab's list.
    pub organizations: Report,
    /// Its contacts, in the order of GitLab's list.
    pub contacts: Report,
    /// Issues there that have contacts.
    pub issues: usize,
    /// Relations of contacts to issues that were made.
    pub related: u64,
    /// Projects there that are not in the group here, whose issues were left out.
    pub projects_outside: Vec<String>,
}

impl From<GroupCrm> for Harvest {
    fn from(crm: GroupCrm) -> Self {
        let ids = crm.contacts.iter().map(|contact| contact.id.clone());
        Self {
            places: ids.zip(0..).collect(),
            organizations: numbered(crm.organizations),
            contacts: numbered(crm.contacts),
            issues: crm.issues,
            projects: crm.projects,
        }
    }
}

/// Makes rows of a list; their place stands for a line.
fn numbered<A, B: From<A>>(list: Vec<A>) -> Vec<Row<B>> {
    (1..)
        .zip(list)
        .map(|(line, entry)| Row {
            line,
            content: Ok(entry.into()),
        })
        .collect()
}

impl From<CrmOrganization> for OrganizationRow {
    fn from(organization: CrmOrganization) -> Self {
        Self {
            name: organization.name,
            default_rate: organization
                .default_rate
                .map_or_else(String::new, |rate| rate.to_string()),
            description: organization.description.unwrap_or_default(),
            active: Some(organization.active),
        }
    }
}

impl From<CrmContact> for ContactRow {
    fn from(contact: CrmContact) -> Self {
        Self {
            first_name: contact.first_name,
            last_name: contact.last_name,
            email: contact.email.unwrap_or_default(),
            phone: contact.phone.unwrap_or_default(),
            organization: contact
                .organization
                .map_or_else(String::new, |organization| organization.name),
            description: contact.description.unwrap_or_default(),
            active: Some(contact.active),
        }
    }
}

impl Session<'_> {
    /// Brings in what a GitLab group has: organizations, then contacts, then the relations of contacts to issues.
    pub(super) async fn gitlab(
        &mut self,
        finder: &Finder<'_>,
        harvest: &Harvest,
    ) -> Result<GitLabReport, StoreError> {
        let organizations = self.organizations(&harvest.organizations).await?;
        let contacts = self.contacts(&harvest.contacts).await?;
        let mut report = GitLabReport {
            organizations,
            contacts,
            issues: harvest.issues.len(),
            ..GitLabReport::default()
        };
        for (remote_id, facts) in &harvest.projects {
            let inside = match facts {
                Some(facts) => {
                    let placement = place_project(self.connection, finder, facts).await?;
                    for followers in &placement.followers {
                        // What follows from another root group is found by the poll.
                        queue::follow(self.connection, followers).await?;
                    }
                    placement.root == Some(finder.own)
                }
                None => false,
            };
            if !inside {
                let path = facts.as_ref().map_or(remote_id, |facts| &facts.path);
                report.projects_outside.push(path.clone());
            }
        }
        report.projects_outside.sort_unstable();
        let items: Vec<Option<ItemId>> = report.contacts.rows.iter().map(|row| row.id).collect();
        let found: Vec<FoundIssue<'_>> = harvest
            .issues
            .iter()
            .map(|issue| FoundIssue {
                facts: &issue.facts,
                project: &issue.project,
                items: issue
                    .contacts
                    .iter()
                    .filter_map(|id| items.get(*harvest.places.get(id)?).copied().flatten())
                    .collect(),
            })
            .collect();
        report.related = store::relate(self.connection, self.scene, finder.on, &found).await?;
        Ok(report)
    }
}
