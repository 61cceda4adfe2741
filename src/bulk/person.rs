//! Imports and exports that a person asks for, and not the administrator: Maintainers may.

use sqlx::PgConnection;

use super::{Destination, Exporter};
use crate::{
    crm::{Crm, CrmError},
    domain::{GroupId, PersonId, RootId},
    rules::{Refused, Right},
    store::{StoreError, group},
};

/// Returns where what a person imports into a group goes.
///
/// # Errors
/// [`CrmError::NotFound`] for whoever may not even see the contacts, [`CrmError::Denied`] for whoever is no Maintainer.
pub async fn destination_for(
    crm: &Crm,
    person: PersonId,
    of: (RootId, GroupId),
) -> Result<Destination, CrmError> {
    ask(crm, person, of, (Right::ImportContacts, "import contacts")).await?;
    let (root, _) = of;
    Ok(Destination {
        root,
        group: holder(crm, of).await?,
        actor: Some(person),
    })
}

/// Returns what writes the lists of a group for a person; `active` chooses by state, none takes all.
///
/// # Errors
/// As for [`destination_for`].
pub async fn exporter_for(
    crm: &Crm,
    person: PersonId,
    of: (RootId, GroupId),
    active: Option<bool>,
) -> Result<Exporter, CrmError> {
    ask(crm, person, of, (Right::ExportContacts, "export contacts")).await?;
    let (root, _) = of;
    Ok(Exporter {
        pool: crm.pool.clone(),
        of: (root, holder(crm, of).await?),
        active,
    })
}

async fn ask(
    crm: &Crm,
    person: PersonId,
    (root, group): (RootId, GroupId),
    (right, what): (Right, &str),
) -> Result<(), CrmError> {
    let access = crm.group_access(person, root, group).await?;
    if access.allows(right) {
        return Ok(());
    }
    let refused = if access.allows(Right::ViewContacts) {
        Refused::Denied(format!(
            "You have insufficient permissions to {what} for this group"
        ))
    } else {
        Refused::NotFound
    };
    Err(refused.into())
}

async fn holder(crm: &Crm, of: (RootId, GroupId)) -> Result<GroupId, CrmError> {
    let unavailable = |error: StoreError| CrmError::Unavailable(crate::crm::Outage::Store(error));
    let mut connection: sqlx::pool::PoolConnection<sqlx::Postgres> =
        crm.pool.acquire().await.map_err(|error| unavailable(error.into()))?;
    let connection: &mut PgConnection = &mut connection;
    group::contact_holder(connection, of).await.map_err(unavailable)
}
