//! Pages that say why there is no page.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, header};

use super::{
    frame::{Frame, html},
    login::sign_in_path,
};
use crate::{
    crm::{CrmError, Outage},
    store::{StoreError, search::ListError},
};

/// Why a request gets no page.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is nothing here for whoever asks.
    NotFound,
    /// He may see it and not do this; why, in words.
    Denied(String),
    /// Nobody is signed in; the path that was asked for.
    SignIn(String),
    /// The request does not come from a page of this service.
    Foreign,
    /// The body is no form, or not this one.
    Malformed,
    /// The body is larger than is taken.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// Somebody tries too often.
    TooMany,
    /// What was asked for cannot be; why, in words.
    Refused(String),
    /// The tracker does not say what the visitor may do.
    TrackerAway,
    /// The database does not answer, or something else that is needed.
    Unavailable,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    title: &'a str,
    text: &'a str,
}

impl Problem {
    fn parts(&self) -> (StatusCode, &str, &str) {
        match self {
            Self::NotFound | Self::SignIn(_) => (
                StatusCode::NOT_FOUND,
                "Page not found",
                "The page does not exist, or you may not see it. If somebody gave you the address, ask them for access.",
            ),
            Self::Denied(why) => (StatusCode::FORBIDDEN, "You may not do this", why),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "The request was not made here",
                "Changes are taken from pages of this service only. Go back, reload the page, and try again.",
            ),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "The form could not be read",
                "Go back, reload the page, and try again.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "That is too much at once",
                "A form may have up to 1 MiB, a file up to 32 MiB. Go back and make it smaller; the command line takes larger files.",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "The form did not arrive in time",
                "Go back and try again.",
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many attempts",
                "Wait a minute, then try again.",
            ),
            Self::Refused(why) => (StatusCode::UNPROCESSABLE_ENTITY, "That cannot be done", why),
            Self::TrackerAway => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The tracker does not answer",
                "It is asked what you may do here, and what it said before is too old by now. Nothing was changed; try again in a minute.",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not available at the moment",
                "The database does not answer. Nothing was changed; try again in a minute.",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Self::SignIn(path) = &self {
            return Redirect::to(&sign_in_path(path)).into_response();
        }
        let (status, title, text) = self.parts();
        let frame = Frame::bare(title);
        let mut response = html(&ProblemPage { frame, title, text });
        *response.status_mut() = status;
        if matches!(self, Self::Unavailable | Self::TrackerAway | Self::TooMany) {
            let pause = http::HeaderValue::from_static("30");
            response.headers_mut().insert(header::RETRY_AFTER, pause);
        }
        response
    }
}

impl From<CrmError> for Problem {
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::NotFound => Self::NotFound,
            CrmError::Denied(why) => Self::Denied(format!("{why}.")),
            CrmError::Invalid(reasons) => Self::Refused(format!("{}.", reasons.join(". "))),
            CrmError::Changed => Self::Refused(format!("{error}. Reload the page and try again.")),
            CrmError::Unavailable(outage) => {
                tracing::error!(
                    error = &outage as &dyn std::error::Error,
                    "a page is not available"
                );
                match outage {
                    Outage::Tracker(_) => Self::TrackerAway,
                    _ => Self::Unavailable,
                }
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        CrmError::Unavailable(Outage::Store(error)).into()
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        match error {
            // The address is one of another list, or made up.
            ListError::Cursor(_) => Self::NotFound,
            ListError::Store(error) => error.into(),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}
