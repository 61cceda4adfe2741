//! The calls to GitLab's REST API (version 4) and GraphQL that Liaison needs: how a call is made, and what may go wrong.

mod crm;
mod graphql;
mod hook;
mod list;
mod reply;
mod tree;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

pub use crm::{CrmContact, CrmIssue, CrmOrganization, CrmOrganizationName, GroupCrm};
pub use graphql::IssueMove;
pub use hook::{HookSettings, RemoteHook};
pub use reply::Thread;
pub use tree::{GroupFacts, GroupTree};

use crate::{
    domain::Clock,
    egress::{Answer, Call, Egress, EgressError, Retry},
};

/// Why a call did not do what it should. The texts hold no secret and no customer data.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// An answer that says no.
    #[error("GitLab answered {status} to {call}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// Method and kind of the call, without ids or names.
        call: &'static str,
        /// Whether to try again.
        retry: Retry,
        /// True where all calls should pause.
        throttled: bool,
    },
    /// An answer that is not what GitLab documents.
    #[error("GitLab's answer to {call} is not as documented")]
    Unreadable {
        /// Method and kind of the call.
        call: &'static str,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
    /// A GraphQL answer that says no. What it says is left out: it may quote what was asked for.
    #[error(
        "GitLab refused {call}: its version may be too old, or the token may lack the scope read_api"
    )]
    Refused {
        /// Kind of the call, without ids or names.
        call: &'static str,
    },
}

impl CallError {
    /// Returns what may be done about the failure.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Egress(error) => error.retry(),
            Self::Status { retry, .. } => *retry,
            // A proxy's error page with status 200: it will pass.
            Self::Unreadable { .. } => Retry::Later { after: None },
            Self::Refused { .. } => Retry::Never,
        }
    }

    /// Returns true where all calls of the connection should pause.
    pub fn is_throttled(&self) -> bool {
        matches!(
            self,
            Self::Status {
                throttled: true,
                ..
            }
        )
    }
}

/// GitLab as the bot sees it.
#[derive(Clone)]
pub struct Client {
    egress: Arc<Egress>,
    base: Url,
    token: SecretString,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Client({})", self.base)
    }
}

/// One request before it is sent.
struct Request<'a> {
    call: &'static str,
    method: Method,
    api: &'static [&'static str],
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<Value>,
    cause: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn get(call: &'static str, path: &'a [&'a str]) -> Self {
        Self {
            call,
            method: Method::GET,
            api: &["api", "v4"],
            path,
            query: &[],
            body: None,
            cause: None,
        }
    }

    fn write(call: &'static str, method: Method, path: &'a [&'a str], body: Value) -> Self {
        Self {
            method,
            body: Some(body),
            ..Self::get(call, path)
        }
    }
}

#[derive(Deserialize)]
struct WireId {
    id: i64,
}

impl Client {
    /// Returns a client for the GitLab at `base` that calls with the bot's token.
    pub fn new(egress: Arc<Egress>, base: Url, token: SecretString, clock: Arc<dyn Clock>) -> Self {
        Self {
            egress,
            base,
            token,
            clock,
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, CallError> {
        let call = request.call;
        let answer = self.accepted(request).await?;
        parse(call, &answer.body)
    }

    /// Like `read`, with none for "not found".
    async fn find<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<Option<T>, CallError> {
        match self.read(request).await {
            Ok(found) => Ok(Some(found)),
            Err(CallError::Status { status, .. }) if status == StatusCode::NOT_FOUND => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn accepted(&self, request: Request<'_>) -> Result<Answer, CallError> {
        let call = request.call;
        let answer = self.egress.send(self.call(request)).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(CallError::Status {
            status: answer.status,
            call,
            retry: answer.retry(self.clock.now()),
            throttled: answer.is_throttled(),
        })
    }

    fn call(&self, request: Request<'_>) -> Call {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // Every part is escaped, so that no id or path can reach another route.
            segments
                .pop_if_empty()
                .extend(request.api)
                .extend(request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let mut call = Call::new(request.method, url);
        call.headers = self.headers(request.cause);
        if let Some(body) = request.body {
            call.headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            call.body = Bytes::from(body.to_string());
        }
        call
    }

    /// The sender's event id goes back with the call, so that GitLab can break loops of hooks.
    fn headers(&self, cause: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(mut token) = HeaderValue::from_str(self.token.expose_secret()) {
            token.set_sensitive(true);
            headers.insert("private-token", token);
        }
        if let Some(cause) = cause.and_then(|cause| HeaderValue::from_str(cause).ok()) {
            headers.insert("x-gitlab-event-uuid", cause);
        }
        headers
    }
}

fn parse<T: DeserializeOwned>(call: &'static str, body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|source| CallError::Unreadable { call, source })
}
