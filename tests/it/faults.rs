//! The tracker on a bad day, and the queues that carry work through it.

use std::time::Duration;

use http::{Method, StatusCode};
use liaison::{
    app::Role,
    domain::{Clock, DeliveryId, Queue, RootId, SystemClock},
    queue::{self, Claim, Claimed, InboxVerdict, QueueError, Settled},
    sandbox::{
        Demo, Fault, HookOwner, Level, NewGroup, NewHook, NewIssue, NewProject, NewUser, Pace,
        Place, Sandbox, Visibility,
    },
    server,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    BOT_TOKEN, PATIENCE, SIGNING_TOKEN, Setup, World, arrive, run, run_with, spawn, store,
    without_marker,
};

const ALL: [Role; 4] = [Role::Receive, Role::Process, Role::Deliver, Role::Web];
/// More than any test lets the service try.
const ALWAYS: u32 = u32::MAX;

/// What a call may meet, with the words for it in the log.
fn faults() -> Vec<(Fault, &'static str)> {
    let status = |status| Fault::status(status, "no");
    vec![
        (status(StatusCode::UNAUTHORIZED), "GitLab answered 401"),
        (status(StatusCode::FORBIDDEN), "GitLab answered 403"),
        (
            status(StatusCode::INTERNAL_SERVER_ERROR),
            "GitLab answered 500",
        ),
        (Fault::bad_gateway(), "GitLab answered 502"),
        (Fault::DropConnection, "broke off"),
        (Fault::ForgedJson, "is not as documented"),
        (Fault::HugeBody(1 << 30), "is larger than 4194304 bytes"),
        (Fault::AnswerLost, "broke off"),
    ]
}

/// Settles one delivery.
async fn settle(
    connection: &mut PgConnection,
    claimed: Claimed,
    id: DeliveryId,
    verdict: InboxVerdict,
) -> Result<(), QueueError> {
    let settled = Settled {
        claimed,
        id,
        verdict,
    };
    queue::settle(connection, &[settled]).await
}

/// An issue of its own in a project, subgroup and hand of its own, so that a fault meets it alone.
#[derive(Clone, Copy)]
struct Alone {
    group: u64,
    project: u64,
    issue: u64,
    user: u64,
}

impl Alone {
    fn new(world: &World, number: u64) -> Self {
        let sandbox = &world.sandbox;
        // Ids of one length, since a fault meets every path with a beginning.
        let group = sandbox.create_group(NewGroup {
            id: Some(3000 + number),
            parent: Some(world.demo.acme),
            path: format!("team-{number}"),
            name: format!("Team {number}"),
            visibility: Visibility::Private,
        });
        let project = sandbox.create_project(NewProject {
            id: Some(4000 + number),
            name: "Inbox".into(),
            path: "inbox".into(),
            group,
            visibility: Visibility::Private,
        });
        let user = sandbox.create_user(NewUser {
            id: Some(2000 + number),
            username: format!("pat{number}"),
            name: "Pat".into(),
            ..NewUser::default()
        });
        sandbox.set_member(Place::Group(world.demo.acme), user, Level::Reporter);
        Self {
            group,
            project,
            issue: new_issue(sandbox, project, user),
            user,
        }
    }

    fn ask(self, world: &World) -> u64 {
        let text = "/add_contacts ada@example.com";
        world.sandbox.comment(self.issue, self.user, text).unwrap()
    }
}

fn new_issue(sandbox: &Sandbox, project: u64, author: u64) -> u64 {
    sandbox.create_issue(NewIssue {
        project,
        author,
        title: "Call back".into(),
        ..NewIssue::default()
    })
}

/// The API's path of an issue.
fn issue_path(world: &World, issue: u64) -> String {
    let (project, iid) = world.sandbox.read(|state| {
        let issue = state.issue(issue).unwrap();
        (issue.project, issue.iid)
    });
    format!("/api/v4/projects/{project}/issues/{iid}")
}

/// What the log says of the attempts at the reply or at the reaction of a delivery.
async fn attempts(world: &World, id: DeliveryId, queue: Queue) -> (String, Vec<String>) {
    let log = world.delivery(id).await;
    let effect = log
        .effects
        .into_iter()
        .find(|effect| effect.effect.queue() == queue)
        .unwrap();
    let outcomes = effect.attempts.into_iter().map(|attempt| attempt.outcome);
    (effect.state, outcomes.collect())
}

