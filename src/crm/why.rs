//! Why somebody can see an item, or cannot; and who is meant by a name.

use sqlx::PgConnection;

use super::{Asker, Crm, CrmError, Outage, error::Failure, items::Place};
use crate::{
    domain::{GroupId, ItemId, Level, PersonId, RootId},
    rules::{Refused, Right},
    store::{item_fields, observer, person, road::Fresh, shown, standing, tree},
};

/// Whether somebody can see an item, and every reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Whether he can.
    pub reads: bool,
    /// The reasons, or why not, in words for people.
    pub reasons: Vec<String>,
}

/// Whose tenant people are looked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// That of a group.
    Group(GroupId),
    /// That of an item.
    Item(ItemId),
}

impl Crm {
    /// Returns why a person can see an item, or cannot.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] for whoever may not read the item, and for whoever asks about others and merely observes it.
    pub async fn why(&self, asker: Asker, item: ItemId, person: PersonId) -> Result<Why, CrmError> {
        self.decide(|fresh| self.why_once(asker, item, person, fresh))
            .await
    }

    async fn why_once(
        &self,
        asker: Asker,
        item: ItemId,
        person: PersonId,
        fresh: Fresh,
    ) -> Result<Why, Failure> {
        let mut connection = self.pool.acquire().await?;
        let place = self
            .towards_item(&mut connection, asker, item, fresh)
            .await?;
        if person != asker.person && !place.on.access.allows(Right::ViewContacts) {
            return Err(Refused::NotFound.into());
        }
        let of = Asker {
            person,
            via: asker.via,
        };
        let on = match self.towards_item(&mut connection, of, item, fresh).await {
            Ok(Place { on, .. }) => Some(on),
            Err(Failure::Refused(Refused::NotFound)) => None,
            Err(other) => return Err(other),
        };
        let group = tree::groups(&mut connection, &[place.group]).await?;
        let path = group
            .into_iter()
            .next()
            .map(|group| group.path)
            .unwrap_or_default();
        let (responsible, since) = self
            .roles(&mut connection, place.root, item, person)
            .await?;
        let mut reasons = Vec::new();
        if let Some(on) = on.filter(|on| on.access.allows(Right::ViewContacts)) {
            let level = level_word(on.access.contact_group);
            reasons.push(format!(
                "{level} in the group {path}, which sees all its items"
            ));
        }
        if responsible {
            reasons.push("responsible for it".to_owned());
        }
        reasons.extend(since);
        if on.is_none() {
            reasons.push(format!(
                "sees nothing of it: inactive, without any level in the tree of the group {path}, or its CRM is off"
            ));
        }
        Ok(Why {
            reads: on.is_some(),
            reasons,
        })
    }

    /// Returns whether a person is responsible for an item, and since when he observes it.
    async fn roles(
        &self,
        connection: &mut PgConnection,
        root: RootId,
        item: ItemId,
        person: PersonId,
    ) -> Result<(bool, Option<String>), Failure> {
        let place = item_fields::place(connection, item, person).await?;
        let responsible = place.is_some_and(|(_, _, responsible, _)| responsible == Some(person));
        let observers = observer::of_items(connection, root, &[item.0]).await?;
        let found = observers
            .get(&item)
            .and_then(|all| all.iter().find(|one| one.person == person));
        let Some(observer) = found else {
            return Ok((responsible, None));
        };
        let by = match observer.added_by {
            None => String::new(),
            Some(by) => {
                let names = person::names(connection, &[by]).await?;
                let name = names.into_iter().next().map(|(_, username, _)| username);
                name.map(|name| format!(", added by @{name}"))
                    .unwrap_or_default()
            }
        };
        let since = observer.added_at.format("%Y-%m-%d %H:%M UTC");
        Ok((responsible, Some(format!("observes it since {since}{by}"))))
    }

    /// Returns the people whom names mean in a tenant: usernames, with or without `@`, and e-mail addresses.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] names every one that means nobody there.
    pub async fn people_named(
        &self,
        place: Where,
        names: &[String],
    ) -> Result<Vec<PersonId>, CrmError> {
        let outage = |error| CrmError::Unavailable(Outage::Store(error));
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(|error| outage(error.into()))?;
        let root = match place {
            Where::Group(group) => standing::root_of_group(&mut connection, group).await,
            Where::Item(item) => shown::items(&mut connection, &[item])
                .await
                .map(|items| items.first().map(|item| item.root)),
        };
        let root = root.map_err(outage)?.ok_or(CrmError::NotFound)?;
        let found = person::named(&mut connection, None, names)
            .await
            .map_err(outage)?;
        let ids: Vec<PersonId> = found.iter().map(|(_, person)| person.id).collect();
        let here = person::known_in(&mut connection, root, &ids)
            .await
            .map_err(outage)?;
        let id = |name: &String| {
            let person = found.iter().find(|(typed, _)| typed == name)?.1.id;
            here.contains(&person).then_some(person)
        };
        let missing: Vec<String> = names
            .iter()
            .filter(|name| id(name).is_none())
            .map(|name| format!("Nobody here is called {name:?}"))
            .collect();
        if missing.is_empty() {
            Ok(names.iter().filter_map(id).collect())
        } else {
            Err(CrmError::Invalid(missing))
        }
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::None => "no member",
        Level::Guest => "Guest",
        Level::Planner => "Planner",
        Level::Reporter => "Reporter",
        Level::Developer => "Developer",
        Level::Maintainer => "Maintainer",
        Level::Owner => "Owner",
    }
}
