//! Commands on an issue of the tracker, and what comes of them in a room of the homeserver.

use crate::{
    harness::{self, Setup, World},
    synapse::{self, User, until},
};

/// Lets somebody of the tracker be known by an account of the homeserver.
async fn introduce(world: &World, tracker: u64, user: &User<'_>) {
    sqlx::query(
        "INSERT INTO identities (person_id, connection_id, remote_id, username)
         SELECT person_id, (SELECT id FROM connections WHERE kind = 'matrix'), $2, $3 FROM identities WHERE remote_id = $1",
    )
    .bind(tracker.to_string())
    .bind(&user.id)
    .bind(user.name())
    .execute(&world.pool)
    .await
    .unwrap();
}

async fn becomes(user: &User<'_>, room: &str, membership: &str) {
    until(&format!("{} has {membership}", user.id), async || {
        (user.membership(room).await == membership).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_an_issue_brings_somebody_into_the_room() {
    let homeserver = synapse::joining().await;
    let mut registered = homeserver.service();
    let (dan, rita) = (homeserver.user("dan").await, homeserver.user("rita").await);
    let connection = &registered.connection;
    let config = format!(
        r#"
[queue]
retry_seconds = [0]
attempts = 4
[[connection]]
name = "{connection}"
kind = "matrix"
url = "{}"
token = "{}"
bot = "{}"
"#,
        homeserver.base, registered.as_token, registered.bot,
    );
    let group = format!(
        r#"messenger = {{ connection = "{connection}" }}
[[group.webhook]]
name = "acme-matrix"
connection = "{connection}"
secret = "{}"
"#,
        registered.hs_token,
    );
    let setup = Setup {
        config: config.leak(),
        group: group.leak(),
        listener: Some(registered.listener().await),
        ..Setup::default()
    };
    harness::run_with(setup, async |world| {
        let (order, boss) = (world.demo.order, world.demo.dan);
        world.ask(order, boss, "@liaison help").await;
        world.ask(order, world.demo.rita, "@liaison help").await;
        introduce(world, boss, &dan).await;
        introduce(world, world.demo.rita, &rita).await;
        let item: i64 = sqlx::query_scalar(
            "INSERT INTO items (root_id, group_id, kind, title, created_at, updated_at)
             SELECT root_id, id, 'deal', 'Chairs', now(), now() FROM groups WHERE path = 'acme' RETURNING id",
        )
        .fetch_one(&world.pool)
        .await
        .unwrap();
        let made = format!("@liaison link_item [deal:{item}]\n@liaison responsible @dan\n@liaison create_chat");
        world.ask(order, boss, &made).await;
        let room = until("the room is made", async || {
            let room: Option<Option<String>> = sqlx::query_scalar("SELECT remote_id FROM chats")
                .fetch_optional(&world.pool)
                .await
                .unwrap();
            room.flatten()
        })
        .await;
        becomes(&dan, &room, "join").await;
        let said = world.ask(order, boss, "@liaison add_observers @rita").await;
        assert!(said.contains("`@rita` added"), "{said}");
        becomes(&rita, &room, "join").await;
        world.ask(order, boss, "@liaison remove_observers @rita").await;
        becomes(&rita, &room, "leave").await;
        world.settled().await;
        becomes(&rita, &room, "leave").await;
    })
    .await;
}
