//! The webhook receiver as its senders see it: over HTTP, through the real server, with a real Postgres behind it.

#![expect(
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::too_many_lines,
    reason = "shared functions are tests too, and a table of cases is read as one"
)]

use std::{
    collections::HashSet,
    fmt::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt, StreamExt, future::join_all, stream::FuturesUnordered};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use liaison::{
    app::Role,
    crypto::SealingKey,
    domain::{Clock, DeliveryId, Lane, RootId, SystemClock, WebhookId},
    egress::Answer,
    intake::{Problem, Writer},
    queue::{self, Arrival, Sent, Signal, Stored, Wake},
    sandbox::Fault,
    server,
    store::{
        connection, group,
        webhook::{self, SecretKind},
    },
};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{
    BOT_TOKEN, PATIENCE, SEALING_KEY, SIGNING_TOKEN, Setup, World, arrive, bodies, database,
    delivery_id, headers, pool, recorded_log, run, run_with, spawn,
};

const HOOK: &str = "/hooks/acme-gitlab";
const TOKEN: &str = "canary-token-5d1f";

/// A world that only receives, so that what arrived stays as it arrived.
fn receiving() -> Setup {
    Setup {
        roles: vec![Role::Receive],
        ..Setup::default()
    }
}

/// A world in which dead work is no surprise.
fn with_dead_work() -> Setup {
    Setup {
        dead_is_fine: true,
        ..Setup::default()
    }
}

fn now() -> DateTime<Utc> {
    SystemClock::default().now()
}

fn new_id() -> String {
    SystemClock::default().id().to_string()
}

/// Signs as Standard Webhooks has it.
fn signature(token: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = BASE64_STANDARD
        .decode(token.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

/// Returns the headers of a signed delivery whose clock is off by so many seconds.
fn signed_at(token: &str, id: &str, off: i64, body: &[u8]) -> HeaderMap {
    let timestamp = (now() + TimeDelta::seconds(off)).timestamp().to_string();
    headers(&[
        ("content-type", "application/json"),
        ("x-gitlab-event", "Note Hook"),
        ("webhook-id", id),
        ("webhook-timestamp", &timestamp),
        ("webhook-signature", &signature(token, id, &timestamp, body)),
    ])
}

fn signed(id: &str, body: &[u8]) -> HeaderMap {
    signed_at(SIGNING_TOKEN, id, 0, body)
}

fn with(mut headers: HeaderMap, name: &'static str, value: &str) -> HeaderMap {
    headers.insert(name, HeaderValue::from_str(value).unwrap());
    headers
}

fn twice(mut headers: HeaderMap, name: &'static str) -> HeaderMap {
    let value = headers[name].clone();
    headers.append(name, value);
    headers
}

fn without(mut headers: HeaderMap, name: &'static str) -> HeaderMap {
    headers.remove(name).unwrap();
    headers
}

/// Returns the body of a comment on the order, by Rita, as GitLab sends it.
fn comment_body(world: &World, id: u64, text: &str) -> Value {
    let (issue, iid, project) = world
        .sandbox
        .read(|state| {
            let issue = state.issue(world.demo.order)?;
            Some((issue.id, issue.iid, issue.project))
        })
        .unwrap();
    let at = "2026-03-01 10:00:00 UTC";
    json!({
        "object_kind": "note",
        "event_type": "note",
        "user": { "id": world.demo.rita, "name": "Rita", "username": "rita", "email": "[REDACTED]" },
        "project_id": project,
        "project": { "id": project, "path_with_namespace": "acme/support/desk" },
        "object_attributes": {
            "id": id, "note": text, "noteable_type": "Issue", "discussion_id": format!("{id:040x}"), "system": false,
            "action": "create", "created_at": at, "updated_at": at, "url": format!("https://gitlab.example/{id}"),
        },
        "issue": {
            "id": issue, "iid": iid, "title": "Chairs", "state": "opened", "confidential": false,
            "author_id": world.demo.rita, "assignee_ids": [], "updated_at": at,
        },
    })
}

fn bytes(body: &Value) -> Bytes {
    body.to_string().into()
}

fn receipt(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Fails unless an answer says no in the one form that there is, and says nothing that is nobody's business.
fn assert_problem(answer: &Answer, status: u16, case: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status.as_u16(), status, "{case}: {text}");
    assert_eq!(
        answer
            .headers
            .get("content-type")
            .map(HeaderValue::as_bytes),
        Some(&b"application/problem+json"[..]),
        "{case}"
    );
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["status"], status, "{case}");
    for part in ["title", "detail"] {
        assert!(
            problem[part].as_str().is_some_and(|part| part.len() > 3),
            "{case}: {text}"
        );
    }
    let lower = text.to_lowercase();
    for secret in [
        SIGNING_TOKEN,
        BOT_TOKEN,
        TOKEN,
        "whsec_",
        "insert",
        "select ",
        "sql",
        "relation",
        "canary",
        "liaison::",
    ] {
        assert!(!lower.contains(&secret.to_lowercase()), "{case}: {text}");
    }
}

/// Waits until something is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What a test does to webhooks, as the command line does it.
impl World {
    async fn post(&self, headers: HeaderMap, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, HOOK, headers, body).await
    }

    /// Sends a comment without commands, signed, under an id.
    async fn post_plain(&self, id: &str, note: u64) -> Answer {
        let body = bytes(&comment_body(self, note, "Thanks."));
        self.post(signed(id, &body), body).await
    }

    async fn announce(&self) {
        queue::notify(&self.pool, Signal::Webhooks).await.unwrap();
    }

    async fn create_webhook(&self, name: &str, secrets: &[(SecretKind, &str)]) {
        let mut tx = self.pool.begin().await.unwrap();
        let acme = group::find(&mut tx, "acme").await.unwrap().unwrap();
        let on = connection::list(&mut tx).await.unwrap()[0].id;
        let webhook = webhook::create(&mut tx, name, (acme.root, acme.id), on, now())
            .await
            .unwrap();
        for (kind, secret) in secrets {
            add_secret(&mut tx, webhook, (*kind, secret)).await;
        }
        tx.commit().await.unwrap();
        self.announce().await;
        let path = format!("/hooks/{name}");
        until("the webhook is known", async || {
            let answer = self.send(Method::POST, &path, HeaderMap::new(), "").await;
            answer.status != StatusCode::NOT_FOUND
        })
        .await;
    }

    async fn webhook(&self, name: &str) -> (RootId, WebhookId) {
        let mut connection = self.pool.acquire().await.unwrap();
        webhook::find(&mut connection, name).await.unwrap().unwrap()
    }

    /// Sets a webhook's state and waits until the receiver answers a request that proves nothing accordingly.
    async fn set_webhook(&self, name: &str, state: &str, answer: u16) {
        let webhook = self.webhook(name).await;
        let mut connection = self.pool.acquire().await.unwrap();
        webhook::set_state(&mut connection, webhook, state)
            .await
            .unwrap();
        drop(connection);
        self.announce().await;
        let path = format!("/hooks/{name}");
        until("the webhook's state is known", async || {
            let given = self.send(Method::POST, &path, HeaderMap::new(), "").await;
            given.status.as_u16() == answer
        })
        .await;
    }

    /// Returns the body that the tracker made for a comment which the service has not seen.
    async fn unseen_comment(&self, issue: u64, user: u64, text: &str) -> Bytes {
        self.set_webhook("acme-gitlab", "paused", 410).await;
        let comment = self.sandbox.comment(issue, user, text).unwrap();
        let body = self.sent_body(comment).await;
        self.set_webhook("acme-gitlab", "active", 415).await;
        body
    }

    /// Returns the body that the tracker sent for a comment last.
    async fn sent_body(&self, comment: u64) -> Bytes {
        let found = self.sandbox.wait_for(
            |state| {
                let mut log = state.hook_log().rev();
                let entry = log.find(|entry| {
                    let body: Value = serde_json::from_slice(&entry.request_body).unwrap();
                    body["object_attributes"]["id"] == comment && body["object_kind"] == "note"
                })?;
                Some(entry.request_body.clone())
            },
            PATIENCE,
        );
        found.await.unwrap()
    }

    async fn state_of(&self, id: DeliveryId) -> (String, String, i16) {
        let summary = self.delivery(id).await.summary;
        (
            summary.state,
            summary.outcome.unwrap_or_default(),
            summary.attempts,
        )
    }

    /// Writes bytes on a connection of their own and returns all that comes back until it ends.
    async fn talk(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may hang up before it has read everything.
        let _ = stream.write_all(request).await;
        read_all(&mut stream).await
    }

    async fn connect(&self) -> TcpStream {
        let address = self.url.socket_addrs(|| None).unwrap()[0];
        TcpStream::connect(address).await.unwrap()
    }
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = timeout(PATIENCE * 2, stream.read(&mut piece)).await;
        match read.unwrap() {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&answer).into_owned(),
            Ok(length) => answer.extend_from_slice(&piece[..length]),
        }
    }
}

