//! Comments on many issues that wait at the same time are decided on together. Each gets what it would get by itself.

use liaison::{
    app::Role,
    domain::DeliveryId,
    sandbox::{NewGroup, NewIssue, NewProject, Visibility},
};
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::harness::{Setup, World, run, run_with};

const ALL: [Role; 4] = [Role::Receive, Role::Process, Role::Deliver, Role::Web];

/// Returns new issues, after the service got to know them, somebody and their project. From now on it only takes in.
async fn take_in<const COUNT: usize>(world: &mut World, user: u64) -> [u64; COUNT] {
    let issues = [(); COUNT].map(|()| {
        world.sandbox.create_issue(NewIssue {
            project: world.demo.website,
            author: world.demo.rita,
            title: "Call back".into(),
            ..NewIssue::default()
        })
    });
    world.ask(world.demo.form, user, "/help").await;
    world.settled().await;
    world.start_again(&[Role::Receive]).await;
    issues
}

/// Works all that waits.
async fn work(world: &mut World) {
    world.settled_sending().await;
    world.start_again(&ALL).await;
    world.settled().await;
}

/// Writes a comment on an issue; returns both.
fn comment(world: &World, issue: u64, user: u64, text: &str) -> (u64, u64) {
    (issue, world.sandbox.comment(issue, user, text).unwrap())
}

/// In how many transactions deliveries were settled, since `now()` is the moment at which one began.
async fn transactions(world: &World, comments: &[(u64, u64)]) -> i64 {
    let mut ids = Vec::new();
    for (_, comment) in comments {
        ids.push(world.delivery_of(*comment).await.0);
    }
    sqlx::query_scalar("SELECT count(DISTINCT settled_at) FROM deliveries WHERE id = ANY($1)")
        .bind(ids)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

/// The body of the hook of a comment.
fn hook(world: &World, comment: u64) -> Value {
    let log = world.sandbox.hook_log().into_iter();
    let mut bodies = log.map(|sent| serde_json::from_slice::<Value>(&sent.request_body).unwrap());
    let is_it =
        |body: &Value| body["object_kind"] == "note" && body["object_attributes"]["id"] == comment;
    bodies.find(is_it).unwrap()
}

fn id_of(answer: &liaison::egress::Answer) -> DeliveryId {
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    DeliveryId(answer["delivery"].as_str().unwrap().parse().unwrap())
}

/// Holds that a comment added Ada, and was answered and reacted to once.
async fn added_ada(world: &World, (issue, comment): (u64, u64)) {
    let answer = world.answer(issue, comment).await;
    assert_eq!(answer, "- `add_contacts`: `ada@example.com` added");
    assert_eq!(world.bot_notes(issue).len(), 1);
    assert_eq!(world.sandbox.awards(comment).len(), 1);
    assert_eq!(world.issue_contacts(issue).await, ["ada@example.com"]);
}

#[tokio::test]
async fn a_group_of_all_sorts_gives_each_its_own() {
    let setup = Setup {
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let demo = world.demo;
        let [first, second, third, fourth, fifth] = take_in(world, demo.rita).await;
        let ada = "/add_contacts ada@example.com";
        let good = [first, second, third].map(|issue| comment(world, issue, demo.rita, ada));
        let plain = comment(world, fourth, demo.rita, "Thanks!");
        // Not met before: the tracker is asked who she is and what she may do.
        let unknown = comment(world, fifth, demo.mona, ada);
        world.settled_sending().await;

        let other = world.sandbox.create_group(NewGroup {
            path: "other".into(),
            name: "Other".into(),
            id: None,
            parent: None,
            visibility: Visibility::Public,
        });
        let shop = world.sandbox.create_project(NewProject {
            group: other,
            path: "shop".into(),
            name: "Shop".into(),
            id: None,
            visibility: Visibility::Public,
        });
        let mut outside = hook(world, good[0].1);
        outside["object_attributes"]["id"] = 990_001.into();
        outside["project_id"] = shop.into();
        outside["project"]["id"] = shop.into();
        outside["project"]["path_with_namespace"] = "other/shop".into();
        let outside = id_of(&world.deliver(outside.to_string()).await);
        let mut broken = hook(world, good[0].1);
        broken["object_attributes"]["id"] = "no number".into();
        broken["issue"]["iid"] = 990_002.into();
        let broken = id_of(&world.deliver(broken.to_string()).await);
        work(world).await;

        for asked in good.into_iter().chain([unknown]) {
            added_ada(world, asked).await;
        }
        let together: Vec<_> = good.into_iter().chain([plain]).collect();
        assert_eq!(transactions(world, &together).await, 1);
        for (id, state, outcome) in [
            (
                world.delivery_of(plain.1).await,
                "ignored",
                "no commands in it",
            ),
            (
                outside,
                "ignored",
                "project other/shop is outside the group of this webhook",
            ),
        ] {
            let line = world.outcome_of(id).await;
            assert_eq!(
                (&*line.state, line.outcome.as_deref()),
                (state, Some(outcome))
            );
        }
        assert_eq!(world.outcome_of(broken).await.state, "dead");
        assert_eq!(world.count("issue_items").await, 4);
        assert_eq!(world.count("history").await, 4);
        assert_eq!(world.count("effects").await, 2 + 2 * 4);
    })
    .await;
}

