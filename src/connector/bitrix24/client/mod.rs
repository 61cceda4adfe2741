//! The calls to a portal's REST API that Liaison needs: how a call is made, and what may go wrong.
//!
//! The address of an inbound webhook holds its secret, so no address is ever printed: errors name the host and the method.

mod batch;
mod chat;
mod crm;
mod limit;
mod message;
mod oauth;
mod people;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{sync::OnceCell, time::Instant};
use url::Url;

pub use crm::{PAGE, PortalItem, PortalWrite};
pub use limit::Limits;
pub use oauth::{Application, Claim, OAuth, TokenStore, TokenStoreError, Tokens};

use super::wire::Time;
use crate::{
    connector::messenger::{
        Abilities, CallError, Calls, Member, Message, NewChat, Put, Refusal, RemoteChat, Told,
        UserFacts,
    },
    domain::{Clock, RemoteUser},
    egress::{Call, Egress, Retry},
};
use limit::{BLOCKED, Limiter};

/// Pause after the portal took too many requests of others who share its bucket with us.
const CROWDED: Duration = Duration::from_secs(5);

/// With what calls are made.
#[derive(Clone)]
pub enum Access {
    /// An inbound webhook: the user it acts as, and its secret.
    Webhook {
        /// Id of the user.
        user: String,
        /// The secret part of its address.
        secret: SecretString,
    },
    /// An application's tokens.
    OAuth(Arc<OAuth>),
}

/// A bot of the second generation, which answers in chats and can lead them.
#[derive(Debug, Clone)]
pub struct Bot {
    /// Its id, which is a user's id too.
    pub id: String,
    /// The token that it was registered with; an application needs none.
    pub token: Option<SecretString>,
}

/// A portal as our account sees it.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    egress: Arc<Egress>,
    base: Url,
    access: Access,
    bot: Option<Bot>,
    limiter: Limiter,
    clock: Arc<dyn Clock>,
    /// Id of the user that an application's calls are made as, once asked.
    account: OnceCell<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Client({})", self.0.base)
    }
}

/// What every answer may have.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    result: Value,
    error: Option<Value>,
    #[serde(default)]
    time: Option<Time>,
}

impl Client {
    /// Returns a client for the portal at `base`.
    pub fn new(
        egress: Arc<Egress>,
        base: Url,
        (access, bot): (Access, Option<Bot>),
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Inner {
            egress,
            base,
            access,
            bot,
            limiter: Limiter::new(limits),
            clock,
            account: OnceCell::new(),
        }))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        method: &'static str,
        body: Value,
    ) -> Result<T, CallError> {
        parse(method, self.call(method, &[method], body).await?)
    }

    /// Makes a request; `runs` are the methods that it runs, which a batch has many of.
    async fn call(
        &self,
        method: &'static str,
        runs: &[&'static str],
        body: Value,
    ) -> Result<Value, CallError> {
        let limited = |after| CallError::Limited {
            call: method,
            after,
        };
        let admitted = self.0.limiter.admit(runs, Instant::now());
        tokio::time::sleep_until(admitted.map_err(limited)?).await;
        match &self.0.access {
            Access::Webhook { user, secret } => {
                let path = ["rest", user, secret.expose_secret(), method];
                self.send(method, &path, &body).await
            }
            Access::OAuth(oauth) => {
                let token = oauth.token().await?;
                let path = ["rest", method];
                match self.send(method, &path, &signed(&body, &token)).await {
                    // Once: a token that is refused right after it was renewed will be refused again.
                    Err(error) if is(&error, &["expired_token", "invalid_token"]) => {
                        let token = oauth.renew(&self.0.egress, &token).await?;
                        self.send(method, &path, &signed(&body, &token)).await
                    }
                    other => other,
                }
            }
        }
    }

    async fn send(
        &self,
        method: &'static str,
        path: &[&str],
        body: &Value,
    ) -> Result<Value, CallError> {
        let mut url = self.0.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut call = Call::new(Method::POST, url);
        let json = HeaderValue::from_static("application/json");
        call.headers.insert(header::ACCEPT, json.clone());
        call.headers.insert(header::CONTENT_TYPE, json);
        call.body = Bytes::from(body.to_string());
        let answer = self.0.egress.send(call).await?;
        let retry = answer.retry(self.0.clock.now());
        let status = answer.status;
        let no_json = |retry| CallError::Status {
            status,
            call: method,
            code: None,
            retry,
            throttled: false,
        };
        // A page for people, of the portal or of a proxy before it: whatever its status, it will pass.
        let Ok(envelope) = serde_json::from_slice::<Envelope>(&answer.body) else {
            return Err(no_json(Retry::Later { after: None }));
        };
        if let Some(time) = envelope.time {
            self.learn(method, time);
        }
        match envelope.error {
            Some(error) => Err(self.refused(method, &error, (status, retry))),
            // A gateway's own JSON.
            None if !status.is_success() => Err(no_json(retry)),
            None => Ok(envelope.result),
        }
    }

    /// Reads the portal's word for what is wrong, and what it means for other calls.
    fn refused(
        &self,
        method: &'static str,
        error: &Value,
        (status, retry): (StatusCode, Retry),
    ) -> CallError {
        let code = word(error);
        let after = |pause: Duration| match retry {
            Retry::Later { after: Some(after) } => Retry::Later { after: Some(after) },
            _ => Retry::Later { after: Some(pause) },
        };
        let (retry, throttled) = match code.as_str() {
            "QUERY_LIMIT_EXCEEDED" | "TOO_MANY_REQUESTS" => (after(CROWDED), true),
            // Only this method is blocked.
            "OPERATION_TIME_LIMIT" => {
                self.0.limiter.block(method, BLOCKED, Instant::now());
                (after(BLOCKED), false)
            }
            "OVERLOAD_LIMIT" => (after(Duration::from_mins(10)), true),
            "INTERNAL_SERVER_ERROR"
            | "ERROR_UNEXPECTED_ANSWER"
            | "expired_token"
            | "invalid_token" => (Retry::Later { after: None }, false),
            _ if status == StatusCode::TOO_MANY_REQUESTS => (after(CROWDED), true),
            _ if status.is_server_error() => (after(CROWDED), false),
            // A right that is missing may be granted; anything else would be refused again.
            _ => (retry, false),
        };
        CallError::Status {
            status,
            call: method,
            code: Some(code),
            retry,
            throttled,
        }
    }

    fn learn(&self, method: &'static str, time: Time) {
        let (Some(operating), now) = (time.operating, self.0.clock.now()) else {
            return;
        };
        let reset = time
            .operating_reset_at
            .and_then(|at| DateTime::from_timestamp_millis(millis(at)));
        let resets_in = reset.map_or(BLOCKED, |at| (at - now).to_std().unwrap_or_default());
        let operating = Duration::try_from_secs_f64(operating).unwrap_or_default();
        self.0
            .limiter
            .learn(method, operating, resets_in, Instant::now());
    }

    /// Returns the body of a call that the bot makes, if there is a bot.
    fn as_bot(&self, mut body: Value) -> Option<Value> {
        let bot = self.0.bot.as_ref()?;
        if let Value::Object(fields) = &mut body {
            fields.insert("botId".to_owned(), json!(bot.id));
            if let Some(token) = &bot.token {
                fields.insert("botToken".to_owned(), json!(token.expose_secret()));
            }
        }
        Some(body)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float too large for a time is none, and the cast saturates"
)]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

