//! Creating, editing, deleting and merging items by their ids. GitLab has the first two for contacts and organizations; the wording is its own.

use serde_json::{Map, Value};

use super::{Access, Refused, Right};
use crate::domain::{
    ContactFields, FieldError, ItemFields, ItemId, ItemKind, OrganizationFields, RecordFields,
};

/// Items that one deletion may name.
pub const MAX_DELETED: usize = 1000;
/// Items that may be merged into another one at once.
pub const MAX_MERGED: usize = 100;

/// What a decision on fields looks at beside them.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four questions with yes or no for an answer"
)]
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// Whether the group may hold items: it is a root group, or some group's contact source.
    pub group_holds: bool,
    /// Whether another item of the kind and group has the same unique value.
    pub taken: bool,
    /// Whether the organization, if one is named, is in the group.
    pub organization_known: bool,
    /// Whether the type of a custom item, if one is named, is the root group's.
    pub type_known: bool,
}

/// A change of an item's fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The item.
    pub item: ItemId,
    /// All its fields as they are to be.
    pub fields: ItemFields,
    /// The fields that change, as they were.
    pub before: Map<String, Value>,
    /// The fields that change, as they are to be.
    pub after: Map<String, Value>,
}

impl Edit {
    /// Returns the change from some fields to others, or none where they are the same.
    pub fn between(item: ItemId, before: &ItemFields, after: ItemFields) -> Option<Self> {
        let mut old = as_map(before);
        let mut new = as_map(&after);
        old.retain(|field, value| new.get(field) != Some(value));
        new.retain(|field, _| old.contains_key(field));
        (!new.is_empty()).then_some(Self {
            item,
            fields: after,
            before: old,
            after: new,
        })
    }
}

/// Returns fields by their names.
pub(super) fn as_map(fields: &ItemFields) -> Map<String, Value> {
    match serde_json::to_value(fields) {
        Ok(Value::Object(map)) => map,
        // Plain strings, numbers and flags always turn into an object.
        Ok(_) | Err(_) => Map::new(),
    }
}

/// Refuses what an asker may not do with the items of a group.
///
/// # Errors
/// Whoever may not even see them gets the same answer as for something that does not exist.
pub fn may(access: &Access, right: Right, what: &str) -> Result<(), Refused> {
    if access.allows(right) {
        Ok(())
    } else if access.allows(Right::ViewContacts) {
        Err(Refused::Denied(format!(
            "You have insufficient permissions to {what} for this group"
        )))
    } else {
        Err(Refused::NotFound)
    }
}

/// Refuses whoever may not create and edit items of a kind.
pub fn may_manage(access: &Access, kind: ItemKind) -> Result<(), Refused> {
    let what = format!("manage {}", kind.plural());
    may(access, Right::CreateContacts, &what)
}

/// Decides on the fields of an item, new or edited; every reason against them is named at once.
pub fn check(
    kind: ItemKind,
    fields: Result<ItemFields, Vec<FieldError>>,
    beside: Beside,
) -> Result<ItemFields, Refused> {
    let mut reasons = Vec::new();
    if !beside.group_holds {
        reasons.push(format!(
            "{} can only be added to root groups and groups configured as CRM targets",
            kind.plural()
        ));
    }
    if !beside.organization_known {
        reasons.push(
            "The specified organization was not found or does not belong to this group".to_owned(),
        );
    }
    if !beside.type_known {
        reasons
            .push("The specified type was not found or does not belong to this group".to_owned());
    }
    let errors = fields.as_ref().err().into_iter().flatten();
    reasons.extend(errors.map(ToString::to_string));
    if beside.taken {
        let field = match kind {
            ItemKind::Contact => "Email",
            _ => "Name",
        };
        reasons.push(FieldError::taken(field).to_string());
    }
    match fields {
        Ok(fields) if reasons.is_empty() => Ok(fields),
        _ => Err(Refused::Invalid(reasons)),
    }
}

/// Returns the survivor of a merge: his own fields, and those he lacks from the first who has them. His state stays.
pub fn merged<'a>(
    survivor: &ItemFields,
    losers: impl IntoIterator<Item = &'a ItemFields>,
) -> ItemFields {
    losers
        .into_iter()
        .fold(survivor.clone(), |survivor, loser| {
            match (survivor, loser) {
                (ItemFields::Contact(survivor), ItemFields::Contact(loser)) => {
                    ItemFields::Contact(ContactFields {
                        email: survivor.email.or_else(|| loser.email.clone()),
                        phone: survivor.phone.or_else(|| loser.phone.clone()),
                        description: survivor.description.or_else(|| loser.description.clone()),
                        organization: survivor.organization.or(loser.organization),
                        ..survivor
                    })
                }
                (ItemFields::Organization(survivor), ItemFields::Organization(loser)) => {
                    ItemFields::Organization(OrganizationFields {
                        default_rate: survivor.default_rate.or(loser.default_rate),
                        description: survivor.description.or_else(|| loser.description.clone()),
                        ..survivor
                    })
                }
                (ItemFields::Record(survivor), ItemFields::Record(loser)) => {
                    ItemFields::Record(with_what_it_lacks(survivor, loser))
                }
                (survivor, _) => survivor,
            }
        })
}

