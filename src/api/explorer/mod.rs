//! `/-/graphql-explorer`: a page to try queries on, for the administrators' listener. It loads nothing from elsewhere.

use axum::{Router, response::IntoResponse, routing::get};
use http::{HeaderName, header};

use super::schema_language;

/// The page may run its own script, ask its own host, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the routes of the page.
pub fn explorer() -> Router {
    Router::new()
        .route(
            "/-/graphql-explorer",
            get(async || file("text/html", include_str!("page.html"))),
        )
        .route(
            "/-/graphql-explorer/page.js",
            get(async || file("text/javascript", include_str!("page.js"))),
        )
        .route(
            "/-/graphql-explorer/page.css",
            get(async || file("text/css", include_str!("page.css"))),
        )
        .route(
            "/-/graphql-explorer/schema.graphql",
            get(async || file("text/plain", schema_language())),
        )
}

fn file(kind: &'static str, text: impl Into<String>) -> impl IntoResponse {
    let headers: [(HeaderName, String); 4] = [
        (header::CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, text.into())
}
