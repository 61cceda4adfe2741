//! The calls to GitLab's REST API (version 4) that Liaison needs.

use std::sync::Arc;

use bytes::Bytes;
use chrono::NaiveDate;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

use super::render::marker;
use crate::{
    domain::{
        Clock, CommentRef, Level, ProjectFacts, Reaction, RemoteUser, ReplyId, Scope, Visibility,
    },
    egress::{Answer, Call, Egress, EgressError, Retry},
};

/// Pages of an issue's notes that are searched for a lost reply, newest first; small ones, since a note may have a megabyte.
const SEARCHED_PAGES: u32 = 25;
/// GitLab nests groups 20 deep.
const MAX_DEPTH: usize = 21;

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
}

impl CallError {
    /// Returns what may be done about the failure.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Egress(error) => error.retry(),
            Self::Status { retry, .. } => *retry,
            // A proxy's error page with status 200: it will pass.
            Self::Unreadable { .. } => Retry::Later { after: None },
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

/// A group as GitLab describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GroupFacts {
    /// Immutable id.
    pub id: i64,
    /// Full path.
    pub full_path: String,
    /// Name.
    pub name: String,
    /// The group it is in.
    pub parent_id: Option<i64>,
}

/// What an installed hook is to look like.
#[derive(Debug, Clone)]
pub struct HookSettings {
    /// Where deliveries go.
    pub url: String,
    /// The secret token, if the webhook has one.
    pub token: Option<SecretString>,
    /// The signing token, if the webhook has one.
    pub signing_token: Option<SecretString>,
}

/// A hook as GitLab lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RemoteHook {
    /// Its id.
    pub id: i64,
    /// Where its deliveries go.
    pub url: String,
}

#[derive(Deserialize)]
struct WireUser {
    id: i64,
    username: String,
    name: String,
    #[serde(default)]
    bot: bool,
}

#[derive(Deserialize)]
struct WireProject {
    id: i64,
    path_with_namespace: String,
    visibility: String,
    namespace: WireNamespace,
}

#[derive(Deserialize)]
struct WireNamespace {
    id: i64,
    kind: String,
}

#[derive(Deserialize)]
struct WireMember {
    access_level: i64,
    /// Of the account: active, blocked …
    state: Option<String>,
    /// Of the membership: active, or awaiting a seat.
    membership_state: Option<String>,
    /// Its last day has passed on this one. Some versions write a moment.
    expires_at: Option<String>,
}

impl WireMember {
    fn is_in_force(&self, today: NaiveDate) -> bool {
        let active = |state: &Option<String>| state.as_deref().is_none_or(|word| word == "active");
        let lasts = self.expires_at.as_deref().is_none_or(|end| {
            let day = end.get(..10).and_then(|day| day.parse::<NaiveDate>().ok());
            day.is_some_and(|day| today < day)
        });
        active(&self.state) && active(&self.membership_state) && lasts
    }
}

#[derive(Deserialize)]
struct WireIssue {
    #[serde(default)]
    confidential: bool,
}

#[derive(Deserialize)]
struct WireNote {
    id: i64,
    body: String,
    author: WireAuthor,
}

#[derive(Deserialize)]
struct WireAuthor {
    id: i64,
}

#[derive(Deserialize)]
struct WireDiscussion {
    notes: Vec<WireNote>,
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

    /// Returns the bot's own account.
    pub async fn whoami(&self) -> Result<RemoteUser, CallError> {
        let user: WireUser = self.read(Request::get("GET user", &["user"])).await?;
        Ok(user.into())
    }

    /// Returns an account, or none where GitLab knows none.
    pub async fn user(&self, id: &str) -> Result<Option<RemoteUser>, CallError> {
        let user: Option<WireUser> = self
            .find(Request::get("GET user by id", &["users", id]))
            .await?;
        Ok(user.map(RemoteUser::from))
    }

    /// Returns a project and the groups it is in, or none where the bot sees none.
    pub async fn project(&self, id: &str) -> Result<Option<ProjectFacts>, CallError> {
        let path = ["projects", id];
        let found = self.find(Request::get("GET project", &path)).await?;
        let Some(project): Option<WireProject> = found else {
            return Ok(None);
        };
        let namespaces = if project.namespace.kind == "group" {
            self.ancestors(project.namespace.id).await?
        } else {
            Vec::new()
        };
        Ok(Some(ProjectFacts {
            remote_id: project.id.to_string(),
            path: project.path_with_namespace,
            visibility: Visibility::from_word(&project.visibility),
            namespaces: namespaces
                .into_iter()
                .map(|group| (group.id.to_string(), group.full_path, group.name))
                .collect(),
        }))
    }

