//! Checks of single fields, in GitLab's words.

use rust_decimal::{Decimal, RoundingStrategy};

/// What is wrong with a field, in GitLab's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct FieldError {
    /// Name of the field as people read it.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Longest name and e-mail address, in characters.
pub(super) const MAX_NAME: usize = 255;
/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 1024;
/// Digits after the point of an amount.
const SCALE: u32 = 2;
/// An amount has at most 16 digits before the point.
const END: i64 = 10_000_000_000_000_000;

impl FieldError {
    pub(super) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }

    /// Returns what is said of a value that another one of the group has already.
    pub fn taken(field: &'static str) -> Self {
        Self::new(field, "has already been taken")
    }
}

/// Returns a required field without the blanks around it.
pub(super) fn required(field: &'static str, value: &str, max: usize) -> Result<String, FieldError> {
    let value = value.trim();
    if value.is_empty() {
        return Err(FieldError::new(field, "can't be blank"));
    }
    within(field, value, max)?;
    Ok(value.to_owned())
}

/// Returns a field without the blanks around it, or none where nothing is left.
pub(super) fn optional(
    field: &'static str,
    value: Option<&str>,
    max: usize,
) -> Result<Option<String>, FieldError> {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    within(field, value, max)?;
    Ok(Some(value.to_owned()))
}

fn within(field: &'static str, value: &str, max: usize) -> Result<(), FieldError> {
    if value.chars().count() > max {
        let problem = format!("is too long (maximum is {max} characters)");
        return Err(FieldError::new(field, problem));
    }
    // Postgres cannot store it, and no person types it.
    if value.contains('\0') {
        return Err(FieldError::new(field, "is invalid"));
    }
    Ok(())
}

/// Returns an e-mail address without the blanks around it, or none where nothing is left.
pub(super) fn email(value: Option<&str>) -> Result<Option<String>, FieldError> {
    let address = optional("Email", value, MAX_NAME)?;
    if address
        .as_deref()
        .is_some_and(|address| !is_email_address(address))
    {
        return Err(FieldError::new("Email", "is invalid"));
    }
    Ok(address)
}

/// Returns an amount of money as it is stored, with two digits after the point.
pub(super) fn amount(
    field: &'static str,
    value: Option<Decimal>,
) -> Result<Option<Decimal>, FieldError> {
    let Some(value) = value else {
        return Ok(None);
    };
    // As Postgres rounds a numeric.
    let mut value = value.round_dp_with_strategy(SCALE, RoundingStrategy::MidpointAwayFromZero);
    if value.abs() >= Decimal::from(END) {
        let problem = format!("must be less than {END}");
        return Err(FieldError::new(field, problem));
    }
    value.rescale(SCALE);
    Ok(Some(value))
}

/// Collects what is wrong with one field after the other.
pub(super) struct Errors<'a>(pub(super) &'a mut Vec<FieldError>);

impl Errors<'_> {
    /// Returns a checked value; one that is wrong is noted and takes its default.
    pub(super) fn value<T: Default>(&mut self, checked: Result<T, FieldError>) -> T {
        checked.unwrap_or_else(|error| {
            self.0.push(error);
            T::default()
        })
    }
}

/// Returns the fields if nothing is wrong with them.
pub(super) fn all<T>(fields: T, errors: Vec<FieldError>) -> Result<T, Vec<FieldError>> {
    if errors.is_empty() {
        Ok(fields)
    } else {
        Err(errors)
    }
}

/// Returns what a field is to be: as the patch says, or as it is.
pub(super) fn patched<T: Clone>(now: &T, patch: Option<&T>) -> T {
    patch.unwrap_or(now).clone()
}

/// Returns a description without the blanks around it.
pub(super) fn description(value: Option<&str>) -> Result<Option<String>, FieldError> {
    optional("Description", value, MAX_DESCRIPTION)
}

/// Returns whether a text has the form of an e-mail address.
///
/// Pragmatic: no quoted local parts, no address literals, and international domains as they are typed.
pub fn is_email_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let is_local = |c: char| {
        let is_special = matches!(
            c,
            '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '[' | ']' | '\\'
        );
        c.is_alphanumeric() || c.is_ascii_graphic() && !is_special
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    text.chars().count() <= MAX_NAME
        && !local.is_empty()
        && local.chars().all(is_local)
        && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_trimmed_and_measured_in_characters() {
        let said = |result: Result<String, FieldError>| result.map_err(|error| error.to_string());
        for (value, expected) in [
            (" Ann\t", Ok("Ann")),
            ("", Err("First name can't be blank")),
            (" \u{a0}\n", Err("First name can't be blank")),
            ("a\0b", Err("First name is invalid")),
            ("üüüü", Ok("üüüü")),
            (
                "üüüüü",
                Err("First name is too long (maximum is 4 characters)"),
            ),
        ] {
            assert_eq!(
                said(required("First name", value, 4)),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{value:?}"
            );
        }
        assert_eq!(optional("Phone", Some("  "), 4), Ok(None));
        assert_eq!(optional("Phone", None, 4), Ok(None));
        assert_eq!(optional("Phone", Some(" 12 "), 4), Ok(Some("12".into())));
    }

    #[test]
    fn addresses() {
        let long = format!("{}@example.com", "a".repeat(255));
        for (value, expected) in [
            (" ann@example.com ", Ok(Some("ann@example.com"))),
            ("ann+x@münchen.example", Ok(Some("ann+x@münchen.example"))),
            ("", Ok(None)),
            ("ann", Err("Email is invalid")),
            ("ann@", Err("Email is invalid")),
            ("@example.com", Err("Email is invalid")),
            ("ann lee@example.com", Err("Email is invalid")),
            ("Ann <ann@example.com>", Err("Email is invalid")),
            ("ann@-x.com", Err("Email is invalid")),
            ("ann@x..com", Err("Email is invalid")),
            (&long, Err("Email is too long (maximum is 255 characters)")),
        ] {
            let found = email(Some(value)).map_err(|error| error.to_string());
            let found = found.as_ref().map(Option::as_deref).map_err(String::as_str);
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn amounts_are_rounded_as_postgres_does_and_bounded() {
        for (value, expected) in [
            ("12", Some("12.00")),
            ("0.005", Some("0.01")),
            ("-0.005", Some("-0.01")),
            ("9999999999999999.99", Some("9999999999999999.99")),
            ("9999999999999999.995", None),
            ("10000000000000000", None),
            ("-10000000000000000", None),
        ] {
            let found = amount("Amount", Some(value.parse().unwrap()))
                .ok()
                .flatten();
            let found = found.map(|rate| rate.to_string());
            assert_eq!(found.as_deref(), expected, "{value}");
        }
        assert_eq!(amount("Amount", None), Ok(None));
    }
}
