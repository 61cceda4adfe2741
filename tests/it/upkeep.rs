//! What is forgotten, what stays, and what is told of it.

use chrono::TimeDelta;
use liaison::{
    domain::{Clock, SystemClock},
    queue::{self, Backlog, Pruned},
};

use crate::harness::{Setup, run, run_with};

#[tokio::test]
async fn settled_work_is_forgotten_after_its_time_and_dead_work_stays() {
    let setup = Setup {
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/add_contacts ada@example.com",
            )
            .await;
        // A body that does not read is dead at once.
        world
            .deliver(r#"{"object_kind": "note", "user": {}}"#)
            .await;
        world.delivery_in("dead").await;
        world.settled().await;
        let now = SystemClock::default().now();
        let before = queue::prune(&world.pool, now - TimeDelta::days(1))
            .await
            .unwrap();
        assert_eq!(before, Pruned::default(), "nothing is old enough");

        let pruned = queue::prune(&world.pool, now + TimeDelta::seconds(5))
            .await
            .unwrap();
        assert_eq!(pruned.effects, 2);
        let left = world.deliveries().await;
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].state, "dead");
        let body = world.delivery(left[0].id).await.body;
        assert_eq!(body, r#"{"object_kind": "note", "user": {}}"#);
        assert_eq!(
            world.count("delivery_blocks").await,
            1,
            "the others' bodies"
        );
        assert_eq!(world.count("effect_attempts").await, 0);
        // What was changed is no part of the log.
        assert_eq!(
            world.issue_contacts(world.demo.order).await,
            ["ada@example.com"]
        );

        // A comment whose delivery is forgotten is known all the same: an edit runs only what it adds.
        let comment = world
            .sandbox
            .notes(world.demo.order)
            .into_iter()
            .find(|note| note.body.starts_with("/add"))
            .unwrap();
        world
            .ask(
                world.demo.order,
                world.demo.rita,
                "/remove_contacts ada@example.com",
            )
            .await;
        world
            .sandbox
            .edit_comment(
                comment.id,
                world.demo.rita,
                "/add_contacts ada@example.com\nplease",
            )
            .unwrap();
        world.settled().await;
        assert_eq!(world.issue_contacts(world.demo.order).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn the_backlog_counts_what_waits() {
    let setup = Setup {
        roles: vec![liaison::app::Role::Receive],
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let nothing = Backlog {
            deliveries: 0,
            delivery_age: 0.0,
            effects: 0,
            effect_age: 0.0,
        };
        assert_eq!(queue::backlog(&world.pool).await.unwrap(), nothing);
        world.deliver("{}").await;
        let waiting = queue::backlog(&world.pool).await.unwrap();
        assert_eq!((waiting.deliveries, waiting.effects), (1, 0));
        assert!(waiting.delivery_age > 0.0 && waiting.delivery_age < 20.0);
    })
    .await;
}

#[tokio::test]
async fn health_is_told_to_everybody_and_metrics_to_nobody_who_is_not_asked_for() {
    run(async |world| {
        let get = async |path| {
            world
                .send(http::Method::GET, path, http::HeaderMap::new(), "")
                .await
        };
        assert_eq!(get("/-/liveness").await.status, 200);
        assert_eq!(get("/-/readiness").await.status, 200);
        assert_eq!(get("/-/metrics").await.status, 404);
    })
    .await;
}