async fn add_secret(
    connection: &mut PgConnection,
    webhook: (RootId, WebhookId),
    (kind, secret): (SecretKind, &str),
) {
    let key = SealingKey::from_base64(&SEALING_KEY.into()).unwrap();
    let id = SystemClock::default().id();
    webhook::add_secret(
        connection,
        webhook,
        (kind, &secret.to_owned().into()),
        (id, &key),
        now(),
    )
    .await
    .unwrap();
}

// What is accepted, and what is a repeat --------------------------------------------------------------------------

#[tokio::test]
async fn answers_202_once_the_row_is_there_and_200_to_a_repeat() {
    run(async |world| {
        let body = bytes(&comment_body(world, 900_001, "Thanks."));
        let sent = signed("one", &body);
        let first = world.post(sent.clone(), body.clone()).await;
        let id = delivery_id(&first);
        let stored = bodies(&world.pool).await;
        assert_eq!(first.status, StatusCode::ACCEPTED);
        assert_eq!(receipt(&first), json!({ "delivery": id }));
        assert_eq!(stored, [(id, body.to_vec())], "byte for byte as it came");

        let again = world.post(sent, body.clone()).await;
        assert_eq!(again.status, StatusCode::OK);
        assert_eq!(
            receipt(&again),
            json!({ "delivery": id, "duplicate": true })
        );
        // The id is the sender's word: under it another body is a repeat too.
        let other = bytes(&comment_body(world, 900_002, "Something else."));
        let other = world.post(signed("one", &other), other).await;
        assert_eq!(receipt(&other), receipt(&again));
        // The name in the URL has no case.
        let other = bytes(&comment_body(world, 900_003, "Case."));
        let shouted = world.send(
            Method::POST,
            "/hooks/ACME-GitLab",
            signed("one", &other),
            other,
        );
        assert_eq!(receipt(&shouted.await), receipt(&again));
        assert_eq!(world.count("deliveries").await, 1);
    })
    .await;
}

#[tokio::test]
async fn many_repeats_at_once_make_one_row() {
    run(async |world| {
        for round in 0..5 {
            let id = format!("round-{round}");
            let answers = join_all((0..40).map(|_| world.post_plain(&id, 900_000 + round))).await;
            let ids: HashSet<_> = answers.iter().map(delivery_id).collect();
            assert_eq!(ids.len(), 1);
            let new = answers
                .iter()
                .filter(|answer| answer.status == StatusCode::ACCEPTED);
            assert_eq!(new.count(), 1);
            let repeats = answers
                .iter()
                .filter(|answer| answer.status == StatusCode::OK);
            assert_eq!(repeats.count(), 39);
        }
        assert_eq!(world.count("deliveries").await, 5);
    })
    .await;
}

