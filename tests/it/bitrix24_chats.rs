//! The service beside a portal: its real events come in as forms, and it takes real calls.

use std::{fmt::Write, ops::Deref, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use liaison::{
    app::{Parts, Role, Service},
    config::{self, Overrides},
    crm::Crm,
    crypto::{SealingKey, digest},
    domain::{Clock, SystemClock, Via},
    egress::{Answer, Call, Egress, Limits},
    rules::Hidden,
    store::{portal, token},
};
use serde_json::{Value, json};
use sqlx::Row;
use tokio::net::TcpListener;
use url::Url;

use crate::{
    harness::{PATIENCE, SEALING_KEY, bodies, database, headers, pool, recorded_log},
    observed::Observed,
    portal::{
        ACCOUNT, APPLICATION_TOKEN, BOT, BOT_TOKEN, Fate, Item, MEMBER, Portal, SECRET, State,
        event_body,
    },
};

const TOKEN: &str = "lia_test";
const HOOK: &str = "/hooks/acme-portal";
/// The deal of the portal that tests link.
const DEAL: (i64, u64) = (2, 1663);

/// People here and their numbers in the portal.
const PEOPLE: [(&str, u64); 3] = [("rita", 11), ("dev", 12), ("maya", 13)];

struct World {
    portal: Portal,
    service: Option<Service>,
    url: Url,
    observed: Observed,
}

impl Deref for World {
    type Target = Observed;

    fn deref(&self) -> &Observed {
        &self.observed
    }
}

fn configuration(service: &Url, portal: &Url) -> String {
    let mut text = format!(
        r#"[server]
listen = "127.0.0.1:0"
public_url = "{service}"
[secrets]
key = "{SEALING_KEY}"
[queue]
retry_seconds = [0]
attempts = 6
[[connection]]
name = "portal"
kind = "bitrix24"
url = "{portal}"
token = "{portal}rest/{ACCOUNT}/{SECRET}/"
bot = "liaison"
[connection.bitrix24]
bot_id = {BOT}
bot_token = "{BOT_TOKEN}"
burst = 1000
requests_per_second = 1000.0
"#
    );
    let mut members = Vec::new();
    for (name, _) in PEOPLE {
        let _ = write!(
            text,
            "[[person]]\nusername = \"{name}\"\nemail = \"{name}@example.com\"\n"
        );
        let level = if name == "rita" { "owner" } else { "developer" };
        members.push(format!("{{ person = \"{name}\", level = \"{level}\" }}"));
    }
    let _ = write!(
        text,
        r#"[[group]]
path = "acme"
name = "Acme"
messenger = {{ connection = "portal" }}
members = [{}]
[[group.webhook]]
name = "acme-portal"
connection = "portal"
secret = "{APPLICATION_TOKEN}"
"#,
        members.join(", ")
    );
    text
}

impl World {
    async fn new() -> Self {
        let portal = Portal::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let pool = pool(database().await);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), configuration(&url, &portal.url)).unwrap();
        let overrides = Overrides {
            file: Some(file.path().to_owned()),
            ..Overrides::default()
        };
        let config = config::load(&overrides).unwrap();
        let parts = Parts {
            pool: pool.clone(),
            key: Arc::new(SealingKey::from_base64(&SEALING_KEY.into()).unwrap()),
            clock: Arc::new(SystemClock::default()),
            listener,
            admin: None,
            roles: vec![Role::Receive, Role::Process, Role::Deliver, Role::Web],
            demo: false,
        };
        let service = Service::start(&config, parts).await.unwrap();
        let observed = Observed::create(pool, "Chairs").await;
        portal.with(|state| state.outgoing = Some(url.join(HOOK).unwrap()));
        Self {
            portal,
            service: Some(service),
            url,
            observed,
        }
    }

    async fn end(mut self) {
        self.quiet().await;
        self.service.take().unwrap().stop().await;
        self.portal.end().await;
        self.observed.pool.close().await;
    }

    /// Makes the item's chat, and returns its number in the portal.
    async fn make_chat(&self) -> u64 {
        self.create_chat().await;
        self.quiet().await;
        self.portal
            .with(|state| *state.chats.keys().next().unwrap())
    }

    /// Has the chat compared, as the timer does.
    async fn settle(&self) {
        self.look_again().await;
        self.quiet().await;
    }

    /// Waits until the portal has told everything and nothing is left to do.
    async fn quiet(&self) {
        let begun = std::time::Instant::now();
        loop {
            let told = self.portal.is_quiet();
            let left: i64 = sqlx::query(
                "SELECT (SELECT count(*) FROM deliveries WHERE settled_at IS NULL) + (SELECT count(*) FROM effects WHERE settled_at IS NULL)
                        + (SELECT count(*) FROM portal_links WHERE due)",
            )
            .fetch_one(&self.pool)
            .await
            .unwrap()
            .get(0);
            if told && left == 0 && self.portal.is_quiet() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{left} left, told: {told}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Who is in the chat, in the order of the portal's numbers.
    fn members(&self, chat: u64) -> Vec<&'static str> {
        self.portal.with(|state| state.names(chat))
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

    async fn names(&self) -> Vec<String> {
        self.observers()
            .await
            .into_iter()
            .map(|one| one.0)
            .collect()
    }

    async fn responsible(&self) -> Option<String> {
        sqlx::query("SELECT username FROM items LEFT JOIN people ON people.id = responsible_id WHERE items.id = $1")
            .bind(self.item.0)
            .fetch_one(&self.pool)
            .await
            .unwrap()
            .get(0)
    }

    /// Creates an item, over the API; returns its global id.
    async fn create(&self, kind: &str, mut input: Value) -> Value {
        input["kind"] = json!(kind);
        input["groupId"] = json!(format!("gid://gitlab/Group/{}", self.group.0));
        let created = change(self, "itemCreate", "item { id }", input).await;
        created["item"]["id"].clone()
    }

    /// Makes the token with which somebody asks the API.
    async fn give_token(&self, name: &str) {
        let person = self.person(name).await;
        let mut connection = self.pool.acquire().await.unwrap();
        let (digest, now) = (digest(TOKEN.as_bytes()), SystemClock::default().now());
        token::create(&mut connection, person, "test", &digest, (now, None))
            .await
            .unwrap();
    }

    async fn post(&self, path: &str, kind: &'static str, body: Vec<u8>) -> Answer {
        let egress = Egress::new([&self.url], Limits::default()).unwrap();
        let mut call = Call::new(Method::POST, self.url.join(path).unwrap());
        call.headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        call.body = Bytes::from(body);
        egress.send(call).await.unwrap()
    }

    /// Links the item with the deal of the portal, which has these observers and this responsible person.
    async fn link(&self, observers: &[u64], assigned: u64) {
        let deal = Item {
            title: "Chairs".into(),
            observers: observers.to_vec(),
            assigned,
            hidden: false,
        };
        self.portal.with(|state| state.items.insert(DEAL, deal));
        let mut connection = self.pool.acquire().await.unwrap();
        let to = (self.on, DEAL.0, "1663");
        portal::link(&mut connection, (self.root, self.item), to)
            .await
            .unwrap();
    }

    fn deal(&self) -> (Vec<u64>, u64) {
        self.portal.with(|state| {
            let deal = &state.items[&DEAL];
            let mut observers = deal.observers.clone();
            observers.sort_unstable();
            (observers, deal.assigned)
        })
    }

    /// Changes the deal as its form in the portal does.
    fn save_deal(&self, fields: &serde_json::Value) {
        let parameters = json!({ "entityTypeId": 2, "id": 1663, "fields": fields });
        self.portal.act(11, "crm.item.update", &parameters);
    }

    async fn link_problem(&self) -> Option<String> {
        let mut connection = self.pool.acquire().await.unwrap();
        let link = portal::find(&mut connection, self.root, self.item)
            .await
            .unwrap();
        link.unwrap().problem
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn update_event() -> Vec<u8> {
    event_body(
        "ONCRMDEALUPDATE",
        &[("data[FIELDS][ID]".to_owned(), "7".to_owned())],
    )
}

fn message_event() -> Vec<u8> {
    let fields = [
        ("data[message][id]", "1"),
        ("data[message][text]", "hello"),
        ("data[message][authorId]", "11"),
        ("data[chat][dialogId]", "chat1"),
        ("data[user][id]", "11"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    event_body("ONIMBOTV2MESSAGEADD", &fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_forms_and_are_believed_from_one_portal() {
    let world = World::new().await;
    let event = update_event();
    let first = world.post(HOOK, FORM, event.clone()).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    // Two changes may be told in the same words within a second; a message has an id.
    let again = world.post(HOOK, FORM, event.clone()).await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    let said = message_event();
    for status in [StatusCode::ACCEPTED, StatusCode::OK] {
        let told = world.post(HOOK, FORM, said.clone()).await;
        assert_eq!(told.status, status);
    }
    let json = world.post(HOOK, "application/json", b"{}".to_vec()).await;
    assert_eq!(json.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let text = String::from_utf8(event).unwrap();
    let forged = text.replace(APPLICATION_TOKEN, "canary-forged-token");
    let refused = world.post(HOOK, FORM, forged.into_bytes()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    world.quiet().await;
    // The first proven event said which portal it is. Another one with the same token is refused once that is known.
    let other = text.replace(MEMBER, "of-another-portal");
    let begun = std::time::Instant::now();
    loop {
        let refused = world.post(HOOK, FORM, other.clone().into_bytes()).await;
        if refused.status == StatusCode::UNAUTHORIZED {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A bot proves itself by the address that it was registered with.
    let bot = text.replace(APPLICATION_TOKEN, "of-the-portals-own-making");
    let bot = bot.replace("ONCRMDEALUPDATE", "ONCRMDEALADD").into_bytes();
    let path = format!("{HOOK}?token={APPLICATION_TOKEN}");
    assert_eq!(
        world.post(&path, FORM, bot).await.status,
        StatusCode::ACCEPTED
    );
    world.quiet().await;
    for (_, body) in bodies(&world.pool).await {
        let body = String::from_utf8(body).unwrap();
        assert!(
            body.contains(MEMBER) && !body.contains(APPLICATION_TOKEN),
            "{body}"
        );
    }
    world.end().await;
    let log = recorded_log();
    for secret in [APPLICATION_TOKEN, SECRET, BOT_TOKEN, "canary-forged-token"] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_makes_the_chat_and_the_chat_gives_back_additions() {
    let world = World::new().await;
    world.reassign("rita").await;
    world.add("dev").await;
    let chat = world.make_chat().await;
    assert_eq!(world.members(chat), ["Account", "Rita", "Dev", "Liaison"]);
    world.portal.with(|state| {
        let chat = &state.chats[&chat];
        assert_eq!(
            (chat.owner, chat.managers.as_slice()),
            (BOT, &[BOT, 11][..])
        );
        assert_eq!(chat.members[&12], 0);
    });
    // Somebody is added in the portal; a guest, too, who becomes no observer.
    let add = |user: u64| json!({ "CHAT_ID": chat, "USERS": [user], "HIDE_HISTORY": "N" });
    world.portal.act(11, "im.chat.user.add", &add(13));
    world.portal.act(11, "im.chat.user.add", &add(30));
    world.quiet().await;
    assert_eq!(world.names().await, ["dev", "maya"]);
    // He leaves, observes on, and nothing puts him back.
    world
        .portal
        .act(12, "im.chat.leave", &json!({ "CHAT_ID": chat }));
    world.quiet().await;
    world.settle().await;
    let away = [("dev".to_owned(), false), ("maya".to_owned(), true)];
    assert_eq!(world.observers().await, away);
    assert!(!world.members(chat).contains(&"Dev"));
    // Added again on purpose; removed; another one is responsible.
    world.add("dev").await;
    world.quiet().await;
    assert!(world.members(chat).contains(&"Dev"));
    world.remove("maya").await;
    world.quiet().await;
    assert!(!world.members(chat).contains(&"Maya"));
    world.reassign("dev").await;
    world.quiet().await;
    let managers = world
        .portal
        .with(|state| state.chats[&chat].managers.clone());
    assert_eq!(managers, [BOT, 12]);
    assert!(world.members(chat).contains(&"Rita"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_hidden_where_that_is_wanted() {
    let world = World::new().await;
    world.reassign("rita").await;
    let chat = world.make_chat().await;
    let said = json!({ "DIALOG_ID": format!("chat{chat}"), "MESSAGE": "before" });
    world.portal.act(11, "im.message.add", &said);
    world.add_hiding("dev", Some(Hidden::Past)).await;
    world.add("maya").await;
    world.quiet().await;
    let floors = world.portal.with(|state| {
        let members = &state.chats[&chat].members;
        (members[&12], members[&13])
    });
    assert!(floors.0 > 0);
    assert_eq!(floors.1, 0);
    // Kept when he is added again.
    world.remove("dev").await;
    world.quiet().await;
    world.add("dev").await;
    world.quiet().await;
    let floor = world.portal.with(|state| state.chats[&chat].members[&12]);
    assert!(floor > floors.0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_doubled_events_end_in_the_same_state() {
    let world = World::new().await;
    world.reassign("rita").await;
    world.portal.with(|state| state.fate = Fate::Twice);
    let chat = world.make_chat().await;
    let add = json!({ "CHAT_ID": chat, "USERS": [12], "HIDE_HISTORY": "N" });
    world.portal.act(11, "im.chat.user.add", &add);
    world.quiet().await;
    assert_eq!(world.names().await, ["dev"]);
    world.portal.with(|state| state.fate = Fate::Lost);
    world
        .portal
        .act(12, "im.chat.leave", &json!({ "CHAT_ID": chat }));
    let add = json!({ "CHAT_ID": chat, "USERS": [13], "HIDE_HISTORY": "N" });
    world.portal.act(11, "im.chat.user.add", &add);
    world.quiet().await;
    assert_eq!(world.names().await, ["dev"]);
    world.settle().await;
    let both = [("dev".to_owned(), false), ("maya".to_owned(), true)];
    assert_eq!(world.observers().await, both);
    // The account loses sight of the chat: nobody is taken for gone.
    world.portal.with(|state| {
        let chat = state.chats.get_mut(&chat).unwrap();
        chat.members.remove(&ACCOUNT);
    });
    world.settle().await;
    assert_eq!(world.observers().await, both);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_run_once_and_answered_in_the_chat() {
    let world = World::new().await;
    world.reassign("rita").await;
    let chat = world.make_chat().await;
    world.portal.with(|state| state.fate = Fate::Twice);
    let say = |text: &str| json!({ "DIALOG_ID": format!("chat{chat}"), "MESSAGE": text });
    let add = "/crm add_observers dev@example.com";
    let asked = world.portal.act(11, "im.message.add", &say(add));
    world.quiet().await;
    assert_eq!(world.names().await, ["dev"]);
    // The portal tells of a slash command in an event of its own as well.
    let fields = [
        ("data[command][command]", "/crm"),
        ("data[command][context]", "textarea"),
        ("data[message][id]", &asked.to_string()),
        ("data[message][text]", add),
        ("data[message][authorId]", "11"),
        ("data[chat][dialogId]", &format!("chat{chat}")),
        ("data[user][id]", "11"),
    ];
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let command = event_body("ONIMBOTV2COMMANDADD", &fields);
    world.post(HOOK, FORM, command).await;
    world.portal.act(
        11,
        "im.message.add",
        &say("[USER=456]Liaison[/USER] observers"),
    );
    world.quiet().await;
    let answers: Vec<String> = world.portal.with(|state| {
        let said = state.chats[&chat].messages.iter();
        said.filter(|message| message.author == BOT)
            .map(|message| message.text.clone())
            .collect()
    });
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(answers[0].contains("dev@example.com"), "{answers:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_and_the_portals_are_kept_equal_both_ways() {
    let world = World::new().await;
    world.add("dev").await;
    world.link(&[13], 11).await;
    world.quiet().await;
    // The first comparison makes one list of two.
    assert_eq!(world.names().await, ["dev", "maya"]);
    assert_eq!(world.responsible().await.as_deref(), Some("rita"));
    assert_eq!(world.deal(), (vec![12, 13], 11));
    // Each side's changes reach the other.
    world.remove("maya").await;
    world.quiet().await;
    assert_eq!(world.deal(), (vec![12], 11));
    world.save_deal(&json!({ "observers": "" }));
    world.quiet().await;
    assert_eq!(world.names().await, [""; 0]);
    world.add("maya").await;
    world.quiet().await;
    assert_eq!(world.deal(), (vec![13], 11));
    world.reassign("dev").await;
    world.quiet().await;
    let (observers, assigned) = world.deal();
    assert_eq!((observers, assigned), (vec![11, 13], 12));
    world.save_deal(&json!({ "assignedById": 13 }));
    world.quiet().await;
    assert_eq!(world.responsible().await.as_deref(), Some("maya"));
    assert_eq!(world.link_problem().await, None);
    // Nothing goes back and forth.
    let calls = world.portal.calls("crm.item.update");
    world
        .post(
            HOOK,
            FORM,
            event_body(
                "ONCRMDEALUPDATE",
                &[("data[FIELDS][ID]".to_owned(), "1663".to_owned())],
            ),
        )
        .await;
    world.quiet().await;
    assert_eq!(world.portal.calls("crm.item.update"), calls);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_become_equal_whatever_is_lost_or_said_twice() {
    let world = World::new().await;
    world.link(&[13], 11).await;
    world.quiet().await;
    // Both change before either hears of the other, and no event arrives.
    world.portal.with(|state| state.fate = Fate::Lost);
    world.save_deal(&json!({ "observers": [13, 30] }));
    world.add("dev").await;
    world.quiet().await;
    // The guest, whom nobody here is, stays as the portal has him.
    assert_eq!(world.deal().0, [12, 13, 30]);
    assert_eq!(world.names().await, ["dev", "maya"]);
    // An answer is lost; the change was made.
    world.portal.with(|state| state.fate = Fate::Twice);
    world.save_deal(&json!({ "observers": [12, 30] }));
    world.portal.fail([
        crate::portal::Fault::Html(502),
        crate::portal::Fault::Error(503, "QUERY_LIMIT_EXCEEDED"),
    ]);
    world.quiet().await;
    assert_eq!(world.names().await, ["dev"]);
    world.remove("dev").await;
    world.quiet().await;
    assert_eq!(world.deal().0, [30]);
    // The portal hides the item, and shows it again.
    world
        .portal
        .with(|state| state.items.get_mut(&DEAL).unwrap().hidden = true);
    world.add("maya").await;
    world.quiet().await;
    assert!(world.link_problem().await.is_some());
    assert_eq!(world.names().await, ["maya"]);
    world
        .portal
        .with(|state| state.items.get_mut(&DEAL).unwrap().hidden = false);
    world.save_deal(&json!({ "title": "Tables" }));
    world.quiet().await;
    assert_eq!(world.deal().0, [13, 30]);
    assert_eq!(world.link_problem().await, None);
    world.end().await;
}

/// Asks the API for a change that has to be made, and waits for what follows from it.
async fn change(world: &World, name: &str, fields: &str, input: Value) -> Value {
    let payload = ask(world, name, fields, input).await;
    assert_eq!(payload["errors"], json!([]), "{payload}");
    world.quiet().await;
    payload
}

/// Has the chat of an item made; returns its number in the portal.
async fn chat_of(world: &World, item: &Value) -> u64 {
    let input = json!({ "id": item });
    change(world, "itemCreateChat", "item { id }", input).await;
    let newest = |state: &mut State| *state.chats.keys().next_back().unwrap();
    world.portal.with(newest)
}

/// Everybody who observes something.
async fn all_observers(world: &World) -> Vec<String> {
    sqlx::query_scalar("SELECT username FROM observers JOIN people ON people.id = person_id")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

/// Asks the API for a change.
async fn ask(world: &World, name: &str, fields: &str, input: Value) -> Value {
    let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let query =
        format!("mutation m($input: {kind}!) {{ {name}(input: $input) {{ errors {fields} }} }}");
    let body = json!({ "query": query, "variables": { "input": input } });
    let egress = Egress::new([&world.url], Limits::default()).unwrap();
    let mut call = Call::new(Method::POST, world.url.join("/api/graphql").unwrap());
    let bearer = format!("Bearer {TOKEN}");
    call.headers = headers(&[
        ("content-type", "application/json"),
        ("authorization", &bearer),
    ]);
    call.body = Bytes::from(body.to_string());
    let answer = egress.send(call).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"][name].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_an_item_becomes_of_its_chat() {
    let world = World::new().await;
    world.give_token("rita").await;
    world.reassign("rita").await;
    world.add("dev").await;
    let chat = world.make_chat().await;
    let item = format!("gid://liaison/Item/{}", world.item.0);
    let title = || world.portal.with(|state| state.chats[&chat].title.clone());
    let renamed = json!({ "id": item, "title": "Chairs and tables" });
    change(&world, "itemUpdate", "item { title }", renamed).await;
    assert_eq!(title(), "Chairs and tables");
    // Archived: the list is kept, and whoever leaves it leaves the chat.
    let archived = json!({ "id": item, "active": false });
    change(&world, "itemUpdate", "item { title }", archived).await;
    assert_eq!(world.names().await, ["dev"]);
    world.remove("dev").await;
    world.quiet().await;
    assert_eq!(world.members(chat), ["Account", "Rita", "Liaison"]);
    let used = json!({ "id": item, "active": true });
    change(&world, "itemUpdate", "item { title }", used).await;
    world.add("dev").await;
    world.quiet().await;
    assert_eq!(world.members(chat), ["Account", "Rita", "Dev", "Liaison"]);
    // Deleted: whoever is added in the chat then observes nothing, until the item is back.
    let deleted = json!({ "ids": [item] });
    let deleted = change(&world, "itemDelete", "operationId", deleted).await;
    let add = json!({ "CHAT_ID": chat, "USERS": [13], "HIDE_HISTORY": "N" });
    world.portal.act(11, "im.chat.user.add", &add);
    world.quiet().await;
    assert_eq!(world.names().await, [""; 0]);
    let restored = json!({ "operationId": deleted["operationId"] });
    change(&world, "itemRestore", "item { title }", restored).await;
    assert_eq!(world.names().await, ["dev", "maya"]);
    let everybody = ["Account", "Rita", "Dev", "Maya", "Liaison"];
    assert_eq!(world.members(chat), everybody);
    // Merged into another one: all are in the chat of that.
    let other = world.create("DEAL", json!({ "title": "Sofas" })).await;
    let second = chat_of(&world, &other).await;
    assert_ne!(second, chat);
    assert_eq!(world.members(second), ["Account", "Rita", "Liaison"]);
    let merge = json!({ "id": other, "mergedIds": [item] });
    change(&world, "itemMerge", "item { id }", merge).await;
    assert_eq!(world.members(second), everybody);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_takes_over_the_chat_of_its_lead() {
    let world = World::new().await;
    world.give_token("rita").await;
    let lead = json!({ "title": "Tables", "observers": ["dev"] });
    let lead = world.create("LEAD", lead).await;
    let chat = chat_of(&world, &lead).await;
    let members = ["Account", "Rita", "Dev", "Liaison"];
    assert_eq!(world.members(chat), members);
    let convert = json!({ "id": lead, "title": "Tables for Byron" });
    let fields = "item { observers { person { username } } }";
    let deal = change(&world, "itemConvert", fields, convert).await;
    assert_eq!(
        deal["item"]["observers"],
        json!([{ "person": { "username": "dev" } }])
    );
    let title = world.portal.with(|state| state.chats[&chat].title.clone());
    assert_eq!(
        (title.as_str(), world.members(chat)),
        ("Tables for Byron", members.to_vec())
    );
    assert_eq!(world.portal.with(|state| state.chats.len()), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_deactivated_leaves_and_what_cannot_be_observed_has_no_chat() {
    let world = World::new().await;
    world.give_token("rita").await;
    world.reassign("rita").await;
    world.add("dev").await;
    let chat = world.make_chat().await;
    let pool = world.pool.clone();
    let crm = Crm {
        pool,
        clock: Arc::new(SystemClock::default()),
        trackers: Arc::default(),
        level_fresh: Duration::ZERO,
        place_fresh: Duration::ZERO,
    };
    crm.deactivate((None, Via::CommandLine), world.person("dev").await)
        .await
        .unwrap();
    world.settle().await;
    assert_eq!(world.members(chat), ["Account", "Rita", "Liaison"]);
    assert_eq!(world.names().await, [""; 0]);
    let estimate = world.create("ESTIMATE", json!({ "title": "Chairs" })).await;
    let refused = "Estimates have no observers";
    let asked = ask(
        &world,
        "itemCreateChat",
        "__typename",
        json!({ "id": estimate }),
    )
    .await;
    assert_eq!(asked["errors"], json!([refused]));
    let add = json!({ "ids": [estimate], "people": ["maya"] });
    let asked = ask(
        &world,
        "itemAddObservers",
        "changed refused { reason }",
        add,
    )
    .await;
    assert_eq!(
        (&asked["changed"], &asked["refused"][0]["reason"]),
        (&json!(0), &json!(refused))
    );
    assert_eq!(world.portal.with(|state| state.chats.len()), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_says_so_has_whoever_leaves_the_chat_observe_no_more() {
    let world = World::new().await;
    sqlx::query("UPDATE groups SET chat_preset = 'legacy', reassignment = 'drop'")
        .execute(&world.pool)
        .await
        .unwrap();
    world.give_token("rita").await;
    let deal = json!({ "title": "Tables", "observers": ["dev"] });
    let deal = world.create("DEAL", deal).await;
    let chat = chat_of(&world, &deal).await;
    world
        .portal
        .act(12, "im.chat.leave", &json!({ "CHAT_ID": chat }));
    world.quiet().await;
    assert_eq!(all_observers(&world).await, [""; 0]);
    let responsible = json!({ "ids": [deal], "person": "maya" });
    let done = change(&world, "itemSetResponsible", "changed", responsible).await;
    assert_eq!(done["changed"], 1);
    assert_eq!(all_observers(&world).await, [""; 0]);
    assert_eq!(world.members(chat), ["Account", "Maya", "Liaison"]);
    world.end().await;
}
