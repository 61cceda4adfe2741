//! Global ids as GitLab writes them, `gid://gitlab/CustomerRelations::Contact/13`, one scalar per kind of thing.
//!
//! Any string is taken as a scalar and read when it is used, so that what is wrong with it is said in GitLab's words.

use std::fmt::Display;

use async_graphql::{ID, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use uuid::Uuid;

use super::Refusal;
use crate::domain::{
    BulkJobId, DeliveryId, GroupId, IssueId, ItemId, ItemTypeId, OperationId, PersonId, ProjectId,
    WebhookId,
};

/// What GitLab does not have.
const OURS: [&str; 5] = ["Item", "ItemType", "BulkJob", "Webhook", "Delivery"];

/// Returns the id of a thing of one of `models`. A number that no id can be names nothing that exists.
fn read<T: std::str::FromStr>(text: &str, models: &[&str]) -> Result<T, Refusal> {
    let parts: Option<Vec<&str>> = text
        .strip_prefix("gid://")
        .map(|rest| rest.splitn(3, '/').collect());
    let (model, id) = match parts.as_deref() {
        Some(&["gitlab", model, id]) if !model.is_empty() && !id.is_empty() => (model, id),
        // What GitLab does not have is ours.
        Some(&["liaison", model, id])
            if OURS.contains(&model) && models.contains(&model) && !id.is_empty() =>
        {
            (model, id)
        }
        Some(&[app, model, id]) if !app.is_empty() && !model.is_empty() && !id.is_empty() => {
            return Err(Refusal::Argument(format!(
                "{text:?} is not a Gitlab Global ID"
            )));
        }
        _ => {
            return Err(Refusal::Argument(format!(
                "{text:?} is not a valid Global ID"
            )));
        }
    };
    if !models.contains(&model) {
        let expected = models.first().copied().unwrap_or_default();
        let message = format!("{text:?} does not represent an instance of {expected}");
        return Err(Refusal::Argument(message));
    }
    id.parse().map_err(|_| Refusal::NotAvailable)
}

macro_rules! read {
    ($($(#[$doc:meta])* $name:ident = $scalar:literal, $id:ident($inner:ty), $model:literal $(or $other:literal)*;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) struct $name(pub(super) String);

        impl $name {
            /// Returns the id that the global id stands for.
            pub(super) fn read(&self) -> Result<$id, Refusal> {
                read::<$inner>(&self.0, &[$model $(, $other)*]).map($id)
            }
        }

        $(#[$doc])*
        #[Scalar(name = $scalar)]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                match value {
                    Value::String(text) => Ok(Self(text)),
                    other => Err(InputValueError::expected_type(other)),
                }
            }

            fn is_valid(value: &Value) -> bool {
                matches!(value, Value::String(_))
            }

            fn to_value(&self) -> Value {
                Value::String(self.0.clone())
            }
        }
    )+};
}

read! {
    /// A global id of a contact, for instance `"gid://gitlab/CustomerRelations::Contact/1"`.
    ContactGid = "CustomerRelationsContactID", ItemId(i64), "CustomerRelations::Contact";
    /// A global id of an organization, for instance `"gid://gitlab/CustomerRelations::Organization/1"`.
    OrganizationGid = "CustomerRelationsOrganizationID", ItemId(i64), "CustomerRelations::Organization";
    /// A global id of a group, for instance `"gid://gitlab/Group/1"`.
    GroupGid = "GroupID", GroupId(i64), "Group";
    /// A global id of an issue, for instance `"gid://gitlab/Issue/1"`.
    IssueGid = "IssueID", IssueId(i64), "Issue" or "WorkItem";
    /// A global id of something that has contacts: an issue.
    IssuableGid = "IssuableID", IssueId(i64), "Issuable" or "Issue";
    /// A global id of an item of any kind, for instance `"gid://liaison/Item/42"`.
    ItemGid = "ItemID", ItemId(i64), "Item" or "CustomerRelations::Contact" or "CustomerRelations::Organization";
    /// A global id of a type of items, for instance `"gid://liaison/ItemType/1"`.
    ItemTypeGid = "ItemTypeID", ItemTypeId(i64), "ItemType";
    /// A global id of a change of many items, for instance `"gid://liaison/BulkJob/1"`.
    BulkJobGid = "BulkJobID", BulkJobId(i64), "BulkJob";
    /// A global id of a webhook, for instance `"gid://liaison/Webhook/1"`.
    WebhookGid = "WebhookID", WebhookId(i64), "Webhook";
    /// A global id of a delivery, for instance `"gid://liaison/Delivery/019392c2-0000-7000-8000-000000000000"`.
    DeliveryGid = "WebhookDeliveryID", DeliveryId(Uuid), "Delivery";
    /// A global id of an operation of the history: the changes that were made together and are taken back together.
    OperationGid = "CustomerRelationsOperationID", OperationId(Uuid), "CustomerRelations::Operation";
}

