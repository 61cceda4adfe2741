//! Commands about people and items, in comments: what they need, and what follows from them.
//!
//! They take statements of their own, since they are rare and about a few items each. Comments that are decided on together may have them
//! in one only: another one would have to see what the first did.

use sqlx::PgConnection;

use super::{
    comment::Run,
    process::{Failure, Job},
};
use crate::{
    domain::{IssueId, Level, Via},
    queue::NewEffect,
    rules::{
        Access, Following, Needs, Operation, PastOperation, Place, WatchNeeds, WatchSnapshot,
        follow_ups,
    },
    store::{
        StoreError,
        commanded::{self, Spoken},
        item::{Moment, Scene},
        operation::{Act, Commanded},
    },
};

/// What one comment needs to know of people and items.
pub(super) struct Wish<'a> {
    spoken: Spoken,
    needs: &'a WatchNeeds,
    /// Items of operations that may be taken back.
    past: Vec<i64>,
}

impl<'a> Wish<'a> {
    /// Returns what the commands of a comment need.
    pub(super) fn of(
        run: &Run<'_>,
        issue: IssueId,
        (needs, operations): (&'a Needs, &[PastOperation]),
        access: Access,
    ) -> Self {
        let past = operations
            .iter()
            .take(needs.undo)
            .filter(|operation| operation.is_about_items())
            .flat_map(|operation| operation.items().map(|item| item.0));
        let job = run.posted.job;
        Self {
            spoken: Spoken {
                root: job.claimed.root,
                group: run.place.contact_group,
                issue: Some(issue),
                place: Place::Issue,
                actor: run.actor.person,
                is_member: access.contact_group.max(access.project) > Level::None,
                on: Some(job.remote.id),
            },
            needs: &needs.watch,
            past: past.collect(),
        }
    }

    fn is_empty(&self) -> bool {
        *self.needs == WatchNeeds::default() && self.past.is_empty()
    }
}

/// Loads what comments need of people and items.
///
/// # Errors
/// A conflict where several need something: they have to be decided on one after the other.
pub(super) async fn snapshots(
    connection: &mut PgConnection,
    wishes: Vec<Wish<'_>>,
) -> Result<Vec<WatchSnapshot>, StoreError> {
    if wishes.iter().filter(|wish| !wish.is_empty()).count() > 1 {
        return Err(StoreError::Conflict {
            constraint: "the items of several comments".to_owned(),
        });
    }
    let mut snapshots = Vec::with_capacity(wishes.len());
    for wish in wishes {
        // At most one of them asks the database.
        let snapshot = commanded::snapshot(connection, wish.spoken, wish.needs, &wish.past).await?;
        snapshots.push(snapshot);
    }
    Ok(snapshots)
}

/// Makes what the commands of comments change about people and chats; returns the effects that follow.
pub(super) async fn apply(
    job: &Job<'_>,
    connection: &mut PgConnection,
    moment: Moment,
    written: &[(Scene, &[Operation])],
) -> Result<Vec<NewEffect>, Failure> {
    let mut effects = Vec::new();
    let operations: Vec<(Scene, &Operation)> = written
        .iter()
        .flat_map(|(scene, operations)| operations.iter().map(|operation| (*scene, operation)))
        .filter(|(_, operation)| operation.watches())
        .collect();
    for (scene, operation) in operations {
        let act = act(moment, scene, operation);
        let following = commanded::apply(connection, &act, operation).await?;
        effects.extend(follow(job, connection, (&act, scene), &following).await?);
    }
    Ok(effects)
}

fn act(moment: Moment, scene: Scene, operation: &Operation) -> Act {
    Act {
        root: moment.root,
        group: scene.group,
        operation: operation.id,
        actor: Some(scene.actor),
        via: Via::QuickAction,
        at: moment.now,
        undoes: operation.undoes,
        command: Some(Commanded {
            word: operation.command.word(),
            issue: Some(scene.issue),
            delivery: scene.delivery,
        }),
    }
}

async fn follow(
    job: &Job<'_>,
    connection: &mut PgConnection,
    (act, scene): (&Act, Scene),
    following: &Following,
) -> Result<Vec<NewEffect>, Failure> {
    if following.is_empty() {
        return Ok(Vec::new());
    }
    let place = (act.root, act.group);
    let reachable = commanded::reachable(connection, place, following).await?;
    let why = (act.actor, act.via, act.operation);
    let clock = &*job.worker.clock;
    Ok(follow_ups(following, &reachable, why)
        .into_iter()
        .map(|follow_up| NewEffect::following(follow_up, Some(scene.delivery), clock))
        .collect())
}