/// Returns a record with what it lacks from another one. An amount comes with its currency.
fn with_what_it_lacks(survivor: RecordFields, loser: &RecordFields) -> RecordFields {
    let (amount, currency) = if survivor.amount.is_some() {
        (survivor.amount, survivor.currency)
    } else {
        (loser.amount, loser.currency.clone())
    };
    RecordFields {
        stage: survivor.stage.or_else(|| loser.stage.clone()),
        description: survivor.description.or_else(|| loser.description.clone()),
        amount,
        currency,
        ..survivor
    }
}

/// Refuses merges that make no sense, before anything is loaded for them.
pub fn may_be_merged(survivor: ItemId, losers: &[ItemId]) -> Result<(), Refused> {
    if losers.is_empty() {
        return Err(Refused::because("There is nothing to merge"));
    }
    if losers.contains(&survivor) {
        return Err(Refused::because("An item cannot be merged into itself"));
    }
    if losers.len() > MAX_MERGED {
        let reason = format!("You can only merge up to {MAX_MERGED} items at one time");
        return Err(Refused::because(reason));
    }
    Ok(())
}

/// Refuses deletions that make no sense, before anything is loaded for them.
pub fn may_be_deleted(items: &[ItemId]) -> Result<(), Refused> {
    if items.is_empty() {
        return Err(Refused::because("There is nothing to delete"));
    }
    if items.len() > MAX_DELETED {
        let reason = format!("You can only delete up to {MAX_DELETED} items at one time");
        return Err(Refused::because(reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContactForm, Level, OrganizationForm};

    fn contact(email: Option<&str>, phone: Option<&str>, organization: Option<i64>) -> ItemFields {
        let form = ContactForm {
            first_name: "Ann".into(),
            last_name: "Lee".into(),
            email: email.map(str::to_owned),
            phone: phone.map(str::to_owned),
            description: None,
            organization: organization.map(ItemId),
        };
        ItemFields::Contact(form.check().unwrap())
    }

    const FINE: Beside = Beside {
        group_holds: true,
        taken: false,
        organization_known: true,
        type_known: true,
    };

    #[test]
    fn every_reason_is_named_at_once() {
        let form = ContactForm {
            last_name: "Lee".into(),
            ..ContactForm::default()
        };
        let beside = Beside {
            group_holds: false,
            taken: true,
            organization_known: false,
            type_known: true,
        };
        let fields = form.check().map(ItemFields::Contact);
        assert_eq!(
            check(ItemKind::Contact, fields, beside),
            Err(Refused::Invalid(vec![
                "contacts can only be added to root groups and groups configured as CRM targets"
                    .into(),
                "The specified organization was not found or does not belong to this group".into(),
                "First name can't be blank".into(),
                "Email has already been taken".into(),
            ]))
        );
        let taken = Beside {
            taken: true,
            ..FINE
        };
        let form = OrganizationForm {
            name: "Acme".into(),
            ..OrganizationForm::default()
        };
        let fields = form.check().map(ItemFields::Organization);
        assert_eq!(
            check(ItemKind::Organization, fields.clone(), taken),
            Err(Refused::because("Name has already been taken"))
        );
        assert_eq!(
            check(ItemKind::Organization, fields.clone(), FINE),
            Ok(fields.unwrap())
        );
    }

    #[test]
    fn who_may_not_see_learns_nothing_and_who_may_not_change_is_told() {
        let access = |level| Access {
            active: true,
            crm_enabled: true,
            contact_group: level,
            project: Level::None,
            issue_readable: true,
        };
        for (level, expected) in [
            (Level::Guest, Err(Refused::NotFound)),
            (
                Level::Reporter,
                Err(Refused::Denied(
                    "You have insufficient permissions to manage organizations for this group"
                        .into(),
                )),
            ),
            (Level::Developer, Ok(())),
        ] {
            assert_eq!(
                may_manage(&access(level), ItemKind::Organization),
                expected,
                "{level:?}"
            );
        }
    }

    #[test]
    fn a_survivor_keeps_his_fields_and_takes_what_he_lacks_from_the_first_who_has_it() {
        let survivor = contact(None, Some("1"), None);
        let losers = [
            contact(None, Some("2"), Some(7)),
            contact(Some("b@example.com"), None, Some(8)),
            contact(Some("c@example.com"), None, None),
        ];
        assert_eq!(
            merged(&survivor, &losers),
            contact(Some("b@example.com"), Some("1"), Some(7))
        );
    }

    #[test]
    fn an_edit_names_the_fields_that_change() {
        let (before, after) = (
            contact(Some("a@example.com"), None, None),
            contact(None, None, Some(7)),
        );
        assert_eq!(Edit::between(ItemId(1), &before, before.clone()), None);
        let edit = Edit::between(ItemId(1), &before, after).unwrap();
        assert_eq!(
            Value::Object(edit.before),
            serde_json::json!({ "email": "a@example.com", "organization": null })
        );
        assert_eq!(
            Value::Object(edit.after),
            serde_json::json!({ "email": null, "organization": 7 })
        );
    }

    #[test]
    fn senseless_requests_are_refused() {
        let many: Vec<_> = (1..=1001).map(ItemId).collect();
        assert_eq!(may_be_merged(ItemId(0), &many[..100]), Ok(()));
        assert!(may_be_merged(ItemId(0), &many[..101]).is_err());
        assert!(may_be_merged(ItemId(1), &many[..1]).is_err());
        assert!(may_be_merged(ItemId(1), &[]).is_err());
        assert_eq!(may_be_deleted(&many[..1000]), Ok(()));
        assert!(may_be_deleted(&many).is_err());
        assert!(may_be_deleted(&[]).is_err());
    }
}
