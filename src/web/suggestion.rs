//! Options for whoever types into a combobox: a fragment of a page, asked for while typing.

use askama::Template;

use super::{problem::Problem, visit::InGroup};
use crate::{
    domain::{Direction, OrganizationSort, States},
    store::search::{self, Completion, OrganizationRow, Page},
};

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

/// Returns the first active organizations by their names in which something is found.
pub(super) async fn organizations_like<R>(
    visit: &InGroup<R>,
    typed: String,
    count: u32,
) -> Result<Vec<OrganizationRow>, Problem> {
    let query = search::Query {
        search: Some(typed),
        states: States::Active,
        ids: None,
        sort: OrganizationSort::Name,
        direction: Direction::Ascending,
        page: Page::First { count, after: None },
    };
    let mut connection = visit.visitor.connection().await?;
    let found = search::organizations(&mut connection, visit.holder(), &query).await?;
    Ok(found
        .rows
        .into_iter()
        .map(|(organization, _)| organization)
        .collect())
}
