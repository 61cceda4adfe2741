//! The client of a portal, against the portal that speaks what Bitrix24 documents.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture, future::join_all};
use liaison::{
    connector::{
        bitrix24::{
            Access, Application, Bot, Claim, Client, Limits, OAuth, PortalWrite, TokenStore,
            TokenStoreError, Tokens,
        },
        messenger::{Calls, History, Message, NewChat, Put, Refusal},
    },
    domain::{Clock, SystemClock},
    egress::{self, Egress, Retry},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::portal::{ACCOUNT, BOT, BOT_TOKEN, Fault, Item, Portal, SECRET};

fn limits() -> Limits {
    Limits {
        burst: 1000,
        per_second: 1000.0,
        ..Limits::default()
    }
}

fn client_with(portal: &Portal, access: Access, bot: bool, limits: Limits) -> Client {
    let egress = Egress::new([&portal.url], egress::Limits::default()).unwrap();
    let bot = bot.then(|| Bot {
        id: BOT.to_string(),
        token: Some(BOT_TOKEN.into()),
    });
    let clock = Arc::new(SystemClock::default());
    Client::new(
        Arc::new(egress),
        portal.url.clone(),
        (access, bot),
        limits,
        clock,
    )
}

fn webhook() -> Access {
    Access::Webhook {
        user: ACCOUNT.to_string(),
        secret: SECRET.into(),
    }
}

fn client(portal: &Portal) -> Client {
    client_with(portal, webhook(), true, limits())
}

async fn with_portal(test: impl AsyncFnOnce(&Portal, &Client)) {
    let portal = Portal::start().await;
    let client = client(&portal);
    test(&portal, &client).await;
    portal.end().await;
}

fn members(users: &[u64]) -> Vec<String> {
    users.iter().map(u64::to_string).collect()
}

async fn chat(client: &Client, key: &str, users: &[u64], admin: Option<&str>) -> String {
    let members = members(users);
    let new = NewChat {
        key,
        title: "Deal: Acme",
        history: History::All,
        members: &members,
        admin,
    };
    client.create_chat(&new).await.unwrap().unwrap().remote_id
}

fn number(chat: &str) -> u64 {
    chat.strip_prefix("chat").unwrap().parse().unwrap()
}

fn message(markdown: &str) -> Message<'_> {
    Message {
        key: SystemClock::default().id(),
        markdown,
        answers: None,
        tag: None,
    }
}

#[tokio::test]
async fn a_chat_is_made_once_and_led_by_the_bot() {
    with_portal(async |portal, client| {
        let made = chat(client, "item-7", &[11, 12], Some("11")).await;
        let again = chat(client, "item-7", &[11, 12], Some("11")).await;
        assert_eq!(made, again);
        // The answer was lost, and everything is done again.
        portal.fail([Fault::LostAnswer]);
        let found = client.create_chat(&NewChat {
            key: "item-8",
            title: "Lead",
            history: History::All,
            members: &[],
            admin: None,
        });
        assert!(found.await.is_err());
        chat(client, "item-8", &[], None).await;
        let other = chat(client, "item-8", &[], None).await;
        assert_ne!(made, other);
        portal.with(|state| {
            assert_eq!(state.chats.len(), 2);
            let chat = &state.chats[&number(&made)];
            assert_eq!(chat.owner, BOT);
            assert_eq!(chat.managers, [BOT, 11]);
            assert_eq!(
                state.names(number(&made)),
                ["Account", "Rita", "Dev", "Liaison"]
            );
        });
    })
    .await;
}

#[tokio::test]
async fn members_are_told_with_what_they_are() {
    with_portal(async |portal, client| {
        let made = chat(client, "item-7", &[11, 30], Some("11")).await;
        let told = client.members(&made).await.unwrap().unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|member| {
                (
                    member.name.as_str(),
                    member.is_admin,
                    member.is_guest,
                    member.is_bot,
                )
            })
            .collect();
        // The account that makes the calls is a tool of the bot.
        assert_eq!(
            told,
            [
                ("Rita", true, false, false),
                ("Gina", false, true, false),
                ("Liaison", true, false, true),
            ]
        );
        // Pages go on.
        portal.with(|state| {
            let rita = state.users[&11].clone();
            for id in 1000..1450 {
                state.users.insert(id, rita.clone());
                let chat = state.chats.get_mut(&number(&made)).unwrap();
                chat.members.insert(id, 0);
            }
        });
        let told = client.members(&made).await.unwrap().unwrap();
        assert_eq!(told.len(), 453);
    })
    .await;
}

