//! Types of items of a root group's own.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};

use super::{Refusal, Scope, item::parted, told};
use crate::{
    api::graphql::{
        id::{GroupGid, ItemTypeGid},
        item::ItemType,
    },
    domain::ItemTypeId,
    store::item_type,
};

/// Changes of types of items.
#[derive(Default)]
pub(super) struct ItemTypeMutation;

/// A new type of items.
#[derive(InputObject)]
struct ItemTypeCreateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The root group.
    group_id: GroupGid,
    /// What it is called.
    name: String,
    /// Whether its items have observers.
    #[graphql(default = true)]
    observers: bool,
}

/// What is to change of a type of items.
#[derive(InputObject)]
struct ItemTypeUpdateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The type.
    id: ItemTypeGid,
    /// What it is called.
    name: Option<String>,
    /// Whether its items have observers.
    observers: Option<bool>,
}

/// A type of items to delete.
#[derive(InputObject)]
struct ItemTypeDeleteInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The type; no item may be of it.
    id: ItemTypeGid,
}

/// What came of a change of a type.
#[derive(SimpleObject)]
struct ItemTypePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The type as it is now.
    item_type: Option<ItemType>,
    /// Why nothing changed.
    errors: Vec<String>,
}

/// Changes of types of items.
#[Object]
impl ItemTypeMutation {
    /// Creates a type of items of a root group's own.
    async fn item_type_create(
        &self,
        context: &Context<'_>,
        input: ItemTypeCreateInput,
    ) -> Result<ItemTypePayload> {
        let scope = Scope::of(context)?;
        let (asker, group) = (scope.asker()?, input.group_id.read()?);
        let crm = &scope.api.crm;
        let created = crm
            .create_item_type(asker, group, &input.name, input.observers)
            .await;
        let outcome = told(created)?.map(Some);
        Ok(type_payload(scope, input.client_mutation_id, outcome).await?)
    }

    /// Changes a type of items.
    async fn item_type_update(
        &self,
        context: &Context<'_>,
        input: ItemTypeUpdateInput,
    ) -> Result<ItemTypePayload> {
        let scope = Scope::of(context)?;
        let (asker, id) = (scope.asker()?, input.id.read()?);
        let change = (input.name.as_deref(), input.observers);
        let changed = scope.api.crm.update_item_type(asker, id, change).await;
        let outcome = told(changed)?.map(|()| Some(id));
        Ok(type_payload(scope, input.client_mutation_id, outcome).await?)
    }

    /// Deletes a type of items that no item is of.
    async fn item_type_delete(
        &self,
        context: &Context<'_>,
        input: ItemTypeDeleteInput,
    ) -> Result<ItemTypePayload> {
        let scope = Scope::of(context)?;
        let (asker, id) = (scope.asker()?, input.id.read()?);
        let deleted = scope.api.crm.delete_item_type(asker, id).await;
        let outcome = told(deleted)?.map(|()| None);
        Ok(type_payload(scope, input.client_mutation_id, outcome).await?)
    }
}

async fn type_payload(
    scope: Scope<'_>,
    client_mutation_id: Option<String>,
    outcome: Result<Option<ItemTypeId>, Vec<String>>,
) -> Result<ItemTypePayload, Refusal> {
    let (done, errors) = parted(outcome);
    let found = match done.flatten() {
        None => None,
        Some(id) => {
            let mut connection = scope.connection().await?;
            let found = item_type::find(&mut connection, &[id]).await?;
            found.into_iter().next()
        }
    };
    Ok(ItemTypePayload {
        client_mutation_id,
        item_type: found.map(ItemType),
        errors,
    })
}
