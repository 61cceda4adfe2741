use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State as Shared,
    routing::post,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::mpsc;
use tower::ServiceExt;
use url::Url;

use crate::sandbox::{
    Demo, Fault, HookOwner, Level, NewHook, NewUser, Pace, Place, Refusal, Sandbox, State,
};

const TOKEN: &str = "glpat-bot";
const PATIENCE: Duration = Duration::from_secs(5);

fn demo() -> (Sandbox, Demo) {
    let sandbox = Sandbox::new("http://gitlab.example".parse().unwrap());
    let demo = sandbox.seed_demo(TOKEN).unwrap();
    (sandbox, demo)
}

fn request(method: &str, path: &str, body: &Value) -> Request<Body> {
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    Request::builder()
        .method(method)
        .uri(format!("/api/v4{path}"))
        .header("PRIVATE-TOKEN", TOKEN)
        .header("Content-Type", "application/json")
        .body(body)
        .unwrap()
}

async fn send(sandbox: &Sandbox, request: Request<Body>) -> Response<Body> {
    sandbox.router().oneshot(request).await.unwrap()
}

async fn call(sandbox: &Sandbox, method: &str, path: &str, body: Value) -> (u16, Value) {
    let answer = send(sandbox, request(method, path, &body)).await;
    let status = answer.status().as_u16();
    let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn get(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    call(sandbox, "GET", path, Value::Null).await
}

/// Serves an endpoint that passes on what it receives and answers 202.
async fn receiver() -> (Url, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    type Sender = mpsc::UnboundedSender<(HeaderMap, Bytes)>;
    async fn take(Shared(sender): Shared<Sender>, headers: HeaderMap, body: Bytes) -> StatusCode {
        match sender.send((headers, body)) {
            Ok(()) => StatusCode::ACCEPTED,
            Err(_) => StatusCode::GONE,
        }
    }
    let (sender, received) = mpsc::unbounded_channel();
    let app = Router::new().route("/hook", post(take)).with_state(sender);
    (serve(app, "/hook").await, received)
}

#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
async fn serve(app: Router, path: &str) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}{path}").parse().unwrap()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

/// Reads every path and compares the status and one value of the body.
async fn check_reads<const N: usize>(sandbox: &Sandbox, cases: [(String, u16, &str, Value); N]) {
    for (path, status, pointer, value) in cases {
        let (got, body) = get(sandbox, &path).await;
        assert_eq!(got, status, "{path}: {body}");
        let found = body.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, value, "{path}: {body}");
    }
}

#[tokio::test]
async fn answers_reads_of_people_and_the_tree() {
    let (sandbox, demo) = demo();
    let Demo {
        desk, gus, acme, ..
    } = demo;
    let path = |rest: &str| rest.to_owned();
    let (projects, support) = (format!("/groups/{acme}/projects"), "acme/support");
    let no = |what: &str| json!(format!("404 {what}Not Found"));
    let cases = [
        (path("/user"), 200, "/username", json!("liaison")),
        (format!("/users/{gus}"), 200, "/bot", json!(false)),
        (path("/users/999"), 404, "/message", no("User ")),
        (path("/users?username=GUS"), 200, "/0/id", json!(gus)),
        (path("/users?username=nobody"), 200, "/0", Value::Null),
        (
            path("/projects/acme%2Fsupport%2Fdesk"),
            200,
            "/namespace/full_path",
            json!(support),
        ),
        (
            format!("/projects/{desk}"),
            200,
            "/namespace/kind",
            json!("group"),
        ),
        (path("/projects/999"), 404, "/message", no("Project ")),
        (
            path("/groups/acme%2Fsupport"),
            200,
            "/parent_id",
            json!(acme),
        ),
        (path("/groups/nope"), 404, "/message", no("Group ")),
        (path("/groups"), 200, "/1/full_path", json!(support)),
        (path("/groups?top_level_only=true"), 200, "/1", Value::Null),
        (path("/groups?min_access_level=50"), 200, "/0", Value::Null),
        (
            format!("/groups/{acme}/subgroups"),
            200,
            "/0/full_path",
            json!(support),
        ),
        (projects.clone(), 200, "/1", Value::Null),
        (
            format!("{projects}?include_subgroups=true"),
            200,
            "/1/path",
            json!("website"),
        ),
        (
            format!("/projects/{desk}/members/all/{gus}"),
            200,
            "/access_level",
            json!(10),
        ),
        (path("/nothing"), 404, "/error", no("")),
    ];
    check_reads(&sandbox, cases).await;
    let stranger = format!("/groups/{acme}/members/all/{}", demo.stranger);
    check_reads(&sandbox, [(stranger, 404, "/message", no(""))]).await;
}

