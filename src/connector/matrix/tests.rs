//! Decoding, proofs and rendering, without a homeserver.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Registration, decode,
    render::{Tone, message},
    unpack,
};
use crate::domain::{ChatEvent, ChatMessage, ConnectionId, Heard};

const BOT: &str = "@liaison:hs.test";
const ROOM: &str = "!abcDEF123";

fn heard(event: &Value) -> Heard {
    decode(event.to_string().as_bytes(), BOT).unwrap()
}

fn ignored(event: &Value) -> String {
    match heard(event) {
        Heard::Ignored(reason) => reason,
        Heard::Event(event) => panic!("{event:?}"),
    }
}

fn said(content: Value) -> Value {
    let mut event = json!({
        "type": "m.room.message", "room_id": ROOM, "event_id": "$1", "sender": "@ann:hs.test",
    });
    event["content"] = content;
    event
}

fn text(content: Value) -> ChatMessage {
    match heard(&said(content)) {
        Heard::Event(ChatEvent::ChatMessage(message)) => *message,
        other => panic!("{other:?}"),
    }
}

fn member(who: &str, by: &str, now: &str, before: Option<&str>) -> Value {
    let mut event = json!({
        "type": "m.room.member", "room_id": ROOM, "event_id": "$1", "sender": by, "state_key": who,
        "content": { "membership": now, "displayname": "x" },
    });
    if let Some(before) = before {
        event["unsigned"] = json!({ "prev_content": { "membership": before }, "age": 3 });
    }
    event
}

#[test]
fn memberships_are_told_apart() {
    let (ann, bob) = ("@ann:hs.test", "@bob:hs.test");
    let touched = || Heard::Event(ChatEvent::ChatTouched { chat: ROOM.into() });
    for (who, by, now, before) in [
        (bob, ann, "invite", None),
        (bob, bob, "join", Some("invite")),
        (bob, bob, "join", None),
        (bob, bob, "leave", Some("invite")),
        (bob, bob, "leave", Some("join")),
        (bob, ann, "leave", Some("join")),
        (bob, ann, "ban", Some("join")),
        (bob, ann, "leave", Some("ban")),
    ] {
        assert_eq!(
            heard(&member(who, by, now, before)),
            touched(),
            "{now} {before:?}"
        );
    }
    for (who, by, now, before, why) in [
        (bob, bob, "join", Some("join"), "profile"),
        (bob, BOT, "invite", None, "bot did this itself"),
        (bob, BOT, "leave", Some("join"), "bot did this itself"),
        (BOT, BOT, "join", Some("invite"), "bot did this itself"),
        (BOT, ann, "leave", Some("invite"), "taken back"),
        (bob, bob, "knock", None, "let in"),
        (bob, bob, "flies\u{7}", None, "\"flies\""),
    ] {
        let reason = ignored(&member(who, by, now, before));
        assert!(reason.contains(why), "{reason}");
    }
    let gone = || Heard::Event(ChatEvent::ChatGone { chat: ROOM.into() });
    assert_eq!(heard(&member(BOT, ann, "leave", Some("join"))), gone());
    assert_eq!(heard(&member(BOT, ann, "ban", Some("join"))), gone());
    let mut asked = member(BOT, ann, "invite", None);
    for (given, direct) in [
        (json!(true), true),
        (json!(false), false),
        (json!("yes"), false),
    ] {
        asked["content"]["is_direct"] = given;
        let expected = ChatEvent::BotInvited {
            chat: ROOM.into(),
            by: ann.into(),
            direct,
        };
        assert_eq!(heard(&asked), Heard::Event(expected));
    }
}

#[test]
fn other_events_are_looked_at_or_named() {
    let state = |kind: &str, by: &str| json!({ "type": kind, "room_id": ROOM, "event_id": "$1", "sender": by, "state_key": "", "content": {} });
    let touched = Heard::Event(ChatEvent::ChatTouched { chat: ROOM.into() });
    for kind in ["m.room.name", "m.room.power_levels"] {
        assert_eq!(heard(&state(kind, "@ann:hs.test")), touched);
        assert!(ignored(&state(kind, BOT)).contains("itself"));
    }
    let gone = Heard::Event(ChatEvent::ChatGone { chat: ROOM.into() });
    assert_eq!(heard(&state("m.room.tombstone", "@ann:hs.test")), gone);
    assert!(ignored(&state("m.room.encryption", "@ann:hs.test")).contains("encryption"));
    assert!(ignored(&state("m.room.topic", "@ann:hs.test")).contains("m.room.topic"));
    let mut encrypted = said(json!({ "algorithm": "m.megolm.v1.aes-sha2" }));
    encrypted["type"] = json!("m.room.encrypted");
    assert!(ignored(&encrypted).contains("encrypted"));
}