#[tokio::test]
async fn a_question_that_is_not_answered_is_never_taken_for_yes() {
    let setup = Setup {
        config: "[queue]\nretry_seconds = [0]\nattempts = 2\n",
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let acme = world.demo.acme;
        let mut cases = Vec::new();
        for (fault, reason) in faults() {
            for question in 0..5 {
                let alone = Alone::new(world, u64::try_from(cases.len()).unwrap());
                let path = match question {
                    0 => format!("users/{}", alone.user),
                    1 => format!("projects/{}", alone.project),
                    2 => format!("groups/{}?", alone.group),
                    3 => format!("projects/{}/members/all/{}", alone.project, alone.user),
                    _ => format!("groups/{acme}/members/all/{}", alone.user),
                };
                world.sandbox.fail(
                    Method::GET,
                    &format!("/api/v4/{path}"),
                    ALWAYS,
                    fault.clone(),
                );
                cases.push((alone, path, reason));
            }
        }
        let asked: Vec<u64> = cases.iter().map(|(alone, ..)| alone.ask(world)).collect();
        // Nobody else waits for the tracker to recover.
        let answer = world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts grace@example.com",
            )
            .await;
        assert_eq!(answer, "- `add_contacts`: `grace@example.com` added");

        let mut deliveries = Vec::new();
        for (comment, (alone, path, reason)) in asked.iter().zip(&cases) {
            let id = world.delivery_of(*comment).await;
            let line = world.outcome_of(id).await;
            assert_eq!((line.state.as_str(), line.attempts), ("dead", 2), "{path}");
            let outcome = line.outcome.unwrap();
            assert!(outcome.contains(reason), "{path}: {outcome}");
            assert_eq!(world.bot_notes(alone.issue).len(), 0, "{path}");
            deliveries.push(id);
        }
        assert_eq!(world.count("issue_items").await, 1, "the other issue's");
        let peak = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = peak
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(
            kilobytes < 1 << 20,
            "answers of 1 GiB were not read to their end: {kilobytes} kB"
        );

        world.sandbox.clear_faults();
        for id in &deliveries {
            assert_eq!(world.replay(*id).await, 1);
        }
        for (comment, (alone, path, _)) in asked.iter().zip(&cases) {
            assert_eq!(
                world.answer(alone.issue, *comment).await,
                "- `add_contacts`: `ada@example.com` added",
                "{path}"
            );
        }
        world.settled().await;
        for (alone, path, _) in &cases {
            assert_eq!(world.bot_notes(alone.issue).len(), 1, "{path}");
            assert_eq!(
                world.issue_contacts(alone.issue).await,
                ["ada@example.com"],
                "{path}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn not_found_means_what_it_means_for_each_question() {
    let setup = Setup {
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let acme = world.demo.acme;
        let cases: Vec<Alone> = (0..5).map(|number| Alone::new(world, number)).collect();
        let missing = Fault::status(StatusCode::NOT_FOUND, "404 Not Found");
        for path in [
            format!("users/{}", cases[0].user),
            format!(
                "projects/{}/members/all/{}",
                cases[1].project, cases[1].user
            ),
            format!("groups/{acme}/members/all/{}", cases[2].user),
            format!("groups/{}?", cases[3].group),
            format!("projects/{}", cases[4].project),
        ] {
            world.sandbox.fail(
                Method::GET,
                &format!("/api/v4/{path}"),
                ALWAYS,
                missing.clone(),
            );
        }
        let asked: Vec<u64> = cases.iter().map(|alone| alone.ask(world)).collect();
        let added = "- `add_contacts`: `ada@example.com` added";
        assert_eq!(
            world.answer(cases[0].issue, asked[0]).await,
            added,
            "the event names the user well enough"
        );
        for no_member in [1, 2] {
            let answer = world.answer(cases[no_member].issue, asked[no_member]).await;
            assert!(answer.contains("no right"), "{answer}");
        }
        let hidden = world.outcome_of(world.delivery_of(asked[3]).await).await;
        assert_eq!(
            hidden.state, "ignored",
            "whether a hidden group is below ours cannot be known"
        );
        let dead = world.outcome_of(world.delivery_of(asked[4]).await).await;
        assert_eq!((dead.state.as_str(), dead.attempts), ("dead", 1));
        let reason = dead.outcome.unwrap();
        assert!(
            reason.contains("make @liaison a member of it, then replay"),
            "{reason}"
        );
        world.sandbox.clear_faults();
        assert_eq!(world.replay(dead.id).await, 1);
        assert_eq!(world.answer(cases[4].issue, asked[4]).await, added);
        assert_eq!(world.count("issue_items").await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_reply_and_a_reaction_that_fail_are_made_again_and_stand_once() {
    run(async |world| {
        let (desk, rita) = (world.demo.desk, world.demo.rita);
        let mut cases = Vec::new();
        for (fault, reason) in faults() {
            for queue in [Queue::Reply, Queue::Call] {
                let issue = new_issue(&world.sandbox, desk, rita);
                let below = if queue == Queue::Reply {
                    "discussions"
                } else {
                    "notes/"
                };
                let path = format!("{}/{below}", issue_path(world, issue));
                world.sandbox.fail(Method::POST, &path, 2, fault.clone());
                let comment = world
                    .sandbox
                    .comment(issue, rita, "/add_contacts ada@example.com")
                    .unwrap();
                // What was done though its answer was lost is found, not done again.
                let lost = matches!(fault, Fault::AnswerLost);
                let made = match queue {
                    Queue::Reply if lost => "answer was posted before",
                    Queue::Reply => "answer posted",
                    _ => "reaction set",
                };
                // The reaction is asked for again, and is there already.
                let failures = if lost && queue == Queue::Reply { 1 } else { 2 };
                cases.push((issue, comment, queue, reason, failures, made));
            }
        }
        for (issue, comment, queue, reason, failures, last) in cases {
            let answer = world.answer(issue, comment).await;
            assert_eq!(answer, "- `add_contacts`: `ada@example.com` added");
            world.settled().await;
            assert_eq!(world.bot_notes(issue).len(), 1, "{queue:?} {reason}");
            assert_eq!(world.sandbox.awards(comment).len(), 1, "{queue:?} {reason}");
            let id = world.delivery_of(comment).await;
            let (state, outcomes) = attempts(world, id, queue).await;
            assert_eq!(state, "done", "{queue:?} {reason}");
            let (done, failed) = outcomes.split_last().unwrap();
            assert_eq!(done, last, "{queue:?} {reason}: {outcomes:?}");
            assert_eq!(failed.len(), failures, "{queue:?} {reason}: {outcomes:?}");
            for outcome in failed {
                assert!(outcome.contains(reason), "{queue:?} {reason}: {outcome}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn dead_effects_are_shown_and_a_replay_makes_them_once() {
    let setup = Setup {
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let (desk, rita) = (world.demo.desk, world.demo.rita);
        let fault = Fault::status(StatusCode::FORBIDDEN, "403 Forbidden");
        let mut cases = Vec::new();
        for number in 0..3 {
            let issue = new_issue(&world.sandbox, desk, rita);
            let path = issue_path(world, issue);
            // The reply, the reaction, both.
            if number != 1 {
                let replies = format!("{path}/discussions");
                world
                    .sandbox
                    .fail(Method::POST, &replies, ALWAYS, fault.clone());
            }
            if number != 0 {
                let awards = format!("{path}/notes/");
                world
                    .sandbox
                    .fail(Method::POST, &awards, ALWAYS, fault.clone());
            }
            let comment = world
                .sandbox
                .comment(issue, rita, "/add_contacts ada@example.com")
                .unwrap();
            cases.push((issue, comment, world.delivery_of(comment).await));
        }
        world
            .until("(SELECT count(*) FROM effects WHERE state = 'dead') = 4")
            .await;
        world.settled().await;
        for ((issue, _, id), dead) in cases.iter().zip([1, 1, 2]) {
            let line = world.delivery(*id).await.summary;
            assert_eq!((line.state.as_str(), line.dead_effects), ("done", dead));
            assert_eq!(
                world.issue_contacts(*issue).await,
                ["ada@example.com"],
                "what is committed stays"
            );
        }
        let (state, outcomes) = attempts(world, cases[0].2, Queue::Reply).await;
        assert_eq!(state, "dead");
        assert_eq!(
            outcomes, ["GitLab answered 403 Forbidden to POST reply"; 4],
            "as many as are configured"
        );

        world.sandbox.clear_faults();
        for ((.., id), queues) in cases.iter().zip([1, 1, 2]) {
            assert_eq!(world.replay(*id).await, queues);
        }
        for (issue, comment, id) in &cases {
            world.answer(*issue, *comment).await;
            world.settled().await;
            assert_eq!(world.bot_notes(*issue).len(), 1);
            assert_eq!(world.sandbox.awards(*comment).len(), 1);
            // What is not dead is not done again.
            let before = world.delivery(*id).await;
            assert_eq!(before.summary.dead_effects, 0);
            assert_eq!(world.replay(*id).await, 0);
            assert_eq!(world.delivery(*id).await, before);
        }
        let nobody = DeliveryId(SystemClock::default().id());
        assert_eq!(world.replay(nobody).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_reply_that_is_replayed_late_does_not_take_a_newer_text_back() {
    let setup = Setup {
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let (order, rita) = (world.demo.order, world.demo.rita);
        let replies = format!("{}/discussions", issue_path(world, order));
        world.sandbox.fail(
            Method::POST,
            &replies,
            ALWAYS,
            Fault::status(StatusCode::FORBIDDEN, "no"),
        );
        let comment = world
            .sandbox
            .comment(order, rita, "/add_contacts ada@example.com")
            .unwrap();
        let first = world.delivery_of(comment).await;
        world
            .until("EXISTS (SELECT FROM effects WHERE state = 'dead')")
            .await;
        world.sandbox.clear_faults();
        let both = "/add_contacts ada@example.com\n/add_contacts grace@example.com";
        world.sandbox.edit_comment(comment, rita, both).unwrap();
        let lines = "- `add_contacts`: `ada@example.com` added\n- `add_contacts`: `grace@example.com` added";
        assert_eq!(world.answer(order, comment).await, lines);
        world.settled().await;
        assert_eq!(world.replay(first).await, 1);
        world.settled().await;
        let notes = world.bot_notes(order);
        assert_eq!(notes.len(), 1);
        assert_eq!(without_marker(&notes[0].body), lines);
    })
    .await;
}

/// Seconds between the end of the first attempt at something and the next attempt, and the first call for another issue after it.
async fn pause_after(method: Method, below: &str, fault: Fault) -> (f64, f64) {
    let mut pauses = (0.0, 0.0);
    run(async |world| {
        let (desk, rita) = (world.demo.desk, world.demo.rita);
        // Everybody is known, so that the fault meets the call that is meant.
        world.ask(world.demo.form, rita, "/help").await;
        let throttled = new_issue(&world.sandbox, desk, rita);
        let other = new_issue(&world.sandbox, desk, rita);
        world.settled().await;
        let path = format!("{}/{below}", issue_path(world, throttled));
        world.sandbox.fail(method, &path, 1, fault);
        let comment = world
            .sandbox
            .comment(throttled, rita, "/add_contacts ada@example.com")
            .unwrap();
        world
            .until("EXISTS (SELECT FROM effect_attempts WHERE outcome LIKE '%429%')")
            .await;
        let answer = world
            .ask(other, rita, "/add_contacts ada@example.com")
            .await;
        assert_eq!(answer, "- `add_contacts`: `ada@example.com` added");
        world.answer(throttled, comment).await;
        world.settled().await;
        assert_eq!(world.bot_notes(throttled).len(), 1);
        pauses = sqlx::query_as(
            "WITH told AS (SELECT effect_id, at + make_interval(secs => duration_ms / 1000.0) AS at FROM effect_attempts WHERE outcome LIKE '%429%')
             SELECT extract(epoch FROM min(again.at) FILTER (WHERE again.effect_id = told.effect_id AND again.attempt = 2) - told.at)::float8,
                    extract(epoch FROM min(effects.began_at) FILTER (WHERE effects.delivery_id = $1) - told.at)::float8
             FROM told, effects LEFT JOIN effect_attempts AS again ON again.effect_id = effects.id GROUP BY told.at",
        )
        .bind(world.delivery_of(last_comment(world, other)).await.0)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    })
    .await;
    pauses
}

fn last_comment(world: &World, issue: u64) -> u64 {
    let bot = world.demo.liaison;
    let notes = world.sandbox.notes(issue);
    notes
        .iter()
        .rev()
        .find(|note| note.author != bot)
        .unwrap()
        .id
}

#[tokio::test]
async fn retry_after_pauses_all_calls_of_the_connection_for_as_long() {
    let (again, other) = pause_after(
        Method::POST,
        "discussions",
        Fault::throttled(Duration::from_secs(1)),
    )
    .await;
    assert!(
        (0.99..3.0).contains(&again) && other > 0.99,
        "{again} {other}"
    );
}

#[tokio::test]
async fn ratelimit_reset_alone_pauses_until_then() {
    let reset = SystemClock::default().now().timestamp() + 3;
    let headers = crate::harness::headers(&[("ratelimit-reset", &reset.to_string())]);
    let fault = Fault::Status(StatusCode::TOO_MANY_REQUESTS, headers, "Retry later".into());
    let (again, other) = pause_after(Method::POST, "notes/", fault).await;
    let now = SystemClock::default().now().timestamp();
    assert!(
        now >= reset && again < 4.0 && other > 0.0 && again > 0.0,
        "{again} {other}"
    );
}

#[tokio::test]
async fn a_question_that_is_throttled_is_asked_again_after_the_pause() {
    run(async |world| {
        let alone = Alone::new(world, 0);
        let path = format!("/api/v4/users/{}", alone.user);
        world.sandbox.fail(Method::GET, &path, 1, Fault::throttled(Duration::from_secs(1)));
        let comment = alone.ask(world);
        let id = world.delivery_of(comment).await;
        world.until(&format!("EXISTS (SELECT FROM deliveries WHERE id = '{id}' AND attempts = 1)")).await;
        let told = world.delivery(id).await.summary.outcome.unwrap();
        assert_eq!(told, "GitLab answered 429 Too Many Requests to GET user by id");
        assert_eq!(world.answer(alone.issue, comment).await, "- `add_contacts`: `ada@example.com` added");
        let waited: f64 = sqlx::query_scalar("SELECT extract(epoch FROM settled_at - received_at)::float8 FROM deliveries WHERE id = $1 AND attempts = 2")
            .bind(id.0)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        assert!(waited > 0.99, "{waited}");
    })
    .await;
}

#[tokio::test]
async fn a_limit_without_a_word_on_its_end_pauses_the_connection_too() {
    run(async |world| {
        let (order, rita) = (world.demo.order, world.demo.rita);
        world.ask(world.demo.form, rita, "/help").await;
        world.settled().await;
        // The bot's comments are above the limit; the window ends after it is lifted.
        world.sandbox.set_pace(Some(Pace {
            notes: 1,
            window: Duration::from_hours(1),
        }));
        let first = world
            .sandbox
            .comment(order, world.demo.dan, "/add_contacts ada@example.com")
            .unwrap();
        world.sandbox.set_pace(Some(Pace {
            notes: 0,
            window: Duration::from_hours(1),
        }));
        world
            .until("EXISTS (SELECT FROM effect_attempts WHERE outcome LIKE '%429%')")
            .await;
        world.sandbox.set_pace(None);
        let calls = world.sandbox.calls().len();
        let second = world
            .sandbox
            .comment(world.demo.form, rita, "/add_contacts ada@example.com")
            .unwrap();
        let id = world.delivery_of(second).await;
        // Nothing is to happen, for which there is nothing to wait.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(world.delivery(id).await.summary.state, "pending");
        world.stop_service().await;
        let reactions = world.sandbox.calls()[calls..]
            .iter()
            .filter(|call| !call.path.contains("award_emoji"))
            .count();
        assert_eq!(reactions, 0);
        // Another process knows nothing of the pause, and finds all work where it was.
        world.start_service(&ALL).await;
        world.answer(order, first).await;
        world.answer(world.demo.form, second).await;
        world.settled().await;
        assert_eq!(world.bot_notes(order).len(), 1);
    })
    .await;
}

/// A second tracker with a connection and a group of its own.
struct SecondTracker {
    sandbox: Sandbox,
    demo: Demo,
    stop: CancellationToken,
}

impl SecondTracker {
    async fn start(world: &mut World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: url::Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let sandbox = Sandbox::new(url.clone());
        let demo = sandbox.seed_demo(BOT_TOKEN).unwrap();
        let mut hook = NewHook::to(world.url.join("/hooks/beta-gitlab").unwrap());
        hook.signing_token = Some(SIGNING_TOKEN.to_owned());
        sandbox
            .create_hook(HookOwner::Group(demo.acme), hook)
            .unwrap();
        let stop = CancellationToken::new();
        let serving = server::serve(listener, sandbox.router(), 256, stop.clone());
        drop(spawn(serving));
        world.stop_service().await;
        let mut connection = world.config.connection.first().unwrap().clone();
        connection.name = "second".into();
        connection.url = url;
        world.config.connection.push(connection);
        let mut group = world.config.group.first().unwrap().clone();
        group.path = "beta".into();
        group.tracker.as_mut().unwrap().connection = "second".into();
        let webhook = group.webhook.first_mut().unwrap();
        webhook.name = "beta-gitlab".into();
        webhook.connection = "second".into();
        world.config.group.push(group);
        world.start_service(&ALL).await;
        Self {
            sandbox,
            demo,
            stop,
        }
    }

    async fn ask(&self, text: &str) -> String {
        let (issue, bot) = (self.demo.order, self.demo.liaison);
        let comment = self.sandbox.comment(issue, self.demo.dan, text).unwrap();
        let answer = self.sandbox.wait_for(
            |state| {
                let mut notes = state.notes(issue);
                notes
                    .find(|note| note.author == bot && note.id > comment)
                    .map(|note| note.body.clone())
            },
            PATIENCE,
        );
        without_marker(&answer.await.unwrap())
    }

    async fn end(self) {
        self.sandbox.shutdown().await;
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_tracker_that_hangs_keeps_nobody_else_waiting() {
    let setup = Setup {
        config: "[queue]\nretry_seconds = [0]\nattempts = 4\nconcurrency = 4\n",
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let second = SecondTracker::start(world).await;
        let cases: Vec<Alone> = (0..4).map(|number| Alone::new(world, number)).collect();
        let added = "- `add_contacts`: `ada@example.com` added";
        // One question and one reply hang: another issue of the same tracker is answered meanwhile.
        for alone in &cases {
            let path = format!("/api/v4/users/{}", alone.user);
            world.sandbox.fail(Method::GET, &path, 1, Fault::Hang);
        }
        let (order, rita) = (world.demo.order, world.demo.rita);
        let replies = format!("{}/discussions", issue_path(world, order));
        world.sandbox.fail(Method::POST, &replies, 1, Fault::Hang);
        let mut asked = vec![cases[0].ask(world)];
        let unanswered = world
            .sandbox
            .comment(order, rita, "/add_contacts ada@example.com")
            .unwrap();
        assert_eq!(
            world
                .ask(world.demo.form, rita, "/add_contacts ada@example.com")
                .await,
            added
        );
        // As many questions hang as are asked at a time: the other tracker is as quick as ever.
        asked.extend(cases[1..].iter().map(|alone| alone.ask(world)));
        world
            .sandbox
            .wait_for(
                |state| {
                    let questions = state
                        .calls()
                        .filter(|call| call.path.starts_with("/api/v4/users/200"));
                    (questions.count() == 4).then_some(())
                },
                PATIENCE,
            )
            .await
            .unwrap();
        assert_eq!(
            second
                .ask("/create_contact zoe@example.com Zoe Winter")
                .await,
            "- `create_contact`: `zoe@example.com` created and added"
        );
        let hanging = world.delivery_of(asked[0]).await;
        let line = world.delivery(hanging).await.summary;
        assert_eq!(
            (line.state.as_str(), line.attempts),
            ("pending", 0),
            "all this was while it hung"
        );
        assert_eq!(world.bot_notes(order).len(), 0);

        for (alone, comment) in cases.iter().zip(&asked) {
            assert_eq!(world.answer(alone.issue, *comment).await, added);
        }
        assert_eq!(world.answer(order, unanswered).await, added);
        world.settled().await;
        assert_eq!(world.bot_notes(order).len(), 1);
        let (_, outcomes) =
            attempts(world, world.delivery_of(unanswered).await, Queue::Reply).await;
        assert_eq!(
            outcomes,
            ["127.0.0.1 did not answer within 10 s", "answer posted"]
        );
        second.end().await;
    })
    .await;
}

#[tokio::test]
async fn answers_on_one_issue_keep_their_order_through_failures_and_others_overtake() {
    let setup = Setup {
        config: "[queue]\nretry_seconds = [1]\nattempts = 4\n",
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let (order, form, rita) = (world.demo.order, world.demo.form, world.demo.rita);
        world.ask(form, rita, "/help").await;
        let path = format!("{}/discussions", issue_path(world, order));
        world
            .sandbox
            .fail(Method::POST, &path, 2, Fault::bad_gateway());
        let comments = [
            "/add_contacts ada@example.com",
            "/crm remove_contacts ada@example.com",
            "/crm help undo",
        ]
        .map(|text| world.sandbox.comment(order, rita, text).unwrap());
        let overtook = world
            .sandbox
            .comment(form, rita, "/add_contacts ada@example.com")
            .unwrap();
        let mut answers = Vec::new();
        for comment in comments {
            answers.push(world.answer_note(order, comment).await.id);
        }
        assert!(answers.is_sorted(), "{answers:?}");
        let other = world.answer_note(form, overtook).await.id;
        assert!(other < answers[0], "{other} {answers:?}");
        assert_eq!(world.bot_notes(order).len(), 3);
        assert_eq!(world.issue_contacts(order).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_question_that_fails_keeps_the_place_of_its_comment() {
    run(async |world| {
        let (order, rita, dan) = (world.demo.order, world.demo.rita, world.demo.dan);
        let path = format!("/api/v4/users/{rita}");
        world
            .sandbox
            .fail(Method::GET, &path, 3, Fault::bad_gateway());
        world
            .sandbox
            .comment(order, rita, "/add_contacts ada@example.com")
            .unwrap();
        let last = world
            .ask(order, dan, "/crm remove_contacts ada@example.com")
            .await;
        assert_eq!(last, "- `remove_contacts`: `ada@example.com` removed");
    })
    .await;
}

/// Leases the lanes of the inbox as another worker would.
/// Leases the lanes that wait, once there is one: right after a stop the last of its statements may still hold it.
async fn claim(world: &World, lease: Duration) -> Vec<Claimed> {
    let connection: i64 = sqlx::query_scalar("SELECT id FROM connections")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let claim = Claim {
        queue: Queue::Inbox,
        connection: liaison::domain::ConnectionId(connection),
        limit: 100,
        lease_for: lease,
    };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let lease = SystemClock::default().id();
        let claimed = queue::claim(&world.pool, claim, lease).await.unwrap();
        if !claimed.is_empty() || tokio::time::Instant::now() > deadline {
            return claimed;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_lost_the_lease_settles_nothing() {
    let setup = Setup {
        roles: vec![Role::Receive],
        ..Setup::default()
    };
    run_with(setup, async |world| {
        world.settled_sending().await;
        // What the seeding sent is out of the way.
        world.start_again(&ALL).await;
        world.settled().await;
        world.start_again(&[Role::Receive]).await;
        let order = world.demo.order;
        let comment = world
            .sandbox
            .comment(order, world.demo.rita, "/add_contacts ada@example.com")
            .unwrap();
        let id = world.delivery_of(comment).await;
        let claimed = claim(world, Duration::from_millis(1)).await;
        assert_eq!(claimed.len(), 1);
        let stale = claimed[0];
        let read = queue::read(&world.pool, &claimed, 10).await.unwrap();
        assert_eq!(read[&(stale.root, stale.lane)][0].id, id);
        world
            .until("NOT EXISTS (SELECT FROM lanes WHERE ready_at > now())")
            .await;

        let service = world.another_service(&[Role::Process, Role::Deliver]).await;
        world.answer(order, comment).await;
        world.until("NOT EXISTS (SELECT FROM lanes)").await;
        let before = world.delivery(id).await;
        let mut tx = world.pool.begin().await.unwrap();
        let late = settle(&mut tx, stale, id, InboxVerdict::Done("twice".into())).await;
        assert!(matches!(late, Err(QueueError::LostLease)), "{late:?}");
        tx.rollback().await.unwrap();

        // The other way round: a new delivery is leased by somebody else, so the old lease settles it neither.
        service.stop().await;
        let comment = world
            .sandbox
            .comment(
                order,
                world.demo.rita,
                "/crm remove_contacts ada@example.com",
            )
            .unwrap();
        let next = world.delivery_of(comment).await;
        let mine = claim(world, Duration::from_mins(1)).await;
        assert_eq!((mine.len(), mine[0].lane), (1, stale.lane));
        let mut connection = world.pool.acquire().await.unwrap();
        let verdict = InboxVerdict::Done("not yours".into());
        let late = settle(&mut connection, stale, next, verdict).await;
        assert!(matches!(late, Err(QueueError::LostLease)), "{late:?}");
        let gone = queue::Release {
            claimed: stale,
            pause: Duration::ZERO,
        };
        queue::release(&world.pool, Queue::Inbox, vec![gone])
            .await
            .unwrap();
        assert_eq!(
            world
                .count(&format!("lanes WHERE lease = '{}'", mine[0].lease))
                .await,
            1
        );
        let verdict = InboxVerdict::Ignored("mine".into());
        settle(&mut connection, mine[0], next, verdict)
            .await
            .unwrap();

        assert_eq!(world.delivery(id).await, before);
        assert_eq!(world.bot_notes(order).len(), 1);
        assert_eq!(world.count("history").await, 1);
    })
    .await;
}

/// Holds back the commits that a trigger of a test waits in.
struct Gate(sqlx::PgConnection);

impl Gate {
    /// Has every commit that did `event` to `table` wait for the gate.
    async fn close(world: &World, table: &str, event: &str) -> Self {
        let mut connection = world.pool.acquire().await.unwrap().detach();
        let statements = format!(
            "CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER gate AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
             SELECT pg_advisory_lock(7);"
        );
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    async fn open(self) {
        self.0.close().await.unwrap();
    }
}

/// So many sessions of the test's database wait for a lock.
fn waiting(sessions: u8) -> String {
    format!(
        "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock') = {sessions}"
    )
}

fn arrival(world_ids: (i64, i64, i64), claimed: Claimed, key: u8) -> queue::Arrival {
    let clock = SystemClock::default();
    let (root, webhook, connection) = world_ids;
    queue::Arrival {
        id: DeliveryId(clock.id()),
        root: RootId(root),
        webhook: liaison::domain::WebhookId(webhook),
        connection: liaison::domain::ConnectionId(connection),
        lane: claimed.lane,
        dedupe_key: [key; 16],
        received_at: clock.now(),
        sent: queue::Sent::new(&serde_json::json!({}), b"{\"object_kind\":\"push\"}"),
    }
}

/// A lane that is leased and whose only work is settled, so that giving it back would remove it.
async fn finished_lane(world: &mut World) -> ((i64, i64, i64), Claimed) {
    world.settled_sending().await;
    world.start_again(&ALL).await;
    world.settled().await;
    world.stop_service().await;
    let ids: (i64, i64, i64) =
        sqlx::query_as("SELECT root_id, id, connection_id FROM webhooks LIMIT 1")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    let nobody = Claimed {
        root: RootId(ids.0),
        lane: liaison::domain::Lane(42),
        lease: SystemClock::default().id(),
    };
    let first = arrival(ids, nobody, 1);
    arrive(&world.pool, std::slice::from_ref(&first)).await;
    let mut claimed = claim(world, Duration::from_mins(1)).await;
    let claimed = claimed.pop().unwrap();
    let mut connection = world.pool.acquire().await.unwrap();
    let done = InboxVerdict::Done("done".into());
    settle(&mut connection, claimed, first.id, done)
        .await
        .unwrap();
    (ids, claimed)
}

#[tokio::test]
async fn work_that_is_committed_while_its_lane_is_given_back_is_not_stranded() {
    run(async |world| {
        let (ids, claimed) = finished_lane(world).await;
        // The new delivery is written, but nobody sees it before its commit.
        let gate = Gate::close(world, "deliveries", "INSERT").await;
        let new = [arrival(ids, claimed, 2)];
        let give_back = queue::Release {
            claimed,
            pause: Duration::ZERO,
        };
        let storing = arrive(&world.pool, &new);
        let releasing = async {
            world.until(&waiting(1)).await;
            queue::release(&world.pool, Queue::Inbox, vec![give_back])
                .await
                .unwrap();
            assert_eq!(world.count("lanes WHERE lane = 42").await, 0);
            gate.open().await;
        };
        tokio::join!(storing, releasing);
        assert_eq!(
            world.count("lanes WHERE lane = 42 AND lease IS NULL").await,
            1
        );
        world.start_service(&ALL).await;
        assert_eq!(world.outcome_of(new[0].id).await.state, "ignored");
    })
    .await;
}

#[tokio::test]
async fn work_that_arrives_while_its_lane_is_being_removed_gets_a_new_lane() {
    run(async |world| {
        let (ids, claimed) = finished_lane(world).await;
        let gate = Gate::close(world, "lanes", "DELETE").await;
        let new = [arrival(ids, claimed, 2)];
        let give_back = queue::Release {
            claimed,
            pause: Duration::ZERO,
        };
        let releasing = queue::release(&world.pool, Queue::Inbox, vec![give_back]);
        let storing = async {
            world.until(&waiting(1)).await;
            let storing = arrive(&world.pool, &new);
            let opening = async {
                world.until(&waiting(2)).await;
                gate.open().await;
            };
            tokio::join!(storing, opening);
        };
        let (released, ()) = tokio::join!(releasing, storing);
        released.unwrap();
        assert_eq!(
            world.count("lanes WHERE lane = 42 AND lease IS NULL").await,
            1
        );
        world.start_service(&ALL).await;
        assert_eq!(world.outcome_of(new[0].id).await.state, "ignored");
    })
    .await;
}

#[tokio::test]
async fn a_lane_that_nobody_works_is_not_waited_for_and_a_leased_one_is_kept() {
    run(async |world| {
        let (ids, leased) = finished_lane(world).await;
        let free = Claimed {
            lane: liaison::domain::Lane(43),
            ..leased
        };
        arrive(&world.pool, &[arrival(ids, free, 2)]).await;
        let mut lock = world.pool.begin().await.unwrap();
        sqlx::query("SELECT FROM lanes WHERE lane = 43 FOR UPDATE")
            .execute(&mut *lock)
            .await
            .unwrap();
        let more = [arrival(ids, leased, 3), arrival(ids, free, 4)];
        let arrived = tokio::time::timeout(PATIENCE, arrive(&world.pool, &more)).await;
        assert!(arrived.is_ok(), "nobody is about to remove the lane");
        lock.rollback().await.unwrap();
        assert_eq!(world.count("lanes").await, 2);
        let give_back = queue::Release {
            claimed: leased,
            pause: Duration::ZERO,
        };
        let busy = queue::release(&world.pool, Queue::Inbox, vec![give_back]).await;
        assert!(busy.unwrap(), "its new work keeps the lane");
        world.start_service(&ALL).await;
        for arrival in more {
            assert_eq!(world.outcome_of(arrival.id).await.state, "ignored");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_receiver_stored_before_it_was_killed_is_worked_by_the_others() {
    run(async |world| {
        let (ids, claimed) = finished_lane(world).await;
        let release = queue::Release {
            claimed,
            pause: Duration::ZERO,
        };
        queue::release(&world.pool, Queue::Inbox, vec![release])
            .await
            .unwrap();
        world.start_service(&[Role::Process]).await;
        let stored: Vec<_> = (2..9).map(|key| arrival(ids, claimed, key)).collect();
        store(&world.pool, &stored).await;
        for arrival in stored {
            assert_eq!(world.outcome_of(arrival.id).await.state, "ignored");
        }
        // What waits for another attempt goes on waiting.
        let later = [Claimed {
            lane: liaison::domain::Lane(44),
            ..claimed
        }]
        .map(|lane| arrival(ids, lane, 9));
        sqlx::query(
            "ALTER TABLE deliveries ALTER COLUMN next_at SET DEFAULT now() + interval '1 hour'",
        )
        .execute(&world.pool)
        .await
        .unwrap();
        store(&world.pool, &later).await;
        queue::open_lost(&world.pool).await.unwrap();
        assert_eq!(
            world
                .count("lanes WHERE lane = 44 AND ready_at > now() + interval '50 minutes'")
                .await,
            1
        );
        sqlx::query("DELETE FROM deliveries WHERE lane = 44")
            .execute(&world.pool)
            .await
            .unwrap();
        sqlx::query("DELETE FROM lanes WHERE lane = 44")
            .execute(&world.pool)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn lanes_that_are_lost_are_put_together_again_at_the_start() {
    run(async |world| {
        let (order, form, rita) = (world.demo.order, world.demo.form, world.demo.rita);
        world.start_again(&[Role::Receive, Role::Process]).await;
        let answered = world
            .sandbox
            .comment(order, rita, "/add_contacts ada@example.com")
            .unwrap();
        world.until("(SELECT count(*) FROM effects) = 2").await;
        world.start_again(&[Role::Receive]).await;
        let pending = world
            .sandbox
            .comment(form, rita, "/add_contacts ada@example.com")
            .unwrap();
        let id = world.delivery_of(pending).await;
        world.stop_service().await;
        assert_eq!(world.delivery(id).await.summary.state, "pending");
        sqlx::query("TRUNCATE lanes")
            .execute(&world.pool)
            .await
            .unwrap();
        world.start_service(&ALL).await;
        for (issue, comment) in [(order, answered), (form, pending)] {
            let answer = world.answer(issue, comment).await;
            assert_eq!(answer, "- `add_contacts`: `ada@example.com` added");
        }
        world.settled().await;
        for (issue, comment) in [(order, answered), (form, pending)] {
            assert_eq!(world.bot_notes(issue).len(), 1);
            assert_eq!(world.sandbox.awards(comment).len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn services_wake_each_other_long_before_the_poll() {
    run(async |world| {
        world.settled().await;
        world.start_again(&[Role::Receive]).await;
        let process = world.another_service(&[Role::Process]).await;
        let deliver = world.another_service(&[Role::Deliver]).await;
        world
            .until("(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %') = 3")
            .await;
        let (form, rita) = (world.demo.form, world.demo.rita);
        world.ask(form, rita, "/help").await;
        let mut slowest = Duration::ZERO;
        for _ in 0..5 {
            world.until("NOT EXISTS (SELECT FROM lanes)").await;
            let began = std::time::Instant::now();
            world.ask(form, rita, "/add_contacts ada@example.com").await;
            slowest = slowest.max(began.elapsed());
        }
        println!("from a comment to its answer through three services: at most {slowest:?}");
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        process.stop().await;
        deliver.stop().await;
        world.start_again(&ALL).await;
    })
    .await;
}

#[tokio::test]
async fn replies_keep_to_the_pace_and_nothing_else_is_slowed_by_it() {
    run(async |world| {
        let (desk, rita) = (world.demo.desk, world.demo.rita);
        world.stop_service().await;
        // 12 at once, then one in 1.25 s.
        world.config.connection[0].notes_per_minute = 60;
        world.start_service(&[Role::Receive]).await;
        let asked: Vec<(u64, u64)> = (0..14)
            .map(|_| {
                let issue = new_issue(&world.sandbox, desk, rita);
                let comment = world
                    .sandbox
                    .comment(issue, rita, "/add_contacts ada@example.com")
                    .unwrap();
                (issue, comment)
            })
            .collect();
        world.settled_sending().await;
        world.start_again(&ALL).await;
        let answered = |state: &liaison::sandbox::State| {
            let notes = asked.iter().flat_map(|(issue, _)| state.notes(*issue));
            notes
                .filter(|note| note.author == world.demo.liaison)
                .count()
        };
        let reactions_first = world.sandbox.wait_for(
            |state| {
                let reacted = asked
                    .iter()
                    .all(|(_, comment)| !state.note(*comment).unwrap().awards.is_empty());
                reacted.then(|| answered(state))
            },
            PATIENCE,
        );
        let answers = reactions_first.await.unwrap();
        assert!(answers < 14, "reactions waited for paced replies");
        for (_, comment) in &asked {
            let id = world.delivery_of(*comment).await;
            assert_eq!(world.delivery(id).await.summary.state, "done");
        }
        for (issue, comment) in &asked {
            world.answer(*issue, *comment).await;
        }
        let mut times: Vec<_> = asked
            .iter()
            .flat_map(|(issue, _)| world.bot_notes(*issue))
            .map(|note| note.created_at)
            .collect();
        times.sort_unstable();
        let gap = |a: usize, b: usize| (times[b] - times[a]).as_seconds_f64();
        // Without the burst the first twelve alone would take 14 s.
        assert!(gap(0, 11) < 7.0, "the burst was slowed: {}", gap(0, 11));
        assert!(gap(0, 13) > 2.4, "faster than the pace: {}", gap(0, 13));
        world.settled().await;
        assert_eq!(times.len(), 14);
    })
    .await;
}

#[tokio::test]
async fn replies_that_wait_for_the_pace_longer_than_a_lease_are_posted_once() {
    run(async |world| {
        let (desk, rita) = (world.demo.desk, world.demo.rita);
        world.stop_service().await;
        // 12 at once, then one in 1.25 s, while a lease lasts two.
        world.config.connection[0].notes_per_minute = 60;
        world.config.queue.lease_seconds = 2;
        world.start_service(&ALL).await;
        let asked: Vec<(u64, u64)> = (0..15)
            .map(|_| {
                let issue = new_issue(&world.sandbox, desk, rita);
                let comment = world
                    .sandbox
                    .comment(issue, rita, "/add_contacts ada@example.com")
                    .unwrap();
                (issue, comment)
            })
            .collect();
        for (issue, comment) in &asked {
            world.answer(*issue, *comment).await;
        }
        world.settled().await;
        for (issue, _) in &asked {
            assert_eq!(world.bot_notes(*issue).len(), 1);
        }
        let repeated = world.count("effect_attempts WHERE attempt > 1").await;
        assert_eq!(repeated, 0, "attempts were begun that somebody else was at");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_was_deleted_in_the_tracker_stays_deleted() {
    run(async |world| {
        let (order, rita) = (world.demo.order, world.demo.rita);
        let comment = world
            .sandbox
            .comment(order, rita, "/add_contacts ada@example.com")
            .unwrap();
        let answer = world.answer_note(order, comment).await;
        world.settled().await;
        world.sandbox.delete_comment(answer.id);
        let more = "/add_contacts ada@example.com\n/add_contacts grace@example.com";
        world.sandbox.edit_comment(comment, rita, more).unwrap();
        world
            .until("(SELECT count(*) FROM effects WHERE queue = 'reply' AND state = 'done') = 2")
            .await;
        world.settled().await;
        assert_eq!(world.bot_notes(order).len(), 0);
        assert_eq!(
            world.issue_contacts(order).await.len(),
            2,
            "the command runs all the same"
        );
        let (_, outcomes) = attempts(world, world.delivery_of(comment).await, Queue::Reply).await;
        assert_eq!(
            outcomes,
            ["the answer was deleted over there and stays deleted"]
        );
    })
    .await;
}

#[tokio::test]
async fn the_answer_to_a_comment_that_is_gone_stands_on_the_issue_once() {
    run(async |world| {
        let (order, rita) = (world.demo.order, world.demo.rita);
        world.ask(world.demo.form, rita, "/help").await;
        world.settled().await;
        world.start_again(&[Role::Receive]).await;
        let comment = world
            .sandbox
            .comment(order, rita, "/add_contacts ada@example.com")
            .unwrap();
        world.delivery_of(comment).await;
        world.sandbox.delete_comment(comment);
        // The answer to the post on the issue is lost, so that it must be found again there.
        let notes = format!("{}/notes", issue_path(world, order));
        world
            .sandbox
            .fail(Method::POST, &notes, 2, Fault::AnswerLost);
        world.start_again(&ALL).await;
        world
            .until("NOT EXISTS (SELECT FROM effects WHERE state = 'pending') AND EXISTS (SELECT FROM effects WHERE queue = 'call' AND state = 'done')")
            .await;
        world.settled().await;
        let answers = world.bot_notes(order);
        assert_eq!(answers.len(), 1, "{answers:#?}");
        assert_eq!(
            without_marker(&answers[0].body),
            "- `add_contacts`: `ada@example.com` added"
        );
    })
    .await;
}

#[tokio::test]
async fn calls_carry_the_id_of_the_event_that_caused_them() {
    run(async |world| {
        let (order, rita) = (world.demo.order, world.demo.rita);
        let comment = world
            .sandbox
            .comment(order, rita, "/add_contacts ada@example.com")
            .unwrap();
        let answer = world.answer_note(order, comment).await;
        let more = "/add_contacts ada@example.com\n/add_contacts grace@example.com";
        world.sandbox.edit_comment(comment, rita, more).unwrap();
        world
            .until("(SELECT count(*) FROM effects WHERE state = 'done') = 4")
            .await;
        let events: Vec<String> = world
            .sandbox
            .hook_log()
            .into_iter()
            .filter(|sent| {
                let body: serde_json::Value = serde_json::from_slice(&sent.request_body).unwrap();
                body["object_kind"] == "note" && body["object_attributes"]["id"] == comment
            })
            .map(|sent| sent.header("X-Gitlab-Event-UUID").unwrap().to_owned())
            .collect();
        let writes: Vec<_> = world
            .sandbox
            .calls()
            .into_iter()
            .filter(|call| call.method != Method::GET)
            .collect();
        assert_eq!((events.len(), writes.len()), (2, 4), "{writes:?}");
        for call in &writes {
            let edit = call.method == Method::PUT;
            let chain = call.chain.as_ref().unwrap();
            assert!(events.contains(chain), "{call:?}");
            if edit {
                assert!(call.path.ends_with(&format!("/notes/{}", answer.id)));
                assert_eq!(*chain, events[1]);
            }
        }
        for event in &events {
            let caused = writes
                .iter()
                .filter(|call| call.chain.as_ref() == Some(event));
            assert_eq!(caused.count(), 2);
        }
    })
    .await;
}
