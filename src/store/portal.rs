//! Items of portals that are kept equal with ours, and what both were when they were last compared.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::PgConnection;

use super::StoreError;
use crate::{
    domain::{ConnectionId, ItemId, PersonId, RootId},
    rules::Side,
};

/// An item of ours and the one of a portal that is kept equal with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The portal.
    pub connection: ConnectionId,
    /// The kind of item, in the portal's numbers.
    pub entity_type: i64,
    /// Its id there.
    pub remote_id: String,
    /// What both were when they were last compared.
    pub seen: Side,
    /// Why they are not equal.
    pub problem: Option<String>,
}

/// A link as it is looked through for differences that nobody told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Tenant.
    pub root: RootId,
    /// Our item.
    pub item: ItemId,
    /// The kind of item, in the portal's numbers.
    pub entity_type: i64,
    /// Its id there.
    pub remote_id: String,
    /// What both were when they were last compared.
    pub seen: Side,
}

/// Links an item with one of a portal; the two are compared soon. An item has one link, and another one takes its place.
///
/// An item of a portal is linked once within a root group: the same one at another item is a conflict.
pub async fn link(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
    (on, entity_type, remote_id): (ConnectionId, i64, &str),
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO portal_links (root_id, item_id, connection_id, entity_type_id, remote_id) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (root_id, item_id) DO UPDATE
         SET connection_id = excluded.connection_id, entity_type_id = excluded.entity_type_id, remote_id = excluded.remote_id,
             observers = '{}', responsible = NULL, problem = NULL, due = true
         WHERE (portal_links.connection_id, portal_links.entity_type_id, portal_links.remote_id)
               <> (excluded.connection_id, excluded.entity_type_id, excluded.remote_id)",
        root.0,
        item.0,
        on.0,
        entity_type,
        remote_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the link of an item; both stay as they are. Returns whether there was one.
pub async fn unlink(
    connection: &mut PgConnection,
    root: RootId,
    item: ItemId,
) -> Result<bool, StoreError> {
    let ended = sqlx::query!(
        "DELETE FROM portal_links WHERE root_id = $1 AND item_id = $2",
        root.0,
        item.0
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() > 0)
}

/// Returns the link of an item.
pub async fn find(
    connection: &mut PgConnection,
    root: RootId,
    item: ItemId,
) -> Result<Option<Link>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT connection_id AS "connection: ConnectionId", entity_type_id, remote_id, observers, responsible, problem
           FROM portal_links WHERE root_id = $1 AND item_id = $2"#,
        root.0,
        item.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Link {
        connection: row.connection,
        entity_type: row.entity_type_id,
        remote_id: row.remote_id,
        seen: Side {
            observers: row.observers.into_iter().collect(),
            responsible: row.responsible,
        },
        problem: row.problem,
    }))
}

/// Returns our items that are kept equal with one of a portal.
pub async fn linked(
    connection: &mut PgConnection,
    on: ConnectionId,
    entity_type: i64,
    remote_id: &str,
) -> Result<Vec<(RootId, ItemId)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", item_id AS "item: ItemId" FROM portal_links
           WHERE connection_id = $1 AND entity_type_id = $2 AND remote_id = $3 ORDER BY root_id"#,
        on.0,
        entity_type,
        remote_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root, row.item)).collect())
}

/// A link as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Our item.
    pub item: ItemId,
    /// Its title.
    pub title: String,
    /// Name of the portal's connection.
    pub connection: String,
    /// The kind of item, in the portal's numbers.
    pub entity_type: i64,
    /// Its id there.
    pub remote_id: String,
    /// Why both are not equal.
    pub problem: Option<String>,
}

/// Returns all links, those with problems first.
pub async fn list(connection: &mut PgConnection) -> Result<Vec<Listed>, StoreError> {
    let links = sqlx::query_as!(
        Listed,
        r#"SELECT items.id AS "item: ItemId", items.title, connections.name AS connection, entity_type_id AS entity_type,
                  portal_links.remote_id, portal_links.problem
           FROM portal_links
           JOIN items ON items.root_id = portal_links.root_id AND items.id = portal_links.item_id
           JOIN connections ON connections.id = portal_links.connection_id
           ORDER BY portal_links.problem IS NULL, items.id"#,
    )
    .fetch_all(connection)
    .await?;
    Ok(links)
}

/// Returns the root group of an item.
pub async fn root_of(
    connection: &mut PgConnection,
    item: ItemId,
) -> Result<Option<RootId>, StoreError> {
    let root = sqlx::query_scalar!(
        r#"SELECT root_id AS "root: RootId" FROM items WHERE id = $1"#,
        item.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(root)
}

/// Takes the marks off at most `limit` links whose items may have changed here, and returns them.
pub async fn take_due(
    connection: &mut PgConnection,
    on: ConnectionId,
    limit: i64,
) -> Result<Vec<(RootId, ItemId)>, StoreError> {
    let rows = sqlx::query!(
        r#"UPDATE portal_links SET due = false
           WHERE ctid = ANY(ARRAY(SELECT ctid FROM portal_links WHERE connection_id = $1 AND due LIMIT $2 FOR UPDATE SKIP LOCKED))
           RETURNING root_id AS "root: RootId", item_id AS "item: ItemId""#,
        on.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root, row.item)).collect())
}

