//! Chats of items in a messenger: the service beside the sandbox's homeserver, whose real events come in and which takes real calls.

use std::{fmt::Write, ops::Deref, sync::Arc, time::Duration};

use liaison::{
    app::{Parts, Role, Service},
    config::{self, Overrides},
    crypto::SealingKey,
    domain::{ChatId, Clock, DeliveryId, SystemClock},
    sandbox::{Homeserver, Membership, Setup},
    server,
    store::{identity, policy},
};
use sqlx::Row;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    harness::{PATIENCE, SEALING_KEY, database, measured, pool, spawn},
    observed::Observed,
};

const TITLE: &str = "Office chairs for Byron";

/// A messenger, the service, and an item with its people.
struct World {
    messenger: Homeserver,
    service: Option<Service>,
    serving: JoinHandle<()>,
    stop: CancellationToken,
    observed: Observed,
}

impl Deref for World {
    type Target = Observed;

    fn deref(&self) -> &Observed {
        &self.observed
    }
}

/// People of the tests: name and level.
const PEOPLE: [(&str, &str); 5] = [
    ("ann", "developer"),
    ("bob", "developer"),
    ("eve", "reporter"),
    ("gus", "guest"),
    ("dan", "developer"),
];

fn configuration(service: &Url, messenger: &Url, more: &str) -> String {
    let mut text = format!(
        r#"[server]
listen = "127.0.0.1:0"
public_url = "{service}"
[secrets]
key = "{SEALING_KEY}"
[queue]
retry_seconds = [0]
attempts = 4
[[connection]]
name = "matrix"
kind = "matrix"
url = "{messenger}"
token = "service-secret"
admin_token = "admin-secret"
members_invite = true
bot = "liaison"
"#
    );
    for (name, _) in PEOPLE {
        writeln!(
            text,
            "[[person]]\nusername = \"{name}\"\nemail = \"{name}@example.com\""
        )
        .unwrap();
    }
    let members = PEOPLE
        .map(|(name, level)| format!("{{ person = \"{name}\", level = \"{level}\" }}"))
        .join(", ");
    write!(
        text,
        r#"[[group]]
path = "acme"
name = "Acme"
messenger = {{ connection = "matrix" }}
members = [{members}]
{more}
[[group.webhook]]
name = "acme-matrix"
connection = "matrix"
secret = "homeserver-secret"
"#
    )
    .unwrap();
    text
}

impl World {
    async fn new() -> Self {
        Self::with("", true).await
    }

