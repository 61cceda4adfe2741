//! The calls to a homeserver that Liaison needs: how a call is made, and what may go wrong.

mod account;
mod chat;
mod member;
mod message;
mod user;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

pub use account::PingError;

use crate::{
    connector::messenger::{
        Abilities, CallError, Calls, Member, Message, NewChat, Put, Refusal, RemoteChat, Told,
        UserFacts,
    },
    domain::{Clock, RemoteUser},
    egress::{Answer, Call, Egress, Retry},
};

/// The client-server API.
const CLIENT: &[&str] = &["_matrix", "client", "v3"];
/// Its first version, which some newer calls are in.
const CLIENT_1: &[&str] = &["_matrix", "client", "v1"];
/// Synapse's API for administrators.
const ADMIN_1: &[&str] = &["_synapse", "admin", "v1"];
/// Its second version.
const ADMIN_2: &[&str] = &["_synapse", "admin", "v2"];
/// Longest pause that a homeserver may ask for.
const MAX_PAUSE: Duration = Duration::from_hours(1);

/// How Liaison is to act on a homeserver.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address of the homeserver's client API.
    pub base: Url,
    /// The application service's token.
    pub token: SecretString,
    /// The token of a server administrator, with which users are found by their addresses.
    pub admin_token: Option<SecretString>,
    /// The bot's local part.
    pub bot: String,
    /// Whether users of other homeservers may come into rooms.
    pub federate: bool,
    /// Whether everybody in a room may invite, and not only who leads it.
    pub members_invite: bool,
    /// Address of the web client in which links to rooms open, instead of matrix.to.
    pub web_client: Option<Url>,
}

/// A homeserver as the bot sees it.
#[derive(Clone)]
pub struct Client {
    egress: Arc<Egress>,
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    /// The bot's user id, once its account and device are known to be there.
    account: Arc<OnceCell<String>>,
    /// The rooms of the bot and one person alone, by his user id, as far as they were asked for.
    direct: Arc<Mutex<HashMap<String, String>>>,
    /// Who invited somebody, by the event of his membership, which never changes.
    inviters: Arc<Mutex<HashMap<String, Option<String>>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Client({})", self.settings.base)
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
}

