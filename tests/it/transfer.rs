//! Groups that no tracker tells of, moved by people through the API.

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::{
    graphql::{ask, data, token_of},
    harness::{World, run},
};

const TRANSFER: &str = r"
mutation($input: GroupTransferInput!) {
  groupTransfer(input: $input) {
    errors group { fullPath }
    report { groups contacts { moved copied merged } organizations { moved copied merged } relationsRemoved }
  }
}";

/// Two root groups that Liaison keeps itself: `old` with three contacts, and `new` with one that `old` has too.
/// The levels are those of Mona in `old` and in `new`.
async fn groups(world: &World, old: i16, new: i16) -> String {
    let mona = token_of(world, world.demo.mona).await;
    let rows = format!(
        "INSERT INTO groups (root_id, id, path, name, contact_group_id, created_at)
         VALUES (7000, 7000, 'old', 'Old', 7000, now()), (7001, 7001, 'new', 'New', 7001, now());
         INSERT INTO memberships (root_id, group_id, person_id, level)
         SELECT place.root, place.root, person_id, place.level
         FROM identities, (VALUES (7000::bigint, {old}::smallint), (7001, {new})) AS place (root, level)
         WHERE remote_id = '{}' AND place.level > 0;
         INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
         VALUES (7000, 7100, 7000, 'contact', 'Ada L', 'Ada', 'L', 'ADA@example.com', now(), now()),
                (7000, 7101, 7000, 'contact', 'Ben M', 'Ben', 'M', 'ben@example.com', now(), now()),
                (7000, 7102, 7000, 'contact', 'Cy N', 'Cy', 'N', NULL, now(), now()),
                (7001, 7103, 7001, 'contact', 'Ada L', 'Ada', 'L', 'ada@example.com', now(), now())",
        world.demo.mona
    );
    sqlx::raw_sql(AssertSqlSafe(rows))
        .execute(&world.pool)
        .await
        .unwrap();
    mona
}

#[tokio::test]
async fn an_owner_moves_a_group_and_is_told_before_what_is_told_after() {
    run(async |world| {
        let mona = groups(world, 50, 40).await;
        let input = |dry_run| json!({ "input": { "fullPath": "old", "newParentPath": "new", "dryRun": dry_run } });
        let report = json!({
            "groups": 1, "relationsRemoved": 0,
            "contacts": { "moved": 2, "copied": 0, "merged": 1 },
            "organizations": { "moved": 0, "copied": 0, "merged": 0 },
        });
        let foreseen = data(world, &mona, TRANSFER, input(true)).await;
        assert_eq!(foreseen["groupTransfer"], json!({ "errors": [], "group": { "fullPath": "old" }, "report": report }));
        let moved = data(world, &mona, TRANSFER, input(false)).await;
        assert_eq!(moved["groupTransfer"], json!({ "errors": [], "group": { "fullPath": "new/old" }, "report": report }));
        let count = world.count("items WHERE root_id = 7001 AND group_id = 7001").await;
        assert_eq!(count, 3, "those of the old root, without the twin");
        let again = data(world, &mona, TRANSFER, json!({ "input": { "fullPath": "new/old", "newParentPath": "new" } })).await;
        assert_eq!(again["groupTransfer"]["errors"], json!(["Transfer failed: Group is already associated to the parent group."]));
    })
    .await;
}

#[tokio::test]
async fn nobody_moves_a_group_without_the_rights_at_both_ends() {
    let denied = json!(["Transfer failed: You don't have enough permissions."]);
    let unseen = json!(
        "The resource that you are attempting to access does not exist or you don't have permission to perform this action"
    );
    for (old, new, place, told) in [
        (40, 50, "/data/groupTransfer/errors", &denied),
        (50, 30, "/data/groupTransfer/errors", &denied),
        (50, 0, "/errors/0/message", &unseen),
        (0, 50, "/errors/0/message", &unseen),
    ] {
        run(async move |world| {
            let mona = groups(world, old, new).await;
            let input = json!({ "input": { "fullPath": "old", "newParentPath": "new" } });
            let answer = ask(world, &mona, TRANSFER, input).await;
            assert_eq!(answer.pointer(place), Some(told), "{old} {new} {answer}");
            assert_eq!(world.count("items WHERE root_id = 7000").await, 3);
        })
        .await;
    }
}

#[tokio::test]
async fn a_group_that_a_tracker_tells_of_is_moved_there() {
    run(async |world| {
        let mona = groups(world, 50, 50).await;
        let input = json!({ "input": { "fullPath": "acme", "newParentPath": "new" } });
        let answer = data(world, &mona, TRANSFER, input).await;
        assert_eq!(
            answer["groupTransfer"]["errors"],
            json!(["Transfer failed: The tracker tells where this group is: move it there."])
        );
    })
    .await;
}
