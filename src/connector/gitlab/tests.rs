//! GitLab's side of the road: bodies of the documented shapes in, Markdown out.

use chrono::{DateTime, TimeDelta};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::{
    connector::{VerifyError, WebhookSecrets},
    crypto::SigningKey,
    domain::{
        Addresses, Comment, CommentChange, ConnectionId, Decoded, Event, IssueChange, ItemId,
        RemoteProject, ReplyId, TreeChange,
    },
    quick_action::CommandName,
    rules::{Contact, Line, Outcome, Refusal, Right},
};

fn note_hook() -> Value {
    json!({
        "object_kind": "note",
        "event_type": "note",
        "user": {"id": 7, "name": "Ann Lee", "username": "ann", "avatar_url": null, "email": "[REDACTED]"},
        "project_id": 12,
        "project": {"id": 12, "name": "Desk", "path_with_namespace": "acme/support/desk", "visibility_level": 0},
        "repository": {"name": "Desk", "url": "git@gitlab.example.com:acme/support/desk.git"},
        "object_attributes": {
            "id": 501, "note": "/add_contacts a@example.com", "noteable_type": "Issue", "noteable_id": 90, "author_id": 8,
            "discussion_id": "6a9c1750b37d513a43987b574953fceb50b03ce7", "system": false, "action": "create",
            "created_at": "2026-03-01 10:00:00 UTC", "updated_at": "2026-03-01T10:00:05.250Z",
            "url": "https://gitlab.example.com/acme/support/desk/-/issues/4#note_501"
        },
        "issue": {
            "id": 90, "iid": 4, "title": "Broken chair", "state": "opened", "confidential": false, "author_id": 8,
            "assignee_ids": [7, 9], "updated_at": "2026-03-01 09:59:00 UTC", "labels": [], "customer_relations_contacts": []
        }
    })
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    match body.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[key] = value;
        }
    }
    body
}

fn without(mut body: Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(key);
    body
}

fn comment(body: &Value) -> Comment {
    match decode(body.to_string().as_bytes()).unwrap() {
        Decoded::Event(Event::CommentPosted(comment)) => *comment,
        other => panic!("{other:?}"),
    }
}

fn ignored(body: &Value) -> String {
    match decode(body.to_string().as_bytes()).unwrap() {
        Decoded::Ignored(reason) => reason,
        event @ Decoded::Event(_) => panic!("{event:?}"),
    }
}

#[test]
fn a_note_hook_is_a_comment_by_its_sender() {
    let seen = comment(&note_hook());
    let project = RemoteProject {
        id: "12".into(),
        path: "acme/support/desk".into(),
    };
    assert_eq!(seen.project, project);
    assert_eq!((seen.issue.iid, seen.issue.author.as_str()), (4, "8"));
    assert_eq!(seen.issue.assignees, ["7", "9"]);
    assert_eq!(
        (seen.actor.id.as_str(), seen.actor.username.as_str()),
        ("7", "ann")
    );
    assert_eq!(seen.change, CommentChange::Created);
    assert_eq!(
        seen.updated_at - seen.created_at,
        TimeDelta::milliseconds(5250)
    );
    assert!(!seen.internal && !seen.issue.confidential);
}

#[test]
fn confidential_and_internal_are_told_apart() {
    let hidden = with(note_hook(), "/event_type", json!("confidential_note"));
    assert!(
        comment(&hidden).internal,
        "an internal note on an open issue"
    );
    let confidential = comment(&with(hidden.clone(), "/issue/confidential", json!(true)));
    assert!(!confidential.internal && confidential.issue.confidential);
    let unsaid = comment(&without(hidden, "/issue/confidential"));
    assert!(
        unsaid.issue.confidential,
        "versions that do not say so: the safe side"
    );
}

#[test]
fn before_16_11_the_times_tell_an_edit() {
    let old = without(note_hook(), "/object_attributes/action");
    assert_eq!(comment(&old).change, CommentChange::Edited);
    let same = with(
        old,
        "/object_attributes/updated_at",
        json!("2026-03-01 10:00:00 UTC"),
    );
    assert_eq!(comment(&same).change, CommentChange::Created);
    let edited = with(note_hook(), "/object_attributes/action", json!("update"));
    assert_eq!(comment(&edited).change, CommentChange::Edited);
}