impl<'a> Request<'a> {
    fn get(call: &'static str, path: &'a [&'a str]) -> Self {
        Self {
            call,
            method: Method::GET,
            api: CLIENT,
            path,
            query: &[],
            body: None,
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

/// A call that did not do what it should, with what the homeserver calls it.
struct Denied {
    status: Option<StatusCode>,
    code: String,
    error: CallError,
}

impl Denied {
    fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Returns whether it is about the room or the person, rather than about the call.
    fn is_refusal(&self) -> bool {
        matches!(
            self.status,
            Some(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
        )
    }
}

impl From<Denied> for CallError {
    fn from(denied: Denied) -> Self {
        denied.error
    }
}

/// The body of an answer that says no.
#[derive(Debug, Default, Deserialize)]
struct WireError {
    #[serde(default)]
    errcode: String,
    retry_after_ms: Option<u64>,
}

impl Client {
    /// Returns a client that calls with the application service's token.
    pub fn new(egress: Arc<Egress>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            egress,
            settings: Arc::new(settings),
            clock,
            account: Arc::default(),
            direct: Arc::default(),
            inviters: Arc::default(),
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, Denied> {
        let call = request.call;
        let answer = self.send(request).await?;
        serde_json::from_slice(&answer.body).map_err(|source| Denied {
            status: None,
            code: String::new(),
            error: CallError::Unreadable { call, source },
        })
    }

    /// Like `read`, with none for "not found".
    async fn find<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<Option<T>, Denied> {
        match self.read(request).await {
            Ok(found) => Ok(Some(found)),
            Err(denied) if denied.status == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(denied) => Err(denied),
        }
    }

    async fn send(&self, request: Request<'_>) -> Result<Answer, Denied> {
        let call = request.call;
        let sent = self.egress.send(self.call(request)).await;
        let answer = sent.map_err(|error| Denied {
            status: None,
            code: String::new(),
            error: error.into(),
        })?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.denied(call, &answer))
    }

    fn denied(&self, call: &'static str, answer: &Answer) -> Denied {
        let wire: WireError = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = if is_code(&wire.errcode) {
            wire.errcode
        } else {
            String::new()
        };
        let throttled = answer.is_throttled() || code == "M_LIMIT_EXCEEDED";
        let retry = match answer.retry(self.clock.now()) {
            // The body's word for it is the older one.
            Retry::Later { after: None } => Retry::Later {
                after: wire
                    .retry_after_ms
                    .filter(|_| throttled)
                    .map(|pause| Duration::from_millis(pause).min(MAX_PAUSE)),
            },
            other => other,
        };
        Denied {
            status: Some(answer.status),
            error: CallError::Status {
                status: answer.status,
                call,
                code: (!code.is_empty()).then(|| explained(&code)),
                retry,
                throttled,
            },
            code,
        }
    }

    /// Returns why the homeserver says no, where that is about the room or the person.
    async fn refusal(&self, chat: &str, denied: Denied) -> Result<Refusal, CallError> {
        if !denied.is_refusal() {
            return Err(denied.into());
        }
        Ok(if self.is_in(chat).await? {
            Refusal::NoRight
        } else {
            Refusal::ChatGone
        })
    }

    fn call(&self, request: Request<'_>) -> Call {
        let mut url = self.settings.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // Every part is escaped, so that no id can reach another route.
            segments
                .pop_if_empty()
                .extend(request.api)
                .extend(request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let is_admin = request.api == ADMIN_1 || request.api == ADMIN_2;
        let token = match &self.settings.admin_token {
            Some(token) if is_admin => token,
            _ => &self.settings.token,
        };
        let mut call = Call::new(request.method, url);
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())) {
            value.set_sensitive(true);
            call.headers.insert(header::AUTHORIZATION, value);
        }
        if let Some(body) = request.body {
            call.headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            call.body = Bytes::from(body.to_string());
        }
        call
    }
}

/// Returns whether a word is built as Matrix' error codes are; anything else is not shown, whoever wrote it.
fn is_code(word: &str) -> bool {
    word.len() <= 60
        && word.starts_with("M_")
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// Returns an error code with what to do about it, where people can do something.
fn explained(code: &str) -> String {
    let hint = match code {
        "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" => {
            ": the homeserver does not know this token. Put the file of `liaison webhook registration` beside it and restart it"
        }
        "M_EXCLUSIVE" => {
            ": the bot's name belongs to another application service, or the registration file names another bot"
        }
        "M_UNRECOGNIZED" => ": the homeserver knows no such call; it may be too old",
        "M_LIMIT_EXCEEDED" => {
            ": it limits its callers. The registration file of Liaison says `rate_limited: false`"
        }
        "M_USER_DEACTIVATED" => ": the account was deactivated",
        "M_RESOURCE_LIMIT_EXCEEDED" => ": the homeserver is full",
        _ => "",
    };
    format!("{code}{hint}")
}

impl Calls for Client {
    fn abilities(&self) -> Abilities {
        Abilities {
            // The rule is the room's, and read when each message is sent: it cannot differ between two people.
            hides_history: false,
            has_admin: true,
            asks_first: true,
            finds_by_email: self.settings.admin_token.is_some(),
        }
    }

    async fn whoami(&self) -> Result<RemoteUser, CallError> {
        self.bot().await
    }

    async fn create_chat(&self, new: &NewChat<'_>) -> Told<RemoteChat> {
        self.room(new).await
    }

    async fn members(&self, chat: &str) -> Told<Vec<Member>> {
        self.all_members(chat).await
    }

    async fn add(&self, chat: &str, user: &str, show_history: bool) -> Result<Put, CallError> {
        self.invite(chat, user, show_history).await
    }

    async fn remove(&self, chat: &str, user: &str) -> Result<Put, CallError> {
        self.kick(chat, user).await
    }

    async fn rename(&self, chat: &str, title: &str) -> Result<Put, CallError> {
        self.set_name(chat, title).await
    }

    async fn set_open(&self, chat: &str, open: bool) -> Result<Put, CallError> {
        self.let_write(chat, open).await
    }

    async fn set_admin(&self, chat: &str, user: &str) -> Result<Put, CallError> {
        self.let_lead(chat, user).await
    }

    async fn enter(&self, chat: &str) -> Result<Put, CallError> {
        self.join(chat).await
    }

    async fn say(&self, chat: &str, message: &Message<'_>) -> Told<String> {
        self.answer(chat, message).await
    }

    async fn tell(&self, user: &str, message: &Message<'_>) -> Told<String> {
        self.notify(user, message).await
    }

    async fn user(&self, user: &str) -> Result<Option<UserFacts>, CallError> {
        self.facts(user).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<String>, CallError> {
        self.by_email(email).await
    }
}
