//! Where things are, who may what, and what changes under a comment's feet.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use http::{HeaderMap, Method, StatusCode};
use liaison::{
    app::Role,
    connector::gitlab::{Client, HookSettings, Rendered},
    crypto::SealingKey,
    domain::{Clock, CommentRef, ReplyId, Scope, SystemClock},
    egress::{Egress, Limits},
    sandbox::{
        Fault, HookOwner, Level, NewGroup, NewHook, NewIssue, NewProject, NewUser, Place,
        Visibility,
    },
    store::{
        group,
        webhook::{self, SecretKind},
    },
};
use serde_json::{Value, json};

use crate::harness::{
    BOT_TOKEN, PATIENCE, SEALING_KEY, SIGNING_TOKEN, World, delivery_id, run, without_marker,
};

const ALL: [Role; 4] = [Role::Receive, Role::Process, Role::Deliver, Role::Web];
const ADDED: &str = "- `add_contacts`: `ada@example.com` added";

fn new_group(world: &World, parent: Option<u64>, path: &str) -> u64 {
    let group = world.sandbox.create_group(NewGroup {
        id: None,
        parent,
        path: path.into(),
        name: path.into(),
        visibility: Visibility::Private,
    });
    if parent.is_none() {
        let bot = world.demo.liaison;
        world
            .sandbox
            .set_member(Place::Group(group), bot, Level::Maintainer);
    }
    group
}

fn new_project(world: &World, group: u64, path: &str) -> u64 {
    world.sandbox.create_project(NewProject {
        id: None,
        group,
        path: path.into(),
        name: path.into(),
        visibility: Visibility::Public,
    })
}

fn new_issue(world: &World, project: u64) -> u64 {
    world.sandbox.create_issue(NewIssue {
        project,
        author: world.demo.dan,
        title: "Call back".into(),
        ..NewIssue::default()
    })
}

