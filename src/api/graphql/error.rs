//! What a query is told when it gets no answer. Words are GitLab's where it has them; nothing internal is in them.

use std::{fmt::Write, sync::Arc};

use async_graphql::{Error, ErrorExtensionValues, Pos, Response, ServerError};

use crate::{
    crm::{CrmError, Outage},
    domain::Clock,
    store::{StoreError, search::ListError},
};

/// What is behind a failure of ours.
type Source = Arc<dyn std::error::Error + Send + Sync>;

/// Why a field has no value.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Refusal {
    /// There is no such thing, or the asker has no right to it; both are told alike.
    #[error(
        "The resource that you are attempting to access does not exist or you don't have permission to perform this action"
    )]
    NotAvailable,
    /// The CRM is off for the group.
    #[error("Feature disabled")]
    FeatureDisabled,
    /// An argument is not as it must be.
    #[error("{0}")]
    Argument(String),
    /// Without a token the schema is not told.
    #[error("Authentication required")]
    Unauthenticated,
    /// The query asks for more than one query may.
    #[error("{0}")]
    TooMuch(String),
    /// The query took longer than one query may.
    #[error("The query took too long")]
    TimedOut,
    /// Something outside, for instance the tracker that tells rights, does not answer; so the answer is no for now.
    #[error("The answer is not available at the moment; try again later")]
    Unavailable,
    /// Our fault; what happened is in the log.
    #[error("Internal server error")]
    Internal(Source),
}

impl Refusal {
    /// Returns the word that programs may rely on.
    fn code(&self) -> &'static str {
        match self {
            Self::NotAvailable => "RESOURCE_NOT_AVAILABLE",
            Self::FeatureDisabled => "FEATURE_DISABLED",
            Self::Argument(_) => "ARGUMENT_ERROR",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::TooMuch(_) => "QUERY_TOO_LARGE",
            Self::TimedOut => "TIMEOUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL_SERVER_ERROR",
        }
    }
}

impl Refusal {
    /// Returns the refusal for a cursor of another list, or none at all.
    pub(super) fn invalid_cursor() -> Self {
        Self::Argument("Please provide a valid cursor".to_owned())
    }

    /// Returns the refusal for something that cannot be.
    pub(super) fn internal(what: &'static str) -> Self {
        Self::Internal(Arc::new(Unexpected(what)))
    }
}

/// Something that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unexpected(&'static str);

impl From<CrmError> for Refusal {
    /// What GitLab's mutations authorise before they do anything is refused in one sentence, whether or not the thing exists.
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::NotFound | CrmError::Denied(_) => Self::NotAvailable,
            CrmError::Invalid(reasons) => Self::Argument(reasons.join(", ")),
            // Only who says what he saw is refused so; the API does not.
            CrmError::Changed => Self::Argument(error.to_string()),
            CrmError::Unavailable(Outage::Store(error)) => error.into(),
            CrmError::Unavailable(outage) => {
                tracing::warn!(error = chain(&outage), "rights could not be found out");
                Self::Unavailable
            }
        }
    }
}

impl From<ListError> for Refusal {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Cursor(_) => Self::invalid_cursor(),
            ListError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Internal(Arc::new(error))
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", refusal.code());
        Self {
            message: refusal.to_string(),
            extensions: Some(extensions),
            // What is behind it is logged when the response is whole: one failure may leave many fields without a value.
            source: match refusal {
                Refusal::Internal(source) => Some(Arc::new(source)),
                _ => None,
            },
        }
    }
}

impl From<Refusal> for ServerError {
    fn from(refusal: Refusal) -> Self {
        let error = Error::from(refusal).into_server_error(Pos::default());
        // It is about the request as a whole and not about a place in it.
        Self {
            locations: Vec::new(),
            ..error
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        Self::from_errors(vec![refusal.into()])
    }
}

/// Gives every error of a response a code, and logs what was our fault, once, under an id that the client is shown too.
pub(super) fn finish(mut response: Response, clock: &dyn Clock) -> Response {
    let mut incident: Option<String> = None;
    for error in &mut response.errors {
        let extensions = error.extensions.get_or_insert_default();
        if let Some(source) = error
            .source
            .take()
            .and_then(|source| source.downcast::<Source>().ok())
        {
            let id = incident.get_or_insert_with(|| {
                let id = clock.id().to_string();
                tracing::error!(
                    incident = id,
                    error = chain(&**source),
                    "a query could not be answered"
                );
                id
            });
            extensions.set("incident", id.as_str());
        }
        if extensions.get("code").is_none() {
            let code = if error.path.is_empty() {
                "INVALID_QUERY"
            } else {
                "ARGUMENT_ERROR"
            };
            extensions.set("code", code);
        }
    }
    response
}

/// Returns an error with all that is behind it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemClock;

    #[test]
    fn what_was_our_fault_is_shown_as_an_id_and_no_more() {
        let failure = Refusal::from(sqlx::Error::Protocol("password of the database".into()));
        let clock = SystemClock::default();
        let one = Error::from(failure.clone()).into_server_error(Pos::default());
        let two = Error::from(failure).into_server_error(Pos::default());
        let response = finish(Response::from_errors(vec![one, two]), &clock);
        let shown = serde_json::to_value(&response.errors).unwrap();
        assert!(!shown.to_string().contains("password"), "{shown}");
        assert_eq!(shown[0]["message"], "Internal server error");
        assert_eq!(shown[0]["extensions"]["code"], "INTERNAL_SERVER_ERROR");
        assert!(shown[0]["extensions"]["incident"].is_string());
        assert_eq!(
            shown[0]["extensions"]["incident"],
            shown[1]["extensions"]["incident"]
        );
    }

    #[test]
    fn every_error_has_a_code() {
        let clock = SystemClock::default();
        let invalid = Response::from_errors(vec![ServerError::new("Unknown field", None)]);
        let refused = Response::from(Refusal::FeatureDisabled);
        for (response, code) in [(invalid, "INVALID_QUERY"), (refused, "FEATURE_DISABLED")] {
            let shown = serde_json::to_value(&finish(response, &clock).errors).unwrap();
            assert_eq!(shown[0]["extensions"]["code"], code);
        }
    }
}
