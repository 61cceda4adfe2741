//! Decisions on comments of one tenant, with one transaction for the changes, history, answers, effects and deliveries of all of them.
//!
//! The same for one comment as for many, so that the number of statements does not depend on how many they are. Where one of several cannot
//! be decided on, or meets another change, nothing of any is committed, and the caller takes them one by one.

use sqlx::PgConnection;

use super::{
    comment::{Outcome, Posted, Run, Stance},
    lookup::Questions,
    outlet::Calls,
    process::{Failure, Job},
};
use crate::{
    domain::{EffectId, IssueId, RootId},
    queue::{self, InboxVerdict, NewEffect, Settled, Signal},
    rules::{Needs, Plan, Snapshot, needs, plan},
    store::{
        StoreError, access,
        comment::{self, Answer},
        history,
        item::{self, Moment, Wanted},
        road::{self, Fresh},
    },
};

/// Somebody who holds what one comment needs keeps the others waiting for a moment only: then each is decided on by itself.
const BEGIN_GROUP: &str = "BEGIN; SET LOCAL lock_timeout = 1000";

/// What came of deciding.
pub(super) struct Decided {
    /// Deliveries that are settled, and committed.
    pub(super) settled: Vec<Settled>,
    /// What has to be asked before another comment can be decided on; of several, the last one's.
    pub(super) questions: Option<Questions>,
}

