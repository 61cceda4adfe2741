//! The page for people: one issue's thread, a form to comment as somebody, live updates.
//!
//! It shows the tracker as the chosen person sees it. It is for a demo on one's own machine: whoever can open it may act as anyone.

use std::convert::Infallible;

use axum::{
    Json, Router,
    extract::{Query, Request, State as Shared},
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;

use super::{
    Sandbox,
    delivery::Delivery,
    iso,
    model::{Issue, Note, Place, User},
    notes::Refusal,
    state::State,
};

/// Most comments, issues or people that the page shows.
const SHOWN: usize = 200;
/// Requests to hooks that the page shows.
const SHOWN_DELIVERIES: usize = 8;

const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/", get(document))
        .route("/sandbox/page.css", get(style))
        .route("/sandbox/page.js", get(script))
        .route("/sandbox/markdown.js", get(markdown))
        .route("/sandbox/icon.svg", get(icon))
        .route("/sandbox/state", get(state))
        .route("/sandbox/comment", post(comment))
        .route("/sandbox/edit", post(edit))
        .route("/sandbox/events", get(events))
        .fallback(issue_address)
        .layer(middleware::from_fn(guard))
}

/// Tells whether a write comes from this page: other origins cannot send JSON without being asked, nor hide where they are.
fn is_own(headers: &HeaderMap) -> bool {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    value("sec-fetch-site").is_none_or(|site| site == "same-origin")
        && value("content-type").is_some_and(|kind| kind.starts_with("application/json"))
}

/// Refuses writes from other origins and sets the headers that every answer of the page carries.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let accepted = request.method() != Method::POST || is_own(request.headers());
    let mut answer = if accepted {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

pub(super) fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page/page.css"))
}

async fn script() -> Response {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    )
}

pub(super) async fn markdown() -> Response {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("page/markdown.js"),
    )
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("page/icon.svg"))
}

