//! Comments that held commands, with the answer to each.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::StoreError;
use crate::{
    domain::{ConnectionId, IssueId, ReplyId, RootId},
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
    /// Whether the comment itself is hidden from readers who may see the issue.
    pub is_internal: bool,
    /// Whether the answer stands apart from the thread, hidden from those readers.
    pub reply_internal: bool,
    /// Whether the answer names customers.
    pub reply_names: bool,
}

/// The answer to a comment as it is to be.
#[derive(Debug)]
pub struct Answer {
    /// Remote id of the note that holds it, once it is posted.
    pub note: Option<String>,
    /// Its lines.
    pub lines: Vec<String>,
    /// Whether it stands apart from the thread, hidden from some.
    pub internal: bool,
    /// Whether it names customers.
    pub names: bool,
    /// Whether the comment itself is hidden from some.
    pub comment_internal: bool,
}

/// Remembers versions of comments, each by its remote id and with its issue, and the answers to them. They are different comments.
pub async fn remember(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    comments: &[(IssueId, &str, &SeenComment)],
) -> Result<(), StoreError> {
    if comments.is_empty() {
        return Ok(());
    }
    let issues: Vec<i64> = comments.iter().map(|(issue, ..)| issue.0).collect();
    let ids: Vec<&str> = comments.iter().map(|(_, id, _)| *id).collect();
    let seen = || comments.iter().map(|(.., seen)| *seen);
    let versions: Vec<DateTime<Utc>> = seen().map(|seen| seen.version).collect();
    let commands: Vec<Json<&Vec<Signature>>> = seen().map(|seen| Json(&seen.commands)).collect();
    let replies: Vec<Uuid> = seen().map(|seen| seen.reply.0).collect();
    let lines: Vec<Json<&Vec<String>>> = seen().map(|seen| Json(&seen.reply_lines)).collect();
    let internal: Vec<bool> = seen().map(|seen| seen.is_internal).collect();
    let reply_internal: Vec<bool> = seen().map(|seen| seen.reply_internal).collect();
    let reply_names: Vec<bool> = seen().map(|seen| seen.reply_names).collect();
    sqlx::query!(
        "INSERT INTO comments (root_id, connection_id, issue_id, remote_id, version, commands, reply_id, reply_lines, is_internal, reply_internal, reply_names)
         SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::timestamptz[], $6::jsonb[], $7::uuid[], $8::jsonb[], $9::boolean[], $10::boolean[], $11::boolean[])
         ON CONFLICT (root_id, connection_id, remote_id) DO UPDATE
         SET version = excluded.version, commands = excluded.commands, reply_id = excluded.reply_id, reply_lines = excluded.reply_lines,
             is_internal = excluded.is_internal, reply_internal = excluded.reply_internal, reply_names = excluded.reply_names",
        root.0,
        on.0,
        &issues,
        &ids as &[&str],
        &versions,
        &commands as &[Json<&Vec<Signature>>],
        &replies,
        &lines as &[Json<&Vec<String>>],
        &internal,
        &reply_internal,
        &reply_names,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the answer to a comment, or none where the comment is forgotten.
pub async fn answer(
    connection: &mut PgConnection,
    (root, on): (RootId, ConnectionId),
    comment: &str,
) -> Result<Option<Answer>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT reply_remote_id, reply_lines AS "lines: Json<Vec<String>>", reply_internal, reply_names, is_internal FROM comments
           WHERE root_id = $1 AND connection_id = $2 AND remote_id = $3"#,
        root.0,
        on.0,
        comment,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Answer {
        note: row.reply_remote_id,
        lines: row.lines.0,
        internal: row.reply_internal,
        names: row.reply_names,
        comment_internal: row.is_internal,
    }))
}

/// An answer that stands in the tracker.
#[derive(Debug, Clone)]
pub struct PostedReply {
    /// Tenant.
    pub root: RootId,
    /// Remote id of the comment that is answered.
    pub comment: String,
    /// Remote id of the note that holds the answer.
    pub note: String,
}

/// Remembers which notes hold the answers.
pub async fn set_posted_replies(
    pool: &PgPool,
    on: ConnectionId,
    posted: &[PostedReply],
) -> sqlx::Result<()> {
    let roots: Vec<i64> = posted.iter().map(|posted| posted.root.0).collect();
    let comments: Vec<&str> = posted.iter().map(|posted| &*posted.comment).collect();
    let notes: Vec<&str> = posted.iter().map(|posted| &*posted.note).collect();
    sqlx::query!(
        "UPDATE comments SET reply_remote_id = known.note
         FROM (SELECT known.ctid, posted.note FROM unnest($2::bigint[], $3::text[], $4::text[]) AS posted (root_id, remote_id, note)
               CROSS JOIN LATERAL (
                   SELECT ctid FROM comments
                   WHERE comments.root_id = posted.root_id AND comments.connection_id = $1 AND comments.remote_id = posted.remote_id
                   LIMIT 1) AS known) AS known
         WHERE comments.ctid = known.ctid",
        on.0,
        &roots,
        &comments as &[&str],
        &notes as &[&str],
    )
    .execute(pool)
    .await?;
    Ok(())
}