#[tokio::test]
async fn commands_of_a_group_keep_their_order_within_each_comment() {
    run(async |world| {
        let rita = world.demo.rita;
        let issues = take_in::<4>(world, rita).await;
        let [first, second, third, fourth] = issues;
        let texts = [
            "/add_contacts ada@example.com\n/remove_contacts ada@example.com\n/add_contacts grace@example.com",
            "/remove_contacts ada@example.com\n/add_contacts ada@example.com",
            "/add_contacts ada@example.com grace@example.com\n/remove_contacts ada@example.com\n/undo",
            "/crm contacts",
        ];
        let asked = [0, 1, 2, 3].map(|number| comment(world, issues[number], rita, texts[number]));
        work(world).await;
        assert_eq!(transactions(world, &asked).await, 1);
        assert_eq!(world.issue_contacts(first).await, ["Grace@Example.com"]);
        assert_eq!(world.issue_contacts(second).await, ["ada@example.com"]);
        let both = ["ada@example.com", "Grace@Example.com"];
        assert_eq!(world.issue_contacts(third).await, both);
        assert_eq!(world.issue_contacts(fourth).await.len(), 0);
        for (issue, comment) in asked {
            world.answer(issue, comment).await;
            assert_eq!(world.sandbox.awards(comment).len(), 1);
        }

        // Once more, to take back what was done: each undoes its own.
        world.start_again(&[Role::Receive]).await;
        let undone: Vec<(u64, u64)> = asked[..2]
            .iter()
            .map(|(issue, _)| (*issue, world.sandbox.comment(*issue, rita, "/crm undo").unwrap()))
            .collect();
        work(world).await;
        assert_eq!(transactions(world, &undone).await, 1);
        assert_eq!(world.issue_contacts(first).await.len(), 0);
        assert_eq!(world.issue_contacts(second).await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn comments_of_a_group_that_meet_each_other_are_decided_one_by_one() {
    run(async |world| {
        let dan = world.demo.dan;
        let issues = take_in::<4>(world, dan).await;
        let before = world.count("deliveries WHERE state = 'done'").await;
        let text = "/create_contact zoe@example.com Zoe Winter";
        let asked = issues.map(|issue| comment(world, issue, dan, text));
        work(world).await;
        let mut created = 0;
        for (issue, comment) in asked {
            let answer = world.answer(issue, comment).await;
            created += usize::from(answer.contains("`zoe@example.com` created and added"));
            assert_eq!(world.bot_notes(issue).len(), 1);
        }
        assert_eq!(created, 1);
        assert_eq!(
            world.count("items WHERE email = 'zoe@example.com'").await,
            1
        );
        let done = world.count("deliveries WHERE state = 'done'").await;
        assert_eq!(done, before + 4);
    })
    .await;
}

#[tokio::test]
async fn a_comment_of_a_group_that_the_store_refuses_fails_alone() {
    let setup = Setup {
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let rita = world.demo.rita;
        let issues = take_in::<5>(world, rita).await;
        let asked =
            issues.map(|issue| comment(world, issue, rita, "/add_contacts ada@example.com"));
        let (issue, refused) = asked[2];
        // Refused is the remembering, in the midst of what is written.
        let refuse = format!("ALTER TABLE comments ADD CHECK (remote_id <> '{refused}')");
        sqlx::query(AssertSqlSafe(refuse))
            .execute(&world.pool)
            .await
            .unwrap();
        work(world).await;
        let line = world.outcome_of(world.delivery_of(refused).await).await;
        assert_eq!((&*line.state, line.attempts), ("dead", 1), "{line:?}");
        assert_eq!(world.bot_notes(issue).len(), 0);
        assert_eq!(world.issue_contacts(issue).await.len(), 0);
        for (number, good) in asked.into_iter().enumerate() {
            if number != 2 {
                added_ada(world, good).await;
            }
        }
        assert_eq!(world.count("history").await, 4);
    })
    .await;
}