/// Now and some seconds, as hooks write it.
fn moment(seconds: i64) -> String {
    let at = SystemClock::default().now() + TimeDelta::seconds(seconds);
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn project_part(world: &World, project: u64) -> Value {
    let path = world
        .sandbox
        .read(|state| state.project(project).unwrap().path_with_namespace.clone());
    json!({ "id": project, "path_with_namespace": path })
}

fn issue_part(world: &World, issue: u64) -> Value {
    world.sandbox.read(|state| {
        let issue = state.issue(issue).unwrap();
        json!({
            "id": issue.id, "iid": issue.iid, "title": issue.title, "state": "opened", "confidential": issue.confidential,
            "author_id": issue.author, "assignee_ids": [], "updated_at": moment(0),
        })
    })
}

/// A Note Hook as the tracker would send it for a comment that it knows with another text.
fn note_hook(world: &World, comment: u64, user: u64, text: &str) -> Value {
    let (note, username, project) = world.sandbox.read(|state| {
        let note = state.note(comment).unwrap().clone();
        let project = state.issue(note.issue).unwrap().project;
        (note, state.user(user).unwrap().username.clone(), project)
    });
    json!({
        "object_kind": "note", "event_type": "note",
        "user": { "id": user, "name": username, "username": username },
        "project_id": project, "project": project_part(world, project),
        "object_attributes": {
            "id": note.id, "note": text, "noteable_type": "Issue", "discussion_id": note.discussion_id, "system": false,
            "action": "create", "created_at": moment(0), "updated_at": moment(0), "url": format!("{}x#note_{}", world.url, note.id),
        },
        "issue": issue_part(world, note.issue),
    })
}

/// The same as an edit, of a comment that was written at one moment and changed at another (seconds from now).
fn edit_hook(world: &World, comment: u64, user: u64, text: &str, times: (i64, i64)) -> Value {
    let mut hook = note_hook(world, comment, user, text);
    hook["object_attributes"]["action"] = "update".into();
    hook["object_attributes"]["created_at"] = moment(times.0).into();
    hook["object_attributes"]["updated_at"] = moment(times.1).into();
    hook
}

fn issue_hook(world: &World, issue: u64) -> Value {
    let project = world
        .sandbox
        .read(|state| state.issue(issue).unwrap().project);
    json!({
        "object_kind": "issue", "event_type": "issue",
        "project": project_part(world, project), "object_attributes": issue_part(world, issue),
    })
}

/// Delivers a body through the group's webhook, signed; returns state and outcome.
async fn outcome(world: &World, body: &Value) -> (String, String) {
    let answer = world.deliver(body.to_string()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let line = world.outcome_of(delivery_id(&answer)).await;
    (line.state, line.outcome.unwrap())
}

fn ignored(outcome: &str) -> (String, String) {
    ("ignored".into(), outcome.into())
}

/// A comment without commands, which leaves no trace.
fn plain_comment(world: &World, issue: u64) -> u64 {
    world
        .sandbox
        .comment(issue, world.demo.liaison, "Hello")
        .unwrap()
}

async fn stored_paths(world: &World) -> Vec<String> {
    sqlx::query_scalar("SELECT path FROM projects ORDER BY path")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_new_subgroup_and_project_work_at_once() {
    run(async |world| {
        let deep = new_group(
            world,
            Some(new_group(world, Some(world.demo.support), "north")),
            "coast",
        );
        let issue = new_issue(world, new_project(world, deep, "harbour"));
        let add = "/add_contacts ada@example.com";
        assert_eq!(world.ask(issue, world.demo.rita, add).await, ADDED);
        let paths: Vec<String> = sqlx::query_scalar("SELECT path FROM groups ORDER BY path")
            .fetch_all(&world.pool)
            .await
            .unwrap();
        assert_eq!(
            paths,
            [
                "acme",
                "acme/support",
                "acme/support/north",
                "acme/support/north/coast"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_renamed_keeps_working_under_its_new_path() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.form, demo.rita, "/add_contacts ada@example.com")
            .await;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        world.sandbox.rename_project(demo.website, "shop");
        assert_eq!(
            world
                .ask(demo.form, demo.rita, "/add_contacts grace@example.com")
                .await,
            "- `add_contacts`: `grace@example.com` added"
        );
        assert_eq!(
            world.issue_contacts(demo.form).await.len(),
            2,
            "it is the same issue"
        );
        world.settled().await;
        assert_eq!(
            stored_paths(world).await,
            ["acme/shop", "acme/support/desk"]
        );

        world.sandbox.rename_group(demo.support, "help");
        world
            .ask(demo.order, demo.rita, "/add_contacts grace@example.com")
            .await;
        world.settled().await;
        assert_eq!(stored_paths(world).await, ["acme/help/desk", "acme/shop"]);

        // The root group: whoever takes its old path is not taken for it, and a restart changes nothing.
        world.sandbox.rename_group(demo.acme, "apex");
        let removed = "- `remove_contacts`: `ada@example.com` removed";
        assert_eq!(
            world
                .ask(
                    demo.order,
                    demo.rita,
                    "/crm remove_contacts ada@example.com"
                )
                .await,
            removed
        );
        world.settled().await;
        world.start_again(&ALL).await;
        let thief = new_group(world, None, "acme");
        let issue = new_issue(world, new_project(world, thief, "website"));
        world
            .sandbox
            .set_member(Place::Group(thief), demo.stranger, Level::Owner);
        let comment = plain_comment(world, issue);
        let told = outcome(
            world,
            &note_hook(world, comment, demo.stranger, "/crm contacts"),
        )
        .await;
        assert_eq!(
            told,
            ignored("project acme/website is outside the group of this webhook")
        );
        assert_eq!(
            world
                .ask(demo.form, demo.rita, "/crm remove_contacts ada@example.com")
                .await,
            removed
        );
        world.settled().await;
        assert_eq!(stored_paths(world).await, ["apex/help/desk", "apex/shop"]);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_from_before_a_renaming_is_processed_after_it() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.form, demo.rita, "/help").await;
        world.start_again(&[Role::Receive]).await;
        let comment = world
            .sandbox
            .comment(demo.form, demo.rita, "/add_contacts ada@example.com")
            .unwrap();
        world.delivery_of(comment).await;
        let mut late = note_hook(world, comment, demo.rita, "");
        world.sandbox.rename_project(demo.website, "shop");
        let next = world
            .sandbox
            .comment(demo.form, demo.rita, "/crm help")
            .unwrap();
        world.delivery_of(next).await;
        world.start_again(&ALL).await;
        assert_eq!(world.answer(demo.form, comment).await, ADDED);
        world.answer(demo.form, next).await;
        // And one that comes when the new path is known.
        let comment = plain_comment(world, demo.form);
        late["object_attributes"]["id"] = comment.into();
        late["object_attributes"]["note"] = "/add_contacts grace@example.com".into();
        let (state, told) = outcome(world, &late).await;
        assert_eq!(
            (state.as_str(), told.as_str()),
            ("done", "1 command run, 1 change")
        );
    })
    .await;
}

#[tokio::test]
async fn a_subgroup_may_take_the_path_that_another_one_left() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        world.sandbox.rename_group(demo.support, "help");
        let heir = new_group(world, Some(demo.acme), "support");
        let issue = new_issue(world, new_project(world, heir, "desk"));
        let add = "/add_contacts ada@example.com";
        assert_eq!(world.ask(issue, demo.rita, add).await, ADDED);
        let removed = world
            .ask(
                demo.order,
                demo.rita,
                "/crm remove_contacts ada@example.com",
            )
            .await;
        assert_eq!(removed, "- `remove_contacts`: `ada@example.com` removed");
        assert_eq!(world.issue_contacts(issue).await, ["ada@example.com"]);
        world.settled().await;
        assert_eq!(
            stored_paths(world).await,
            ["acme/help/desk", "acme/support/desk"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_project_that_leaves_the_group_stops_working_and_one_that_joins_it_works() {
    run(async |world| {
        let demo = world.demo;
        let add = "/add_contacts ada@example.com";
        let other = new_group(world, None, "other");
        world.ask(demo.form, demo.rita, add).await;
        let known = world.count("issues").await;
        let mut old_path = note_hook(
            world,
            plain_comment(world, demo.form),
            demo.rita,
            "/add_contacts grace@example.com",
        );
        world.sandbox.transfer_project(demo.website, other);
        let comment = plain_comment(world, demo.form);
        let outside = ignored("project other/website is outside the group of this webhook");
        let mut changed = issue_hook(world, demo.form);
        changed["object_attributes"]["title"] = "Another title".into();
        assert_eq!(outcome(world, &changed).await, outside);
        let note = note_hook(world, comment, demo.rita, "/add_contacts grace@example.com");
        assert_eq!(outcome(world, &note).await, outside);
        old_path["object_attributes"]["updated_at"] = moment(1).into();
        let (state, _) = outcome(world, &old_path).await;
        assert_eq!(
            state, "ignored",
            "where it is is what the tracker says, not what the body says"
        );
        assert_eq!(world.issue_contacts(demo.form).await, ["ada@example.com"]);
        assert_eq!(world.count("issues WHERE title = 'Another title'").await, 0);
        assert_eq!(world.count("issues").await, known);

        let issue = new_issue(world, new_project(world, other, "shop"));
        let project = world
            .sandbox
            .read(|state| state.issue(issue).unwrap().project);
        assert_eq!(outcome(world, &issue_hook(world, issue)).await.0, "ignored");
        world.sandbox.transfer_project(project, demo.support);
        assert_eq!(world.ask(issue, demo.rita, add).await, ADDED);
    })
    .await;
}

#[tokio::test]
async fn a_subgroup_that_leaves_the_group_stops_working() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        let other = new_group(world, None, "other");
        world
            .sandbox
            .set_member(Place::Group(other), demo.rita, Level::Owner);
        world.sandbox.transfer_group(demo.support, other);
        let comment = plain_comment(world, demo.order);
        let note = note_hook(world, comment, demo.rita, "/add_contacts grace@example.com");
        let outside = ignored("project other/support/desk is outside the group of this webhook");
        assert_eq!(outcome(world, &note).await, outside);
        assert_eq!(
            outcome(world, &issue_hook(world, demo.order)).await,
            outside
        );
        assert_eq!(world.issue_contacts(demo.order).await, ["ada@example.com"]);
    })
    .await;
}

#[tokio::test]
async fn a_project_of_another_root_group_changes_nothing_whatever_the_body_says() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.form, demo.rita, "/help").await;
        let other = new_group(world, None, "other");
        let shop = new_project(world, other, "shop");
        let issue = new_issue(world, shop);
        world
            .sandbox
            .set_member(Place::Group(other), demo.stranger, Level::Owner);
        let comment = plain_comment(world, issue);
        world.settled().await;
        let issues = world.count("issues").await;
        for path in [
            "other/shop",
            "acme/website",
            "acme/support/desk",
            "acme/shop",
            "ACME/website",
        ] {
            let mut note = note_hook(
                world,
                comment,
                demo.rita,
                "/add_contacts ada@example.com\n/crm contacts\n",
            );
            note["project"]["path_with_namespace"] = path.into();
            let mut changed = issue_hook(world, issue);
            changed["project"]["path_with_namespace"] = path.into();
            let outside = ignored(&format!(
                "project {path} is outside the group of this webhook"
            ));
            assert_eq!(outcome(world, &note).await, outside);
            assert_eq!(outcome(world, &changed).await, outside);
        }
        world.settled().await;
        assert_eq!(world.count("issue_items").await, 0);
        assert_eq!(world.count("history").await, 0);
        assert_eq!(world.count("issues").await, issues);
        assert_eq!(world.bot_notes(issue).len(), 1, "what the bot itself said");
        assert_eq!(stored_paths(world).await, ["acme/website"]);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_of_a_subgroup_takes_what_is_below_it_and_nothing_beside_it() {
    run(async |world| {
        let demo = world.demo;
        // Placed once, so that the subgroup is known.
        world.ask(demo.order, demo.rita, "/help").await;
        world.settled().await;
        let clock = SystemClock::default();
        let key = SealingKey::from_base64(&SEALING_KEY.into()).unwrap();
        let mut connection = world.pool.acquire().await.unwrap();
        let support = group::find(&mut connection, "acme/support")
            .await
            .unwrap()
            .unwrap();
        let on = sqlx::query_scalar("SELECT id FROM connections")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        let created = webhook::create(
            &mut connection,
            "support-gitlab",
            (support.root, support.id),
            liaison::domain::ConnectionId(on),
            clock.now(),
        )
        .await
        .unwrap();
        let secret = (SecretKind::Signing, &SIGNING_TOKEN.into());
        webhook::add_secret(
            &mut connection,
            created,
            secret,
            (clock.id(), &key),
            clock.now(),
        )
        .await
        .unwrap();
        drop(connection);
        world.start_again(&ALL).await;

        let beside = new_issue(
            world,
            new_project(
                world,
                new_group(world, Some(demo.acme), "supporters"),
                "desk",
            ),
        );
        let below = new_issue(
            world,
            new_project(world, new_group(world, Some(demo.support), "north"), "desk"),
        );
        for (issue, state) in [
            (demo.form, "ignored"),
            (beside, "ignored"),
            (demo.order, "done"),
            (below, "done"),
        ] {
            let comment = plain_comment(world, issue);
            for body in [
                note_hook(world, comment, demo.rita, "/add_contacts ada@example.com"),
                issue_hook(world, issue),
            ] {
                let (headers, body) = world
                    .sandbox
                    .signed_delivery(world.hook, body.to_string().into())
                    .unwrap();
                let answer = world
                    .send(Method::POST, "/hooks/support-gitlab", headers, body)
                    .await;
                let line = world.outcome_of(delivery_id(&answer)).await;
                assert_eq!(
                    (line.state.as_str(), line.webhook.as_str()),
                    (state, "support-gitlab"),
                    "{line:?}"
                );
            }
            let added = world.issue_contacts(issue).await.len();
            assert_eq!(added, usize::from(state == "done"));
        }
    })
    .await;
}

#[tokio::test]
async fn events_of_project_members_end_the_memory_of_a_level_too() {
    run(async |world| {
        let demo = world.demo;
        let mut hook = NewHook::to(world.url.join("/hooks/acme-gitlab").unwrap());
        hook.signing_token = Some(SIGNING_TOKEN.to_owned());
        world.sandbox.create_hook(HookOwner::System, hook).unwrap();
        let project = Place::Project(demo.website);
        // A guest of the group is made a reporter of the project: that alone gives no right to customers.
        world.sandbox.set_member(project, demo.gus, Level::Reporter);
        let refused = world
            .ask(demo.form, demo.gus, "/add_contacts ada@example.com")
            .await;
        assert!(refused.contains("no right"), "{refused}");
        world
            .sandbox
            .set_member(Place::Group(demo.acme), demo.gus, Level::Reporter);
        world.settled().await;
        assert_eq!(
            world
                .ask(demo.form, demo.gus, "/add_contacts ada@example.com")
                .await,
            ADDED
        );
        for event in [
            "user_add_to_team",
            "user_update_for_team",
            "user_remove_from_team",
        ] {
            let known = format!("access_levels WHERE remote_user_id = '{}' AND level > 0", demo.gus);
            world.ask(demo.form, demo.gus, "/crm contacts").await;
            assert_eq!(world.count(&known).await, 2);
            let told = outcome(
                world,
                &json!({ "event_name": event, "user_id": demo.gus, "project_id": demo.website, "access_level": "Guest" }),
            )
            .await;
            assert_eq!(told.1, format!("{event}: levels of user {} will be asked anew", demo.gus));
            assert_eq!(world.count(&known).await, 0);
        }
        world.sandbox.remove_member(Place::Group(demo.acme), demo.gus);
        world.sandbox.remove_member(project, demo.gus);
        world.settled().await;
        let refused = world
            .ask(demo.form, demo.gus, "/add_contacts grace@example.com")
            .await;
        assert!(refused.contains("no right"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_membership_that_is_not_in_force_gives_no_right() {
    run(async |world| {
        let demo = world.demo;
        for (name, fields, may) in [
            ("blocked", json!({ "state": "blocked" }), false),
            ("banned", json!({ "state": "banned" }), false),
            ("awaiting", json!({ "membership_state": "awaiting" }), false),
            ("expired", json!({ "expires_at": "2020-01-31" }), false),
            ("limited", json!({ "expires_at": "2999-01-31" }), true),
        ] {
            let user = world.sandbox.create_user(NewUser {
                username: name.into(),
                name: name.into(),
                ..NewUser::default()
            });
            let mut member = json!({ "id": user, "state": "active", "access_level": 50, "membership_state": "active", "expires_at": null });
            member.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let fault = Fault::Status(StatusCode::OK, HeaderMap::new(), member.to_string().into());
            for place in [format!("groups/{}", demo.acme), format!("projects/{}", demo.website)] {
                world.sandbox.fail(Method::GET, &format!("/api/v4/{place}/members/all/{user}"), 1, fault.clone());
            }
            let answer = world.ask(demo.form, user, "/add_contacts ada@example.com").await;
            assert_eq!(!answer.contains("no right"), may, "{name}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_level_that_was_told_before_a_member_event_is_not_remembered_after_it() {
    run(async |world| {
        let demo = world.demo;
        let user = world.sandbox.create_user(NewUser {
            username: "leaver".into(),
            name: "Leaver".into(),
            ..NewUser::default()
        });
        for place in [Place::Group(demo.acme), Place::Project(demo.website)] {
            world.sandbox.set_member(place, user, Level::Reporter);
        }
        world.settled().await;
        // The answer is on its way for about a second, while he leaves the group.
        let path = format!("/api/v4/groups/{}/members/all/{user}", demo.acme);
        let slow = Fault::Drip(Duration::from_millis(4));
        world.sandbox.fail(Method::GET, &path, 1, slow);
        let first = world.sandbox.comment(demo.form, user, "/help").unwrap();
        let asked = world.sandbox.wait_for(
            |state| state.calls().any(|call| call.path == path).then_some(()),
            PATIENCE,
        );
        asked.await.unwrap();
        world.sandbox.remove_member(Place::Group(demo.acme), user);
        world
            .until("EXISTS (SELECT FROM deliveries WHERE outcome LIKE 'user_remove_from_group%')")
            .await;
        assert_eq!(
            world.bot_notes(demo.form).len(),
            0,
            "the question was open until now"
        );
        world.answer(demo.form, first).await;
        let answer = world
            .ask(demo.form, user, "/add_contacts ada@example.com")
            .await;
        assert!(answer.contains("no right"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn levels_may_be_asked_for_every_comment() {
    run(async |world| {
        let demo = world.demo;
        world.stop_service().await;
        world.config.access.cache_seconds = 0;
        world.config.access.place_seconds = 0;
        world.start_service(&ALL).await;
        let add = "/add_contacts ada@example.com";
        assert_eq!(world.ask(demo.form, demo.rita, add).await, ADDED);
        let asked = world.sandbox.calls().len();
        let there = "- `add_contacts`: `ada@example.com` already there";
        assert_eq!(world.ask(demo.form, demo.rita, add).await, there);
        let members = world.sandbox.calls()[asked..]
            .iter()
            .filter(|call| call.path.contains("/members/all/"))
            .count();
        assert_eq!(members, 2);
    })
    .await;
}

async fn issue_row(world: &World, issue: u64) -> (String, String, bool) {
    sqlx::query_as("SELECT title, state, confidential FROM issues WHERE remote_id = $1")
        .bind(issue.to_string())
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_known_of_an_issue_follows_its_newest_event() {
    run(async |world| {
        let demo = world.demo;
        world.ask(demo.form, demo.rita, "/help").await;
        let as_of = |title: &str, seconds: i64, confidential: bool| {
            let mut hook = issue_hook(world, demo.form);
            hook["object_attributes"]["title"] = title.into();
            hook["object_attributes"]["state"] = "closed".into();
            hook["object_attributes"]["confidential"] = confidential.into();
            hook["object_attributes"]["updated_at"] = moment(seconds).into();
            hook
        };
        let newest = ("New".to_owned(), "closed".to_owned(), false);
        outcome(world, &as_of("New", 100, false)).await;
        assert_eq!(issue_row(world, demo.form).await, newest);
        outcome(world, &as_of("Old", 50, true)).await;
        assert_eq!(issue_row(world, demo.form).await, newest);

        // A comment from when the issue was confidential: its readers are others by now, who may not see customers.
        world
            .ask(demo.form, demo.rita, "/add_contacts ada@example.com")
            .await;
        let comment = plain_comment(world, demo.form);
        let mut old = note_hook(world, comment, demo.rita, "/crm contacts");
        old["event_type"] = "confidential_note".into();
        old["issue"]["confidential"] = true.into();
        old["issue"]["title"] = "Old".into();
        old["issue"]["updated_at"] = moment(60).into();
        outcome(world, &old).await;
        assert_eq!(issue_row(world, demo.form).await, newest);
        world.settled().await;
        let answers: Vec<_> = world
            .bot_notes(demo.form)
            .into_iter()
            .filter(|note| note.body.contains("`contacts`: 1"))
            .collect();
        assert_eq!(answers.len(), 1);
        assert!(
            answers[0].internal || !answers[0].body.contains("Byron"),
            "{}",
            answers[0].body
        );

        // A comment with newer data brings it up to date.
        let mut new = note_hook(
            world,
            plain_comment(world, demo.form),
            demo.rita,
            "/crm help",
        );
        new["issue"]["title"] = "Newer".into();
        new["issue"]["updated_at"] = moment(200).into();
        outcome(world, &new).await;
        assert_eq!(
            issue_row(world, demo.form).await,
            ("Newer".into(), "opened".into(), false)
        );
    })
    .await;
}

#[tokio::test]
async fn an_edit_of_a_comment_from_before_the_webhook_runs_only_what_later_edits_add() {
    run(async |world| {
        let demo = world.demo;
        let comment = plain_comment(world, demo.form);
        let day = -86_400;
        let first = "/add_contacts ada@example.com";
        let edit = edit_hook(world, comment, demo.rita, first, (day, -5));
        assert_eq!(
            outcome(world, &edit).await,
            ignored("the comment is older than the webhook: only what later edits add is run")
        );
        let second = "/add_contacts ada@example.com\n/add_contacts grace@example.com";
        let edit = edit_hook(world, comment, demo.rita, second, (day, -4));
        assert_eq!(
            outcome(world, &edit).await,
            ("done".into(), "1 command run, 1 change".into())
        );
        assert_eq!(world.issue_contacts(demo.form).await, ["Grace@Example.com"]);
        assert_eq!(
            world.answer(demo.form, comment).await,
            "- `add_contacts`: `grace@example.com` added"
        );
    })
    .await;
}

#[tokio::test]
async fn versions_of_a_comment_in_any_order_run_each_command_once() {
    run(async |world| {
        let demo = world.demo;
        let (ada, grace) = ("/add_contacts ada@example.com", "/add_contacts grace@example.com");
        let both = format!("{ada}\n{grace}");
        let older = ignored("an older version of the comment than the one acted on");
        let done = |changes: u8| ("done".to_owned(), format!("1 command run, {changes} change{}", if changes == 1 { "" } else { "s" }));

        // The edit comes before its creation.
        let comment = plain_comment(world, demo.form);
        let mut created = note_hook(world, comment, demo.rita, ada);
        created["object_attributes"]["created_at"] = moment(2).into();
        created["object_attributes"]["updated_at"] = moment(2).into();
        let edit = edit_hook(world, comment, demo.rita, &both, (2, 4));
        assert_eq!(outcome(world, &edit).await.1, "2 commands run, 2 changes");
        assert_eq!(outcome(world, &created).await, older);

        // An old version again, under a new id.
        let comment = plain_comment(world, demo.order);
        let mut created = note_hook(world, comment, demo.rita, ada);
        created["object_attributes"]["created_at"] = moment(2).into();
        created["object_attributes"]["updated_at"] = moment(2).into();
        assert_eq!(outcome(world, &created).await, done(1));
        let edit = edit_hook(world, comment, demo.rita, &both, (2, 4));
        assert_eq!(outcome(world, &edit).await, done(1));
        let remove = "/crm remove_contacts ada@example.com";
        assert!(world.ask(demo.order, demo.rita, remove).await.ends_with("removed"));
        assert_eq!(outcome(world, &created).await, older);
        assert_eq!(outcome(world, &edit).await, ignored("the edit adds no command"));
        assert_eq!(world.issue_contacts(demo.order).await, ["Grace@Example.com"]);

        // Two edits within one second, which is as finely as the tracker tells the time.
        let comment = plain_comment(world, demo.incident);
        let mut created = note_hook(world, comment, demo.rita, "/crm help undo");
        created["object_attributes"]["updated_at"] = moment(2).into();
        assert_eq!(outcome(world, &created).await, done(0));
        let (one, two) = (format!("/crm help undo\n{ada}"), format!("/crm help undo\n{ada}\n{grace}"));
        assert_eq!(outcome(world, &edit_hook(world, comment, demo.rita, &one, (2, 4))).await, done(1));
        assert_eq!(outcome(world, &edit_hook(world, comment, demo.rita, &two, (2, 4))).await, done(1));
        world.settled().await;
        let answer = world.answer_note(demo.incident, comment).await;
        let lines = without_marker(&answer.body);
        assert!(lines.ends_with("- `add_contacts`: `ada@example.com` added\n- `add_contacts`: `grace@example.com` added"), "{lines}");
        let answers = world.bot_notes(demo.incident).into_iter().filter(|note| note.body.contains("liaison:reply"));
        assert_eq!(answers.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn contrary_commands_of_many_people_at_once_leave_a_history_that_adds_up() {
    run(async |world| {
        let demo = world.demo;
        for user in [demo.rita, demo.dan, demo.mona] {
            world.ask(demo.form, user, "/help").await;
        }
        world.settled().await;
        world.start_again(&[Role::Receive]).await;
        let issues: Vec<u64> = (0..16).map(|_| new_issue(world, demo.desk)).collect();
        let add = "/add_contacts ada@example.com grace@example.com";
        let remove = "/crm remove_contacts grace@example.com ada@example.com";
        let mut comments = Vec::new();
        for number in 0..64 {
            // Half of all on one issue, the others everywhere.
            let issue = if number % 2 == 0 { demo.order } else { issues[number / 2 % 16] };
            let user = [demo.rita, demo.dan, demo.mona][number % 3];
            let text = if number / 2 % 3 == 1 { remove } else { add };
            comments.push((issue, world.sandbox.comment(issue, user, text).unwrap()));
        }
        world.settled_sending().await;
        world.start_again(&ALL).await;
        for (issue, comment) in &comments {
            let answer = world.answer(*issue, *comment).await;
            assert!(answer.contains("add_contacts`: ") || answer.contains("remove_contacts`: "), "{answer}");
        }
        world.settled().await;
        for issue in issues.iter().chain([&demo.order]) {
            let asked = comments.iter().filter(|(on, _)| on == issue).count();
            assert_eq!(world.bot_notes(*issue).len(), asked);
        }
        let failed = world.count("deliveries WHERE attempts > 1").await;
        assert_eq!(failed, 0, "no one met a deadlock");
        let torn = "(SELECT issue_id, item_id, count(*) FILTER (WHERE action = 'item_related') - count(*) FILTER (WHERE action = 'item_unrelated') AS net
                     FROM history GROUP BY 1, 2) AS told FULL JOIN issue_items USING (issue_id, item_id)
                    WHERE coalesce(net, 0) <> (issue_items.root_id IS NOT NULL)::int";
        assert_eq!(world.count(torn).await, 0);
        assert!(world.count("history").await >= 32);
    })
    .await;
}

#[tokio::test]
async fn a_contact_that_two_create_at_once_is_created_once() {
    run(async |world| {
        let demo = world.demo;
        for user in [demo.dan, demo.mona] {
            world.ask(demo.form, user, "/help").await;
        }
        world.settled().await;
        world.start_again(&[Role::Receive]).await;
        let mut pairs = Vec::new();
        for number in 0..8 {
            let pair = [demo.dan, demo.mona].map(|user| {
                let issue = new_issue(world, demo.desk);
                let text = format!("/create_contact zoe{number}@example.com Zoe Winter");
                (issue, world.sandbox.comment(issue, user, &text).unwrap())
            });
            pairs.push((number, pair));
        }
        world.settled_sending().await;
        world.start_again(&ALL).await;
        for (number, pair) in pairs {
            let mut answers = Vec::new();
            for (issue, comment) in pair {
                answers.push((world.answer(issue, comment).await, world.issue_contacts(issue).await.len()));
            }
            answers.sort();
            let created = format!("- `create_contact`: `zoe{number}@example.com` created and added");
            let taken = format!("- `create_contact`: Email has already been taken: `@liaison add_contacts zoe{number}@example.com` adds the contact");
            assert_eq!(answers, [(taken, 0), (created, 1)]);
            assert_eq!(world.count(&format!("items WHERE email = 'zoe{number}@example.com'")).await, 1);
        }
    })
    .await;
}

fn client(world: &World) -> Client {
    let base = world.config.connection[0].url.clone();
    let egress = Egress::new([&base], Limits::default()).unwrap();
    let clock = Arc::new(SystemClock::default());
    Client::new(Arc::new(egress), base, BOT_TOKEN.into(), clock)
}

#[tokio::test]
async fn hooks_are_installed_changed_and_tested_through_the_api() {
    run(async |world| {
        let client = client(world);
        for (scope, id) in [
            (Scope::Group, world.demo.acme),
            (Scope::Project, world.demo.website),
        ] {
            let id = id.to_string();
            let before = client.hooks(scope, &id).await.unwrap().len();
            let settings = |url: &str| HookSettings {
                url: url.to_owned(),
                token: None,
                signing_token: Some(SIGNING_TOKEN.into()),
                events: None,
            };
            let elsewhere = world.url.join("/hooks/nowhere").unwrap();
            let hook = client
                .create_hook(scope, &id, &settings(elsewhere.as_str()))
                .await
                .unwrap();
            let here = world.url.join("/hooks/acme-gitlab").unwrap();
            client
                .edit_hook(scope, &id, hook, &settings(here.as_str()))
                .await
                .unwrap();
            let hooks = client.hooks(scope, &id).await.unwrap();
            assert_eq!(hooks.len(), before + 1);
            let installed = hooks.iter().find(|other| other.id == hook).unwrap();
            assert_eq!(installed.url, here.as_str());
            client.test_hook(scope, &id, hook).await.unwrap();
            let hook = u64::try_from(hook).unwrap();
            let sent = world
                .sandbox
                .wait_for(
                    |state| state.hook_log().find(|sent| sent.hook == hook).cloned(),
                    PATIENCE,
                )
                .await
                .unwrap();
            assert_eq!(sent.status, Some(202), "{}", sent.response);
            let events = world
                .sandbox
                .read(|state| state.hook(hook).unwrap().events.clone());
            assert!(
                !events.contains("push_events") && events.contains("confidential_note_events"),
                "{events:?}"
            );
            assert_eq!(events.contains("member_events"), scope == Scope::Group);
            world.sandbox.delete_hook(hook);
        }
        assert!(client.hooks(Scope::Group, "999").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn the_client_finds_a_reply_pages_back_and_walks_up_the_tree() {
    run(async |world| {
        let client = client(world);
        let other = new_group(world, None, "other");
        let deep = (0..4).fold(other, |parent, depth| {
            new_group(world, Some(parent), &format!("level-{depth}"))
        });
        let project = new_project(world, deep, "shop");
        let issue = new_issue(world, project);
        let path: Vec<_> = client
            .ancestors(i64::try_from(deep).unwrap())
            .await
            .unwrap()
            .into_iter()
            .map(|group| group.full_path)
            .collect();
        assert_eq!(path.first().map(String::as_str), Some("other"));
        assert_eq!(
            path.last().map(String::as_str),
            Some("other/level-0/level-1/level-2/level-3")
        );
        let facts = client.project(&project.to_string()).await.unwrap().unwrap();
        assert_eq!(facts.namespaces.path.len(), 5);
        assert_eq!(client.project("999").await.unwrap(), None);

        let on = CommentRef {
            project: project.to_string(),
            issue: 1,
            comment: "1".into(),
            discussion: None,
        };
        let reply = ReplyId(SystemClock::default().id());
        let body = Rendered::body(&["- done".to_owned()], reply);
        let bot = world.demo.liaison.to_string();
        // Somebody who copies the marker is not taken for the bot.
        world
            .sandbox
            .set_member(Place::Group(other), world.demo.stranger, Level::Reporter);
        for number in 0..150 {
            world
                .sandbox
                .comment(issue, world.demo.stranger, &format!("{number}\n\n{body}"))
                .unwrap();
        }
        assert_eq!(client.find_reply(&on, reply, &bot).await.unwrap(), None);
        let posted = client.post_reply(&on, &body, true, None).await.unwrap();
        for number in 0..150 {
            world
                .sandbox
                .comment(issue, world.demo.stranger, &format!("again {number}"))
                .unwrap();
        }
        let found = client.find_reply(&on, reply, &bot).await.unwrap();
        assert_eq!(found.map(|(note, _)| note), Some(posted));
        let pages = world
            .sandbox
            .calls()
            .into_iter()
            .filter(|call| call.path.contains("page=2"))
            .count();
        assert!(pages >= 2, "{pages}");
    })
    .await;
}
