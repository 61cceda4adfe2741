//! Groups and projects that came, went, moved or were renamed: where they are now is asked, and they are put there.

use std::fmt::Write;

use super::process::{Failure, Job};
use crate::{
    domain::TreeChange,
    lookup::{Reason, Told, put},
    queue::InboxVerdict,
    store::place::{self, Done, Forgotten, Placement},
};

/// Acts on a change of the tree. It is as if everything in question had been looked up, so that doing it again does nothing.
pub(super) async fn tree(
    job: &Job<'_>,
    change: &TreeChange,
    summary: &str,
) -> Result<InboxVerdict, Failure> {
    let client = &job.remote.client;
    let came_of_it = match change {
        TreeChange::Project(id) | TreeChange::ProjectGone(id) => {
            match (client.project(id).await?, change) {
                (Some(facts), _) => placed(job, Told::Project(&facts)).await?,
                (None, TreeChange::ProjectGone(_)) => gone(job, change).await?,
                (None, _) => {
                    let mut connection = job.worker.pool.acquire().await?;
                    place::doubt(&mut connection, job.claimed.root, job.remote.id, Some(id))
                        .await?;
                    unseen()
                }
            }
        }
        TreeChange::Group(id) | TreeChange::GroupGone(id) => {
            match (client.namespaces(id).await?, change) {
                (Some(namespaces), _) => placed(job, Told::Group(&namespaces)).await?,
                (None, TreeChange::GroupGone(_)) => gone(job, change).await?,
                (None, _) => unseen(),
            }
        }
    };
    // Apart from the change itself: it may have taken this delivery along to another root group, where it is found done.
    let tx = job.worker.pool.begin().await?;
    let verdict = InboxVerdict::Done(format!("{summary}: {came_of_it}"));
    job.settle(tx, verdict).await
}

fn unseen() -> String {
    "GitLab does not show it to the bot; it is asked again when it is met".to_owned()
}

async fn placed(job: &Job<'_>, told: Told<'_>) -> Result<String, Failure> {
    let reason = Reason {
        delivery: Some(job.delivery.id),
        cause: job.cause.as_deref(),
    };
    let lookup = job.lookup();
    let placement = put(&job.worker.pool, &lookup.finder(), told, reason, false).await?;
    Ok(said(&placement))
}

/// Says what came of a placement, for the log of deliveries.
fn said(placement: &Placement) -> String {
    let Some(last) = placement.shifts.last() else {
        return match placement.root {
            Some(_) => "everything is where it was".to_owned(),
            None => "it is in no group that is known here".to_owned(),
        };
    };
    let done = match last.done {
        Done::Added => "added",
        Done::Changed => "brought up to date",
        Done::Moved => "moved",
    };
    let mut said = format!("{} {done}", last.to);
    if let Some(report) = placement.shifts.iter().rev().find_map(|shift| shift.report) {
        let (contacts, ended) = (report.contacts, report.relations_removed);
        let _ = write!(
            said,
            "; contacts: {} moved, {} copied, {} merged; {ended} relations removed",
            contacts.moved, contacts.copied, contacts.merged
        );
    }
    said
}

/// What the event calls destroyed and the tracker does not show any more is forgotten, in the tenant of the webhook alone.
async fn gone(job: &Job<'_>, change: &TreeChange) -> Result<String, Failure> {
    let lookup = job.lookup();
    let finder = lookup.finder();
    let mut tx = job.worker.pool.begin().await?;
    let forgotten = match change {
        TreeChange::ProjectGone(id) | TreeChange::Project(id) => {
            place::forget_project(&mut tx, &finder, id).await?
        }
        TreeChange::GroupGone(id) | TreeChange::Group(id) => {
            place::forget_group(&mut tx, &finder, id).await?
        }
    };
    tx.commit().await?;
    Ok(match forgotten {
        Forgotten {
            groups: 0,
            projects: 0,
            stays: false,
            ..
        } => "it was not known here".to_owned(),
        Forgotten {
            groups,
            projects,
            relations,
            stays,
        } => format!(
            "{groups} groups and {projects} projects forgotten, with {relations} relations{}",
            if stays {
                "; the group stays, since something is kept in it"
            } else {
                ""
            }
        ),
    })
}
