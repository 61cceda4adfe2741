//! What somebody leaves behind who is deactivated, and what chats differ from their lists.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ChatId, ConnectionId, GroupId, ItemId, PersonId, RootId};

/// An item that somebody observes or is responsible for.
#[derive(Debug, Clone)]
pub struct Held {
    /// Tenant.
    pub root: RootId,
    /// The group that holds it.
    pub group: GroupId,
    /// Path of that group.
    pub path: String,
    /// The item.
    pub item: ItemId,
    /// What it is called.
    pub title: String,
    /// Whether he is responsible for it.
    pub responsible: bool,
    /// Whether he observes it.
    pub observes: bool,
}

/// Switches a person off; returns whether he was active.
pub async fn deactivate(
    connection: &mut PgConnection,
    person: PersonId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE people SET active = false WHERE id = $1 AND active",
        person.0
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Returns the items that somebody observes or is responsible for, by tenant, group and item.
pub async fn held(
    connection: &mut PgConnection,
    person: PersonId,
) -> Result<Vec<Held>, StoreError> {
    let held = sqlx::query_as!(
        Held,
        r#"WITH mine AS (
               SELECT root_id, item_id, false AS responsible, true AS observes FROM observers WHERE person_id = $1
               UNION ALL
               SELECT root_id, id, true, false FROM items WHERE responsible_id = $1)
           SELECT mine.root_id AS "root!: RootId", items.group_id AS "group: GroupId", groups.path, items.id AS "item: ItemId", items.title,
                  bool_or(mine.responsible) AS "responsible!", bool_or(mine.observes) AS "observes!"
           FROM mine
           JOIN items ON items.root_id = mine.root_id AND items.id = mine.item_id
           JOIN groups ON groups.root_id = items.root_id AND groups.id = items.group_id
           GROUP BY mine.root_id, items.group_id, groups.path, items.id, items.title
           ORDER BY mine.root_id, items.group_id, items.id"#,
        person.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(held)
}

/// A chat that is not as its item's list says, as far as was seen when it was last looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Drift {
    /// What the item is called; none where it is deleted.
    pub item: Option<String>,
    /// open, closed or gone.
    pub state: String,
    /// Where people find the room.
    pub url: Option<String>,
    /// People who should be there and are not.
    pub missing: i64,
    /// People there who are no observers, so that nothing says that they may read the item.
    pub without_right: i64,
    /// Why it differs.
    pub problem: Option<String>,
    /// When it was last looked at.
    pub settled_at: Option<DateTime<Utc>>,
}

/// Returns the chats of a root group that differ from their lists, up to a number.
pub async fn drift(
    connection: &mut PgConnection,
    root: RootId,
    limit: i64,
) -> Result<Vec<Drift>, StoreError> {
    let drift = sqlx::query_as!(
        Drift,
        r#"SELECT items.title AS "item?", chats.state, chats.url, missing AS "missing!", without_right AS "without_right!", chats.problem, chats.settled_at
           FROM chats
           LEFT JOIN items ON items.root_id = chats.root_id AND items.id = chats.item_id
           CROSS JOIN LATERAL (
               SELECT count(*) FILTER (WHERE standing IN ('guest', 'stranger')) AS without_right FROM chat_members
               WHERE chat_members.root_id = chats.root_id AND chat_members.chat_id = chats.id) AS there
           CROSS JOIN LATERAL (
               SELECT count(DISTINCT seat.person) AS missing
               FROM (SELECT items.responsible_id AS person WHERE items.responsible_in_chat
                     UNION ALL
                     SELECT person_id FROM observers
                     WHERE observers.root_id = chats.root_id AND observers.item_id = chats.item_id AND in_chat) AS seat
               JOIN people ON people.id = seat.person AND people.active
               WHERE chats.state = 'open' AND NOT EXISTS (
                   SELECT FROM identities JOIN chat_members ON chat_members.remote_id = identities.remote_id
                   WHERE identities.person_id = seat.person AND identities.connection_id = chats.connection_id
                     AND chat_members.root_id = chats.root_id AND chat_members.chat_id = chats.id)) AS wanted
           WHERE chats.root_id = $1 AND (chats.problem IS NOT NULL OR chats.state = 'gone' OR missing > 0 OR without_right > 0)
           ORDER BY chats.id LIMIT $2"#,
        root.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(drift)
}

/// Returns the open chats of a root group with their messengers, without those that are about to be looked at.
pub async fn open_chats(
    connection: &mut PgConnection,
    root: RootId,
) -> Result<Vec<(ChatId, ConnectionId)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: ChatId", connection_id AS "connection: ConnectionId" FROM chats
           WHERE root_id = $1 AND state = 'open' ORDER BY id"#,
        root.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.connection))
        .collect())
}
