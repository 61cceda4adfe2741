//! `POST /hooks/{webhook}`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, Request, StatusCode, header};
use serde::{Serialize, Serializer};
use tokio::sync::watch;
use tracing::Instrument;

use super::{
    Problem,
    body::{Budget, read},
    book::{Book, Entry},
    matrix,
    tally::Tallies,
    writer::Writer,
};
use crate::{
    connector::{Malformed, VerifyError, hook},
    domain::{Clock, DeliveryId},
    queue::{Arrival, Sent, Stored},
    telemetry,
};

/// What the receiver needs.
#[derive(Debug, Clone)]
pub struct Intake {
    /// The webhooks.
    pub book: watch::Receiver<Arc<Book>>,
    /// Where deliveries are stored.
    pub writer: Writer,
    /// Memory for large bodies.
    pub budget: Budget,
    /// How webhooks do.
    pub tallies: Tallies,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct Receipt {
    delivery: DeliveryId,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// Returns the receiver's routes.
pub fn router(intake: Intake) -> Router {
    let matrix = matrix::router(intake.clone());
    Router::new()
        .route(
            "/hooks/{webhook}",
            post(receive).fallback(async || Problem::WrongMethod),
        )
        .with_state(Arc::new(intake))
        .merge(matrix)
}

async fn receive(
    State(intake): State<Arc<Intake>>,
    webhook: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Response {
    // A name that is not text is nobody's.
    let webhook = webhook.map(|Path(name)| name).unwrap_or_default();
    let span = tracing::debug_span!("delivery", id = tracing::field::Empty, webhook);
    match accept(&intake, &webhook, request).instrument(span).await {
        Ok(stored) => {
            let (status, label, delivery, duplicate) = match stored {
                Stored::New(id) => (StatusCode::ACCEPTED, "stored", id, false),
                Stored::Repeat(id) => (StatusCode::OK, "repeat", id, true),
                Stored::Revived(id) => (StatusCode::OK, "revived", id, true),
            };
            telemetry::count_received(label);
            (
                status,
                Json(Receipt {
                    delivery,
                    duplicate,
                }),
            )
                .into_response()
        }
        Err(problem) => {
            telemetry::count_received(problem.label());
            problem.into_response()
        }
    }
}

async fn accept(intake: &Intake, webhook: &str, request: Request<Body>) -> Result<Stored, Problem> {
    let entry = Arc::clone(
        intake
            .book
            .borrow()
            .find(webhook)
            .ok_or(Problem::UnknownWebhook)?,
    );
    if !entry.active {
        return Err(Problem::Gone);
    }
    let taken = take(intake, &entry, webhook, request).await;
    let (key, now) = ((entry.root, entry.id), intake.clock.now());
    match &taken {
        Ok(_) => intake.tallies.accepted(key, now),
        Err(problem) => intake.tallies.refused(key, now, problem.title()),
    }
    taken
}

/// Takes a request for a webhook that is there and active.
async fn take(
    intake: &Intake,
    entry: &Entry,
    webhook: &str,
    request: Request<Body>,
) -> Result<Stored, Problem> {
    let (head, body) = request.into_parts();
    if !hook::is_readable(entry.kind, &head.headers) {
        return Err(Problem::UnsupportedType);
    }
    let length = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let unproven = |error: VerifyError| {
        tracing::warn!(%error, webhook, "a delivery was refused");
        Problem::Unauthorized
    };
    let now = intake.clock.now();
    hook::verify_head(entry.kind, &head.headers, &entry.secrets, now).map_err(unproven)?;
    let body = read(body, length, &intake.budget).await?;
    let sent = (&head, &body.bytes[..]);
    hook::verify_body(entry.kind, sent, &entry.secrets, intake.clock.now()).map_err(unproven)?;
    let arrival = arrival(intake, entry, &head.headers, body.bytes).map_err(|error| {
        tracing::warn!(%error, webhook, "a delivery was refused");
        Problem::Malformed
    })?;
    // Not kept while the delivery waits.
    drop(head);
    let stored = intake.writer.store(arrival, body.share).await;
    tracing::debug!(?stored, "received");
    stored
}

/// Finds lane and key; an error holds no value of the request.
fn arrival(
    intake: &Intake,
    entry: &Entry,
    headers: &HeaderMap,
    body: bytes::Bytes,
) -> Result<Arrival, Malformed> {
    // Made once all of it is here: the order of ids is the order of arrival.
    let id = DeliveryId(intake.clock.id());
    let routing = hook::route((entry.kind, entry.connection), id, (headers, &body))?;
    tracing::Span::current().record("id", tracing::field::display(id));
    Ok(Arrival {
        id,
        root: entry.root,
        webhook: entry.id,
        connection: entry.connection,
        lane: routing.lane,
        dedupe_key: routing.dedupe_key,
        received_at: intake.clock.now(),
        sent: Sent::new(
            &Kept(hook::kept_headers(entry.kind), headers),
            &hook::stored_body(entry.kind, body),
        ),
    })
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Those of some headers that are there, as an object.
pub(super) struct Kept<'a>(pub &'a [&'static str], pub &'a HeaderMap);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(names, headers) = self;
        let kept = names
            .iter()
            .filter_map(|name| Some((*name, headers.get(*name)?.to_str().ok()?)));
        serializer.collect_map(kept)
    }
}
