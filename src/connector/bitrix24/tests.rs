//! Bodies as a portal sends them, written by hand after its documentation.

use chrono::{DateTime, TimeDelta, Utc};
use url::form_urlencoded;

use super::*;
use crate::{
    connector::{DecodeError, Routing, VerifyError, WebhookSecrets},
    domain::{ChatEvent, ChatMessage, ConnectionId, Heard},
};

const TOKEN: &str = "token-of-the-outgoing-webhook";
const MEMBER: &str = "1f0c9a7e5b3d48c2a6e4f8b0d2c4e6a8";

/// A body with the proof that the portal puts into each.
fn body(pairs: &[(&str, &str)]) -> Vec<u8> {
    let proof = [
        ("ts", "1790000000"),
        ("auth[domain]", "acme.bitrix24.example"),
        (
            "auth[client_endpoint]",
            "https://acme.bitrix24.example/rest/",
        ),
        ("auth[member_id]", MEMBER),
        ("auth[application_token]", TOKEN),
    ];
    form(&[pairs, &proof].concat())
}

fn form(pairs: &[(&str, &str)]) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
        .into_bytes()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_100, 0).unwrap()
}

fn secrets(sender: Option<&str>) -> WebhookSecrets {
    WebhookSecrets {
        tokens: vec![(TOKEN.into(), None)],
        signing: Vec::new(),
        sender: sender.map(str::to_owned),
    }
}

/// A message in the chat of a deal, with parts of it changed.
fn message(event: &str, changed: &[(&'static str, &'static str)]) -> Vec<u8> {
    let mut pairs = vec![
        ("event", event),
        ("event_handler_id", "71"),
        ("data[bot][id]", "456"),
        ("data[bot][code]", "liaison"),
        ("data[bot][auth][application_token]", "another-token"),
        ("data[bot][auth][access_token]", "bot-access"),
        ("data[message][id]", "9001"),
        ("data[message][chatId]", "1439"),
        ("data[message][authorId]", "27"),
        ("data[message][text]", "[USER=456]Liaison[/USER] observers"),
        ("data[message][isSystem]", "0"),
        ("data[message][uuid]", ""),
        ("data[chat][id]", "1439"),
        ("data[chat][dialogId]", "chat1439"),
        ("data[chat][type]", "crm"),
        ("data[chat][entityType]", "CRM"),
        ("data[chat][entityId]", "DEAL|1663"),
        ("data[user][id]", "27"),
        ("data[user][name]", "Rita Moreau"),
        ("data[user][bot]", "0"),
        ("data[language]", "en"),
    ];
    for (key, value) in changed {
        pairs.retain(|(known, _)| known != key);
        pairs.push((key, value));
    }
    body(&pairs)
}

fn event(body: &[u8]) -> ChatEvent {
    match decode(body).unwrap() {
        Heard::Event(event) => event,
        Heard::Ignored(reason) => panic!("ignored: {reason}"),
    }
}

