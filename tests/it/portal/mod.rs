//! A portal to test against: it keeps users, chats and a CRM, and speaks the protocol that Bitrix24 documents, with its oddities.
//!
//! What is documented: replace-all of observers, `[]` that changes nothing, an owner whom nobody removes, switched-off users who are left out
//! without a word, lists that are empty for strangers, observers and chat that follow each other, limits, and events sent as forms, lost or doubled.

mod bot;
mod chat;
mod crm;
mod limit;
mod parameters;
mod state;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes as Body,
    extract::{Path, Query, State as Shared},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use liaison::{
    domain::{Clock, SystemClock},
    egress::{Call, Egress, Limits},
    server,
};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::{Url, form_urlencoded};

pub(crate) use limit::Limit;
pub(crate) use state::{Item, State};

use crate::harness::spawn;
use parameters::{batch_command, text};

/// The secret of the inbound webhook; user 1 has it.
pub(crate) const SECRET: &str = "canaryinboundsecret";
/// The token that outgoing webhooks carry.
pub(crate) const APPLICATION_TOKEN: &str = "canary-application-token";
/// The portal's own id.
pub(crate) const MEMBER: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// The account of the webhook.
pub(crate) const ACCOUNT: u64 = 1;
/// The bot.
pub(crate) const BOT: u64 = 456;
/// The bot's token.
pub(crate) const BOT_TOKEN: &str = "canary-bot-token";

/// What the next call meets instead of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A page for people.
    Html(u16),
    /// The portal's word for an error.
    Error(u16, &'static str),
    /// The change is made, and the answer is lost.
    LostAnswer,
}

/// What becomes of an event on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives.
    Once,
    /// It arrives twice.
    Twice,
    /// It is lost.
    Lost,
}

/// The running portal.
pub(crate) struct Portal {
    pub(crate) url: Url,
    inner: Arc<Inner>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

struct Inner {
    state: Mutex<State>,
    events: mpsc::UnboundedSender<Vec<u8>>,
}

/// Why a method is not done: status, word and description.
pub(crate) type Refused = (u16, &'static str, &'static str);

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Portal {
    /// Starts a portal with a few people.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let (events, sent) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            state: Mutex::new(State::with_people()),
            events,
        });
        let stop = CancellationToken::new();
        let routes = Router::new()
            .route("/rest/{user}/{secret}/{method}", post(by_webhook))
            .route("/rest/{method}", post(by_token))
            .route("/oauth/token/", get(renew))
            .with_state(Arc::clone(&inner));
        let tasks = vec![
            spawn(server::serve(listener, routes, 256, stop.clone())),
            spawn(send_events(Arc::clone(&inner), sent, stop.clone())),
        ];
        Self {
            url,
            inner,
            stop,
            tasks,
        }
    }

    /// Ends the portal.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    /// Looks at or changes what the portal has, without an event.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.inner.state())
    }

    /// Does what a user does in the portal's own pages: a method, as him, without limits or faults.
    pub(crate) fn act(&self, user: u64, method: &str, parameters: &Value) -> Value {
        let done = run(&self.inner, user, method, parameters);
        done.unwrap_or_else(|(_, code, why)| panic!("{method}: {code} {why}"))
    }

    /// Has the next calls fail, in this order.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.state().faults = faults.into_iter().collect::<VecDeque<_>>();
    }

    /// Returns how many calls of a method arrived, those in batches included.
    pub(crate) fn calls(&self, method: &str) -> usize {
        let state = self.inner.state();
        state.calls.iter().filter(|call| *call == method).count()
    }

    /// Returns whether every event is sent.
    pub(crate) fn is_quiet(&self) -> bool {
        self.inner.state().unsent == 0
    }
}

fn failed(status: u16, code: &str, why: &str) -> Response {
    let body = json!({ "error": code, "error_description": why });
    let status = StatusCode::from_u16(status).unwrap();
    (status, axum::Json(body)).into_response()
}

async fn by_webhook(
    Shared(inner): Shared<Arc<Inner>>,
    Path((user, secret, method)): Path<(String, String, String)>,
    body: Body,
) -> Response {
    if secret != SECRET || user != ACCOUNT.to_string() {
        return failed(401, "INVALID_CREDENTIALS", "Invalid request credentials");
    }
    answer(&inner, &method, &body)
}

async fn by_token(
    Shared(inner): Shared<Arc<Inner>>,
    Path(method): Path<String>,
    body: Body,
) -> Response {
    let parameters: Value = serde_json::from_slice(&body).unwrap_or_default();
    let token = text(&parameters, "auth").unwrap_or_default();
    if token != inner.state().access_token {
        return failed(
            401,
            "expired_token",
            "The access token provided has expired.",
        );
    }
    answer(&inner, &method, &body)
}

