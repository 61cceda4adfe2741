//! Bodies of requests and the answers that are no data: as GitLab's API words them, `{"errors":[{"message":"…"}]}`.

use std::time::Duration;

use axum::{
    Json,
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::json;

/// Largest body, in bytes.
const MAX_BODY: usize = 1 << 20;
/// Longest that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a request gets no answer from the schema or the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// The token is unknown, has ended, or its person was deactivated.
    InvalidToken,
    /// There is nothing here for the asker.
    NotFound,
    /// The method is not one of the route's.
    WrongMethod,
    /// Not JSON by its content type.
    UnsupportedType,
    /// Larger than accepted.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// Not JSON, or not a request.
    Malformed,
    /// The protocol of the WebSocket is not ours.
    UnknownProtocol,
    /// The database or the tracker does not answer, or too much is asked at a time.
    Unavailable,
}

impl Denied {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "Invalid token", "UNAUTHENTICATED"),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found", "NOT_FOUND"),
            Self::WrongMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Send the query with the method POST",
                "METHOD_NOT_ALLOWED",
            ),
            Self::UnsupportedType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send the query with the content type application/json",
                "UNSUPPORTED_MEDIA_TYPE",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "A request may have up to 1 MiB",
                "TOO_LARGE",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "The body did not arrive in time",
                "TIMEOUT",
            ),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "The body is no GraphQL request",
                "BAD_REQUEST",
            ),
            Self::UnknownProtocol => (
                StatusCode::BAD_REQUEST,
                "Speak graphql-transport-ws",
                "BAD_REQUEST",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Please try again",
                "UNAVAILABLE",
            ),
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let (status, message, code) = self.parts();
        let body = json!({ "errors": [{ "message": message, "extensions": { "code": code } }] });
        match self {
            Self::InvalidToken => {
                (status, [(header::WWW_AUTHENTICATE, "Bearer")], Json(body)).into_response()
            }
            Self::WrongMethod => (status, [(header::ALLOW, "POST")], Json(body)).into_response(),
            Self::Unavailable => (status, [(header::RETRY_AFTER, "5")], Json(body)).into_response(),
            // What is left of the body is not read.
            Self::TooLarge | Self::TooSlow => {
                (status, [(header::CONNECTION, "close")], Json(body)).into_response()
            }
            Self::NotFound | Self::UnsupportedType | Self::Malformed | Self::UnknownProtocol => {
                (status, Json(body)).into_response()
            }
        }
    }
}

/// Reads a body within limits of size and time.
pub(super) async fn read(body: Body) -> Result<Bytes, Denied> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error);
            // A sender that breaks off gets no answer anyway.
            Err(match cause {
                Some(cause) if cause.is::<http_body_util::LengthLimitError>() => Denied::TooLarge,
                _ => Denied::Malformed,
            })
        }
        Err(_) => Err(Denied::TooSlow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_bodies_up_to_the_limit() {
        assert_eq!(
            read(Body::from(vec![0; MAX_BODY])).await.unwrap().len(),
            MAX_BODY
        );
        assert_eq!(
            read(Body::from(vec![0; MAX_BODY + 1])).await.unwrap_err(),
            Denied::TooLarge
        );
    }
}
