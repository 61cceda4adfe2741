//! Messages that held commands, with their answers; and the people whom they name.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::StoreError;
use crate::domain::{ConnectionId, PersonId, ReplyId, RootId};

/// A message whose commands were run.
#[derive(Debug)]
pub struct Said<'a> {
    /// Its id in the messenger.
    pub message: &'a str,
    /// The chat's id there.
    pub room: &'a str,
    /// The answer's own id.
    pub reply: ReplyId,
    /// The answer, a line per command.
    pub lines: &'a [String],
}

/// Returns whether the commands of a message were run before.
pub async fn is_known(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    message: &str,
) -> Result<bool, StoreError> {
    Ok(answer(connection, (root, on), message).await?.is_some())
}

/// Returns the answer to a message, or none where the message is forgotten.
pub async fn answer(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    message: &str,
) -> Result<Option<Vec<String>>, StoreError> {
    let lines = sqlx::query_scalar!(
        r#"SELECT reply_lines AS "lines: Json<Vec<String>>" FROM chat_messages
           WHERE root_id = $1 AND connection_id = $2 AND remote_id = $3"#,
        root.0,
        on.0,
        message,
    )
    .fetch_optional(connection)
    .await?;
    Ok(lines.map(|lines| lines.0))
}

/// Remembers a message and its answer; one that is known is a conflict.
pub async fn remember(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    said: &Said<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO chat_messages (root_id, connection_id, remote_id, room, reply_id, reply_lines, at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        root.0,
        on.0,
        said.message,
        said.room,
        said.reply.0,
        Json(said.lines) as _,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the people behind names as they are typed in a messenger: addresses, ids there, or usernames with or without `@`, first those there
/// and then those of Liaison. A name that several have names nobody.
pub async fn find_people(
    connection: &mut PgConnection,
    on: ConnectionId,
    typed: &[String],
) -> Result<HashMap<String, PersonId>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT typed AS "typed!", min(person) AS "person!: PersonId"
           FROM (SELECT typed, person, rank, min(rank) OVER (PARTITION BY typed) AS best
                 FROM unnest($2::text[]) AS typed
                 CROSS JOIN LATERAL (
                     SELECT person_id AS person, 1 AS rank FROM identities
                     WHERE connection_id = $1 AND (remote_id = typed OR lower(username) = lower(ltrim(typed, '@'))) AND NOT is_bot
                     UNION ALL
                     SELECT id, 2 FROM people WHERE lower(people.username) = lower(ltrim(typed, '@'))
                     UNION ALL
                     SELECT id, 2 FROM people WHERE lower(people.email) = lower(typed)) AS named
                 JOIN people ON people.id = named.person AND people.active) AS found
           WHERE rank = best GROUP BY typed HAVING count(DISTINCT person) = 1"#,
        on.0,
        typed,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.typed, row.person))
        .collect())
}

/// Returns what people are called.
pub async fn names(
    connection: &mut PgConnection,
    people: &[PersonId],
) -> Result<Vec<(PersonId, String)>, StoreError> {
    let ids: Vec<i64> = people.iter().map(|person| person.0).collect();
    let rows = sqlx::query!(
        r#"SELECT id AS "id: PersonId", name FROM people WHERE id = ANY($1)"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}
