//! Webhooks of projects and groups: settings, test requests and the log.
//!
//! The address of a project hook and of a group hook differ in the first segment only, so one set of handlers serves both.

use std::collections::BTreeSet;

use axum::{
    Extension, Json, Router,
    extract::{Path, State as Shared},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::{
    Caller, page,
    parameters::Parameters,
    render,
    tree::{find_group, find_project},
};
use crate::sandbox::{
    Sandbox,
    delivery::{Delivery, Outgoing},
    hooks::{EVENTS, Hook, HookOwner, NewHook, signing_key},
    model::{Issue, Level, Place},
    notes::Refusal,
    payload, random_uuid,
    state::State,
};

pub(super) fn router() -> Router<Sandbox> {
    const HOOKS: &str = "/{kind}/{id}/hooks";
    let at = |rest: &str| format!("{HOOKS}{rest}");
    Router::new()
        .route(HOOKS, get(list).post(create))
        .route(&at("/{hook}"), get(show).put(update).delete(remove))
        .route(&at("/{hook}/test/{trigger}"), post(test))
        .route(&at("/{hook}/events"), get(events))
        .route(&at("/{hook}/events/{event}/resend"), post(resend))
}

type Answer = Result<Json<Value>, Refusal>;

/// Finds whose hooks are meant and refuses everyone below Maintainer.
fn owner(state: &State, caller: u64, (kind, id): (&str, &str)) -> Result<HookOwner, Refusal> {
    let (owner, place) = match kind {
        "projects" => {
            let id = find_project(state, caller, id)?.id;
            (HookOwner::Project(id), Place::Project(id))
        }
        "groups" => {
            let id = find_group(state, caller, id)?.id;
            (HookOwner::Group(id), Place::Group(id))
        }
        _ => return Err(Refusal::NotFound("")),
    };
    if state.level(place, caller) < Some(Level::Maintainer) {
        return Err(Refusal::Forbidden);
    }
    Ok(owner)
}

fn find<'a>(
    state: &'a State,
    caller: u64,
    path: (&str, &str),
    hook: u64,
) -> Result<&'a Hook, Refusal> {
    let owner = owner(state, caller, path)?;
    state
        .hook(hook)
        .filter(|hook| hook.owner == owner)
        .ok_or(Refusal::NotFound(""))
}

fn address(parameters: &Parameters) -> Result<Option<Url>, Refusal> {
    let parsed = parameters.text("url").map(Url::parse).transpose();
    parsed
        .ok()
        .filter(|url| {
            url.as_ref()
                .is_none_or(|url| matches!(url.scheme(), "http" | "https"))
        })
        .ok_or(Refusal::Invalid("Invalid url given"))
}

/// Applies the event flags of a call.
fn set_events(events: &mut BTreeSet<&'static str>, parameters: &Parameters) {
    for event in EVENTS {
        match parameters.flag(event) {
            Some(true) => events.insert(event),
            Some(false) => events.remove(event),
            None => false,
        };
    }
}

async fn list(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((kind, id)): Path<(String, String)>,
    parameters: Parameters,
) -> Response {
    sandbox.read(|state| match owner(state, caller.id, (&kind, &id)) {
        Ok(owner) => {
            let hooks = state.hooks.values().filter(|hook| hook.owner == owner);
            let hooks: Vec<&Hook> = hooks.collect();
            page(&parameters, hooks.into_iter(), render::hook)
        }
        Err(refusal) => refusal.into_response(),
    })
}

