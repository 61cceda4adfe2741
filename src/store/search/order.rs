//! How each sort reads in SQL: the expression of its index, to the letter.

use crate::domain::{ContactSort, OrganizationSort};

/// What a sort key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Text,
    Moment,
    Number,
}

/// A sort key in SQL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    /// The expression that an index of the migration is on.
    pub(super) key: &'static str,
    pub(super) measure: Measure,
    /// Whether rows may lack it.
    pub(super) nullable: bool,
}

impl Order {
    const fn new(key: &'static str, measure: Measure, nullable: bool) -> Self {
        Self {
            key,
            measure,
            nullable,
        }
    }

    /// Returns the key as the text that a cursor keeps.
    pub(super) const fn as_text(self) -> (&'static str, &'static str) {
        match self.measure {
            Measure::Text => ("", ""),
            Measure::Moment => ("(extract(epoch FROM ", ") * 1000000)::bigint::text"),
            Measure::Number => ("", "::text"),
        }
    }
}

const DESCRIPTION: Order = Order::new(
    r#"(lower(left(description, 128)) COLLATE "C")"#,
    Measure::Text,
    true,
);
const CREATED: Order = Order::new("created_at", Measure::Moment, false);
const UPDATED: Order = Order::new("updated_at", Measure::Moment, false);

/// First name, then last name.
pub(super) const FIRST_NAME: &str =
    r#"((lower(first_name) || E'\001' || lower(last_name)) COLLATE "C")"#;
/// Last name, then first name.
pub(super) const LAST_NAME: &str =
    r#"((lower(last_name) || E'\001' || lower(first_name)) COLLATE "C")"#;
/// E-mail address.
pub(super) const EMAIL: &str = r#"(lower(email) COLLATE "C")"#;
/// Name of a contact's organization.
pub(super) const ORGANIZATION: &str = r#"(lower(organization_title) COLLATE "C")"#;

impl From<ContactSort> for Order {
    fn from(sort: ContactSort) -> Self {
        match sort {
            ContactSort::FirstName => Self::new(FIRST_NAME, Measure::Text, false),
            ContactSort::LastName => Self::new(LAST_NAME, Measure::Text, false),
            ContactSort::Email => Self::new(EMAIL, Measure::Text, true),
            ContactSort::Phone => Self::new(r#"(lower(phone) COLLATE "C")"#, Measure::Text, true),
            ContactSort::Description => DESCRIPTION,
            ContactSort::Organization => Self::new(ORGANIZATION, Measure::Text, true),
            ContactSort::Created => CREATED,
            ContactSort::Updated => UPDATED,
        }
    }
}

impl From<OrganizationSort> for Order {
    fn from(sort: OrganizationSort) -> Self {
        match sort {
            OrganizationSort::Name => {
                Self::new(r#"(lower(title) COLLATE "C")"#, Measure::Text, false)
            }
            OrganizationSort::Description => DESCRIPTION,
            OrganizationSort::DefaultRate => Self::new("default_rate", Measure::Number, true),
            OrganizationSort::Created => CREATED,
            OrganizationSort::Updated => UPDATED,
        }
    }
}
