//! Contacts and organizations, all of a group, one after the other.

use futures_util::{Stream, TryStreamExt};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ContactFields, GroupId, OrganizationFields, RootId};

/// A contact as it leaves the house: its organization is a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedContact {
    /// Its fields.
    pub fields: ContactFields,
    /// Name of its organization.
    pub organization: Option<String>,
}

/// Has the statements of a transaction take as long as the reader does.
pub async fn begin(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(r#"SELECT set_config('statement_timeout', '0', true) AS "set""#)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Returns the contacts of a group by last name, as they come from the database: none is kept.
///
/// `active` chooses by state; none takes all.
pub fn contacts(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    active: Option<bool>,
) -> impl Stream<Item = Result<ExportedContact, StoreError>> {
    sqlx::query!(
        r#"SELECT items.first_name AS "first_name!", items.last_name AS "last_name!", items.email, items.phone, items.description,
                  items.state = 'active' AS "active!", organization.title AS "organization?"
           FROM items
           LEFT JOIN items AS organization ON organization.root_id = $1 AND organization.id = items.organization_id
           WHERE items.root_id = $1 AND items.group_id = $2 AND items.kind = 'contact' AND ($3::boolean IS NULL OR (items.state = 'active') = $3)
           ORDER BY lower(items.last_name), lower(items.first_name), items.id"#,
        root.0,
        group.0,
        active,
    )
    .fetch(connection)
    .map_ok(|row| ExportedContact {
        fields: ContactFields {
            first_name: row.first_name,
            last_name: row.last_name,
            email: row.email,
            phone: row.phone,
            description: row.description,
            organization: None,
            active: row.active,
        },
        organization: row.organization,
    })
    .map_err(StoreError::from)
}

/// Returns the organizations of a group by name, as they come from the database: none is kept.
///
/// `active` chooses by state; none takes all.
pub fn organizations(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    active: Option<bool>,
) -> impl Stream<Item = Result<OrganizationFields, StoreError>> {
    sqlx::query!(
        r#"SELECT title, default_rate, description, state = 'active' AS "active!" FROM items
           WHERE root_id = $1 AND group_id = $2 AND kind = 'organization' AND ($3::boolean IS NULL OR (state = 'active') = $3)
           ORDER BY lower(title), id"#,
        root.0,
        group.0,
        active,
    )
    .fetch(connection)
    .map_ok(|row| OrganizationFields {
        name: row.title,
        default_rate: row.default_rate,
        description: row.description,
        active: row.active,
    })
    .map_err(StoreError::from)
}
