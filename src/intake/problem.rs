//! Answers that say no, as RFC 9457 problems. They leak nothing: the reason for our eyes goes to the log.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// Why a request is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// No such webhook.
    UnknownWebhook,
    /// Not a POST.
    WrongMethod,
    /// The webhook is paused or deleted.
    Gone,
    /// Not JSON by its content type.
    UnsupportedType,
    /// Larger than accepted.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The sender is not proven.
    Unauthorized,
    /// Not JSON.
    Malformed,
    /// Postgres does not answer, or more arrives than it takes.
    Unavailable,
}

impl Problem {
    /// Returns status, label for the metric, title and detail.
    fn parts(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::UnknownWebhook => (
                StatusCode::NOT_FOUND,
                "unknown_webhook",
                "No such webhook",
                "Check the URL: it is shown when the webhook is created.",
            ),
            Self::WrongMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong_method",
                "Not a POST",
                "Send the delivery with the method POST.",
            ),
            Self::Gone => (
                StatusCode::GONE,
                "gone",
                "The webhook takes no deliveries",
                "It is paused or deleted. An administrator of the group can resume it or create a new one.",
            ),
            Self::UnsupportedType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_type",
                "Not JSON",
                "Send the delivery with the content type application/json.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "Too large",
                "A delivery may have up to 25 MiB.",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                "Too slow",
                "The body did not arrive within 30 seconds.",
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "The sender is not proven",
                "The secret token or signature is missing or wrong. Compare the webhook's secret on both sides.",
            ),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "Not JSON",
                "The body is not valid JSON.",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Try again",
                "The delivery could not be stored. Send it again.",
            ),
        }
    }

    /// Returns the status.
    pub(super) fn status(self) -> StatusCode {
        self.parts().0
    }

    /// Returns what is wrong, in a few words.
    pub(super) fn title(self) -> &'static str {
        self.parts().2
    }

    /// Returns what to do about it.
    pub(super) fn detail(self) -> &'static str {
        self.parts().3
    }

    /// Returns an answer with what the sender has to know beside its body.
    pub(super) fn response(
        self,
        status: StatusCode,
        kind: &'static str,
        body: &serde_json::Value,
    ) -> Response {
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if self == Self::Unavailable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if self == Self::TooSlow || self == Self::TooLarge {
            // What is left of the body is not read.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Returns the word for the metric.
    pub(super) fn label(self) -> &'static str {
        self.parts().1
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, _, title, detail) = self.parts();
        let body = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        self.response(status, "application/problem+json", &body)
    }
}
