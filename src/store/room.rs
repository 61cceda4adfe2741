//! The rooms of chats: who should be there, and what the messenger was last told.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ChatId, ChatState, ConnectionId, GroupId, ItemId, PersonId, RootId};

/// What a chat is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The item's title.
    pub title: String,
    /// The group that holds the item.
    pub group: GroupId,
}

/// Somebody who should be in a chat.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The person.
    pub person: PersonId,
    /// His address, by which the messenger may know him.
    pub email: Option<String>,
    /// His id in the messenger, where it is known.
    pub user: Option<String>,
    /// Whether he may see what was written before he comes.
    pub show_history: bool,
    /// Whether he is responsible for the item.
    pub leads: bool,
}

/// Whom an account in a messenger belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// The person.
    pub person: PersonId,
    /// False once he was deactivated.
    pub active: bool,
    /// Whether the account is a bot's.
    pub is_bot: bool,
}

/// Returns what a chat is about, or none where the item is deleted.
pub async fn subject(
    connection: &mut PgConnection,
    root: RootId,
    item: ItemId,
) -> Result<Option<Subject>, StoreError> {
    let subject = sqlx::query_as!(
        Subject,
        r#"SELECT title, group_id AS "group: GroupId" FROM items WHERE root_id = $1 AND id = $2"#,
        root.0,
        item.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(subject)
}

/// Returns who should be in the chat of an item: the responsible and those observers who are to be there, each once, without those who were
/// deactivated.
pub async fn seats(
    connection: &mut PgConnection,
    (root, item): (RootId, ItemId),
    on: ConnectionId,
) -> Result<Vec<Seat>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT people.id AS "person: PersonId", people.email, seat.show_history AS "show_history!", seat.leads AS "leads!",
                  (SELECT remote_id FROM identities WHERE person_id = people.id AND connection_id = $3 AND NOT is_bot
                   ORDER BY remote_id LIMIT 1) AS user
           FROM (SELECT responsible_id AS person, true AS show_history, true AS leads FROM items
                 WHERE root_id = $1 AND id = $2 AND responsible_in_chat
                 UNION ALL
                 SELECT person_id, show_history, false FROM observers WHERE root_id = $1 AND item_id = $2 AND in_chat) AS seat
           JOIN people ON people.id = seat.person AND people.active
           ORDER BY seat.leads DESC, people.id"#,
        root.0,
        item.0,
        on.0,
    )
    .fetch_all(connection)
    .await?;
    let mut seats: Vec<Seat> = Vec::new();
    for row in rows {
        // The responsible, who comes first, may observe as well.
        if seats.iter().all(|seat| seat.person != row.person) {
            seats.push(Seat {
                person: row.person,
                email: row.email,
                user: row.user,
                show_history: row.show_history,
                leads: row.leads,
            });
        }
    }
    Ok(seats)
}

/// Returns whom accounts in a messenger belong to.
pub async fn accounts(
    connection: &mut PgConnection,
    on: ConnectionId,
    users: &[String],
) -> Result<HashMap<String, Account>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT remote_id, person_id AS "person: PersonId", people.active, is_bot
           FROM identities JOIN people ON people.id = person_id WHERE connection_id = $1 AND remote_id = ANY($2)"#,
        on.0,
        users,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let account = Account {
                person: row.person,
                active: row.active,
                is_bot: row.is_bot,
            };
            (row.remote_id, account)
        })
        .collect())
}

/// Remembers the room that was made for a chat.
pub async fn set_made(
    connection: &mut PgConnection,
    (root, chat): (RootId, ChatId),
    remote_id: &str,
    url: Option<&str>,
    title: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE chats SET remote_id = $3, url = $4, known_title = $5, known_state = 'open', known_admin = NULL WHERE root_id = $1 AND id = $2",
        root.0,
        chat.0,
        remote_id,
        url,
        title,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the messenger is known to have.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The title.
    pub title: Option<String>,
    /// The leader.
    pub admin: Option<String>,
    /// Open or closed.
    pub state: Option<ChatState>,
}

/// Returns whether the messenger was last told that a room is open or closed.
pub async fn known_state(
    connection: &mut PgConnection,
    (root, chat): (RootId, ChatId),
) -> Result<Option<ChatState>, StoreError> {
    let word = sqlx::query_scalar!(
        "SELECT known_state FROM chats WHERE root_id = $1 AND id = $2",
        root.0,
        chat.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(word.flatten().as_deref().and_then(ChatState::from_word))
}

/// Remembers that a chat was compared, what the messenger has now, and why it still differs.
pub async fn set_settled(
    connection: &mut PgConnection,
    (root, chat): (RootId, ChatId),
    known: &Known,
    problem: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE chats SET known_title = $3, known_admin = $4, known_state = $5, problem = $6, settled_at = $7 WHERE root_id = $1 AND id = $2",
        root.0,
        chat.0,
        known.title,
        known.admin,
        known.state.map(ChatState::word),
        problem,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Remembers that a room is gone, and that nobody is in it any more.
pub async fn set_gone(
    connection: &mut PgConnection,
    (root, chat): (RootId, ChatId),
    problem: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH nobody AS (DELETE FROM chat_members WHERE root_id = $1 AND chat_id = $2)
         UPDATE chats SET state = 'gone', problem = $3, settled_at = $4 WHERE root_id = $1 AND id = $2",
        root.0,
        chat.0,
        problem,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns chats of a messenger that were not compared since a moment, those first that were not for the longest time.
pub async fn due(
    connection: &mut PgConnection,
    on: ConnectionId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(RootId, ChatId)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", id AS "id: ChatId" FROM chats
           WHERE connection_id = $1 AND state = 'open' AND (settled_at IS NULL OR settled_at < $2)
             -- A look that waits is one, too.
             AND NOT EXISTS (SELECT FROM effects WHERE effects.root_id = chats.root_id AND queue = 'call' AND lane = chats.id AND effects.settled_at IS NULL)
           ORDER BY settled_at NULLS FIRST, id LIMIT $3"#,
        on.0,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root, row.id)).collect())
}
