//! Which contacts an issue has.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use super::{Refusal, Scope, told};
use crate::{
    api::graphql::{
        id::{ContactGid, operation_gid},
        issue::{Issue, Project},
    },
    crm::{ContactNames, SetContacts},
    domain::Level,
    rules::Access,
};

/// Changes of issues.
#[derive(Default)]
pub(super) struct IssueMutation;

/// How a list that is given changes the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
enum MutationOperationMode {
    /// Replaces it.
    #[default]
    Replace,
    /// Adds to it.
    Append,
    /// Takes from it.
    Remove,
}

/// Which contacts an issue is to have.
#[derive(InputObject)]
#[graphql(name = "IssueSetCrmContactsInput")]
struct SetInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// Full path of the issue's project.
    project_path: ID,
    /// Number of the issue within the project.
    iid: String,
    /// The contacts.
    contact_ids: Vec<ContactGid>,
    /// What is done with them; they replace those of the issue if nothing is said.
    #[graphql(default)]
    operation_mode: Option<MutationOperationMode>,
}

/// What came of setting an issue's contacts.
#[derive(SimpleObject)]
#[graphql(name = "IssueSetCrmContactsPayload")]
struct SetPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The issue.
    issue: Option<Issue>,
    /// By which it is taken back; none if nothing changed.
    operation_id: Option<ID>,
    /// Why nothing changed.
    errors: Vec<String>,
}

/// Changes of issues.
#[Object]
impl IssueMutation {
    /// Sets, adds or removes contacts of an issue.
    async fn issue_set_crm_contacts(
        &self,
        context: &Context<'_>,
        input: SetInput,
    ) -> Result<SetPayload> {
        let scope = Scope::of(context)?;
        let asker = scope.asker()?;
        let issue = Project::at(scope, &input.project_path).await?;
        let issue = match (issue, input.iid.parse()) {
            (Some(project), Ok(iid)) => project.issue_at(scope, iid).await?,
            _ => None,
        };
        let issue = issue.ok_or(Refusal::NotAvailable)?;
        if is_off(issue.access()) {
            return Err(Refusal::FeatureDisabled.into());
        }
        let ids: Vec<_> = input
            .contact_ids
            .iter()
            .map(ContactGid::read)
            .collect::<Result<_, Refusal>>()?;
        let names = ContactNames {
            ids,
            emails: Vec::new(),
        };
        let wanted = match input.operation_mode.unwrap_or_default() {
            MutationOperationMode::Replace => SetContacts::Replace(names),
            MutationOperationMode::Append => SetContacts::append(names),
            MutationOperationMode::Remove => SetContacts::remove(names),
        };
        let set = scope
            .api
            .crm
            .set_issue_contacts(asker, issue.id(), &wanted)
            .await;
        let (operation, errors) = match told(set)? {
            Ok(report) => (report.operation, Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(SetPayload {
            client_mutation_id: input.client_mutation_id,
            issue: Some(issue),
            operation_id: operation.map(operation_gid),
            errors,
        })
    }
}

/// Returns whether the CRM is off, said to those only who could use it if it were on.
fn is_off(access: Access) -> bool {
    !access.crm_enabled
        && access.active
        && access.issue_readable
        && access.project >= Level::Planner
}