#[test]
fn messages_are_read_as_people_wrote_them() {
    let plain = text(json!({ "msgtype": "m.text", "body": "!crm observers\0\nmore" }));
    assert_eq!(
        (plain.text.as_str(), plain.thread),
        ("!crm observers\nmore", None)
    );
    let thread = text(json!({
        "msgtype": "m.text", "body": "!crm help",
        "m.relates_to": { "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true, "m.in_reply_to": { "event_id": "$last" } },
    }));
    assert_eq!(
        (thread.text.as_str(), thread.thread.as_deref()),
        ("!crm help", Some("$root"))
    );
    let quoted = "> <@bob:hs.test> !crm undo\n> and more\n\n!crm observers\n> not a quotation";
    let reply = json!({ "m.in_reply_to": { "event_id": "$0" } });
    let answer = text(json!({ "msgtype": "m.text", "body": quoted, "m.relates_to": reply }));
    assert_eq!(answer.text, "!crm observers\n> not a quotation");
    let own = text(json!({ "msgtype": "m.text", "body": quoted }));
    // No reply, so that these are the sender's own words.
    assert!(own.text.starts_with("> <@bob> !crm undo"), "{}", own.text);
    let only =
        text(json!({ "msgtype": "m.text", "body": "> <@bob:hs.test> x", "m.relates_to": reply }));
    assert_eq!(only.text, "");
}

#[test]
fn mentions_stand_as_usernames() {
    let link = |id: &str, name: &str| format!("<a href=\"https://matrix.to/#/{id}\">{name}</a>");
    for (body, formatted, expected) in [
        ("@liaison:hs.test: observers", None, "@liaison observers"),
        ("@liaison:hs.test observers", None, "@liaison observers"),
        (
            "@liaison: observers\n@liaison, help",
            None,
            "@liaison observers\n@liaison help",
        ),
        ("hello @liaison:hs.test: x", None, "hello @liaison: x"),
        (
            "!crm add_observers @bob:hs.test @eve:evil.test",
            None,
            "!crm add_observers @bob @eve:evil.test",
        ),
        (
            "@bob:hs.test.evil @bob:hs.test-x @bob:hs.test:8448",
            None,
            "@bob:hs.test.evil @bob:hs.test-x @bob:hs.test:8448",
        ),
        ("see @bob:hs.test.", None, "see @bob."),
        (
            "mail@hs.test @ @: a@b:hs.test",
            None,
            "mail@hs.test @ @: a@b",
        ),
        (
            "The Bot: add_observers Bob & Co",
            Some(format!(
                "{}: add_observers {}",
                link("@liaison:hs.test", "The Bot"),
                link("@bob:hs.test", "Bob &amp; Co")
            )),
            "@liaison add_observers @bob",
        ),
        (
            "The Bot: help",
            Some(format!(
                "{}: help",
                link("%40liaison%3Ahs.test?via=x", "The Bot")
            )),
            "@liaison help",
        ),
        // Who is meant is in the link, not in the name that somebody chose.
        (
            "liaison",
            Some(link("@eve:evil.test", "liaison")),
            "@eve:evil.test",
        ),
        ("a room", Some(link("#room:hs.test", "a room")), "a room"),
        (
            "x",
            Some("<a href=\"https://matrix.to/#/@liaison:hs.test\">".to_owned()),
            "x",
        ),
        ("x", Some(link("@liaison:hs.test", "")), "x"),
    ] {
        let mut content = json!({ "msgtype": "m.text", "body": body });
        if let Some(formatted) = formatted {
            content["formatted_body"] = json!(formatted);
        }
        assert_eq!(text(content).text, expected, "{body}");
    }
}

#[test]
fn what_runs_nothing_is_named() {
    let edit = json!({
        "msgtype": "m.text", "body": "* !crm undo", "m.relates_to": { "rel_type": "m.replace", "event_id": "$0" },
    });
    for (content, why) in [
        (edit, "edited"),
        (
            json!({ "msgtype": "m.notice", "body": "!crm undo" }),
            "notice",
        ),
        (
            json!({ "msgtype": "m.image", "body": "!crm undo" }),
            "m.image",
        ),
        (json!({}), "removed"),
        (json!({ "msgtype": "m.text" }), "documents"),
        (json!({ "msgtype": "m.text", "body": 5 }), "documents"),
        (json!({ "msgtype": 5, "body": "x" }), "removed"),
        (json!("text"), "documents"),
        (json!([1]), "removed"),
        (json!(null), "documents"),
    ] {
        let reason = ignored(&said(content));
        assert!(reason.contains(why), "{reason}");
    }
    let mut own = said(json!({ "msgtype": "m.text", "body": "!crm undo" }));
    own["sender"] = json!(BOT);
    assert!(ignored(&own).contains("itself"));
    // Relations and formatted texts of any shape do no harm.
    for odd in [
        json!(5),
        json!("x"),
        json!([]),
        json!({ "rel_type": 5, "event_id": {}, "m.in_reply_to": 1 }),
    ] {
        let read = text(
            json!({ "msgtype": "m.text", "body": "x", "formatted_body": odd, "m.relates_to": odd }),
        );
        assert_eq!((read.text.as_str(), read.thread), ("x", None));
    }
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let body = said(json!("DEEP")).to_string().replace("\"DEEP\"", &deep);
    assert!(matches!(
        decode(body.as_bytes(), BOT).unwrap(),
        Heard::Ignored(_)
    ));
}

#[test]
fn what_the_homeserver_owes_is_named_without_its_value() {
    for event in [
        json!(5),
        json!({ "type": "m.room.message" }),
        json!({ "type": "m.room.message", "room_id": { "secret": 1 } }),
    ] {
        let error = decode(event.to_string().as_bytes(), BOT).unwrap_err();
        assert!(!error.to_string().contains("secret\":"), "{error}");
    }
}

#[test]
fn a_transaction_is_taken_apart() {
    let event = |id: &str, room: &str| json!({ "event_id": id, "room_id": room, "type": "x" });
    let body = Bytes::from(
        json!({ "events": [event("$1", "!a"), event("$2", "!b"), event("$3", "!a"), 5, 5] })
            .to_string(),
    );
    let parcels = unpack(ConnectionId(1), "7", &body).unwrap();
    let lane = |index: usize| parcels[index].routing.lane;
    assert_eq!(lane(0), lane(2));
    assert_ne!(lane(0), lane(1));
    let keys: std::collections::BTreeSet<_> = parcels
        .iter()
        .map(|parcel| parcel.routing.dedupe_key)
        .collect();
    assert_eq!(keys.len(), 5);
    let again = unpack(ConnectionId(1), "8", &body).unwrap();
    assert_eq!(
        again[0].routing, parcels[0].routing,
        "an event is the same in every transaction"
    );
    assert_ne!(again[3].routing.dedupe_key, parcels[3].routing.dedupe_key);
    let elsewhere = unpack(ConnectionId(2), "7", &body).unwrap();
    assert_ne!(elsewhere[0].routing.lane, lane(0));
}

#[test]
fn long_messages_fit_into_an_event() {
    for text in [
        "\u{1}".repeat(100_000),
        "**é** ".repeat(20_000),
        "\"".repeat(30_000),
    ] {
        for thread in [None, Some("$root")] {
            let content = message(&text, Tone::Notice, thread);
            assert!(content.to_string().len() <= 60_000);
            assert_eq!(content["m.relates_to"].is_null(), thread.is_none());
        }
    }
}

#[test]
fn the_registration_file_is_yaml_whatever_the_tokens_are() {
    let file = Registration {
        connection: "matrix",
        url: &"https://liaison.example.com/".parse().unwrap(),
        as_token: &"a\": b #".into(),
        hs_token: &"h".into(),
        bot: "li.son",
    };
    let yaml = file.yaml();
    for line in [
        r#"id: "liaison-matrix""#,
        r#"url: "https://liaison.example.com""#,
        r#"as_token: "a\": b #""#,
        r#"sender_localpart: "li.son""#,
        r#"      regex: "@li\\.son:.*""#,
        r##"      regex: "#li\\.son_.*:.*""##,
        "rate_limited: false",
    ] {
        assert!(yaml.lines().any(|other| other == line), "{line} in\n{yaml}");
    }
}
