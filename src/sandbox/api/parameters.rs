//! Parameters of a call, wherever GitLab accepts them: the query, a form or a JSON object.

use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::header;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::sandbox::notes::Refusal;

/// The parameters of a call by name; those of the body win over those of the query.
#[derive(Debug, Default)]
pub(super) struct Parameters(Map<String, Value>);

impl Parameters {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(word) => Some(matches!(word.as_str(), "true" | "1")),
            Value::Number(number) => Some(number.as_u64() == Some(1)),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Returns the parameters as a query, with one of them changed.
    pub(super) fn query_with(&self, key: &str, value: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, own) in self.0.iter().filter(|(name, _)| *name != key) {
            query.append_pair(name, own.as_str().unwrap_or_default());
        }
        query.append_pair(key, value).finish()
    }

    fn extend_form(&mut self, form: &[u8]) {
        let pairs = form_urlencoded::parse(form);
        self.0.extend(
            pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))),
        );
    }
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let mut parameters = Self::default();
        parameters.extend_form(request.uri().query().unwrap_or_default().as_bytes());
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/json"));
        let body = Bytes::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        if !json {
            parameters.extend_form(&body);
        } else if !body.is_empty() {
            let object: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| {
                Refusal::Invalid("The provided params are invalid JSON").into_response()
            })?;
            parameters.0.extend(object);
        }
        Ok(parameters)
    }
}
