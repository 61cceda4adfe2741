//! A row of a file as the domain sees it.

use std::hash::{DefaultHasher, Hash, Hasher};

use rust_decimal::Decimal;

use crate::{
    domain::{ContactForm, FieldError, ItemFields, OrganizationForm},
    exchange::{ContactRow, OrganizationRow, Row},
};

/// A row that may become an item.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Its fields, a contact's without the organization.
    pub(super) fields: ItemFields,
    /// Name of the organization that a contact is to belong to.
    pub(super) organization: Option<String>,
    /// Whether the row says something of the state.
    pub(super) says_state: bool,
    /// Equal for rows that say the same, blanks around it aside.
    pub(super) print: u64,
}

/// Something that a row may hold.
pub(super) trait Content {
    /// Returns what it makes, or all that is wrong with it.
    fn candidate(&self) -> Result<Candidate, Vec<String>>;
}

/// Returns what a row makes, or what is wrong with it in words.
pub(super) fn candidate<T: Content>(row: &Row<T>) -> Result<Candidate, String> {
    match &row.content {
        Ok(content) => content.candidate().map_err(|errors| errors.join("; ")),
        Err(error) => Err(error.to_string()),
    }
}

fn said(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn words(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn print(content: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

impl Content for ContactRow {
    fn candidate(&self) -> Result<Candidate, Vec<String>> {
        let form = ContactForm {
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            email: said(&self.email),
            phone: said(&self.phone),
            description: said(&self.description),
            organization: None,
        };
        let mut fields = form.check().map_err(|errors| words(&errors))?;
        fields.active = self.active.unwrap_or(true);
        let organization = said(&self.organization);
        let print = print(&(
            (&fields.first_name, &fields.last_name, &fields.email),
            (&fields.phone, &fields.description),
            (&organization, self.active),
        ));
        Ok(Candidate {
            fields: ItemFields::Contact(fields),
            organization,
            says_state: self.active.is_some(),
            print,
        })
    }
}

impl Content for OrganizationRow {
    fn candidate(&self) -> Result<Candidate, Vec<String>> {
        let rate: Option<Result<Decimal, _>> =
            said(&self.default_rate).map(|digits| digits.parse());
        let mut errors = Vec::new();
        if matches!(rate, Some(Err(_))) {
            errors.push("Default rate is not a number like 1234.50".to_owned());
        }
        let form = OrganizationForm {
            name: self.name.clone(),
            default_rate: rate.and_then(Result::ok),
            description: said(&self.description),
        };
        match form.check() {
            Ok(mut fields) if errors.is_empty() => {
                fields.active = self.active.unwrap_or(true);
                let rest = (&fields.default_rate, &fields.description, self.active);
                let print = print(&(&fields.name, rest));
                Ok(Candidate {
                    fields: ItemFields::Organization(fields),
                    organization: None,
                    says_state: self.active.is_some(),
                    print,
                })
            }
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(words(&more));
                Err(errors)
            }
        }
    }
}
