//! Moves of groups and projects, within a root group and from one to another.
//!
//! A move is one transaction, all or nothing, made of statements over whole sets. What it will do is written down first (`plan`), so
//! that the report before and the one after are counted from the same rows; then it is done (`apply`).
//!
//! Items move along with a group, with their observers, links and chats: those that it held itself go. Of contacts and organizations, those
//! that its issues use and that somebody else holds are copied, and one that the new holder has already takes the place of the one that
//! comes. A project takes no contacts along.
//! Only issues of what moves are touched.
//!
//! Locks are taken on rows of the two tenants alone, in the order in which commands in comments take them. What waits in the queues
//! is not this room's: the caller has it follow ([`Followers`]) in the same transaction.

mod apply;
mod belongings;
mod plan;
mod project;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use super::{StoreError, group::Group};
use crate::domain::{Followers, GroupId, OperationId, PersonId, RootId, Via};

pub(super) use project::end_relations;
pub use project::{LostRelations, MovedProject, ProjectMove, project};

/// Who has something moved, when, and through what.
#[derive(Debug, Clone, Copy)]
pub struct Mover {
    /// The move's id in the history.
    pub operation: OperationId,
    /// The person, where one is known.
    pub actor: Option<PersonId>,
    /// Through what.
    pub via: Via,
    /// The moment.
    pub now: DateTime<Utc>,
}

/// A group that is to be elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct GroupMove<'a> {
    /// The tenant it is in.
    pub root: RootId,
    /// The group.
    pub group: GroupId,
    /// The group it is to be in; none makes it a root group.
    pub parent: Option<(RootId, GroupId)>,
    /// Its full path afterwards, which must be free.
    pub path: &'a str,
    /// Its full path in the tracker afterwards, where it stands for a namespace there.
    pub remote_path: Option<&'a str>,
}

/// How many contacts, organizations or other items fare how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fates {
    /// Go to the new root group.
    pub moved: i64,
    /// Go as a copy, since groups that stay use them too.
    pub copied: i64,
    /// Are there already: their issues are pointed at the one that is.
    pub merged: i64,
}

impl Fates {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a move does, the same before and after.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TransferReport {
    /// Groups that move, the one itself included.
    pub groups: i64,
    /// Projects of those.
    pub projects: i64,
    /// Issues of those that are known.
    pub issues: i64,
    /// Contacts.
    pub contacts: Fates,
    /// Organizations.
    pub organizations: Fates,
    /// Leads, deals, invoices and other items. They are never copied.
    pub items: Fates,
    /// Relations of moved issues that stay.
    pub relations_kept: i64,
    /// Relations that end: those of issues whose contacts do not come along.
    pub relations_removed: i64,
}

/// A group that was moved.
#[derive(Debug)]
pub struct MovedGroup {
    /// What was done.
    pub report: TransferReport,
    /// What has to follow.
    pub followers: Followers,
}

impl GroupMove<'_> {
    /// Returns the tenant that it will be in.
    fn new_root(&self) -> RootId {
        self.parent.map_or(RootId(self.group.0), |(root, _)| root)
    }
}

/// A group that somebody wants to move.
#[derive(Debug)]
pub struct Subject {
    /// The group.
    pub group: Group,
    /// The group it is in.
    pub parent: Option<GroupId>,
    /// Whether a tracker tells where it is.
    pub is_followed: bool,
}

impl Subject {
    /// Returns the last part of its path.
    pub fn segment(&self) -> &str {
        self.group.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Returns a group by its id, whichever tenant it is in: the caller checks what may be seen of it.
///
/// # Errors
/// Fails where the database does.
pub async fn subject(
    connection: &mut PgConnection,
    group: GroupId,
) -> Result<Option<Subject>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", path, parent_id AS "parent: GroupId", connection_id IS NOT NULL AS "followed!"
           FROM groups WHERE id = $1"#,
        group.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Subject {
        group: Group {
            root: row.root,
            id: row.id,
            path: row.path,
        },
        parent: row.parent,
        is_followed: row.followed,
    }))
}

