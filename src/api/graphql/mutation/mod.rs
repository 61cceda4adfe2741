//! Where changes begin. What is wrong with the values is told in `errors` beside a payload of null, as GitLab does; what may not be done
//! at all is an error of the whole field.

mod contact;
mod group;
mod issue;
mod item;
mod item_type;
mod observer;
mod organization;
mod person;
mod transfer;
mod undo;
mod webhook;

use async_graphql::{MaybeUndefined, MergedObject};

use super::{Refusal, Scope};
use crate::crm::CrmError;

/// The root of mutations.
#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub(super) struct Mutation(
    contact::ContactMutation,
    organization::OrganizationMutation,
    issue::IssueMutation,
    group::GroupMutation,
    transfer::TransferMutation,
    undo::UndoMutation,
    person::PersonMutation,
    item::ItemMutation,
    item_type::ItemTypeMutation,
    observer::ObserverMutation,
    webhook::WebhookMutation,
);

/// Parts what is wrong with the values, which the payload tells, from what is refused as a whole.
fn told<T>(outcome: Result<T, CrmError>) -> Result<Result<T, Vec<String>>, Refusal> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(CrmError::Invalid(reasons)) => Ok(Err(reasons)),
        Err(other) => Err(other.into()),
    }
}

/// Returns what is to change of a field that cannot be cleared; null is taken for blank, which is then told.
fn required(given: MaybeUndefined<String>) -> Option<String> {
    match given {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(String::new()),
        MaybeUndefined::Value(value) => Some(value),
    }
}
