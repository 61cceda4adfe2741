//! How a group keeps its contacts.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{Refusal, Scope, told};
use crate::{
    api::graphql::{
        group::{CrmAutomaticRelation, Group},
        id::{GroupGid, operation_gid},
    },
    crm::GroupSettings,
};

/// Changes of groups.
#[derive(Default)]
pub(super) struct GroupMutation;

/// What is to change of a group; what is left out stays.
#[derive(InputObject)]
#[graphql(name = "GroupUpdateInput")]
struct UpdateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// Full path of the group.
    full_path: ID,
    /// Whether the CRM is on, for this group alone.
    crm_enabled: Option<bool>,
    /// The group that this one and those below it keep their contacts in; null for where the parent's are.
    crm_source_group_id: MaybeUndefined<GroupGid>,
    /// By what issues are related by themselves to the contacts whose addresses they show; null for "as the parent has it".
    crm_automatic_relations: MaybeUndefined<Vec<CrmAutomaticRelation>>,
    /// Whether only to say what would follow.
    #[graphql(default)]
    dry_run: bool,
}

/// What came of changing a group.
#[derive(SimpleObject)]
#[graphql(name = "GroupUpdatePayload")]
struct UpdatePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The group as it is now.
    group: Option<Group>,
    /// How many groups keep their contacts somewhere else now.
    groups_affected: u64,
    /// How many relations between issues and contacts are lost, since the contacts are not where the issues' groups keep theirs now.
    relations_removed: u64,
    /// By which the lost relations are found in the history.
    operation_id: Option<ID>,
    /// What is wrong with the values.
    errors: Vec<String>,
}

/// Changes of groups.
#[Object]
impl GroupMutation {
    /// Switches the CRM of a group and says where it keeps its contacts. For maintainers and owners.
    async fn group_update(
        &self,
        context: &Context<'_>,
        input: UpdateInput,
    ) -> Result<UpdatePayload> {
        let scope = Scope::of(context)?;
        let asker = scope.asker()?;
        let group = Group::at(scope, &input.full_path)
            .await?
            .ok_or(Refusal::NotAvailable)?;
        let source = input.crm_source_group_id.map_value(|id| id.read());
        let settings = GroupSettings {
            crm_enabled: input.crm_enabled,
            contact_source: source.transpose()?.into(),
            automatic_relations: input
                .crm_automatic_relations
                .map_value(|chosen| chosen.into_iter().map(Into::into).collect())
                .into(),
        };
        let report = if input.dry_run {
            scope
                .api
                .crm
                .preview_group(asker, group.id(), settings)
                .await
        } else {
            scope.api.crm.set_group(asker, group.id(), settings).await
        };
        let (report, errors) = match told(report)? {
            Ok(report) => (Some(report), Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(UpdatePayload {
            client_mutation_id: input.client_mutation_id,
            group: match report {
                Some(_) => Group::find(scope, group.id()).await?,
                None => None,
            },
            groups_affected: report.map_or(0, |report| report.groups_affected),
            relations_removed: report.map_or(0, |report| report.relations_removed),
            operation_id: report
                .and_then(|report| report.operation)
                .map(operation_gid),
            errors,
        })
    }
}
