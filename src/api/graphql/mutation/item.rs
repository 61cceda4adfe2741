//! Items: created, edited, deleted, restored, merged, converted, linked; and their types.

use std::str::FromStr;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};
use rust_decimal::Decimal;

use super::{Refusal, Scope, required, told};
use crate::{
    api::graphql::{
        id::{GroupGid, IssueGid, ItemGid, ItemTypeGid, OperationGid, operation_gid},
        item::{Item, ItemKind},
    },
    crm::{Conversion, CrmError, LinkTo, NewItem, Where},
    domain::{self, ItemForm, ItemId, ItemPatch, RecordForm, RecordKind, RecordPatch},
};

/// Changes of items.
#[derive(Default)]
pub(super) struct ItemMutation;

/// A new item.
#[derive(InputObject)]
struct ItemCreateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// Group that is to hold it.
    group_id: GroupGid,
    /// What sort of thing it is; contacts and organizations have mutations of their own.
    kind: ItemKind,
    /// The type of a custom item.
    type_id: Option<ItemTypeGid>,
    /// What it is called, up to 255 characters.
    title: String,
    /// How far it is, up to 255 characters.
    stage: Option<String>,
    /// What a deal or invoice is worth, as a decimal number.
    amount: Option<String>,
    /// The currency of that (ISO 4217).
    currency: Option<String>,
    /// Description, up to 1024 characters.
    description: Option<String>,
    /// Who is responsible: username or e-mail address. The asker, if nothing is said; nobody, if null.
    responsible: MaybeUndefined<String>,
    /// Who observes it: usernames or e-mail addresses.
    #[graphql(default)]
    observers: Vec<String>,
    /// The contacts and organizations that it is about.
    #[graphql(default)]
    linked_ids: Vec<ItemGid>,
}

/// What is to change of an item; what is left out stays.
#[derive(InputObject)]
struct ItemUpdateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The item; contacts and organizations have mutations of their own.
    id: ItemGid,
    /// What it is called.
    title: MaybeUndefined<String>,
    /// How far it is; null clears.
    stage: MaybeUndefined<String>,
    /// What it is worth; null clears.
    amount: MaybeUndefined<String>,
    /// The currency of that; null clears.
    currency: MaybeUndefined<String>,
    /// Description; null clears.
    description: MaybeUndefined<String>,
    /// False to archive it, true to use it again.
    active: Option<bool>,
}

/// Items to delete.
#[derive(InputObject)]
struct ItemDeleteInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The items, all of one group; up to 1000.
    ids: Vec<ItemGid>,
}

/// A deletion to take back.
#[derive(InputObject)]
struct ItemRestoreInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The operation of the deletion.
    operation_id: OperationGid,
}

/// Items to merge.
#[derive(InputObject)]
struct ItemMergeInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The item that stays.
    id: ItemGid,
    /// The items that are merged into it, of its kind and group; up to 100.
    merged_ids: Vec<ItemGid>,
}

/// A lead to convert.
#[derive(InputObject)]
struct ItemConvertInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The lead.
    id: ItemGid,
    /// What the deal is called, if not as the lead.
    title: Option<String>,
    /// What it is worth.
    amount: Option<String>,
    /// The currency of that.
    currency: Option<String>,
}

/// What an item is to be linked to, or no longer.
#[derive(InputObject)]
struct ItemLinkInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The item.
    id: ItemGid,
    /// A contact or organization of its group.
    linked_id: Option<ItemGid>,
    /// Or an issue.
    issue_id: Option<IssueGid>,
}

/// The item whose chat is to be made.
#[derive(InputObject)]
struct ItemCreateChatInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The item.
    id: ItemGid,
}

/// What came of a change of an item.
#[derive(SimpleObject)]
struct ItemPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The item as it is now.
    item: Option<Item>,
    /// By which it is taken back; none if nothing changed, and of a new item, which is deleted instead.
    operation_id: Option<ID>,
    /// Why nothing changed.
    errors: Vec<String>,
}

