//! The rooms of items in messengers, as they are meant to be. What a messenger says of them is compared with this elsewhere.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{ChatHistory, ChatId, ChatState, ConnectionId, ItemId, PersonId, RootId};

/// A chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Its id.
    pub id: ChatId,
    /// The item that it is about; it may be deleted.
    pub item: ItemId,
    /// The messenger.
    pub connection: ConnectionId,
    /// The room's id there, once it is made.
    pub remote_id: Option<String>,
    /// The room's address for people.
    pub url: Option<String>,
    /// Who may read what was written before he came.
    pub history: ChatHistory,
    /// What it is meant to be.
    pub state: ChatState,
    /// Who had it made.
    pub created_by: Option<PersonId>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// What it is known to be called in the messenger.
    pub known_title: Option<String>,
    /// Who is known to lead it there, in the messenger's ids.
    pub known_admin: Option<String>,
    /// When it was last compared with the list.
    pub settled_at: Option<DateTime<Utc>>,
    /// Why it still differs.
    pub problem: Option<String>,
}

/// A chat that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewChat {
    /// The item.
    pub item: ItemId,
    /// The messenger.
    pub connection: ConnectionId,
    /// Who may read what.
    pub history: ChatHistory,
    /// Who has it made.
    pub by: Option<PersonId>,
    /// When.
    pub at: DateTime<Utc>,
}

struct Row {
    id: ChatId,
    item: ItemId,
    connection: ConnectionId,
    remote_id: Option<String>,
    url: Option<String>,
    history: String,
    state: String,
    created_by: Option<PersonId>,
    created_at: DateTime<Utc>,
    known_title: Option<String>,
    known_admin: Option<String>,
    settled_at: Option<DateTime<Utc>>,
    problem: Option<String>,
}

impl From<Row> for Chat {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            item: row.item,
            connection: row.connection,
            remote_id: row.remote_id,
            url: row.url,
            // A check holds the words; a word of a newer version is taken for the careful one.
            history: ChatHistory::from_word(&row.history).unwrap_or(ChatHistory::FromJoining),
            state: ChatState::from_word(&row.state).unwrap_or(ChatState::Closed),
            created_by: row.created_by,
            created_at: row.created_at,
            known_title: row.known_title,
            known_admin: row.known_admin,
            settled_at: row.settled_at,
            problem: row.problem,
        }
    }
}

/// Returns a chat.
pub async fn find(
    connection: &mut PgConnection,
    root: RootId,
    chat: ChatId,
) -> Result<Option<Chat>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id: ChatId", item_id AS "item: ItemId", connection_id AS "connection: ConnectionId", remote_id, url, history, state,
                  created_by AS "created_by: PersonId", created_at, known_title, known_admin, settled_at, problem
           FROM chats WHERE root_id = $1 AND id = $2"#,
        root.0,
        chat.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Chat::from))
}

/// Returns the chats of items; most items have none.
pub async fn of_items(
    connection: &mut PgConnection,
    items: &[(RootId, ItemId)],
) -> Result<Vec<(RootId, Chat)>, StoreError> {
    let (roots, ids): (Vec<i64>, Vec<i64>) =
        items.iter().map(|(root, item)| (root.0, item.0)).unzip();
    let rows = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", id AS "id: ChatId", item_id AS "item: ItemId", connection_id AS "connection: ConnectionId",
                  remote_id, url, history, state, created_by AS "created_by: PersonId", created_at, known_title, known_admin, settled_at, problem
           FROM unnest($1::bigint[], $2::bigint[]) AS wanted (root, item)
           JOIN chats ON chats.item_id = wanted.item AND chats.root_id = wanted.root"#,
        &roots,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let chat = Row {
                id: row.id,
                item: row.item,
                connection: row.connection,
                remote_id: row.remote_id,
                url: row.url,
                history: row.history,
                state: row.state,
                created_by: row.created_by,
                created_at: row.created_at,
                known_title: row.known_title,
                known_admin: row.known_admin,
                settled_at: row.settled_at,
                problem: row.problem,
            };
            (row.root, chat.into())
        })
        .collect())
}

/// Returns the tenant and the chat of a messenger's room.
pub async fn of_room(
    connection: &mut PgConnection,
    on: ConnectionId,
    remote_id: &str,
) -> Result<Option<(RootId, ChatId)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", id AS "id: ChatId" FROM chats WHERE connection_id = $1 AND remote_id = $2"#,
        on.0,
        remote_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.root, row.id)))
}

/// Notes that an item is to have a chat; the room itself is made when it is settled.
///
/// # Errors
/// A conflict where it has one already.
pub async fn create(
    connection: &mut PgConnection,
    root: RootId,
    new: NewChat,
) -> Result<ChatId, StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO chats (root_id, item_id, connection_id, history, state, created_by, created_at)
           VALUES ($1, $2, $3, $4, 'open', $5, $6) RETURNING id AS "id: ChatId""#,
        root.0,
        new.item.0,
        new.connection.0,
        new.history.word(),
        new.by.map(|person| person.0),
        new.at,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Opens and closes the chats of items that changed, as the items are now: one that is archived or gone has its chat closed. Returns them.
///
/// A room that is gone stays so until it is asked for again.
pub async fn follow(
    connection: &mut PgConnection,
    root: RootId,
    items: &[i64],
) -> Result<Vec<(ChatId, ConnectionId)>, StoreError> {
    let rows = sqlx::query!(
        r#"UPDATE chats SET state = CASE
               WHEN state = 'gone' THEN state
               WHEN (SELECT true FROM items WHERE root_id = $1 AND id = chats.item_id AND items.state = 'active' LIMIT 1) THEN 'open'
               ELSE 'closed' END
           WHERE root_id = $1 AND item_id = ANY($2)
           RETURNING id AS "id: ChatId", connection_id AS "connection: ConnectionId""#,
        root.0,
        items,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.connection))
        .collect())
}

/// Has a chat be there that may be closed or gone; a room that is gone is made anew.
pub async fn reopen(
    connection: &mut PgConnection,
    root: RootId,
    chat: ChatId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE chats SET remote_id = CASE WHEN state = 'gone' THEN NULL ELSE remote_id END, state = 'open' WHERE root_id = $1 AND id = $2",
        root.0,
        chat.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the chat of an item to another one, if that has none; returns it.
pub async fn hand_over(
    connection: &mut PgConnection,
    root: RootId,
    (from, to): (ItemId, ItemId),
) -> Result<Option<(ChatId, ConnectionId)>, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE chats SET item_id = $3
           WHERE root_id = $1 AND item_id = $2 AND NOT EXISTS (SELECT FROM chats AS other WHERE other.root_id = $1 AND other.item_id = $3)
           RETURNING id AS "id: ChatId", connection_id AS "connection: ConnectionId""#,
        root.0,
        from.0,
        to.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.id, row.connection)))
}