fn signed(body: &Value, token: &SecretString) -> Value {
    let mut body = body.clone();
    if let Value::Object(fields) = &mut body {
        fields.insert("auth".to_owned(), json!(token.expose_secret()));
    }
    body
}

/// Returns the portal's word of an error, and nothing that it might quote.
fn word(error: &Value) -> String {
    let text = match error {
        Value::String(text) => text.clone(),
        // A batch has the whole error in each place.
        Value::Object(fields) => return fields.get("error").map(word).unwrap_or_default(),
        other => other.to_string(),
    };
    let is_word = |char: &char| char.is_ascii_alphanumeric() || "_-.".contains(*char);
    let word: String = text.chars().take_while(is_word).take(60).collect();
    if word.is_empty() {
        "an error without a code".to_owned()
    } else {
        word
    }
}

fn parse<T: DeserializeOwned>(call: &'static str, result: Value) -> Result<T, CallError> {
    serde_json::from_value(result).map_err(|source| CallError::Unreadable { call, source })
}

/// Returns whether the portal answered with one of these words.
fn is(error: &CallError, codes: &[&str]) -> bool {
    matches!(error, CallError::Status { code: Some(code), .. } if codes.contains(&code.as_str()))
}

impl Calls for Client {
    fn abilities(&self) -> Abilities {
        Abilities {
            hides_history: true,
            // Only a bot can name who leads a chat and lead it on itself.
            has_admin: self.0.bot.is_some(),
            asks_first: false,
            finds_by_email: true,
        }
    }

    async fn whoami(&self) -> Result<RemoteUser, CallError> {
        self.ask_whoami().await
    }

    async fn create_chat(&self, new: &NewChat<'_>) -> Told<RemoteChat> {
        self.make_chat(new).await
    }

    async fn members(&self, chat: &str) -> Told<Vec<Member>> {
        self.ask_members(chat).await
    }

    async fn add(&self, chat: &str, user: &str, show_history: bool) -> Result<Put, CallError> {
        self.put_in(chat, user, show_history).await
    }

    async fn remove(&self, chat: &str, user: &str) -> Result<Put, CallError> {
        self.put_out(chat, user).await
    }

    async fn rename(&self, chat: &str, title: &str) -> Result<Put, CallError> {
        self.put_title(chat, title).await
    }

    /// The portal has no such thing: everybody in a chat may write.
    async fn set_open(&self, _chat: &str, open: bool) -> Result<Put, CallError> {
        Ok(if open {
            Put::AlreadySo
        } else {
            Put::Refused(Refusal::CannotClose)
        })
    }

    async fn set_admin(&self, chat: &str, user: &str) -> Result<Put, CallError> {
        self.put_admin(chat, user).await
    }

    /// Whoever is added to a chat is in it at once, bots too.
    async fn enter(&self, _chat: &str) -> Result<Put, CallError> {
        Ok(Put::AlreadySo)
    }

    async fn say(&self, chat: &str, message: &Message<'_>) -> Told<String> {
        self.send_into(chat, message).await
    }

    async fn tell(&self, user: &str, message: &Message<'_>) -> Told<String> {
        self.notify(user, message).await
    }

    async fn user(&self, user: &str) -> Result<Option<UserFacts>, CallError> {
        self.ask_user(user).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<String>, CallError> {
        self.ask_user_by_email(email).await
    }
}