#[tokio::test]
async fn answers_reads_of_issues_page_by_page() {
    let (sandbox, demo) = demo();
    let issues = format!("/projects/{}/issues", demo.desk);
    let notes = format!("{issues}/1/notes");
    let author = "/0/author/username";
    let no = |what: &str| json!(format!("404 {what}Not Found"));
    let cases = [
        (format!("{issues}/2"), 200, "/confidential", json!(true)),
        (format!("{issues}/9"), 404, "/message", no("")),
        (
            format!("{notes}?sort=asc&per_page=1&page=2"),
            200,
            author,
            json!("rita"),
        ),
        (format!("{notes}?per_page=1"), 200, author, json!("dan")),
        (
            format!("{notes}?order_by=updated_at&sort=asc"),
            200,
            author,
            json!("gus"),
        ),
        (format!("{notes}/999"), 404, "/message", no("Note ")),
        (
            format!("{issues}/1/discussions"),
            200,
            "/0/individual_note",
            json!(false),
        ),
    ];
    check_reads(&sandbox, cases).await;
    for (page, next) in [(1, "2"), (2, "3"), (3, "")] {
        let path = format!("{notes}?per_page=1&page={page}");
        let answer = send(&sandbox, request("GET", &path, &Value::Null)).await;
        assert_eq!(text(answer.headers(), "x-next-page"), next);
        assert_eq!(text(answer.headers(), "x-total"), "3");
    }
}

#[tokio::test]
async fn asks_for_a_token_in_either_header_and_logs_every_call() {
    let (sandbox, demo) = demo();
    for (name, value, status) in [
        ("PRIVATE-TOKEN", TOKEN, 200),
        ("Authorization", "Bearer glpat-bot", 200),
        ("Authorization", "Basic glpat-bot", 401),
        ("PRIVATE-TOKEN", "wrong", 401),
    ] {
        let request = Request::get("/api/v4/user?x=1")
            .header(name, value)
            .header("X-Gitlab-Event-UUID", "chain")
            .body(Body::empty())
            .unwrap();
        assert_eq!(
            send(&sandbox, request).await.status(),
            status,
            "{name}: {value}"
        );
    }
    let calls = sandbox.calls();
    let users: Vec<_> = calls.iter().map(|call| call.user).collect();
    assert_eq!(users, [Some(demo.liaison), Some(demo.liaison), None, None]);
    assert_eq!(calls[0].path, "/api/v4/user?x=1");
    assert_eq!(calls[0].chain.as_deref(), Some("chain"));
}

