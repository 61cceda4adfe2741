//! The calls to an OpenID provider: where its endpoints are, and the token for a code.

use http::{HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::OnceCell;
use url::{Url, form_urlencoded};

use super::claims::{self, Beginning, ClaimError, Claims};
use crate::{
    crypto::same_secret,
    domain::Clock,
    egress::{Call, Egress, EgressError},
};

/// Why nobody was signed in. The texts hold no secret and nobody's data.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// No answer.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// An answer that says no.
    #[error("the provider answered {status} to {call}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// Which call.
        call: &'static str,
    },
    /// An answer that is not what OpenID Connect says.
    #[error("the provider's answer to {0} cannot be read")]
    Unreadable(&'static str),
    /// The provider says that it is another one, or has an endpoint elsewhere.
    #[error(
        "the provider is not the configured one: login.oidc.issuer has to be its issuer, and its endpoints on the same host"
    )]
    OtherIssuer,
    /// The answer does not belong to what this browser began.
    #[error("the sign-in was begun elsewhere, or too long ago")]
    State,
    /// The token is not believed.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

/// Where an OpenID provider is, and as whom it knows this service.
#[derive(Debug)]
pub struct Provider {
    egress: Egress,
    issuer: Url,
    client: (String, SecretString),
    /// Where it sends people back to.
    redirect: Url,
    endpoints: OnceCell<Endpoints>,
}

#[derive(Debug, Clone, Deserialize)]
struct Endpoints {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: SecretString,
}

impl Provider {
    /// Returns a provider. `egress` may call the issuer's origin and no other.
    pub fn new(egress: Egress, issuer: Url, client: (String, SecretString), redirect: Url) -> Self {
        Self {
            egress,
            issuer,
            client,
            redirect,
            endpoints: OnceCell::new(),
        }
    }

    /// Returns where a browser goes that begins with a secret.
    ///
    /// # Errors
    /// The provider does not say where, or is another one.
    pub async fn begin(&self, secret: &str) -> Result<Url, OidcError> {
        let beginning = Beginning(secret);
        let mut url = self.endpoints().await?.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.0)
            .append_pair("redirect_uri", self.redirect.as_str())
            .append_pair("scope", "openid email")
            .append_pair("state", &beginning.state())
            .append_pair("nonce", &beginning.nonce())
            .append_pair("code_challenge", &beginning.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Returns who came back with a code, to the browser that holds the secret.
    ///
    /// # Errors
    /// See [`OidcError`]; nobody is signed in then.
    pub async fn finish(
        &self,
        secret: &str,
        (state, code): (&str, &str),
        clock: &dyn Clock,
    ) -> Result<Claims, OidcError> {
        let beginning = Beginning(secret);
        if !same_secret(state.as_bytes(), beginning.state().as_bytes()) {
            return Err(OidcError::State);
        }
        let endpoints = self.endpoints().await?;
        let mut call = Call::new(Method::POST, endpoints.token_endpoint.clone());
        call.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        call.body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", self.redirect.as_str())
            .append_pair("client_id", &self.client.0)
            .append_pair("client_secret", self.client.1.expose_secret())
            .append_pair("code_verifier", &beginning.verifier())
            .finish()
            .into();
        let tokens: Tokens = self.ask(call, "the token").await?;
        let us = (endpoints.issuer.as_str(), self.client.0.as_str());
        let token = tokens.id_token.expose_secret();
        Ok(claims::read(token, us, &beginning.nonce(), clock.now())?)
    }

    /// Returns the endpoints; they are asked once.
    async fn endpoints(&self) -> Result<&Endpoints, OidcError> {
        self.endpoints
            .get_or_try_init(async || {
                let issuer = self.issuer.as_str().trim_end_matches('/');
                let address = format!("{issuer}/.well-known/openid-configuration");
                let address = address.parse().map_err(|_| OidcError::OtherIssuer)?;
                let call = Call::new(Method::GET, address);
                let found: Endpoints = self.ask(call, "its configuration").await?;
                let own = self.issuer.origin();
                let is_own = found.issuer.trim_end_matches('/') == issuer
                    && found.authorization_endpoint.origin() == own
                    && found.token_endpoint.origin() == own;
                if is_own {
                    Ok(found)
                } else {
                    Err(OidcError::OtherIssuer)
                }
            })
            .await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        call: Call,
        what: &'static str,
    ) -> Result<T, OidcError> {
        let answer = self.egress.send(call).await?;
        if !answer.status.is_success() {
            let status = answer.status;
            return Err(OidcError::Status { status, call: what });
        }
        serde_json::from_slice(&answer.body).map_err(|_| OidcError::Unreadable(what))
    }
}
