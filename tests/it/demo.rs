//! `liaison demo`: what somebody sees who just downloaded the program.

use std::{fs, path::Path, time::Duration};

use http::{Method, StatusCode};
use liaison::egress::{Call, Egress, Limits};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::{
    harness::{PATIENCE, headers},
    program::{Running, program, reachable_folder},
};

/// Returns the first address of a text that comes after some words.
fn address_after(text: &str, words: &str) -> Url {
    let (_, rest) = text.split_once(words).unwrap();
    let start = rest.find("http://").unwrap();
    let address = rest[start..].split_whitespace().next().unwrap();
    address.parse().unwrap()
}

/// A demo of the built program.
pub(crate) struct RunningDemo {
    /// The program.
    pub(crate) program: Running,
    /// The sandbox tracker.
    pub(crate) tracker: Url,
    /// The sandbox messenger.
    pub(crate) messenger: Url,
    /// The service.
    pub(crate) service: Url,
    /// Mona's token for the API.
    pub(crate) token: String,
}

impl RunningDemo {
    /// Starts the program in a folder, whose `tmp` is where it keeps what it needs, and waits until it is ready.
    pub(crate) async fn start(folder: &Path) -> Self {
        let temporary = folder.join("tmp");
        fs::create_dir(&temporary).unwrap();
        let told = folder.join("told");
        let mut command = program(folder, &["demo", "--listen", "127.0.0.1:0"]);
        command.env("TMPDIR", &temporary);
        command.stdout(fs::File::create(&told).unwrap());
        command.stderr(fs::File::create(folder.join("log")).unwrap());
        let begun = Instant::now();
        let mut program = Running::start(&mut command);
        let greeting = loop {
            let text = fs::read_to_string(&told).unwrap();
            if text.contains("Ctrl-C ends all of it") {
                break text;
            }
            let log = || fs::read_to_string(folder.join("log")).unwrap();
            assert!(
                program.ended().is_none() && begun.elapsed() < PATIENCE,
                "{text}{}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let token = greeting
            .split_once("PRIVATE-TOKEN: ")
            .and_then(|(_, rest)| rest.split('\'').next());
        Self {
            tracker: address_after(&greeting, "Open the sandbox tracker"),
            messenger: address_after(&greeting, "Open the sandbox messenger"),
            service: address_after(&greeting, "The service itself is at"),
            token: token.unwrap().to_owned(),
            program,
        }
    }
}

#[tokio::test]
async fn the_demo_answers_a_comment_and_leaves_nothing_behind() {
    let folder = reachable_folder();
    let temporary = folder.path().join("tmp");
    let mut demo = RunningDemo::start(folder.path()).await;
    let (tracker, service) = (demo.tracker.clone(), demo.service.clone());
    assert_ne!(tracker.port(), service.port());
    let egress = Egress::new([&tracker, &service], Limits::default()).unwrap();
    let get = async |base: &Url, path: &str| {
        let call = Call::new(Method::GET, base.join(path).unwrap());
        let answer = egress.send(call).await.unwrap();
        (
            answer.status,
            String::from_utf8(answer.body.to_vec()).unwrap(),
        )
    };

    for path in ["/-/liveness", "/-/readiness"] {
        assert_eq!(get(&service, path).await.0, StatusCode::OK, "{path}");
    }
    // Metrics are the administrator's, who has no port here.
    assert_eq!(get(&service, "/-/metrics").await.0, StatusCode::NOT_FOUND);
    let (status, page) = get(&tracker, "/").await;
    assert!(status.is_success() && page.contains("<html"), "{page}");
    for asset in ["page.css", "page.js", "markdown.js", "icon.svg"] {
        let (status, _) = get(&tracker, &format!("/sandbox/{asset}")).await;
        assert_eq!(status, StatusCode::OK, "{asset}");
    }

    let state: Value = serde_json::from_str(&get(&tracker, "/sandbox/state").await.1).unwrap();
    let people = state["people"].as_array().unwrap();
    let rita = people.iter().find(|one| one["username"] == "rita").unwrap();
    let (rita, issue) = (&rita["id"], &state["issue"]["id"]);
    let mut call = Call::new(Method::POST, tracker.join("/sandbox/comment").unwrap());
    call.headers = headers(&[("content-type", "application/json")]);
    let text = "/add_contacts ada@example.com otto@example.net";
    let comment = json!({ "issue": issue, "as": rita, "body": text });
    call.body = comment.to_string().into();
    let posted = Instant::now();
    let answer = egress.send(call).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    let note: Value = serde_json::from_slice(&answer.body).unwrap();
    let view = format!("/sandbox/state?as={rita}&issue={issue}");
    loop {
        let state: Value = serde_json::from_str(&get(&tracker, &view).await.1).unwrap();
        let notes = state["issue"]["notes"].as_array().unwrap();
        let asked = notes.iter().find(|one| one["id"] == note["note"]).unwrap();
        let answer = notes.iter().find(|one| {
            one["discussion"] == asked["discussion"] && one["author"]["username"] == "liaison"
        });
        if let Some(answer) = answer.filter(|_| asked["awards"] != json!([])) {
            let body = answer["body"].as_str().unwrap();
            let expected =
                "- `add_contacts`: `ada@example.com` added · `otto@example.net` inactive";
            assert!(body.starts_with(expected), "{body}");
            break;
        }
        // A promise to people who watch, with room for a machine that is busy with other tests.
        assert!(posted.elapsed() < Duration::from_secs(5), "{state:#}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("answered after {:?}", posted.elapsed());

    // The deal's chat: who is added there observes, as a command in it tells.
    let messenger = demo.messenger.clone();
    let egress_there = Egress::new([&messenger], Limits::default()).unwrap();
    let look = async |as_whom: &str| -> Value {
        let url = messenger.join(&format!("/sandbox/state?as={as_whom}"));
        let call = Call::new(Method::GET, url.unwrap());
        serde_json::from_slice(&egress_there.send(call).await.unwrap().body).unwrap()
    };
    let act = async |what: &str, deed: Value| {
        let url = messenger.join(&format!("/sandbox/{what}")).unwrap();
        let mut call = Call::new(Method::POST, url);
        call.headers = headers(&[("content-type", "application/json")]);
        call.body = deed.to_string().into();
        let answer = egress_there.send(call).await.unwrap();
        assert_eq!(answer.body, "{}", "{what}");
    };
    let (mona, rita) = ("@mona:sandbox", "@rita:sandbox");
    let begun = Instant::now();
    let until = async |done: fn(&Value) -> bool| loop {
        let state = look(mona).await;
        if done(&state) {
            break state;
        }
        assert!(begun.elapsed() < PATIENCE, "{state:#}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let state = until(|state| {
        let members = state["room"]["members"].as_array();
        members.is_some_and(|members| members.len() == 3)
    })
    .await;
    let room = &state["room"]["id"];
    assert_eq!(state["room"]["name"], "Replacement chairs for Ada Byron");
    act("add", json!({ "as": mona, "room": room, "who": rita })).await;
    // Until Liaison has heard of Rita, it answers without her.
    let said = |event: &Value| {
        let text = event["text"].as_str().unwrap_or_default();
        text.contains("`mona` is responsible") && text.contains("`rita`")
    };
    loop {
        act(
            "say",
            json!({ "as": mona, "room": room, "text": "!crm observers" }),
        )
        .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let state = look(mona).await;
        let events = state["room"]["events"].as_array();
        if events.is_some_and(|events| events.iter().any(said)) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{state:#}");
    }
    println!("chatted after {:?}", begun.elapsed());

    let mut call = Call::new(Method::POST, service.join("/api/graphql").unwrap());
    call.headers = headers(&[
        ("content-type", "application/json"),
        ("private-token", demo.token.as_str()),
    ]);
    let query = "{ group(fullPath: \"acme\") { contacts { nodes { email } } } }";
    call.body = json!({ "query": query }).to_string().into();
    let answer = egress.send(call).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let contacts = &answer["data"]["group"]["contacts"]["nodes"];
    assert_eq!(contacts.as_array().unwrap().len(), 6, "{answer}");

    // A page that is open, with its stream of events, does not keep the demo from ending.
    let open = Call::new(Method::GET, tracker.join("/sandbox/events").unwrap());
    let (_, status) = tokio::join!(egress.send(open), async {
        demo.program.signal(Signal::INT);
        demo.program.end().await
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(folder.path().join("log")).unwrap(), "");
}

#[tokio::test]
async fn a_demo_that_is_given_up_while_it_starts_leaves_nothing_behind() {
    let folder = reachable_folder();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = program(folder.path(), &["demo", "--listen", "127.0.0.1:0"]);
    command.env("TMPDIR", &temporary);
    command.stdout(std::process::Stdio::null());
    let mut demo = Running::start(&mut command);
    let begun = Instant::now();
    while fs::read_dir(&temporary).unwrap().count() == 0 {
        assert!(demo.ended().is_none() && begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    demo.signal(Signal::INT);
    assert_eq!(demo.end().await.code(), Some(0));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}
