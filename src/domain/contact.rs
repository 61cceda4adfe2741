//! What a contact and an organization may look like; limits and wording are GitLab's.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    FieldError, ItemId,
    field::{self, Errors, MAX_NAME, all, description, patched},
};

const MAX_PHONE: usize = 32;

/// Fields of a contact that a comment creates, trimmed and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactDraft {
    /// First name, 1 to 255 characters.
    pub first_name: String,
    /// Last name, 1 to 255 characters.
    pub last_name: String,
    /// E-mail address as typed, up to 255 characters; compared without regard to case.
    pub email: String,
}

impl ContactDraft {
    /// Returns the draft with its fields trimmed.
    ///
    /// # Errors
    /// Names the first field that is blank or too long. The address was checked when it was parsed.
    pub fn new(first_name: &str, last_name: &str, email: &str) -> Result<Self, FieldError> {
        Ok(Self {
            first_name: field::required("First name", first_name, MAX_NAME)?,
            last_name: field::required("Last name", last_name, MAX_NAME)?,
            email: field::required("Email", email, MAX_NAME)?,
        })
    }
}

/// A new contact as somebody typed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactForm {
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number, free text.
    pub phone: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Organization of the same group.
    pub organization: Option<ItemId>,
}

/// What is to change of a contact; the inner none clears a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactPatch {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
    /// Description.
    pub description: Option<Option<String>>,
    /// Organization of the same group.
    pub organization: Option<Option<ItemId>>,
    /// Whether the contact may be added to issues.
    pub active: Option<bool>,
}

/// A contact's fields, trimmed and within the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactFields {
    /// First name, 1 to 255 characters.
    pub first_name: String,
    /// Last name, 1 to 255 characters.
    pub last_name: String,
    /// E-mail address as typed, up to 255 characters; no two contacts of a group have the same, without regard to case.
    pub email: Option<String>,
    /// Phone number, up to 32 characters of free text.
    pub phone: Option<String>,
    /// Description, up to 1024 characters.
    pub description: Option<String>,
    /// Organization of the same group.
    pub organization: Option<ItemId>,
    /// False once deactivated.
    pub active: bool,
}

/// A new organization as somebody typed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganizationForm {
    /// Name.
    pub name: String,
    /// Rate for work, in whatever unit the group counts.
    pub default_rate: Option<Decimal>,
    /// Description.
    pub description: Option<String>,
}

/// What is to change of an organization; the inner none clears a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganizationPatch {
    /// Name.
    pub name: Option<String>,
    /// Rate for work.
    pub default_rate: Option<Option<Decimal>>,
    /// Description.
    pub description: Option<Option<String>>,
    /// False to deactivate it.
    pub active: Option<bool>,
}

/// An organization's fields, trimmed and within the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationFields {
    /// Name, 1 to 255 characters; no two organizations of a group have the same, without regard to case.
    pub name: String,
    /// Rate for work: 18 digits, two of them after the point.
    pub default_rate: Option<Decimal>,
    /// Description, up to 1024 characters.
    pub description: Option<String>,
    /// False once deactivated.
    pub active: bool,
}

impl ContactForm {
    /// Returns the fields of a new, active contact.
    ///
    /// # Errors
    /// Names every field that is blank, too long or malformed.
    pub fn check(&self) -> Result<ContactFields, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut take = Errors(&mut errors);
        let fields = ContactFields {
            first_name: take.value(field::required("First name", &self.first_name, MAX_NAME)),
            last_name: take.value(field::required("Last name", &self.last_name, MAX_NAME)),
            email: take.value(field::email(self.email.as_deref())),
            phone: take.value(field::optional("Phone", self.phone.as_deref(), MAX_PHONE)),
            description: take.value(description(self.description.as_deref())),
            organization: self.organization,
            active: true,
        };
        all(fields, errors)
    }
}

impl ContactPatch {
    /// Returns the form that somebody who knows a contact's fields would have to fill in to change it so.
    pub(super) fn onto(&self, fields: &ContactFields) -> ContactForm {
        ContactForm {
            first_name: patched(&fields.first_name, self.first_name.as_ref()),
            last_name: patched(&fields.last_name, self.last_name.as_ref()),
            email: patched(&fields.email, self.email.as_ref()),
            phone: patched(&fields.phone, self.phone.as_ref()),
            description: patched(&fields.description, self.description.as_ref()),
            organization: self.organization.unwrap_or(fields.organization),
        }
    }
}

impl ContactFields {
    /// Returns first and last name.
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }
}