async fn document() -> Response {
    asset("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// Shows the page under the addresses that issues have, so that links in hooks and answers lead somewhere.
async fn issue_address(uri: Uri) -> Response {
    if uri.path().contains("/-/issues/") {
        document().await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

#[derive(Deserialize)]
struct View {
    /// Person through whose eyes the page looks.
    r#as: Option<u64>,
    /// Issue that is shown.
    issue: Option<u64>,
    /// Address of an issue that is shown instead.
    path: Option<String>,
}

async fn state(Shared(sandbox): Shared<Sandbox>, Query(view): Query<View>) -> Json<Value> {
    sandbox.read(|state| Json(describe(state, &view)))
}

fn describe(state: &State, view: &View) -> Value {
    let named = view.path.as_deref().and_then(|path| {
        let (project, iid) = path.trim_start_matches('/').split_once("/-/issues/")?;
        let project = state.project_paths.get(project)?;
        let id = state.issue_iids.get(&(*project, iid.parse().ok()?))?;
        state.issue(*id)
    });
    let issue = named
        .or_else(|| state.issue(view.issue?))
        .or_else(|| state.issues.values().next());
    let people = || state.users.values().filter(|user| !user.bot);
    let viewer = view
        .r#as
        .and_then(|id| state.user(id))
        .or_else(|| people().next());
    let bot = state.users.values().find(|user| user.bot);
    json!({
        "viewer": viewer.map(|user| user.id),
        "bot": bot.map(|user| &user.username),
        "hooks": state.hooks.len(),
        "people": people().take(SHOWN).map(|user| person(state, user, issue)).collect::<Vec<_>>(),
        "issues": state.issues.values().take(SHOWN).map(|issue| heading(state, issue)).collect::<Vec<_>>(),
        "issue": issue.zip(viewer).map(|(issue, viewer)| whole(state, issue, viewer.id)),
        "deliveries": state.hook_log().rev().take(SHOWN_DELIVERIES).map(|entry| sent(entry)).collect::<Vec<_>>(),
    })
}

fn person(state: &State, user: &User, issue: Option<&Issue>) -> Value {
    let level = issue.and_then(|issue| state.level(Place::Project(issue.project), user.id));
    json!({
        "id": user.id,
        "name": user.name,
        "username": user.username,
        "bot": user.bot,
        "role": level.map(super::model::Level::word),
    })
}

fn heading(state: &State, issue: &Issue) -> Value {
    let project = state.project(issue.project);
    json!({
        "id": issue.id,
        "title": issue.title,
        "confidential": issue.confidential,
        "open": issue.open,
        "reference": project.map(|project| format!("{}#{}", project.path_with_namespace, issue.iid)),
        "visibility": project.map(|project| project.visibility.word()),
    })
}

fn whole(state: &State, issue: &Issue, viewer: u64) -> Value {
    let mut body = heading(state, issue);
    let readable = state.may_read_issue(viewer, issue);
    let (seen, hidden): (Vec<&Note>, Vec<&Note>) = state
        .notes(issue.id)
        .rev()
        .take(SHOWN)
        .partition(|note| state.may_read_note(viewer, note));
    let more = json!({
        "readable": readable,
        "insider": state.is_insider(viewer, issue.project),
        "description": readable.then_some(&issue.description),
        "title": if readable { issue.title.as_str() } else { "404: not visible to this person" },
        "author": state.user(issue.author).map(|user| person(state, user, Some(issue))),
        "created_at": iso(issue.created_at),
        "hidden": hidden.len(),
        "notes": seen.into_iter().rev().map(|note| comment_view(state, issue, note)).collect::<Vec<_>>(),
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn comment_view(state: &State, issue: &Issue, note: &Note) -> Value {
    let name = |user: u64| state.user(user).map(|user| user.name.as_str());
    let awards = note
        .awards
        .iter()
        .map(|award| json!({ "name": award.name, "by": name(award.user) }));
    json!({
        "id": note.id,
        "discussion": note.discussion_id,
        "author": state.user(note.author).map(|user| person(state, user, Some(issue))),
        "body": note.body,
        "internal": note.internal,
        "system": note.system,
        "created_at": iso(note.created_at),
        "edited_by": note.updated_by.and_then(name),
        "awards": awards.collect::<Vec<_>>(),
    })
}

fn sent(delivery: &Delivery) -> Value {
    let body: Value = serde_json::from_slice(&delivery.request_body).unwrap_or_default();
    let attributes = body.get("object_attributes");
    let note = attributes.filter(|_| body.get("object_kind") == Some(&json!("note")));
    json!({
        "id": delivery.id,
        "event": delivery.header("X-Gitlab-Event"),
        "at": iso(delivery.at),
        "status": delivery.status,
        "error": delivery.status.is_none().then_some(&delivery.response),
        "ms": delivery.duration.as_secs_f64() * 1000.0,
        "note": note.and_then(|note| note.get("id")),
        "by": body.pointer("/user/name"),
    })
}

#[derive(Deserialize)]
struct Comment {
    issue: u64,
    r#as: u64,
    body: String,
    #[serde(default)]
    internal: bool,
    discussion: Option<String>,
}

async fn comment(Shared(sandbox): Shared<Sandbox>, Json(new): Json<Comment>) -> Response {
    let posted = sandbox.post(
        new.issue,
        new.r#as,
        &new.body,
        new.internal,
        new.discussion.as_deref(),
    );
    outcome(posted)
}

#[derive(Deserialize)]
struct Edit {
    note: u64,
    r#as: u64,
    body: String,
}

async fn edit(Shared(sandbox): Shared<Sandbox>, Json(edit): Json<Edit>) -> Response {
    let edited = sandbox.edit_comment(edit.note, edit.r#as, &edit.body);
    outcome(edited.map(|()| edit.note))
}

fn outcome(result: Result<u64, Refusal>) -> Response {
    match result {
        Ok(note) => Json(json!({ "note": note })).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Tells the page that something changed; what, it asks itself.
async fn events(
    Shared(sandbox): Shared<Sandbox>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stopping = sandbox.shared.stopping.clone();
    let changes = WatchStream::new(sandbox.shared.changes.subscribe())
        .map(|count| Ok(Event::default().event("change").data(count.to_string())))
        .take_until(stopping.cancelled_owned());
    Sse::new(changes).keep_alive(KeepAlive::default())
}
