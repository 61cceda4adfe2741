//! Organizations: created, edited, deleted, merged.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};
use rust_decimal::Decimal;

use super::{Refusal, Scope, required, told};
use crate::{
    api::graphql::{
        id::{GroupGid, OrganizationGid, operation_gid},
        organization::Organization,
    },
    domain::{ItemKind, OrganizationForm, OrganizationPatch},
};

/// Changes of organizations.
#[derive(Default)]
pub(super) struct OrganizationMutation;

/// A new organization.
#[derive(InputObject)]
#[graphql(name = "CustomerRelationsOrganizationCreateInput")]
struct CreateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// Group that uses the organization; it is created where that group keeps its contacts.
    group_id: GroupGid,
    /// Name, up to 255 characters; no two organizations of a group have the same.
    name: String,
    /// Standard rate for work, with two digits after the point.
    default_rate: Option<f64>,
    /// Description, up to 1024 characters.
    description: Option<String>,
}

/// What came of creating an organization.
#[derive(SimpleObject)]
#[graphql(name = "CustomerRelationsOrganizationCreatePayload")]
struct CreatePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The organization, if it was created.
    organization: Option<Organization>,
    /// What is wrong with the values.
    errors: Vec<String>,
}

/// What is to change of an organization; what is left out stays.
#[derive(InputObject)]
#[graphql(name = "CustomerRelationsOrganizationUpdateInput")]
struct UpdateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The organization.
    id: OrganizationGid,
    /// Name.
    name: MaybeUndefined<String>,
    /// Standard rate for work; null clears.
    default_rate: MaybeUndefined<f64>,
    /// Description; null clears.
    description: MaybeUndefined<String>,
    /// False to deactivate it.
    active: Option<bool>,
}

/// What came of changing an organization.
#[derive(SimpleObject)]
#[graphql(name = "CustomerRelationsOrganizationUpdatePayload")]
struct UpdatePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The organization, if it was changed.
    organization: Option<Organization>,
    /// What is wrong with the values.
    errors: Vec<String>,
}

/// Organizations to delete.
#[derive(InputObject)]
#[graphql(name = "CustomerRelationsOrganizationDeleteInput")]
struct DeleteInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The organizations, all of one group; up to 100.
    ids: Vec<OrganizationGid>,
}

/// What came of deleting organizations.
#[derive(SimpleObject)]
#[graphql(name = "CustomerRelationsOrganizationDeletePayload")]
struct DeletePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// By which it is taken back; none if nothing was deleted.
    operation_id: Option<ID>,
    /// Why nothing was deleted.
    errors: Vec<String>,
}

/// Organizations to merge.
#[derive(InputObject)]
#[graphql(name = "CustomerRelationsOrganizationMergeInput")]
struct MergeInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The organization that stays.
    id: OrganizationGid,
    /// The organizations that are merged into it, all of its group; up to 100.
    merged_ids: Vec<OrganizationGid>,
}

/// What came of merging organizations.
#[derive(SimpleObject)]
#[graphql(name = "CustomerRelationsOrganizationMergePayload")]
struct MergePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The organization that stays.
    organization: Option<Organization>,
    /// By which it is taken back; none if nothing was merged.
    operation_id: Option<ID>,
    /// Why nothing was merged.
    errors: Vec<String>,
}

/// Changes of organizations.
#[Object]
impl OrganizationMutation {
    /// Creates an organization.
    async fn customer_relations_organization_create(
        &self,
        context: &Context<'_>,
        input: CreateInput,
    ) -> Result<CreatePayload> {
        let scope = Scope::of(context)?;
        let form = OrganizationForm {
            name: input.name,
            default_rate: input.default_rate.map(rate),
            description: input.description,
        };
        let created = scope
            .api
            .crm
            .create_organization(scope.asker()?, input.group_id.read()?, &form)
            .await;
        let (organization, errors) = match told(created)? {
            Ok(id) => (Organization::changed(scope, id).await?, Vec::new()),
            Err(errors) => (None, errors),
        };
        let client_mutation_id = input.client_mutation_id;
        Ok(CreatePayload {
            client_mutation_id,
            organization,
            errors,
        })
    }

    /// Changes an organization.
    async fn customer_relations_organization_update(
        &self,
        context: &Context<'_>,
        input: UpdateInput,
    ) -> Result<UpdatePayload> {
        let scope = Scope::of(context)?;
        let patch = OrganizationPatch {
            name: required(input.name),
            default_rate: input.default_rate.map_value(rate).into(),
            description: input.description.into(),
            active: input.active,
        };
        let id = input.id.read()?;
        let changed = scope
            .api
            .crm
            .update_organization(scope.asker()?, id, &patch, None)
            .await;
        let (organization, errors) = match told(changed)? {
            Ok(_) => (Organization::changed(scope, id).await?, Vec::new()),
            Err(errors) => (None, errors),
        };
        let client_mutation_id = input.client_mutation_id;
        Ok(UpdatePayload {
            client_mutation_id,
            organization,
            errors,
        })
    }

    /// Deletes organizations; their contacts stay without one. It can be taken back.
    async fn customer_relations_organization_delete(
        &self,
        context: &Context<'_>,
        input: DeleteInput,
    ) -> Result<DeletePayload> {
        let scope = Scope::of(context)?;
        let ids: Vec<_> = input
            .ids
            .iter()
            .map(OrganizationGid::read)
            .collect::<Result<_, _>>()?;
        let asker = scope.asker()?;
        scope.all_are(ItemKind::Organization, &ids).await?;
        let (operation, errors) = match told(scope.api.crm.delete(asker, &ids).await)? {
            Ok(operation) => (Some(operation), Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(DeletePayload {
            client_mutation_id: input.client_mutation_id,
            operation_id: operation.map(operation_gid),
            errors,
        })
    }

    /// Merges organizations into one of them, which gets their contacts and the fields that it lacks. It can be taken back.
    async fn customer_relations_organization_merge(
        &self,
        context: &Context<'_>,
        input: MergeInput,
    ) -> Result<MergePayload> {
        let scope = Scope::of(context)?;
        let id = input.id.read()?;
        let losers: Vec<_> = input
            .merged_ids
            .iter()
            .map(OrganizationGid::read)
            .collect::<Result<_, Refusal>>()?;
        let asker = scope.asker()?;
        scope
            .all_are(ItemKind::Organization, &[&[id], losers.as_slice()].concat())
            .await?;
        let (operation, errors) = match told(scope.api.crm.merge(asker, id, &losers, &[]).await)? {
            Ok(operation) => (Some(operation), Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(MergePayload {
            client_mutation_id: input.client_mutation_id,
            organization: match operation {
                Some(_) => Organization::changed(scope, id).await?,
                None => None,
            },
            operation_id: operation.map(operation_gid),
            errors,
        })
    }
}

/// Returns a rate as a decimal number. One that no decimal holds is beyond the limit anyway, which is then told.
fn rate(value: f64) -> Decimal {
    Decimal::try_from(value).unwrap_or(if value < 0.0 {
        Decimal::MIN
    } else {
        Decimal::MAX
    })
}
