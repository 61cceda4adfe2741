//! The Matrix connector against a real homeserver.

use std::time::Duration;

use http::{Method, StatusCode};
use liaison::{
    connector::messenger::{Calls, History, Member, Message, NewChat, Presence, Put, Refusal},
    domain::{Clock, SystemClock},
    egress::Retry,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::synapse::{self, Homeserver, Kind, SERVER, until};

mod command;
mod intake;
mod issue;
mod whole;

fn chat<'a>(key: &'a str, title: &'a str, members: &'a [String]) -> NewChat<'a> {
    NewChat {
        key,
        title,
        history: History::All,
        members,
        admin: None,
    }
}

fn message(key: Uuid, markdown: &str) -> Message<'_> {
    Message {
        key,
        markdown,
        answers: None,
        tag: None,
    }
}

fn id() -> Uuid {
    SystemClock::default().id()
}

async fn made(client: &impl Calls, new: &NewChat<'_>) -> String {
    client.create_chat(new).await.unwrap().unwrap().remote_id
}

async fn presence(client: &impl Calls, room: &str, user: &str) -> Option<Presence> {
    let members = client.members(room).await.unwrap().unwrap();
    let member: Option<&Member> = members.iter().find(|member| member.remote_id == user);
    member.map(|member| member.presence)
}

