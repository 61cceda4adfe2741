//! What a homeserver tells, from its own transactions to durable deliveries.

use std::{io::Write, sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use liaison::{
    app::{Parts, Role},
    config::{self, Config, Overrides},
    connector::{
        matrix::{decode, service_id},
        messenger::Calls,
    },
    crypto::SealingKey,
    domain::{ChatEvent, Heard, SystemClock},
    egress::{Answer, Call, Egress, Limits},
    intake::MAX_BODY,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{chat, made};
use crate::{
    harness::{self, SEALING_KEY, bodies, headers},
    synapse::{self, Homeserver, Service, until},
};

/// The receiver for one application service, on a database of its own.
struct Station {
    pool: PgPool,
    config: Config,
    registered: Service,
    running: Option<liaison::app::Service>,
    egress: Egress,
}

impl Station {
    async fn start(homeserver: &Homeserver) -> Self {
        let registered = homeserver.service();
        let mut station = Self {
            pool: harness::pool(harness::database().await),
            config: configuration(homeserver, &registered),
            egress: Egress::new([&registered.url], Limits::default()).unwrap(),
            registered,
            running: None,
        };
        station.open().await;
        station
    }

    async fn open(&mut self) {
        let parts = Parts {
            pool: self.pool.clone(),
            key: Arc::new(SealingKey::from_base64(&SEALING_KEY.into()).unwrap()),
            clock: Arc::new(SystemClock::default()),
            listener: self.registered.listener().await,
            admin: None,
            roles: vec![Role::Receive],
            demo: false,
        };
        let started = liaison::app::Service::start(&self.config, parts).await;
        self.running = Some(started.unwrap());
    }

    async fn close(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    async fn end(mut self) {
        self.close().await;
        self.pool.close().await;
    }

    /// Sends a request as the homeserver would.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<bytes::Bytes>,
    ) -> Answer {
        let mut call = Call::new(method, self.registered.url.join(path).unwrap());
        call.headers = headers;
        call.body = body.into();
        self.egress.send(call).await.unwrap()
    }

    fn proof(&self) -> HeaderMap {
        let bearer = format!("Bearer {}", self.registered.hs_token);
        headers(&[
            ("authorization", &bearer),
            ("content-type", "application/json"),
        ])
    }

    async fn transaction(&self, id: &str, body: impl Into<bytes::Bytes>) -> Answer {
        let path = format!("/_matrix/app/v1/transactions/{id}");
        self.send(Method::PUT, &path, self.proof(), body).await
    }

    /// What was stored, in the order of arrival.
    async fn stored(&self) -> Vec<Value> {
        let bodies = bodies(&self.pool).await;
        let read = |(_, body): &(_, Vec<u8>)| serde_json::from_slice(body).unwrap();
        bodies.iter().map(read).collect()
    }

    /// The texts of the messages that were stored, in the order of arrival.
    async fn texts(&self) -> Vec<String> {
        let stored = self.stored().await;
        let texts = stored
            .iter()
            .filter(|event| event["type"] == "m.room.message");
        texts
            .map(|event| {
                event["content"]["body"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    }
}

fn configuration(homeserver: &Homeserver, registered: &Service) -> Config {
    let Service {
        connection,
        bot,
        as_token,
        hs_token,
        url,
        ..
    } = registered;
    let listen = url.socket_addrs(|| None).unwrap()[0];
    let text = format!(
        r#"
[server]
listen = "{listen}"
public_url = "{url}"
[secrets]
key = "{SEALING_KEY}"
[[connection]]
name = "{connection}"
kind = "matrix"
url = "{base}"
token = "{as_token}"
bot = "{bot}"
[[group]]
path = "acme"
name = "Acme"
[[group.webhook]]
name = "acme-matrix"
connection = "{connection}"
secret = "{hs_token}"
"#,
        base = homeserver.base,
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let overrides = Overrides {
        file: Some(file.path().to_owned()),
        ..Overrides::default()
    };
    config::load(&overrides).unwrap()
}

fn event(id: &str, room: &str, text: &str) -> Value {
    json!({
        "type": "m.room.message", "event_id": id, "room_id": room, "sender": "@ann:hs.test",
        "content": { "msgtype": "m.text", "body": text },
    })
}

fn code(answer: &Answer) -> (StatusCode, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    (
        answer.status,
        body["errcode"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn the_homeserver_proves_itself_with_its_token() {
    let homeserver = synapse::joining().await;
    let station = Station::start(homeserver).await;
    let token = station.registered.hs_token.clone();
    let (bearer, wrong) = (format!("Bearer {token}"), format!("Bearer {token}x"));
    let body = json!({ "events": [event("$1", "!r", "hello")] }).to_string();
    let base = "/_matrix/app/v1/transactions/1";
    let json = ("content-type", "application/json");
    let forbidden = (StatusCode::FORBIDDEN, "M_FORBIDDEN".to_owned());
    for (query, given) in [
        (String::new(), vec![json]),
        (String::new(), vec![json, ("authorization", wrong.as_str())]),
        (String::new(), vec![json, ("authorization", "Bearer ")]),
        (String::new(), vec![json, ("authorization", token.as_str())]),
        (String::new(), vec![json, ("authorization", "Basic eDp5")]),
        (format!("?access_token={token}x"), vec![json]),
        (
            format!("?access_token={token}&access_token={token}"),
            vec![json],
        ),
        // Both must agree, whichever of them is right.
        (
            format!("?access_token={token}x"),
            vec![json, ("authorization", bearer.as_str())],
        ),
        (
            format!("?access_token={token}"),
            vec![json, ("authorization", wrong.as_str())],
        ),
    ] {
        let answer = station
            .send(
                Method::PUT,
                &format!("{base}{query}"),
                headers(&given),
                body.clone(),
            )
            .await;
        assert_eq!(code(&answer), forbidden, "{query} {given:?}");
    }
    let mut twice = headers(&[json]);
    for value in [&bearer, &bearer] {
        twice.append("authorization", value.parse().unwrap());
    }
    let answer = station.send(Method::PUT, base, twice, body.clone()).await;
    assert_eq!(code(&answer), forbidden, "a header that stands there twice");
    for (method, path) in [
        (Method::POST, "/_matrix/app/v1/ping"),
        (Method::GET, "/_matrix/app/v1/users/@x:hs.test"),
        (Method::GET, "/_matrix/app/v1/rooms/%23x:hs.test"),
    ] {
        let answer = station.send(method, path, headers(&[json]), "{}").await;
        assert_eq!(code(&answer), forbidden, "{path}");
    }
    assert_eq!(station.stored().await, [Value::Null; 0]);

    // The legacy form, and both.
    for (id, query, given) in [
        ("1", format!("?access_token={token}"), vec![json]),
        (
            "2",
            format!("?access_token={token}"),
            vec![json, ("authorization", bearer.as_str())],
        ),
    ] {
        let path = format!("/_matrix/app/v1/transactions/{id}{query}");
        let answer = station
            .send(Method::PUT, &path, headers(&given), body.clone())
            .await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (StatusCode::OK, &b"{}"[..])
        );
    }
    let answer = station
        .send(
            Method::PUT,
            "/transactions/3",
            station.proof(),
            "{\"events\":[]}",
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK, "the path of old homeservers");
    assert_eq!(station.stored().await.len(), 1);
    for path in [
        "/_matrix/app/v1/users/@x:hs.test",
        "/_matrix/app/v1/rooms/%23x:hs.test",
    ] {
        let answer = station.send(Method::GET, path, station.proof(), "").await;
        assert_eq!(
            code(&answer),
            (StatusCode::NOT_FOUND, "M_NOT_FOUND".to_owned())
        );
    }
    station.end().await;
    let log = harness::recorded_log();
    assert!(!log.contains(&token), "the log shows the token");
}

#[tokio::test]
async fn a_transaction_is_taken_once_and_what_is_broken_in_it_keeps_nothing_else() {
    let homeserver = synapse::joining().await;
    let station = Station::start(homeserver).await;
    let broken = [
        json!(5),
        json!("text"),
        json!(null),
        json!({ "type": "m.room.message" }),
        json!({ "event_id": 7, "room_id": "!q" }),
        json!({ "event_id": "$x\u{0}", "room_id": "!r\u{0}", "content": { "body": "\u{0}" } }),
    ];
    let mut events = vec![event("$a", "!r", "first"), event("$b", "!s", "other room")];
    events.extend(broken);
    events.push(event("$c", "!r", "last"));
    let mut body = json!({ "events": events, "ephemeral": [{}], "to_device": 3 }).to_string();
    // What JSON can hold and Rust's text cannot, and more levels than anybody reads.
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    body = body.replacen(
        "\"events\":[",
        &format!(r#""events":[{{"event_id":"$deep","room_id":"!r","type":"m.room.message","content":{deep}}},{{"event_id":"\ud800"}},"#),
        1,
    );
    for _ in 0..2 {
        let answer = station.transaction("7", body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM deliveries")
        .fetch_one(&station.pool)
        .await
        .unwrap();
    assert_eq!(count, 11);
    // The ids of transactions begin anew with the homeserver's database: that alone makes no repeat, and another id no new event.
    let other = json!({ "events": [event("$a", "!r", "first"), event("$d", "!r", "new")] });
    let answer = station.transaction("7", other.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let stored = bodies(&station.pool).await.into_iter();
    let in_room = stored.filter(|(_, body)| String::from_utf8_lossy(body).contains("\"!r\""));
    let in_room: Vec<Uuid> = in_room.map(|(id, _)| id.0).collect();
    let lanes: i64 =
        sqlx::query_scalar("SELECT count(DISTINCT lane) FROM deliveries WHERE id = ANY($1)")
            .bind(in_room)
            .fetch_one(&station.pool)
            .await
            .unwrap();
    assert_eq!(lanes, 1, "what happens in a room is worked in order");
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM deliveries")
        .fetch_one(&station.pool)
        .await
        .unwrap();
    assert_eq!(count, 12);

    for (body, expected) in [
        (b"".to_vec(), "M_NOT_JSON"),
        (b"{".to_vec(), "M_NOT_JSON"),
        (b"{\"events\":{}}".to_vec(), "M_NOT_JSON"),
        (b"{\"events\":[\"\xff\"]}".to_vec(), "M_NOT_JSON"),
    ] {
        let answer = station.transaction("8", body).await;
        assert_eq!(
            code(&answer),
            (StatusCode::BAD_REQUEST, expected.to_owned())
        );
    }
    let many = json!({ "events": vec![json!({}); 1001] }).to_string();
    let answer = station.transaction("9", many).await;
    assert_eq!(
        code(&answer),
        (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE".to_owned())
    );
    let answer = station.transaction("10", vec![b' '; MAX_BODY + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut text = station.proof();
    text.insert("content-type", "text/plain".parse().unwrap());
    let answer = station
        .send(Method::PUT, "/_matrix/app/v1/transactions/11", text, "{}")
        .await;
    assert_eq!(
        code(&answer),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "M_NOT_JSON".to_owned())
    );
    let answer = station.transaction("%ff", "{}").await;
    assert_eq!(answer.status, StatusCode::OK, "an id is only a word");
    station.end().await;
}

#[tokio::test]
async fn events_arrive_in_order_though_nobody_was_there_for_ten_seconds() {
    let homeserver = synapse::joining().await;
    let mut station = Station::start(homeserver).await;
    let client = homeserver.client(&station.registered);
    let ann = homeserver.user("ann").await;
    let members = [ann.id.clone()];
    let room = made(&client, &chat("outage", "Outage", &members)).await;
    until("ann joins", async || {
        let stored = station.stored().await;
        let joined = |event: &Value| {
            event["state_key"] == ann.id.as_str() && event["content"]["membership"] == "join"
        };
        stored.iter().any(joined).then_some(())
    })
    .await;
    ann.say(&room, "before").await;
    until("the message arrives", async || {
        (station.texts().await == ["before"]).then_some(())
    })
    .await;
    station.close().await;
    let down = tokio::time::Instant::now();
    let mut said = vec!["before".to_owned()];
    for number in 0..20 {
        said.push(format!("while down {number}"));
        ann.say(&room, said.last().unwrap()).await;
    }
    // The time is what the test is about: the homeserver tries, fails and waits in between.
    tokio::time::sleep_until(down + Duration::from_secs(10)).await;
    station.open().await;
    said.push("after".to_owned());
    ann.say(&room, "after").await;
    until("everything arrives", async || {
        (station.texts().await.len() >= said.len()).then_some(())
    })
    .await;
    assert_eq!(station.texts().await, said);
    station.end().await;
}

#[tokio::test]
async fn the_homeserver_reaches_liaison_when_it_is_asked_to() {
    let homeserver = synapse::joining().await;
    let mut station = Station::start(homeserver).await;
    let client = homeserver.client(&station.registered);
    let service = service_id(&station.registered.connection);
    client.ping(&service, "t1").await.unwrap();
    let other = client.ping(&service_id("other"), "t2").await.unwrap_err();
    assert!(
        other.to_string().contains("another application service"),
        "{other}"
    );

    // Another secret than the one in the registration file.
    sqlx::query("UPDATE webhooks SET state = 'deleted'")
        .execute(&station.pool)
        .await
        .unwrap();
    station.close().await;
    let gone = client.ping(&service, "t3").await.unwrap_err();
    assert!(gone.to_string().contains("does not reach"), "{gone}");
    station.config.group[0].webhook[0].secret = Some(config::Secret::Plain("another one".into()));
    station.open().await;
    let refused = client.ping(&service, "t4").await.unwrap_err();
    assert!(refused.to_string().contains("hs_token"), "{refused}");
    station.end().await;
}

#[tokio::test]
async fn what_people_do_is_understood() {
    let homeserver = synapse::asking().await;
    let station = Station::start(homeserver).await;
    let client = homeserver.client(&station.registered);
    let (ann, bob) = (homeserver.user("ann").await, homeserver.user("bob").await);
    let bot = station.registered.bot_id();
    let members = [ann.id.clone()];
    let room = made(&client, &chat("heard", "Heard", &members)).await;
    client.set_admin(&room, &ann.id).await.unwrap();
    ann.join(&room).await;
    ann.invite(&room, &bob.id).await;
    bob.join(&room).await;
    let name = json!({ "displayname": "Bob the Builder" });
    bob.ask(Method::PUT, &["profile", &bob.id, "displayname"], name)
        .await
        .unwrap();
    let said = bob.say(&room, "!crm observers").await;
    bob.send(&room, json!({
        "msgtype": "m.text", "body": "* !crm undo", "m.new_content": { "msgtype": "m.text", "body": "!crm undo" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": said },
    }))
    .await;
    ann.kick(&room, &bob.id).await;
    ann.leave(&room).await;
    let direct = bob
        .room(json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [bot] }))
        .await;

    let heard = until("the bot is asked to a room of two", async || {
        let stored = station.stored().await;
        let heard: Vec<Heard> = stored
            .iter()
            .map(|event| decode(event.to_string().as_bytes(), &bot).unwrap())
            .collect();
        let asked = |heard: &Heard| matches!(heard, Heard::Event(ChatEvent::BotInvited { .. }));
        heard.iter().any(asked).then_some(heard)
    })
    .await;
    let events: Vec<&ChatEvent> = heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Event(event) => Some(event),
            Heard::Ignored(_) => None,
        })
        .collect();
    let touched = ChatEvent::ChatTouched { chat: room.clone() };
    let ChatEvent::ChatMessage(message) = events[3] else {
        panic!("{events:#?}");
    };
    assert_eq!(
        (
            message.id.as_str(),
            message.author.as_str(),
            message.text.as_str()
        ),
        (said.as_str(), bob.id.as_str(), "!crm observers")
    );
    // Ann joins, invites Bob, who joins; he is removed, she leaves.
    let others: Vec<&ChatEvent> = events
        .iter()
        .copied()
        .filter(|event| **event == touched)
        .collect();
    assert_eq!(others.len(), 5, "{events:#?}");
    let invited = ChatEvent::BotInvited {
        chat: direct,
        by: bob.id.clone(),
        direct: true,
    };
    assert_eq!(**events.last().unwrap(), invited);
    station.end().await;
}
