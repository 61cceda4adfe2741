//! Puts what the tracker told into its place, and has follow what has to.

use std::time::Duration;

use sqlx::PgPool;

use crate::{
    connector::gitlab,
    domain::{DeliveryId, Effect, EffectId, Namespaces, ProjectFacts, Queue, ReplyId},
    queue::{self, NewEffect, Signal},
    store::{
        StoreError,
        place::{self, Finder, Placement},
    },
};

/// How often is tried anew because something changed meanwhile.
const ROUNDS: usize = 5;

/// What the tracker told.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// A project.
    Project(&'a ProjectFacts),
    /// A group, as the last of a path.
    Group(&'a Namespaces),
}

/// Why something is put into its place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reason<'a> {
    /// The delivery that it follows from.
    pub delivery: Option<DeliveryId>,
    /// The sender's id of the event, which goes back with the calls that follow.
    pub cause: Option<&'a str>,
}

/// Puts it into its place, commits that, and wakes whoever has work now. With `dry_run` nothing is committed.
pub async fn put(
    pool: &PgPool,
    finder: &Finder<'_>,
    told: Told<'_>,
    reason: Reason<'_>,
    dry_run: bool,
) -> Result<Placement, StoreError> {
    let mut rounds = 1;
    loop {
        match once(pool, finder, told, reason, dry_run).await {
            Err(StoreError::Conflict { constraint }) if rounds < ROUNDS => {
                tracing::debug!(constraint, "met another change; looking again");
                rounds += 1;
            }
            done => return done,
        }
    }
}

async fn once(
    pool: &PgPool,
    finder: &Finder<'_>,
    told: Told<'_>,
    reason: Reason<'_>,
    dry_run: bool,
) -> Result<Placement, StoreError> {
    let mut tx = pool.begin().await?;
    let placement = match told {
        Told::Project(facts) => place::place_project(&mut tx, finder, facts).await?,
        Told::Group(namespaces) => place::place_group(&mut tx, finder, namespaces).await?,
    };
    if dry_run {
        tx.rollback().await?;
        return Ok(placement);
    }
    let mut signals = Vec::new();
    for followers in &placement.followers {
        let opened = queue::follow(&mut tx, followers).await?;
        signals.extend(
            opened
                .into_iter()
                .map(|(queue, on)| Signal::Work(queue, on)),
        );
        if !followers.webhooks.is_empty() {
            signals.push(Signal::Webhooks);
        }
    }
    let notes = notes(finder, &placement, reason);
    if let Some(root) = placement.root.filter(|_| !notes.is_empty()) {
        let now = finder.clock.now();
        queue::enqueue(&mut tx, root, notes, now, Duration::ZERO).await?;
        signals.push(Signal::Work(Queue::Reply, finder.on));
    }
    tx.commit().await?;
    wake(pool, &signals).await;
    Ok(placement)
}

/// The notes for issues whose contacts did not come along.
fn notes(finder: &Finder<'_>, placement: &Placement, reason: Reason<'_>) -> Vec<NewEffect> {
    let (clock, on) = (finder.clock, finder.on);
    let notes = placement.lost.iter().map(|(project, lost)| NewEffect {
        id: EffectId(clock.id()),
        delivery: reason.delivery,
        connection: on,
        lane: gitlab::issue_lane(on, project, lost.issue),
        effect: Effect::TellRemoved {
            project: project.clone(),
            issue: lost.issue,
            contacts: usize::try_from(lost.items).unwrap_or_default(),
            note: ReplyId(clock.id()),
            cause: reason.cause.map(str::to_owned),
        },
        lease: None,
    });
    notes.collect()
}

/// Tells every process, this one too, that there is something to look at.
async fn wake(pool: &PgPool, signals: &[Signal]) {
    for signal in signals {
        if let Err(error) = queue::notify(pool, *signal).await {
            tracing::debug!(%error, "a wake-up could not be sent; the poll finds the work");
        }
    }
}