    /// Returns a group by id or full path, or none where the bot sees none.
    pub async fn group(&self, id_or_path: &str) -> Result<Option<GroupFacts>, CallError> {
        let path = ["groups", id_or_path];
        let mut request = Request::get("GET group", &path);
        request.query = &[("with_projects", "false")];
        self.find(request).await
    }

    /// Returns a group with all the groups it is in, outermost first. A group that the bot may not see ends the walk.
    pub async fn ancestors(&self, id: i64) -> Result<Vec<GroupFacts>, CallError> {
        let mut path = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|_| path.len() < MAX_DEPTH) {
            let Some(group) = self.group(&id.to_string()).await? else {
                break;
            };
            next = group.parent_id;
            path.push(group);
        }
        path.reverse();
        Ok(path)
    }

    /// Returns the level a user has in a group or project, inherited and shared ones included.
    pub async fn access_level(
        &self,
        scope: Scope,
        id: &str,
        user: &str,
    ) -> Result<Level, CallError> {
        let scope = match scope {
            Scope::Group => "groups",
            Scope::Project => "projects",
        };
        let path = [scope, id, "members", "all", user];
        let member: Option<WireMember> = self.find(Request::get("GET member", &path)).await?;
        let today = self.clock.now().date_naive();
        Ok(member
            .filter(|member| member.is_in_force(today))
            .map_or(Level::None, |member| {
                Level::from_number(member.access_level)
            }))
    }

    /// Returns whether an issue is confidential, or none where the bot sees no such issue.
    pub async fn issue_is_confidential(
        &self,
        project: &str,
        iid: i64,
    ) -> Result<Option<bool>, CallError> {
        let iid = iid.to_string();
        let path = ["projects", project, "issues", &iid];
        let issue: Option<WireIssue> = self.find(Request::get("GET issue", &path)).await?;
        Ok(issue.map(|issue| issue.confidential))
    }

    /// Looks for a reply that was posted though its answer was lost; returns the note's id and text.
    ///
    /// The thread is looked through first, then the issue's newest notes, since a reply may stand apart from its thread.
    pub async fn find_reply(
        &self,
        on: &CommentRef,
        reply: ReplyId,
        bot: &str,
    ) -> Result<Option<(String, String)>, CallError> {
        let marker = marker(reply);
        let ours = |notes: Vec<WireNote>| {
            let is_ours =
                |note: &WireNote| note.author.id.to_string() == bot && note.body.contains(&marker);
            let found = notes.into_iter().find(is_ours);
            found.map(|note| (note.id.to_string(), note.body))
        };
        let iid = on.issue.to_string();
        let issue = ["projects", on.project.as_str(), "issues", iid.as_str()];
        if let Some(discussion) = on.discussion.as_deref() {
            let path = [&issue[..], &["discussions", discussion]].concat();
            let thread = self.find(Request::get("GET discussion", &path)).await?;
            let thread: Option<WireDiscussion> = thread;
            if let Some(found) = thread.and_then(|thread| ours(thread.notes)) {
                return Ok(Some(found));
            }
        }
        let path = [&issue[..], &["notes"]].concat();
        for page in 1..=SEARCHED_PAGES {
            let page = page.to_string();
            let mut request = Request::get("GET notes", &path);
            let query = [
                ("sort", "desc"),
                ("order_by", "created_at"),
                ("per_page", "20"),
                ("page", &page),
            ];
            request.query = &query;
            let notes: Vec<WireNote> = self.read(request).await?;
            let is_last = notes.len() < 20;
            if let Some(found) = ours(notes) {
                return Ok(Some(found));
            }
            if is_last {
                break;
            }
        }
        Ok(None)
    }

    /// Posts a reply in the thread of a comment, or apart as an internal note; returns the note's id.
    pub async fn post_reply(
        &self,
        on: &CommentRef,
        body: &str,
        internal: bool,
        cause: Option<&str>,
    ) -> Result<String, CallError> {
        let iid = on.issue.to_string();
        let issue = ["projects", on.project.as_str(), "issues", iid.as_str()];
        let (call, path, json) = match on.discussion.as_deref().filter(|_| !internal) {
            Some(discussion) => (
                "POST reply",
                [&issue[..], &["discussions", discussion, "notes"]].concat(),
                json!({ "body": body }),
            ),
            None => (
                "POST note",
                [&issue[..], &["notes"]].concat(),
                json!({ "body": body, "internal": internal }),
            ),
        };
        let mut request = Request::write(call, Method::POST, &path, json);
        request.cause = cause;
        let note: WireId = self.read(request).await?;
        Ok(note.id.to_string())
    }

    /// Changes the text of the bot's note; returns false where the note is gone.
    pub async fn edit_note(
        &self,
        on: &CommentRef,
        note: &str,
        body: &str,
        cause: Option<&str>,
    ) -> Result<bool, CallError> {
        let iid = on.issue.to_string();
        let path = ["projects", &on.project, "issues", &iid, "notes", note];
        let mut request = Request::write("PUT note", Method::PUT, &path, json!({ "body": body }));
        request.cause = cause;
        let note: Option<WireId> = self.find(request).await?;
        Ok(note.is_some())
    }

    /// Puts a reaction on a comment; one that is there already counts as done, and so does a comment that is gone.
    pub async fn react(
        &self,
        on: &CommentRef,
        reaction: Reaction,
        cause: Option<&str>,
    ) -> Result<(), CallError> {
        let name = match reaction {
            Reaction::Done => "white_check_mark",
            Reaction::Attention => "warning",
        };
        let iid = on.issue.to_string();
        let path = [
            "projects",
            &on.project,
            "issues",
            &iid,
            "notes",
            &on.comment,
            "award_emoji",
        ];
        let mut request = Request::write(
            "POST award_emoji",
            Method::POST,
            &path,
            json!({ "name": name }),
        );
        request.cause = cause;
        // GitLab answers 404 both for "has already been taken" and for a comment that was deleted.
        self.find::<WireId>(request).await.map(drop)
    }

    /// Returns the hooks of a group or project.
    pub async fn hooks(&self, scope: Scope, id: &str) -> Result<Vec<RemoteHook>, CallError> {
        let mut request_path = hook_path(scope, id);
        request_path.push("hooks");
        let mut request = Request::get("GET hooks", &request_path);
        request.query = &[("per_page", "100")];
        self.read(request).await
    }

    /// Creates a hook with the events that Liaison uses; returns its id.
    pub async fn create_hook(
        &self,
        scope: Scope,
        id: &str,
        settings: &HookSettings,
    ) -> Result<i64, CallError> {
        let mut path = hook_path(scope, id);
        path.push("hooks");
        let request = Request::write("POST hook", Method::POST, &path, hook_body(scope, settings));
        let hook: WireId = self.read(request).await?;
        Ok(hook.id)
    }

    /// Changes a hook: address, secrets and events. GitLab drops the secret when the address changes, so both are always sent.
    pub async fn edit_hook(
        &self,
        scope: Scope,
        id: &str,
        hook: i64,
        settings: &HookSettings,
    ) -> Result<(), CallError> {
        let hook = hook.to_string();
        let mut path = hook_path(scope, id);
        path.extend(["hooks", &hook]);
        let request = Request::write("PUT hook", Method::PUT, &path, hook_body(scope, settings));
        self.read::<WireId>(request).await.map(drop)
    }

    /// Has GitLab send a test delivery of a comment through a hook.
    pub async fn test_hook(&self, scope: Scope, id: &str, hook: i64) -> Result<(), CallError> {
        let hook = hook.to_string();
        let mut path = hook_path(scope, id);
        path.extend(["hooks", &hook, "test", "note_events"]);
        let request = Request::write("POST hook test", Method::POST, &path, json!({}));
        self.accepted(request).await.map(drop)
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
                .extend(["api", "v4"])
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

#[derive(Deserialize)]
struct WireId {
    id: i64,
}

impl From<WireUser> for RemoteUser {
    fn from(user: WireUser) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username,
            name: user.name,
            is_bot: user.bot,
        }
    }
}

fn parse<T: DeserializeOwned>(call: &'static str, body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|source| CallError::Unreadable { call, source })
}

fn hook_path(scope: Scope, id: &str) -> Vec<&str> {
    match scope {
        Scope::Group => vec!["groups", id],
        Scope::Project => vec!["projects", id],
    }
}

fn hook_body(scope: Scope, settings: &HookSettings) -> Value {
    let mut body = json!({
        "url": settings.url,
        "name": "Liaison",
        "note_events": true,
        "confidential_note_events": true,
        "issues_events": true,
        "confidential_issues_events": true,
        // GitLab's default is on.
        "push_events": false,
    });
    if let Value::Object(fields) = &mut body {
        if scope == Scope::Group {
            for events in ["member_events", "project_events", "subgroup_events"] {
                fields.insert(events.into(), true.into());
            }
        }
        let mut secret = |name: &str, value: &Option<SecretString>| {
            if let Some(value) = value {
                fields.insert(name.into(), value.expose_secret().into());
            }
        };
        secret("token", &settings.token);
        secret("signing_token", &settings.signing_token);
    }
    body
}
