//! Messages that held commands, with their answers.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::StoreError;
use crate::domain::{ConnectionId, ReplyId};

/// A message whose commands were run.
#[derive(Debug)]
pub struct Said<'a> {
    /// Its id in the messenger.
    pub message: &'a str,
    /// The answer's own id.
    pub reply: ReplyId,
    /// The answer, a line per command.
    pub lines: &'a [String],
}

/// Returns whether the commands of a message were run before.
pub async fn is_known(
    connection: &mut PgConnection,
    on: ConnectionId,
    message: &str,
) -> Result<bool, StoreError> {
    Ok(answer(connection, on, message).await?.is_some())
}

/// Returns the answer to a message, or none where the message is forgotten.
pub async fn answer(
    connection: &mut PgConnection,
    on: ConnectionId,
    message: &str,
) -> Result<Option<Vec<String>>, StoreError> {
    let lines = sqlx::query_scalar!(
        r#"SELECT reply_lines AS "lines: Json<Vec<String>>" FROM chat_messages
           WHERE connection_id = $1 AND remote_id = $2"#,
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
    on: ConnectionId,
    said: &Said<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO chat_messages (connection_id, remote_id, reply_id, reply_lines, at) VALUES ($1, $2, $3, $4, $5)",
        on.0,
        said.message,
        said.reply.0,
        Json(said.lines) as _,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
