//! Contacts: created, edited, deleted, merged.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::{Refusal, Scope, required, told};
use crate::{
    api::graphql::{
        contact::Contact,
        id::{ContactGid, GroupGid, OrganizationGid, operation_gid},
    },
    domain::{ContactForm, ContactPatch, ItemKind},
};

/// Changes of contacts.
#[derive(Default)]
pub(super) struct ContactMutation;

/// A new contact.
#[derive(InputObject)]
#[graphql(name = "CustomerRelationsContactCreateInput")]
struct CreateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// Group that uses the contact; it is created where that group keeps its contacts.
    group_id: GroupGid,
    /// First name, up to 255 characters.
    first_name: String,
    /// Last name, up to 255 characters.
    last_name: String,
    /// Organization of the same group.
    organization_id: Option<OrganizationGid>,
    /// Phone number, up to 32 characters.
    phone: Option<String>,
    /// E-mail address, up to 255 characters; no two contacts of a group have the same.
    email: Option<String>,
    /// Description, up to 1024 characters.
    description: Option<String>,
}

/// What came of creating a contact.
#[derive(SimpleObject)]
#[graphql(name = "CustomerRelationsContactCreatePayload")]
struct CreatePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The contact, if it was created.
    contact: Option<Contact>,
    /// What is wrong with the values.
    errors: Vec<String>,
}

/// What is to change of a contact; what is left out stays.
#[derive(InputObject)]
#[graphql(name = "CustomerRelationsContactUpdateInput")]
struct UpdateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The contact.
    id: ContactGid,
    /// Organization of the same group; null for none.
    organization_id: MaybeUndefined<OrganizationGid>,
    /// First name.
    first_name: MaybeUndefined<String>,
    /// Last name.
    last_name: MaybeUndefined<String>,
    /// Phone number; null clears.
    phone: MaybeUndefined<String>,
    /// E-mail address; null clears.
    email: MaybeUndefined<String>,
    /// Description; null clears.
    description: MaybeUndefined<String>,
    /// Whether it may be added to issues.
    active: Option<bool>,
}

/// What came of changing a contact.
#[derive(SimpleObject)]
#[graphql(name = "CustomerRelationsContactUpdatePayload")]
struct UpdatePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The contact, if it was changed.
    contact: Option<Contact>,
    /// What is wrong with the values.
    errors: Vec<String>,
}

/// Contacts to delete.
#[derive(InputObject)]
#[graphql(name = "CustomerRelationsContactDeleteInput")]
struct DeleteInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The contacts, all of one group; up to 100.
    ids: Vec<ContactGid>,
}

/// What came of deleting contacts.
#[derive(SimpleObject)]
#[graphql(name = "CustomerRelationsContactDeletePayload")]
struct DeletePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// By which it is taken back; none if nothing was deleted.
    operation_id: Option<ID>,
    /// Why nothing was deleted.
    errors: Vec<String>,
}

/// Contacts to merge.
#[derive(InputObject)]
#[graphql(name = "CustomerRelationsContactMergeInput")]
struct MergeInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The contact that stays.
    id: ContactGid,
    /// The contacts that are merged into it, all of its group; up to 100.
    merged_ids: Vec<ContactGid>,
}

/// What came of merging contacts.
#[derive(SimpleObject)]
#[graphql(name = "CustomerRelationsContactMergePayload")]
struct MergePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The contact that stays.
    contact: Option<Contact>,
    /// By which it is taken back; none if nothing was merged.
    operation_id: Option<ID>,
    /// Why nothing was merged.
    errors: Vec<String>,
}

/// Changes of contacts.
#[Object]
impl ContactMutation {
    /// Creates a contact.
    async fn customer_relations_contact_create(
        &self,
        context: &Context<'_>,
        input: CreateInput,
    ) -> Result<CreatePayload> {
        let scope = Scope::of(context)?;
        let form = ContactForm {
            first_name: input.first_name,
            last_name: input.last_name,
            email: input.email,
            phone: input.phone,
            description: input.description,
            organization: input.organization_id.map(|id| id.read()).transpose()?,
        };
        let created = scope
            .api
            .crm
            .create_contact(scope.asker()?, input.group_id.read()?, &form)
            .await;
        let (contact, errors) = match told(created)? {
            Ok(id) => (Contact::changed(scope, id).await?, Vec::new()),
            Err(errors) => (None, errors),
        };
        let client_mutation_id = input.client_mutation_id;
        Ok(CreatePayload {
            client_mutation_id,
            contact,
            errors,
        })
    }

    /// Changes a contact.
    async fn customer_relations_contact_update(
        &self,
        context: &Context<'_>,
        input: UpdateInput,
    ) -> Result<UpdatePayload> {
        let scope = Scope::of(context)?;
        let organization = input.organization_id.map_value(|id| id.read());
        let patch = ContactPatch {
            first_name: required(input.first_name),
            last_name: required(input.last_name),
            email: input.email.into(),
            phone: input.phone.into(),
            description: input.description.into(),
            organization: organization.transpose()?.into(),
            active: input.active,
        };
        let id = input.id.read()?;
        let changed = scope
            .api
            .crm
            .update_contact(scope.asker()?, id, &patch, None)
            .await;
        let (contact, errors) = match told(changed)? {
            Ok(_) => (Contact::changed(scope, id).await?, Vec::new()),
            Err(errors) => (None, errors),
        };
        let client_mutation_id = input.client_mutation_id;
        Ok(UpdatePayload {
            client_mutation_id,
            contact,
            errors,
        })
    }

    /// Deletes contacts with their relations to issues. It can be taken back.
    async fn customer_relations_contact_delete(
        &self,
        context: &Context<'_>,
        input: DeleteInput,
    ) -> Result<DeletePayload> {
        let scope = Scope::of(context)?;
        let ids: Vec<_> = input
            .ids
            .iter()
            .map(ContactGid::read)
            .collect::<Result<_, _>>()?;
        let asker = scope.asker()?;
        scope.all_are(ItemKind::Contact, &ids).await?;
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

    /// Merges contacts into one of them, which gets their issues and the fields that it lacks. It can be taken back.
    async fn customer_relations_contact_merge(
        &self,
        context: &Context<'_>,
        input: MergeInput,
    ) -> Result<MergePayload> {
        let scope = Scope::of(context)?;
        let id = input.id.read()?;
        let losers: Vec<_> = input
            .merged_ids
            .iter()
            .map(ContactGid::read)
            .collect::<Result<_, Refusal>>()?;
        let asker = scope.asker()?;
        scope
            .all_are(ItemKind::Contact, &[&[id], losers.as_slice()].concat())
            .await?;
        let (operation, errors) = match told(scope.api.crm.merge(asker, id, &losers, &[]).await)? {
            Ok(operation) => (Some(operation), Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(MergePayload {
            client_mutation_id: input.client_mutation_id,
            contact: match operation {
                Some(_) => Contact::changed(scope, id).await?,
                None => None,
            },
            operation_id: operation.map(operation_gid),
            errors,
        })
    }
}
