//! Why somebody who asked for a change by its id does not get it.

use crate::domain::FieldError;

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such thing, or it is not the asker's to see.
    NotFound,
    /// He may see it and not do this, in GitLab's words.
    Denied(String),
    /// It cannot be; all the reasons.
    Invalid(Vec<String>),
}

impl Refused {
    /// Returns the refusal for one reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self::Invalid(vec![reason.into()])
    }
}

impl From<Vec<FieldError>> for Refused {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors.iter().map(ToString::to_string).collect())
    }
}
