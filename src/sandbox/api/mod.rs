//! The REST API under `/api/v4` and the GraphQL beside it: authentication, the call log, faults and what all answers share.
//!
//! Statuses, field names and messages are GitLab's. Every rule about comments is [`super::notes`]'s.

mod graphql;
mod hooks;
mod notes;
mod parameters;
mod render;
mod tree;

use axum::{
    Json, Router,
    extract::{Request, State as Shared},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::{ApiCall, Sandbox, notes::Refusal};
use parameters::Parameters;

/// Header by which a call joins a chain of events.
const CHAIN: &str = "x-gitlab-event-uuid";

/// Whoever calls.
#[derive(Debug, Clone)]
struct Caller {
    id: u64,
    chain: Option<String>,
}

/// Returns the routes under `/api/v4`.
pub(super) fn router(sandbox: &Sandbox) -> Router<Sandbox> {
    let routes = Router::new()
        .merge(tree::router())
        .merge(notes::router())
        .merge(hooks::router())
        .fallback(|| async {
            let body = Json(json!({ "error": "404 Not Found" }));
            (StatusCode::NOT_FOUND, body)
        });
    // The gate stands outside, where the address is still whole.
    Router::new()
        .nest("/api/v4", routes)
        .merge(graphql::router())
        .layer(middleware::from_fn_with_state(sandbox.clone(), gate))
}

/// Logs a call, lets a fault meet it, and asks for a token.
async fn gate(Shared(sandbox): Shared<Sandbox>, mut request: Request, next: Next) -> Response {
    let chain = text(request.headers(), CHAIN).map(str::to_owned);
    let method = request.method().clone();
    let path = request
        .uri()
        .path_and_query()
        .map_or_else(String::new, ToString::to_string);
    let (caller, fault) = sandbox.change(|state| {
        let token = token(request.headers());
        let user = token.and_then(|token| state.tokens.get(token)).copied();
        let fault = state.take_fault(&method, &path);
        state.log_call(ApiCall {
            method,
            path,
            user,
            chain: chain.clone(),
        });
        (user.map(|id| Caller { id, chain }), fault)
    });
    match (caller, fault) {
        (Some(caller), fault) => {
            request.extensions_mut().insert(caller);
            match fault {
                Some(fault) => {
                    // A server goes on with what it began, though the caller goes away.
                    let stopping = sandbox.shared.stopping.clone();
                    let work = fault.answer(request, next);
                    let work = async move { stopping.run_until_cancelled(work).await };
                    match sandbox.shared.tasks.spawn(work).await {
                        Ok(Some(answer)) => answer,
                        Ok(None) | Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                    }
                }
                None => next.run(request).await,
            }
        }
        (None, _) => Refusal::Unauthorized.into_response(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn token(headers: &HeaderMap) -> Option<&str> {
    text(headers, "private-token").or_else(|| {
        let (scheme, token) = text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    })
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                json!({ "message": self.to_string() }),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                json!({ "message": self.to_string() }),
            ),
            Self::NotFound(_) | Self::AlreadyAwarded => (
                StatusCode::NOT_FOUND,
                json!({ "message": self.to_string() }),
            ),
            Self::Invalid(why) => (StatusCode::BAD_REQUEST, json!({ "error": why })),
            Self::CommandsOnly => (
                StatusCode::ACCEPTED,
                json!({ "commands_changes": {}, "summary": [self.to_string()] }),
            ),
            // Application limits answer without Retry-After or RateLimit headers.
            Self::Throttled => (
                StatusCode::TOO_MANY_REQUESTS,
                json!({ "message": { "error": self.to_string() } }),
            ),
        };
        (status, Json(body)).into_response()
    }
}

/// Answers one page of a list, with GitLab's paging headers.
fn page<T>(
    parameters: &Parameters,
    items: impl ExactSizeIterator<Item = T>,
    render: impl FnMut(T) -> serde_json::Value,
) -> Response {
    let number = |name, default: usize| {
        let asked = parameters
            .number(name)
            .and_then(|asked| usize::try_from(asked).ok());
        asked.unwrap_or(default).max(1)
    };
    let (page, per_page) = (number("page", 1), number("per_page", 20).min(100));
    let total = items.len();
    let pages = total.div_ceil(per_page).max(1);
    let start = (page - 1).saturating_mul(per_page);
    let rows: Vec<_> = items.skip(start).take(per_page).map(render).collect();
    let shown = |page: Option<usize>| page.map_or_else(String::new, |page| page.to_string());
    let next = (page < pages).then(|| link(parameters, "page", &(page + 1).to_string()));
    let headers = [
        ("link", next.unwrap_or_default()),
        ("x-page", page.to_string()),
        ("x-per-page", per_page.to_string()),
        ("x-total", total.to_string()),
        ("x-total-pages", pages.to_string()),
        ("x-prev-page", shown((page > 1).then(|| page - 1))),
        ("x-next-page", shown((page < pages).then_some(page + 1))),
    ];
    (axum::response::AppendHeaders(headers), Json(rows)).into_response()
}

/// Answers one page of a list by the last key of the page before, in ascending order; no totals, as GitLab has it.
fn keyset<T>(
    parameters: &Parameters,
    items: &[T],
    render: impl Fn(&T) -> (u64, serde_json::Value),
) -> Response {
    let after = parameters.number("id_after").unwrap_or_default();
    let per_page = parameters.number("per_page").unwrap_or(20).clamp(1, 100);
    let mut rest = items.iter().map(render).filter(|(id, _)| *id > after);
    let rows: Vec<_> = rest
        .by_ref()
        .take(usize::try_from(per_page).unwrap_or(1))
        .collect();
    let last = rows
        .last()
        .map(|(id, _)| *id)
        .filter(|_| rest.next().is_some());
    let next = last.map(|id| link(parameters, "id_after", &id.to_string()));
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    (
        axum::response::AppendHeaders([("link", next.unwrap_or_default())]),
        Json(rows),
    )
        .into_response()
}

/// Returns a `Link` header to the next page; only the query matters to a client that keeps to its own address.
fn link(parameters: &Parameters, key: &str, value: &str) -> String {
    let query = parameters.query_with(key, value);
    format!("<http://gitlab.invalid/api/v4?{query}>; rel=\"next\"")
}

#[cfg(test)]
mod tests;