/// Returns the global id of a contact.
pub(super) fn contact_gid(id: ItemId) -> ID {
    write("CustomerRelations::Contact", id)
}

/// Returns the global id of an organization.
pub(super) fn organization_gid(id: ItemId) -> ID {
    write("CustomerRelations::Organization", id)
}

/// Returns the global id of an item.
pub(super) fn item_gid(id: ItemId) -> ID {
    ID(format!("gid://liaison/Item/{id}"))
}

/// Returns the global id of a type of items.
pub(super) fn item_type_gid(id: ItemTypeId) -> ID {
    ID(format!("gid://liaison/ItemType/{id}"))
}

/// Returns the global id of a change of many items.
pub(super) fn bulk_job_gid(id: BulkJobId) -> ID {
    ID(format!("gid://liaison/BulkJob/{id}"))
}

/// Returns the global id of a webhook.
pub(super) fn webhook_gid(id: WebhookId) -> ID {
    ID(format!("gid://liaison/Webhook/{id}"))
}

/// Returns the global id of a delivery.
pub(super) fn delivery_gid(id: DeliveryId) -> ID {
    ID(format!("gid://liaison/Delivery/{id}"))
}

/// Returns the global id of a group.
pub(super) fn group_gid(id: GroupId) -> ID {
    write("Group", id)
}

/// Returns the global id of a project.
pub(super) fn project_gid(id: ProjectId) -> ID {
    write("Project", id)
}

/// Returns the global id of an issue.
pub(super) fn issue_gid(id: IssueId) -> ID {
    write("Issue", id)
}

/// Returns the global id of a person.
pub(super) fn user_gid(id: PersonId) -> ID {
    write("User", id)
}

/// Returns the global id of an operation of the history.
pub(super) fn operation_gid(id: OperationId) -> ID {
    write("CustomerRelations::Operation", id)
}

/// Returns the global id of an entry of the history.
pub(super) fn history_gid(id: i64) -> ID {
    write("CustomerRelations::HistoryEntry", id)
}

fn write(model: &str, id: impl Display) -> ID {
    ID(format!("gid://gitlab/{model}/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_and_says_what_is_wrong_with_others() {
        let contact = |text: &str| ContactGid(text.to_owned()).read();
        assert_eq!(
            contact("gid://gitlab/CustomerRelations::Contact/13").unwrap(),
            ItemId(13)
        );
        for (text, message) in [
            ("13", "\"13\" is not a valid Global ID"),
            ("", "\"\" is not a valid Global ID"),
            (
                "gid://gitlab/CustomerRelations::Contact",
                "\"gid://gitlab/CustomerRelations::Contact\" is not a valid Global ID",
            ),
            (
                "gid://gitlab/CustomerRelations::Contact/",
                "\"gid://gitlab/CustomerRelations::Contact/\" is not a valid Global ID",
            ),
            (
                "gid://other/CustomerRelations::Contact/13",
                "\"gid://other/CustomerRelations::Contact/13\" is not a Gitlab Global ID",
            ),
            (
                "gid://gitlab/Issue/13",
                "\"gid://gitlab/Issue/13\" does not represent an instance of CustomerRelations::Contact",
            ),
        ] {
            let Err(Refusal::Argument(said)) = contact(text) else {
                panic!("{text} was read");
            };
            assert_eq!(said, message);
        }
        for text in ["x", "-", "1.5", "99999999999999999999999", "1/2", "1?a=b"] {
            let text = format!("gid://gitlab/CustomerRelations::Contact/{text}");
            assert!(
                matches!(contact(&text), Err(Refusal::NotAvailable)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let id = contact_gid(ItemId(13));
        assert_eq!(id.0, "gid://gitlab/CustomerRelations::Contact/13");
        assert_eq!(
            IssuableGid(issue_gid(IssueId(5)).0).read().unwrap(),
            IssueId(5)
        );
        let operation = OperationId(Uuid::from_u128(7));
        assert_eq!(
            OperationGid(operation_gid(operation).0).read().unwrap(),
            operation
        );
    }
}
