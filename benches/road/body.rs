//! Deliveries as GitLab sends them: bodies, ids and signatures, made before anything is measured.

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use liaison::domain::{Clock, SystemClock};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{stage::SIGNING_KEY, tracker::Posted};

/// Length of an ordinary comment's body, in bytes.
const ORDINARY: usize = 3000;

/// Deliveries ready to be sent.
pub(crate) struct Deliveries {
    bodies: Vec<Vec<u8>>,
    timestamp: String,
    signed: Vec<(String, String)>,
}

impl Deliveries {
    /// Signs `count` deliveries, the bodies in turn, each with an id of its own.
    pub(crate) fn sign(bodies: Vec<Vec<u8>>, count: usize) -> anyhow::Result<Self> {
        let clock = SystemClock::default();
        let timestamp = clock.now().timestamp().to_string();
        let key = Hmac::<Sha256>::new_from_slice(SIGNING_KEY)?;
        let signed = bodies.iter().cycle().take(count).map(|body| {
            let id = clock.id().to_string();
            let mut mac = key.clone();
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
            (id, signature)
        });
        Ok(Self {
            signed: signed.collect(),
            bodies,
            timestamp,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.signed.len()
    }

    /// Writes a delivery as a request into `buffer`; numbers beyond the last begin anew.
    pub(crate) fn write(&self, number: usize, buffer: &mut Vec<u8>) {
        let place = number % self.signed.len().max(1);
        let Some((id, signature)) = self.signed.get(place) else {
            return;
        };
        let Some(body) = self.bodies.get(place % self.bodies.len().max(1)) else {
            return;
        };
        let length = body.len().to_string();
        buffer.clear();
        for part in [
            "POST /hooks/acme-gitlab HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitLab/19.1.0\r\nContent-Type: application/json\r\n\
             X-Gitlab-Event: Note Hook\r\nX-Gitlab-Webhook-UUID: 8f1c1b3e-70a5-4c52-9a53-2f0c5ad7a1f1\r\n\
             X-Gitlab-Instance: http://127.0.0.1\r\nX-Gitlab-Event-UUID: ",
            id,
            "\r\nIdempotency-Key: ",
            id,
            "\r\nwebhook-id: ",
            id,
            "\r\nwebhook-timestamp: ",
            &self.timestamp,
            "\r\nwebhook-signature: v1,",
            signature,
            "\r\nContent-Length: ",
            &length,
            "\r\n\r\n",
        ] {
            buffer.extend_from_slice(part.as_bytes());
        }
        buffer.extend_from_slice(body);
    }
}

/// Returns bodies of comments without commands on `count` issues, 3,000 bytes each.
pub(crate) fn ordinary(count: u64) -> Vec<Vec<u8>> {
    let body = |number: u64| {
        let posted = Posted {
            project: 3,
            path: "acme/support/desk".to_owned(),
            issue: 10_000 + number,
            iid: number,
            note: 500_000 + number,
            discussion: format!("{number:040x}"),
            author: 2,
            text: "The customer called again and asks when the replacement arrives.".to_owned(),
        };
        let bare = note(&posted, "").len();
        let words = "Two of five chairs came with broken armrests; the carrier noted no damage. ";
        let text: String = words
            .chars()
            .cycle()
            .take(ORDINARY.saturating_sub(bare))
            .collect();
        note(&posted, &text)
    };
    (1..=count).map(body).collect()
}

/// Returns the body of the Note Hook for a comment, on an issue with such a description.
pub(crate) fn note(posted: &Posted, description: &str) -> Vec<u8> {
    let clock = SystemClock::default();
    let now = clock.now();
    let url = format!("http://127.0.0.1/{}", posted.path);
    json!({
        "object_kind": "note",
        "event_type": "note",
        "user": { "id": posted.author, "name": "Reporter Rita", "username": "rita", "avatar_url": null, "email": "[REDACTED]" },
        "project_id": posted.project,
        "project": {
            "id": posted.project, "name": "Desk", "description": null, "web_url": url, "avatar_url": null,
            "git_ssh_url": format!("git@127.0.0.1:{}.git", posted.path), "git_http_url": format!("{url}.git"),
            "namespace": "Support", "visibility_level": 0, "path_with_namespace": posted.path,
            "default_branch": "main", "ci_config_path": null, "homepage": url,
            "url": format!("git@127.0.0.1:{}.git", posted.path), "http_url": format!("{url}.git"),
        },
        "object_attributes": {
            "attachment": null, "author_id": posted.author, "change_position": null, "commit_id": null,
            "created_at": stamp(now), "discussion_id": posted.discussion, "id": posted.note, "line_code": null,
            "note": posted.text, "noteable_id": posted.issue, "noteable_type": "Issue",
            "original_position": null, "position": null, "project_id": posted.project,
            "resolved_at": null, "resolved_by_id": null, "resolved_by_push": null, "st_diff": null,
            "system": false, "type": null, "updated_at": stamp(now), "updated_by_id": null,
            "description": posted.text, "action": "create",
            "url": format!("{url}/-/issues/{}#note_{}", posted.iid, posted.note),
        },
        "repository": { "name": "Desk", "url": format!("{url}.git"), "description": null, "homepage": url },
        "issue": issue(posted, description, &url, now),
    })
    .to_string()
    .into_bytes()
}

fn issue(posted: &Posted, description: &str, url: &str, now: DateTime<Utc>) -> Value {
    json!({
        "id": posted.issue, "iid": posted.iid, "title": format!("Order {}: chairs arrived damaged", posted.iid),
        "description": description, "state": "opened", "state_id": 1, "confidential": false,
        "discussion_locked": null, "author_id": posted.author, "assignee_ids": [], "assignee_id": null,
        "project_id": posted.project, "created_at": stamp(now), "updated_at": stamp(now), "closed_at": null,
        "due_date": null, "labels": [], "last_edited_at": null, "last_edited_by_id": null, "milestone_id": null,
        "moved_to_id": null, "duplicated_to_id": null, "relative_position": null, "time_estimate": 0,
        "total_time_spent": 0, "time_change": 0, "weight": null, "health_status": null, "type": "Issue",
        "severity": "unknown", "url": format!("{url}/-/issues/{}", posted.iid), "customer_relations_contacts": [],
    })
}

fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