/// Returns what a move would do, and does nothing.
///
/// # Errors
/// Fails where the database does.
pub async fn preview(
    connection: &mut PgConnection,
    operation: OperationId,
    what: &GroupMove<'_>,
) -> Result<TransferReport, StoreError> {
    patience(connection).await?;
    plan::write_groups(connection, operation, what).await?;
    plan::write_items(connection, operation).await?;
    let report = plan::report(connection, operation).await?;
    plan::erase(connection, operation).await?;
    Ok(report)
}

/// Moves a group with everything in it.
///
/// # Errors
/// Fails with a conflict where a contact with the same address was created in the new root meanwhile, or the path is taken; the caller
/// rolls back and may try again.
pub async fn group(
    connection: &mut PgConnection,
    mover: &Mover,
    what: &GroupMove<'_>,
) -> Result<MovedGroup, StoreError> {
    patience(connection).await?;
    lock_roots(connection, &[what.root, what.new_root()]).await?;
    plan::write_groups(connection, mover.operation, what).await?;
    // What is created or related until the locks are held is seen by the statements that come after.
    plan::lock(connection, mover.operation).await?;
    plan::write_items(connection, mover.operation).await?;
    let report = plan::report(connection, mover.operation).await?;
    let followers = apply::apply(connection, mover, what).await?;
    record(connection, mover, what.new_root(), &report).await?;
    plan::erase(connection, mover.operation).await?;
    check(connection).await?;
    Ok(MovedGroup { report, followers })
}

/// Has the moves of some tenants wait for each other; everything else in them goes on.
///
/// # Errors
/// Fails where the database does.
pub async fn lock_roots(connection: &mut PgConnection, roots: &[RootId]) -> Result<(), StoreError> {
    let roots: Vec<i64> = roots.iter().map(|root| root.0).collect();
    sqlx::query!(
        r#"SELECT 1 AS "one!" FROM groups WHERE root_id = ANY($1) AND id = root_id ORDER BY root_id FOR NO KEY UPDATE"#,
        &roots,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Lets the statements of this transaction take their time, and the references between what moves be checked at its end.
async fn patience(connection: &mut PgConnection) -> Result<(), StoreError> {
    for setting in [
        "SET LOCAL statement_timeout = 0",
        "SET CONSTRAINTS ALL DEFERRED",
        // Plans are made for the tables as they are now, not for those of another move.
        "SET LOCAL plan_cache_mode = force_custom_plan",
        "SET LOCAL enable_hashjoin = on",
    ] {
        sqlx::query(setting).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Checks the references now, so that one that does not hold is an error here and not at the commit.
async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
    for setting in [
        // Each reference is a look-up of its own, of which there are several for each contact: planned anew, they take ten times as long.
        "SET LOCAL plan_cache_mode = force_generic_plan",
        "SET CONSTRAINTS ALL IMMEDIATE",
    ] {
        sqlx::query(setting).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Ends the chains of moved issues between some projects and the rest of their tenant: across tenants only the tracker follows them.
async fn part(
    connection: &mut PgConnection,
    root: RootId,
    projects: &[i64],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE issues SET moved_to_id = NULL FROM issues AS next
         WHERE issues.root_id = $1 AND issues.moved_to_id IS NOT NULL AND next.root_id = $1 AND next.id = issues.moved_to_id
           AND (issues.project_id = ANY($2)) <> (next.project_id = ANY($2))",
        root.0,
        projects,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the move itself into the history: what it did, without an item.
async fn record(
    connection: &mut PgConnection,
    mover: &Mover,
    root: RootId,
    report: &TransferReport,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO history (root_id, operation, at, actor_id, via, action, detail) VALUES ($1, $2, $3, $4, $5, 'item_moved', $6)",
        root.0,
        mover.operation.0,
        mover.now,
        mover.actor.map(|person| person.0),
        mover.via.word(),
        Json(report) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
