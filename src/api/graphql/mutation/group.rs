//! How a group keeps its contacts.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{Refusal, Scope, told};
use crate::{
    api::graphql::{
        group::{CrmAutomaticRelation, Group},
        id::{GroupGid, operation_gid},
    },
    crm::GroupSettings,
    domain::{self, ConnectionId, RootId},
    rules::PolicySettings,
    store::connection,
};

/// Changes of groups.
#[derive(Default)]
pub(super) struct GroupMutation;

/// What leaving a chat means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::ChatPreset", name = "CrmChatPreset")]
enum ChatPreset {
    /// Whoever leaves goes on observing.
    Current,
    /// Whoever leaves observes no longer.
    Legacy,
}

/// Who makes observers by adding people to a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::InvitePolicy", name = "CrmInvitePolicy")]
enum InvitePolicy {
    /// Whoever may read the item.
    Readers,
    /// Whoever may edit it.
    Editors,
    /// Nobody without approval.
    Approval,
}

/// What becomes of a responsible person who is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Reassignment", name = "CrmReassignment")]
enum Reassignment {
    /// He observes on.
    Keep,
    /// He goes.
    Drop,
}

/// Which comments with commands are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Replies", name = "CrmReplies")]
enum Replies {
    /// Each.
    Always,
    /// Those that ask something, and those of which something was not done.
    WhenNeeded,
}

/// Whether a reaction on a comment with commands says how they went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Reactions", name = "CrmReactions")]
enum Reactions {
    /// On each.
    Always,
    /// On none.
    Never,
}

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
    /// Name of the connection to the messenger in which chats are made; null for "as the parent has it".
    messenger: MaybeUndefined<String>,
    /// What leaving a chat means; null for "as the parent has it".
    chat_preset: MaybeUndefined<ChatPreset>,
    /// Who makes observers by adding people to a chat; null for "as the parent has it".
    invite_policy: MaybeUndefined<InvitePolicy>,
    /// What becomes of a responsible person who is replaced; null for "as the parent has it".
    reassignment: MaybeUndefined<Reassignment>,
    /// Which comments with commands are answered; null for "as the parent has it".
    replies: MaybeUndefined<Replies>,
    /// Whether a reaction on a comment with commands says how they went; null for "as the parent has it".
    reactions: MaybeUndefined<Reactions>,
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

/// Returns the connection that a name means; one that the tenant may not use means none that there is.
async fn messenger(
    scope: Scope<'_>,
    root: RootId,
    name: MaybeUndefined<String>,
) -> Result<MaybeUndefined<ConnectionId>> {
    Ok(match name {
        MaybeUndefined::Undefined => MaybeUndefined::Undefined,
        MaybeUndefined::Null => MaybeUndefined::Null,
        MaybeUndefined::Value(name) => {
            let mut connection = scope.single().await?;
            let known = connection::of_tenant(&mut connection, root).await;
            let known = known.map_err(Refusal::from)?.into_iter();
            let found = known.into_iter().find(|known| known.name == name);
            MaybeUndefined::Value(found.map_or(ConnectionId(0), |known| known.id))
        }
    })
}

/// Changes of groups.
#[Object]
impl GroupMutation {
    /// Switches the CRM of a group, says where it keeps its contacts, and chooses its messenger and policies. For maintainers and owners.
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
            policies: PolicySettings {
                messenger: messenger(scope, group.root(), input.messenger)
                    .await?
                    .into(),
                preset: input.chat_preset.map_value(Into::into).into(),
                invites: input.invite_policy.map_value(Into::into).into(),
                reassignment: input.reassignment.map_value(Into::into).into(),
                replies: input.replies.map_value(Into::into).into(),
                reactions: input.reactions.map_value(Into::into).into(),
            },
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
