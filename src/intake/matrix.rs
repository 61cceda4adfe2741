//! The routes by which a Matrix homeserver tells its application service (Matrix specification 1.17, application service API).
//!
//! They name no webhook: the homeserver's token does. All that one application service is told comes through one webhook.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Request, StatusCode, header, request::Parts};
use serde_json::json;
use tracing::Instrument;

use super::{
    Intake, Problem,
    body::{Read, read},
    book::Entry,
    receive::{Kept, is_json},
};
use crate::{
    connector::{VerifyError, matrix, messenger::Parcel},
    domain::{ConnectionKind, DeliveryId, Lane},
    queue::{Arrival, Sent, Stored},
    telemetry,
};

/// Returns the routes, those that homeservers asked for before Matrix 1.0 included.
pub(super) fn router(intake: Intake) -> Router {
    let mut routes = Router::new().route("/_matrix/app/v1/ping", post(ping));
    for prefix in ["/_matrix/app/v1", ""] {
        routes = routes
            .route(&format!("{prefix}/transactions/{{id}}"), put(transaction))
            .route(&format!("{prefix}/users/{{id}}"), get(nobody))
            .route(&format!("{prefix}/rooms/{{alias}}"), get(nobody));
    }
    routes.with_state(intake)
}

/// Why a request of a homeserver is not taken, in Matrix' form.
#[derive(Debug, Clone, Copy)]
struct Refused(Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        telemetry::count_received(self.0.label());
        let code = match self.0 {
            Problem::Unauthorized => "M_FORBIDDEN",
            Problem::Malformed | Problem::UnsupportedType => "M_NOT_JSON",
            Problem::TooLarge => "M_TOO_LARGE",
            _ => "M_UNKNOWN",
        };
        let status = match self.0 {
            // The word of the specification.
            Problem::Unauthorized => StatusCode::FORBIDDEN,
            other => other.status(),
        };
        let body = json!({ "errcode": code, "error": self.0.detail() });
        self.0.response(status, "application/json", &body)
    }
}

/// Finds the webhook whose secret the homeserver knows.
///
/// All are compared, so that the time does not tell which one was right.
fn proven(intake: &Intake, head: &Parts) -> Result<Arc<Entry>, Refused> {
    let refused = |error: VerifyError| {
        tracing::warn!(%error, "a request of a homeserver was refused");
        Refused(Problem::Unauthorized)
    };
    let token = matrix::token(&head.headers, head.uri.query()).map_err(refused)?;
    let now = intake.clock.now();
    let book = intake.book.borrow().clone();
    let known: Vec<&Arc<Entry>> = book
        .of_kind(ConnectionKind::Matrix)
        .filter(|entry| matrix::verify(&token, &entry.secrets, now).is_ok())
        .collect();
    match known.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => Err(refused(VerifyError::Wrong("the homeserver's token"))),
        _ => {
            tracing::error!(
                "several Matrix webhooks have the same secret, so that none of them is believed: rotate them"
            );
            Err(Refused(Problem::Unauthorized))
        }
    }
}

async fn nobody(State(intake): State<Intake>, request: Request<Body>) -> Result<Response, Refused> {
    let (head, _) = request.into_parts();
    proven(&intake, &head)?;
    let body = json!({ "errcode": "M_NOT_FOUND", "error": "Liaison makes its user and its rooms itself." });
    Ok((StatusCode::NOT_FOUND, Json(body)).into_response())
}

async fn ping(
    State(intake): State<Intake>,
    request: Request<Body>,
) -> Result<Json<serde_json::Value>, Refused> {
    let (head, _) = request.into_parts();
    proven(&intake, &head)?;
    Ok(Json(json!({})))
}

async fn transaction(
    State(intake): State<Intake>,
    id: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Json<serde_json::Value>, Refused> {
    let span = tracing::debug_span!("transaction");
    take(&intake, id.map(|Path(id)| id).unwrap_or_default(), request)
        .instrument(span)
        .await?;
    Ok(Json(json!({})))
}

/// Stores a transaction's events, each as a delivery, and returns when all of them are durable.
///
/// If not all could be stored, the homeserver sends the transaction again: what was stored is a repeat then.
async fn take(intake: &Intake, id: String, request: Request<Body>) -> Result<(), Refused> {
    let (head, body) = request.into_parts();
    let entry = proven(intake, &head)?;
    if !entry.active {
        return Err(Problem::Gone.into());
    }
    let taken = take_proven(intake, &entry, &id, (head, body)).await;
    let (key, now) = ((entry.root, entry.id), intake.clock.now());
    match &taken {
        Ok(()) => intake.tallies.accepted(key, now),
        Err(Refused(problem)) => intake.tallies.refused(key, now, problem.title()),
    }
    taken
}

async fn take_proven(
    intake: &Intake,
    entry: &Entry,
    id: &str,
    (head, body): (Parts, Body),
) -> Result<(), Refused> {
    if !is_json(&head.headers) {
        return Err(Problem::UnsupportedType.into());
    }
    let length = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    // Its share of the memory is held until all is stored.
    let Read {
        bytes,
        share: _share,
    } = read(body, length, &intake.budget).await?;
    let parcels = unpack(entry, id, &bytes)?;
    let headers = Kept(&matrix::KEPT_HEADERS, &head.headers);
    // The order of ids is the order in the transaction.
    let mut lanes: Vec<(Lane, Vec<Arrival>)> = Vec::new();
    for parcel in parcels {
        let arrival = arrival(intake, entry, &parcel, &headers);
        match lanes.iter_mut().find(|(lane, _)| *lane == arrival.lane) {
            Some((_, waiting)) => waiting.push(arrival),
            None => lanes.push((arrival.lane, vec![arrival])),
        }
    }
    // Each has its own copy.
    drop(bytes);
    let stored = lanes.into_iter().map(|(_, arrivals)| async {
        // One by one: were a later one stored and an earlier one not, they would be worked in the wrong order.
        for arrival in arrivals {
            let stored = intake.writer.store(arrival, None).await?;
            telemetry::count_received(match stored {
                Stored::New(_) => "stored",
                Stored::Repeat(_) => "repeat",
                Stored::Revived(_) => "revived",
            });
        }
        Ok::<_, Problem>(())
    });
    try_join_all(stored).await?;
    Ok(())
}

fn unpack(entry: &Entry, id: &str, body: &Bytes) -> Result<Vec<Parcel>, Refused> {
    let parcels = matrix::unpack(entry.connection, id, body).map_err(|error| {
        tracing::warn!(%error, "a transaction was refused");
        Refused(Problem::Malformed)
    })?;
    if parcels.len() > matrix::MAX_EVENTS {
        tracing::warn!(
            events = parcels.len(),
            "a transaction was refused: it has too many events"
        );
        return Err(Problem::TooLarge.into());
    }
    Ok(parcels)
}

fn arrival(intake: &Intake, entry: &Entry, parcel: &Parcel, headers: &Kept<'_>) -> Arrival {
    Arrival {
        id: DeliveryId(intake.clock.id()),
        root: entry.root,
        webhook: entry.id,
        connection: entry.connection,
        lane: parcel.routing.lane,
        dedupe_key: parcel.routing.dedupe_key,
        received_at: intake.clock.now(),
        sent: Sent::new(headers, &parcel.body),
    }
}