/// Marks links so that they are compared soon.
pub async fn set_due(
    connection: &mut PgConnection,
    links: &[(RootId, ItemId)],
) -> Result<(), StoreError> {
    let (roots, items): (Vec<i64>, Vec<i64>) =
        links.iter().map(|(root, item)| (root.0, item.0)).unzip();
    sqlx::query!(
        "UPDATE portal_links SET due = true FROM unnest($1::bigint[], $2::bigint[]) AS due (root, item)
         WHERE root_id = due.root AND item_id = due.item",
        &roots,
        &items,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the next links of a portal after one, in a fixed order.
pub async fn after(
    connection: &mut PgConnection,
    on: ConnectionId,
    (root, item): (RootId, ItemId),
    limit: i64,
) -> Result<Vec<Watched>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", item_id AS "item: ItemId", entity_type_id, remote_id, observers, responsible
           FROM portal_links WHERE connection_id = $1 AND (root_id, item_id) > ($2, $3) ORDER BY root_id, item_id LIMIT $4"#,
        on.0,
        root.0,
        item.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Watched {
            root: row.root,
            item: row.item,
            entity_type: row.entity_type_id,
            remote_id: row.remote_id,
            seen: Side {
                observers: row.observers.into_iter().collect(),
                responsible: row.responsible,
            },
        })
        .collect())
}

/// What is remembered of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// What the portal has.
    pub seen: &'a Side,
    /// Why both are not equal, if they are not.
    pub problem: Option<&'a str>,
    /// Whether they have to be compared again soon.
    pub again: bool,
}

/// Remembers a comparison. Ours was looked at under a lock, so that marks from before are answered.
pub async fn remember(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
    compared: &Compared<'_>,
) -> Result<(), StoreError> {
    let observers: Vec<String> = compared.seen.observers.iter().cloned().collect();
    sqlx::query!(
        "UPDATE portal_links SET observers = $3, responsible = $4, problem = $5, due = $6 WHERE root_id = $1 AND item_id = $2",
        root.0,
        item.0,
        &observers,
        compared.seen.responsible,
        compared.problem,
        compared.again,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Remembers what the portal has after it was written, and why both are not equal, if they are not.
pub async fn remember_written(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
    seen: &Side,
    problem: Option<&str>,
) -> Result<(), StoreError> {
    let observers: Vec<String> = seen.observers.iter().cloned().collect();
    sqlx::query!(
        "UPDATE portal_links SET observers = $3, responsible = $4, problem = $5 WHERE root_id = $1 AND item_id = $2",
        root.0,
        item.0,
        &observers,
        seen.responsible,
        problem,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Remembers why both are not equal.
pub async fn set_problem(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
    problem: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE portal_links SET problem = $3 WHERE root_id = $1 AND item_id = $2",
        root.0,
        item.0,
        problem,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the ids that people have on a connection, as far as they have one; of several the first counts.
pub async fn users(
    connection: &mut PgConnection,
    on: ConnectionId,
    people: &[PersonId],
) -> Result<HashMap<PersonId, String>, StoreError> {
    let ids: Vec<i64> = people.iter().map(|person| person.0).collect();
    let rows = sqlx::query!(
        r#"SELECT person_id AS "person: PersonId", min(remote_id) AS "user!" FROM identities
           WHERE connection_id = $1 AND person_id = ANY($2) AND NOT is_bot GROUP BY person_id"#,
        on.0,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.person, row.user)).collect())
}

/// Returns the addresses of active people who have no account on a connection: of `people`, and of who is responsible for an item.
pub async fn strangers(
    connection: &mut PgConnection,
    on: ConnectionId,
    (root, item): (RootId, ItemId),
    people: &[PersonId],
) -> Result<Vec<(PersonId, String)>, StoreError> {
    let ids: Vec<i64> = people.iter().map(|person| person.0).collect();
    let rows = sqlx::query!(
        r#"SELECT id AS "person: PersonId", email AS "email!" FROM people
           WHERE (id = ANY($2) OR id = (SELECT responsible_id FROM items WHERE root_id = $3 AND id = $4))
             AND active AND email IS NOT NULL
             AND NOT EXISTS (SELECT FROM identities WHERE connection_id = $1 AND person_id = people.id)
           ORDER BY id"#,
        on.0,
        &ids,
        root.0,
        item.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.person, row.email))
        .collect())
}
