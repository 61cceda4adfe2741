//! Users, groups, projects and members.

use axum::{
    Extension, Json, Router,
    extract::{Path, State as Shared},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Caller, keyset, page, parameters::Parameters, render};
use crate::sandbox::{
    Sandbox,
    model::{Group, Place, Project, User},
    notes::Refusal,
    state::State,
};

pub(super) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/user", get(own_user))
        .route("/users", get(users))
        .route("/users/{id}", get(user))
        .route("/projects/{id}", get(project))
        .route("/projects/{id}/members/all/{user}", get(project_member))
        .route("/groups", get(groups))
        .route("/groups/{id}", get(group))
        .route("/groups/{id}/subgroups", get(subgroups))
        .route("/groups/{id}/descendant_groups", get(descendants))
        .route("/groups/{id}/projects", get(projects))
        .route("/groups/{id}/members/all/{user}", get(group_member))
}

/// Finds a project by number or full path, if `caller` may read it.
pub(super) fn find_project<'a>(
    state: &'a State,
    caller: u64,
    id: &str,
) -> Result<&'a Project, Refusal> {
    id.parse()
        .ok()
        .or_else(|| state.project_paths.get(id).copied())
        .and_then(|id| state.project(id))
        .filter(|project| state.may_read_project(caller, project))
        .ok_or(Refusal::NotFound("Project "))
}

/// Finds a group by number or full path, if `caller` may read it.
pub(super) fn find_group<'a>(
    state: &'a State,
    caller: u64,
    id: &str,
) -> Result<&'a Group, Refusal> {
    id.parse()
        .ok()
        .or_else(|| state.group_paths.get(id).copied())
        .and_then(|id| state.group(id))
        .filter(|group| state.may_read_group(caller, group))
        .ok_or(Refusal::NotFound("Group "))
}

type Answer = Result<Json<Value>, Refusal>;

async fn own_user(Shared(sandbox): Shared<Sandbox>, caller: Extension<Caller>) -> Answer {
    find_user(&sandbox, caller.id)
}

/// The accounts with a username: one or none.
async fn users(Shared(sandbox): Shared<Sandbox>, parameters: Parameters) -> Response {
    let username = parameters.text("username").unwrap_or_default();
    sandbox.read(|state| {
        let is_named = |user: &&User| user.username.eq_ignore_ascii_case(username);
        let users: Vec<&User> = state.users.values().filter(is_named).collect();
        page(&parameters, users.into_iter(), |user| {
            render::user(state, user)
        })
    })
}

async fn user(Shared(sandbox): Shared<Sandbox>, Path(id): Path<u64>) -> Answer {
    find_user(&sandbox, id)
}

fn find_user(sandbox: &Sandbox, id: u64) -> Answer {
    sandbox.read(|state| {
        let user = state.user(id).ok_or(Refusal::NotFound("User "))?;
        Ok(Json(render::user(state, user)))
    })
}

async fn project(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    sandbox.read(|state| {
        let project = find_project(state, caller.id, &id)?;
        Ok(Json(render::project(state, project)))
    })
}

async fn groups(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    parameters: Parameters,
) -> Response {
    let top_only = parameters.flag("top_level_only").unwrap_or(false);
    let least = parameters.number("min_access_level").unwrap_or_default();
    sandbox.read(|state| {
        let has_level = |group: &Group| {
            let level = state.level(Place::Group(group.id), caller.id);
            least == 0 || level.is_some_and(|level| u64::from(level.number()) >= least)
        };
        let is_asked_for = |group: &&Group| {
            state.may_read_group(caller.id, group)
                && (!top_only || group.parent.is_none())
                && has_level(group)
        };
        let groups: Vec<&Group> = state.groups.values().filter(is_asked_for).collect();
        if parameters.text("pagination") == Some("keyset") {
            return keyset(&parameters, &groups, |group| {
                (group.id, render::group(state, group))
            });
        }
        page(&parameters, groups.into_iter(), |group| {
            render::group(state, group)
        })
    })
}

async fn group(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    sandbox.read(|state| {
        let group = find_group(state, caller.id, &id)?;
        Ok(Json(render::group(state, group)))
    })
}

async fn project_member(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((id, user)): Path<(String, u64)>,
) -> Answer {
    sandbox.read(|state| {
        let place = Place::Project(find_project(state, caller.id, &id)?.id);
        member(state, place, user)
    })
}

async fn group_member(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path((id, user)): Path<(String, u64)>,
) -> Answer {
    sandbox.read(|state| {
        let place = Place::Group(find_group(state, caller.id, &id)?.id);
        member(state, place, user)
    })
}

fn member(state: &State, place: Place, user: u64) -> Answer {
    let found = state.user(user).zip(state.level(place, user));
    let (user, level) = found.ok_or(Refusal::NotFound(""))?;
    Ok(Json(render::member(state, user, level)))
}

async fn subgroups(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Response {
    sandbox.read(|state| {
        let parent = match find_group(state, caller.id, &id) {
            Ok(group) => group.id,
            Err(refusal) => return refusal.into_response(),
        };
        let groups: Vec<&Group> = state
            .groups
            .values()
            .filter(|group| group.parent == Some(parent) && state.may_read_group(caller.id, group))
            .collect();
        page(&parameters, groups.into_iter(), |group| {
            render::group(state, group)
        })
    })
}

async fn descendants(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Response {
    // GitLab has keyset paging for some lists only, and says so.
    if parameters.text("pagination") == Some("keyset") {
        let body =
            json!({ "error": "Keyset pagination is not yet available for this type of request" });
        return (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response();
    }
    sandbox.read(|state| {
        let top = match find_group(state, caller.id, &id) {
            Ok(group) => group.id,
            Err(refusal) => return refusal.into_response(),
        };
        let is_below = |group: &&Group| {
            group.id != top
                && state.ancestry(group.id).any(|above| above.id == top)
                && state.may_read_group(caller.id, group)
        };
        let groups: Vec<&Group> = state.groups.values().filter(is_below).collect();
        page(&parameters, groups.into_iter(), |group| {
            render::group(state, group)
        })
    })
}

async fn projects(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Response {
    sandbox.read(|state| {
        let root = match find_group(state, caller.id, &id) {
            Ok(group) => group.id,
            Err(refusal) => return refusal.into_response(),
        };
        let deep = parameters.flag("include_subgroups").unwrap_or(false);
        let inside = |project: &Project| {
            project.group == root
                || (deep && state.ancestry(project.group).any(|above| above.id == root))
        };
        let projects: Vec<&Project> = state
            .projects
            .values()
            .filter(|project| inside(project) && state.may_read_project(caller.id, project))
            .collect();
        if parameters.text("pagination") == Some("keyset") {
            return keyset(&parameters, &projects, |project| {
                (project.id, render::project(state, project))
            });
        }
        page(&parameters, projects.into_iter(), |project| {
            render::project(state, project)
        })
    })
}
