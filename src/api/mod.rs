//! What programs ask: the GraphQL endpoint, and the route from which editors complete contacts.
//!
//! Finds out who asks, bounds what is asked, and words the answers as GitLab does. Decides nothing: changes and rights are the CRM's.

mod autocomplete;
mod explorer;
mod graphql;
mod reply;
mod socket;

use std::sync::Arc;

use async_graphql::{BatchRequest, BatchResponse};
use axum::{
    Json, Router,
    extract::{FromRequestParts, Request, State, ws::WebSocketUpgrade},
    response::{IntoResponse, Response},
    routing::any,
};
use http::{HeaderMap, Method, header};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{Bearer, Credential},
    crm::{Crm, Webhooks},
    queue::Wake,
    store::search::Completing,
};
use graphql::{Endpoint, Viewer};
use reply::Denied;

pub use explorer::explorer;
pub use graphql::schema_language;

/// Queries that may come in one request; GitLab's own client sends up to ten.
const MAX_BATCH: usize = 10;
/// Open WebSockets per process.
const MAX_SOCKETS: usize = 1000;

/// What the API is made of.
#[derive(Debug, Clone)]
pub struct Api {
    /// The way to the CRM.
    pub crm: Crm,
    /// Completes contacts.
    pub completing: Completing,
    /// The way to the webhooks of groups.
    pub webhooks: Webhooks,
    /// Who tells of changes.
    pub wake: Arc<Wake>,
    /// Tasks of open requests; their end is waited for.
    pub tasks: TaskTracker,
    /// Ends open sockets.
    pub stop: CancellationToken,
}

#[derive(Clone)]
struct Shared {
    api: Api,
    endpoint: Endpoint,
    sockets: Arc<Semaphore>,
}

impl Api {
    /// Returns the routes.
    pub fn router(self) -> Router {
        let shared = Shared {
            endpoint: Endpoint::new(&self),
            sockets: Arc::new(Semaphore::new(MAX_SOCKETS)),
            api: self,
        };
        Router::new()
            .route("/api/graphql", any(graphql))
            // Paths of groups have any number of segments, which no pattern of the router can say.
            .fallback(autocomplete::contacts)
            .with_state(shared)
    }

    /// Returns the person behind a credential.
    async fn bearer(&self, credential: Credential) -> Result<Bearer, Denied> {
        let found = async {
            let mut connection = self.crm.pool.acquire().await?;
            credential
                .bearer(&mut connection, self.crm.clock.now())
                .await
        };
        match found.await {
            Ok(Some(bearer)) => Ok(bearer),
            Ok(None) => Err(Denied::InvalidToken),
            Err(error) => {
                tracing::error!(%error, "a token could not be looked up");
                Err(Denied::Unavailable)
            }
        }
    }

    /// Returns who sends a request; somebody without a token is nobody, which is different from somebody with a wrong one.
    async fn viewer(&self, headers: &HeaderMap) -> Result<Viewer, Denied> {
        match Credential::from_headers(headers) {
            None => Ok(Viewer::Nobody),
            Some(credential) => Ok(Viewer::Somebody(self.bearer(credential).await?, credential)),
        }
    }
}

async fn graphql(State(shared): State<Shared>, request: Request) -> Response {
    let answered = match *request.method() {
        Method::POST => post(&shared, request).await,
        Method::GET => upgrade(shared, request).await,
        _ => Err(Denied::WrongMethod),
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn post(shared: &Shared, request: Request) -> Result<Response, Denied> {
    let (head, body) = request.into_parts();
    let viewer = shared.api.viewer(&head.headers).await?;
    if !is_json(&head.headers) {
        return Err(Denied::UnsupportedType);
    }
    let body = reply::read(body).await?;
    let answer = match serde_json::from_slice(&body).map_err(|_| Denied::Malformed)? {
        BatchRequest::Single(request) => {
            BatchResponse::Single(shared.endpoint.answer(request, &viewer).await)
        }
        BatchRequest::Batch(requests) if requests.len() > MAX_BATCH => {
            return Err(Denied::TooLarge);
        }
        BatchRequest::Batch(requests) => {
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                answers.push(shared.endpoint.answer(request, &viewer).await);
            }
            BatchResponse::Batch(answers)
        }
    };
    Ok(Json(answer).into_response())
}

/// Answers a GET, which is good for nothing but to become a WebSocket: a query in an address would be stored along the way.
async fn upgrade(shared: Shared, request: Request) -> Result<Response, Denied> {
    let (mut head, _) = request.into_parts();
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut head, &()).await else {
        return Err(Denied::WrongMethod);
    };
    let viewer = shared.api.viewer(&head.headers).await?;
    let place = Arc::clone(&shared.sockets)
        .try_acquire_owned()
        .map_err(|_| Denied::Unavailable)?;
    let session = socket::Session {
        api: shared.api,
        endpoint: shared.endpoint,
        viewer,
    };
    socket::upgrade(upgrade, session, place)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
