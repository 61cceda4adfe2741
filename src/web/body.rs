//! Bodies of requests, read whole within limits of size and time: forms before anything else is done for them, files once it is known who
//! sends them and that he may.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
};
use http::{HeaderMap, Method, header};

use super::problem::Problem;

/// Largest form, in bytes: fields that are far too long are given back with a word on their limits.
pub(super) const MAX_FORM: usize = 1 << 20;
/// Largest form with a file in it, in bytes.
const MAX_UPLOAD: usize = 32 << 20;
/// Longest that a form may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Longest that a file may take to arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(2);

/// Returns whether a body is a form with a file in it.
pub(super) fn is_upload(headers: &HeaderMap) -> bool {
    has_type(headers, "multipart/form-data")
}

/// Returns whether a body is a form without files.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    has_type(headers, "application/x-www-form-urlencoded")
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// Returns the request with its body read. Only forms have one; one with a file is left for [`collect_upload`].
pub(super) async fn collect(request: Request) -> Result<Request, Problem> {
    if request.method() != Method::POST {
        let (head, _) = request.into_parts();
        return Ok(Request::from_parts(head, Body::empty()));
    }
    if is_upload(request.headers()) {
        return Ok(request);
    }
    read(request, (MAX_FORM, TIMEOUT)).await
}

/// Returns the request with the file in it read: for pages that take one, after the right to send it was looked at.
pub(super) async fn collect_upload(request: Request) -> Result<Request, Problem> {
    read(request, (MAX_UPLOAD, UPLOAD_TIMEOUT)).await
}

async fn read(request: Request, (most, longest): (usize, Duration)) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    let bytes = match tokio::time::timeout(longest, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error);
            // A browser that breaks off gets no answer anyway.
            return Err(match cause {
                Some(cause) if cause.is::<http_body_util::LengthLimitError>() => Problem::TooLarge,
                _ => Problem::Malformed,
            });
        }
        Err(_) => return Err(Problem::TooSlow),
    };
    Ok(Request::from_parts(head, Body::from(bytes)))
}
