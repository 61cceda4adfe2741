//! What is said once, on the page after a change: kept in a cookie, since the page is reached by a redirect.

use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use url::Url;

use super::cookie::Cookie;
use crate::domain::OperationId;

/// How long it waits for a page to be said on, in seconds.
const LASTS: i64 = 60;
/// Longest text, in bytes; a browser keeps cookies up to 4 KiB.
const LONGEST: usize = 1500;

/// A sentence about what was done, without anybody's data, and by what it is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flash {
    /// The sentence.
    pub(super) text: String,
    /// Whether it tells of something that went wrong.
    #[serde(default)]
    pub(super) is_warning: bool,
    /// The operation that a button takes back.
    #[serde(default)]
    pub(super) undo: Option<OperationId>,
}

impl Flash {
    /// Returns what is said of something that was done.
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_warning: false,
            undo: None,
        }
    }

    /// Returns what is said of something that could not be done.
    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self {
            is_warning: true,
            ..Self::done(text)
        }
    }

    /// Adds what somebody should know of what was done.
    pub(super) fn but(self, text: &str) -> Self {
        Self {
            text: format!("{} {text}", self.text),
            is_warning: true,
            ..self
        }
    }

    /// Adds a button that takes an operation back, if there is one.
    pub(super) fn with_undo(self, operation: impl Into<Option<OperationId>>) -> Self {
        Self {
            undo: operation.into(),
            ..self
        }
    }

    /// Returns the answer to a form: on to another page, where this is said.
    pub(super) fn then(mut self, path: &str, public_url: &Url) -> Response {
        let mut end = LONGEST.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.truncate(end);
        let json = serde_json::to_vec(&self).unwrap_or_default();
        let cookie = Cookie::Flash.set(&URL_SAFE_NO_PAD.encode(json), LASTS, public_url);
        (
            AppendHeaders([(header::SET_COOKIE, cookie)]),
            Redirect::to(path),
        )
            .into_response()
    }

    /// Returns what is to be said on the page that is asked for.
    pub(super) fn read(headers: &HeaderMap, public_url: &Url) -> Option<Self> {
        let value = Cookie::Flash.read(headers, public_url)?;
        let json = URL_SAFE_NO_PAD.decode(value).ok()?;
        serde_json::from_slice(&json).ok()
    }
}
