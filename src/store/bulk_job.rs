//! Changes of many items: how far each is, and who works it until when.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};

use super::{StoreError, item_list::ItemFilter};
use crate::{
    domain::{BulkJobId, GroupId, Happening, ItemId, News, OperationId, PersonId, RootId, Via},
    rules::WatchTask,
};

/// What is done to which items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkTask {
    /// What is done.
    pub task: WatchTask,
    /// To which items.
    pub items: Selection,
}

/// Which items are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These, in the order of their ids.
    Ids(Vec<i64>),
    /// All that match, on every page.
    Filter(ItemFilter),
}

/// A change of many items.
#[derive(Debug, Clone)]
pub struct Job {
    /// Tenant.
    pub root: RootId,
    /// Its id.
    pub id: BulkJobId,
    /// The group whose items it changes.
    pub group: GroupId,
    /// By which it is found in the history, and taken back as a whole.
    pub operation: OperationId,
    /// Who wants it.
    pub actor: PersonId,
    /// Through what.
    pub via: Via,
    /// What is done.
    pub task: BulkTask,
    /// running, done, stopped or failed.
    pub state: String,
    /// The last item that was worked.
    pub after: i64,
    /// How many items there were to work when it began.
    pub total: i64,
    /// How many are worked.
    pub worked: i64,
    /// How many of those changed.
    pub changed: i64,
    /// How many could not be changed.
    pub refused: i64,
    /// How many chats have to follow.
    pub chats: i64,
    /// Why it failed.
    pub problem: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A job that is asked for.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Tenant.
    pub root: RootId,
    /// The group whose items it changes.
    pub group: GroupId,
    /// Its operation.
    pub operation: OperationId,
    /// Who wants it.
    pub actor: PersonId,
    /// Through what.
    pub via: Via,
    /// What is done.
    pub task: BulkTask,
    /// How many items there are to work.
    pub total: i64,
    /// When.
    pub at: DateTime<Utc>,
}

/// What came of one page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last item of it.
    pub after: i64,
    /// How many items were looked at.
    pub worked: i64,
    /// How many changed.
    pub changed: i64,
    /// How many could not be.
    pub refused: i64,
    /// How many chats have to follow.
    pub chats: i64,
}

struct Row {
    root: RootId,
    id: BulkJobId,
    group: GroupId,
    operation: OperationId,
    actor: PersonId,
    via: String,
    task: Json<BulkTask>,
    state: String,
    after: i64,
    total: i64,
    worked: i64,
    changed: i64,
    refused: i64,
    chats: i64,
    problem: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Row> for Job {
    fn from(row: Row) -> Self {
        Self {
            root: row.root,
            id: row.id,
            group: row.group,
            operation: row.operation,
            actor: row.actor,
            via: Via::from_word(&row.via),
            task: row.task.0,
            state: row.state,
            after: row.after,
            total: row.total,
            worked: row.worked,
            changed: row.changed,
            refused: row.refused,
            chats: row.chats,
            problem: row.problem,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}

/// Asks for a job; returns its id.
pub async fn create(connection: &mut PgConnection, new: &NewJob) -> Result<BulkJobId, StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO bulk_jobs (root_id, operation, actor_id, via, group_id, task, total, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id AS "id: BulkJobId""#,
        new.root.0,
        new.operation.0,
        new.actor.0,
        new.via.word(),
        new.group.0,
        Json(&new.task) as _,
        new.total,
        new.at,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Ends the leases of a process that is dead, so that its jobs are gone on with at once.
pub async fn take_over(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("UPDATE bulk_jobs SET lease_until = NULL WHERE state = 'running'")
        .execute(connection)
        .await?;
    Ok(())
}

/// Leases the oldest job that nobody works, whose worker may be dead.
pub async fn claim(
    connection: &mut PgConnection,
    lease: Duration,
) -> Result<Option<Job>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"UPDATE bulk_jobs SET lease_until = now() + make_interval(secs => $1)
           WHERE (root_id, id) = (
               SELECT root_id, id FROM bulk_jobs WHERE state = 'running' AND (lease_until IS NULL OR lease_until < now())
               ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING root_id AS "root: RootId", id AS "id: BulkJobId", group_id AS "group: GroupId", operation AS "operation: OperationId",
                     actor_id AS "actor: PersonId", via, task AS "task: Json<BulkTask>", state, after_id AS after, total, worked, changed,
                     refused, chats, problem, created_at, finished_at"#,
        lease.as_secs_f64(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Job::from))
}

/// Returns a job as it is, locked where it is about to be worked or stopped.
pub async fn lock(connection: &mut PgConnection, id: BulkJobId) -> Result<Option<Job>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT root_id AS "root: RootId", id AS "id: BulkJobId", group_id AS "group: GroupId", operation AS "operation: OperationId",
                  actor_id AS "actor: PersonId", via, task AS "task: Json<BulkTask>", state, after_id AS after, total, worked, changed,
                  refused, chats, problem, created_at, finished_at
           FROM bulk_jobs WHERE id = $1 FOR NO KEY UPDATE"#,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Job::from))
}

/// Returns a job as it is.
pub async fn find(connection: &mut PgConnection, id: BulkJobId) -> Result<Option<Job>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT root_id AS "root: RootId", id AS "id: BulkJobId", group_id AS "group: GroupId", operation AS "operation: OperationId",
                  actor_id AS "actor: PersonId", via, task AS "task: Json<BulkTask>", state, after_id AS after, total, worked, changed,
                  refused, chats, problem, created_at, finished_at
           FROM bulk_jobs WHERE id = $1"#,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Job::from))
}

/// Returns whether an operation is a job that is still worked.
pub async fn is_running(
    connection: &mut PgConnection,
    root: RootId,
    operation: OperationId,
) -> Result<bool, StoreError> {
    let running = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM bulk_jobs WHERE state = 'running' AND root_id = $1 AND operation = $2) AS "running!""#,
        root.0,
        operation.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(running)
}