#[tokio::test]
async fn posts_replies_edits_and_reacts() {
    let (sandbox, demo) = demo();
    let notes = format!("/projects/{}/issues/1/notes", demo.desk);
    let (status, note) = call(
        &sandbox,
        "POST",
        &notes,
        json!({ "body": "Hi", "internal": true }),
    )
    .await;
    assert_eq!(
        (status, &note["internal"], &note["type"]),
        (201, &json!(true), &Value::Null)
    );
    let id = note["id"].as_u64().unwrap();
    let thread = sandbox.read(|state| state.note(id).unwrap().discussion_id.clone());
    let discussion = format!("/projects/{}/issues/1/discussions/{thread}", demo.desk);

    let (status, reply) = call(
        &sandbox,
        "POST",
        &format!("{discussion}/notes"),
        json!({ "body": "Yes" }),
    )
    .await;
    assert_eq!((status, &reply["type"]), (201, &json!("DiscussionNote")));
    assert_eq!(
        reply["internal"], true,
        "an answer in an internal thread is internal"
    );
    let (status, both) = get(&sandbox, &discussion).await;
    assert_eq!((status, both["notes"].as_array().unwrap().len()), (200, 2));
    assert_eq!(both["individual_note"], false);

    let own = format!("{notes}/{id}");
    let (status, edited) = call(&sandbox, "PUT", &own, json!({ "body": "Hello" })).await;
    assert_eq!((status, &edited["body"]), (200, &json!("Hello")));

    let award = format!("{own}/award_emoji?name=eyes");
    let (status, given) = call(&sandbox, "POST", &award, Value::Null).await;
    assert_eq!((status, &given["name"]), (201, &json!("eyes")));
    let again = call(&sandbox, "POST", &award, Value::Null).await;
    let taken = json!({ "message": "404 Award Emoji Name has already been taken Not Found" });
    assert_eq!(again, (404, taken));
    let (_, listed) = get(&sandbox, &format!("{own}/award_emoji")).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let (status, _) = call(&sandbox, "POST", &notes, json!({})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn refuses_what_a_level_does_not_allow() {
    let (sandbox, demo) = demo();
    let absent = Err(Refusal::NotFound(""));
    assert_eq!(sandbox.comment(demo.order, demo.stranger, "x"), absent);
    assert_eq!(sandbox.comment(demo.incident, demo.gus, "x"), absent);
    assert!(sandbox.comment(demo.form, demo.stranger, "public").is_ok());
    let internal = sandbox.comment_internal(demo.order, demo.gus, "x");
    assert_eq!(internal, Err(Refusal::Forbidden));
    let note = sandbox
        .comment_internal(demo.order, demo.rita, "x")
        .unwrap();
    assert_eq!(
        sandbox.edit_comment(note, demo.dan, "y"),
        Err(Refusal::Forbidden)
    );
    assert_eq!(
        sandbox.edit_comment(note, demo.gus, "y"),
        Err(Refusal::NotFound("Note "))
    );
    assert_eq!(sandbox.edit_comment(note, demo.mona, "y"), Ok(()));

    sandbox.set_eats_native_commands(true);
    let commands = sandbox.comment(demo.order, demo.rita, "/add_contacts a@example.com");
    assert_eq!(commands, Err(Refusal::CommandsOnly));
    let pace = Pace {
        notes: 1,
        window: PATIENCE,
    };
    sandbox.set_pace(Some(pace));
    assert!(sandbox.comment(demo.order, demo.rita, "one").is_ok());
    assert_eq!(
        sandbox.comment(demo.order, demo.rita, "two"),
        Err(Refusal::Throttled)
    );
}

#[test]
fn levels_are_inherited_and_the_highest_counts() {
    let (sandbox, demo) = demo();
    let user = sandbox.create_user(NewUser::default());
    let level = |place| sandbox.read(|state| state.level(place, user));
    let (desk, website) = (Place::Project(demo.desk), Place::Project(demo.website));
    let (acme, support) = (Place::Group(demo.acme), Place::Group(demo.support));
    sandbox.set_member(support, user, Level::Reporter);
    assert_eq!([level(desk), level(website)], [Some(Level::Reporter), None]);
    sandbox.set_member(acme, user, Level::Guest);
    assert_eq!(
        [level(desk), level(website)],
        [Some(Level::Reporter), Some(Level::Guest)]
    );
    sandbox.set_member(desk, user, Level::Owner);
    assert_eq!(
        [level(desk), level(support)],
        [Some(Level::Owner), Some(Level::Reporter)]
    );
    sandbox.remove_member(support, user);
    assert_eq!(level(support), Some(Level::Guest));
    sandbox.transfer_project(demo.desk, demo.acme);
    let path = sandbox.read(|state| {
        state
            .project(demo.desk)
            .unwrap()
            .path_with_namespace
            .clone()
    });
    assert_eq!(path, "acme/desk");
    sandbox.rename_group(demo.acme, "apex");
    let path = sandbox.read(|state| state.group(demo.support).unwrap().full_path.clone());
    assert_eq!(path, "apex/support");
}

const KEY: [u8; 32] = [7; 32];

/// Creates a hook with both secrets through the API and returns its address there and what it receives.
async fn signed_hook(
    sandbox: &Sandbox,
    group: u64,
) -> (String, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    let (url, received) = receiver().await;
    let hooks = format!("/groups/{group}/hooks");
    let settings = json!({
        "url": url.as_str(),
        "token": "s3cret",
        "signing_token": format!("whsec_{}", BASE64_STANDARD.encode(KEY)),
        "note_events": true,
        "confidential_note_events": true,
    });
    let (status, hook) = call(sandbox, "POST", &hooks, settings).await;
    assert_eq!(
        (status, &hook["signing_token_present"]),
        (201, &json!(true))
    );
    assert!(hook.get("token").is_none() && hook.get("signing_token").is_none());
    (format!("{hooks}/{}", hook["id"]), received)
}

/// Checks the headers of a request, its signature by an independent computation, and returns its body.
fn verified(headers: &HeaderMap, body: &Bytes, event: &str) -> Value {
    assert_eq!(text(headers, "content-type"), "application/json");
    assert_eq!(text(headers, "user-agent"), "GitLab/19.1.0");
    assert_eq!(text(headers, "x-gitlab-event"), event);
    assert_eq!(text(headers, "x-gitlab-token"), "s3cret");
    assert_eq!(text(headers, "x-gitlab-instance"), "http://gitlab.example");
    let (id, at) = (
        text(headers, "webhook-id"),
        text(headers, "webhook-timestamp"),
    );
    assert_eq!(id, text(headers, "idempotency-key"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(&[id.as_bytes(), b".", at.as_bytes(), b".", body].concat());
    let expected = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(text(headers, "webhook-signature"), format!("v1,{expected}"));
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn sends_signed_note_hooks_in_order() {
    let (sandbox, demo) = demo();
    let (_, mut received) = signed_hook(&sandbox, demo.acme).await;
    let note = sandbox
        .comment(demo.order, demo.rita, "/add_contacts a@example.com")
        .unwrap();
    sandbox
        .edit_comment(note, demo.mona, "/add_contacts b@example.com")
        .unwrap();
    sandbox.comment(demo.incident, demo.dan, "secret").unwrap();
    let mut bodies = Vec::new();
    for event in ["Note Hook", "Note Hook", "Confidential Note Hook"] {
        let (headers, body) = received.recv().await.unwrap();
        bodies.push(verified(&headers, &body, event));
    }
    for (body, pointer, value) in [
        (0, "/object_attributes/action", json!("create")),
        (
            0,
            "/object_attributes/note",
            json!("/add_contacts a@example.com"),
        ),
        (1, "/object_attributes/action", json!("update")),
        (1, "/object_attributes/author_id", json!(demo.rita)),
        (1, "/object_kind", json!("note")),
        (1, "/user/username", json!("mona")),
        (
            1,
            "/project/path_with_namespace",
            json!("acme/support/desk"),
        ),
        (2, "/event_type", json!("confidential_note")),
        (2, "/issue/customer_relations_contacts", json!([])),
    ] {
        assert_eq!(
            bodies[body].pointer(pointer),
            Some(&value),
            "{body} {pointer}"
        );
    }
    let attributes = &bodies[0]["object_attributes"];
    assert_eq!(attributes["discussion_id"].as_str().unwrap().len(), 40);
    let url = format!("http://gitlab.example/acme/support/desk/-/issues/1#note_{note}");
    assert_eq!(attributes["url"], url);
}

#[tokio::test]
async fn lists_what_was_sent_and_sends_it_again() {
    let (sandbox, demo) = demo();
    let (hook, mut received) = signed_hook(&sandbox, demo.acme).await;
    sandbox.comment(demo.form, demo.gus, "hello").unwrap();
    received.recv().await.unwrap();
    let logged = |state: &State| state.hook_log().next().map(|entry| entry.id);
    let entry = sandbox.wait_for(logged, PATIENCE).await.unwrap();
    let (_, events) = get(&sandbox, &format!("{hook}/events?status=successful")).await;
    assert_eq!(events[0]["response_status"], "202");
    assert_eq!(events[0]["request_headers"]["X-Gitlab-Token"], "[REDACTED]");
    assert_eq!(
        events[0]["request_data"]["object_attributes"]["note"],
        "hello"
    );
    let resend = format!("{hook}/events/{entry}/resend");
    assert_eq!(call(&sandbox, "POST", &resend, Value::Null).await.0, 201);
    let (headers, body) = received.recv().await.unwrap();
    verified(&headers, &body, "Note Hook");
    let kept = &events[0]["request_headers"]["Idempotency-Key"];
    assert_eq!(text(&headers, "idempotency-key"), kept);

    let id = sandbox.read(|state| state.hook_log().next().unwrap().hook);
    let (headers, body) = sandbox.signed_delivery(id, body).unwrap();
    verified(&headers, &body, "Note Hook");
    assert!(sandbox.signed_delivery(id + 1, body).is_none());
    sandbox.shutdown().await;
    let never = sandbox
        .wait_for(|_| None::<()>, Duration::from_millis(1))
        .await;
    assert_eq!(never, None);
}

#[tokio::test]
async fn tells_hooks_of_members_groups_projects_and_issues() {
    let (sandbox, demo) = demo();
    let (url, mut received) = receiver().await;
    let group = NewHook::to(url.clone());
    sandbox
        .create_hook(HookOwner::Group(demo.acme), group)
        .unwrap();
    let group = |path: &str| crate::sandbox::NewGroup {
        id: None,
        parent: Some(demo.support),
        path: path.into(),
        name: path.into(),
        visibility: crate::sandbox::Visibility::Private,
    };
    sandbox.set_member(Place::Group(demo.support), demo.gus, Level::Developer);
    sandbox.set_member(Place::Group(demo.support), demo.gus, Level::Reporter);
    sandbox.remove_member(Place::Group(demo.support), demo.gus);
    sandbox.create_group(group("night"));
    sandbox.set_confidential(demo.order, demo.mona, true);
    for (header, pointer, value) in [
        ("Member Hook", "/event_name", "user_add_to_group"),
        ("Member Hook", "/group_access", "Reporter"),
        ("Member Hook", "/event_name", "user_remove_from_group"),
        ("Subgroup Hook", "/full_path", "acme/support/night"),
        (
            "Confidential Issue Hook",
            "/object_attributes/action",
            "update",
        ),
    ] {
        let (headers, body) = received.recv().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(text(&headers, "x-gitlab-event"), header, "{body}");
        assert_eq!(body.pointer(pointer).unwrap(), value, "{body}");
    }
    sandbox
        .create_hook(HookOwner::System, NewHook::to(url))
        .unwrap();
    sandbox.transfer_project(demo.website, demo.support);
    let (headers, body) = received.recv().await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(text(&headers, "x-gitlab-event"), "System Hook");
    assert_eq!(body["old_path_with_namespace"], "acme/website");
}

#[tokio::test]
async fn lists_below_a_group_come_in_pages() {
    let (sandbox, demo) = demo();
    let groups = format!("/groups/{}/descendant_groups", demo.acme);
    let (status, refused) = get(&sandbox, &format!("{groups}?pagination=keyset")).await;
    assert_eq!(status, 405, "{refused}");
    let (_, groups) = get(&sandbox, &groups).await;
    assert_eq!(groups[0]["full_path"], "acme/support");
    let mut query = "include_subgroups=true&per_page=1&pagination=keyset&order_by=id".to_owned();
    let mut seen = Vec::new();
    loop {
        let path = format!("/groups/{}/projects?{query}", demo.acme);
        let answer = send(&sandbox, request("GET", &path, &Value::Null)).await;
        let link = text(answer.headers(), "link").to_owned();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let page: Value = serde_json::from_slice(&bytes).unwrap();
        seen.push(page[0]["id"].as_u64().unwrap());
        match link
            .split_once('?')
            .and_then(|(_, rest)| rest.split_once('>'))
        {
            Some((next, _)) => query = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, [demo.desk, demo.website]);
}

#[tokio::test]
async fn what_is_destroyed_is_told_to_groups_and_to_the_instance() {
    let (sandbox, demo) = demo();
    let (url, mut received) = receiver().await;
    for owner in [HookOwner::Group(demo.acme), HookOwner::System] {
        sandbox
            .create_hook(owner, NewHook::to(url.clone()))
            .unwrap();
    }
    sandbox.destroy_group(demo.support);
    let mut told = Vec::new();
    for _ in 0..4 {
        let (headers, body) = received.recv().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let event = body["event_name"].as_str().unwrap().to_owned();
        told.push((text(&headers, "x-gitlab-event").to_owned(), event));
    }
    told.sort();
    let expected = [
        ("Project Hook", "project_destroy"),
        ("Subgroup Hook", "subgroup_destroy"),
        ("System Hook", "group_destroy"),
        ("System Hook", "project_destroy"),
    ];
    assert_eq!(
        told,
        expected.map(|(header, event)| (header.to_owned(), event.to_owned()))
    );
    assert_eq!(
        get(&sandbox, &format!("/projects/{}", demo.desk)).await.0,
        404
    );
    assert_eq!(get(&sandbox, "/groups/acme%2Fsupport").await.0, 404);
}

#[tokio::test]
async fn a_changed_address_drops_the_token_and_failures_are_logged() {
    let (sandbox, demo) = demo();
    let hooks = format!("/projects/{}/hooks", demo.desk);
    let settings = json!({ "url": "http://127.0.0.1:9/a", "token": "x", "note_events": "true" });
    let (_, hook) = call(&sandbox, "POST", &hooks, settings).await;
    assert_eq!(hook["push_events"], true, "on unless switched off");
    let id = hook["id"].as_u64().unwrap();
    let own = format!("{hooks}/{id}");
    let (status, _) = call(
        &sandbox,
        "PUT",
        &own,
        json!({ "url": "http://127.0.0.1:9/b" }),
    )
    .await;
    assert_eq!(status, 200);
    assert!(sandbox.read(|state| state.hook(id).unwrap().token.is_none()));
    let bad = json!({ "signing_token": "whsec_c2hvcnQ=" });
    assert_eq!(call(&sandbox, "PUT", &own, bad).await.0, 400);

    let (status, _) = call(
        &sandbox,
        "POST",
        &format!("{own}/test/note_events"),
        Value::Null,
    )
    .await;
    assert_eq!(status, 201);
    let failed = |state: &State| state.hook_log().next().map(|log| log.status);
    assert_eq!(sandbox.wait_for(failed, PATIENCE).await, Some(None));
    let (_, events) = get(&sandbox, &format!("{own}/events?status=server_failure")).await;
    assert_eq!(events[0]["response_status"], "internal error");
    assert_eq!(call(&sandbox, "DELETE", &own, Value::Null).await.0, 204);
    assert_eq!(get(&sandbox, &own).await.0, 404);
}

#[tokio::test]
async fn an_api_comment_carries_its_chain_on() {
    let (sandbox, demo) = demo();
    let (url, mut received) = receiver().await;
    sandbox
        .create_hook(HookOwner::Project(demo.desk), NewHook::to(url))
        .unwrap();
    let path = format!("/projects/{}/issues/1/notes", demo.desk);
    let mut post = request("POST", &path, &json!({ "body": "from the bot" }));
    post.headers_mut()
        .insert("x-gitlab-event-uuid", "chain-1".parse().unwrap());
    assert_eq!(send(&sandbox, post).await.status(), 201);
    let (headers, _) = received.recv().await.unwrap();
    assert_eq!(text(&headers, "x-gitlab-event-uuid"), "chain-1");
}

#[tokio::test]
async fn faults_meet_the_calls_they_are_for() {
    let (sandbox, _) = demo();
    let everything = "/api/v4/";
    for (fault, status) in [
        (
            Fault::status(
                StatusCode::INTERNAL_SERVER_ERROR,
                "500 Internal Server Error",
            ),
            500,
        ),
        (Fault::throttled(Duration::from_secs(3)), 429),
        (Fault::bad_gateway(), 502),
        (Fault::ForgedJson, 200),
    ] {
        sandbox.fail(Method::GET, everything, 1, fault);
        assert_eq!(get(&sandbox, "/user").await.0, status);
        assert_eq!(
            get(&sandbox, "/user").await.1["username"],
            "liaison",
            "used up"
        );
    }
    sandbox.fail(Method::GET, everything, 1, Fault::HugeBody(200_000));
    let huge = send(&sandbox, request("GET", "/user", &Value::Null)).await;
    assert_eq!(
        to_bytes(huge.into_body(), usize::MAX).await.unwrap().len(),
        200_000
    );
    sandbox.fail(Method::GET, everything, 1, Fault::Drip(Duration::ZERO));
    assert_eq!(get(&sandbox, "/user").await.1["username"], "liaison");
    sandbox.fail(Method::POST, everything, 1, Fault::DropConnection);
    assert_eq!(
        get(&sandbox, "/user").await.0,
        200,
        "another method is not met"
    );
}

#[tokio::test]
async fn a_cut_connection_brings_no_answer_at_all() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (sandbox, demo) = demo();
    let url = serve(sandbox.router(), "/").await;
    let path = format!("/api/v4/projects/{}/issues/1/notes", demo.desk);
    for (fault, posted) in [(Fault::AnswerLost, 1), (Fault::DropConnection, 0)] {
        let before = sandbox.notes(demo.order).len();
        sandbox.fail(Method::POST, &path, 1, fault);
        let mut socket = tokio::net::TcpStream::connect(url.socket_addrs(|| None).unwrap()[0])
            .await
            .unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nprivate-token: {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: 13\r\n\r\n{{\"body\":\"hi\"}}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(
            read.is_err() || answer.is_empty(),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert_eq!(sandbox.notes(demo.order).len() - before, posted);
    }
}

#[tokio::test]
async fn the_page_takes_writes_from_itself_only() {
    let (sandbox, demo) = demo();
    let body = json!({ "issue": demo.order, "as": demo.rita, "body": "hello" }).to_string();
    for (site, kind, status) in [
        (Some("same-origin"), "application/json", 200),
        (None, "application/json", 200),
        (Some("cross-site"), "application/json", 403),
        (Some("same-site"), "application/json", 403),
        (None, "text/plain", 403),
    ] {
        let mut request = Request::post("/sandbox/comment").header("Content-Type", kind);
        if let Some(site) = site {
            request = request.header("Sec-Fetch-Site", site);
        }
        let answer = send(&sandbox, request.body(Body::from(body.clone())).unwrap()).await;
        assert_eq!(answer.status(), status, "{site:?} {kind}");
    }
    for path in ["/", "/acme/website/-/issues/1"] {
        let answer = send(&sandbox, Request::get(path).body(Body::empty()).unwrap()).await;
        let policy = text(answer.headers(), "content-security-policy");
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
    }
    let path = format!("/sandbox/state?as={}&issue={}", demo.gus, demo.incident);
    let answer = send(&sandbox, Request::get(path).body(Body::empty()).unwrap()).await;
    let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let state: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(state["issue"]["readable"], false);
    assert_eq!(
        state["issue"]["notes"],
        json!([]),
        "a Guest sees nothing of it"
    );
}

#[tokio::test]
async fn a_moved_issue_is_opened_there_closed_here_and_found_through_graphql() {
    let (sandbox, demo) = demo();
    let (url, mut received) = receiver().await;
    sandbox
        .create_hook(HookOwner::Group(demo.acme), NewHook::to(url))
        .unwrap();
    let moved = sandbox.move_issue(demo.order, demo.rita, demo.website);
    for (issue, action, moved_to) in [
        (moved, "open", Value::Null),
        (demo.order, "close", json!(moved)),
    ] {
        let (_, body) = received.recv().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let attributes = &body["object_attributes"];
        assert_eq!(attributes["id"], issue, "{body}");
        assert_eq!(attributes["action"], action);
        assert_eq!(attributes["moved_to_id"], moved_to);
        assert!(attributes.get("service_desk_reply_to").is_none());
    }
    let ask = async |id: u64| {
        let variables = json!({ "id": format!("gid://gitlab/Issue/{id}") });
        let mut question = request("POST", "", &json!({ "query": "…", "variables": variables }));
        *question.uri_mut() = "/api/graphql".parse().unwrap();
        let answer = send(&sandbox, question).await;
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["data"]["issue"].clone()
    };
    let old = ask(demo.order).await;
    assert_eq!(old["moved"], true);
    assert_eq!(old["movedTo"]["projectId"], demo.website);
    assert_eq!(ask(moved).await["moved"], false);
    assert_eq!(ask(4_000).await, Value::Null);
    // Whoever does not see where it went learns that it went.
    sandbox.remove_member(Place::Group(demo.acme), demo.liaison);
    sandbox.set_member(Place::Project(demo.desk), demo.liaison, Level::Reporter);
    sandbox.set_confidential(moved, demo.mona, true);
    assert_eq!(
        ask(demo.order).await,
        json!({ "moved": true, "movedTo": null })
    );
}
