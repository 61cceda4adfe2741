//! Issues, comments, discussions and reactions.

use axum::{
    Extension, Json, Router,
    extract::{Path, State as Shared},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{StatusCode, Uri};
use serde_json::Value;

use super::{Caller, page, parameters::Parameters, render, tree::find_project};
use crate::sandbox::{
    Sandbox,
    model::{Award, Issue, Note},
    notes::{Draft, Refusal},
    state::State,
};

pub(super) fn router() -> Router<Sandbox> {
    const ISSUE: &str = "/projects/{id}/issues/{iid}";
    let at = |rest: &str| format!("{ISSUE}{rest}");
    Router::new()
        .route(ISSUE, get(issue))
        .route(&at("/notes"), get(notes).post(post_note))
        .route(&at("/notes/{note}"), put(edit_note).get(note))
        .route(&at("/notes/{note}/award_emoji"), get(awards).post(award))
        .route(&at("/discussions"), get(discussions).post(post_note))
        .route(&at("/discussions/{discussion}"), get(discussion))
        .route(&at("/discussions/{discussion}/notes"), post(reply))
}

type Answer = Result<Json<Value>, Refusal>;
type Created = Result<(StatusCode, Json<Value>), Refusal>;

fn find_issue<'a>(
    state: &'a State,
    caller: u64,
    project: &str,
    iid: u64,
) -> Result<&'a Issue, Refusal> {
    let project = find_project(state, caller, project)?.id;
    state
        .issue_iids
        .get(&(project, iid))
        .and_then(|id| state.issue(*id))
        .filter(|issue| state.may_read_issue(caller, issue))
        .ok_or(Refusal::NotFound(""))
}

fn find_note<'a>(
    state: &'a State,
    caller: u64,
    (project, iid, note): &(String, u64, u64),
) -> Result<&'a Note, Refusal> {
    let issue = find_issue(state, caller, project, *iid)?.id;
    state
        .note(*note)
        .filter(|note| note.issue == issue && state.may_read_note(caller, note))
        .ok_or(Refusal::NotFound("Note "))
}

async fn issue(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((project, iid)): Path<(String, u64)>,
) -> Answer {
    sandbox.read(|state| {
        let issue = find_issue(state, caller.id, &project, iid)?;
        Ok(Json(render::issue(state, issue)))
    })
}

/// Lists comments, newest first unless `sort=asc`, as GitLab does.
async fn notes(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((project, iid)): Path<(String, u64)>,
    parameters: Parameters,
) -> Response {
    sandbox.read(|state| {
        let issue = match find_issue(state, caller.id, &project, iid) {
            Ok(issue) => issue,
            Err(refusal) => return refusal.into_response(),
        };
        let ascending = parameters.text("sort") == Some("asc");
        let by_update = parameters.text("order_by") == Some("updated_at");
        if !by_update && state.is_insider(caller.id, issue.project) {
            // The index is in order of creation and all of it may be read: no need to look at each comment.
            let ids: Box<dyn ExactSizeIterator<Item = &u64>> = if ascending {
                Box::new(issue.notes.iter())
            } else {
                Box::new(issue.notes.iter().rev())
            };
            return page(&parameters, ids, |id| {
                let note = state.note(*id);
                note.map_or(Value::Null, |note| render::note(state, note))
            });
        }
        let mut visible: Vec<&Note> = state
            .notes(issue.id)
            .filter(|note| state.may_read_note(caller.id, note))
            .collect();
        if by_update {
            visible.sort_by_key(|note| note.updated_at);
        }
        if !ascending {
            visible.reverse();
        }
        page(&parameters, visible.into_iter(), |note| {
            render::note(state, note)
        })
    })
}

async fn note(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path(path): Path<(String, u64, u64)>,
) -> Answer {
    sandbox.read(|state| {
        let note = find_note(state, caller.id, &path)?;
        Ok(Json(render::note(state, note)))
    })
}

