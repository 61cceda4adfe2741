//! Forms: what was typed, and what is wrong with it beside each field.

use axum::{
    extract::{FromRequest, Request},
    response::Response,
};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::{body, problem::Problem};

/// The field that says that a form comes back after its session had ended, to be shown as it was and not to be carried out.
pub(super) const RESTORED: &str = "_restored";

/// Pages whose forms show themselves again with what was typed ([`Typed::is_restored`]); everything else that is sent is a button.
const FORMS: [&str; 6] = [
    "/new",
    "/edit",
    "/preview",
    "/settings",
    "/crm/bulk",
    super::tokens::PATH,
];

/// What whoever comes second is told.
pub(super) const OVERTAKEN: &str = "Somebody else saved this since you opened it. Where it differs from what you typed, what is there now stands below the field: saving again replaces it.";

/// Returns whether what is sent to a path can be shown again instead of being carried out.
pub(super) fn shows_itself(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let is_merge = path.ends_with("/merge") && !path.contains("/crm/items/");
    is_merge || FORMS.iter().any(|form| path.ends_with(form))
}

/// What was typed into a form.
#[derive(Debug)]
pub(super) struct Typed<T> {
    /// The values.
    pub(super) values: T,
    /// Whether the form is only to be shown again, with these values.
    pub(super) is_restored: bool,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Typed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if *request.method() != Method::POST || !body::is_form(request.headers()) {
            return Err(Problem::Malformed);
        }
        let bytes = axum::body::to_bytes(request.into_body(), body::MAX_FORM)
            .await
            .map_err(|_| Problem::Malformed)?;
        let pairs = url::form_urlencoded::parse(&bytes);
        let is_restored = pairs.into_iter().any(|(name, _)| name == RESTORED);
        let values = serde_urlencoded::from_bytes(&bytes).map_err(|_| Problem::Malformed)?;
        Ok(Self {
            values,
            is_restored,
        })
    }
}

/// Returns a form as the answer to one that was refused.
pub(super) fn refused(page: Response) -> Response {
    with_status(page, StatusCode::UNPROCESSABLE_ENTITY)
}

/// Returns a form as the answer to one that came second.
pub(super) fn came_second(page: Response) -> Response {
    with_status(page, StatusCode::CONFLICT)
}

fn with_status(mut page: Response, status: StatusCode) -> Response {
    *page.status_mut() = status;
    page
}

/// Returns what was typed into a field that may be left empty.
pub(super) fn optional(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.trim().is_empty())
}

/// Returns what somebody else put into a field, where it differs from what was typed.
pub(super) fn differing(typed: &str, now: String) -> Option<String> {
    (typed.trim() != now).then_some(now)
}

/// What is wrong with what was typed: sentences that begin with the name of a field, as the rules word them, and others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Errors(Vec<String>);

impl Errors {
    /// Returns the errors of some sentences.
    pub(super) fn new(sentences: Vec<String>) -> Self {
        Self(sentences)
    }

    /// Adds a sentence.
    pub(super) fn push(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    /// Returns whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what is wrong with a field, by its label.
    pub(super) fn of(&self, label: &str) -> Vec<&str> {
        self.0
            .iter()
            .map(String::as_str)
            .filter(|sentence| is_about(sentence, label))
            .collect()
    }

    /// Returns what is wrong with no field of the form.
    pub(super) fn others(&self, labels: &[&str]) -> Vec<&str> {
        let named = |sentence: &&str| labels.iter().any(|label| is_about(sentence, label));
        self.0
            .iter()
            .map(String::as_str)
            .filter(|sentence| !named(sentence))
            .collect()
    }
}

fn is_about(sentence: &str, label: &str) -> bool {
    sentence
        .strip_prefix(label)
        .is_some_and(|rest| rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_stands_at_its_field() {
        let mut errors = Errors::new(vec![
            "First name can't be blank".into(),
            "Emails are odd".into(),
        ]);
        errors.push("Email has already been taken");
        assert_eq!(errors.of("First name"), ["First name can't be blank"]);
        assert_eq!(errors.of("Email"), ["Email has already been taken"]);
        assert_eq!(errors.of("Phone"), [""; 0]);
        assert_eq!(errors.others(&["First name", "Email"]), ["Emails are odd"]);
        assert!(!errors.is_empty());
    }
}