#[tokio::test]
async fn a_body_under_forged_new_ids_has_no_further_effect() {
    run(async |world| {
        let issue = world.demo.order;
        let text = "/add_contacts ada@example.com\n/create_contact zoe@example.com Zoe Winter\n/remove_contacts ada@example.com";
        let body = world.unseen_comment(issue, world.demo.dan, text).await;
        let forge = async |count: usize| {
            let answers = (0..count).map(async |_| {
                let id = new_id();
                world.post(signed(&id, &body), body.clone()).await.status
            });
            assert_eq!(join_all(answers).await, vec![StatusCode::ACCEPTED; count]);
            world.settled().await;
        };
        let effects = async || {
            (
                world.count("history").await,
                world.count("effects").await,
                world.bot_notes(issue).len(),
                world.issue_contacts(issue).await,
            )
        };
        // All at once, before any of them is worked, and later again.
        forge(12).await;
        let first = effects().await;
        assert_eq!(first, (4, 2, 1, vec!["zoe@example.com".to_owned()]));
        world.ask(issue, world.demo.dan, "/remove_contacts zoe@example.com").await;
        world.settled().await;
        let before = effects().await;
        forge(12).await;
        assert_eq!(effects().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_dead_delivery_that_is_sent_again_is_taken_up_again() {
    run(async |world| {
        let issue = world.demo.order;
        let refused = Fault::status(StatusCode::INTERNAL_SERVER_ERROR, "500");
        world.sandbox.fail(Method::GET, "/api/v4/", 1000, refused);
        let comment = world
            .sandbox
            .comment(issue, world.demo.rita, "/add_contacts ada@example.com")
            .unwrap();
        let dead = world.delivery_in("dead").await;
        world.settled().await;
        world.sandbox.clear_faults();
        let entry = world
            .sandbox
            .hook_log()
            .into_iter()
            .find(|entry| entry.response.contains(&dead.id.to_string()))
            .unwrap();
        assert!(world.sandbox.resend(entry.id));
        assert_eq!(
            world.answer(issue, comment).await,
            "- `add_contacts`: `ada@example.com` added"
        );
        world.settled().await;
        let log = world.sandbox.hook_log();
        let again = log
            .iter()
            .rfind(|again| again.request_body == entry.request_body)
            .unwrap();
        assert_eq!(again.status, Some(200));
        let receipt: Value = serde_json::from_str(&again.response).unwrap();
        assert_eq!(receipt, json!({ "delivery": dead.id, "duplicate": true }));
        assert_eq!(world.state_of(dead.id).await.0, "done");

        // Done work is not taken up again.
        assert!(world.sandbox.resend(entry.id));
        world.settled().await;
        assert_eq!(world.bot_notes(issue).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn somebody_is_woken_for_a_dead_delivery_that_is_sent_again_twice_at_once() {
    run_with(receiving(), async |world| {
        let id = delivery_id(&world.post_plain("dead", 900_001).await);
        let arrivals = {
            let (root, webhook) = world.webhook("acme-gitlab").await;
            let key: Uuid = sqlx::query_scalar(
                "UPDATE deliveries SET state = 'dead', settled_at = now() RETURNING dedupe_key",
            )
            .fetch_one(&world.pool)
            .await
            .unwrap();
            [0, 1].map(|_| Arrival {
                dedupe_key: key.into_bytes(),
                ..arrival((root, webhook), 1)
            })
        };
        let stored = arrive(&world.pool, &arrivals).await;
        assert_eq!(
            stored,
            [Stored::Revived(id); 2],
            "a repeat alone wakes nobody"
        );
        assert_eq!(world.count("deliveries WHERE state = 'pending'").await, 1);
    })
    .await;
}

#[tokio::test]
async fn without_an_id_the_body_tells_a_repeat() {
    run(async |world| {
        world
            .create_webhook("plain", &[(SecretKind::Token, TOKEN)])
            .await;
        let plain = headers(&[
            ("content-type", "application/json"),
            ("x-gitlab-token", TOKEN),
        ]);
        let original = comment_body(world, 900_001, "Thanks.");
        let changed = |path: &str, value: Value| {
            let mut body = original.clone();
            *body.pointer_mut(path).unwrap() = value;
            body.to_string()
        };
        let fields = original.as_object().unwrap().iter().rev();
        let backwards: Vec<_> = fields
            .map(|(name, value)| format!("\"{name}\" :\n {value}"))
            .collect();
        let post = async |headers: &HeaderMap, body: &str| {
            world
                .send(
                    Method::POST,
                    "/hooks/plain",
                    headers.clone(),
                    body.to_owned(),
                )
                .await
        };
        let first = post(&plain, &original.to_string()).await;
        assert_eq!(first.status, StatusCode::ACCEPTED);
        for (case, headers, body) in [
            ("the same", plain.clone(), original.to_string()),
            ("other blanks", plain.clone(), format!("{original:#}")),
            (
                "another order",
                plain.clone(),
                format!("{{{}}}", backwards.join(",")),
            ),
            (
                "another title",
                plain.clone(),
                changed("/issue/title", json!("Renamed")),
            ),
            (
                "another request id",
                with(plain.clone(), "x-gitlab-webhook-uuid", &new_id()),
                original.to_string(),
            ),
            (
                "another event id",
                with(plain.clone(), "x-gitlab-event-uuid", &new_id()),
                original.to_string(),
            ),
        ] {
            let again = post(&headers, &body).await;
            assert_eq!(again.status, StatusCode::OK, "{case}");
            assert_eq!(delivery_id(&again), delivery_id(&first), "{case}");
        }
        for (case, body) in [
            (
                "another comment",
                changed("/object_attributes/id", json!(900_002)),
            ),
            (
                "another version",
                changed(
                    "/object_attributes/updated_at",
                    json!("2026-03-01 10:00:01 UTC"),
                ),
            ),
            (
                "another text",
                changed("/object_attributes/note", json!("Thanks!")),
            ),
            (
                "an edit",
                changed("/object_attributes/action", json!("update")),
            ),
            ("another kind", changed("/object_kind", json!("emoji"))),
        ] {
            assert_eq!(
                post(&plain, &body).await.status,
                StatusCode::ACCEPTED,
                "{case}"
            );
            assert_eq!(post(&plain, &body).await.status, StatusCode::OK, "{case}");
        }
        // An id counts more than the body, whichever header carries it.
        for name in ["idempotency-key", "webhook-id"] {
            let named = with(plain.clone(), name, &format!("by-{name}"));
            assert_eq!(
                post(&named, &original.to_string()).await.status,
                StatusCode::ACCEPTED,
                "{name}"
            );
            assert_eq!(
                post(&with(named, "x-gitlab-webhook-uuid", &new_id()), "{}")
                    .await
                    .status,
                StatusCode::OK,
                "{name}"
            );
        }
        // Another webhook's delivery is never a repeat of this one's.
        world
            .create_webhook("twin", &[(SecretKind::Token, TOKEN)])
            .await;
        let twin = world
            .send(Method::POST, "/hooks/twin", plain, original.to_string())
            .await;
        assert_eq!(twin.status, StatusCode::ACCEPTED);
    })
    .await;
}

// What is refused -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn refuses_whoever_does_not_prove_to_be_the_sender() {
    run_with(receiving(), async |world| {
        let other_key = "whsec_b3RoZXItdGVzdC1zaWduaW5nLWtleS0zMi1ieXRlcyE=";
        world
            .create_webhook("plain", &[(SecretKind::Token, TOKEN)])
            .await;
        world
            .create_webhook("other", &[(SecretKind::Signing, other_key)])
            .await;
        world
            .create_webhook(
                "both",
                &[(SecretKind::Token, TOKEN), (SecretKind::Signing, other_key)],
            )
            .await;
        world.create_webhook("bare", &[]).await;
        let body = bytes(&comment_body(world, 900_001, "canary-text"));
        let json = headers(&[("content-type", "application/json")]);
        let token = with(json.clone(), "x-gitlab-token", TOKEN);
        let right = signed("right", &body);
        let forms = |form: &str| {
            let signature = right["webhook-signature"].to_str().unwrap();
            form.replace("{}", signature.strip_prefix("v1,").unwrap())
        };
        let resigned = |form: &str| with(right.clone(), "webhook-signature", &forms(form));
        let binary = {
            let mut headers = right.clone();
            headers.insert(
                "webhook-signature",
                HeaderValue::from_bytes(b"v1,\xff\xfe").unwrap(),
            );
            headers
        };
        let shifted = right["webhook-timestamp"]
            .to_str()
            .unwrap()
            .parse::<i64>()
            .unwrap()
            + 1;
        let refused = [
            ("nothing", "acme-gitlab", json.clone()),
            ("a token instead", "acme-gitlab", token.clone()),
            (
                "the signing token itself as a token",
                "acme-gitlab",
                with(json.clone(), "x-gitlab-token", SIGNING_TOKEN),
            ),
            (
                "no signature",
                "acme-gitlab",
                without(right.clone(), "webhook-signature"),
            ),
            ("no id", "acme-gitlab", without(right.clone(), "webhook-id")),
            (
                "no timestamp",
                "acme-gitlab",
                without(right.clone(), "webhook-timestamp"),
            ),
            (
                "two signatures",
                "acme-gitlab",
                twice(right.clone(), "webhook-signature"),
            ),
            ("two ids", "acme-gitlab", twice(right.clone(), "webhook-id")),
            (
                "two timestamps",
                "acme-gitlab",
                twice(right.clone(), "webhook-timestamp"),
            ),
            (
                "another id than signed",
                "acme-gitlab",
                with(right.clone(), "webhook-id", "wrong"),
            ),
            (
                "another moment than signed",
                "acme-gitlab",
                with(right.clone(), "webhook-timestamp", &shifted.to_string()),
            ),
            (
                "no moment",
                "acme-gitlab",
                with(right.clone(), "webhook-timestamp", "today"),
            ),
            (
                "an impossible moment",
                "acme-gitlab",
                with(right.clone(), "webhook-timestamp", "9223372036854775807"),
            ),
            (
                "an empty signature",
                "acme-gitlab",
                with(right.clone(), "webhook-signature", ""),
            ),
            (
                "an empty value",
                "acme-gitlab",
                with(right.clone(), "webhook-signature", "v1,"),
            ),
            ("no version", "acme-gitlab", resigned("{}")),
            ("another version", "acme-gitlab", resigned("v2,{}")),
            ("the asymmetric version", "acme-gitlab", resigned("v1a,{}")),
            ("another prefix", "acme-gitlab", resigned("sha256={}")),
            (
                "commas for blanks",
                "acme-gitlab",
                resigned("v1,AAAA,v1,{}"),
            ),
            (
                "half a signature",
                "acme-gitlab",
                with(right.clone(), "webhook-signature", &forms("v1,{}")[..20]),
            ),
            (
                "lower case",
                "acme-gitlab",
                with(
                    right.clone(),
                    "webhook-signature",
                    &forms("v1,{}").to_lowercase(),
                ),
            ),
            ("not text", "acme-gitlab", binary),
            (
                "a hash instead",
                "acme-gitlab",
                with(
                    right.clone(),
                    "webhook-signature",
                    "v1,47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                ),
            ),
            ("another webhook's signature", "other", right.clone()),
            (
                "another webhook's signature",
                "acme-gitlab",
                signed_at(other_key, "x", 0, &body),
            ),
            (
                "a signature of long ago",
                "acme-gitlab",
                signed_at(SIGNING_TOKEN, "old", -310, &body),
            ),
            (
                "a signature of yesterday",
                "acme-gitlab",
                signed_at(SIGNING_TOKEN, "older", -86_400, &body),
            ),
            (
                "a signature of the future",
                "acme-gitlab",
                signed_at(SIGNING_TOKEN, "new", 310, &body),
            ),
            ("no token", "plain", json.clone()),
            (
                "an empty token",
                "plain",
                with(json.clone(), "x-gitlab-token", ""),
            ),
            (
                "a wrong token",
                "plain",
                with(json.clone(), "x-gitlab-token", "canary-wrong"),
            ),
            (
                "half a token",
                "plain",
                with(json.clone(), "x-gitlab-token", &TOKEN[..8]),
            ),
            (
                "more than the token",
                "plain",
                with(json.clone(), "x-gitlab-token", &format!("{TOKEN}x")),
            ),
            (
                "two tokens",
                "plain",
                twice(token.clone(), "x-gitlab-token"),
            ),
            ("a right and a wrong token", "plain", {
                let mut headers = token.clone();
                headers.append("x-gitlab-token", HeaderValue::from_static("wrong"));
                headers
            }),
            ("a signature instead", "plain", right.clone()),
            (
                "the plain token where there is a signing one",
                "both",
                token.clone(),
            ),
            ("no secret in force, none given", "bare", json),
            ("no secret in force", "bare", token.clone()),
        ];
        for (case, webhook, headers) in refused {
            let answer = world
                .send(
                    Method::POST,
                    &format!("/hooks/{webhook}"),
                    headers,
                    body.clone(),
                )
                .await;
            assert_problem(&answer, 401, case);
        }
        // The signature is over the bytes as they came, before anybody reads them.
        for other in [
            format!("{body:?} "),
            String::from_utf8_lossy(&body).replace("\":", "\" :"),
            String::new(),
            "{".into(),
        ] {
            assert_problem(
                &world.post(right.clone(), other.clone()).await,
                401,
                "another body",
            );
        }
        assert_eq!(world.count("deliveries").await, 0);

        let accepted = [
            (
                "late by less than five minutes",
                "acme-gitlab",
                signed_at(SIGNING_TOKEN, "a", -290, &body),
            ),
            (
                "early by less than five minutes",
                "acme-gitlab",
                signed_at(SIGNING_TOKEN, "b", 290, &body),
            ),
            (
                "one of several signatures",
                "acme-gitlab",
                resigned("v1,AAAA v1a,BBBB v1,{} v2,CCCC"),
            ),
            ("the token", "plain", token.clone()),
            (
                "the signature where there is a token too",
                "both",
                signed_at(other_key, "c", 0, &body),
            ),
        ];
        for (case, webhook, headers) in accepted {
            let answer = world
                .send(
                    Method::POST,
                    &format!("/hooks/{webhook}"),
                    headers,
                    body.clone(),
                )
                .await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{case}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_other_refusal_is_a_problem_too() {
    run_with(receiving(), async |world| {
        let body = bytes(&comment_body(world, 900_001, "canary-text"));
        let right = signed("right", &body);
        for path in ["/hooks/unknown", "/hooks/acme-gitlab2", "/hooks/%FF", "/hooks/acme%00", "/hooks/%2e%2e%2fx"] {
            let answer = world.send(Method::POST, path, right.clone(), body.clone()).await;
            assert_problem(&answer, 404, path);
        }
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = world.send(method.clone(), HOOK, right.clone(), body.clone()).await;
            assert_problem(&answer, 405, method.as_str());
            assert_eq!(answer.headers["allow"], "POST");
        }
        for kind in [None, Some("application/x-www-form-urlencoded"), Some("text/plain"), Some("application/jsonp"), Some("")] {
            let headers = match kind {
                Some(kind) => with(right.clone(), "content-type", kind),
                None => without(right.clone(), "content-type"),
            };
            assert_problem(&world.post(headers, body.clone()).await, 415, &format!("{kind:?}"));
        }
        let truncated = body.slice(..body.len() - 1);
        for (case, wrong) in [
            ("broken", Bytes::from_static(b"{\"object_kind\": note}")),
            ("truncated", truncated),
            ("empty", Bytes::new()),
            ("blank", Bytes::from_static(b" \n")),
            ("two values", Bytes::from_static(b"{} {}")),
            ("not UTF-8", Bytes::from_static(b"{\"object_kind\":\"n\xffte\"}")),
            ("UTF-16", Bytes::from_static(b"\xff\xfe{\0}\0")),
            ("a byte order mark", Bytes::from_static(b"\xef\xbb\xbf{}")),
            ("a raw control character", Bytes::from_static(b"{\"a\":\"\x01\"}")),
            ("a raw NUL", Bytes::from_static(b"{\"a\":\"\x00\"}")),
            ("compressed", Bytes::from_static(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00")),
            ("a form", Bytes::from_static(b"payload=%7B%7D")),
        ] {
            let answer = world.post(with(signed(case, &wrong), "content-encoding", "gzip"), wrong.clone()).await;
            assert_problem(&answer, 400, case);
        }
        assert_eq!(world.count("deliveries").await, 0);
        for kind in ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json"] {
            let answer = world.post(with(signed(kind, &body), "content-type", kind), body.clone()).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{kind}");
        }
    })
    .await;
}

/// Returns headers as they are sent.
fn lines(headers: &HeaderMap) -> String {
    let mut lines = String::new();
    for (name, value) in headers {
        let _ = write!(lines, "{name}: {}\r\n", value.to_str().unwrap());
    }
    lines
}

#[tokio::test]
async fn refuses_more_than_25_mib_announced_or_not() {
    run_with(receiving(), async |world| {
        const LIMIT: usize = 25 << 20;
        // Only who shows a timely signature is listened to at all; whether it is right is seen once the body is here.
        let proof = lines(&signed("large", b""));
        let head = |length: &str| {
            format!("POST {HOOK} HTTP/1.1\r\nHost: liaison\r\n{proof}{length}\r\n\r\n")
        };
        // Announced: refused before a byte of it is sent.
        let answer = world
            .talk(head(&format!("Content-Length: {}", 26 << 20)).as_bytes())
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.contains("application/problem+json"),
            "{answer}"
        );
        let answer = world
            .talk(head("Content-Length: 18446744073709551615").as_bytes())
            .await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        // Unannounced: refused at the first byte too many, whether or not more would follow.
        let mut request = head("Transfer-Encoding: chunked").into_bytes();
        request.extend(format!("{:x}\r\n", LIMIT + 1).into_bytes());
        request.resize(request.len() + LIMIT + 1, b' ');
        let answer = world.talk(&request).await;
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.contains("application/problem+json"),
            "{answer}"
        );
        assert_eq!(world.count("deliveries").await, 0);

        // What is exactly as large as GitLab sends at most is taken.
        let mut body = bytes(&comment_body(world, 900_001, "Thanks.")).to_vec();
        body.resize(LIMIT, b' ');
        assert_eq!(
            world.post(signed("large", &body), body).await.status,
            StatusCode::ACCEPTED
        );
    })
    .await;
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_not_read_in_the_wrong_one() {
    run_with(receiving(), async |world| {
        let body = bytes(&comment_body(world, 900_001, "Thanks."));
        let proof = lines(&signed("right", &body));
        let length = body.len();
        let text = std::str::from_utf8(&body).unwrap();
        let chunked = format!("{length:x}\r\n{text}\r\n0\r\n\r\n");
        let request = |target: &str, more: &str, body: &str| {
            format!("POST {target} HTTP/1.1\r\nHost: liaison\r\nConnection: close\r\n{proof}{more}\r\n{body}")
        };
        for (case, more, body) in [
            ("two lengths", format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), text),
            ("a list of lengths", format!("Content-Length: {length}, 5\r\n"), text),
            ("a signed length", format!("Content-Length: +{length}\r\n"), text),
            ("a negative length", "Content-Length: -1\r\n".to_owned(), text),
            ("a coding nobody knows", "Transfer-Encoding: xchunked\r\n".to_owned(), chunked.as_str()),
            ("chunked not last", "Transfer-Encoding: chunked, identity\r\n".to_owned(), &chunked),
            ("a blank before the colon", format!("Content-Length : {length}\r\n"), text),
            ("a folded line", format!("Content-Length: {length}\r\n X-Folded: 1\r\n"), text),
            ("a NUL", format!("Content-Length: {length}\r\nX-A: a\0b\r\n"), text),
        ] {
            let answer = world.talk(request(HOOK, &more, body).as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{case}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), usize::from(!answer.is_empty()), "{case}: {answer}");
        }
        assert_eq!(world.count("deliveries").await, 0);
        // Both a length and chunks: the chunks count (RFC 9112, section 6.3), and nothing after them is a second request.
        let both = request(HOOK, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &format!("{chunked}POST {HOOK} HTTP/1.1\r\n\r\n"));
        let answer = world.talk(both.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert!(world.count("deliveries").await <= 1);
        // Absolute form means the path alone; the host in it is nobody's business.
        let absolute = format!("http://elsewhere.example{HOOK}");
        let answer = world.talk(request(&absolute, &format!("Content-Length: {length}\r\n"), text).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        assert_eq!(world.count("deliveries").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_rotated_secret_is_accepted_until_its_overlap_ends() {
    run_with(receiving(), async |world| {
        world
            .create_webhook("rotating", &[(SecretKind::Token, "first")])
            .await;
        let webhook = world.webhook("rotating").await;
        let body = bytes(&comment_body(world, 900_001, "Thanks."));
        let send = async |token: &str| {
            let headers = headers(&[
                ("content-type", "application/json"),
                ("x-gitlab-token", token),
            ]);
            world
                .send(Method::POST, "/hooks/rotating", headers, body.clone())
                .await
                .status
        };
        let rotate = async |end: DateTime<Utc>, kind: SecretKind, new: &str| {
            let mut tx = world.pool.begin().await.unwrap();
            webhook::end_secrets(&mut tx, webhook, end).await.unwrap();
            add_secret(&mut tx, webhook, (kind, new)).await;
            tx.commit().await.unwrap();
            world.announce().await;
        };
        assert_eq!(send("first").await, StatusCode::ACCEPTED);
        assert_eq!(send("second").await, StatusCode::UNAUTHORIZED);

        rotate(now() + TimeDelta::hours(1), SecretKind::Token, "second").await;
        until("the second is known", async || {
            send("second").await.is_success()
        })
        .await;
        assert!(send("first").await.is_success(), "both during the overlap");

        // A shorter overlap ends by the clock, without anybody announcing it.
        let end = now() + TimeDelta::milliseconds(1500);
        rotate(end, SecretKind::Token, "third").await;
        until("the third is known", async || {
            send("third").await.is_success()
        })
        .await;
        for old in ["first", "second"] {
            until("the old one is refused", async || {
                let refused = send(old).await == StatusCode::UNAUTHORIZED;
                assert!(!refused || now() >= end, "{old} was refused before its end");
                refused
            })
            .await;
        }
        assert!(send("third").await.is_success());

        // A signing token in place of a secret token ends the latter at once, whatever the overlap: there is no falling back.
        rotate(
            now() + TimeDelta::hours(1),
            SecretKind::Signing,
            SIGNING_TOKEN,
        )
        .await;
        until("the signing token is known", async || {
            let sent = world.send(
                Method::POST,
                "/hooks/rotating",
                signed("s", &body),
                body.clone(),
            );
            sent.await.status.is_success()
        })
        .await;
        assert_eq!(send("third").await, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn a_paused_or_deleted_webhook_is_gone_and_a_resumed_one_is_back() {
    run_with(receiving(), async |world| {
        world
            .create_webhook("plain", &[(SecretKind::Token, TOKEN)])
            .await;
        let body = bytes(&comment_body(world, 900_001, "Thanks."));
        let sent = headers(&[
            ("content-type", "application/json"),
            ("x-gitlab-token", TOKEN),
            ("idempotency-key", "x"),
        ]);
        let send = async || {
            world
                .send(Method::POST, "/hooks/plain", sent.clone(), body.clone())
                .await
        };
        world.set_webhook("plain", "paused", 410).await;
        assert_problem(&send().await, 410, "paused");
        world.set_webhook("plain", "active", 415).await;
        assert_eq!(send().await.status, StatusCode::ACCEPTED);
        world.set_webhook("plain", "deleted", 410).await;
        assert_problem(&send().await, 410, "deleted");
        assert_eq!(world.count("deliveries").await, 1, "its log stays");
        // A new webhook may take the name.
        world
            .create_webhook("plain", &[(SecretKind::Token, TOKEN)])
            .await;
        until("the new webhook is known", async || {
            send().await.status == StatusCode::ACCEPTED
        })
        .await;
    })
    .await;
}

// What is taken though it makes no sense --------------------------------------------------------------------------

#[tokio::test]
async fn a_body_of_an_unexpected_shape_is_explained_in_the_log_without_its_values() {
    run_with(with_dead_work(), async |world| {
        let good = comment_body(world, 900_001, "Thanks.");
        let text = good.to_string();
        let deep =
            |open: &str, close: &str| format!("{}0{}", open.repeat(100_000), close.repeat(100_000));
        let wide: Vec<_> = (0..1_000_000).map(|key| format!("\"{key}\":0")).collect();
        let replaced = |pointer: &str, json: &str| {
            let mut body = good.clone();
            *body.pointer_mut(pointer).unwrap() = json!("REPLACED");
            body.to_string().replace("\"REPLACED\"", json)
        };
        let place = |pointer: &str| pointer[1..].replace('/', ".");
        let mut cases: Vec<(String, String)> = vec![
            ("{}".into(), "neither object_kind nor event_name".into()),
            (
                r#"{"canary":"canary"}"#.into(),
                "neither object_kind nor event_name".into(),
            ),
            (
                r#"{"object_kind":null}"#.into(),
                "neither object_kind nor event_name".into(),
            ),
            (
                r#"{"object_kind":"push"}"#.into(),
                "push events are not used".into(),
            ),
            (r#"{"object_kind":7}"#.into(), "object_kind".into()),
            (
                r#"{"object_kind":"note","object_kind":"canary"}"#.into(),
                "not as documented".into(),
            ),
            (
                r#"{"object_kind":"\ud800 canary"}"#.into(),
                "object_kind".into(),
            ),
            (r#"{"object_kind":"note"}"#.into(), "missing field".into()),
            (deep("[", "]"), "not as documented".into()),
            (
                deep("{\"a\":", "}"),
                "neither object_kind nor event_name".into(),
            ),
            (
                format!("{{{}}}", wide.join(",")),
                "neither object_kind nor event_name".into(),
            ),
            (
                format!("{{\"{}\":0}}", "k".repeat(1 << 20)),
                "neither object_kind nor event_name".into(),
            ),
            (
                text.replacen('{', &format!("{{\"deep\":{},", deep("[", "]")), 1),
                "no commands".into(),
            ),
            (
                text.replacen('{', "{\"huge\":1e999999,", 1),
                "no commands".into(),
            ),
            (
                text.replacen('{', "{\"half\":\"\\udc00\",", 1),
                "no commands".into(),
            ),
        ];
        for json in [
            "[]",
            "[1,2]",
            "[null]",
            "5",
            "-0.0",
            "\"canary\"",
            "true",
            "null",
        ] {
            cases.push((json.to_owned(), "not as documented".into()));
        }
        let wrong_id = r#""canary, expected canary""#;
        for (pointer, json) in [
            ("/object_attributes/id", wrong_id),
            ("/object_attributes/id", "1e400"),
            ("/object_attributes/id", "-1e400"),
            ("/object_attributes/id", "123456789012345678901234567890"),
            ("/object_attributes/id", "9223372036854775808"),
            ("/object_attributes/id", "1.5"),
            ("/object_attributes/id", "null"),
            ("/object_attributes/note", "[\"canary\"]"),
            ("/object_attributes/note", r#""canary \ud800""#),
            ("/object_attributes/note", r#""canary \udc00\ud800""#),
            ("/object_attributes/system", wrong_id),
            ("/object_attributes/action", r#"{"canary":1}"#),
            ("/object_attributes/created_at", wrong_id),
            ("/object_attributes/updated_at", "1772359200"),
            (
                "/object_attributes/updated_at",
                r#""-250000-01-01 00:00:00 UTC""#,
            ),
            (
                "/object_attributes/updated_at",
                r#""+260000-01-01 00:00:00 UTC""#,
            ),
            ("/issue/title", r#""canary \ud83d""#),
            ("/issue/iid", "{}"),
            ("/issue/assignee_ids", wrong_id),
            ("/issue/confidential", "\"canary\""),
            ("/user/id", wrong_id),
            ("/user/username", r#""\udead""#),
            ("/user", wrong_id),
            ("/project/id", "true"),
        ] {
            cases.push((replaced(pointer, json), place(pointer)));
        }
        cases.push((
            replaced("/object_attributes/note", &deep("[", "]")),
            "object_attributes.note".into(),
        ));
        cases.push((
            replaced("/object_attributes", &deep("{\"id\":", "}")),
            "object_attributes.id".into(),
        ));
        let mut posted = Vec::new();
        for (number, (body, reason)) in cases.into_iter().enumerate() {
            let answer = world
                .post(
                    signed(&format!("case-{number}"), body.as_bytes()),
                    body.clone(),
                )
                .await;
            let start: String = body.chars().take(300).collect();
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{start}");
            posted.push((delivery_id(&answer), start, reason));
        }
        world.settled().await;
        for (id, start, reason) in posted {
            let (state, outcome, attempts) = world.state_of(id).await;
            assert!(state == "ignored" || state == "dead", "{start} is {state}");
            assert!(outcome.contains(&reason), "{start}: {outcome}");
            assert!(
                !outcome.contains("canary") && outcome.len() < 200,
                "{start}: {outcome}"
            );
            assert_eq!(attempts, 1, "{start}: trying again would not help");
        }
        let good = world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .await;
        assert_eq!(good, "- `add_contacts`: `ada@example.com` added");
    })
    .await;
}

#[tokio::test]
async fn what_postgres_cannot_hold_as_text_holds_nothing_up() {
    run_with(with_dead_work(), async |world| {
        let mut bodies: Vec<String> = [
            "/object_attributes/note", "/object_attributes/discussion_id", "/object_attributes/url", "/object_attributes/noteable_type",
            "/object_attributes/action", "/object_attributes/updated_at", "/issue/title", "/issue/state", "/user/username", "/user/name",
            "/project/path_with_namespace", "/event_type", "/object_kind",
        ]
        .into_iter()
        .zip(900_001..)
        .map(|(pointer, id)| {
            let mut body = comment_body(world, id, "/add_contacts ada@example.com gr\u{0}ce@example.com\n/contcts\u{0}x\n");
            let value = body.pointer_mut(pointer).unwrap();
            *value = format!("{}\u{0}", value.as_str().unwrap()).into();
            body.to_string()
        })
        .collect();
        for name in ["project_rename", "subgroup_create", "user_add_to_group", "canary\\u0000"] {
            bodies.push(format!(r#"{{"event_name":"{name}","user_id":1,"full_path":"a\u0000b","path_with_namespace":"a\u0000b"}}"#));
        }
        let mut posted = Vec::new();
        for body in bodies {
            assert!(body.contains("\\u0000"), "{body}");
            let answer = world.post(signed(&new_id(), body.as_bytes()), body.clone()).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{body}");
            posted.push((delivery_id(&answer), body));
        }
        world.settled().await;
        for (id, body) in posted {
            let (state, outcome, attempts) = world.state_of(id).await;
            assert!(state != "pending" && attempts == 1, "{body} is {state} after {attempts} attempts: {outcome}");
            assert!(!outcome.contains("database"), "{body}: {outcome}");
        }
        let good = world.ask(world.demo.form, world.demo.rita, "/add_contacts ada@example.com").await;
        assert_eq!(good, "- `add_contacts`: `ada@example.com` added");
    })
    .await;
}

#[tokio::test]
async fn a_comment_as_long_as_gitlab_takes_is_read_and_a_longer_one_is_not() {
    run(async |world| {
        let issue = world.demo.order;
        let command = "\n\n/add_contacts ada@example.com";
        let text = "Lorem ipsum. ".repeat(1_000_000 / 13 + 1);
        let text = format!("{}{command}", &text[..1_000_000 - command.len()]);
        assert_eq!(
            world.ask(issue, world.demo.rita, &text).await,
            "- `add_contacts`: `ada@example.com` added"
        );
        let longer = bytes(&comment_body(
            world,
            900_001,
            &format!("{}{command}", text.repeat(2)),
        ));
        let id = delivery_id(&world.post(signed("longer", &longer), longer).await);
        world.settled().await;
        let (state, outcome, _) = world.state_of(id).await;
        assert_eq!(
            (state.as_str(), outcome.contains("too long")),
            ("ignored", true),
            "{outcome}"
        );
    })
    .await;
}

#[tokio::test]
async fn of_ten_thousand_commands_in_a_comment_fifty_run_and_the_rest_is_said() {
    run(async |world| {
        let issue = world.demo.order;
        let text = "/add_contacts ada@example.com\n/remove_contacts ada@example.com\n".repeat(5_000);
        let answer = world.ask(issue, world.demo.rita, &text).await;
        assert!(answer.ends_with("- 9950 more commands were not run: a comment may hold 50. Put them into another comment."), "{answer}");
        assert_eq!(answer.lines().count(), 51);
        world.settled().await;
        assert_eq!((world.count("history").await, world.count("effects").await), (50, 2));
    })
    .await;
}

// Slow and many senders -------------------------------------------------------------------------------------------

/// Takes as long as the limits that it tests.
#[tokio::test]
async fn a_sender_that_is_slow_is_cut_off_and_the_others_are_served_meanwhile() {
    run_with(receiving(), async |world| {
        let world = &*world;
        let proof = lines(&signed("slow", b""));
        let head =
            format!("POST {HOOK} HTTP/1.1\r\nHost: liaison\r\n{proof}Content-Length: 100\r\n");
        let cut = async |sent: String| {
            let mut stream = world.connect().await;
            let begun = Instant::now();
            stream.write_all(sent.as_bytes()).await.unwrap();
            (read_all(&mut stream).await, begun.elapsed())
        };
        let heads = join_all((0..100).map(|_| cut(head.clone())));
        let idle = join_all((0..20).map(|_| cut(String::new())));
        let bodies = join_all((0..20).map(|_| cut(format!("{head}\r\n{{\"object_kind\":"))));
        // A byte now and then is no progress.
        let dripped = async {
            let mut stream = world.connect().await;
            let begun = Instant::now();
            stream.write_all(head.as_bytes()).await.unwrap();
            let (mut from, mut to) = stream.split();
            let drip = async {
                while to.write_all(b"X").await.is_ok() {
                    sleep(Duration::from_millis(500)).await;
                }
                std::future::pending::<()>().await;
            };
            let cut = async { read_all(&mut from).await };
            tokio::select! {
                () = drip => unreachable!(),
                _ = cut => begun.elapsed(),
            }
        };
        let others = async {
            for number in 0..50 {
                assert_eq!(
                    world
                        .post_plain(&format!("{number}"), 900_000 + number)
                        .await
                        .status,
                    StatusCode::ACCEPTED
                );
            }
        };
        let (heads, idle, bodies, dripped, ()) = tokio::join!(heads, idle, bodies, dripped, others);
        let about = |limit: u64, took: Duration| {
            assert!(
                (limit - 1..limit + 8).contains(&took.as_secs()),
                "cut after {took:?} instead of {limit} s"
            );
        };
        for (answer, took) in heads.into_iter().chain(idle) {
            about(5, took);
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
                "{answer}"
            );
        }
        about(5, dripped);
        // Who proves nothing is not waited for.
        let unproven = head.replace("webhook-signature", "x-signature");
        let (answer, took) = cut(format!("{unproven}\r\n{{\"object_kind\":")).await;
        assert!(
            answer.starts_with("HTTP/1.1 401 ") && took < Duration::from_secs(4),
            "{answer}"
        );
        for (answer, took) in bodies {
            about(30, took);
            assert!(
                answer.starts_with("HTTP/1.1 408 ") && answer.contains("application/problem+json"),
                "{answer}"
            );
        }
        assert_eq!(world.count("deliveries").await, 50);
    })
    .await;
}

#[tokio::test]
async fn more_connections_than_the_cap_wait_for_their_turn() {
    const CAP: usize = 3;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (active, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let leave = Arc::new(Semaphore::new(0));
    let work = {
        let (active, most, leave) = (Arc::clone(&active), Arc::clone(&most), Arc::clone(&leave));
        async move || {
            most.fetch_max(active.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            leave.acquire().await.unwrap().forget();
            active.fetch_sub(1, Ordering::SeqCst);
            "served"
        }
    };
    let stop = CancellationToken::new();
    let router = Router::new().route("/", post(work));
    let serving = spawn(server::serve(listener, router, CAP, stop.clone()));
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(
                b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            )
            .await
            .unwrap();
        waiting.push(stream);
    }
    for _ in 0..waiting.len() {
        leave.add_permits(1);
    }
    for stream in &mut waiting {
        let answer = read_all(stream).await;
        assert!(answer.ends_with("served"), "{answer}");
    }
    assert!((1..=CAP).contains(&most.load(Ordering::SeqCst)));
    stop.cancel();
    serving.await.unwrap();
}

// Postgres on a bad day -------------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections end at once.
    Cut,
    /// Connections stand and nothing comes through.
    Held,
}

/// A way to Postgres that a test can close.
struct Proxy {
    folder: TempDir,
    way: watch::Sender<Way>,
    stop: CancellationToken,
}

impl Proxy {
    fn to(socket_folder: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = ".s.PGSQL.5432";
        let (far, listener) = (
            socket_folder.join(name),
            UnixListener::bind(folder.path().join(name)).unwrap(),
        );
        let (way, stop) = (watch::Sender::new(Way::Open), CancellationToken::new());
        let (ways, stopping) = (way.subscribe(), stop.clone());
        drop(spawn(async move {
            let mut open = FuturesUnordered::new();
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    Some(()) = open.next() => {}
                    near = listener.accept() => open.push(carry(near.unwrap().0, far.clone(), ways.clone())),
                }
            }
        }));
        Self { folder, way, stop }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Carries everything between somebody and Postgres while the way is open.
async fn carry(
    mut near: impl AsyncRead + AsyncWrite + Unpin,
    far: PathBuf,
    mut way: watch::Receiver<Way>,
) {
    let mut far = UnixStream::connect(far).await.unwrap();
    let (mut up, mut down) = ([0; 16 << 10], [0; 16 << 10]);
    loop {
        match way.wait_for(|way| *way != Way::Held).await {
            Ok(way) if *way == Way::Open => {}
            _ => return,
        }
        let moved = tokio::select! {
            _ = way.changed() => continue,
            read = near.read(&mut up) => match read {
                Ok(length) if length > 0 => far.write_all(&up[..length]).await,
                _ => return,
            },
            read = far.read(&mut down) => match read {
                Ok(length) if length > 0 => near.write_all(&down[..length]).await,
                _ => return,
            },
        };
        if moved.is_err() {
            return;
        }
    }
}

impl World {
    /// Starts the service again so that it reaches Postgres through a proxy only; the test itself goes there directly.
    async fn behind_a_proxy(&mut self, roles: &[Role]) -> Proxy {
        self.stop_service().await;
        let options = self.pool.connect_options();
        let proxy = Proxy::to(options.get_socket().unwrap());
        let through = pool((*options).clone().socket(proxy.folder.path()));
        let direct = std::mem::replace(&mut self.pool, through);
        self.start_service(roles).await;
        self.pool = direct;
        proxy
    }

    /// Keeps everybody else from the table `deliveries` until the connection is dropped.
    async fn lock_deliveries(&self) -> PgConnection {
        let mut lock = PgConnection::connect_with(&self.pool.connect_options())
            .await
            .unwrap();
        lock.execute("BEGIN; LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        lock
    }

    /// Waits until so many statements wait for a lock.
    async fn blocked(&self, statements: i64) {
        until("statements wait", async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE NOT granted AND datname = current_database()",
            )
            .fetch_one(&self.pool)
            .await
            .unwrap();
            waiting >= statements
        })
        .await;
    }
}

/// Takes as long as a sender is kept waiting.
#[tokio::test]
async fn while_postgres_is_away_nothing_is_acknowledged_and_afterwards_everything_is_taken() {
    tokio::join!(away_and_back(Way::Cut), away_and_back(Way::Held));
}

async fn away_and_back(way: Way) {
    run(async |world| {
        let all = [Role::Receive, Role::Process, Role::Deliver, Role::Web];
        let proxy = world.behind_a_proxy(&all).await;
        let world = &*world;
        let issue = world.demo.order;
        assert_eq!(
            world.post_plain("before", 900_000).await.status,
            StatusCode::ACCEPTED
        );
        let body = world
            .unseen_comment(issue, world.demo.rita, "/add_contacts ada@example.com")
            .await;
        world.settled().await;

        proxy.way.send_replace(way);
        let ids: Vec<_> = (0..10).map(|number| format!("away-{number}")).collect();
        let answers = join_all(ids.iter().map(|id| world.post_plain(id, 900_000))).await;
        for answer in &answers {
            assert_problem(answer, 503, &format!("{way:?}"));
            assert!(
                answer.headers["retry-after"]
                    .to_str()
                    .unwrap()
                    .parse::<u32>()
                    .unwrap()
                    > 0
            );
        }
        proxy.way.send_replace(Way::Open);
        // Trackers do not send again by themselves: the very first delivery afterwards counts.
        let first = world.post(signed("asked", &body), body.clone()).await;
        assert_eq!(first.status, StatusCode::ACCEPTED);
        let again = join_all(ids.iter().map(|id| world.post_plain(id, 900_000))).await;
        // What was refused may have reached Postgres all the same; then it is there under this id.
        assert!(again.iter().all(|answer| answer.status.is_success()));
        world.settled().await;
        for answer in again.iter().chain([&first]) {
            let (state, outcome, _) = world.state_of(delivery_id(answer)).await;
            assert!(state == "ignored" || state == "done", "{state}: {outcome}");
        }
        assert_eq!(world.issue_contacts(issue).await, ["ada@example.com"]);
        assert_eq!(
            world.count("deliveries").await,
            13,
            "each once, and that of the bot's answer"
        );
    })
    .await;
}

#[tokio::test]
async fn a_short_failover_of_postgres_is_not_noticed_by_senders() {
    run_with(receiving(), async |world| {
        let proxy = world.behind_a_proxy(&[Role::Receive]).await;
        let world = &*world;
        // Fill the pool, so that there are connections to break.
        let posts = (0..20)
            .map(async |number| world.post_plain(&format!("a{number}"), number).await.status);
        assert!(
            join_all(posts)
                .await
                .into_iter()
                .all(|status| status == StatusCode::ACCEPTED)
        );
        proxy.way.send_replace(Way::Cut);
        let posts = join_all(
            (20..40)
                .map(async |number| world.post_plain(&format!("a{number}"), number).await.status),
        );
        let (statuses, ()) = tokio::join!(posts, async {
            sleep(Duration::from_millis(300)).await;
            proxy.way.send_replace(Way::Open);
        });
        assert_eq!(statuses, vec![StatusCode::ACCEPTED; 20]);
        assert_eq!(world.count("deliveries").await, 40);
    })
    .await;
}

/// Makes a webhook in an empty database.
async fn a_webhook(pool: &PgPool) -> (RootId, WebhookId) {
    let mut connection = pool.acquire().await.unwrap();
    connection
        .execute(
            "INSERT INTO connections (name, kind, url, bot_username, created_at) VALUES ('gitlab', 'gitlab', 'http://x', 'bot', now());
             INSERT INTO groups (root_id, id, path, name, contact_group_id, created_at) VALUES (1, 1, 'acme', 'Acme', 1, now());
             INSERT INTO webhooks (root_id, name, group_id, connection_id, created_at) VALUES (1, 'hook', 1, 1, now())",
        )
        .await
        .unwrap();
    webhook::find(&mut connection, "hook")
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn refuses_what_it_cannot_store_soon_and_stores_what_it_took() {
    let pool = pool(database().await);
    let scope = a_webhook(&pool).await;
    let (writer, tasks) = Writer::start(&pool, &Arc::new(Wake::new([]))).unwrap();
    let mut lock = PgConnection::connect_with(&pool.connect_options())
        .await
        .unwrap();
    lock.execute("BEGIN; LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    // More than one group and all that may wait behind it.
    let mut stores: FuturesUnordered<_> = (0..2500)
        .map(|_| writer.store(arrival(scope, 2), None).boxed())
        .collect();
    let refused = async |stores: &mut FuturesUnordered<_>| match stores.next().await {
        Some(Err(Problem::Unavailable)) => {}
        other => panic!("answered {other:?} while nothing can be stored"),
    };
    for _ in 0..2500 - 2048 - 256 {
        refused(&mut stores).await;
    }
    lock.execute("COMMIT").await.unwrap();
    let mut stored = HashSet::new();
    while let Some(answer) = stores.next().await {
        match answer {
            Ok(Stored::New(id)) => assert!(stored.insert(id)),
            Err(Problem::Unavailable) => {}
            other => panic!("{other:?}"),
        }
    }
    let rows: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM deliveries")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(
        rows.into_iter().map(DeliveryId).collect::<HashSet<_>>(),
        stored
    );
    assert!((2048..=2304).contains(&stored.len()), "{}", stored.len());
    assert!(writer.store(arrival(scope, 2), None).await.is_ok());
    drop(stores);
    drop(writer);
    tasks.wait().await;
    pool.close().await;
}

#[tokio::test]
async fn repeats_leave_no_bodies_and_do_not_mix_up_those_of_others() {
    let pool = pool(database().await);
    let scope = a_webhook(&pool).await;
    let with_body = |n: u8| Arrival {
        dedupe_key: [n; 16],
        sent: Sent::new(
            &json!({}),
            format!("{{\"n\": {n}, \"same\": \"{}\"}}", "x".repeat(500)).as_bytes(),
        ),
        ..arrival(scope, 1)
    };
    let first: Vec<_> = (1..=3).map(with_body).collect();
    let second: Vec<_> = (0..=5).map(with_body).collect();
    arrive(&pool, &first).await;
    let stored = arrive(&pool, &second).await;
    let is_new = |stored: &Stored| matches!(stored, Stored::New(_));
    assert_eq!(
        stored.iter().map(is_new).collect::<Vec<_>>(),
        [true, false, false, false, true, true]
    );
    let again: Vec<_> = (2..=4).map(with_body).collect();
    assert!(!arrive(&pool, &again).await.iter().any(is_new));
    let blocks: i64 = sqlx::query_scalar("SELECT count(*) FROM delivery_blocks")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(blocks, 2, "one for each group that brought something");
    let new = [&first[..], &second[..1], &second[4..]].concat();
    let mut sent: Vec<_> = new
        .iter()
        .map(|arrival| (arrival.id, arrival.sent.bytes()[2..].to_vec()))
        .collect();
    sent.sort_unstable_by_key(|(id, _)| id.0);
    assert_eq!(bodies(&pool).await, sent);
}

#[tokio::test]
async fn a_block_of_bodies_stays_as_long_as_one_of_its_deliveries() {
    let pool = pool(database().await);
    let scope = a_webhook(&pool).await;
    let group: Vec<_> = (0..4).map(|_| arrival(scope, 1)).collect();
    arrive(&pool, &group).await;
    let stored = bodies(&pool).await;
    let (last, others) = stored.split_last().unwrap();
    for (settled, left) in [(others, std::slice::from_ref(last)), (&stored[3..], &[])] {
        let ids: Vec<Uuid> = settled.iter().map(|(id, _)| id.0).collect();
        sqlx::query("UPDATE deliveries SET state = 'done', settled_at = now() WHERE id = ANY($1)")
            .bind(ids)
            .execute(&pool)
            .await
            .unwrap();
        queue::prune(&pool, now() + TimeDelta::seconds(5))
            .await
            .unwrap();
        assert_eq!(bodies(&pool).await, left);
        let blocks: i64 = sqlx::query_scalar("SELECT count(*) FROM delivery_blocks")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(blocks, i64::from(!left.is_empty()));
    }
}

#[tokio::test]
async fn bodies_from_before_there_were_blocks_are_kept() {
    let pool = pool(database().await);
    pool.execute(
        "DROP TABLE delivery_blocks;
         ALTER TABLE deliveries DROP COLUMN block_id, DROP COLUMN block_from, DROP COLUMN headers_size, DROP COLUMN body_size,
             ADD COLUMN headers text NOT NULL, ADD COLUMN body bytea NOT NULL;
         ALTER TABLE deliveries ALTER COLUMN body SET COMPRESSION lz4, ALTER COLUMN body SET STORAGE MAIN,
             ALTER COLUMN dedupe_key TYPE bytea USING decode(replace(dedupe_key::text, '-', ''), 'hex');
         INSERT INTO deliveries (root_id, id, webhook_id, lane, dedupe_key, received_at, headers, body)
         SELECT 1, ('00000000-0000-0000-0000-00000000000' || n)::uuid, 1, 1, decode(repeat('0' || n, 16), 'hex'), now(), '{}', convert_to(repeat('x', n * 1000), 'UTF8')
         FROM generate_series(0, 3) AS n",
    )
    .await
    .unwrap();
    let blocks = include_str!("../../migrations/20261128000010_delivery_blocks.sql");
    pool.execute(blocks).await.unwrap();
    let stored = bodies(&pool).await;
    let lengths: Vec<usize> = stored.iter().map(|(_, body)| body.len()).collect();
    assert_eq!(lengths, [0, 1000, 2000, 3000]);
    assert!(
        stored
            .iter()
            .all(|(_, body)| body.iter().all(|&byte| byte == b'x'))
    );
}

#[tokio::test]
async fn deliveries_that_come_together_are_committed_together() {
    run_with(receiving(), async |world| {
        const COUNT: u64 = 200;
        let mut lock = world.lock_deliveries().await;
        let world = &*world;
        let posts =
            (0..COUNT).map(async |number| world.post_plain(&format!("n-{number}"), number).await);
        let release = async {
            world.blocked(1).await;
            lock.execute("COMMIT").await.unwrap();
        };
        let (answers, ()) = tokio::join!(join_all(posts), release);
        assert!(
            answers
                .iter()
                .all(|answer| answer.status == StatusCode::ACCEPTED)
        );
        let ids: HashSet<_> = answers.iter().map(|answer| delivery_id(answer).0).collect();
        let rows: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM deliveries")
            .fetch_all(&world.pool)
            .await
            .unwrap();
        assert_eq!(ids.len() as u64, COUNT);
        assert_eq!(rows.into_iter().collect::<HashSet<_>>(), ids);
        // Nobody touches the rows here, so that each still names the transaction that brought it.
        let commits = world
            .count("(SELECT DISTINCT xmin::text FROM deliveries) AS commits")
            .await;
        assert!(commits < 100, "{commits} commits for {COUNT} deliveries");
    })
    .await;
}

#[tokio::test]
async fn a_row_that_postgres_refuses_does_not_fail_the_rows_beside_it() {
    run_with(receiving(), async |world| {
        let world = &*world;
        let body = |number: u64| {
            let text = if number == 120 { "Unwanted!" } else { "Thanks." };
            bytes(&comment_body(world, number, text))
        };
        let refuse = format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.body_size = {} THEN RAISE EXCEPTION 'canary'; END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION refuse()",
            body(120).len()
        );
        world.pool.execute(AssertSqlSafe(refuse)).await.unwrap();
        let mut lock = world.lock_deliveries().await;
        let post = async |number: u64| {
            let body = body(number);
            world.post(signed(&format!("n-{number}"), &body), body).await
        };
        let posts = (100..140).map(post);
        let release = async {
            world.blocked(1).await;
            lock.execute("COMMIT").await.unwrap();
        };
        let (answers, ()) = tokio::join!(join_all(posts), release);
        for (number, answer) in (100..).zip(&answers) {
            if number == 120 {
                assert_problem(answer, 503, "the unwanted one");
            } else {
                assert_eq!(answer.status, StatusCode::ACCEPTED, "{number}");
            }
        }
        assert_eq!(world.count("deliveries").await, 39);
        let commits = world.count("(SELECT DISTINCT xmin::text FROM deliveries) AS commits").await;
        assert!(commits > 2, "they were one group, which had to be split");
        world.pool.execute("DROP TRIGGER refuse ON deliveries").await.unwrap();
        assert_eq!(post(120).await.status, StatusCode::ACCEPTED);
    })
    .await;
}

#[tokio::test]
async fn a_comment_from_before_its_project_was_renamed_is_acted_on() {
    run(async |world| {
        let issue = world.demo.order;
        let body = world
            .unseen_comment(issue, world.demo.rita, "/add_contacts ada@example.com")
            .await;
        world.sandbox.rename_project(world.demo.desk, "help");
        assert_eq!(
            world.post(signed("late", &body), body).await.status,
            StatusCode::ACCEPTED
        );
        world.settled().await;
        assert_eq!(world.issue_contacts(issue).await, ["ada@example.com"]);
    })
    .await;
}

// Order -----------------------------------------------------------------------------------------------------------

/// Fifty comments of one issue, each of which makes sense only after the one before.
async fn alternate(world: &World, fault: impl Fn(usize)) {
    let issue = world.demo.order;
    let asked: Vec<u64> = (0..50)
        .map(|number| {
            fault(number);
            let command = if number % 2 == 0 { "add" } else { "remove" };
            let text = format!("/{command}_contacts ada@example.com");
            world
                .sandbox
                .comment(issue, world.demo.rita, &text)
                .unwrap()
        })
        .collect();
    world.settled().await;
    let actions: Vec<String> = sqlx::query_scalar("SELECT action FROM history ORDER BY id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(actions, ["item_related", "item_unrelated"].repeat(25));
    let threads: Vec<String> = world
        .bot_notes(issue)
        .into_iter()
        .map(|note| note.discussion_id)
        .collect();
    let expected: Vec<String> = world.sandbox.read(|state| {
        asked
            .iter()
            .map(|note| state.note(*note).unwrap().discussion_id.clone())
            .collect()
    });
    assert_eq!(threads, expected, "answered in the order of asking");
}

#[tokio::test]
async fn deliveries_of_one_issue_are_worked_in_order() {
    run(async |world| alternate(world, |_| {}).await).await;
}

#[tokio::test]
async fn a_delivery_that_is_tried_again_keeps_its_place_before_the_later_ones() {
    let setup = Setup {
        config: "[queue]\nretry_seconds = [0]\nattempts = 100\n[access]\ncache_seconds = 0\n",
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let world = &*world;
        alternate(world, |number| {
            if number % 10 == 0 {
                let refused = Fault::status(StatusCode::INTERNAL_SERVER_ERROR, "500");
                world.sandbox.fail(Method::GET, "/api/v4/", 4, refused);
            }
        })
        .await;
        let again = world.count("deliveries WHERE attempts > 1").await;
        assert!(again > 0, "nothing was tried again");
    })
    .await;
}

// Secrets ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn no_secret_reaches_the_database_in_the_clear_and_neither_secrets_nor_addresses_reach_the_log()
 {
    run_with(with_dead_work(), async |world| {
        let issue = world.demo.order;
        world.create_webhook("plain", &[(SecretKind::Token, TOKEN)]).await;
        let body = bytes(&comment_body(world, 900_001, "/crm create_contact canary-a@example.com Canary A"));
        let right = headers(&[("content-type", "application/json"), ("x-gitlab-token", TOKEN)]);
        let wrong = with(right.clone(), "x-gitlab-token", "canary-wrong-token");
        let post = async |headers: HeaderMap, body: Bytes| {
            world.send(Method::POST, "/hooks/plain", headers, body).await.status
        };
        assert_eq!(post(right.clone(), body.clone()).await, StatusCode::ACCEPTED);
        assert_eq!(post(wrong, body.clone()).await, StatusCode::UNAUTHORIZED);
        let unsigned = with(signed("x", &body), "webhook-signature", "v1,Y2FuYXJ5LXNpZ25hdHVyZQ==");
        assert_eq!(world.post(unsigned, body).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(post(right.clone(), Bytes::from_static(b"{\"canary-b@example.com")).await, StatusCode::BAD_REQUEST);
        let odd = Bytes::from_static(br#"{"object_kind":"note","user":"canary-c@example.com","token":"canary"}"#);
        assert_eq!(post(right, odd).await, StatusCode::ACCEPTED);

        let answered = |status: StatusCode| Fault::status(status, "canary-d@example.com");
        for fault in [answered(StatusCode::UNAUTHORIZED), answered(StatusCode::INTERNAL_SERVER_ERROR), Fault::ForgedJson, Fault::DropConnection] {
            world.sandbox.fail(Method::GET, "/api/v4/", 1, fault.clone());
            world.sandbox.fail(Method::POST, "/api/v4/", 1, fault);
        }
        for command in [
            "/create_contact canary-e@example.com Canary E", "/add_contacts canary-e@example.com canary-f@example.com", "/crm contacts",
            "/create_contact canary-e@example.com Canary E", "/create_contact canary-g@example.com", "/undo", "@liaison canary-h@example.com",
        ] {
            world.sandbox.comment(issue, world.demo.mona, command).unwrap();
        }
        world.settled().await;
        assert!(world.count("history").await > 0 && world.count("effects WHERE attempts > 0").await > 10, "there was a story to tell");

        let tables: Vec<String> = sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").fetch_all(&world.pool).await.unwrap();
        assert!(tables.len() > 10);
        let hex = |text: &str| {
            text.bytes().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        };
        for table in tables {
            for secret in [BOT_TOKEN, SIGNING_TOKEN, TOKEN, SEALING_KEY, "canary-wrong-token"] {
                let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
                    "SELECT count(*) FROM {table} AS kept WHERE strpos(kept::text, $1) + strpos(kept::text, $2) > 0"
                )))
                .bind(secret)
                .bind(hex(secret))
                .fetch_one(&world.pool)
                .await
                .unwrap();
                assert_eq!(rows, 0, "{table} holds {secret}");
            }
        }
        let log = recorded_log();
        assert!(log.contains("a delivery was refused") && log.contains("to be tried again"), "the log was recorded");
        for secret in [BOT_TOKEN, SIGNING_TOKEN, TOKEN, SEALING_KEY, "canary-", "Canary "] {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in the log");
        }
        for secret in [SIGNING_TOKEN, TOKEN, BOT_TOKEN] {
            assert!(!format!("{:?}", world.config).contains(secret), "{secret} when the configuration is printed");
        }
    })
    .await;
}

/// Returns an arrival that nobody sent.
fn arrival((root, webhook): (RootId, WebhookId), lane: i64) -> Arrival {
    let clock = SystemClock::default();
    let id = clock.id();
    Arrival {
        id: DeliveryId(id),
        root,
        webhook,
        connection: liaison::domain::ConnectionId(1),
        lane: Lane(lane),
        dedupe_key: *id.as_bytes(),
        received_at: clock.now(),
        sent: Sent::new(&json!({}), b"{}"),
    }
}