impl OrganizationForm {
    /// Returns the fields of a new, active organization.
    ///
    /// # Errors
    /// Names every field that is blank, too long or out of range.
    pub fn check(&self) -> Result<OrganizationFields, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut take = Errors(&mut errors);
        let fields = OrganizationFields {
            name: take.value(field::required("Name", &self.name, MAX_NAME)),
            default_rate: take.value(field::amount("Default rate", self.default_rate)),
            description: take.value(description(self.description.as_deref())),
            active: true,
        };
        all(fields, errors)
    }
}

impl OrganizationPatch {
    /// Returns the form that somebody who knows an organization's fields would have to fill in to change it so.
    pub(super) fn onto(&self, fields: &OrganizationFields) -> OrganizationForm {
        OrganizationForm {
            name: patched(&fields.name, self.name.as_ref()),
            default_rate: self.default_rate.unwrap_or(fields.default_rate),
            description: patched(&fields.description, self.description.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ItemFields, ItemPatch};

    fn said(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    fn ann() -> ContactFields {
        ContactForm {
            first_name: "Ann".into(),
            last_name: "Lee".into(),
            email: Some("ann@example.com".into()),
            phone: Some("123".into()),
            description: None,
            organization: Some(ItemId(7)),
        }
        .check()
        .unwrap()
    }

    #[test]
    fn a_draft_names_its_first_bad_field() {
        let draft = ContactDraft::new(" Ann ", "Lee\t", "ann@example.com").unwrap();
        assert_eq!(
            (draft.first_name.as_str(), draft.last_name.as_str()),
            ("Ann", "Lee")
        );
        let error = |first: &str, last: &str| {
            ContactDraft::new(first, last, "a@example.com")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(" ", "Lee"), "First name can't be blank");
        assert_eq!(
            error("Ann", &"ü".repeat(256)),
            "Last name is too long (maximum is 255 characters)"
        );
        assert!(ContactDraft::new("Ann", &"ü".repeat(255), "a@example.com").is_ok());
    }

    #[test]
    fn a_form_names_all_its_bad_fields_at_once() {
        let form = ContactForm {
            first_name: " ".into(),
            last_name: "x".repeat(256),
            email: Some("no address".into()),
            phone: Some("1".repeat(33)),
            description: Some("d".repeat(1025)),
            organization: None,
        };
        assert_eq!(
            said(&form.check().unwrap_err()),
            [
                "First name can't be blank",
                "Last name is too long (maximum is 255 characters)",
                "Email is invalid",
                "Phone is too long (maximum is 32 characters)",
                "Description is too long (maximum is 1024 characters)",
            ]
        );
        let form = OrganizationForm {
            name: String::new(),
            default_rate: Some(Decimal::from(10_000_000_000_000_000_i64)),
            description: Some("d".repeat(1025)),
        };
        assert_eq!(
            said(&form.check().unwrap_err()),
            [
                "Name can't be blank",
                "Default rate must be less than 10000000000000000",
                "Description is too long (maximum is 1024 characters)",
            ]
        );
    }

    #[test]
    fn a_patch_changes_what_it_names_and_clears_what_it_empties() {
        let patched = |patch: ContactPatch, fields: ContactFields| {
            let patch = ItemPatch::Contact(patch);
            let (form, active) = patch.onto(&ItemFields::Contact(fields)).unwrap();
            form.check().map(|fields| fields.with_state(active))
        };
        let patch = ContactPatch {
            last_name: Some(" Smith ".into()),
            email: Some(None),
            phone: Some(Some("  ".into())),
            active: Some(false),
            ..ContactPatch::default()
        };
        let expected = ContactFields {
            last_name: "Smith".into(),
            email: None,
            phone: None,
            active: false,
            ..ann()
        };
        let wrapped = ItemFields::Contact(expected.clone());
        assert_eq!(patched(patch, ann()), Ok(wrapped.clone()));
        // What the patch does not name stays, the state too.
        assert_eq!(patched(ContactPatch::default(), expected), Ok(wrapped));
        let blank = ContactPatch {
            first_name: Some(String::new()),
            ..ContactPatch::default()
        };
        assert_eq!(
            said(&patched(blank, ann()).unwrap_err()),
            ["First name can't be blank"]
        );
        let other = ItemPatch::Organization(OrganizationPatch::default());
        assert_eq!(other.onto(&ItemFields::Contact(ann())), None);
    }

    #[test]
    fn fields_survive_storage_as_json() {
        let organization = OrganizationForm {
            name: "Acme".into(),
            default_rate: Some("12.5".parse().unwrap()),
            description: None,
        };
        for fields in [
            ItemFields::Contact(ann()),
            ItemFields::Organization(organization.check().unwrap()),
        ] {
            let stored = serde_json::to_value(&fields).unwrap();
            assert_eq!(
                serde_json::from_value::<ItemFields>(stored).unwrap(),
                fields
            );
        }
    }
}
