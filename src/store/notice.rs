//! What a notice needs: whom it goes to, and what the things are called that it names.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ConnectionId, ItemId, PersonId, RootId};

/// Somebody who can be told something.
#[derive(Debug)]
pub struct Recipient {
    /// His id in the messenger.
    pub user: String,
}

/// Returns a person's account in a messenger, if he is active and did not ask for quiet.
pub async fn recipient(
    connection: &mut PgConnection,
    on: ConnectionId,
    person: PersonId,
) -> Result<Option<Recipient>, StoreError> {
    let recipient = sqlx::query_as!(
        Recipient,
        r#"SELECT identities.remote_id AS user FROM identities JOIN people ON people.id = identities.person_id
           WHERE identities.connection_id = $1 AND identities.person_id = $2 AND NOT is_bot AND active AND NOT quiet
           ORDER BY identities.remote_id LIMIT 1"#,
        on.0,
        person.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(recipient)
}

/// An item as a notice names it.
#[derive(Debug)]
pub struct Named {
    /// The item.
    pub item: ItemId,
    /// Its title.
    pub title: String,
    /// Path of the group that holds it.
    pub group_path: String,
}

/// Returns what items are called; deleted ones are left out.
pub async fn items(
    connection: &mut PgConnection,
    root: RootId,
    items: &[i64],
) -> Result<Vec<Named>, StoreError> {
    let named = sqlx::query_as!(
        Named,
        r#"SELECT items.id AS "item: ItemId", items.title, groups.path AS group_path
           FROM items JOIN groups ON groups.root_id = items.root_id AND groups.id = items.group_id
           WHERE items.root_id = $1 AND items.id = ANY($2)"#,
        root.0,
        items,
    )
    .fetch_all(connection)
    .await?;
    Ok(named)
}

/// Returns a person's name.
pub async fn name(
    connection: &mut PgConnection,
    person: PersonId,
) -> Result<Option<String>, StoreError> {
    let name = sqlx::query_scalar!("SELECT name FROM people WHERE id = $1", person.0)
        .fetch_optional(connection)
        .await?;
    Ok(name)
}
