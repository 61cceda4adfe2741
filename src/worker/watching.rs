//! Commands about people and items, in a comment: what they need, and what follows from them.

use sqlx::PgConnection;

use super::process::{Failure, Job};
use crate::{
    domain::{OperationId, Via},
    queue::NewEffect,
    rules::{Following, Operation, follow_ups},
    store::{
        commanded,
        item::{Moment, Scene},
        operation::{Act, Commanded},
    },
};

/// Makes what the commands of a comment change about people and chats; returns the effects that follow.
pub(super) async fn apply(
    job: &Job<'_>,
    connection: &mut PgConnection,
    about: (Moment, Scene),
    operations: &[Operation],
) -> Result<Vec<NewEffect>, Failure> {
    let mut effects = Vec::new();
    for operation in operations {
        let act = act(about, operation);
        let following = commanded::apply(connection, &act, operation).await?;
        effects.extend(follow(job, connection, (&act, operation.id), &following).await?);
    }
    Ok(effects)
}

fn act((moment, scene): (Moment, Scene), operation: &Operation) -> Act {
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
    (act, operation): (&Act, OperationId),
    following: &Following,
) -> Result<Vec<NewEffect>, Failure> {
    if following.is_empty() {
        return Ok(Vec::new());
    }
    let place = (act.root, act.group);
    let reachable = commanded::reachable(connection, place, following).await?;
    let why = (act.actor, act.via, operation);
    let clock = &*job.worker.clock;
    Ok(follow_ups(following, &reachable, why)
        .into_iter()
        .map(|follow_up| NewEffect::following(follow_up, Some(job.delivery.id), clock))
        .collect())
}
