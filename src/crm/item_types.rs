//! Types of items of a root group's own.

use sqlx::PgConnection;

use super::{Asker, Crm, CrmError, error::Failure};
use crate::{
    domain::{FieldError, GroupId, ItemTypeId, RootId, type_name},
    rules::{self, Refused, Right},
    store::{
        item_type::{self, ItemType},
        road::Fresh,
        standing::{self, Held},
    },
};

impl Crm {
    /// Creates a type in a root group; returns its id.
    ///
    /// # Errors
    /// [`CrmError::Denied`] below Maintainer; [`CrmError::Invalid`] where the name is taken or the group is no root group.
    pub async fn create_item_type(
        &self,
        asker: Asker,
        group: GroupId,
        name: &str,
        observers: bool,
    ) -> Result<ItemTypeId, CrmError> {
        let name = type_name(name).map_err(|error| Refused::because(error.to_string()))?;
        self.decide(async |fresh| {
            let mut tx = self.pool.begin().await?;
            let root = standing::root_of_group(&mut tx, group).await?;
            let root = root.ok_or(Refused::NotFound)?;
            self.may_configure(&mut tx, asker, (root, group), fresh)
                .await?;
            if root.0 != group.0 {
                return Err(Refused::because("Types belong to root groups").into());
            }
            let now = self.clock.now();
            let id = item_type::create(&mut tx, root, (&name, observers), now).await?;
            let id = id.ok_or_else(taken)?;
            tx.commit().await?;
            Ok(id)
        })
        .await
    }

    /// Changes a type's name, or whether its items have observers; those that they have stay on their lists.
    ///
    /// # Errors
    /// As for [`Self::create_item_type`].
    pub async fn update_item_type(
        &self,
        asker: Asker,
        id: ItemTypeId,
        (name, observers): (Option<&str>, Option<bool>),
    ) -> Result<(), CrmError> {
        let name = name.map(type_name).transpose();
        let name = name.map_err(|error| Refused::because(error.to_string()))?;
        self.decide(async |fresh| {
            let mut tx = self.pool.begin().await?;
            let known = self.item_type(&mut tx, asker, id, fresh).await?;
            let changed = ItemType {
                name: name.clone().unwrap_or_else(|| known.name.clone()),
                observers: observers.unwrap_or(known.observers),
                ..known
            };
            if !item_type::update(&mut tx, &changed).await? {
                return Err(taken().into());
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Deletes a type that no item is of.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] where there are such items.
    pub async fn delete_item_type(&self, asker: Asker, id: ItemTypeId) -> Result<(), CrmError> {
        self.decide(async |fresh| {
            let mut tx = self.pool.begin().await?;
            let known = self.item_type(&mut tx, asker, id, fresh).await?;
            if !item_type::delete(&mut tx, known.root, id).await? {
                return Err(Refused::because("There are items of this type").into());
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    async fn item_type(
        &self,
        connection: &mut PgConnection,
        asker: Asker,
        id: ItemTypeId,
        fresh: Fresh,
    ) -> Result<ItemType, Failure> {
        let found = item_type::find(connection, &[id]).await?;
        let found = found.into_iter().next().ok_or(Refused::NotFound)?;
        let place = (found.root, GroupId(found.root.0));
        self.may_configure(connection, asker, place, fresh).await?;
        Ok(found)
    }

    async fn may_configure(
        &self,
        connection: &mut PgConnection,
        asker: Asker,
        (root, group): (RootId, GroupId),
        fresh: Fresh,
    ) -> Result<(), Failure> {
        let place = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(connection, asker.person, place, fresh)
            .await?;
        rules::may(&access, Right::Configure, "manage types of items")?;
        Ok(())
    }
}

fn taken() -> Refused {
    Refused::because(FieldError::taken("Name").to_string())
}
