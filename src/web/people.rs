//! `liaison`'s people as pages name them.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::{
    domain::PersonId,
    store::{StoreError, person},
};

/// Names of people, looked up at once.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<PersonId, String>);

impl Names {
    /// Looks up the names of people.
    pub(super) async fn of(
        connection: &mut PgConnection,
        people: impl IntoIterator<Item = PersonId>,
    ) -> Result<Self, StoreError> {
        let mut people: Vec<_> = people.into_iter().collect();
        people.sort_unstable();
        people.dedup();
        let names = person::names(connection, &people).await?;
        let shown = |(id, username, name): (PersonId, String, String)| {
            (id, if name.is_empty() { username } else { name })
        };
        Ok(Self(names.into_iter().map(shown).collect()))
    }

    /// Returns the name of somebody, or what stands for one who is gone.
    pub(super) fn get(&self, person: Option<PersonId>) -> String {
        let known = person.and_then(|person| self.0.get(&person));
        known.cloned().unwrap_or_else(|| "Somebody".to_owned())
    }
}
