//! Webhooks as GitLab keeps them, of groups and projects.

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CallError, Client, Request, WireId};
use crate::domain::{HookEvent, Scope};

/// What an installed hook is to look like.
#[derive(Debug, Clone)]
pub struct HookSettings {
    /// Where deliveries go.
    pub url: String,
    /// The secret token, if the webhook has one.
    pub token: Option<SecretString>,
    /// The signing token, if the webhook has one.
    pub signing_token: Option<SecretString>,
    /// The events that it is told of; none for all.
    pub events: Option<Vec<HookEvent>>,
}

/// A hook as GitLab lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RemoteHook {
    /// Its id.
    pub id: i64,
    /// Where its deliveries go.
    pub url: String,
}

impl Client {
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
}

fn hook_path(scope: Scope, id: &str) -> Vec<&str> {
    match scope {
        Scope::Group => vec!["groups", id],
        Scope::Project => vec!["projects", id],
    }
}

fn hook_body(scope: Scope, settings: &HookSettings) -> Value {
    let tells = |event: HookEvent| {
        let chosen = settings.events.as_ref();
        Value::Bool(chosen.is_none_or(|chosen| chosen.contains(&event)))
    };
    let mut body = json!({
        "url": settings.url,
        "name": "Liaison",
        "note_events": tells(HookEvent::Comments),
        "confidential_note_events": tells(HookEvent::Comments),
        "issues_events": tells(HookEvent::Issues),
        "confidential_issues_events": tells(HookEvent::Issues),
        // GitLab's default is on.
        "push_events": false,
    });
    if let Value::Object(fields) = &mut body {
        if scope == Scope::Group {
            for (name, event) in [
                ("member_events", HookEvent::Members),
                ("project_events", HookEvent::Tree),
                ("subgroup_events", HookEvent::Tree),
            ] {
                fields.insert(name.into(), tells(event));
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