/// Changes of items.
#[Object]
impl ItemMutation {
    /// Creates a lead, a deal, an invoice or another item. Whoever is named is told.
    async fn item_create(
        &self,
        context: &Context<'_>,
        input: ItemCreateInput,
    ) -> Result<ItemPayload> {
        let scope = Scope::of(context)?;
        let asker = scope.asker()?;
        let client_mutation_id = input.client_mutation_id.clone();
        let group = input.group_id.read()?;
        let created = async {
            let new = new_item(scope, input).await?;
            scope.api.crm.create_item(asker, group, &new).await
        };
        let outcome = told(created.await)?.map(|id| (id, None));
        Ok(payload(scope, client_mutation_id, outcome).await?)
    }

    /// Changes an item, or archives it.
    async fn item_update(
        &self,
        context: &Context<'_>,
        input: ItemUpdateInput,
    ) -> Result<ItemPayload> {
        let scope = Scope::of(context)?;
        let id = input.id.read()?;
        let amount = match input.amount {
            MaybeUndefined::Value(text) => decimal(&text).map(|amount| Some(Some(amount))),
            MaybeUndefined::Null => Ok(Some(None)),
            MaybeUndefined::Undefined => Ok(None),
        };
        let changed = match amount {
            Err(error) => Err(error),
            Ok(amount) => {
                let patch = ItemPatch::Record(RecordPatch {
                    title: required(input.title),
                    stage: input.stage.into(),
                    amount,
                    currency: input.currency.into(),
                    description: input.description.into(),
                    active: input.active,
                });
                scope
                    .api
                    .crm
                    .update_item(scope.asker()?, id, &patch, None)
                    .await
            }
        };
        let outcome = told(changed)?.map(|operation| (id, operation));
        Ok(payload(scope, input.client_mutation_id, outcome).await?)
    }

    /// Deletes items of any kind; their chats are closed. It can be taken back.
    async fn item_delete(
        &self,
        context: &Context<'_>,
        input: ItemDeleteInput,
    ) -> Result<ItemPayload> {
        let scope = Scope::of(context)?;
        let ids = read(&input.ids)?;
        let deleted = told(scope.api.crm.delete(scope.asker()?, &ids).await)?;
        let (operation, errors) = parted(deleted);
        Ok(ItemPayload {
            client_mutation_id: input.client_mutation_id,
            item: None,
            operation_id: operation.map(operation_gid),
            errors,
        })
    }

    /// Takes back a deletion: items come back with their relations, observers and chats.
    async fn item_restore(
        &self,
        context: &Context<'_>,
        input: ItemRestoreInput,
    ) -> Result<ItemPayload> {
        let scope = Scope::of(context)?;
        let operation = input.operation_id.read()?;
        let restored = told(scope.api.crm.undo(scope.asker()?, operation).await)?;
        let (report, errors) = parted(restored);
        Ok(ItemPayload {
            client_mutation_id: input.client_mutation_id,
            item: None,
            operation_id: report.map(|report| operation_gid(report.operation)),
            errors,
        })
    }

    /// Merges items into one of them, which gets their observers, links and issues and the fields that it lacks. It can be taken back.
    async fn item_merge(
        &self,
        context: &Context<'_>,
        input: ItemMergeInput,
    ) -> Result<ItemPayload> {
        let scope = Scope::of(context)?;
        let (id, losers) = (input.id.read()?, read(&input.merged_ids)?);
        let merged = told(scope.api.crm.merge(scope.asker()?, id, &losers, &[]).await)?;
        let outcome = merged.map(|operation| (id, Some(operation)));
        Ok(payload(scope, input.client_mutation_id, outcome).await?)
    }

    /// Makes a deal of a lead: with its responsible, observers, links, issues and chat. The lead is archived. It can be taken back.
    async fn item_convert(
        &self,
        context: &Context<'_>,
        input: ItemConvertInput,
    ) -> Result<ItemPayload> {
        let scope = Scope::of(context)?;
        let id = input.id.read()?;
        let converted = match input.amount.as_deref().map(decimal).transpose() {
            Err(error) => Err(error),
            Ok(amount) => {
                let conversion = Conversion {
                    title: input.title,
                    amount,
                    currency: input.currency,
                };
                scope.api.crm.convert(scope.asker()?, id, &conversion).await
            }
        };
        let outcome = told(converted)?.map(|(deal, operation)| (deal, Some(operation)));
        Ok(payload(scope, input.client_mutation_id, outcome).await?)
    }