/// Notes what came of a page, and keeps the lease.
pub async fn advance(
    connection: &mut PgConnection,
    job: &Job,
    progress: Progress,
    lease: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE bulk_jobs SET after_id = $3, worked = worked + $4, changed = changed + $5, refused = refused + $6, chats = chats + $7,
                lease_until = clock_timestamp() + make_interval(secs => $8)
         WHERE root_id = $1 AND id = $2",
        job.root.0,
        job.id.0,
        progress.after,
        progress.worked,
        progress.changed,
        progress.refused,
        progress.chats,
        lease.as_secs_f64(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a job.
pub async fn end(
    connection: &mut PgConnection,
    job: &Job,
    (state, problem): (&'static str, Option<&str>),
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE bulk_jobs SET state = $3, problem = $4, finished_at = $5, lease_until = NULL WHERE root_id = $1 AND id = $2",
        job.root.0,
        job.id.0,
        state,
        problem,
        at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns what an operation did to each person, counted from the history: whom it concerns, how, with how many items, and the first of
/// those. Whoever did it is left out.
pub async fn digest(
    connection: &mut PgConnection,
    root: RootId,
    operation: OperationId,
) -> Result<Vec<(PersonId, News)>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH told AS (
               SELECT (detail ->> 'person')::bigint AS person, item_id,
                      CASE action WHEN 'observer_removed' THEN 'observing_no_longer' ELSE 'observing' END AS what
               FROM history
               WHERE root_id = $1 AND operation = $2
                 AND (action IN ('observer_added', 'observer_removed')
                      OR action = 'observer_changed' AND NOT (detail -> 'before' ->> 'in_chat')::boolean AND (detail -> 'after' ->> 'in_chat')::boolean)
                 -- Whoever was responsible and observes on is told of that alone. Asked once: an operation of this kind does one thing.
                 AND NOT EXISTS (SELECT FROM history AS given
                                 WHERE given.root_id = $1 AND given.operation = $2 AND given.action = 'responsible_changed')
               UNION ALL
               SELECT (detail -> 'before' ->> 'responsible')::bigint, item_id, 'responsible_no_longer' FROM history
               WHERE root_id = $1 AND operation = $2 AND action = 'responsible_changed'
               UNION ALL
               SELECT (detail -> 'after' ->> 'responsible')::bigint, item_id, 'responsible' FROM history
               WHERE root_id = $1 AND operation = $2 AND action = 'responsible_changed')
           SELECT person AS "person!: PersonId", what AS "what!", count(*) AS "count!",
                  (array_agg(item_id ORDER BY item_id))[1:$3] AS "items!: Vec<ItemId>"
           FROM told
           WHERE person IS NOT NULL AND person <> (SELECT actor_id FROM bulk_jobs WHERE root_id = $1 AND operation = $2 LIMIT 1)
           GROUP BY person, what ORDER BY person, what"#,
        root.0,
        operation.0,
        i32::try_from(News::NAMED).unwrap_or(i32::MAX),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let what = match row.what.as_str() {
                "observing_no_longer" => Happening::ObservingNoLonger,
                "responsible" => Happening::Responsible,
                "responsible_no_longer" => Happening::ResponsibleNoLonger,
                _ => Happening::Observing,
            };
            let news = News {
                what,
                items: row.items,
                count: u64::try_from(row.count).unwrap_or_default(),
            };
            (row.person, news)
        })
        .collect())
}