#[test]
fn what_is_not_used_says_why() {
    let on_merge_request = with(
        without(note_hook(), "/issue"),
        "/object_attributes/noteable_type",
        json!("MergeRequest"),
    );
    for (body, reason) in [
        (
            with(note_hook(), "/object_attributes/system", json!(true)),
            "system note",
        ),
        (on_merge_request, "on a MergeRequest"),
        (
            with(note_hook(), "/project", Value::Null),
            "work item of a group",
        ),
        (
            with(note_hook(), "/object_attributes/action", json!("destroy")),
            "destroy is not used",
        ),
        (json!({"object_kind": "push"}), "push events are not used"),
        (
            json!({"event_name": "user_create"}),
            "user_create events are not used",
        ),
        (
            json!({"text": "from a template"}),
            "custom webhook template",
        ),
    ] {
        assert!(
            ignored(&body).contains(reason),
            "{reason}: {}",
            ignored(&body)
        );
    }
}

#[test]
fn what_is_not_as_documented_names_the_place_and_not_the_value() {
    for (body, path, problem) in [
        (
            without(note_hook(), "/user/id"),
            "user",
            "missing field `id`",
        ),
        (
            with(note_hook(), "/user/id", json!("canary")),
            "user.id",
            "expected i64",
        ),
        (
            with(
                note_hook(),
                "/object_attributes/updated_at",
                json!("canary"),
            ),
            "object_attributes.updated_at",
            "line 1",
        ),
        (
            with(note_hook(), "/issue/assignee_ids", json!({"canary": 1})),
            "issue.assignee_ids",
            "expected a sequence",
        ),
        (
            json!({"event_name": "user_add_to_group"}),
            "user_id",
            "missing field",
        ),
    ] {
        let error = decode(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.path, path);
        assert!(error.problem.contains(problem), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn nul_never_reaches_the_database() {
    let body = with(note_hook(), "/object_attributes/note", json!("a\0b"));
    assert_eq!(comment(&body).text, "a\u{FFFD}b");
    let body = with(note_hook(), "/issue/title", json!("\0"));
    assert_eq!(comment(&body).issue.title, "\u{FFFD}");
}

#[test]
fn flat_hooks_are_told_apart_by_their_event_name() {
    for name in [
        "user_add_to_group",
        "user_update_for_group",
        "user_remove_from_group",
        "user_add_to_team",
        "user_remove_from_team",
    ] {
        let body =
            json!({"event_name": name, "user_id": 64, "group_id": 100, "group_access": "Guest"});
        let decoded = decode(body.to_string().as_bytes()).unwrap();
        assert!(
            matches!(decoded, Decoded::Event(Event::MemberChanged { user, .. }) if user == "64"),
            "{name}"
        );
    }
    let project: fn(String) -> TreeChange = TreeChange::Project;
    for (name, change) in [
        ("project_create", project),
        ("project_update", project),
        ("project_transfer", project),
        ("project_rename", project),
        ("project_destroy", TreeChange::ProjectGone),
        ("subgroup_create", TreeChange::Group),
        ("group_create", TreeChange::Group),
        ("group_rename", TreeChange::Group),
        ("subgroup_destroy", TreeChange::GroupGone),
        ("group_destroy", TreeChange::GroupGone),
    ] {
        let id = if name.starts_with("project") {
            "project_id"
        } else {
            "group_id"
        };
        let body = json!({"event_name": name, "path_with_namespace": "acme/x", id: 73});
        let decoded = decode(body.to_string().as_bytes()).unwrap();
        let expected = change("73".into());
        assert!(
            matches!(&decoded, Decoded::Event(Event::TreeChanged { change, .. }) if *change == expected),
            "{name}: {decoded:?}"
        );
        let nameless = json!({"event_name": name, "path_with_namespace": "acme/x"});
        assert_eq!(
            decode(nameless.to_string().as_bytes()).unwrap_err().path,
            id
        );
    }
}

fn issue_hook() -> Value {
    let mut attributes = note_hook()["issue"].clone();
    attributes["action"] = json!("update");
    attributes["type"] = json!("Issue");
    attributes["description"] = json!("From: ann@example.com");
    attributes["moved_to_id"] = Value::Null;
    json!({
        "object_kind": "issue", "event_type": "issue", "user": note_hook()["user"], "project": note_hook()["project"],
        "object_attributes": attributes, "assignees": [{"id": 9, "name": "Bob", "email": "[REDACTED]"}],
        "changes": {"title": {"previous": "a", "current": "b"}}
    })
}

fn change(body: &Value) -> IssueChange {
    match decode(body.to_string().as_bytes()).unwrap() {
        Decoded::Event(Event::IssueChanged(change)) => *change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn issue_hooks_tell_of_issues() {
    let seen = change(&issue_hook());
    assert_eq!(
        (seen.issue.title.as_str(), seen.issue.iid),
        ("Broken chair", 4)
    );
    assert_eq!(seen.actor.as_ref().unwrap().id, "7");
    assert_eq!(seen.description, "From: ann@example.com");
    assert_eq!(seen.addresses, Addresses::default());
    assert!(!seen.opened && !seen.described && seen.has_contacts && seen.moved_to.is_none());
    // The facts alone are enough, as in bodies of old versions.
    let facts = json!({"object_kind": "issue", "project": note_hook()["project"], "object_attributes": note_hook()["issue"]});
    let bare = change(&facts);
    assert!(bare.actor.is_none() && bare.has_contacts && bare.description.is_empty());
    assert!(!bare.is_by_a_member());
}

#[test]
fn an_issue_hook_says_what_is_new() {
    let at = |pointer: &str, value: Value| change(&with(issue_hook(), pointer, value));
    assert!(at("/object_attributes/action", json!("open")).opened);
    for action in ["close", "reopen", "update", "something"] {
        assert!(
            !at("/object_attributes/action", json!(action)).opened,
            "{action}"
        );
    }
    let edit = json!({"previous": null, "current": "x"});
    for (field, described) in [
        ("description", true),
        ("author_id", true),
        ("labels", false),
    ] {
        let changed = at("/changes", json!({ field: edit }));
        assert_eq!(changed.described, described, "{field}");
    }
    assert!(!at("/changes", Value::Null).described);
    let moved = at("/object_attributes/moved_to_id", json!(91)).moved_to;
    assert_eq!(moved.as_deref(), Some("91"));
    let told = at("/event_type", json!("confidential_issue"));
    assert!(
        !told.issue.confidential,
        "what the issue itself says counts"
    );
    let unsaid = without(
        with(issue_hook(), "/event_type", json!("confidential_issue")),
        "/object_attributes/confidential",
    );
    assert!(change(&unsaid).issue.confidential);
    for (kind, has_contacts) in [
        ("Issue", true),
        ("Incident", true),
        ("Ticket", true),
        ("Task", false),
        ("Epic", false),
    ] {
        let body = with(issue_hook(), "/object_kind", json!("work_item"));
        let body = with(body, "/object_attributes/type", json!(kind));
        assert_eq!(change(&body).has_contacts, has_contacts, "{kind}");
    }
    assert!(ignored(&with(issue_hook(), "/project", Value::Null)).contains("work item of a group"));
    assert_eq!(
        at("/object_attributes/description", json!("a\0b")).description,
        "a\u{FFFD}b"
    );
}

#[test]
fn addresses_are_the_authors_and_the_participants_where_they_show_them() {
    let shown = with(issue_hook(), "/user/email", json!("ann@example.com"));
    assert_eq!(
        change(&shown).addresses.author,
        None,
        "7 changed what 8 wrote"
    );
    let own = with(shown, "/object_attributes/author_id", json!(7));
    assert_eq!(
        change(&own).addresses.author.as_deref(),
        Some("ann@example.com")
    );
    assert!(change(&own).is_by_a_member());
    let bot = with(own, "/user/username", json!("support-bot"));
    assert!(!change(&bot).is_by_a_member());
    let assignees = json!([{"email": "bob@example.com"}, {"email": null}, {}, {"email": "[REDACTED]"}, {"email": "no address"}]);
    let assigned = with(issue_hook(), "/assignees", assignees);
    assert_eq!(
        change(&assigned).addresses.participants,
        ["bob@example.com"]
    );
}

#[test]
fn bots_are_known_by_the_names_that_only_gitlab_gives() {
    for (username, bot) in [
        ("project_7_bot_0af3", true),
        ("project_7_bot", true),
        ("group_12_bot_9f", true),
        ("service_account_group_1_ab", true),
        ("support-bot", true),
        ("project_x_bot", false),
        ("projectbot", false),
        ("project_7_boto", false),
        ("robot", false),
    ] {
        let body = with(note_hook(), "/user/username", json!(username));
        assert_eq!(comment(&body).actor.is_bot, bot, "{username}");
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn lanes_and_repeat_keys() {
    let route = |pairs: &[(&'static str, &str)], body: &Value| {
        super::route(
            ConnectionId(1),
            &headers(pairs),
            body.to_string().as_bytes(),
        )
        .unwrap()
    };
    let first = route(&[("idempotency-key", "a")], &note_hook());
    let other_id = route(&[("idempotency-key", "b")], &note_hook());
    assert_eq!(first.lane, other_id.lane);
    assert_ne!(first.dedupe_key, other_id.dedupe_key);
    let random = route(
        &[("idempotency-key", "a"), ("x-gitlab-webhook-uuid", "z")],
        &json!({}),
    );
    assert_eq!(
        first.dedupe_key, random.dedupe_key,
        "the sender's id alone tells"
    );

    // Without an id the comment itself does: its number, version and text.
    let body = note_hook();
    let again = with(body.clone(), "/project/name", json!("renamed"));
    let edited = with(body.clone(), "/object_attributes/note", json!("other"));
    assert_eq!(route(&[], &body).dedupe_key, route(&[], &again).dedupe_key);
    assert_ne!(route(&[], &body).dedupe_key, route(&[], &edited).dedupe_key);

    // An issue's comments and changes share a lane; another issue, project or connection has its own.
    let issue = json!({"object_kind": "issue", "project": {"id": 12}, "object_attributes": {"id": 90, "iid": 4}});
    assert_eq!(route(&[], &issue).lane, first.lane);
    let other_issue = with(body.clone(), "/issue/iid", json!(5));
    assert_ne!(route(&[], &other_issue).lane, first.lane);
    let elsewhere = super::route(
        ConnectionId(2),
        &HeaderMap::new(),
        body.to_string().as_bytes(),
    )
    .unwrap();
    assert_ne!(elsewhere.lane, first.lane);

    // JSON of another shape is somebody's to look at; what is no JSON is not.
    assert!(super::route(ConnectionId(1), &HeaderMap::new(), b"[1, 2]").is_ok());
    assert!(
        super::route(
            ConnectionId(1),
            &HeaderMap::new(),
            b"{\"object_kind\": 7, \"x\": [}"
        )
        .is_err()
    );
    for broken in [&b""[..], b"{", b"{} x", b"\xff", b"{\"a\": \"\xc3\"}"] {
        assert!(super::route(ConnectionId(1), &HeaderMap::new(), broken).is_err());
    }
}

#[test]
fn a_signing_token_leaves_no_way_around_it() {
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let now = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
    let body = br#"{"test": 2432232314}"#;
    let signed = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    let token = [("x-gitlab-token", "token-of-the-webhook")];
    let both = WebhookSecrets {
        tokens: vec![("token-of-the-webhook".into(), None)],
        signing: vec![(SigningKey::parse(&KEY.into()).unwrap(), None)],
        sender: None,
    };
    let tokens = WebhookSecrets {
        signing: Vec::new(),
        ..both.clone()
    };
    let ended = WebhookSecrets {
        tokens: vec![("token-of-the-webhook".into(), Some(now))],
        ..WebhookSecrets::default()
    };
    let twice = [token[0], token[0]];
    let mut doubled = signed.to_vec();
    doubled.push(signed[2]);
    for (secrets, pairs, expected) in [
        (&both, &signed[..], Ok(())),
        (&both, &token[..], Err(VerifyError::Missing("webhook-id"))),
        (
            &both,
            &signed[..2],
            Err(VerifyError::Missing("webhook-signature")),
        ),
        (
            &both,
            &doubled[..],
            Err(VerifyError::Twice("webhook-signature")),
        ),
        (&tokens, &token[..], Ok(())),
        (
            &tokens,
            &signed[..],
            Err(VerifyError::Missing("x-gitlab-token")),
        ),
        (
            &tokens,
            &[("x-gitlab-token", "token-of-the-webhooK")][..],
            Err(VerifyError::Wrong("x-gitlab-token")),
        ),
        (
            &tokens,
            &[("x-gitlab-token", "")][..],
            Err(VerifyError::Wrong("x-gitlab-token")),
        ),
        (
            &tokens,
            &twice[..],
            Err(VerifyError::Twice("x-gitlab-token")),
        ),
        (&ended, &token[..], Err(VerifyError::NoSecret)),
        (
            &WebhookSecrets::default(),
            &token[..],
            Err(VerifyError::NoSecret),
        ),
    ] {
        let verified = verify_head(&headers(pairs), secrets, now)
            .and_then(|()| verify_body(&headers(pairs), body, secrets, now));
        assert_eq!(verified, expected, "{pairs:?}");
    }
    let late = now + TimeDelta::minutes(6);
    assert_eq!(
        verify_head(&headers(&signed), &both, late),
        Err(VerifyError::Stale)
    );
    assert_eq!(
        verify_body(&headers(&signed), b"{}", &both, now),
        Err(VerifyError::Wrong("webhook-signature"))
    );
}

/// The worst that people can type or call a customer.
const NASTY: &[&str] = &[
    "/close",
    "\n/close\n",
    "@all @ann",
    "`` ` @ann `",
    "<img src=x onerror=alert(1)>",
    "![](http://tracker.example/x.png)",
    "[click](javascript:alert(1))",
    "**bold** _it_ ~~x~~ ~\"label\" #1 !2 %3",
    "a\u{202e}b\u{0}c\u{2028}/close",
    "-->\n/close",
    "\\`/close",
];

#[test]
fn nothing_that_is_echoed_commands_mentions_or_formats() {
    for nasty in NASTY {
        let contact = Contact {
            id: ItemId(1),
            first_name: (*nasty).into(),
            last_name: (*nasty).into(),
            email: Some((*nasty).into()),
            active: false,
            related: true,
        };
        let refused = |refusal| Line::Refused {
            command: CommandName::AddContacts,
            refusal,
        };
        let outcomes = [
            Outcome::Added,
            Outcome::NotFound { may_create: true },
            Outcome::NotAnAddress,
        ];
        let lines = [
            Line::Contacts {
                command: CommandName::AddContacts,
                outcomes: outcomes
                    .map(|outcome| ((*nasty).to_owned(), outcome))
                    .to_vec(),
                left_out: 3,
            },
            Line::Created {
                email: (*nasty).into(),
                related: true,
            },
            Line::List(vec![contact]),
            Line::Undone {
                command: (*nasty).into(),
                changes: 1,
                kept: 0,
            },
            Line::Unknown {
                word: (*nasty).into(),
                nearest: None,
            },
            refused(Refusal::EmailTaken {
                email: (*nasty).into(),
            }),
            refused(Refusal::UnknownOrganization {
                name: (*nasty).into(),
            }),
            refused(Refusal::NoRight(Right::RelateContacts)),
            refused(Refusal::NoContactNamed),
            Line::Help(None),
        ];
        let rendered = render(&lines, 2, "liaison", false);
        let body = Rendered::body(&rendered.lines, ReplyId(uuid::Uuid::nil()));
        let body = standing_apart(&body, Some("https://gitlab.example.com/x#note_1"));
        for line in body.lines() {
            assert!(
                !line.starts_with('/'),
                "{nasty:?} begins a line with a slash: {line}"
            );
        }
        // Outside of code spans nothing of it is left: comrak reads the text as GitLab does.
        let options = comrak::Options::default();
        let html = comrak::markdown_to_html(&body, &options);
        let outside = strip_code(&html);
        for sign in [
            "@all",
            "@ann",
            "/close",
            "onerror",
            "javascript:",
            "tracker.example",
            "bold",
            "label",
            "\u{202e}",
            "\0",
        ] {
            assert!(
                !outside.contains(sign),
                "{nasty:?} leaves {sign} in {outside}"
            );
        }
    }
}

fn strip_code(html: &str) -> String {
    html.split("<code>")
        .enumerate()
        .map(|(index, part)| {
            if index == 0 {
                part
            } else {
                part.split_once("</code>").unwrap().1
            }
        })
        .collect()
}

#[test]
fn a_link_to_the_comment_is_only_ever_a_link() {
    let text = |url| standing_apart("- x", Some(url));
    let good = text("https://gitlab.example.com/a/-/issues/1#note_2");
    assert!(
        good.starts_with("Answer to [this comment](https://"),
        "{good}"
    );
    for bad in [
        "javascript:alert(1)",
        "https://x.example/)/close",
        "https://x.example/ b",
        "not a url",
    ] {
        assert!(text(bad).starts_with("Answer to a comment, "), "{bad}");
    }
}

#[test]
fn long_answers_are_cut_at_a_line() {
    let lines: Vec<String> = (0..2000)
        .map(|number| format!("- {number} {}", "x".repeat(100)))
        .collect();
    let body = Rendered::body(&lines, ReplyId(uuid::Uuid::nil()));
    assert!(body.len() < 70_000);
    assert!(body.contains("more lines"), "{}", &body[body.len() - 200..]);
}

#[test]
fn the_note_about_removed_contacts_counts_and_names_nobody() {
    let note = ReplyId(uuid::Uuid::nil());
    for (count, words) in [
        (1, "- removed 1 contact: "),
        (12, "- removed 12 contacts: "),
    ] {
        let body = removed_contacts(count, note);
        assert!(body.starts_with(words), "{body}");
        assert!(body.ends_with("<!-- liaison:reply:00000000-0000-0000-0000-000000000000 -->"));
    }
}
