//! The only way out: every HTTP request that Liaison makes goes through [`Egress`].
//!
//! It calls configured origins and nothing else, follows no redirect, bounds time and size, and classifies
//! failures for whoever retries. It knows no business word and no remote system.

mod answer;

use std::{collections::HashSet, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use url::{Origin, Url};

pub use answer::{Answer, Retry};

/// Bounds on one outbound call.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time to establish the TCP and TLS connection.
    pub connect: Duration,
    /// Time for the whole call, from the first byte out to the last byte in.
    pub total: Duration,
    /// Largest accepted response body, in bytes.
    pub response_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(10),
            response_bytes: 4 << 20,
        }
    }
}

/// One outbound request.
#[derive(Debug)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Absolute address; its origin must be configured.
    pub url: Url,
    /// Request headers; values that are secret should be marked sensitive.
    pub headers: HeaderMap,
    /// Request body, empty for none.
    pub body: Bytes,
}

impl Call {
    /// Returns a call without body or headers.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

/// Why a call brought no answer. Texts name the host and never a header, path or body.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address is not one of the configured origins.
    #[error("{host} is not a configured host: calls go only to the addresses of connections")]
    NotConfigured {
        /// Host that was asked for.
        host: String,
    },
    /// No answer within the time limit.
    #[error("{host} did not answer within {} s", .limit.as_secs())]
    Timeout {
        /// Host that was called.
        host: String,
        /// The limit that passed.
        limit: Duration,
    },
    /// No connection could be made (name, network, TLS).
    #[error("{host} could not be reached")]
    Unreachable {
        /// Host that was called.
        host: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// The answer ended early or was not HTTP.
    #[error("the answer of {host} broke off")]
    Broken {
        /// Host that was called.
        host: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is larger than accepted.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// Host that was called.
        host: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl EgressError {
    /// Returns what a caller may do about the failure.
    pub fn retry(&self) -> Retry {
        match self {
            Self::NotConfigured { .. } => Retry::Never,
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TooLarge { .. } => Retry::Later { after: None },
        }
    }
}

/// The outbound HTTP client.
#[derive(Debug, Clone)]
pub struct Egress {
    client: reqwest::Client,
    allowed: HashSet<Origin>,
    limits: Limits,
}

impl Egress {
    /// Returns a client that calls the origins of `allowed` and no other.
    ///
    /// # Errors
    /// Fails when the TLS backend cannot be initialised.
    pub fn new<'a>(
        allowed: impl IntoIterator<Item = &'a Url>,
        limits: Limits,
    ) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("Liaison/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(limits.connect)
            .timeout(limits.total)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            client,
            allowed: allowed.into_iter().map(Url::origin).collect(),
            limits,
        })
    }

    /// Makes one call and returns the answer, whatever its status.
    ///
    /// # Errors
    /// See [`EgressError`]; the body is read to the size limit and no further.
    pub async fn send(&self, call: Call) -> Result<Answer, EgressError> {
        let host = call.url.host_str().unwrap_or("(no host)").to_owned();
        if !self.allowed.contains(&call.url.origin()) {
            return Err(EgressError::NotConfigured { host });
        }
        let request = self
            .client
            .request(call.method, call.url)
            .headers(call.headers)
            .body(call.body);
        #[expect(clippy::disallowed_methods, reason = "this is the place that may send")]
        let mut response = request
            .send()
            .await
            .map_err(|source| self.error(&host, source))?;
        let too_large = || EgressError::TooLarge {
            host: host.clone(),
            limit: self.limits.response_bytes,
        };
        if response
            .content_length()
            .is_some_and(|length| length > self.limits.response_bytes as u64)
        {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.error(&host, source))?
        {
            if body.len() + chunk.len() > self.limits.response_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }

    fn error(&self, host: &str, source: reqwest::Error) -> EgressError {
        let (host, source) = (host.to_owned(), source.without_url());
        if source.is_timeout() {
            let limit = self.limits.total;
            EgressError::Timeout { host, limit }
        } else if source.is_connect() {
            EgressError::Unreachable { host, source }
        } else {
            EgressError::Broken { host, source }
        }
    }
}
