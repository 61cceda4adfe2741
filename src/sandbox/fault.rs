//! Faults on demand: what a tracker's API does on a bad day.
//!
//! Only the REST API is concerned; hooks and the page never fail on purpose.

use std::{convert::Infallible, io, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;

use super::state::State;

/// Size of the pieces of [`Fault::HugeBody`], in bytes.
const CHUNK: usize = 64 * 1024;

/// How a call goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers with this and does nothing.
    Status(StatusCode, HeaderMap, Bytes),
    /// Does nothing and never answers.
    Hang,
    /// Does what was asked and sends the answer's body byte by byte with this pause before each.
    Drip(Duration),
    /// Does nothing and answers 200 with JSON of this many bytes, streamed.
    HugeBody(usize),
    /// Does nothing and cuts the connection without an answer.
    DropConnection,
    /// Does what was asked and cuts the connection without an answer.
    AnswerLost,
    /// Does what was asked and holds the answer back until the token is cancelled, if it ever is.
    AnswerHeld(CancellationToken),
    /// Does what was asked once the token is cancelled, though the caller may be gone by then.
    Late(CancellationToken),
    /// Does nothing and answers 200 with JSON that is not what was asked for.
    ForgedJson,
}

impl Fault {
    /// Returns a JSON error answer in GitLab's form, without further headers.
    pub fn status(status: StatusCode, message: &str) -> Self {
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/json"),
        )]);
        let body = serde_json::json!({ "message": message }).to_string();
        Self::Status(status, headers, body.into())
    }

    /// Returns the 429 of GitLab's rack limits, with `Retry-After` and the `RateLimit-*` headers.
    pub fn throttled(retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs();
        let reset = super::now().timestamp().saturating_add_unsigned(seconds);
        let headers = [
            (header::CONTENT_TYPE, "text/plain".to_owned()),
            (header::RETRY_AFTER, seconds.to_string()),
            (
                header::HeaderName::from_static("ratelimit-limit"),
                "300".to_owned(),
            ),
            (
                header::HeaderName::from_static("ratelimit-observed"),
                "301".to_owned(),
            ),
            (
                header::HeaderName::from_static("ratelimit-remaining"),
                "0".to_owned(),
            ),
            (
                header::HeaderName::from_static("ratelimit-reset"),
                reset.to_string(),
            ),
            (
                header::HeaderName::from_static("ratelimit-name"),
                "throttle_authenticated_api".to_owned(),
            ),
        ];
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        let body = Bytes::from_static(b"Retry later\n");
        Self::Status(StatusCode::TOO_MANY_REQUESTS, headers, body)
    }

    /// Returns the HTML page of a proxy whose backend is away.
    pub fn bad_gateway() -> Self {
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("text/html"),
        )]);
        let body = b"<!DOCTYPE html>\n<html><head><title>GitLab is not responding (502)</title></head>\
            <body><h1>502</h1><p>Whoops, GitLab is taking too much time to respond.</p></body></html>\n";
        Self::Status(StatusCode::BAD_GATEWAY, headers, Bytes::from_static(body))
    }

    /// Answers in place of the API, or lets it act first.
    pub(super) async fn answer(self, request: Request, next: Next) -> Response {
        match self {
            Self::Status(status, headers, body) => (status, headers, body).into_response(),
            Self::Hang => std::future::pending().await,
            Self::Drip(pause) => drip(next.run(request).await, pause).await,
            Self::HugeBody(bytes) => huge(bytes),
            Self::DropConnection => cut(),
            Self::AnswerLost => {
                next.run(request).await;
                cut()
            }
            Self::AnswerHeld(release) => {
                let answer = next.run(request).await;
                release.cancelled().await;
                answer
            }
            Self::Late(begin) => {
                begin.cancelled().await;
                next.run(request).await
            }
            Self::ForgedJson => {
                let json = [(header::CONTENT_TYPE, "application/json")];
                (
                    json,
                    r#"{"id":"none","body":[null,-1],"access_level":"50"}"#,
                )
                    .into_response()
            }
        }
    }
}

/// A fault that waits for its calls.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) times: u32,
    pub(super) fault: Fault,
}

impl State {
    /// Returns the fault that meets a call and counts it as used.
    pub(super) fn take_fault(&mut self, method: &Method, path: &str) -> Option<Fault> {
        self.rules.retain(|rule| rule.times > 0);
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.method == *method && path.starts_with(&rule.path))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}

/// Returns an answer whose body fails at once: the server closes the connection instead of sending it.
fn cut() -> Response {
    let broken = stream::once(async { Err::<Bytes, _>(io::Error::other("cut on purpose")) });
    Body::from_stream(broken).into_response()
}

fn huge(bytes: usize) -> Response {
    let open = Bytes::from_static(b"[\"");
    let close = Bytes::from_static(b"\"]");
    let filling = bytes.saturating_sub(open.len() + close.len());
    let pieces = std::iter::repeat_n(CHUNK, filling / CHUNK)
        .chain([filling % CHUNK])
        .map(|length| Bytes::from(vec![b'x'; length]));
    let all = [open].into_iter().chain(pieces).chain([close]);
    let body = Body::from_stream(stream::iter(all.map(Ok::<_, Infallible>)));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn drip(answer: Response, pause: Duration) -> Response {
    let (head, body) = answer.into_parts();
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
        }
    };
    let drops = stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let drop = rest.split_to(1);
        Some((Ok::<_, Infallible>(drop), rest))
    });
    Response::from_parts(head, Body::from_stream(drops))
}