/// Renews the tokens; each refresh token works once.
async fn renew(
    Shared(inner): Shared<Arc<Inner>>,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Response {
    let mut state = inner.state();
    let given = query.get("refresh_token").cloned().unwrap_or_default();
    state.renewals += 1;
    if query.get("client_secret").map(String::as_str) != Some("canary-client-secret") {
        return failed(401, "invalid_client", "Invalid client");
    }
    if given != state.refresh_token {
        return failed(400, "invalid_grant", "Invalid grant");
    }
    let number = state.renewals;
    state.access_token = format!("canary-access-{number}");
    state.refresh_token = format!("canary-refresh-{number}");
    axum::Json(json!({
        "access_token": state.access_token,
        "refresh_token": state.refresh_token,
        "expires_in": 3600,
        "member_id": MEMBER,
    }))
    .into_response()
}

fn answer(inner: &Arc<Inner>, method: &str, body: &[u8]) -> Response {
    let parameters: Value = serde_json::from_slice(body).unwrap_or_default();
    let fault = inner.state().faults.pop_front();
    match fault {
        Some(Fault::Html(status)) => {
            let page = "<html><body>Service unavailable</body></html>";
            return (StatusCode::from_u16(status).unwrap(), page).into_response();
        }
        Some(Fault::Error(status, code)) => {
            // A description may quote what was asked.
            let why = format!("you asked {parameters}");
            return failed(status, code, &why);
        }
        Some(Fault::LostAnswer) | None => {}
    }
    if !inner.state().limit.admit() {
        return failed(503, "QUERY_LIMIT_EXCEEDED", "Too many requests");
    }
    let answered = if method == "batch" {
        Ok((run_batch(inner, &parameters), json!({})))
    } else {
        timed(inner, method, &parameters)
    };
    if let Some(Fault::LostAnswer) = fault {
        return (StatusCode::BAD_GATEWAY, "<html>Bad gateway</html>").into_response();
    }
    match answered {
        Ok((result, time)) => axum::Json(json!({ "result": result, "time": time })).into_response(),
        Err((status, code, why)) => failed(status, code, why),
    }
}

/// Runs one method and counts its operating time.
fn timed(inner: &Arc<Inner>, method: &str, parameters: &Value) -> Result<(Value, Value), Refused> {
    {
        let mut state = inner.state();
        state.calls.push(method.to_owned());
        if state.limit.is_blocked(method) {
            return Err((429, "OPERATION_TIME_LIMIT", "Method is blocked"));
        }
    }
    let result = run(inner, ACCOUNT, method, parameters)?;
    let time = inner.state().limit.spend(method);
    Ok((result, time))
}

fn run_batch(inner: &Arc<Inner>, parameters: &Value) -> Value {
    let (mut results, mut errors, mut times) = (Map::new(), Map::new(), Map::new());
    let mut totals = Map::new();
    let commands = parameters["cmd"].as_object().cloned().unwrap_or_default();
    assert!(commands.len() <= 50, "a batch has at most 50 commands");
    for (key, command) in commands {
        let (method, parameters) = batch_command(command.as_str().unwrap());
        assert_ne!(method, "batch", "batches do not nest");
        match timed(inner, &method, &parameters) {
            Ok((result, time)) => {
                if method == "im.dialog.users.list" {
                    let chat = text(&parameters, "DIALOG_ID").unwrap_or_default();
                    totals.insert(key.clone(), json!(inner.state().size(&chat)));
                }
                results.insert(key.clone(), result);
                times.insert(key, time);
            }
            Err((_, code, why)) => {
                let error = json!({ "error": code, "error_description": why });
                errors.insert(key, error);
            }
        }
    }
    // PHP writes an empty map as a list.
    let map = |map: Map<String, Value>| {
        if map.is_empty() {
            json!([])
        } else {
            Value::Object(map)
        }
    };
    json!({
        "result": map(results),
        "result_error": map(errors),
        "result_total": map(totals),
        "result_next": [],
        "result_time": map(times),
    })
}

/// Runs a method as a user.
fn run(inner: &Arc<Inner>, user: u64, method: &str, parameters: &Value) -> Result<Value, Refused> {
    let mut state = inner.state();
    let result = match method {
        "profile" => Ok(json!({ "ID": user.to_string(), "ADMIN": true, "NAME": "Liaison" })),
        "user.get" => Ok(state.user_get(parameters)),
        _ if method.starts_with("crm.") => crm::run(&mut state, user, method, parameters),
        _ if method.starts_with("imbot.v2.") => bot::run(&mut state, method, parameters),
        _ if method.starts_with("im.") => chat::run(&mut state, user, method, parameters),
        _ => Err((404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    };
    for event in std::mem::take(&mut state.happened) {
        state.unsent += 1;
        // Fails only where the portal ends.
        let _ = inner.events.send(event);
    }
    result
}

/// Sends events to the outgoing webhook, one after the other.
async fn send_events(
    inner: Arc<Inner>,
    mut events: mpsc::UnboundedReceiver<Vec<u8>>,
    stop: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => match event { Some(event) => event, None => return },
        };
        let (hook, fate) = {
            let mut state = inner.state();
            let fate = state.fates.pop_front().unwrap_or(state.fate);
            (state.outgoing.clone(), fate)
        };
        if let Some(hook) = hook {
            let times = match fate {
                Fate::Once => 1,
                Fate::Twice => 2,
                Fate::Lost => 0,
            };
            for _ in 0..times {
                post_form(&hook, &event).await;
            }
        }
        inner.state().unsent -= 1;
    }
}

async fn post_form(hook: &Url, body: &[u8]) {
    let limits = Limits {
        total: Duration::from_secs(5),
        ..Limits::default()
    };
    let egress = Egress::new([hook], limits).unwrap();
    let mut call = Call::new(Method::POST, hook.clone());
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    call.headers.insert(header::CONTENT_TYPE, form);
    call.body = Bytes::copy_from_slice(body);
    // A failed delivery is not sent again.
    let _ = egress.send(call).await;
}

/// Returns an event's body: its fields, and the proof.
pub(crate) fn event_body(event: &str, fields: &[(String, String)]) -> Vec<u8> {
    let clock = SystemClock::default();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("event", event);
    form.append_pair("event_handler_id", "5");
    form.extend_pairs(fields);
    form.append_pair("ts", &clock.now().timestamp().to_string());
    form.append_pair("auth[domain]", "portal.example");
    form.append_pair("auth[member_id]", MEMBER);
    form.append_pair("auth[application_token]", APPLICATION_TOKEN);
    form.finish().into_bytes()
}