    /// Has a chat made for an item in its group's messenger; the asker is in it.
    async fn item_create_chat(
        &self,
        context: &Context<'_>,
        input: ItemCreateChatInput,
    ) -> Result<ItemPayload> {
        let scope = Scope::of(context)?;
        let id = input.id.read()?;
        let created = told(scope.api.crm.create_chat(scope.asker()?, id).await)?;
        let outcome = created.map(|_| (id, None));
        Ok(payload(scope, input.client_mutation_id, outcome).await?)
    }

    /// Links an item to a contact, an organization or an issue.
    async fn item_link(&self, context: &Context<'_>, input: ItemLinkInput) -> Result<ItemPayload> {
        Ok(link(Scope::of(context)?, input, true).await?)
    }

    /// Links an item to a contact, an organization or an issue no longer.
    async fn item_unlink(
        &self,
        context: &Context<'_>,
        input: ItemLinkInput,
    ) -> Result<ItemPayload> {
        Ok(link(Scope::of(context)?, input, false).await?)
    }
}

async fn new_item(scope: Scope<'_>, input: ItemCreateInput) -> Result<NewItem, CrmError> {
    let invalid = |reason: &str| CrmError::Invalid(vec![reason.to_owned()]);
    let read = |error: Refusal| invalid(&error.to_string());
    let place = Where::Group(input.group_id.read().map_err(read)?);
    let crm = &scope.api.crm;
    let of = RecordKind::of(domain::ItemKind::from(input.kind))
        .ok_or_else(|| invalid("Contacts and organizations have mutations of their own"))?;
    let form = RecordForm {
        item_type: input
            .type_id
            .map(|id| id.read())
            .transpose()
            .map_err(read)?,
        stage: input.stage,
        amount: input.amount.as_deref().map(decimal).transpose()?,
        currency: input.currency,
        description: input.description,
        ..RecordForm::titled(of, &input.title)
    };
    let responsible = match input.responsible {
        MaybeUndefined::Undefined => scope.asker().ok().map(|asker| asker.person),
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(name) => {
            let found = crm.people_named(place, &[name]).await?;
            found.into_iter().next()
        }
    };
    let linked = input.linked_ids.iter().map(ItemGid::read);
    Ok(NewItem {
        form: ItemForm::Record(form),
        responsible,
        observers: crm.people_named(place, &input.observers).await?,
        links: linked.collect::<Result<_, _>>().map_err(read)?,
    })
}

async fn link(
    scope: Scope<'_>,
    input: ItemLinkInput,
    is_linked: bool,
) -> Result<ItemPayload, Refusal> {
    let id = input.id.read()?;
    let to = match (&input.linked_id, &input.issue_id) {
        (Some(linked), None) => LinkTo::Item(linked.read()?),
        (None, Some(issue)) => LinkTo::Issue(issue.read()?),
        _ => {
            let text = "Name either `linkedId` or `issueId`";
            return Err(Refusal::Argument(text.to_owned()));
        }
    };
    let linked = scope
        .api
        .crm
        .link(scope.asker()?, id, (to, is_linked))
        .await;
    let outcome = told(linked)?.map(|operation| (id, operation));
    payload(scope, input.client_mutation_id, outcome).await
}

async fn payload(
    scope: Scope<'_>,
    client_mutation_id: Option<String>,
    outcome: Result<(ItemId, Option<domain::OperationId>), Vec<String>>,
) -> Result<ItemPayload, Refusal> {
    let (done, errors) = parted(outcome);
    let (item, operation) = match done {
        Some((id, operation)) => (Item::find(scope, id).await?, operation),
        None => (None, None),
    };
    Ok(ItemPayload {
        client_mutation_id,
        item,
        operation_id: operation.map(operation_gid),
        errors,
    })
}

/// Parts what came of a change from what is wrong with it.
pub(super) fn parted<T>(outcome: Result<T, Vec<String>>) -> (Option<T>, Vec<String>) {
    match outcome {
        Ok(done) => (Some(done), Vec::new()),
        Err(errors) => (None, errors),
    }
}

fn read(ids: &[ItemGid]) -> Result<Vec<ItemId>, Refusal> {
    ids.iter().map(ItemGid::read).collect()
}

/// Reads an amount of money.
fn decimal(text: &str) -> Result<Decimal, CrmError> {
    let reason = "Amount is not a number: write it as in 1200.50";
    Decimal::from_str(text.trim()).map_err(|_| CrmError::Invalid(vec![reason.to_owned()]))
}