async fn joined(client: &impl Calls, room: &str, user: &str) {
    until("somebody joins", async || {
        (presence(client, room, user).await == Some(Presence::Joined)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_homeserver_is_the_real_one() {
    let pinned = include_str!("../../scripts/synapse");
    for homeserver in [synapse::asking().await, synapse::joining().await] {
        let path = "/_synapse/admin/v1/server_version";
        let told = homeserver.ask(None, Method::GET, path, Value::Null).await;
        let version = told.unwrap()["server_version"].as_str().unwrap().to_owned();
        // What follows is about the folder that it runs in.
        let number = version.split(' ').next().unwrap();
        assert!(pinned.contains(&format!("VERSION={number}\n")), "{version}");
    }
}

#[tokio::test]
async fn a_chat_is_made_once_and_led_by_its_admin() {
    let homeserver = synapse::asking().await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let (ann, bob) = (homeserver.user("ann").await, homeserver.user("bob").await);
    let members = [ann.id.clone(), bob.id.clone()];
    let new = NewChat {
        admin: Some(&ann.id),
        ..chat("7-42", "Deal 42: roof", &members)
    };
    let first = client.create_chat(&new).await.unwrap().unwrap();
    let again = homeserver
        .client(&service)
        .create_chat(&new)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first, again);
    let link = first.url.unwrap();
    assert!(
        link.starts_with("https://matrix.to/#/%21") && link.ends_with("?via=hs.test"),
        "{link}"
    );
    let element = homeserver.client_with(&service, |settings| {
        settings.web_client = Some("https://chat.example.com/".parse().unwrap());
    });
    let linked = element.create_chat(&new).await.unwrap().unwrap();
    assert_eq!(linked.remote_id, first.remote_id);
    assert_eq!(
        linked.url.unwrap(),
        link.replace("https://matrix.to/#/", "https://chat.example.com/#/room/")
    );

    let members = client.members(&first.remote_id).await.unwrap().unwrap();
    let mut seen: Vec<_> = members
        .iter()
        .map(|member| {
            (
                member.remote_id.as_str(),
                member.presence,
                member.is_admin,
                member.is_bot,
            )
        })
        .collect();
    seen.sort_unstable_by_key(|(id, ..)| *id);
    let bot = service.bot_id();
    assert_eq!(
        seen,
        [
            (ann.id.as_str(), Presence::Invited, true, false),
            (bob.id.as_str(), Presence::Invited, false, false),
            (bot.as_str(), Presence::Joined, false, true),
        ]
    );
    ann.join(&first.remote_id).await;
    bob.join(&first.remote_id).await;
    // Who leads it invites, and others do not.
    let carl = homeserver.user("carl").await;
    let refused = bob
        .ask(
            Method::POST,
            &["rooms", &first.remote_id, "invite"],
            json!({ "user_id": carl.id }),
        )
        .await;
    assert_eq!(refused.unwrap_err().0, StatusCode::FORBIDDEN);
    ann.invite(&first.remote_id, &carl.id).await;
    // A changed profile is a membership too, and hides who invited him.
    for name in ["Bob", "Bobby", "Robert"] {
        let body = json!({ "displayname": name });
        let path = ["profile", &bob.id, "displayname"];
        bob.ask(Method::PUT, &path, body).await.unwrap();
    }
    let members = client.members(&first.remote_id).await.unwrap().unwrap();
    let added = |id: &str| {
        let member = members
            .iter()
            .find(|member| member.remote_id == id)
            .unwrap();
        member.added_by.clone()
    };
    assert_eq!(added(&carl.id), Some(ann.id.clone()));
    assert_eq!(added(&bob.id), Some(bot));
    // Somebody else leads it from now on, and only he.
    assert_eq!(
        client.set_admin(&first.remote_id, &bob.id).await.unwrap(),
        Put::Done
    );
    assert_eq!(
        client.set_admin(&first.remote_id, &bob.id).await.unwrap(),
        Put::AlreadySo
    );
    let members = client.members(&first.remote_id).await.unwrap().unwrap();
    let admins: Vec<_> = members.iter().filter(|member| member.is_admin).collect();
    assert_eq!(admins.len(), 1);
    assert_eq!(admins[0].remote_id, bob.id);
}

#[tokio::test]
async fn everything_can_be_done_twice() {
    let homeserver = synapse::asking().await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let ann = homeserver.user("ann").await;
    let room = made(&client, &chat("twice", "Twice", &[])).await;

    assert_eq!(client.add(&room, &ann.id, true).await.unwrap(), Put::Done);
    assert_eq!(
        client.add(&room, &ann.id, true).await.unwrap(),
        Put::AlreadySo
    );
    // Asked is not there yet.
    assert_eq!(
        presence(&client, &room, &ann.id).await,
        Some(Presence::Invited)
    );
    ann.join(&room).await;
    assert_eq!(
        presence(&client, &room, &ann.id).await,
        Some(Presence::Joined)
    );
    assert_eq!(
        client.add(&room, &ann.id, true).await.unwrap(),
        Put::AlreadySo
    );

    assert_eq!(client.remove(&room, &ann.id).await.unwrap(), Put::Done);
    assert_eq!(client.remove(&room, &ann.id).await.unwrap(), Put::AlreadySo);
    let nobody = format!("@nobody-{}:{SERVER}", id().simple());
    assert_eq!(client.remove(&room, &nobody).await.unwrap(), Put::AlreadySo);

    assert_eq!(client.rename(&room, "Twice").await.unwrap(), Put::AlreadySo);
    assert_eq!(client.rename(&room, "Other").await.unwrap(), Put::Done);
    assert_eq!(client.rename(&room, "Other").await.unwrap(), Put::AlreadySo);

    assert_eq!(client.set_open(&room, true).await.unwrap(), Put::AlreadySo);
    client.add(&room, &ann.id, true).await.unwrap();
    ann.join(&room).await;
    assert_eq!(client.set_open(&room, false).await.unwrap(), Put::Done);
    assert_eq!(client.set_open(&room, false).await.unwrap(), Put::AlreadySo);
    let path = ["rooms", &room, "send", "m.room.message", "t1"];
    let body = json!({ "msgtype": "m.text", "body": "too late" });
    let refused = ann.ask(Method::PUT, &path, body).await.unwrap_err();
    assert_eq!(refused.0, StatusCode::FORBIDDEN);
    assert_eq!(client.set_open(&room, true).await.unwrap(), Put::Done);
    ann.say(&room, "open again").await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let homeserver = synapse::asking().await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let (ann, bob) = (homeserver.user("ann").await, homeserver.user("bob").await);
    let room = made(&client, &chat("refusals", "Refusals", &[])).await;
    let refused = |put: Put| match put {
        Put::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };

    let nobody = format!("@nobody-{}:{SERVER}", id().simple());
    for unknown in [
        nobody.as_str(),
        "ann",
        "",
        "@:",
        "../../x",
        "@a/../b:hs.test",
        "@far:elsewhere.test",
    ] {
        let put = client.add(&room, unknown, true).await.unwrap();
        assert_eq!(refused(put), Refusal::UnknownUser, "{unknown}");
    }
    // The homeserver would let the bot remove itself.
    let put = client.remove(&room, &service.bot_id()).await.unwrap();
    assert_eq!(refused(put), Refusal::NoRight);
    assert_eq!(
        presence(&client, &room, &service.bot_id()).await,
        Some(Presence::Joined)
    );

    // A room that somebody else made, and let the bot in.
    let foreign = ann
        .room(
            json!({ "preset": "private_chat", "room_version": "10", "invite": [service.bot_id()] }),
        )
        .await;
    let put = client.enter(&foreign).await.unwrap();
    assert_eq!(put, Put::Done);
    assert_eq!(client.enter(&foreign).await.unwrap(), Put::AlreadySo);
    ann.invite(&foreign, &bob.id).await;
    bob.join(&foreign).await;
    let put = client.remove(&foreign, &bob.id).await.unwrap();
    assert_eq!(refused(put), Refusal::NoRight);
    assert_eq!(
        refused(client.rename(&foreign, "Mine").await.unwrap()),
        Refusal::NoRight
    );
    assert_eq!(
        refused(client.set_admin(&foreign, &bob.id).await.unwrap()),
        Refusal::NoRight
    );
    let ban = json!({ "user_id": bob.id });
    ann.ask(Method::POST, &["rooms", &foreign, "ban"], ban)
        .await
        .unwrap();
    let put = client.add(&foreign, &bob.id, true).await.unwrap();
    assert_eq!(refused(put), Refusal::Banned);

    // The bot is removed: what it could read then is not taken for now.
    ann.kick(&foreign, &service.bot_id()).await;
    assert_eq!(
        client.members(&foreign).await.unwrap(),
        Err(Refusal::ChatGone)
    );
    for gone in [foreign.as_str(), "!nowhere", "!nowhere:hs.test"] {
        let carl = homeserver.user("carl").await;
        assert_eq!(
            refused(client.add(gone, &carl.id, true).await.unwrap()),
            Refusal::ChatGone,
            "{gone}"
        );
        assert_eq!(
            refused(client.rename(gone, "x").await.unwrap()),
            Refusal::ChatGone,
            "{gone}"
        );
        assert_eq!(
            refused(client.set_open(gone, false).await.unwrap()),
            Refusal::ChatGone,
            "{gone}"
        );
        assert_eq!(
            client.say(gone, &message(id(), "x")).await.unwrap(),
            Err(Refusal::ChatGone),
            "{gone}"
        );
        assert_eq!(
            client.members(gone).await.unwrap(),
            Err(Refusal::ChatGone),
            "{gone}"
        );
    }
    let put = client.enter("!nowhere:hs.test").await.unwrap();
    assert_eq!(refused(put), Refusal::ChatGone);
}

#[tokio::test]
async fn who_comes_late_reads_no_old_messages_where_the_chat_says_so() {
    let homeserver = synapse::asking().await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let (ann, late) = (homeserver.user("ann").await, homeserver.user("late").await);
    let hidden = NewChat {
        history: History::FromJoining,
        ..chat("hidden", "Hidden", &[])
    };
    let hidden = made(&client, &hidden).await;
    let shown = made(&client, &chat("shown", "Shown", &[])).await;
    for room in [&hidden, &shown] {
        client.add(room, &ann.id, true).await.unwrap();
        ann.join(room).await;
        ann.say(room, "before").await;
    }
    // Where the past is shown to all, it cannot be hidden from one.
    let put = client.add(&shown, &late.id, false).await.unwrap();
    assert_eq!(put, Put::Refused(Refusal::CannotHideHistory));
    assert_eq!(presence(&client, &shown, &late.id).await, None);
    assert_eq!(client.add(&shown, &late.id, true).await.unwrap(), Put::Done);
    assert_eq!(
        client.add(&hidden, &late.id, false).await.unwrap(),
        Put::Done
    );
    for room in [&hidden, &shown] {
        late.join(room).await;
        ann.say(room, "after").await;
    }
    assert_eq!(late.texts(&hidden).await, ["after"]);
    assert_eq!(late.texts(&shown).await, ["before", "after"]);
}

#[tokio::test]
async fn messages_are_written_once_in_threads_and_mention_nobody() {
    let homeserver = synapse::joining().await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let ann = homeserver.user("ann").await;
    let members = [ann.id.clone()];
    let room = made(&client, &chat("messages", "Messages", &members)).await;
    joined(&client, &room, &ann.id).await;
    let asked = ann.say(&room, "!crm observers").await;
    let key = id();
    let answer = Message {
        answers: Some(&asked),
        ..message(
            key,
            "• **observers**: `ann` <script>alert(1)</script> [x](javascript:alert(1)) @room",
        )
    };
    let sent = client.say(&room, &answer).await.unwrap().unwrap();
    assert_eq!(client.say(&room, &answer).await.unwrap().unwrap(), sent);
    let events = ann.events(&room).await;
    let content = |id: &str| {
        let event = events.iter().find(|event| event["event_id"] == id).unwrap();
        event["content"].clone()
    };
    let content = content(&sent);
    assert_eq!(content["msgtype"], "m.notice");
    assert_eq!(content["m.relates_to"]["rel_type"], "m.thread");
    assert_eq!(content["m.relates_to"]["event_id"], asked.as_str());
    assert_eq!(content["m.mentions"], json!({}));
    let html = content["formatted_body"].as_str().unwrap();
    assert!(html.contains("<strong>observers</strong>"), "{html}");
    assert!(
        !html.contains("<script") && !html.contains("javascript:"),
        "{html}"
    );
    let long = "é\"\\\u{1}".repeat(30_000);
    client
        .say(&room, &message(id(), &long))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ann.texts(&room).await.len(), 3);
}

#[tokio::test]
async fn one_person_is_told_in_one_room() {
    let homeserver = synapse::asking().await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let ann = homeserver.user("ann").await;
    client
        .tell(&ann.id, &message(id(), "first"))
        .await
        .unwrap()
        .unwrap();
    let room = ann.room_where("invite").await;
    // A new process knows the room again.
    let client = homeserver.client(&service);
    client
        .tell(&ann.id, &message(id(), "second"))
        .await
        .unwrap()
        .unwrap();
    ann.join(&room).await;
    assert_eq!(ann.texts(&room).await, ["first", "second"]);
    let events = ann.events(&room).await;
    let told = events
        .iter()
        .find(|event| event["type"] == "m.room.message")
        .unwrap();
    assert_eq!(told["content"]["msgtype"], "m.text", "clients ring for it");
    // Who left it is asked back.
    ann.leave(&room).await;
    client
        .tell(&ann.id, &message(id(), "third"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ann.room_where("invite").await, room);

    let nobody = format!("@nobody-{}:{SERVER}", id().simple());
    for unknown in [nobody.as_str(), "ann"] {
        let told = client.tell(unknown, &message(id(), "x")).await.unwrap();
        assert_eq!(told, Err(Refusal::UnknownUser));
    }
}

#[tokio::test]
async fn people_are_found_by_addresses_that_the_homeserver_verified() {
    let homeserver = synapse::asking().await;
    let service = homeserver.service();
    let plain = homeserver.client(&service);
    let (admin, ann) = (homeserver.admin().await, homeserver.user("ann").await);
    let address = format!("ann-{}@example.com", id().simple());
    let path = format!("/_synapse/admin/v2/users/{}", ann.id);
    let body = json!({ "threepids": [{ "medium": "email", "address": address }] });
    homeserver
        .ask(Some(&admin.token), Method::PUT, &path, body)
        .await
        .unwrap();
    let client = homeserver.client_with(&service, |settings| {
        settings.admin_token = Some(admin.token.as_str().into());
    });
    assert!(client.abilities().finds_by_email && !plain.abilities().finds_by_email);
    let found = client.user_by_email(&address.to_uppercase()).await.unwrap();
    assert_eq!(found.as_ref(), Some(&ann.id));
    assert_eq!(plain.user_by_email(&address).await.unwrap(), None);
    assert_eq!(
        client.user_by_email("nobody@example.com").await.unwrap(),
        None
    );
    assert_eq!(client.user_by_email("../../x?y#z").await.unwrap(), None);

    let facts = client.user(&ann.id).await.unwrap().unwrap();
    assert_eq!(
        (facts.email, facts.active, facts.is_bot),
        (Some(address), true, false)
    );
    assert_eq!(format!("@{}:{SERVER}", facts.username), ann.id);
    assert_eq!(plain.user(&ann.id).await.unwrap().unwrap().email, None);
    let deactivate = format!("/_synapse/admin/v1/deactivate/{}", ann.id);
    homeserver
        .ask(
            Some(&admin.token),
            Method::POST,
            &deactivate,
            json!({ "erase": false }),
        )
        .await
        .unwrap();
    assert!(!client.user(&ann.id).await.unwrap().unwrap().active);
    let me = client.whoami().await.unwrap();
    assert_eq!(
        (me.id, me.username),
        (service.bot_id(), service.bot.clone())
    );
    assert!(
        client
            .user(&service.bot_id())
            .await
            .unwrap()
            .unwrap()
            .is_bot
    );
    assert_eq!(
        client.user(&format!("@nobody:{SERVER}")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_message_is_written_once_though_the_homeserver_was_restarted_in_between() {
    let homeserver = Homeserver::start(Kind {
        auto_accept: true,
        ..Kind::default()
    })
    .await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let ann = homeserver.user("ann").await;
    let members = [ann.id.clone()];
    let room = made(&client, &chat("restart", "Restart", &members)).await;
    joined(&client, &room, &ann.id).await;
    let key = id();
    let sent = client
        .say(&room, &message(key, "once"))
        .await
        .unwrap()
        .unwrap();
    homeserver.restart().await;
    // The process that repeats it may be another one too.
    for client in [client, homeserver.client(&service)] {
        let again = client
            .say(&room, &message(key, "once"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(again, sent);
    }
    assert_eq!(ann.texts(&room).await, ["once"]);
}

#[tokio::test]
async fn a_homeserver_that_limits_says_how_long_to_wait() {
    let homeserver = Homeserver::start(Kind {
        limits: true,
        ..Kind::default()
    })
    .await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let room = made(&client, &chat("limits", "Limits", &[])).await;
    // The bot's messages are never limited; invitations are, where the registration says `rate_limited: true`.
    for _ in 0..50 {
        let somebody = homeserver.user("somebody").await;
        let Err(error) = client.add(&room, &somebody.id, true).await else {
            continue;
        };
        assert!(error.is_throttled(), "{error}");
        let Retry::Later { after: Some(pause) } = error.retry() else {
            panic!("{error}: no pause");
        };
        assert!(
            pause > Duration::ZERO && pause < Duration::from_mins(5),
            "{pause:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains("429") && text.contains("rate_limited"),
            "{text}"
        );
        return;
    }
    panic!("no limit was met");
}

#[tokio::test]
async fn wrong_tokens_are_named_and_not_shown() {
    let homeserver = synapse::asking().await;
    let service = homeserver.service();
    let client = homeserver.client_with(&service, |settings| {
        settings.token = "as-canary-wrong".into();
    });
    let error = client.whoami().await.unwrap_err().to_string();
    assert!(
        error.contains("401") && error.contains("M_UNKNOWN_TOKEN"),
        "{error}"
    );
    assert!(error.contains("liaison webhook registration"), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

/// The content of a state event of a room, as somebody in it reads it.
async fn state(user: &synapse::User<'_>, room: &str, kind: &str) -> Value {
    user.ask(Method::GET, &["rooms", room, "state", kind], Value::Null)
        .await
        .unwrap()
}

#[tokio::test]
async fn rooms_are_private_and_stay_on_the_homeserver() {
    let homeserver = synapse::joining().await;
    let service = homeserver.service();
    let client = homeserver.client(&service);
    let ann = homeserver.user("ann").await;
    let members = [ann.id.clone(), "@far:elsewhere.test".to_owned()];
    let room = made(&client, &chat("private", "Private", &members)).await;
    joined(&client, &room, &ann.id).await;
    assert_eq!(
        state(&ann, &room, "m.room.create").await["m.federate"],
        false
    );
    assert_eq!(
        state(&ann, &room, "m.room.join_rules").await["join_rule"],
        "invite"
    );
    assert_eq!(
        state(&ann, &room, "m.room.power_levels").await["invite"],
        50
    );
    let stranger = homeserver.user("eve").await;
    let refused = stranger
        .ask(Method::POST, &["join", &room], json!({}))
        .await;
    assert_eq!(refused.unwrap_err().0, StatusCode::FORBIDDEN);
    // Nobody else can take a name that the bot's rooms may get.
    let alias = format!("{}_chat_next", service.bot);
    let squatted = stranger
        .ask(
            Method::POST,
            &["createRoom"],
            json!({ "room_alias_name": alias }),
        )
        .await;
    assert_eq!(squatted.unwrap_err().1["errcode"], "M_EXCLUSIVE");
}
