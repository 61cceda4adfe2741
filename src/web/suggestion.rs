//! Options for whoever types into a combobox: a fragment of a page, asked for while typing.

use askama::Template;

use crate::store::search::Completion;

/// An option.
#[derive(Debug)]
pub(super) struct Choice {
    /// What is put into the field.
    pub(super) value: String,
    /// What is shown.
    pub(super) label: String,
    /// What tells it apart.
    pub(super) note: String,
}

impl From<Completion> for Choice {
    /// A contact is meant by its address, or where it has none by its number.
    fn from(contact: Completion) -> Self {
        let number = || format!("#{}", contact.id);
        Self {
            value: contact.email.clone().unwrap_or_else(number),
            label: format!("{} {}", contact.first_name, contact.last_name),
            note: contact.email.unwrap_or_default(),
        }
    }
}

/// Options, the best first.
#[derive(Debug, Template)]
#[template(path = "parts/options.html")]
pub(super) struct Options {
    /// The options.
    pub(super) options: Vec<Choice>,
}