/// Decides on comments, commits all that follows together with what came of their deliveries and with `ignored`, which needs no decision, and
/// has the calls made. A comment that needs questions is left out. All are of the tenant and the connection of `job`, and about different issues.
pub(super) async fn decide(
    job: &Job<'_>,
    posted: &[Posted<'_>],
    ignored: Vec<Settled>,
    fresh: Fresh,
) -> Result<Decided, Failure> {
    let mut decided = Decided {
        settled: ignored,
        questions: None,
    };
    if posted.is_empty() {
        let mut connection = job.worker.pool.acquire().await?;
        queue::settle(&mut connection, &decided.settled).await?;
        return Ok(decided);
    }
    let mut tx = match posted {
        [_] => job.worker.pool.begin().await?,
        _ => job.worker.pool.begin_with(BEGIN_GROUP).await?,
    };
    let root = job.claimed.root;
    let asked: Vec<_> = posted
        .iter()
        .map(|posted| (posted.job.delivery.webhook, posted.comment))
        .collect();
    let known = road::surroundings(&mut tx, (root, job.remote.id), &asked, fresh).await?;
    let mut runs = Vec::new();
    for (posted, known) in posted.iter().zip(known) {
        match posted.stance(known) {
            Stance::Ignore(reason) => {
                let verdict = InboxVerdict::Ignored(reason);
                decided.settled.push(posted.job.settled(verdict));
            }
            Stance::Ask(questions) => decided.questions = Some(questions),
            Stance::Act(run) => runs.push(*run),
        }
    }
    let issues = issues(&mut tx, root, &runs).await?;
    let plans = plans(&mut tx, job, &runs, &issues).await?;
    let outcomes: Vec<Outcome> = runs
        .iter_mut()
        .zip(plans)
        .map(|(run, plan)| run.conclude(plan))
        .collect();
    write(&mut tx, job, &runs, (&issues, &outcomes)).await?;
    let (effects, answers) = effects(&runs, &outcomes);
    let calls = Calls::put(job, &mut tx, effects).await?;
    let settled = runs.iter().zip(&outcomes);
    decided
        .settled
        .extend(settled.map(|(run, outcome)| run.posted.job.settled(outcome.verdict.clone())));
    if decided.settled.is_empty() {
        tx.rollback().await?;
        return Ok(decided);
    }
    queue::settle(&mut tx, &decided.settled).await?;
    tx.commit().await?;
    calls.make(answers);
    // Whoever has an issue open sees its contacts change.
    for (issue, outcome) in issues.iter().zip(&outcomes) {
        let plan = outcome.plan.as_ref();
        if plan.is_some_and(|plan| !plan.operations.is_empty()) {
            job.worker.wake.announce(Signal::IssueContacts(*issue));
        }
    }
    Ok(decided)
}

/// Returns the issues of comments, those brought up to date of which the comment says something new.
async fn issues(
    connection: &mut PgConnection,
    root: RootId,
    runs: &[Run<'_>],
) -> Result<Vec<IssueId>, StoreError> {
    let known = |run: &Run<'_>| {
        run.place
            .issue
            .and_then(|(id, is_current)| is_current.then_some(id))
    };
    let new: Vec<_> = runs
        .iter()
        .filter(|run| known(run).is_none())
        .map(|run| (run.place.project, &run.posted.comment.issue))
        .collect();
    let mut put = road::put_issues(connection, root, &new).await?.into_iter();
    Ok(runs
        .iter()
        .filter_map(|run| known(run).or_else(|| put.next()))
        .collect())
}

/// Loads what commands need and decides on them, for each comment that has some.
async fn plans(
    connection: &mut PgConnection,
    job: &Job<'_>,
    runs: &[Run<'_>],
    issues: &[IssueId],
) -> Result<Vec<Option<Plan>>, StoreError> {
    let (root, clock) = (job.claimed.root, &*job.worker.clock);
    let needs: Vec<Needs> = runs.iter().map(|run| needs(&run.new)).collect();
    let of_runs = || runs.iter().zip(issues).zip(&needs);
    let undone: Vec<_> = of_runs()
        .filter(|(_, needs)| needs.undo > 0)
        .map(|((run, issue), _)| (*issue, run.actor.person))
        .collect();
    let mut standing = history::standing(&mut *connection, root, &undone).await?;
    let operations: Vec<_> = of_runs()
        .map(|((run, issue), _)| standing.remove(&(*issue, run.actor.person)))
        .map(Option::unwrap_or_default)
        .collect();
    let wanted: Vec<Wanted<'_>> = of_runs()
        .zip(&operations)
        .map(|(((run, issue), needs), operations)| Wanted {
            group: run.place.contact_group,
            issue: *issue,
            needs,
            past: operations
                .iter()
                .take(needs.undo)
                .flat_map(|operation| operation.items().map(|item| item.0))
                .collect(),
        })
        .collect();
    let contacts = item::contacts(&mut *connection, root, &wanted).await?;
    let organizations = item::organizations(&mut *connection, root, &wanted).await?;
    let ids = needs.iter().map(|needs| needs.ids).sum();
    let mut ids = item::reserve_ids(&mut *connection, ids).await?.into_iter();
    // Where the tracker does not tell of a group, Liaison's own memberships do.
    let untold: Vec<_> = runs
        .iter()
        .filter(|run| !run.new.is_empty() && run.place.contact_group_remote.is_none())
        .map(|run| (run.place.contact_group, run.actor.person))
        .collect();
    let own = access::own_levels(connection, root, &untold, clock.now()).await?;
    let loaded = contacts.into_iter().zip(organizations).zip(operations);
    let plans = runs.iter().zip(&needs).zip(loaded).map(
        |((run, needs), ((contacts, organizations), operations))| {
            let whose = (run.place.contact_group, run.actor.person);
            let snapshot = Snapshot {
                access: run.access(own.get(&whose).copied()),
                contacts,
                organizations,
                operations,
                ids: ids.by_ref().take(needs.ids).collect(),
            };
            (!run.new.is_empty()).then(|| plan(&run.new, snapshot, clock))
        },
    );
    Ok(plans.collect())
}

/// Writes what is remembered of the comments, their changes and the history.
async fn write(
    connection: &mut PgConnection,
    job: &Job<'_>,
    runs: &[Run<'_>],
    (issues, outcomes): (&[IssueId], &[Outcome]),
) -> Result<(), StoreError> {
    let moment = Moment {
        root: job.claimed.root,
        now: job.worker.clock.now(),
    };
    let of_runs = || runs.iter().zip(issues).zip(outcomes);
    let remembered: Vec<_> = of_runs()
        .map(|((run, issue), outcome)| (*issue, &*run.posted.comment.remote_id, &outcome.state))
        .collect();
    comment::remember(&mut *connection, (moment.root, job.remote.id), &remembered).await?;
    let written: Vec<_> = of_runs()
        .filter_map(|((run, issue), outcome)| Some((run.scene(*issue), outcome.plan.as_ref()?)))
        .filter(|(_, plan)| !plan.operations.is_empty())
        .map(|(scene, plan)| (scene, plan.operations.as_slice()))
        .collect();
    if written.is_empty() {
        return Ok(());
    }
    let changes = written
        .iter()
        .map(|(scene, operations)| {
            let changes = operations.iter().flat_map(|operation| &operation.changes);
            (*scene, changes.collect())
        })
        .collect();
    item::apply(&mut *connection, moment, changes).await?;
    history::record(connection, moment, &written).await
}

/// Returns the calls that follow, and the answers that are known.
fn effects(runs: &[Run<'_>], outcomes: &[Outcome]) -> (Vec<NewEffect>, Vec<(EffectId, Answer)>) {
    let mut answers = Vec::new();
    let effects = runs
        .iter()
        .zip(outcomes)
        .flat_map(|(run, outcome)| run.effects(outcome))
        .map(|(effect, answer)| {
            answers.extend(answer.map(|answer| (effect.id, answer)));
            effect
        })
        .collect();
    (effects, answers)
}