#[tokio::test]
async fn nobody_to_be_seen_means_no_right_and_not_that_all_left() {
    with_portal(async |portal, client| {
        let made = chat(client, "item-7", &[11], None).await;
        portal.with(|state| {
            let chat = state.chats.get_mut(&number(&made)).unwrap();
            chat.members.remove(&ACCOUNT);
        });
        let gone = Refusal::ChatGone;
        assert_eq!(client.members(&made).await.unwrap(), Err(gone));
        assert_eq!(
            client.add(&made, "12", true).await.unwrap(),
            Put::Refused(gone)
        );
        assert_eq!(
            client.remove(&made, "11").await.unwrap(),
            Put::Refused(gone)
        );
        assert_eq!(client.rename(&made, "x").await.unwrap(), Put::Refused(gone));
        assert_eq!(
            client.set_admin(&made, "11").await.unwrap(),
            Put::Refused(gone)
        );
        for no_chat in ["chat999999", "999", "chat", "chat1 OR 1", ""] {
            assert_eq!(
                client.members(no_chat).await.unwrap(),
                Err(gone),
                "{no_chat}"
            );
            assert_eq!(
                client.add(no_chat, "12", true).await.unwrap(),
                Put::Refused(gone)
            );
        }
        let names = portal.with(|state| state.names(number(&made)));
        assert_eq!(names, ["Rita", "Liaison"]);
    })
    .await;
}

#[tokio::test]
async fn people_are_added_with_or_without_what_was_said() {
    with_portal(async |portal, client| {
        let made = chat(client, "item-7", &[11], None).await;
        client.say(&made, &message("first")).await.unwrap().unwrap();
        assert_eq!(client.add(&made, "12", false).await.unwrap(), Put::Done);
        assert_eq!(client.add(&made, "13", true).await.unwrap(), Put::Done);
        assert_eq!(client.add(&made, "13", true).await.unwrap(), Put::AlreadySo);
        portal.with(|state| {
            let chat = &state.chats[&number(&made)];
            let said = chat
                .messages
                .iter()
                .find(|message| message.author == BOT)
                .unwrap();
            assert!(chat.members[&12] > said.id);
            assert_eq!(chat.members[&13], 0);
        });
        let refused = |refusal| Put::Refused(refusal);
        // Left out by the portal without a word.
        assert_eq!(
            client.add(&made, "20", true).await.unwrap(),
            refused(Refusal::InactiveUser)
        );
        assert_eq!(
            client.add(&made, "9999", true).await.unwrap(),
            refused(Refusal::UnknownUser)
        );
        assert_eq!(
            client.add(&made, "x", true).await.unwrap(),
            refused(Refusal::UnknownUser)
        );
    })
    .await;
}

#[tokio::test]
async fn people_are_removed_but_not_the_owner() {
    with_portal(async |portal, client| {
        let made = chat(client, "item-7", &[11, 12], Some("11")).await;
        assert_eq!(client.remove(&made, "12").await.unwrap(), Put::Done);
        assert_eq!(client.remove(&made, "12").await.unwrap(), Put::AlreadySo);
        assert_eq!(client.remove(&made, "x").await.unwrap(), Put::AlreadySo);
        // Somebody else owns it.
        portal.with(|state| {
            let chat = state.chats.get_mut(&number(&made)).unwrap();
            (chat.owner, chat.managers) = (11, vec![11, BOT]);
        });
        let refused = Put::Refused(Refusal::NoRight);
        assert_eq!(client.remove(&made, "11").await.unwrap(), refused);
        // Neither the bot nor the account leads it.
        portal.with(|state| {
            let chat = state.chats.get_mut(&number(&made)).unwrap();
            chat.managers = vec![11];
            chat.members.insert(13, 0);
        });
        assert_eq!(client.remove(&made, "13").await.unwrap(), refused);
    })
    .await;
}