    async fn with(more: &str, auto_accept: bool) -> Self {
        let [service_listener, messenger_listener] = [
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        ];
        let address = |listener: &TcpListener| -> Url {
            format!("http://{}", listener.local_addr().unwrap())
                .parse()
                .unwrap()
        };
        let (service_url, messenger_url) =
            (address(&service_listener), address(&messenger_listener));
        let messenger = Homeserver::start(Setup {
            name: "chat.test".to_owned(),
            bot: "liaison".to_owned(),
            service_token: "service-secret".to_owned(),
            homeserver_token: "homeserver-secret".to_owned(),
            admin_token: "admin-secret".to_owned(),
            service: service_url.clone(),
            auto_accept,
        });
        for (name, _) in PEOPLE {
            messenger.register(
                name,
                &name.to_uppercase(),
                Some(&format!("{name}@example.com")),
            );
        }
        let stop = CancellationToken::new();
        let serving = spawn(server::serve(
            messenger_listener,
            messenger.router(),
            64,
            stop.clone(),
        ));
        let pool = pool(database().await);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            configuration(&service_url, &messenger_url, more),
        )
        .unwrap();
        let overrides = Overrides {
            file: Some(file.path().to_owned()),
            ..Overrides::default()
        };
        let config = config::load(&overrides).unwrap();
        let parts = Parts {
            pool: pool.clone(),
            key: Arc::new(SealingKey::from_base64(&SEALING_KEY.to_owned().into()).unwrap()),
            clock: Arc::new(SystemClock::default()),
            listener: service_listener,
            admin: None,
            roles: vec![Role::Receive, Role::Process, Role::Deliver, Role::Web],
            demo: false,
        };
        let service = Service::start(&config, parts).await.unwrap();
        let observed = Observed::create(pool, TITLE).await;
        Self {
            messenger,
            service: Some(service),
            serving,
            stop,
            observed,
        }
    }

    async fn end(mut self) {
        self.messenger.shutdown().await;
        self.stop.cancel();
        self.service.take().unwrap().stop().await;
        self.serving.await.unwrap();
        self.observed.pool.close().await;
    }

    fn user(name: &str) -> String {
        format!("@{name}:chat.test")
    }

    async fn settle(&self) {
        self.look_again().await;
        self.quiet().await;
    }

    /// Makes the item's chat, and returns the room.
    async fn make_chat(&self) -> String {
        self.create_chat().await;
        let named = |world: &liaison::sandbox::World| Some(world.room_named(TITLE)?.id.clone());
        self.messenger.wait_for(named, PATIENCE).await.unwrap()
    }

    /// Waits until the messenger has told everything and nothing is left to do.
    async fn quiet(&self) {
        self.quiet_within(PATIENCE).await;
    }

    async fn quiet_within(&self, patience: Duration) {
        let begun = std::time::Instant::now();
        loop {
            let told = self.messenger.read(liaison::sandbox::World::is_told);
            let left: i64 = sqlx::query(
                "SELECT (SELECT count(*) FROM deliveries WHERE settled_at IS NULL) + (SELECT count(*) FROM effects WHERE settled_at IS NULL)",
            )
            .fetch_one(&self.pool)
            .await
            .unwrap()
            .get(0);
            if told && left == 0 {
                return;
            }
            assert!(begun.elapsed() < patience, "{left} left, told: {told}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Who is in the room beside the bot.
    fn members(&self, room: &str) -> Vec<String> {
        self.messenger.read(|world| {
            let joined = world.room(room).unwrap().joined().into_iter();
            joined
                .filter(|id| *id != world.bot())
                .map(|id| id[1..].split(':').next().unwrap().to_owned())
                .collect()
        })
    }

    async fn wait_members(&self, room: &str, expected: &[&str]) {
        let names: Vec<String> = expected.iter().map(|name| Self::user(name)).collect();
        let is_so = |world: &liaison::sandbox::World| {
            let bot = world.bot();
            let joined = world.room(room)?.joined();
            let people: Vec<&str> = joined.into_iter().filter(|id| *id != bot).collect();
            (people == names).then_some(())
        };
        let found = self.messenger.wait_for(is_so, PATIENCE).await;
        assert!(
            found.is_some(),
            "{:?} and not {expected:?}",
            self.members(room)
        );
        self.quiet().await;
        assert_eq!(self.members(room), expected);
    }

    /// Who observes the item: name and whether he is to be in the chat.
    async fn observers(&self) -> Vec<(String, bool)> {
        sqlx::query(
            "SELECT username, in_chat FROM observers JOIN people ON people.id = person_id WHERE item_id = $1 ORDER BY username",
        )
        .bind(self.item.0)
        .fetch_all(&self.pool)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
    }

    fn texts(&self, room: &str) -> Vec<String> {
        self.messenger.read(|world| {
            let messages = world.room(room).unwrap().messages();
            messages.map(|(_, text)| text.to_owned()).collect()
        })
    }

    async fn problem(&self) -> Option<String> {
        sqlx::query("SELECT problem FROM chats WHERE item_id = $1")
            .bind(self.item.0)
            .fetch_one(&self.pool)
            .await
            .unwrap()
            .get(0)
    }
}

fn observing(observers: &[(&str, bool)]) -> Vec<(String, bool)> {
    observers
        .iter()
        .map(|(name, is_in)| ((*name).to_owned(), *is_in))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_makes_the_chat_and_the_chat_gives_back_additions() {
    let world = World::new().await;
    world.reassign("ann").await;
    world.add("bob").await;
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann", "bob"]).await;
    assert_eq!(world.problem().await, None);
    let leaders = |world: &liaison::sandbox::World| {
        let room = world.room(&room)?;
        (room.leaders(&world.bot()) == ["@ann:chat.test"]).then_some(())
    };
    world.messenger.wait_for(leaders, PATIENCE).await.unwrap();

    // Added here, and there.
    world.add("dan").await;
    world.wait_members(&room, &["ann", "bob", "dan"]).await;
    world
        .messenger
        .invite(&World::user("bob"), &room, &World::user("eve"))
        .unwrap();
    world.quiet().await;
    let all = [("bob", true), ("dan", true), ("eve", true)];
    assert_eq!(world.observers().await, observing(&all));

    // Left there: observes on, and nothing puts him back.
    world
        .messenger
        .remove(&World::user("dan"), &room, &World::user("dan"))
        .unwrap();
    world.quiet().await;
    world.settle().await;
    world.wait_members(&room, &["ann", "bob", "eve"]).await;
    let away = [("bob", true), ("dan", false), ("eve", true)];
    assert_eq!(world.observers().await, observing(&away));

    // Added again on purpose; removed.
    world.add("dan").await;
    world
        .wait_members(&room, &["ann", "bob", "dan", "eve"])
        .await;
    world.remove("eve").await;
    world.wait_members(&room, &["ann", "bob", "dan"]).await;
    assert_eq!(
        world.observers().await,
        observing(&[("bob", true), ("dan", true)])
    );

    // Another responsible: the one before observes on, and leads no more.
    world.reassign("bob").await;
    world.quiet().await;
    let leaders = world.messenger.read(|messenger| {
        let room = messenger.room(&room).unwrap();
        room.leaders(&messenger.bot())
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    assert_eq!(leaders, [World::user("bob")]);
    world.wait_members(&room, &["ann", "bob", "dan"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_found_by_a_look() {
    let world = World::new().await;
    world.reassign("ann").await;
    world.add("bob").await;
    world.add("dan").await;
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann", "bob", "dan"]).await;
    world
        .messenger
        .remove(&World::user("bob"), &room, &World::user("bob"))
        .unwrap();
    world
        .messenger
        .invite(&World::user("ann"), &room, &World::user("eve"))
        .unwrap();
    world.messenger.lose_events();
    world.settle().await;
    let expected = [("bob", false), ("dan", true), ("eve", true)];
    assert_eq!(world.observers().await, observing(&expected));

    // One who left, which nobody noticed, and is added again on purpose, comes back.
    world
        .messenger
        .remove(&World::user("dan"), &room, &World::user("dan"))
        .unwrap();
    world.messenger.lose_events();
    world.add("dan").await;
    world.wait_members(&room, &["ann", "dan", "eve"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_add_observers_adds_nobody_to_the_list() {
    let world = World::with("invite_policy = \"editors\"", true).await;
    world.reassign("ann").await;
    world.add("eve").await;
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann", "eve"]).await;
    world.messenger.register("stranger", "Stranger", None);
    world
        .messenger
        .invite(&World::user("eve"), &room, &World::user("bob"))
        .unwrap();
    world
        .messenger
        .invite(&World::user("ann"), &room, &World::user("stranger"))
        .unwrap();
    world.quiet().await;
    assert_eq!(world.observers().await, observing(&[("eve", true)]));
    // Nobody put them out either: they are there and see what was written, which a report names.
    assert_eq!(world.members(&room), ["ann", "bob", "eve", "stranger"]);
    // The responsible may.
    world
        .messenger
        .remove(&World::user("bob"), &room, &World::user("bob"))
        .unwrap();
    world.quiet().await;
    world
        .messenger
        .invite(&World::user("ann"), &room, &World::user("bob"))
        .unwrap();
    world.quiet().await;
    assert_eq!(
        world.observers().await,
        observing(&[("bob", true), ("eve", true)])
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_declines_is_not_asked_again() {
    let world = World::with("", false).await;
    world.reassign("ann").await;
    world.add("bob").await;
    let room = world.make_chat().await;
    world.quiet().await;
    let stands = |name: &str| {
        let user = World::user(name);
        world
            .messenger
            .read(|messenger| messenger.room(&room).unwrap().membership(&user))
    };
    assert_eq!(stands("bob"), Some(Membership::Invited));
    world.messenger.join(&World::user("ann"), &room).unwrap();
    world
        .messenger
        .remove(&World::user("bob"), &room, &World::user("bob"))
        .unwrap();
    world.quiet().await;
    world.settle().await;
    assert_eq!(stands("bob"), Some(Membership::Left));
    assert_eq!(world.observers().await, observing(&[("bob", false)]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_a_chat_runs_once_and_is_answered_in_its_thread() {
    let world = World::new().await;
    world.reassign("ann").await;
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann"]).await;
    let asked = world
        .messenger
        .say(
            &World::user("ann"),
            &room,
            "!crm add_observers @bob nobody@example.com",
        )
        .unwrap();
    world.wait_members(&room, &["ann", "bob"]).await;
    let answer = world.texts(&room).pop().unwrap();
    assert!(answer.starts_with("- `add_observers`"), "{answer}");
    assert!(
        answer.contains("`@bob`") && answer.contains("`nobody@example.com`"),
        "{answer}"
    );
    world.messenger.tell_again(&asked);
    world.quiet().await;
    assert_eq!(world.texts(&room).len(), 2);

    world
        .messenger
        .say(&World::user("bob"), &room, "@liaison observers")
        .unwrap();
    world.quiet().await;
    let answer = world.texts(&room).pop().unwrap();
    assert!(
        answer.contains("`ann`") && answer.contains("`bob`"),
        "{answer}"
    );
    // Whoever may only read changes nothing.
    world
        .messenger
        .invite(&World::user("ann"), &room, &World::user("eve"))
        .unwrap();
    world
        .messenger
        .say(&World::user("eve"), &room, "/crm remove_observers @bob")
        .unwrap();
    world.quiet().await;
    let answer = world.texts(&room).pop().unwrap();
    assert!(
        answer.contains("no right") || answer.contains("may not"),
        "{answer}"
    );
    assert_eq!(
        world.observers().await,
        observing(&[("bob", true), ("eve", true)])
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_a_chat_is_taken_back_in_the_chat() {
    let world = World::new().await;
    world.reassign("ann").await;
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann"]).await;
    let says = |who: &str, text: &str| {
        let asked = world.messenger.say(&World::user(who), &room, text);
        asked.unwrap()
    };
    says("ann", "!crm add_observers @bob @eve");
    world.wait_members(&room, &["ann", "bob", "eve"]).await;
    // It was not his to take back.
    says("bob", "!crm undo");
    world.quiet().await;
    let answer = world.texts(&room).pop().unwrap();
    assert_eq!(
        answer,
        "- `undo`: there is nothing of yours to take back here"
    );
    assert_eq!(
        world.observers().await,
        observing(&[("bob", true), ("eve", true)])
    );

    let undo = says("ann", "!crm undo");
    world.wait_members(&room, &["ann"]).await;
    world.quiet().await;
    let answer = world.texts(&room).pop().unwrap();
    assert!(
        answer.starts_with("- `undo`: 2 changes of `add_observers` taken back"),
        "{answer}"
    );
    assert_eq!(world.observers().await, observing(&[]));
    // Heard twice it does nothing more, and it is not taken back itself.
    let said = world.texts(&room).len();
    world.messenger.tell_again(&undo);
    world.quiet().await;
    assert_eq!(world.texts(&room).len(), said);
    says("ann", "!crm undo");
    world.quiet().await;
    let answer = world.texts(&room).pop().unwrap();
    assert_eq!(
        answer,
        "- `undo`: there is nothing of yours to take back here"
    );
    assert_eq!(world.observers().await, observing(&[]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_given_a_code_and_becomes_who_he_proves_to_be() {
    let world = World::new().await;
    world.reassign("ann").await;
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann"]).await;
    let stranger = world.messenger.register("robert", "Robert", None);
    world
        .messenger
        .invite(&World::user("ann"), &room, &stranger)
        .unwrap();
    world.quiet().await;
    assert_eq!(world.observers().await, observing(&[]));
    world.messenger.write_to_bot(&stranger, "Hello").unwrap();
    let told = |world: &liaison::sandbox::World| {
        let rooms = world.rooms.values().filter(|room| room.direct);
        let mut texts = rooms.flat_map(liaison::sandbox::Room::messages);
        let (_, text) = texts.find(|(by, text)| *by == world.bot() && text.contains("code: `"))?;
        let (_, rest) = text.split_once("code: `")?;
        Some(rest.split('`').next()?.to_owned())
    };
    let code = world.messenger.wait_for(told, PATIENCE).await.unwrap();
    world.quiet().await;
    let bob = world.person("bob").await;
    let mut tx = world.pool.begin().await.unwrap();
    let now = SystemClock::default().now();
    let wrong = identity::use_code(&mut tx, "WRONG", now).await.unwrap();
    assert_eq!(wrong, None);
    let late = now + chrono::TimeDelta::minutes(16);
    let proven = identity::use_code(&mut tx, &code, late).await.unwrap();
    assert_eq!(proven, None, "the code has ended");
    let proven = identity::use_code(&mut tx, &code, now)
        .await
        .unwrap()
        .unwrap();
    assert!(identity::prove(&mut tx, bob, &proven).await.unwrap());
    let again = identity::use_code(&mut tx, &code, now).await.unwrap();
    assert_eq!(again, None, "a code works once");
    // A message counts once, however often it is tried, and three are enough.
    let message = || DeliveryId(SystemClock::default().id());
    let tried = message();
    let messages = [tried, tried, tried, tried, message(), message(), message()];
    let mut given = Vec::new();
    for (number, delivery) in messages.into_iter().enumerate() {
        let (code, account) = (format!("CODE{number}"), (world.on, &*stranger, "robert"));
        given.push(
            identity::give_code(&mut tx, (&code, delivery), account, now)
                .await
                .unwrap(),
        );
    }
    assert_eq!(given, [true, true, true, true, true, true, false]);
    let chats = liaison::store::member::of_stranger(&mut tx, world.on, &stranger)
        .await
        .unwrap();
    assert_eq!(chats.len(), 1);
    tx.commit().await.unwrap();
    world.settle().await;
    assert_eq!(world.observers().await, observing(&[("bob", true)]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_gone_is_said_and_left_alone() {
    let world = World::new().await;
    world.reassign("ann").await;
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann"]).await;
    let bot = World::user("liaison");
    world.messenger.remove(&bot, &room, &bot).unwrap();
    world.quiet().await;
    let state: String = sqlx::query("SELECT state FROM chats")
        .fetch_one(&world.pool)
        .await
        .unwrap()
        .get(0);
    assert_eq!(state, "gone");
    assert!(world.problem().await.unwrap().contains("gone"));
    let told: i64 = sqlx::query("SELECT count(*) FROM history WHERE action = 'chat_gone'")
        .fetch_one(&world.pool)
        .await
        .unwrap()
        .get(0);
    assert_eq!(told, 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_messenger_that_fails_is_asked_again_and_no_room_is_made_twice() {
    let world = World::new().await;
    world.reassign("ann").await;
    world.add("bob").await;
    world.messenger.fail(2);
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann", "bob"]).await;
    let rooms = world.messenger.read(|world| world.rooms.len());
    assert_eq!(rooms, 1);
    // Whatever of the making was not recorded is found again.
    sqlx::query("UPDATE chats SET remote_id = NULL")
        .execute(&world.pool)
        .await
        .unwrap();
    world.settle().await;
    let rooms = world
        .messenger
        .read(|world| world.rooms.values().filter(|room| !room.direct).count());
    assert_eq!(rooms, 1);
    world.wait_members(&room, &["ann", "bob"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_what_concerns_them() {
    let world = World::new().await;
    world.reassign("ann").await;
    world.add("eve").await;
    let room = world.make_chat().await;
    world.wait_members(&room, &["ann", "eve"]).await;
    world
        .messenger
        .invite(&World::user("ann"), &room, &World::user("bob"))
        .unwrap();
    let bob = World::user("bob");
    let told = |world: &liaison::sandbox::World| {
        let mut rooms = world
            .rooms
            .values()
            .filter(|room| room.direct && room.membership(&bob).is_some());
        let (_, text) = rooms.find_map(|room| room.messages().next())?;
        Some(text.to_owned())
    };
    let text = world.messenger.wait_for(told, PATIENCE).await.unwrap();
    assert!(
        text.starts_with("- You now observe `Office chairs for Byron` (http"),
        "{text}"
    );
    assert!(text.contains("(by `ann`)"), "{text}");
    world.quiet().await;
    let mut connection = world.pool.acquire().await.unwrap();
    let people = [world.person("bob").await];
    sqlx::query("UPDATE people SET quiet = true")
        .execute(&world.pool)
        .await
        .unwrap();
    let reachable = policy::reachable(&mut connection, world.on, &people)
        .await
        .unwrap();
    assert_eq!(reachable.len(), 0);
    drop(connection);
    world.end().await;
}

/// Prints how long many chats take: `LIAISON_MEASURE=1 scripts/test --test it many_chats -- --nocapture` for a thousand.
#[tokio::test(flavor = "multi_thread")]
async fn many_chats_are_compared() {
    let count = i64::from(measured(20, 1000));
    let world = World::new().await;
    let people = [world.person("ann").await, world.person("bob").await];
    let mut tx = world.pool.begin().await.unwrap();
    sqlx::query(
        "WITH made AS (
             INSERT INTO items (root_id, group_id, kind, title, responsible_id, created_at, updated_at)
             SELECT $1, $2, 'deal', 'Deal ' || n, $3, now(), now() FROM generate_series(1, $5) AS n RETURNING id),
         observed AS (
             INSERT INTO observers (root_id, item_id, person_id, added_at) SELECT $1, id, $4, now() FROM made)
         INSERT INTO chats (root_id, item_id, connection_id, history, state, created_at)
         SELECT $1, id, $6, 'all', 'open', now() FROM made",
    )
    .bind(world.root.0)
    .bind(world.group.0)
    .bind(people[0].0)
    .bind(people[1].0)
    .bind(count)
    .bind(world.on.0)
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    for what in ["made", "compared", "compared once more"] {
        let begun = std::time::Instant::now();
        let chats: Vec<i64> = sqlx::query("SELECT id FROM chats")
            .fetch_all(&world.pool)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let mut connection = world.pool.acquire().await.unwrap();
        for chat in chats {
            world.look_at(&mut connection, ChatId(chat)).await;
        }
        drop(connection);
        world.wake().await;
        world.quiet_within(Duration::from_mins(3)).await;
        let calls = world.messenger.read(|messenger| messenger.calls.len());
        println!(
            "{count} chats {what} in {:?}, {calls} calls until now",
            begun.elapsed()
        );
    }
    let there = world.messenger.read(|messenger| {
        messenger
            .rooms
            .values()
            .filter(|room| room.joined().len() == 3)
            .count()
    });
    assert_eq!(i64::try_from(there).unwrap(), count);
    world.end().await;
}
