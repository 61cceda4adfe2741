//! Puts groups and projects where their tracker says they are.
//!
//! A look-up, an event and a reconciliation all end here, so that they end the same: what is met for the first time is added, what has
//! another path is renamed with all below it, what is somewhere else is moved ([`super::transfer`]), also from another root group. It
//! has happened at the tracker, which asked for the mover's rights, so nobody's are asked here.

mod gone;
mod home;
mod known;
mod path;
mod placing;

use chrono::{DateTime, Utc};
use placing::Placing;
use serde::Serialize;
use sqlx::PgConnection;

use super::{
    StoreError,
    transfer::{LostRelations, Mover, TransferReport},
};
use crate::domain::{
    Clock, ConnectionId, Followers, Namespaces, OperationId, PersonId, ProjectFacts, RootId, Via,
};

pub use gone::{Forgotten, forget_group, forget_project};
pub use known::{KnownGroup, KnownProject, KnownTree, known};

/// Something of the tree that was not as the tracker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shift {
    /// What it is.
    pub what: Kind,
    /// What was done about it.
    pub done: Done,
    /// Where it was; none for what is new.
    pub from: Option<String>,
    /// Where it is.
    pub to: String,
    /// What moved along, for what moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<TransferReport>,
}

/// A group or a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A group.
    Group,
    /// A project.
    Project,
}

impl Kind {
    /// Returns the word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Project => "project",
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It is new.
    Added,
    /// It has another path, name or visibility.
    Changed,
    /// It is in another group.
    Moved,
}

/// What came of putting something in its place.
#[derive(Debug, Default)]
pub struct Placement {
    /// The tenant it is in; none for one that is not Liaison's.
    pub root: Option<RootId>,
    /// What was not as it is now, in the order in which it was set right.
    pub shifts: Vec<Shift>,
    /// What has to follow in the queues.
    pub followers: Vec<Followers>,
    /// Issues whose contacts did not come along: remote id of the project, and which.
    pub lost: Vec<(String, LostRelations)>,
}

/// Who found out, on which tracker, and when.
#[derive(Debug, Clone, Copy)]
pub struct Finder<'a> {
    /// The tracker.
    pub on: ConnectionId,
    /// The tenant that asks: where several stand for the same namespace, its own tree is meant.
    pub own: RootId,
    /// The person, where one is known.
    pub actor: Option<PersonId>,
    /// Through what.
    pub via: Via,
    /// Time and ids.
    pub clock: &'a dyn Clock,
}

impl Finder<'_> {
    fn mover(&self) -> Mover {
        Mover {
            operation: OperationId(self.clock.id()),
            actor: self.actor,
            via: self.via,
            now: self.clock.now(),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// Puts a project where its tracker says it is, with the groups between.
///
/// # Errors
/// Fails with a conflict where something changed meanwhile; the caller rolls back and may try again.
pub async fn place_project(
    connection: &mut PgConnection,
    finder: &Finder<'_>,
    project: &ProjectFacts,
) -> Result<Placement, StoreError> {
    let mut placing =
        Placing::begin(connection, finder, &project.namespaces, Some(project)).await?;
    match placing.walk(&project.namespaces).await? {
        Some(group) => placing.project(&group, project).await?,
        None => placing.left(project).await?,
    }
    Ok(placing.placement)
}

/// Puts a group where its tracker says it is, with the groups it is in.
///
/// # Errors
/// As for [`place_project`].
pub async fn place_group(
    connection: &mut PgConnection,
    finder: &Finder<'_>,
    namespaces: &Namespaces,
) -> Result<Placement, StoreError> {
    let mut placing = Placing::begin(connection, finder, namespaces, None).await?;
    placing.walk(namespaces).await?;
    Ok(placing.placement)
}

/// Has the places of a tenant's projects asked anew when they are next met: those of one remote id, or all.
pub async fn doubt(
    connection: &mut PgConnection,
    root: RootId,
    on: ConnectionId,
    project: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE projects SET checked_at = '-infinity' WHERE root_id = $1 AND connection_id = $2 AND ($3::text IS NULL OR remote_id = $3)",
        root.0,
        on.0,
        project,
    )
    .execute(connection)
    .await?;
    Ok(())
}