#[tokio::test]
async fn a_chat_is_renamed_and_led_by_one() {
    with_portal(async |portal, client| {
        let made = chat(client, "item-7", &[11, 12], Some("11")).await;
        assert_eq!(
            client.rename(&made, "Deal:  Acme\n").await.unwrap(),
            Put::AlreadySo
        );
        assert_eq!(
            client.rename(&made, "Deal: Initech").await.unwrap(),
            Put::Done
        );
        assert_eq!(client.set_admin(&made, "11").await.unwrap(), Put::AlreadySo);
        assert_eq!(client.set_admin(&made, "12").await.unwrap(), Put::Done);
        portal.with(|state| {
            let chat = &state.chats[&number(&made)];
            assert_eq!((chat.title.as_str(), chat.owner), ("Deal: Initech", BOT));
            assert_eq!(chat.managers, [BOT, 12]);
        });
        // Who is not in it cannot lead it.
        let refused = Put::Refused(Refusal::NoRight);
        assert_eq!(client.set_admin(&made, "13").await.unwrap(), refused);
        let closed = client.set_open(&made, false).await.unwrap();
        assert_eq!(closed, Put::Refused(Refusal::CannotClose));
    })
    .await;
}

#[tokio::test]
async fn without_a_bot_the_account_keeps_the_chat() {
    let portal = Portal::start().await;
    let client = client_with(&portal, webhook(), false, limits());
    assert!(!client.abilities().has_admin);
    assert!(client.abilities().hides_history);
    assert_eq!(client.whoami().await.unwrap().id, ACCOUNT.to_string());
    let made = chat(&client, "item-7", &[11], Some("11")).await;
    assert_eq!(
        client.set_admin(&made, "11").await.unwrap(),
        Put::Refused(Refusal::NoAdmin)
    );
    assert_eq!(client.remove(&made, "11").await.unwrap(), Put::Done);
    let told = client.members(&made).await.unwrap().unwrap();
    assert_eq!(told.len(), 1);
    client.say(&made, &message("hello")).await.unwrap().unwrap();
    // Once there is a bot, it takes the chat over.
    let client = client_with(&portal, webhook(), true, limits());
    assert_eq!(client.add(&made, "12", true).await.unwrap(), Put::Done);
    assert_eq!(client.set_admin(&made, "12").await.unwrap(), Put::Done);
    assert_eq!(portal.with(|state| state.chats[&number(&made)].owner), BOT);
    portal.end().await;
}

#[tokio::test]
async fn a_message_is_sent_once_whatever_happens_to_the_answer() {
    with_portal(async |portal, client| {
        let made = chat(client, "item-7", &[11], None).await;
        let one = message("Added `[USER=11]x[/USER]`.\n\n- **done**");
        // The search for it finds nothing, the sending is lost.
        portal.with(|state| state.limit.overflows = 0);
        portal.fail([Fault::LostAnswer]);
        assert!(client.say(&made, &one).await.is_err());
        let id = client.say(&made, &one).await.unwrap().unwrap();
        assert_eq!(client.say(&made, &one).await.unwrap().unwrap(), id);
        client.say(&made, &message("Added")).await.unwrap().unwrap();
        let texts: Vec<String> = portal.with(|state| {
            let said = state.chats[&number(&made)].messages.iter();
            said.filter(|message| message.author == BOT)
                .map(|message| message.text.clone())
                .collect()
        });
        assert_eq!(texts.len(), 2);
        assert!(
            texts[0].starts_with("Added ［USER=11]x［/USER].\n• [b]done[/b]"),
            "{texts:?}"
        );
        let gone = client.say("chat999", &message("x")).await.unwrap();
        assert_eq!(gone, Err(Refusal::ChatGone));
    })
    .await;
}

#[tokio::test]
async fn a_command_is_answered_where_the_bot_is_not() {
    with_portal(async |portal, client| {
        let made = chat(client, "item-7", &[11], None).await;
        let asked = portal.act(
            11,
            "im.message.add",
            &json!({ "DIALOG_ID": made, "MESSAGE": "/crm observers" }),
        );
        portal.with(|state| {
            let chat = state.chats.get_mut(&number(&made)).unwrap();
            chat.members.remove(&BOT);
            chat.members.remove(&ACCOUNT);
        });
        let asked = asked.to_string();
        let mut answer = message("nobody observes it");
        answer.answers = Some(&asked);
        client.say(&made, &answer).await.unwrap().unwrap();
        let last = portal.with(|state| {
            state.chats[&number(&made)]
                .messages
                .last()
                .cloned()
                .unwrap()
        });
        assert!(last.text.starts_with("nobody observes it"));
    })
    .await;
}

