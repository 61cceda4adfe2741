//! Sending hooks as GitLab does: headers, signature, one attempt, a log.
//!
//! A failure is logged and forgotten, since GitLab does not send again by itself either.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::mpsc;
use url::{Origin, Url};

use super::{Sandbox, Shared, hooks::Hook, now, random_uuid, state::State};
use crate::egress::{Call, Egress, Limits};

/// GitLab keeps this much of an answer, in bytes.
const LOGGED_ANSWER: usize = 8 * 1024;

/// A request that was made to a hook.
#[derive(Debug)]
pub struct Delivery {
    /// Number of the log entry.
    pub id: u64,
    /// Hook that it was made to.
    pub hook: u64,
    /// Address that was called.
    pub url: Url,
    /// Time of sending.
    pub at: DateTime<Utc>,
    /// Headers in the order of sending.
    pub request_headers: Vec<(&'static str, String)>,
    /// Body.
    pub request_body: Bytes,
    /// Status of the answer, `None` when none came.
    pub status: Option<u16>,
    /// Beginning of the answer's body, or why there was no answer.
    pub response: String,
    /// Time from sending to the end of the answer.
    pub duration: Duration,
}

impl Delivery {
    /// Returns a request header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request_headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A request that waits to be made.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// `X-Gitlab-Event`.
    pub(super) event: String,
    /// Body.
    pub(super) body: Bytes,
    /// `X-Gitlab-Event-UUID`.
    pub(super) chain: String,
    /// `Idempotency-Key`: kept when the same delivery is sent again.
    pub(super) key: String,
}

/// Returns the request headers in GitLab's order (`app/services/web_hook_service.rb` and the hooks API page).
fn headers(state: &State, hook: &Hook, outgoing: &Outgoing) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("User-Agent", "GitLab/19.1.0".to_owned()),
        ("Idempotency-Key", outgoing.key.clone()),
        ("X-Gitlab-Event", outgoing.event.clone()),
        ("X-Gitlab-Webhook-UUID", random_uuid()),
        (
            "X-Gitlab-Instance",
            state.public_url.as_str().trim_end_matches('/').to_owned(),
        ),
        ("X-Gitlab-Event-UUID", outgoing.chain.clone()),
    ];
    if let Some(token) = &hook.token {
        headers.push(("X-Gitlab-Token", token.replace(['\r', '\n'], "")));
    }
    if let Some(key) = &hook.signing_key {
        let timestamp = now().timestamp().to_string();
        let signature = sign(key, &outgoing.key, &timestamp, &outgoing.body);
        headers.extend([
            ("webhook-id", outgoing.key.clone()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signature),
        ]);
    }
    headers
}

/// Signs as Standard Webhooks has it: HMAC-SHA256 over `id.timestamp.body`, written `v1,<base64>`.
fn sign(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes keys of every length, so the empty signature is never seen.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

fn header_map(headers: &[(&'static str, String)]) -> HeaderMap {
    headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
        .collect()
}

/// Makes one request and returns the status and the beginning of the answer, or why there was none.
async fn attempt(
    egress: &Egress,
    url: Url,
    headers: &[(&'static str, String)],
    body: Bytes,
) -> (Option<u16>, String) {
    let call = Call {
        method: Method::POST,
        url,
        headers: header_map(headers),
        body,
    };
    match egress.send(call).await {
        Ok(answer) => {
            let body = answer.body.get(..LOGGED_ANSWER).unwrap_or(&answer.body);
            let text = String::from_utf8_lossy(body).into_owned();
            (Some(answer.status.as_u16()), text)
        }
        Err(error) => (None, error.to_string()),
    }
}

/// Makes the requests of one lane of a hook, one after the other, until the hook is gone.
pub(super) async fn deliver(
    shared: Weak<Shared>,
    hook: u64,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    unsent: Arc<AtomicUsize>,
) {
    let mut client: Option<(Origin, Egress)> = None;
    while let Some(outgoing) = queue.recv().await {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let request = {
            let state = shared.lock();
            state
                .hooks
                .get(&hook)
                .map(|hook| (hook.url.clone(), headers(&state, hook, &outgoing)))
        };
        let Some((url, headers)) = request else {
            return;
        };
        if client
            .as_ref()
            .is_none_or(|(origin, _)| *origin != url.origin())
        {
            client = Egress::new([&url], Limits::default())
                .ok()
                .map(|egress| (url.origin(), egress));
        }
        let Some((_, egress)) = &client else {
            tracing::error!(hook, "no TLS for the sandbox's hooks");
            return;
        };
        let (at, started) = (now(), Instant::now());
        let body = outgoing.body.clone();
        let (status, response) = attempt(egress, url.clone(), &headers, body).await;
        tracing::debug!(hook, status, event = outgoing.event, "sandbox hook sent");
        shared.change(|state| {
            state.last_delivery += 1;
            let delivery = Delivery {
                id: state.last_delivery,
                hook,
                url,
                at,
                request_headers: headers,
                request_body: outgoing.body,
                status,
                response,
                duration: started.elapsed(),
            };
            state.log_delivery(Arc::new(delivery));
            unsent.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Returns the `X-Gitlab-Event` that belongs to a body.
fn event_of(body: &[u8]) -> &'static str {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    match (text("event_type"), text("event_name")) {
        ("confidential_note", _) => "Confidential Note Hook",
        ("note", _) => "Note Hook",
        ("confidential_issue", _) => "Confidential Issue Hook",
        ("issue", _) => "Issue Hook",
        (_, "subgroup_create" | "subgroup_destroy") => "Subgroup Hook",
        (_, "project_create" | "project_destroy") => "Project Hook",
        (_, name) if name.starts_with("user_") && name.ends_with("_group") => "Member Hook",
        _ => "System Hook",
    }
}

impl Sandbox {
    /// Returns a request as the hook would make it with that body, without sending it; `None` for an unknown hook.
    pub fn signed_delivery(&self, hook: u64, body: Bytes) -> Option<(HeaderMap, Bytes)> {
        let outgoing = Outgoing {
            event: event_of(&body).to_owned(),
            body,
            chain: random_uuid(),
            key: random_uuid(),
        };
        let headers = self.read(|state| {
            let hook = state.hooks.get(&hook)?;
            Some(headers(state, hook, &outgoing))
        })?;
        Some((header_map(&headers), outgoing.body))
    }

    /// Sends a logged request once more under its own `Idempotency-Key`, as `POST …/events/:id/resend` does.
    ///
    /// Returns false when there is no such entry or its hook is gone.
    pub fn resend(&self, delivery: u64) -> bool {
        self.read(|state| {
            let Some(old) = state.hook_log().rev().find(|entry| entry.id == delivery) else {
                return false;
            };
            let header = |name| old.header(name).unwrap_or_default().to_owned();
            let again = Outgoing {
                event: header("X-Gitlab-Event"),
                body: old.request_body.clone(),
                chain: header("X-Gitlab-Event-UUID"),
                key: header("Idempotency-Key"),
            };
            let hook = state.hooks.get(&old.hook);
            hook.inspect(|hook| hook.queue(0, again)).is_some()
        })
    }
}
