//! The whole service beside a real homeserver: the list makes the room, and the room gives back what people did in it.

use std::{
    io::Write,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use http::Method;
use liaison::{
    app::{Parts, Role},
    config::{self, Overrides},
    connector::{matrix::Client, messenger::Calls},
    crypto::SealingKey,
    domain::SystemClock,
};
use serde_json::{Value, json};

use super::Presence;
use crate::{
    harness::{self, SEALING_KEY, measured},
    observed::Observed,
    synapse::{self, Homeserver, Service, User, until},
};

const TITLE: &str = "Office chairs";
/// People of the tests, with their levels.
const PEOPLE: [(&str, &str); 4] = [
    ("ann", "developer"),
    ("bob", "developer"),
    ("dan", "reporter"),
    ("eve", "reporter"),
];

/// The service, an item, and its people with their accounts.
struct World {
    registered: Service,
    client: Client,
    service: liaison::app::Service,
    people: Vec<User<'static>>,
    observed: Observed,
}

impl Deref for World {
    type Target = Observed;

    fn deref(&self) -> &Observed {
        &self.observed
    }
}

fn configuration(homeserver: &Homeserver, registered: &Service, people: &[User<'_>]) -> String {
    let Service {
        connection,
        bot,
        as_token,
        hs_token,
        url,
        ..
    } = registered;
    let mut declared = Vec::new();
    let mut members = Vec::new();
    for ((name, level), user) in PEOPLE.iter().zip(people) {
        let id = &user.id;
        declared.push(format!(
            "[[person]]\nusername = \"{name}\"\nidentities = [{{ connection = \"{connection}\", id = \"{id}\", username = \"{}\" }}]\n",
            user.name()
        ));
        members.push(format!("{{ person = \"{name}\", level = \"{level}\" }}"));
    }
    format!(
        r#"
[server]
listen = "{listen}"
public_url = "{url}"
[secrets]
key = "{SEALING_KEY}"
[queue]
retry_seconds = [0]
attempts = 4
[[connection]]
name = "{connection}"
kind = "matrix"
url = "{base}"
token = "{as_token}"
bot = "{bot}"
{declared}
[[group]]
path = "acme"
name = "Acme"
messenger = {{ connection = "{connection}" }}
members = [{members}]
[[group.webhook]]
name = "acme-matrix"
connection = "{connection}"
secret = "{hs_token}"
"#,
        listen = url.socket_addrs(|| None).unwrap()[0],
        base = homeserver.base,
        declared = declared.concat(),
        members = members.join(", "),
    )
}

impl World {
    async fn start(homeserver: &'static Homeserver) -> Self {
        let mut registered = homeserver.service();
        let mut people = Vec::new();
        for (name, _) in PEOPLE {
            people.push(homeserver.user(name).await);
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = configuration(homeserver, &registered, &people);
        file.write_all(text.as_bytes()).unwrap();
        let overrides = Overrides {
            file: Some(file.path().to_owned()),
            ..Overrides::default()
        };
        let config = config::load(&overrides).unwrap();
        let pool = harness::pool(harness::database().await);
        let parts = Parts {
            pool: pool.clone(),
            key: Arc::new(SealingKey::from_base64(&SEALING_KEY.into()).unwrap()),
            clock: Arc::new(SystemClock::default()),
            listener: registered.listener().await,
            admin: None,
            roles: vec![Role::Receive, Role::Process, Role::Deliver],
            demo: false,
        };
        let service = liaison::app::Service::start(&config, parts).await.unwrap();
        let observed = Observed::create(pool, TITLE).await;
        Self {
            client: homeserver.client(&registered),
            registered,
            service,
            people,
            observed,
        }
    }

    async fn end(self) {
        self.quiet().await;
        let dead: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'dead') + (SELECT count(*) FROM effects WHERE state = 'dead')",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap();
        assert_eq!(dead, 0, "dead work");
        self.service.stop().await;
        self.observed.pool.close().await;
    }

    fn user(&self, name: &str) -> &User<'static> {
        let index = PEOPLE.iter().position(|(known, _)| *known == name).unwrap();
        &self.people[index]
    }

    /// Makes the item's chat; returns the room.
    async fn make_chat(&self) -> String {
        self.create_chat().await;
        until("the room is made", async || {
            let room: Option<String> = sqlx::query_scalar("SELECT remote_id FROM chats")
                .fetch_one(&self.pool)
                .await
                .unwrap();
            room
        })
        .await
    }

    /// Has the chat looked at once more, and waits for that.
    async fn settle(&self) {
        self.look_again().await;
        self.quiet().await;
    }

    /// Waits until nothing that arrived is left to do.
    async fn quiet(&self) {
        until("everything is done", async || {
            let left: i64 = sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM deliveries WHERE settled_at IS NULL) + (SELECT count(*) FROM effects WHERE settled_at IS NULL)",
            )
            .fetch_one(&self.pool)
            .await
            .unwrap();
            (left == 0).then_some(())
        })
        .await;
    }

    /// Those of [`PEOPLE`] who are in the room, or asked to come.
    async fn there(&self, room: &str, presence: Presence) -> Vec<&'static str> {
        let members = self.client.members(room).await.unwrap().unwrap();
        let is = |name: &str| {
            let id = &self.user(name).id;
            members
                .iter()
                .any(|member| member.remote_id == *id && member.presence == presence)
        };
        PEOPLE
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| is(name))
            .collect()
    }

    async fn wait_for(&self, room: &str, expected: &[&str]) {
        until(&format!("{expected:?} are in the room"), async || {
            (self.there(room, Presence::Joined).await == expected).then_some(())
        })
        .await;
    }

    /// Who observes the item, and whether he is to be in the chat.
    async fn observers(&self) -> Vec<(String, bool)> {
        sqlx::query_as(
            "SELECT username, in_chat FROM observers JOIN people ON people.id = person_id ORDER BY username",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    async fn wait_observers(&self, expected: &[(&str, bool)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, is_in)| ((*name).to_owned(), *is_in))
            .collect();
        until(&format!("{expected:?} observe"), async || {
            (self.observers().await == expected).then_some(())
        })
        .await;
    }

    async fn problem(&self) -> Option<String> {
        sqlx::query_scalar("SELECT problem FROM chats")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Waits for the bot's answer in the thread of a message.
    async fn answer(&self, reader: &User<'_>, room: &str, asked: &str) -> String {
        let bot = self.registered.bot_id();
        until("the bot answers in the thread", async || {
            let events = reader.events(room).await;
            let answer = events.iter().find(|event| {
                let relation = &event["content"]["m.relates_to"];
                event["sender"] == bot.as_str()
                    && relation["rel_type"] == "m.thread"
                    && relation["event_id"] == asked
            })?;
            assert_eq!(answer["content"]["msgtype"], "m.notice");
            answer["content"]["body"].as_str().map(str::to_owned)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_room_and_the_list_stay_in_step() {
    let world = World::start(synapse::joining().await).await;
    let (ann, bob, dan, eve) = (
        world.user("ann"),
        world.user("bob"),
        world.user("dan"),
        world.user("eve"),
    );
    world.reassign("ann").await;
    world.add("bob").await;
    let room = world.make_chat().await;
    world.wait_for(&room, &["ann", "bob"]).await;
    world.add("eve").await;
    world.wait_for(&room, &["ann", "bob", "eve"]).await;

    // Somebody is invited in the room: he observes.
    ann.invite(&room, &dan.id).await;
    world
        .wait_observers(&[("bob", true), ("dan", true), ("eve", true)])
        .await;
    // Somebody leaves: he observes on, and nothing puts him back.
    bob.leave(&room).await;
    let away = [("bob", false), ("dan", true), ("eve", true)];
    world.wait_observers(&away).await;
    // Somebody is removed by the one who leads.
    ann.kick(&room, &eve.id).await;
    let away = [("bob", false), ("dan", true), ("eve", false)];
    world.wait_observers(&away).await;
    world.settle().await;
    world.settle().await;
    world.wait_for(&room, &["ann", "dan"]).await;
    world.wait_observers(&away).await;
    assert_eq!(world.problem().await, None);

    // Commands are answered in the thread of the message, and each runs once.
    let asked = ann.say(&room, "!crm observers").await;
    let answer = world.answer(ann, &room, &asked).await;
    for name in ["bob", "dan", "eve"] {
        assert!(answer.contains(name), "{answer}");
    }
    let asked = ann
        .say(
            &room,
            &format!(
                "@{}: add_observers @{}",
                world.registered.bot_id().trim_start_matches('@'),
                bob.name()
            ),
        )
        .await;
    world.answer(ann, &room, &asked).await;
    world.wait_for(&room, &["ann", "bob", "dan"]).await;
    world
        .wait_observers(&[("bob", true), ("dan", true), ("eve", false)])
        .await;

    // Removed from the list: out of the room, and our own call changes nothing when it comes back.
    world.remove("dan").await;
    world.wait_for(&room, &["ann", "bob"]).await;
    world.quiet().await;
    world.wait_observers(&[("bob", true), ("eve", false)]).await;
    let answers = ann.events(&room).await;
    let answers = answers
        .iter()
        .filter(|event| event["content"]["msgtype"] == "m.notice");
    assert_eq!(answers.count(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_is_not_there_yet_and_who_declines_is_not_asked_again() {
    let world = World::start(synapse::asking().await).await;
    let (ann, bob, eve) = (world.user("ann"), world.user("bob"), world.user("eve"));
    world.reassign("ann").await;
    world.add("bob").await;
    world.add("eve").await;
    let room = world.make_chat().await;
    until("all are asked", async || {
        (world.there(&room, Presence::Invited).await == ["ann", "bob", "eve"]).then_some(())
    })
    .await;
    ann.join(&room).await;
    eve.join(&room).await;
    bob.leave(&room).await;
    world.wait_observers(&[("bob", false), ("eve", true)]).await;
    world.settle().await;
    assert_eq!(world.there(&room, Presence::Invited).await, [""; 0]);
    assert_eq!(world.there(&room, Presence::Joined).await, ["ann", "eve"]);
    // One who was asked and did not answer is asked no more once he observes no longer.
    world.add("dan").await;
    until("dan is asked", async || {
        (world.there(&room, Presence::Invited).await == ["dan"]).then_some(())
    })
    .await;
    world.remove("dan").await;
    until("dan is asked no more", async || {
        world
            .there(&room, Presence::Invited)
            .await
            .is_empty()
            .then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_without_the_bot_is_reported_and_left_alone() {
    let homeserver = synapse::joining().await;
    let world = World::start(homeserver).await;
    world.reassign("ann").await;
    world.add("bob").await;
    let room = world.make_chat().await;
    world.wait_for(&room, &["ann", "bob"]).await;
    world.quiet().await;
    let mut leave = homeserver.base.join("/_matrix/client/v3").unwrap();
    leave
        .path_segments_mut()
        .unwrap()
        .extend(["rooms", &room, "leave"]);
    homeserver
        .ask(
            Some(&world.registered.as_token),
            Method::POST,
            leave.path(),
            json!({}),
        )
        .await
        .unwrap();
    until("the room is known to be gone", async || {
        let state: String = sqlx::query_scalar("SELECT state FROM chats")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        (state == "gone").then_some(())
    })
    .await;
    assert!(
        world
            .problem()
            .await
            .unwrap()
            .contains("the bot was removed")
    );
    world.add("eve").await;
    world.settle().await;
    assert_eq!(
        world.observers().await.len(),
        2,
        "the list goes on without a room"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_to_the_bot_alone_is_answered() {
    let homeserver = synapse::joining().await;
    let world = World::start(homeserver).await;
    let stranger = homeserver.user("zoe").await;
    let bot = world.registered.bot_id();
    let room = stranger
        .room(json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [bot] }))
        .await;
    until("the bot comes", async || {
        let path = ["rooms", &room, "state", "m.room.member", &bot];
        let found = stranger.ask(Method::GET, &path, Value::Null).await;
        (found.ok()?["membership"] == "join").then_some(())
    })
    .await;
    stranger.say(&room, "hello").await;
    until("a code is given", async || {
        let outcome = "SELECT EXISTS (SELECT FROM deliveries WHERE outcome LIKE '%given a code')";
        let given: bool = sqlx::query_scalar(outcome)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        given.then_some(())
    })
    .await;
    // In the room that the bot has with him, so that every notice is in one place.
    until("the bot answers", async || {
        for room in stranger.rooms("join").await {
            let texts = stranger.texts(&room).await;
            if texts.iter().any(|text| text.contains("who you are")) {
                return Some(());
            }
        }
        None
    })
    .await;
    world.end().await;
}

/// Prints how long it takes from a change of the list to a changed membership, and back.
///
/// `LIAISON_MEASURE=1 scripts/test --test it how_long_it_takes -- --nocapture` for fifty times each.
#[tokio::test(flavor = "multi_thread")]
async fn how_long_it_takes() {
    let world = World::start(synapse::joining().await).await;
    let (ann, bob) = (world.user("ann"), world.user("bob"));
    world.reassign("ann").await;
    world.add("eve").await;
    let room = world.make_chat().await;
    world.wait_for(&room, &["ann", "eve"]).await;
    let (mut in_, mut out, mut back) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..measured(2, 50) {
        let begun = Instant::now();
        world.add("bob").await;
        wait_until(async || bob.membership(&room).await != "join").await;
        in_.push(begun.elapsed());
        world.quiet().await;
        let begun = Instant::now();
        world.remove("bob").await;
        wait_until(async || bob.membership(&room).await == "join").await;
        out.push(begun.elapsed());
        world.quiet().await;
        let begun = Instant::now();
        ann.invite(&room, &bob.id).await;
        wait_until(async || world.observers().await.len() < 2).await;
        back.push(begun.elapsed());
        world.quiet().await;
        world.remove("bob").await;
        wait_until(async || bob.membership(&room).await == "join").await;
        world.quiet().await;
    }
    for (what, mut times) in [
        ("added: joined", in_),
        ("removed: out", out),
        ("invited there: observes", back),
    ] {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        println!(
            "{what}: p50 {:?}, p99 {:?}, of {}",
            at(50),
            at(99),
            times.len()
        );
    }
    world.end().await;
}

async fn wait_until(mut waits: impl AsyncFnMut() -> bool) {
    while waits().await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