#[tokio::test]
async fn a_notice_takes_the_place_of_the_one_with_its_tag() {
    with_portal(async |portal, client| {
        let mut first = message("You observe **Acme**");
        first.tag = Some("item-7");
        let mut second = message("You no longer observe Acme");
        second.tag = Some("item-7");
        client.tell("12", &first).await.unwrap().unwrap();
        client.tell("12", &second).await.unwrap().unwrap();
        client.tell("11", &first).await.unwrap().unwrap();
        // Without a tag each is its own, and the same one again is the same.
        let plain = message("hello");
        client.tell("12", &plain).await.unwrap().unwrap();
        client.tell("12", &plain).await.unwrap().unwrap();
        let told: Vec<_> = portal.with(|state| {
            let notices = state.notices.iter();
            notices
                .map(|notice| (notice.user, notice.text.clone()))
                .collect()
        });
        assert_eq!(
            told,
            [
                (12, "You no longer observe Acme".to_owned()),
                (11, "You observe [b]Acme[/b]".to_owned()),
                (12, "hello".to_owned()),
            ]
        );
        assert_eq!(
            client.tell("20", &plain).await.unwrap(),
            Err(Refusal::InactiveUser)
        );
        assert_eq!(
            client.tell("9999", &plain).await.unwrap(),
            Err(Refusal::UnknownUser)
        );
    })
    .await;
}

#[tokio::test]
async fn people_are_found_by_address_only_where_it_proves_them() {
    with_portal(async |portal, client| {
        let by = async |email: &str| client.user_by_email(email).await.unwrap();
        assert_eq!(by("rita@example.com").await.as_deref(), Some("11"));
        assert_eq!(by("maya@example.com").await.as_deref(), Some("13"));
        // Switched off, a guest, nobody.
        for email in [
            "fred@example.com",
            "gina@partner.example",
            "no@example.com",
            "",
        ] {
            assert_eq!(by(email).await, None, "{email}");
        }
        // Two with one address prove nothing.
        portal.with(|state| {
            let rita = state.users[&11].clone();
            state.users.insert(77, rita);
        });
        assert_eq!(by("rita@example.com").await, None);
        let fred = client.user("20").await.unwrap().unwrap();
        assert!(!fred.active && fred.email.is_none());
        let gina = client.user("30").await.unwrap().unwrap();
        assert!(gina.is_guest && gina.email.is_none());
        assert_eq!(client.user("9999").await.unwrap(), None);
        assert_eq!(client.user("11 OR 1").await.unwrap(), None);
        let bot = client.whoami().await.unwrap();
        assert_eq!((bot.id.as_str(), bot.username.as_str()), ("456", "liaison"));
    })
    .await;
}

fn deal(portal: &Portal, observers: &[u64]) {
    let item = Item {
        title: "Acme".into(),
        observers: observers.to_vec(),
        assigned: 11,
        hidden: false,
    };
    portal.with(|state| state.items.insert((2, 1663), item));
}

#[tokio::test]
async fn items_are_read_and_written_whole() {
    with_portal(async |portal, client| {
        deal(portal, &[12]);
        let read = client
            .portal_item(2, "1663")
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(
            (read.title.as_str(), read.responsible.as_deref()),
            ("Acme", Some("11"))
        );
        assert_eq!(read.observers, ["12"]);
        let write = async |observers: &[&str], responsible: Option<&str>| {
            let write = PortalWrite {
                observers: Some(observers.iter().map(|id| (*id).to_owned()).collect()),
                responsible: responsible.map(str::to_owned),
            };
            let written = client.write_portal_item(2, "1663", &write).await;
            written.unwrap().unwrap().unwrap()
        };
        assert_eq!(write(&["12", "13"], None).await.observers, ["12", "13"]);
        // Read back: what the portal did not take is not there.
        assert_eq!(write(&["13", "9999"], Some("12")).await.observers, ["13"]);
        let cleared = write(&[], None).await;
        assert_eq!(
            (cleared.observers.len(), cleared.responsible.as_deref()),
            (0, Some("12"))
        );
        assert_eq!(client.portal_item(2, "5").await.unwrap(), Ok(None));
        assert_eq!(client.portal_item(2, "x").await.unwrap(), Ok(None));
        portal.with(|state| state.items.get_mut(&(2, 1663)).unwrap().hidden = true);
        assert_eq!(
            client.portal_item(2, "1663").await.unwrap(),
            Err(Refusal::NoRight)
        );
        let write = PortalWrite::default();
        let refused = client.write_portal_item(2, "1663", &write).await.unwrap();
        assert_eq!(refused, Err(Refusal::NoRight));
    })
    .await;
}