async fn create(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((kind, id)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let owner = sandbox.read(|state| owner(state, caller.id, (&kind, &id)))?;
    let url = address(&parameters)?.ok_or(Refusal::Invalid("url is missing"))?;
    // On unless switched off, as documented.
    let mut events = BTreeSet::from(["push_events"]);
    set_events(&mut events, &parameters);
    let new = NewHook {
        url,
        token: parameters.text("token").map(str::to_owned),
        signing_token: parameters.text("signing_token").map(str::to_owned),
        events,
    };
    let id = sandbox.create_hook(owner, new)?;
    sandbox.change(|state| {
        let hook = state.hooks.get_mut(&id).ok_or(Refusal::NotFound(""))?;
        hook.name = parameters.text("name").map(str::to_owned);
        if let Some(verify) = parameters.flag("enable_ssl_verification") {
            hook.enable_ssl_verification = verify;
        }
        Ok((StatusCode::CREATED, Json(render::hook(hook))))
    })
}

async fn show(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((kind, id, hook)): Path<(String, String, u64)>,
) -> Answer {
    sandbox.read(|state| {
        let hook = find(state, caller.id, (&kind, &id), hook)?;
        Ok(Json(render::hook(hook)))
    })
}

/// Changes a hook; another address drops the secret token unless it is given anew, as documented.
async fn update(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((kind, id, hook)): Path<(String, String, u64)>,
    parameters: Parameters,
) -> Answer {
    let url = address(&parameters)?;
    let key = parameters
        .text("signing_token")
        .map(signing_key)
        .transpose()?;
    sandbox.change(|state| {
        let id = find(state, caller.id, (&kind, &id), hook)?.id;
        let hook = state.hooks.get_mut(&id).ok_or(Refusal::NotFound(""))?;
        if let Some(url) = url.filter(|url| *url != hook.url) {
            hook.url = url;
            hook.token = None;
        }
        if let Some(token) = parameters.text("token") {
            hook.token = Some(token.to_owned()).filter(|token| !token.is_empty());
        }
        if key.is_some() {
            hook.signing_key = key;
        }
        if let Some(name) = parameters.text("name") {
            hook.name = Some(name.to_owned());
        }
        if let Some(verify) = parameters.flag("enable_ssl_verification") {
            hook.enable_ssl_verification = verify;
        }
        set_events(&mut hook.events, &parameters);
        Ok(Json(render::hook(hook)))
    })
}

async fn remove(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((kind, id, hook)): Path<(String, String, u64)>,
) -> Result<StatusCode, Refusal> {
    let id =
        sandbox.read(|state| find(state, caller.id, (&kind, &id), hook).map(|hook| hook.id))?;
    sandbox.delete_hook(id);
    Ok(StatusCode::NO_CONTENT)
}

/// Queues a request with real data, the latest of its kind that the hook covers.
async fn test(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((kind, id, hook, trigger)): Path<(String, String, u64, String)>,
) -> Response {
    let sent = sandbox.read(|state| {
        let hook = find(state, caller.id, (&kind, &id), hook)?;
        let (event, body) = sample(state, hook, &trigger, caller.id)?;
        let outgoing = Outgoing {
            event: event.to_owned(),
            body: body.to_string().into(),
            chain: random_uuid(),
            key: random_uuid(),
        };
        hook.queue(0, outgoing);
        Ok(())
    });
    match sent {
        Ok(()) => {
            let body = Json(json!({ "message": "201 Created" }));
            (StatusCode::CREATED, body).into_response()
        }
        Err(Refusal::Invalid(why)) if why.starts_with("Ensure") => {
            let body = Json(json!({ "message": why }));
            (StatusCode::UNPROCESSABLE_ENTITY, body).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn sample(
    state: &State,
    hook: &Hook,
    trigger: &str,
    by: u64,
) -> Result<(&'static str, Value), Refusal> {
    let covered = |issue: &&Issue| {
        let project = state.project(issue.project);
        project.is_some_and(|project| match hook.owner {
            HookOwner::Project(own) => project.id == own,
            HookOwner::Group(own) => state.ancestry(project.group).any(|above| above.id == own),
            HookOwner::System => true,
        })
    };
    let mut issues = state.issues.values().rev().filter(covered);
    match trigger {
        "note_events" | "confidential_note_events" => {
            let note = issues
                .find_map(|issue| state.notes(issue.id).rev().find(|note| !note.system))
                .ok_or(Refusal::Invalid("Ensure the project has notes."))?;
            let event = if trigger == "note_events" {
                "Note Hook"
            } else {
                "Confidential Note Hook"
            };
            Ok((event, payload::note(state, note, by, "create")))
        }
        "issues_events" | "confidential_issues_events" => {
            let issue = issues
                .next()
                .ok_or(Refusal::Invalid("Ensure the project has issues."))?;
            let event = if trigger == "issues_events" {
                "Issue Hook"
            } else {
                "Confidential Issue Hook"
            };
            let body = payload::issue(state, issue, by, "open", &json!({}));
            Ok((event, body))
        }
        _ => Err(Refusal::Invalid("trigger does not have a valid value")),
    }
}

/// Lists what was sent, newest first; `status` takes a number or a class.
async fn events(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((kind, id, hook)): Path<(String, String, u64)>,
    parameters: Parameters,
) -> Response {
    let wanted = |delivery: &Delivery| match parameters.text("status") {
        None => true,
        Some("successful") => delivery.status.is_some_and(|status| status / 100 == 2),
        Some("client_failure") => delivery.status.is_some_and(|status| status / 100 == 4),
        Some("server_failure") => delivery.status.is_none_or(|status| status / 100 == 5),
        Some(number) => delivery
            .status
            .is_some_and(|status| status.to_string() == number),
    };
    sandbox.read(|state| match find(state, caller.id, (&kind, &id), hook) {
        Ok(hook) => {
            let log = state.hook_log().rev();
            let own: Vec<_> = log
                .filter(|entry| entry.hook == hook.id && wanted(entry))
                .collect();
            page(&parameters, own.into_iter(), |entry| render::event(entry))
        }
        Err(refusal) => refusal.into_response(),
    })
}

async fn resend(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((kind, id, hook, event)): Path<(String, String, u64, u64)>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    sandbox.read(|state| {
        let hook = find(state, caller.id, (&kind, &id), hook)?.id;
        let own = state
            .hook_log()
            .rev()
            .any(|entry| entry.id == event && entry.hook == hook);
        own.then_some(()).ok_or(Refusal::NotFound(""))
    })?;
    if sandbox.resend(event) {
        let body = json!({ "response_status": 200 });
        Ok((StatusCode::CREATED, Json(body)))
    } else {
        Err(Refusal::NotFound(""))
    }
}
