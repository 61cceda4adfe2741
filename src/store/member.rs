//! Who was in a messenger's room when it was last looked at. One who is missing there left; one who is there and was not, came.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::{
    domain::{ChatId, ConnectionId, ItemId, PersonId, RootId},
    rules::{MemberStanding, SeenMember},
};

/// Returns who was in a room when it was last looked at.
pub async fn seen(
    connection: &mut PgConnection,
    root: RootId,
    chat: ChatId,
) -> Result<Vec<SeenMember>, StoreError> {
    let rows = sqlx::query!(
        "SELECT remote_id, standing FROM chat_members WHERE root_id = $1 AND chat_id = $2 ORDER BY remote_id",
        root.0,
        chat.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| SeenMember {
            standing: MemberStanding::from_word(&row.standing),
            user: row.remote_id,
        })
        .collect())
}

/// Somebody in a room, as it is remembered.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// His id in the messenger.
    pub user: String,
    /// Why he is there.
    pub standing: MemberStanding,
    /// Whether he was asked to come and has not answered yet.
    pub invited: bool,
    /// Who added him, in the messenger's ids.
    pub added_by: Option<String>,
}

/// Remembers who is in a room: these and no others.
pub async fn remember(
    connection: &mut PgConnection,
    (root, chat): (RootId, ChatId),
    members: &[Remembered],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let users: Vec<&str> = members.iter().map(|one| &*one.user).collect();
    sqlx::query!(
        "DELETE FROM chat_members WHERE root_id = $1 AND chat_id = $2 AND remote_id <> ALL($3)",
        root.0,
        chat.0,
        &users as &[&str],
    )
    .execute(&mut *connection)
    .await?;
    add(connection, (root, chat), members, now).await
}

/// Remembers that some are in a room.
pub async fn add(
    connection: &mut PgConnection,
    (root, chat): (RootId, ChatId),
    members: &[Remembered],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if members.is_empty() {
        return Ok(());
    }
    let users: Vec<&str> = members.iter().map(|one| &*one.user).collect();
    let standings: Vec<&str> = members.iter().map(|one| one.standing.word()).collect();
    let presences: Vec<&str> = members
        .iter()
        .map(|one| if one.invited { "invited" } else { "joined" })
        .collect();
    let added_by: Vec<Option<&str>> = members.iter().map(|one| one.added_by.as_deref()).collect();
    sqlx::query!(
        "INSERT INTO chat_members (root_id, chat_id, remote_id, standing, presence, added_by, since)
         SELECT $1, $2, remote_id, standing, presence, added_by, $7
         FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS new (remote_id, standing, presence, added_by)
         ON CONFLICT (root_id, chat_id, remote_id) DO UPDATE
         SET standing = excluded.standing, presence = excluded.presence, added_by = coalesce(excluded.added_by, chat_members.added_by)",
        root.0,
        chat.0,
        &users as &[&str],
        &standings as &[&str],
        &presences as &[&str],
        &added_by as &[Option<&str>],
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets that some were in a room, since they were put out.
pub async fn remove(
    connection: &mut PgConnection,
    (root, chat): (RootId, ChatId),
    users: &[String],
) -> Result<(), StoreError> {
    if users.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "DELETE FROM chat_members WHERE root_id = $1 AND chat_id = $2 AND remote_id = ANY($3)",
        root.0,
        chat.0,
        users,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the open chats in whose rooms a user is, of whom it was not known who he is.
pub async fn of_stranger(
    connection: &mut PgConnection,
    on: ConnectionId,
    user: &str,
) -> Result<Vec<(RootId, ChatId)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT chats.root_id AS "root: RootId", chats.id AS "id: ChatId"
           FROM chat_members JOIN chats ON chats.root_id = chat_members.root_id AND chats.id = chat_members.chat_id
           WHERE chats.connection_id = $1 AND chats.state = 'open' AND chat_members.remote_id = $2 AND standing = 'stranger'"#,
        on.0,
        user,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root, row.id)).collect())
}

/// Returns the open chats in whose rooms a user is known to be.
pub async fn of_user(
    connection: &mut PgConnection,
    on: ConnectionId,
    user: &str,
) -> Result<Vec<(RootId, ChatId)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT chats.root_id AS "root: RootId", chats.id AS "id: ChatId"
           FROM chat_members JOIN chats ON chats.root_id = chat_members.root_id AND chats.id = chat_members.chat_id
           WHERE chats.connection_id = $1 AND chats.state = 'open' AND chat_members.remote_id = $2"#,
        on.0,
        user,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root, row.id)).collect())
}

/// Forgets that people were seen in the chats of items, since they are to be there from now on: whoever left, unnoticed, is put in again.
pub async fn forget(
    connection: &mut PgConnection,
    root: RootId,
    wanted: &[(ItemId, PersonId)],
) -> Result<(), StoreError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let (items, people): (Vec<i64>, Vec<i64>) = wanted
        .iter()
        .map(|(item, person)| (item.0, person.0))
        .unzip();
    sqlx::query!(
        "DELETE FROM chat_members USING unnest($2::bigint[], $3::bigint[]) AS wanted (item, person), chats, identities
         WHERE chats.root_id = $1 AND chats.item_id = wanted.item
           AND identities.connection_id = chats.connection_id AND identities.person_id = wanted.person
           AND chat_members.root_id = $1 AND chat_members.chat_id = chats.id AND chat_members.remote_id = identities.remote_id",
        root.0,
        &items,
        &people,
    )
    .execute(connection)
    .await?;
    Ok(())
}