#[tokio::test]
async fn many_items_are_read_at_once() {
    with_portal(async |portal, client| {
        portal.with(|state| {
            for id in 1..=120 {
                state.items.insert((2, id), Item::default());
            }
            state.items.get_mut(&(2, 7)).unwrap().hidden = true;
        });
        let ids: Vec<String> = (1..=50).map(|id| id.to_string()).collect();
        assert_eq!(client.portal_items(2, &ids).await.unwrap().len(), 49);
        assert_eq!(client.portal_items(1, &ids).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn failures_say_whether_to_try_again_and_nothing_else() {
    with_portal(async |portal, client| {
        let later = |retry: Retry| matches!(retry, Retry::Later { .. });
        for (fault, again, throttled) in [
            (Fault::Html(200), true, false),
            (Fault::Html(502), true, false),
            (Fault::Html(404), true, false),
            (Fault::Error(503, "QUERY_LIMIT_EXCEEDED"), true, true),
            (Fault::Error(429, "TOO_MANY_REQUESTS"), true, true),
            (Fault::Error(429, "OPERATION_TIME_LIMIT"), true, false),
            (Fault::Error(503, "OVERLOAD_LIMIT"), true, true),
            (Fault::Error(500, "INTERNAL_SERVER_ERROR"), true, false),
            (Fault::Error(500, "PORTAL_DELETED"), true, false),
            (Fault::Error(401, "NO_AUTH_FOUND"), true, false),
            (Fault::Error(403, "insufficient_scope"), true, false),
            (Fault::Error(400, "100"), false, false),
            (Fault::Error(404, "ERROR_METHOD_NOT_FOUND"), false, false),
            (Fault::LostAnswer, true, false),
        ] {
            portal.fail([fault.clone()]);
            // A method of its own each time, since one that is blocked rests.
            let error = match fault {
                Fault::Error(_, "OPERATION_TIME_LIMIT") => {
                    client.portal_items(2, &[]).await.unwrap_err()
                }
                _ => client
                    .user_by_email("s3cr3t@example.com")
                    .await
                    .unwrap_err(),
            };
            assert_eq!(later(error.retry()), again, "{fault:?}");
            assert_eq!(error.is_throttled(), throttled, "{fault:?}");
            let told = format!("{error} {error:?} {client:?}");
            for secret in [SECRET, "s3cr3t", BOT_TOKEN] {
                assert!(!told.contains(secret), "{told}");
            }
        }
        // The blocked method rests, others go on.
        assert!(client.portal_items(2, &[]).await.is_err());
        assert_eq!(portal.calls("crm.item.list"), 0);
        client.whoami().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_portals_limits_are_kept() {
    let portal = Portal::start().await;
    portal.with(|state| {
        state.limit.burst = 20.0;
        state.limit.per_second = 40.0;
        state.limit.costs.insert("user.get", 40.0);
    });
    let limits = Limits {
        // A little less, since clocks and roads differ.
        burst: 19,
        per_second: 39.0,
        operating: Duration::from_mins(8),
    };
    let client = client_with(&portal, webhook(), true, limits);
    let began = tokio::time::Instant::now();
    let calls = (0..60).map(|_| client.whoami());
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(portal.with(|state| state.limit.overflows), 0);
    // 80 % of 480 s are used up after ten calls of 40 s.
    let mut made = 0;
    let refused = loop {
        match client.user("11").await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(made, 10);
    assert_eq!(portal.calls("user.get"), 10);
    let Retry::Later { after: Some(after) } = refused.retry() else {
        panic!("{refused:?}");
    };
    assert!(
        after > Duration::from_secs(50) && after <= Duration::from_secs(61),
        "{after:?}"
    );
    assert!(!refused.is_throttled());
    client.whoami().await.unwrap();
    portal.end().await;
}

/// Tokens in memory, as a store keeps them.
struct Kept {
    tokens: Mutex<Tokens>,
    claims: AtomicUsize,
    /// How often it does not take what is to be stored.
    refusals: AtomicUsize,
    releases: AtomicUsize,
}

impl TokenStore for Kept {
    fn access(&self) -> BoxFuture<'_, Result<Option<SecretString>, TokenStoreError>> {
        let access = self.tokens.lock().unwrap().access.clone();
        async { Ok(Some(access)) }.boxed()
    }

    fn claim<'a>(
        &'a self,
        worn: Option<&'a SecretString>,
    ) -> BoxFuture<'a, Result<Claim, TokenStoreError>> {
        let tokens = self.tokens.lock().unwrap().clone();
        let is_worn = worn.is_none_or(|worn| worn.expose_secret() == tokens.access.expose_secret());
        let number = self.claims.fetch_add(1, Ordering::Relaxed);
        async move {
            Ok(match (is_worn, number) {
                (false, _) => Claim::Renewed(tokens.access),
                // Somebody else is at it, and does not come back.
                (true, 0) => Claim::Busy,
                (true, _) => Claim::Mine(tokens.refresh),
            })
        }
        .boxed()
    }

    fn save<'a>(&'a self, tokens: &'a Tokens) -> BoxFuture<'a, Result<(), TokenStoreError>> {
        let refusals = self.refusals.load(Ordering::Relaxed);
        if refusals > 0 {
            self.refusals.store(refusals - 1, Ordering::Relaxed);
            return async { Err(TokenStoreError("away".into())) }.boxed();
        }
        *self.tokens.lock().unwrap() = tokens.clone();
        async { Ok(()) }.boxed()
    }

    fn release(&self) -> BoxFuture<'_, Result<(), TokenStoreError>> {
        self.releases.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }.boxed()
    }
}

fn oauth(portal: &Portal, refresh: &str) -> (Client, Arc<Kept>) {
    let kept = Arc::new(Kept {
        tokens: Mutex::new(Tokens {
            access: "ended".into(),
            refresh: refresh.into(),
        }),
        claims: AtomicUsize::new(0),
        refusals: AtomicUsize::new(0),
        releases: AtomicUsize::new(0),
    });
    let application = Application {
        server: portal.url.clone(),
        client_id: "local.1".into(),
        client_secret: "canary-client-secret".into(),
    };
    let oauth = OAuth::new(application, Arc::clone(&kept) as Arc<dyn TokenStore>);
    let access = Access::OAuth(Arc::new(oauth));
    (client_with(portal, access, false, limits()), kept)
}

#[tokio::test]
async fn an_ended_token_is_renewed_once_for_all_callers() {
    let portal = Portal::start().await;
    let (client, kept) = oauth(&portal, "canary-refresh-0");
    let calls = (0..20).map(|_| client.whoami());
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(portal.with(|state| state.renewals), 1);
    let refresh = kept.tokens.lock().unwrap().refresh.clone();
    assert_eq!(refresh.expose_secret(), "canary-refresh-1");
    // It ends again, and another process renewed it meanwhile.
    portal.with(|state| state.access_token = "renewed-elsewhere".into());
    kept.tokens.lock().unwrap().access = "renewed-elsewhere".into();
    client.whoami().await.unwrap();
    assert_eq!(portal.with(|state| state.renewals), 1);
    portal.end().await;
}

#[tokio::test]
async fn renewed_tokens_outlive_a_store_that_is_away() {
    let portal = Portal::start().await;
    let (client, kept) = oauth(&portal, "canary-refresh-0");
    kept.refusals.store(2, Ordering::Relaxed);
    for _ in 0..2 {
        client.whoami().await.unwrap_err();
    }
    // The only ones that are worth anything are not lost, and not asked for again.
    client.whoami().await.unwrap();
    assert_eq!(portal.with(|state| state.renewals), 1);
    let refresh = kept.tokens.lock().unwrap().refresh.clone();
    assert_eq!(refresh.expose_secret(), "canary-refresh-1");
    portal.end().await;
}

#[tokio::test]
async fn tokens_that_cannot_be_renewed_are_explained() {
    let portal = Portal::start().await;
    let (client, kept) = oauth(&portal, "s3cr3t-and-used-up");
    let error = client.whoami().await.unwrap_err();
    assert_eq!(kept.releases.load(Ordering::Relaxed), 1);
    let told = format!("{error} {error:?}");
    assert!(
        told.contains("invalid_grant") && told.contains("install the application anew"),
        "{told}"
    );
    assert!(
        !told.contains("s3cr3t") && !told.contains("canary"),
        "{told}"
    );
    assert!(matches!(error.retry(), Retry::Later { .. }));
    portal.end().await;
}