fn said(body: &[u8]) -> ChatMessage {
    match event(body) {
        ChatEvent::ChatMessage(message) => *message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn believes_the_token_of_the_envelope_alone() {
    let update = [("event", "ONCRMDEALUPDATE"), ("data[FIELDS][ID]", "7")];
    let verify = |body: &[u8], secrets: &WebhookSecrets| verify_body(body, None, secrets, now());
    assert_eq!(verify(&body(&update), &secrets(None)), Ok(()));
    assert_eq!(verify(&body(&update), &secrets(Some(MEMBER))), Ok(()));

    let with = |pairs: &[(&str, &str)]| form(&[&update[..], pairs].concat());
    let bot = ("data[bot][auth][application_token]", TOKEN);
    let member = ("auth[member_id]", MEMBER);
    let token = ("auth[application_token]", TOKEN);
    let wrong = ("auth[application_token]", "token-of-the-outgoing-webhooK");
    for (body, expected) in [
        (with(&[]), VerifyError::Missing("auth[application_token]")),
        // The second token that events of bots carry.
        (
            with(&[bot, member]),
            VerifyError::Missing("auth[application_token]"),
        ),
        (
            with(&[wrong, member]),
            VerifyError::Wrong("auth[application_token]"),
        ),
        (
            with(&[wrong, bot]),
            VerifyError::Wrong("auth[application_token]"),
        ),
        // One reading: the last of two counts, for the proof as for everything.
        (
            with(&[token, wrong]),
            VerifyError::Wrong("auth[application_token]"),
        ),
        (
            with(&[("auth[application_token][x]", TOKEN)]),
            VerifyError::Missing("auth[application_token]"),
        ),
        (
            with(&[("auth[application_token]", "")]),
            VerifyError::Missing("auth[application_token]"),
        ),
        (
            with(&[("auth", TOKEN)]),
            VerifyError::Missing("auth[application_token]"),
        ),
        (
            with(&[("application_token", TOKEN)]),
            VerifyError::Missing("auth[application_token]"),
        ),
        // Another portal that learned the token.
        (
            with(&[token, ("auth[member_id]", "of-another-portal")]),
            VerifyError::Wrong("auth[member_id]"),
        ),
        (with(&[token]), VerifyError::Missing("auth[member_id]")),
        (Vec::new(), VerifyError::Missing("auth[application_token]")),
        (
            format!("{{\"auth\":{{\"application_token\":\"{TOKEN}\"}}}}").into_bytes(),
            VerifyError::Missing("auth[application_token]"),
        ),
    ] {
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(
            verify(&body, &secrets(Some(MEMBER))),
            Err(expected),
            "{text}"
        );
    }
}

#[test]
fn a_bot_may_prove_itself_by_the_address_it_was_registered_with() {
    let said = message(
        "ONIMBOTV2MESSAGEADD",
        &[("auth[application_token]", "of-the-portal")],
    );
    let verify = |query: Option<&str>| verify_body(&said, query, &secrets(Some(MEMBER)), now());
    let given = format!("token={TOKEN}");
    assert_eq!(verify(Some(&given)), Ok(()));
    let wrong = VerifyError::Wrong("token in the address");
    for query in ["token=", "token=x", &format!("token=x&{given}")] {
        assert_eq!(verify(Some(query)), Err(wrong.clone()), "{query}");
    }
    let wrong = VerifyError::Wrong("auth[application_token]");
    for query in [None, Some(""), Some("Token=x"), Some(TOKEN)] {
        assert_eq!(verify(query), Err(wrong.clone()), "{query:?}");
    }
    // The portal is pinned all the same.
    let other = verify_body(
        &said,
        Some(&given),
        &secrets(Some("of-another-portal")),
        now(),
    );
    assert_eq!(other, Err(VerifyError::Wrong("auth[member_id]")));
    assert_eq!(sender(&said).as_deref(), Some(MEMBER));
}

#[test]
fn tokens_end_and_are_needed() {
    let update = body(&[("event", "ONCRMDEALUPDATE"), ("data[FIELDS][ID]", "7")]);
    let mut rotated = secrets(None);
    rotated.tokens = vec![
        ("new-token-of-the-webhook".into(), None),
        (TOKEN.into(), Some(now() + TimeDelta::seconds(1))),
    ];
    assert_eq!(verify_body(&update, None, &rotated, now()), Ok(()));
    let later = now() + TimeDelta::seconds(1);
    let wrong = VerifyError::Wrong("auth[application_token]");
    assert_eq!(verify_body(&update, None, &rotated, later), Err(wrong));
    let none = WebhookSecrets::default();
    assert_eq!(
        verify_body(&update, None, &none, now()),
        Err(VerifyError::NoSecret)
    );
    let huge = "a=1&".repeat(100_000);
    let verified = verify_body(huge.as_bytes(), None, &secrets(None), now());
    assert!(matches!(verified, Err(VerifyError::Unreadable(_))));
}

#[test]
fn a_repeat_is_what_says_the_same() {
    let key = |body: &[u8]| route(ConnectionId(1), body).unwrap().dedupe_key;
    let lane = |body: &[u8]| route(ConnectionId(1), body).unwrap().lane;
    let update = |extra: &[(&str, &str)]| {
        let base = [
            ("event", "ONCRMDEALUPDATE"),
            ("event_handler_id", "5"),
            ("data[FIELDS][ID]", "7"),
        ];
        body(&[&base[..], extra].concat())
    };
    let first = update(&[]);
    // The proof may change from one attempt to the next.
    assert_eq!(key(&first), key(&update(&[("auth[access_token]", "x")])));
    for other in [
        update(&[("data[FIELDS][ID]", "8")]),
        update(&[("event_handler_id", "6")]),
        update(&[("event", "ONCRMDEALADD")]),
        form(&[
            ("event", "ONCRMDEALUPDATE"),
            ("event_handler_id", "5"),
            ("data[FIELDS][ID]", "7"),
            ("ts", "1790000001"),
        ]),
    ] {
        assert_ne!(key(&first), key(&other));
    }
    assert_eq!(lane(&first), lane(&update(&[("event", "ONCRMDEALDELETE")])));
    let said = message("ONIMBOTV2MESSAGEADD", &[]);
    assert_eq!(lane(&said), lane(&message("ONIMBOTV2JOINCHAT", &[])));
    assert_ne!(lane(&said), lane(&first));
    let other = route(ConnectionId(2), &said).unwrap();
    assert_ne!(
        other,
        Routing {
            ..route(ConnectionId(1), &said).unwrap()
        }
    );
    assert!(route(ConnectionId(1), "a=1&".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn what_is_stored_holds_no_token_and_means_the_same() {
    let update = message("ONIMBOTV2MESSAGEADD", &[]);
    let stored = without_secrets(&update);
    let text = String::from_utf8(stored.to_vec()).unwrap();
    for secret in [TOKEN, "another-token", "bot-access"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains(MEMBER));
    assert_eq!(decode(&stored).unwrap(), decode(&update).unwrap());
    let odd = without_secrets(
        b"auth%5BAccess_Token%5D=s3cr3t&data[BOT][7][AUTH][refresh_token]=s3cr3t&x=1",
    );
    assert_eq!(&odd[..], b"x=1");
}

#[test]
fn events_of_the_crm_say_what_to_look_at() {
    for (name, expected) in [
        ("ONCRMLEADADD", 1),
        ("ONCRMDEALUPDATE", 2),
        ("oncrmdealupdate", 2),
        ("ONCRMCONTACTDELETE", 3),
        ("ONCRMCOMPANYUPDATE", 4),
        ("ONCRMQUOTEADD", 7),
    ] {
        let changed = body(&[("event", name), ("data[FIELDS][ID]", "42")]);
        let expected = ChatEvent::PortalItemChanged {
            entity_type: expected,
            id: "42".into(),
        };
        assert_eq!(event(&changed), expected, "{name}");
    }
    for name in [
        "ONCRMDYNAMICITEMUPDATE",
        "ONCRMDYNAMICITEMADD_147",
        "ONCRMDYNAMICITEMDELETE",
    ] {
        let changed = body(&[
            ("event", name),
            ("data[FIELDS][ID]", "24"),
            ("data[FIELDS][ENTITY_TYPE_ID]", "31"),
        ]);
        let expected = ChatEvent::PortalItemChanged {
            entity_type: 31,
            id: "24".into(),
        };
        assert_eq!(event(&changed), expected, "{name}");
    }
}

#[test]
fn other_events_are_named_and_left() {
    for (name, reason) in [
        (
            "ONCRMDEALRECURRINGADD",
            "ONCRMDEALRECURRINGADD events are not used",
        ),
        (
            "ONCRMDEALMOVETOCATEGORY",
            "ONCRMDEALMOVETOCATEGORY events are not used",
        ),
        ("ONCRMTYPEADD", "ONCRMTYPEADD events are not used"),
        ("ONAPPINSTALL", "ONAPPINSTALL events are not used"),
        ("ONCRM", "ONCRM events are not used"),
        (
            "ONIMBOTV2MESSAGEUPDATE",
            "a message that was changed or deleted runs nothing",
        ),
        (
            "ONIMBOTV2DELETE",
            "the bot was removed from the portal: register it anew, and enter its id and token",
        ),
    ] {
        let heard = decode(&body(&[("event", name), ("data[FIELDS][ID]", "1")])).unwrap();
        assert_eq!(heard, Heard::Ignored(reason.into()));
    }
    let long = "X".repeat(1000);
    let heard = decode(&body(&[("event", &long)])).unwrap();
    assert!(matches!(heard, Heard::Ignored(reason) if reason.len() < 100));
}

#[test]
fn messages_are_read_with_their_author_and_mentions() {
    let expected = ChatMessage {
        chat: "chat1439".into(),
        id: "9001".into(),
        thread: None,
        author: "27".into(),
        text: "@liaison observers".into(),
        direct: false,
        by_bot: false,
    };
    assert_eq!(said(&message("ONIMBOTV2MESSAGEADD", &[])), expected);
    let command = [
        ("data[command][id]", "78"),
        ("data[command][command]", "/crm"),
        ("data[command][params]", "add_observers [USER=31]Ann[/USER]"),
        ("data[command][context]", "textarea"),
        (
            "data[message][text]",
            "/crm add_observers [USER=31]Ann[/USER]",
        ),
    ];
    let expected = ChatMessage {
        text: "/crm add_observers @31".into(),
        ..expected
    };
    assert_eq!(said(&message("ONIMBOTV2COMMANDADD", &command)), expected);
    let bot = said(&message("ONIMBOTV2MESSAGEADD", &[("data[user][bot]", "1")]));
    assert!(bot.by_bot);
    let button = [("data[command][context]", "keyboard")];
    let button = decode(&message("ONIMBOTV2COMMANDADD", &button)).unwrap();
    assert!(matches!(button, Heard::Ignored(_)));
    let alone = [
        ("data[chat][dialogId]", "27"),
        ("data[chat][type]", "private"),
    ];
    let alone = said(&message("ONIMBOTV2MESSAGEADD", &alone));
    assert_eq!((alone.chat.as_str(), alone.direct), ("27", true));
}

#[test]
fn system_messages_are_a_reason_to_look_whatever_they_say() {
    let touched = ChatEvent::ChatTouched {
        chat: "chat1439".into(),
    };
    for changed in [
        [
            ("data[message][isSystem]", "1"),
            ("data[message][text]", "[USER=31]Ann[/USER] left"),
        ],
        [
            ("data[message][authorId]", "0"),
            ("data[message][text]", "/crm undo"),
        ],
        [
            ("data[message][isSystem]", "1"),
            ("data[message][text]", "/crm undo"),
        ],
        [
            ("data[message][authorId]", "0"),
            ("data[message][text]", ""),
        ],
    ] {
        assert_eq!(event(&message("ONIMBOTV2MESSAGEADD", &changed)), touched);
    }
}

#[test]
fn the_bot_hears_where_it_was_added() {
    let invited = ChatEvent::BotInvited {
        chat: "chat1439".into(),
        by: "27".into(),
        direct: false,
    };
    assert_eq!(event(&message("ONIMBOTV2JOINCHAT", &[])), invited);
    let added = body(&[
        ("event", "ONUSERADD"),
        ("data[ID]", "123"),
        ("data[EMAIL]", "k@example.com"),
    ]);
    assert_eq!(event(&added), ChatEvent::UserChanged { user: "123".into() });
}

#[test]
fn bots_of_the_first_generation_are_understood() {
    let old = |event: &'static str, pairs: &[(&'static str, &'static str)]| {
        let base = [
            ("event", event),
            ("data[BOT][39][BOT_ID]", "39"),
            ("data[BOT][39][BOT_CODE]", "liaison"),
            ("data[BOT][39][AUTH][access_token]", "old-bot-access"),
            ("data[PARAMS][DIALOG_ID]", "chat12"),
            ("data[PARAMS][CHAT_ID]", "12"),
            ("data[PARAMS][CHAT_TYPE]", "C"),
            ("data[PARAMS][MESSAGE_ID]", "700"),
            ("data[PARAMS][FROM_USER_ID]", "5"),
            ("data[USER][ID]", "5"),
            ("data[USER][IS_EXTRANET]", "N"),
        ];
        body(&[&base[..], pairs].concat())
    };
    let texts = [
        ("data[PARAMS][MESSAGE]", "observers"),
        (
            "data[PARAMS][MESSAGE_ORIGINAL]",
            "[USER=39]Liaison[/USER] observers",
        ),
    ];
    let heard = said(&old("ONIMBOTMESSAGEADD", &texts));
    assert_eq!(heard.text, "@liaison observers");
    assert_eq!(
        (heard.chat.as_str(), heard.author.as_str()),
        ("chat12", "5")
    );
    let command = [
        ("data[COMMAND][8][COMMAND]", "crm"),
        ("data[COMMAND][8][COMMAND_ID]", "8"),
        ("data[COMMAND][8][COMMAND_PARAMS]", "undo"),
    ];
    assert_eq!(said(&old("ONIMCOMMANDADD", &command)).text, "/crm undo");
    let invited = ChatEvent::BotInvited {
        chat: "chat12".into(),
        by: "5".into(),
        direct: false,
    };
    assert_eq!(event(&old("ONIMBOTJOINCHAT", &[])), invited);
}

#[test]
fn what_is_missing_is_named_and_never_quoted() {
    for (body, path) in [
        (body(&[]), "event"),
        (body(&[("event", "ONCRMDEALUPDATE")]), "data.FIELDS.ID"),
        (
            body(&[("event", "ONCRMDEALUPDATE"), ("data[FIELDS][ID]", "7 OR 1")]),
            "data.FIELDS.ID",
        ),
        (
            body(&[("event", "ONCRMDYNAMICITEMADD"), ("data[FIELDS][ID]", "7")]),
            "data.FIELDS.ENTITY_TYPE_ID",
        ),
        (body(&[("event", "ONUSERADD")]), "data.ID"),
        (
            message("ONIMBOTV2MESSAGEADD", &[("data[message][id]", "s3cr3t")]),
            "data.message.id",
        ),
        (
            message(
                "ONIMBOTV2MESSAGEADD",
                &[("data[chat][dialogId]", "sg5"), ("data[chat][id]", "")],
            ),
            "data.chat.id",
        ),
    ] {
        let DecodeError { path: at, problem } = decode(&body).unwrap_err();
        assert_eq!(at, path);
        assert!(!problem.contains("s3cr3t") && !problem.contains("OR"));
    }
}

#[test]
fn temporary_samples() {
    for folder in [
        "samples/bitrix24",
        "samples/bitrix24/composed",
    ] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "form") {
                let body = std::fs::read(&path).unwrap();
                let stored = without_secrets(&body);
                println!(
                    "{:?}: {:?} | {:?}",
                    path.file_name().unwrap(),
                    decode(&body),
                    stored.len()
                );
                assert!(!String::from_utf8_lossy(&stored).contains("APPTOKEN"));
            }
        }
    }
}
