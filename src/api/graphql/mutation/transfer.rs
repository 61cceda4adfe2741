//! Moving a group, with its contacts and organizations, below another one or to the top.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::{Refusal, Scope, told};
use crate::{
    api::graphql::group::Group,
    crm::CrmError,
    store::transfer::{Fates, TransferReport},
};

/// Moves of groups.
#[derive(Default)]
pub(super) struct TransferMutation;

/// Which group is to move, and where to.
#[derive(InputObject)]
#[graphql(name = "GroupTransferInput")]
struct TransferInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// Full path of the group.
    full_path: ID,
    /// Full path of the new parent; null makes it a root group.
    new_parent_path: Option<ID>,
    /// Whether only to say what would follow.
    #[graphql(default)]
    dry_run: bool,
}

/// What came of moving a group.
#[derive(SimpleObject)]
#[graphql(name = "GroupTransferPayload")]
struct TransferPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The group as it is now.
    group: Option<Group>,
    /// What moved, or would.
    report: Option<Report>,
    /// What stands in the way.
    errors: Vec<String>,
}

/// What moves along with a group.
#[derive(SimpleObject)]
#[graphql(name = "GroupTransferReport")]
struct Report {
    /// Groups, the one itself included.
    groups: i64,
    /// Their projects.
    projects: i64,
    /// The known issues of those.
    issues: i64,
    /// Contacts.
    contacts: Fared,
    /// Organizations.
    organizations: Fared,
    /// Leads, deals, invoices and other items.
    items: Fared,
    /// Relations of moved issues that stay.
    relations_kept: i64,
    /// Relations that end, since the contacts do not come along.
    relations_removed: i64,
}

/// How many contacts, or organizations, fare how.
#[derive(SimpleObject)]
#[graphql(name = "GroupTransferFates")]
struct Fared {
    /// Go to the new root group.
    moved: i64,
    /// Go as a copy, since groups that stay use them too.
    copied: i64,
    /// Are there already: their issues are pointed at those.
    merged: i64,
}

impl From<Fates> for Fared {
    fn from(fates: Fates) -> Self {
        Self {
            moved: fates.moved,
            copied: fates.copied,
            merged: fates.merged,
        }
    }
}

impl From<TransferReport> for Report {
    fn from(report: TransferReport) -> Self {
        Self {
            groups: report.groups,
            projects: report.projects,
            issues: report.issues,
            contacts: report.contacts.into(),
            organizations: report.organizations.into(),
            items: report.items.into(),
            relations_kept: report.relations_kept,
            relations_removed: report.relations_removed,
        }
    }
}

/// Moves of groups.
#[Object]
impl TransferMutation {
    /// Moves a group that no tracker tells of, all of it or nothing. For owners of the group who are maintainers of the new parent.
    async fn group_transfer(
        &self,
        context: &Context<'_>,
        input: TransferInput,
    ) -> Result<TransferPayload> {
        let scope = Scope::of(context)?;
        let asker = scope.asker()?;
        let group = Group::at(scope, &input.full_path)
            .await?
            .ok_or(Refusal::NotAvailable)?;
        let parent = input.new_parent_path.as_deref().map(String::as_str);
        let moved = scope
            .api
            .crm
            .transfer_group(asker, group.id(), parent, input.dry_run)
            .await;
        let (report, errors) = match moved {
            // The group was seen, so that the reason gives nothing away.
            Err(CrmError::Denied(reason)) => (None, vec![reason]),
            other => match told(other)? {
                Ok(report) => (Some(report.into()), Vec::new()),
                Err(errors) => (None, errors),
            },
        };
        Ok(TransferPayload {
            client_mutation_id: input.client_mutation_id,
            group: Group::find(scope, group.id()).await?,
            report,
            errors,
        })
    }
}
