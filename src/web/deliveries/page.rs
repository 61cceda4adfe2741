//! `/deliveries/{id}`: a delivery with what it means, what came of it, its calls with their attempts, and replay.

use askama::Template;
use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::DeliveryId,
    queue::EffectLog,
    web::{
        Web,
        flash::Flash,
        frame::{Frame, html},
        moment::Moment,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToConfigure},
        webhooks::by,
    },
};

/// Longest part of a body that is shown, in bytes; the command line prints all of it.
const MAX_BODY: usize = 100_000;

#[derive(Template)]
#[template(path = "deliveries/page.html")]
struct DeliveryPage {
    frame: Frame,
    id: DeliveryId,
    webhook: String,
    is_webhook_deleted: bool,
    received: Moment,
    state: String,
    outcome: String,
    attempts: i16,
    event: Option<String>,
    commands: Vec<String>,
    effects: Vec<Call>,
    headers: Vec<(String, String)>,
    body: String,
    /// How many bytes are left out.
    left_out: usize,
    may_replay: bool,
    /// Where this page is.
    item: String,
    /// Where the group's pages are.
    base: String,
}

/// A call with its attempts.
struct Call {
    what: String,
    payload: String,
    state: String,
    outcome: String,
    next: Option<Moment>,
    attempts: Vec<(Moment, i32, String)>,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/deliveries/{id}", get(show))
        .route("/deliveries/{id}/replay", post(replay))
}

async fn show(visit: InGroup<ToConfigure>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let id = DeliveryId(id);
    let group = (visit.group.root, visit.group.id);
    let found = visit.visitor.web.webhooks.delivery(group, id).await?;
    let log = found.log;
    let body = pretty(log.body);
    let mut end = MAX_BODY.min(body.len());
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    let (shown, rest) = body.split_at(end);
    Ok(html(&DeliveryPage {
        frame: visit.frame("Delivery"),
        id,
        webhook: log.summary.webhook,
        is_webhook_deleted: found.is_webhook_deleted,
        received: visit.visitor.moment(log.summary.received_at),
        may_replay: log.summary.state == "dead" || log.summary.dead_effects > 0,
        state: log.summary.state,
        outcome: log.summary.outcome.unwrap_or_default(),
        attempts: log.summary.attempts,
        event: found.event,
        commands: found.commands,
        effects: log
            .effects
            .iter()
            .map(|effect| call(&visit, effect))
            .collect(),
        headers: headers(&log.headers),
        body: shown.to_owned(),
        left_out: rest.len(),
        item: visit.path.clone(),
        base: visit.base.clone(),
    }))
}

async fn replay(visit: InGroup<ToConfigure>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let group = (visit.group.root, visit.group.id);
    let webhooks = &visit.visitor.web.webhooks;
    let flash = if webhooks
        .replay(by(&visit.visitor), group, DeliveryId(id))
        .await?
    {
        Flash::done("It was taken up again. What was done before is not done twice.")
    } else {
        Flash::warning("Nothing of it is given up any more.")
    };
    let path = visit.to(format_args!("deliveries/{id}"));
    Ok(visit.visitor.say(flash, &path))
}

fn call(visit: &InGroup<ToConfigure>, effect: &EffectLog) -> Call {
    let payload = serde_json::to_value(&effect.effect).unwrap_or_default();
    let what = payload
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("call");
    let moment = |at| visit.visitor.moment(at);
    Call {
        what: what.replace('_', " "),
        payload: serde_json::to_string_pretty(&payload).unwrap_or_default(),
        state: effect.state.clone(),
        outcome: effect.outcome.clone().unwrap_or_default(),
        next: effect.next_at.map(moment),
        attempts: effect
            .attempts
            .iter()
            .map(|attempt| {
                (
                    moment(attempt.at),
                    attempt.duration_ms,
                    attempt.outcome.clone(),
                )
            })
            .collect(),
    }
}

/// Returns a body on several lines, where it is JSON.
fn pretty(body: String) -> String {
    let value: Option<Value> = serde_json::from_str(&body).ok();
    let printed = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    printed.unwrap_or(body)
}

fn headers(headers: &Value) -> Vec<(String, String)> {
    let headers = headers.as_object().into_iter().flatten();
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    headers
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}
