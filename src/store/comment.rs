//! Comments that held commands, with the answer to each.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::StoreError;
use crate::{
    domain::{ConnectionId, EffectId, IssueId, ReplyId, RootId},
    quick_action::Signature,
};

/// What is known of a comment.
#[derive(Debug, Clone)]
pub struct SeenComment {
    /// The version that was last acted on.
    pub version: DateTime<Utc>,
    /// The commands of that version.
    pub commands: Vec<Signature>,
    /// The answer's own id.
    pub reply: ReplyId,
    /// The answer so far, a line per command.
    pub reply_lines: Vec<String>,
    /// Whether the answer stands apart from the thread, hidden from some.
    pub reply_internal: bool,
}

/// Remembers a version of a comment and the answer to it.
pub async fn remember(
    connection: &mut PgConnection,
    (root, on, issue): (RootId, ConnectionId, IssueId),
    remote_id: &str,
    comment: &SeenComment,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO comments (root_id, connection_id, remote_id, issue_id, version, commands, reply_id, reply_lines, reply_internal)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (root_id, connection_id, remote_id) DO UPDATE
         SET version = excluded.version, commands = excluded.commands, reply_id = excluded.reply_id, reply_lines = excluded.reply_lines,
             reply_internal = excluded.reply_internal",
        root.0,
        on.0,
        remote_id,
        issue.0,
        comment.version,
        Json(&comment.commands) as _,
        comment.reply.0,
        Json(&comment.reply_lines) as _,
        comment.reply_internal,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the remote id of the note that holds an answer, once it is posted.
pub async fn posted_reply(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    comment: &str,
) -> Result<Option<String>, StoreError> {
    let id = sqlx::query_scalar!(
        "SELECT reply_remote_id FROM comments WHERE root_id = $1 AND connection_id = $2 AND remote_id = $3",
        root.0,
        on.0,
        comment,
    )
    .fetch_optional(connection)
    .await?;
    Ok(id.flatten())
}

/// Returns whether a later text of an answer was posted than the one of `effect`.
pub async fn is_superseded(
    connection: &mut PgConnection,
    root: RootId,
    effect: EffectId,
    reply: ReplyId,
) -> Result<bool, StoreError> {
    let superseded = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM effects WHERE root_id = $1 AND id > $2 AND queue = 'reply' AND state = 'done' AND payload ->> 'reply' = $3) AS "superseded!""#,
        root.0,
        effect.0,
        reply.to_string(),
    )
    .fetch_one(connection)
    .await?;
    Ok(superseded)
}

/// Remembers which note holds the answer.
pub async fn set_posted_reply(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    comment: &str,
    note: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE comments SET reply_remote_id = $4 WHERE root_id = $1 AND connection_id = $2 AND remote_id = $3",
        root.0,
        on.0,
        comment,
        note,
    )
    .execute(connection)
    .await?;
    Ok(())
}
