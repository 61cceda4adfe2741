//! `/crm/bulk/{id}`: how far a change of many items is, and what came of it.

use askama::Template;
use axum::{
    Router,
    response::Response,
    routing::{get, post},
};

use crate::{
    domain::{BulkJobId, OperationId},
    rules::{Right, WatchTask},
    store::{
        bulk_job::{Job, Selection},
        operation,
    },
    web::{
        Web,
        flash::Flash,
        frame::{Frame, html},
        moment::Moment,
        params::Path,
        people::Names,
        problem::Problem,
        visit::{InGroup, ToManage, ToView},
    },
};

#[derive(Template)]
#[template(path = "items/job.html")]
struct JobPage {
    frame: Frame,
    what: String,
    who: String,
    state: String,
    total: i64,
    worked: i64,
    changed: i64,
    refused: i64,
    chats: i64,
    problem: Option<String>,
    created: Moment,
    finished: Option<Moment>,
    operation: OperationId,
    may_stop: bool,
    may_undo: bool,
    /// Whether it was taken back.
    is_undone: bool,
    /// Where the group's pages are.
    base: String,
    /// Where changes are told.
    live: String,
    /// Where this page is.
    item: String,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/crm/bulk/{id}", get(show))
        .route("/crm/bulk/{id}/stop", post(stop))
}

async fn find<R>(visit: &InGroup<R>, id: BulkJobId) -> Result<Job, Problem> {
    let crm = &visit.visitor.web.crm;
    let job = crm.bulk_job(visit.visitor.asker(), id).await?;
    // One of another group is not there.
    if (job.root, job.group) == visit.holder() {
        Ok(job)
    } else {
        Err(Problem::NotFound)
    }
}

async fn show(visit: InGroup<ToView>, Path(id): Path<BulkJobId>) -> Result<Response, Problem> {
    let job = find(&visit, id).await?;
    let people = job.task.task.people();
    let mut connection = visit.visitor.connection().await?;
    let everybody = people.iter().copied().chain([job.actor]);
    let names = Names::of(&mut connection, everybody).await?;
    let extents = operation::extents(&mut connection, job.root, &[job.operation]).await?;
    drop(connection);
    let named: Vec<String> = people
        .iter()
        .map(|person| names.get(Some(*person)))
        .collect();
    let named = named.join(", ");
    let what = match &job.task.task {
        WatchTask::Add { .. } => format!("Add {named} as observers"),
        WatchTask::Remove { .. } => format!("Remove {named} from the observers"),
        WatchTask::Replace { .. } if named.is_empty() => "Remove all observers".to_owned(),
        WatchTask::Replace { .. } => format!("Replace all observers by {named}"),
        WatchTask::Responsible { person: None } => "Make nobody responsible".to_owned(),
        WatchTask::Responsible { .. } => format!("Make {named} responsible"),
    };
    let of = match &job.task.items {
        Selection::Ids(_) => "of the chosen rows",
        Selection::Filter(_) => "of all that match",
    };
    let is_undone = extents.values().any(|extent| extent.is_undone);
    let may_change = visit.access.allows(Right::CreateContacts);
    let is_running = job.state == "running";
    Ok(html(&JobPage {
        frame: visit.frame("Change of many"),
        what: format!("{what}, {of}"),
        who: names.get(Some(job.actor)),
        total: job.total,
        worked: job.worked,
        changed: job.changed,
        refused: job.refused,
        chats: job.chats,
        problem: job.problem,
        created: visit.visitor.moment(job.created_at),
        finished: job.finished_at.map(|at| visit.visitor.moment(at)),
        operation: job.operation,
        may_stop: may_change && is_running,
        may_undo: may_change && !is_running && job.changed > 0 && !is_undone,
        is_undone,
        state: job.state,
        live: visit.live.clone(),
        base: visit.base.clone(),
        item: visit.path.clone(),
    }))
}

async fn stop(visit: InGroup<ToManage>, Path(id): Path<BulkJobId>) -> Result<Response, Problem> {
    find(&visit, id).await?;
    let crm = &visit.visitor.web.crm;
    crm.stop_bulk(visit.visitor.asker(), id).await?;
    let flash = Flash::done("Stopped. What was done stays, and can be undone.");
    let path = visit.to(format_args!("crm/bulk/{id}"));
    Ok(visit.visitor.say(flash, &path))
}