/// Posts a comment; on `…/discussions` the answer is the new thread.
async fn post_note(
    Shared(sandbox): Shared<Sandbox>,
    Extension(caller): Extension<Caller>,
    Path((project, iid)): Path<(String, u64)>,
    uri: Uri,
    parameters: Parameters,
) -> Created {
    let thread = uri.path().ends_with("/discussions");
    sandbox.change(|state| {
        let issue = find_issue(state, caller.id, &project, iid)?.id;
        let id = state.post_note(&Draft {
            issue,
            author: caller.id,
            body: parameters.text("body").unwrap_or_default(),
            internal: parameters.flag("internal").unwrap_or(false),
            discussion: None,
            chain: caller.chain,
        })?;
        let note = state.note(id).ok_or(Refusal::NotFound("Note "))?;
        let body = if thread {
            render::discussion(state, &note.discussion_id, caller.id)
        } else {
            render::note(state, note)
        };
        Ok((StatusCode::CREATED, Json(body)))
    })
}

async fn reply(
    Shared(sandbox): Shared<Sandbox>,
    Extension(caller): Extension<Caller>,
    Path((project, iid, discussion)): Path<(String, u64, String)>,
    parameters: Parameters,
) -> Created {
    sandbox.change(|state| {
        let issue = find_issue(state, caller.id, &project, iid)?.id;
        let id = state.post_note(&Draft {
            issue,
            author: caller.id,
            body: parameters.text("body").unwrap_or_default(),
            internal: false,
            discussion: Some(&discussion),
            chain: caller.chain,
        })?;
        let note = state.note(id).ok_or(Refusal::NotFound("Note "))?;
        Ok((StatusCode::CREATED, Json(render::note(state, note))))
    })
}

async fn edit_note(
    Shared(sandbox): Shared<Sandbox>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, u64, u64)>,
    parameters: Parameters,
) -> Answer {
    sandbox.change(|state| {
        let id = find_note(state, caller.id, &path)?.id;
        let body = parameters.text("body").unwrap_or_default();
        state.edit_note(id, caller.id, body, caller.chain)?;
        let note = state.note(id).ok_or(Refusal::NotFound("Note "))?;
        Ok(Json(render::note(state, note)))
    })
}

async fn discussions(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((project, iid)): Path<(String, u64)>,
    parameters: Parameters,
) -> Response {
    sandbox.read(|state| {
        let issue = match find_issue(state, caller.id, &project, iid) {
            Ok(issue) => issue,
            Err(refusal) => return refusal.into_response(),
        };
        let visible: Vec<&String> = issue
            .discussions
            .iter()
            .filter(|id| opening(state, issue, id, caller.id).is_some())
            .collect();
        page(&parameters, visible.into_iter(), |id| {
            render::discussion(state, id, caller.id)
        })
    })
}

fn opening<'a>(state: &'a State, issue: &Issue, discussion: &str, caller: u64) -> Option<&'a Note> {
    let first = state.discussions.get(discussion)?.first()?;
    state
        .note(*first)
        .filter(|note| note.issue == issue.id && state.may_read_note(caller, note))
}

async fn discussion(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((project, iid, discussion)): Path<(String, u64, String)>,
) -> Answer {
    sandbox.read(|state| {
        let issue = find_issue(state, caller.id, &project, iid)?;
        opening(state, issue, &discussion, caller.id).ok_or(Refusal::NotFound("Discussion "))?;
        Ok(Json(render::discussion(state, &discussion, caller.id)))
    })
}

async fn awards(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path(path): Path<(String, u64, u64)>,
    parameters: Parameters,
) -> Response {
    sandbox.read(|state| match find_note(state, caller.id, &path) {
        Ok(note) => page(&parameters, note.awards.iter(), |award: &Award| {
            render::award(state, note.id, award)
        }),
        Err(refusal) => refusal.into_response(),
    })
}

async fn award(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path(path): Path<(String, u64, u64)>,
    parameters: Parameters,
) -> Created {
    sandbox.change(|state| {
        let note = find_note(state, caller.id, &path)?.id;
        let name = parameters.text("name").unwrap_or_default();
        let award = state.award(note, caller.id, name)?;
        let body = render::award(state, note, &award);
        Ok((StatusCode::CREATED, Json(body)))
    })
}
