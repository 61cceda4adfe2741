//! Imports and exports that a person asks for, and not the administrator: Maintainers may.

use super::{Destination, Exporter};
use crate::{
    crm::{Crm, CrmError, Outage},
    domain::{GroupId, PersonId, RootId},
    rules::{self, Right},
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
    let holder = ask(crm, person, of, (Right::ImportContacts, "import contacts")).await?;
    Ok(Destination {
        root: of.0,
        group: holder,
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
    let holder = ask(crm, person, of, (Right::ExportContacts, "export contacts")).await?;
    Ok(Exporter {
        pool: crm.pool.clone(),
        of: (of.0, holder),
        active,
    })
}

async fn ask(
    crm: &Crm,
    person: PersonId,
    (root, group): (RootId, GroupId),
    (right, what): (Right, &str),
) -> Result<GroupId, CrmError> {
    let access = crm.group_access(person, root, group).await?;
    rules::may(&access, right, what)?;
    let unavailable = |error| CrmError::Unavailable(Outage::Store(error));
    let connection = crm.pool.acquire().await;
    let mut connection = connection.map_err(|error| unavailable(StoreError::from(error)))?;
    group::contact_holder(&mut connection, (root, group))
        .await
        .map_err(unavailable)
}
