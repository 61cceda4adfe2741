//! Parts of addresses: whoever made one up gets a page that says so.

use axum::{
    extract::{self, FromRequestParts},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// What a path holds in its variable parts.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

/// What stands behind the `?`.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = extract::Path::from_request_parts(parts, state).await;
        path.map(|extract::Path(value)| Self(value))
            .map_err(|_| Problem::NotFound)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = extract::Query::from_request_parts(parts, state).await;
        query
            .map(|extract::Query(value)| Self(value))
            .map_err(|_| Problem::NotFound)
    }
}
