//! An application's tokens: used until the portal says that they ended, renewed by one caller at a time, kept sealed by whoever stores them.
//!
//! Both tokens are replaced at each renewal, and the old ones are worth nothing then. So the renewal is claimed in the store first, and what it
//! brought is stored before it is used.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::{
    connector::messenger::CallError,
    egress::{Call, Egress},
};

/// How often a renewal by another process is waited for, and how long each time.
const WAITS: u32 = 20;
const WAIT: Duration = Duration::from_millis(500);

/// The tokens of an application.
#[derive(Clone)]
pub struct Tokens {
    /// With which calls are made, for an hour.
    pub access: SecretString,
    /// With which both are renewed, once.
    pub refresh: SecretString,
}

/// What came of asking to renew.
pub enum Claim {
    /// The caller renews, with this token, and nobody else does meanwhile.
    Mine(SecretString),
    /// They were renewed since: this is the token for calls.
    Renewed(SecretString),
    /// Somebody else renews at this moment.
    Busy,
}

/// Why the store does not give or take tokens.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TokenStoreError(pub String);

/// Where the tokens of a connection are kept.
pub trait TokenStore: Send + Sync {
    /// Returns the token for calls, or none where none was ever had.
    fn access(&self) -> BoxFuture<'_, Result<Option<SecretString>, TokenStoreError>>;

    /// Asks to renew the token `worn`.
    fn claim<'a>(
        &'a self,
        worn: Option<&'a SecretString>,
    ) -> BoxFuture<'a, Result<Claim, TokenStoreError>>;

    /// Stores renewed tokens and ends the claim.
    fn save<'a>(&'a self, tokens: &'a Tokens) -> BoxFuture<'a, Result<(), TokenStoreError>>;

    /// Ends a claim that brought nothing.
    fn release(&self) -> BoxFuture<'_, Result<(), TokenStoreError>>;
}

/// An application that a portal installed.
#[derive(Clone)]
pub struct Application {
    /// Where tokens are renewed: `https://oauth.bitrix.info`.
    pub server: Url,
    /// Its public name.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
}

/// The tokens of one connection.
pub struct OAuth {
    application: Application,
    store: Arc<dyn TokenStore>,
    /// Held while tokens are renewed, so that others wait and find the new ones.
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The token for calls, once read.
    access: Option<SecretString>,
    /// What a renewal brought and the store did not take. Nothing else is worth anything any more, so nothing is done before it is stored.
    unsaved: Option<Tokens>,
}

impl fmt::Debug for OAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OAuth({})", self.application.client_id)
    }
}

#[derive(Deserialize)]
struct WireTokens {
    access_token: SecretString,
    refresh_token: SecretString,
}

#[derive(Deserialize)]
struct WireError {
    error: String,
}

fn failed(error: &TokenStoreError) -> CallError {
    CallError::Tokens(error.to_string())
}

impl OAuth {
    /// Returns the tokens of an application as `store` has them.
    pub fn new(application: Application, store: Arc<dyn TokenStore>) -> Self {
        Self {
            application,
            store,
            held: Mutex::default(),
        }
    }

    /// Returns the token for calls. An empty one is refused by the portal like one that ended, and then renewed.
    pub(super) async fn token(&self) -> Result<SecretString, CallError> {
        let mut held = self.held.lock().await;
        self.keep(&mut held).await?;
        if held.access.is_none() {
            held.access = self.store.access().await.map_err(|error| failed(&error))?;
        }
        Ok(held.access.clone().unwrap_or_else(|| "none".into()))
    }

    /// Stores what a renewal brought, from when on it counts.
    async fn keep(&self, held: &mut Held) -> Result<(), CallError> {
        if let Some(tokens) = &held.unsaved {
            let saved = self.store.save(tokens).await;
            saved.map_err(|error| failed(&error))?;
            held.access = Some(tokens.access.clone());
            held.unsaved = None;
        }
        Ok(())
    }

    /// Renews the token that the portal refused, unless somebody did already; returns the new one.
    pub(super) async fn renew(
        &self,
        egress: &Egress,
        worn: &SecretString,
    ) -> Result<SecretString, CallError> {
        let mut held = self.held.lock().await;
        self.keep(&mut held).await?;
        match &held.access {
            Some(current) if current.expose_secret() != worn.expose_secret() => {
                return Ok(current.clone());
            }
            _ => {}
        }
        for _ in 0..WAITS {
            let claim = self.store.claim(held.access.as_ref()).await;
            match claim.map_err(|error| failed(&error))? {
                Claim::Mine(refresh) => {
                    let tokens = match self.ask(egress, &refresh).await {
                        Ok(tokens) => tokens,
                        Err(error) => {
                            // Where this fails too, the claim ends by itself.
                            let _ = self.store.release().await;
                            return Err(error);
                        }
                    };
                    let access = tokens.access.clone();
                    held.unsaved = Some(tokens);
                    self.keep(&mut held).await?;
                    return Ok(access);
                }
                Claim::Renewed(token) => {
                    held.access = Some(token.clone());
                    return Ok(token);
                }
                Claim::Busy => tokio::time::sleep(WAIT).await,
            }
        }
        Err(CallError::Tokens(
            "another process has been renewing them for too long".to_owned(),
        ))
    }

    async fn ask(&self, egress: &Egress, refresh: &SecretString) -> Result<Tokens, CallError> {
        let mut url = self.application.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["oauth", "token", ""]);
        }
        // As documented, in the query: egress puts no address into a log or an error.
        url.query_pairs_mut().extend_pairs([
            ("grant_type", "refresh_token"),
            ("client_id", &self.application.client_id),
            (
                "client_secret",
                self.application.client_secret.expose_secret(),
            ),
            ("refresh_token", refresh.expose_secret()),
        ]);
        let mut call = Call::new(Method::GET, url);
        let json = HeaderValue::from_static("application/json");
        call.headers.insert(header::ACCEPT, json);
        let answer = egress.send(call).await?;
        if let Ok(tokens) = serde_json::from_slice::<WireTokens>(&answer.body) {
            return Ok(Tokens {
                access: tokens.access_token,
                refresh: tokens.refresh_token,
            });
        }
        let why = serde_json::from_slice::<WireError>(&answer.body).map_or_else(
            |_| format!("the authorization server answered {}", answer.status),
            |error| {
                let word = super::word(&error.error.into());
                format!(
                    "the authorization server answered {word}: install the application anew and enter its refresh token"
                )
            },
        );
        Err(CallError::Tokens(why))
    }
}
