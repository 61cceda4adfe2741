//! Moves of projects and groups: what stays, what goes along, what becomes one, and who notices nothing.

use std::{collections::BTreeMap, sync::Arc};

use http::Method;
use liaison::{
    app::Role,
    connector::gitlab::Client,
    domain::{Clock, Followers, GroupId, OperationId, ProjectId, RootId, SystemClock, Via},
    egress::{Egress, Limits},
    queue,
    sandbox::{HookOwner, Level, NewGroup, NewHook, NewIssue, NewProject, Place, Visibility},
    store::{
        StoreError, group as groups,
        place::{Done, Kind},
        transfer::{self, Fates, GroupMove, Mover, ProjectMove, TransferReport},
    },
    worker::{self, Reconciled},
};
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::harness::{
    BOT_TOKEN, PATIENCE, SIGNING_TOKEN, Setup, World, arrive, database, pool, run, run_with,
};

const ALL: [Role; 4] = [Role::Receive, Role::Process, Role::Deliver, Role::Web];

/// Two tenants that have to do with a move, and a third that has not. Contacts of acme: Ada, who is in globex too, with her organization;
/// Bob, who has no address; Cid; Dora, whom no issue has; and Eve, whom only the sales group has.
const TENANTS: &str = r"
    INSERT INTO connections (id, name, kind, url, bot_username, created_at) OVERRIDING SYSTEM VALUE
    VALUES (1, 'gitlab', 'gitlab', 'https://gitlab.example', 'liaison', now());
    INSERT INTO people (id, username, name, created_at) OVERRIDING SYSTEM VALUE VALUES (1, 'ann', 'Ann', now());
    INSERT INTO groups (root_id, id, parent_id, path, name, contact_group_id, connection_id, remote_id, remote_path, created_at) VALUES
        (1000, 1000, NULL, 'acme', 'acme', 1000, 1, '10', 'acme', now()),
        (1000, 1001, 1000, 'acme/support', 'support', 1000, 1, '11', 'acme/support', now()),
        (1000, 1002, 1001, 'acme/support/north', 'north', 1000, 1, '12', 'acme/support/north', now()),
        (1000, 1003, 1000, 'acme/sales', 'sales', 1000, 1, '13', 'acme/sales', now()),
        (2000, 2000, NULL, 'globex', 'globex', 2000, 1, '20', 'globex', now()),
        (2000, 2001, 2000, 'globex/team', 'team', 2000, 1, '21', 'globex/team', now()),
        (3000, 3000, NULL, 'initech', 'initech', 3000, 1, '30', 'initech', now());
    INSERT INTO projects (root_id, id, group_id, connection_id, remote_id, path, visibility, checked_at) OVERRIDING SYSTEM VALUE VALUES
        (1000, 1, 1001, 1, '101', 'acme/support/desk', 'private', now()),
        (1000, 2, 1002, 1, '102', 'acme/support/north/desk', 'private', now()),
        (1000, 3, 1003, 1, '103', 'acme/sales/shop', 'private', now()),
        (2000, 4, 2001, 1, '104', 'globex/team/desk', 'private', now()),
        (3000, 5, 3000, 1, '105', 'initech/desk', 'private', now());
    INSERT INTO issues (root_id, id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
        OVERRIDING SYSTEM VALUE
    SELECT root_id, id, id, id::text, 1, 'chair', 'opened', false, '7', '{}', now() FROM projects;
    UPDATE issues SET moved_to_id = CASE id WHEN 1 THEN 3 ELSE 1 END WHERE id IN (1, 2);
    INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, organization_id, created_at, updated_at) VALUES
        (1000, 50, 1000, 'organization', 'Acme Ltd', NULL, NULL, NULL, NULL, '2026-01-01', '2026-01-02'),
        (1000, 51, 1000, 'organization', 'Other', NULL, NULL, NULL, NULL, '2026-01-01', '2026-01-02'),
        (2000, 60, 2000, 'organization', 'ACME LTD', NULL, NULL, NULL, NULL, '2026-01-01', '2026-01-02'),
        (3000, 70, 3000, 'organization', 'Acme Ltd', NULL, NULL, NULL, NULL, '2026-01-01', '2026-01-02');
    INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, organization_id, created_at, updated_at) VALUES
        (1000, 11, 1000, 'contact', 'Ada Byron', 'Ada', 'Byron', 'ada@example.com', 50, '2026-01-01', '2026-01-02'),
        (1000, 12, 1000, 'contact', 'Bob None', 'Bob', 'None', NULL, 50, '2026-01-01', '2026-01-02'),
        (1000, 13, 1000, 'contact', 'Cid Case', 'Cid', 'Case', 'CID@example.com', NULL, '2026-01-01', '2026-01-02'),
        (1000, 14, 1000, 'contact', 'Dora Idle', 'Dora', 'Idle', 'dora@example.com', 51, '2026-01-01', '2026-01-02'),
        (1000, 15, 1000, 'contact', 'Eve Sales', 'Eve', 'Sales', 'eve@example.com', NULL, '2026-01-01', '2026-01-02'),
        (2000, 21, 2000, 'contact', 'Ada King', 'Ada', 'King', 'ADA@Example.com', NULL, '2026-01-01', '2026-01-02'),
        (3000, 31, 3000, 'contact', 'Ada Byron', 'Ada', 'Byron', 'ada@example.com', 70, '2026-01-01', '2026-01-02');
    SELECT setval(pg_get_serial_sequence('items', 'id'), 1000);
    INSERT INTO issue_items (root_id, issue_id, item_id, added_by, added_at) VALUES
        (1000, 1, 11, 1, now()), (1000, 1, 12, 1, now()), (1000, 2, 13, 1, now()),
        (1000, 3, 11, 1, now()), (1000, 3, 15, 1, now()), (2000, 4, 21, 1, now()), (3000, 5, 31, 1, now());
    INSERT INTO history (root_id, operation, at, actor_id, via, issue_id, item_id, action) VALUES
        (1000, '00000000-0000-0000-0000-000000000001', now(), 1, 'quick_action', 1, 11, 'item_related'),
        (1000, '00000000-0000-0000-0000-000000000002', now(), 1, 'graphql', NULL, 11, 'item_edited');
    INSERT INTO webhooks (root_id, id, name, group_id, connection_id, created_at) OVERRIDING SYSTEM VALUE
    VALUES (1000, 1, 'acme', 1000, 1, now()), (1000, 2, 'support', 1001, 1, now()), (3000, 3, 'initech', 3000, 1, now());
    INSERT INTO comments (root_id, connection_id, remote_id, issue_id, version, commands, reply_id, reply_lines, is_internal, reply_internal, reply_names)
    VALUES (1000, 1, '900', 1, now(), '[]', '00000000-0000-0000-0000-0000000000c1', '[]', false, false, false);
    INSERT INTO delivery_blocks (id, size, content) VALUES ('00000000-0000-0000-0000-0000000000d2', 4, '{}{}');
    INSERT INTO deliveries (root_id, id, webhook_id, lane, dedupe_key, received_at, block_id, block_from, headers_size, body_size, state, settled_at) VALUES
        (1000, '00000000-0000-0000-0000-0000000000d1', 2, 7, '00000000-0000-0000-0000-000000000001', now(), '00000000-0000-0000-0000-0000000000d2', 0, 2, 2, 'pending', NULL),
        (1000, '00000000-0000-0000-0000-0000000000d2', 1, 8, '00000000-0000-0000-0000-000000000002', now(), '00000000-0000-0000-0000-0000000000d2', 0, 2, 2, 'done', now());
    INSERT INTO effects (root_id, id, delivery_id, connection_id, queue, lane, payload, created_at)
    SELECT 1000, ('00000000-0000-0000-0000-0000000000e' || n)::uuid, '00000000-0000-0000-0000-0000000000d2', 1, 'reply', n,
           jsonb_build_object('kind', 'reply', 'on', jsonb_build_object('project', (100 + n)::text, 'issue', 1, 'comment', '900', 'discussion', NULL),
                              'reply', '00000000-0000-0000-0000-0000000000c1', 'first', true, 'link', NULL, 'cause', NULL), now()
    FROM unnest(ARRAY[1, 3]) AS n;
    INSERT INTO access_levels (root_id, connection_id, remote_user_id, scope, remote_scope_id, level, checked_at)
    VALUES (1000, 1, '7', 'group', '11', 30, now()), (1000, 1, '7', 'project', '101', 30, now()), (1000, 1, '7', 'group', '10', 30, now());
";

/// Every table that belongs to a tenant, and whether a move takes its rows along.
const TENANT_TABLES: [&str; 25] = [
    "access_levels",
    "bulk_jobs",
    "chat_members",
    "chats",
    "comments",
    "deliveries",
    "effect_attempts",
    "effects",
    "groups",
    "history",
    "issue_items",
    "issues",
    "item_counts",
    "item_links",
    "item_types",
    "item_words",
    "items",
    "lanes",
    "memberships",
    "observer_requests",
    "observers",
    "portal_links",
    "projects",
    "webhook_secrets",
    "webhooks",
];

async fn tenants() -> PgPool {
    let pool = pool(database().await);
    pool.execute(TENANTS).await.unwrap();
    pool
}

fn mover() -> Mover {
    let clock = SystemClock::default();
    Mover {
        operation: OperationId(clock.id()),
        actor: None,
        via: Via::Tracker,
        now: clock.now(),
    }
}

const SUPPORT_TO_TEAM: GroupMove<'static> = GroupMove {
    root: RootId(1000),
    group: GroupId(1001),
    parent: Some((RootId(2000), GroupId(2001))),
    path: "globex/team/support",
    remote_path: Some("globex/team/support"),
};
const ACME_TO_TEAM: GroupMove<'static> = GroupMove {
    root: RootId(1000),
    group: GroupId(1000),
    parent: Some((RootId(2000), GroupId(2001))),
    path: "globex/team/acme",
    remote_path: Some("globex/team/acme"),
};

async fn move_group(pool: &PgPool, what: GroupMove<'_>) -> Result<TransferReport, StoreError> {
    let mut tx = pool.begin().await.unwrap();
    let moved = transfer::group(&mut tx, &mover(), &what).await?;
    queue::follow(&mut tx, &moved.followers).await.unwrap();
    tx.commit().await.unwrap();
    Ok(moved.report)
}

async fn preview(pool: &PgPool, what: GroupMove<'_>) -> TransferReport {
    let mut tx = pool.begin().await.unwrap();
    let operation = OperationId(SystemClock::default().id());
    let report = transfer::preview(&mut tx, operation, &what).await.unwrap();
    tx.commit().await.unwrap();
    report
}

/// The contacts of an issue: the tenant and group that have them, "same" for those of the fixture, name, address, organization.
async fn contacts(pool: &PgPool, issue: i64) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', items.root_id, items.group_id, CASE WHEN items.id < 100 THEN 'same' ELSE 'copy' END, items.title, items.email,
                          organization.id)
         FROM issues
         JOIN issue_items ON issue_items.root_id = issues.root_id AND issue_items.issue_id = issues.id
         JOIN items ON items.root_id = issues.root_id AND items.id = issue_items.item_id
         LEFT JOIN items AS organization ON organization.root_id = items.root_id AND organization.id = items.organization_id
         WHERE issues.id = $1 ORDER BY items.title",
    )
    .bind(issue)
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn list(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

/// A fingerprint per table of what a condition covers.
async fn checksums(pool: &PgPool, condition: &str) -> BTreeMap<&'static str, String> {
    let mut sums = BTreeMap::new();
    for table in TENANT_TABLES {
        let query = format!(
            "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} AS t WHERE {condition}"
        );
        let sum = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(pool)
            .await
            .unwrap();
        sums.insert(table, sum);
    }
    sums
}

#[tokio::test]
async fn every_table_of_a_tenant_is_known_to_moves() {
    let pool = pool(database().await);
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'root_id' ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();

    assert_eq!(
        tables, TENANT_TABLES,
        "decide in store/transfer whether its rows go along"
    );
}

#[tokio::test]
async fn a_group_that_stays_in_its_root_keeps_all_contacts() {
    let pool = tenants().await;
    let within = GroupMove {
        root: RootId(1000),
        group: GroupId(1002),
        parent: Some((RootId(1000), GroupId(1003))),
        path: "acme/sales/north",
        remote_path: Some("acme/sales/north"),
    };
    let items = checksums(&pool, "true").await["items"].clone();
    let before = preview(&pool, within).await;
    let report = move_group(&pool, within).await.unwrap();
    let expected = TransferReport {
        groups: 1,
        projects: 1,
        issues: 1,
        relations_kept: 1,
        ..TransferReport::default()
    };
    assert_eq!((before, report), (expected, expected));
    assert_eq!(checksums(&pool, "true").await["items"], items);
    assert_eq!(
        contacts(&pool, 2).await,
        ["1000 1000 same Cid Case CID@example.com"]
    );
    assert_eq!(
        list(&pool, "SELECT path FROM projects WHERE id = 2 UNION ALL SELECT path FROM groups WHERE id = 1002 AND parent_id = 1003").await,
        ["acme/sales/north/desk", "acme/sales/north"]
    );
}

#[tokio::test]
async fn a_project_takes_its_contacts_within_a_root_and_none_to_another() {
    let pool = tenants().await;
    for (to, kept, removed) in [((1000, 1003), 2, 0), ((2000, 2001), 0, 2)] {
        let what = ProjectMove {
            root: RootId(1000),
            project: ProjectId(1),
            to: (RootId(to.0), GroupId(to.1)),
        };
        let mut tx = pool.begin().await.unwrap();
        let moved = transfer::project(&mut tx, &mover(), &what).await.unwrap();
        let _ = queue::follow(&mut tx, &moved.followers).await.unwrap();
        tx.commit().await.unwrap();
        let report = moved.report;
        assert_eq!(
            (report.relations_kept, report.relations_removed),
            (kept, removed)
        );
        let told: Vec<_> = moved
            .lost
            .iter()
            .map(|lost| (lost.issue, lost.items))
            .collect();
        assert_eq!(
            told,
            if removed == 0 {
                vec![]
            } else {
                vec![(1, removed)]
            }
        );
        assert_eq!(
            contacts(&pool, 1).await.len(),
            usize::try_from(kept).unwrap()
        );
    }
    assert_eq!(
        contacts(&pool, 3).await.len(),
        2,
        "another project keeps its own"
    );
    assert_eq!(
        list(&pool, "SELECT concat_ws(' ', item_id, issue_id, action) FROM history WHERE root_id = 1000 AND via = 'tracker' AND item_id IS NOT NULL ORDER BY 1").await,
        ["11 1 item_unrelated", "12 1 item_unrelated"],
        "the customers' history stays with them"
    );
    assert_eq!(list(&pool, "SELECT root_id::text FROM comments UNION ALL SELECT root_id::text FROM effects WHERE lane = 1").await, ["2000", "2000"]);
}

#[tokio::test]
async fn a_subgroup_takes_copies_of_what_its_issues_use() {
    let pool = tenants().await;
    let stays = "root_id = 3000";
    let others = checksums(&pool, stays).await;
    let siblings = contacts(&pool, 3).await;
    let before = preview(&pool, SUPPORT_TO_TEAM).await;
    let report = move_group(&pool, SUPPORT_TO_TEAM).await.unwrap();
    let expected = TransferReport {
        groups: 2,
        projects: 2,
        issues: 2,
        contacts: Fates {
            moved: 0,
            copied: 2,
            merged: 1,
        },
        organizations: Fates {
            moved: 0,
            copied: 0,
            merged: 1,
        },
        items: Fates::default(),
        relations_kept: 3,
        relations_removed: 0,
    };
    assert_eq!(report, expected);
    assert_eq!(before, expected, "the report before is the report after");
    // Ada is there already, under another spelling; Bob has no address, and comes as he is with the organization of that name.
    let of_desk = contacts(&pool, 1).await;
    assert_eq!(of_desk.len(), 2, "{of_desk:?}");
    assert_eq!(of_desk[0], "2000 2000 same Ada King ADA@Example.com");
    assert_eq!(of_desk[1], "2000 2000 copy Bob None 60");
    assert_eq!(
        contacts(&pool, 2).await,
        ["2000 2000 copy Cid Case CID@example.com"]
    );
    // What stays is as it was.
    assert_eq!(contacts(&pool, 3).await, siblings);
    assert_eq!(
        list(
            &pool,
            "SELECT id::text FROM items WHERE root_id = 1000 ORDER BY id"
        )
        .await,
        ["11", "12", "13", "14", "15", "50", "51"]
    );
    assert_eq!(checksums(&pool, stays).await, others);
    // A copy is the whole contact.
    let copy = "SELECT (to_jsonb(items) - '{id,root_id,group_id,organization_id,organization_title,search_text,word_lines}'::text[])::text
                FROM items WHERE title = 'Cid Case' ORDER BY id";
    let copies = list(&pool, copy).await;
    assert_eq!(copies[0], copies[1]);
    // What belongs to it is at the new place: groups, webhooks with their log, comments, calls that wait, and the commands to take back.
    assert_eq!(
        list(&pool, "SELECT concat_ws(' ', root_id, parent_id, path, remote_path, contact_group_id) FROM groups WHERE id IN (1001, 1002) ORDER BY id").await,
        [
            "2000 2001 globex/team/support globex/team/support 2000",
            "2000 1001 globex/team/support/north globex/team/support/north 2000"
        ]
    );
    assert_eq!(
        list(&pool, "SELECT path FROM projects WHERE id < 3 ORDER BY id").await,
        ["globex/team/support/desk", "globex/team/support/north/desk"]
    );
    assert_eq!(
        list(
            &pool,
            "SELECT concat(id, ' ', root_id) FROM webhooks ORDER BY id"
        )
        .await,
        ["1 1000", "2 2000", "3 3000"]
    );
    assert_eq!(
        list(
            &pool,
            "SELECT concat(lane, ' ', root_id) FROM deliveries ORDER BY lane"
        )
        .await,
        ["7 2000", "8 1000"]
    );
    assert_eq!(
        list(
            &pool,
            "SELECT concat(lane, ' ', root_id) FROM effects ORDER BY lane"
        )
        .await,
        ["1 2000", "3 1000"]
    );
    assert_eq!(
        list(
            &pool,
            "SELECT concat_ws(' ', queue, lane, root_id) FROM lanes ORDER BY 1"
        )
        .await,
        ["inbox 7 2000", "reply 1 2000"]
    );
    assert_eq!(
        list(&pool, "SELECT concat_ws(' ', root_id, item_id, action) FROM history WHERE issue_id = 1 OR action = 'item_edited' ORDER BY id").await,
        ["2000 21 item_related", "1000 11 item_edited"]
    );
    assert_eq!(
        list(&pool, "SELECT remote_scope_id FROM access_levels").await,
        ["10"],
        "levels are inherited, so they are asked anew"
    );
    assert_eq!(
        list(
            &pool,
            "SELECT concat_ws(' ', id, moved_to_id) FROM issues WHERE id < 4 ORDER BY id"
        )
        .await,
        ["1", "2 1", "3"]
    );
    // One operation tells of it all.
    assert_eq!(
        list(&pool, "SELECT concat_ws(' ', action, detail ->> 'fate', count(*), count(DISTINCT operation)) FROM history WHERE via = 'tracker' GROUP BY action, detail ->> 'fate' ORDER BY 1").await,
        ["item_merged merged 2 1", "item_moved 1 1", "item_moved copied 2 1"]
    );
    assert_eq!(
        list(
            &pool,
            "SELECT 'left' FROM transfer_items UNION ALL SELECT 'left' FROM transfer_groups"
        )
        .await,
        [""; 0]
    );
}

#[tokio::test]
async fn a_root_group_that_becomes_a_subgroup_takes_everything() {
    let pool = tenants().await;
    let before = preview(&pool, ACME_TO_TEAM).await;
    let report = move_group(&pool, ACME_TO_TEAM).await.unwrap();
    assert_eq!(report, before);
    assert_eq!(
        report.contacts,
        Fates {
            moved: 4,
            copied: 0,
            merged: 1
        }
    );
    assert_eq!(
        report.organizations,
        Fates {
            moved: 1,
            copied: 0,
            merged: 1
        }
    );
    for table in TENANT_TABLES
        .into_iter()
        .filter(|table| !["item_counts", "lanes"].contains(table))
    {
        let left: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT count(*) FROM {table} WHERE root_id = 1000"
        )))
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(left, 0, "{table}");
    }
    assert_eq!(
        contacts(&pool, 1).await,
        [
            "2000 2000 same Ada King ADA@Example.com",
            "2000 2000 same Bob None 60"
        ]
    );
    assert_eq!(
        contacts(&pool, 3).await,
        [
            "2000 2000 same Ada King ADA@Example.com",
            "2000 2000 same Eve Sales eve@example.com"
        ]
    );
    assert_eq!(
        list(
            &pool,
            "SELECT concat_ws(' ', group_id, organization_id) FROM items WHERE id = 14"
        )
        .await,
        ["2000 51"]
    );
    assert_eq!(
        list(
            &pool,
            "SELECT concat_ws(' ', item_id, root_id) FROM history WHERE action = 'item_edited'"
        )
        .await,
        ["21 2000"],
        "what was merged has both histories"
    );
    assert_eq!(
        list(
            &pool,
            "SELECT path FROM groups WHERE root_id = 2000 AND id < 2000 ORDER BY path"
        )
        .await,
        [
            "globex/team/acme",
            "globex/team/acme/sales",
            "globex/team/acme/support",
            "globex/team/acme/support/north",
        ]
    );
}

#[tokio::test]
async fn a_subgroup_that_becomes_a_root_group_holds_its_own() {
    let pool = tenants().await;
    let alone = GroupMove {
        root: RootId(1000),
        group: GroupId(1001),
        parent: None,
        path: "support",
        remote_path: Some("support"),
    };
    let report = move_group(&pool, alone).await.unwrap();
    assert_eq!(
        report.contacts,
        Fates {
            moved: 0,
            copied: 3,
            merged: 0
        }
    );
    assert_eq!(
        report.organizations,
        Fates {
            moved: 0,
            copied: 1,
            merged: 0
        }
    );
    assert_eq!(
        list(&pool, "SELECT concat_ws(' ', root_id, contact_group_id, path) FROM groups WHERE id IN (1001, 1002) ORDER BY id").await,
        ["1001 1001 support", "1001 1001 support/north"]
    );
    assert_eq!(
        list(
            &pool,
            "SELECT count(DISTINCT organization_id)::text FROM items WHERE root_id = 1001"
        )
        .await,
        ["1"],
        "Ada's and Bob's"
    );
    assert_eq!(contacts(&pool, 3).await.len(), 2);
}

#[tokio::test]
async fn a_contact_source_goes_with_its_group_and_those_who_stay_get_copies() {
    let pool = tenants().await;
    // The north group holds its own contacts, and the sales group uses them.
    pool.execute(
        "UPDATE groups SET contact_group_id = 1002, contact_source_id = 1002 WHERE id IN (1002, 1003);
         UPDATE items SET group_id = 1002 WHERE root_id = 1000 AND id IN (13, 15, 51);
         UPDATE items SET group_id = 1002, organization_id = 51 WHERE id = 15;
         DELETE FROM issue_items WHERE issue_id = 3 AND item_id = 11",
    )
    .await
    .unwrap();
    let before = preview(&pool, SUPPORT_TO_TEAM).await;
    let report = move_group(&pool, SUPPORT_TO_TEAM).await.unwrap();
    assert_eq!(report, before);
    assert_eq!(report.relations_removed, 0);
    assert_eq!(
        contacts(&pool, 2).await,
        ["2000 1002 same Cid Case CID@example.com"],
        "held by the north group as before"
    );
    let sales = contacts(&pool, 3).await;
    assert_eq!(sales.len(), 1);
    assert!(
        sales[0].starts_with("1000 1000 copy Eve Sales eve@example.com"),
        "{sales:?}"
    );
    assert_eq!(
        list(&pool, "SELECT concat_ws(' ', contact_group_id, contact_source_id) FROM groups WHERE id IN (1002, 1003) ORDER BY id").await,
        ["1002 1002", "1000"]
    );
}

#[tokio::test]
async fn two_contacts_of_an_issue_that_become_one_are_related_once() {
    let pool = tenants().await;
    pool.execute(
        "INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
         VALUES (1000, 16, 1002, 'contact', 'Ada Twin', 'Ada', 'Twin', 'Ada@Example.com', now(), now());
         INSERT INTO issue_items (root_id, issue_id, item_id, added_at) VALUES (1000, 1, 16, now())",
    )
    .await
    .unwrap();
    let report = move_group(&pool, SUPPORT_TO_TEAM).await.unwrap();
    assert_eq!(report.contacts.merged, 2, "{report:?}");
    assert_eq!(
        contacts(&pool, 1).await,
        [
            "2000 2000 same Ada King ADA@Example.com",
            "2000 2000 copy Bob None 60"
        ]
    );
    assert_eq!(report.relations_kept, 3);
}

#[tokio::test]
async fn a_move_that_fails_in_the_middle_leaves_everything() {
    let pool = tenants().await;
    pool.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE OF root_id ON webhooks FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await
    .unwrap();
    let before = checksums(&pool, "true").await;
    let failed = move_group(&pool, SUPPORT_TO_TEAM).await;
    assert!(
        matches!(failed, Err(StoreError::Refused { .. })),
        "{failed:?}"
    );
    assert_eq!(checksums(&pool, "true").await, before);
    pool.execute("DROP TRIGGER refuse ON webhooks")
        .await
        .unwrap();
    assert!(move_group(&pool, SUPPORT_TO_TEAM).await.is_ok());
}

#[tokio::test]
async fn others_work_while_a_move_is_under_way() {
    let pool = tenants().await;
    let mut tx = pool.begin().await.unwrap();
    let moved = transfer::group(&mut tx, &mover(), &ACME_TO_TEAM)
        .await
        .unwrap();
    // Nobody of another tenant waits for a lock; 100 ms is far more than these take.
    let mut other = pool.acquire().await.unwrap();
    other.execute("SET lock_timeout = '100ms'").await.unwrap();
    for statement in [
        "INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
         VALUES (3000, 3000, 'contact', 'New One', 'New', 'One', 'eve@example.com', now(), now())",
        "INSERT INTO issue_items (root_id, issue_id, item_id, added_at) SELECT 3000, 5, id, now() FROM items WHERE title = 'New One'",
        "UPDATE groups SET name = 'x' WHERE root_id = 3000",
        "DELETE FROM issue_items WHERE root_id = 3000",
        // The new root goes on too, with what is not part of the move.
        "INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
         VALUES (2000, 2000, 'contact', 'New Two', 'New', 'Two', 'new.two@example.com', now(), now())",
    ] {
        other.execute(statement).await.unwrap();
    }
    // What is being moved waits for it.
    let blocked = other.execute("INSERT INTO issue_items (root_id, issue_id, item_id, added_at) VALUES (1000, 2, 11, now())").await;
    assert_eq!(
        blocked
            .unwrap_err()
            .as_database_error()
            .unwrap()
            .code()
            .unwrap(),
        "55P03"
    );
    queue::follow(&mut tx, &moved.followers).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_delivery_that_comes_while_its_webhook_moves_is_not_lost() {
    let pool = tenants().await;
    let moved = move_group(&pool, SUPPORT_TO_TEAM).await.unwrap();
    assert_eq!(moved.groups, 2);
    // Stored by a receiver that had not heard of the move: it goes to the webhook's tenant.
    let clock = SystemClock::default();
    let arrival = queue::Arrival {
        id: liaison::domain::DeliveryId(clock.id()),
        root: RootId(1000),
        webhook: liaison::domain::WebhookId(2),
        connection: liaison::domain::ConnectionId(1),
        lane: liaison::domain::Lane(77),
        dedupe_key: [7; 16],
        received_at: clock.now(),
        sent: queue::Sent::new(&serde_json::json!({}), b"{}"),
    };
    assert!(matches!(
        arrive(&pool, std::slice::from_ref(&arrival)).await[..],
        [queue::Stored::New(_)]
    ));
    assert_eq!(list(&pool, "SELECT concat_ws(' ', d.root_id, lanes.root_id) FROM deliveries AS d JOIN lanes ON lanes.lane = d.lane WHERE d.lane = 77").await, ["2000 2000"]);
    let again = queue::Arrival {
        id: liaison::domain::DeliveryId(clock.id()),
        ..arrival.clone()
    };
    assert!(
        matches!(arrive(&pool, &[again]).await[..], [queue::Stored::Repeat(first)] if first == arrival.id)
    );
    // So it is in a group, with a repeat among them and without.
    let group = |first: u8| -> Vec<_> {
        let keys = first..first + 5;
        keys.map(|key| queue::Arrival {
            id: liaison::domain::DeliveryId(clock.id()),
            dedupe_key: [key; 16],
            lane: liaison::domain::Lane(78),
            ..arrival.clone()
        })
        .collect()
    };
    let stored = arrive(&pool, &group(20)).await;
    assert!(
        stored
            .iter()
            .all(|stored| matches!(stored, queue::Stored::New(_)))
    );
    let stored = arrive(&pool, &group(24)).await;
    assert!(matches!(
        stored[..],
        [queue::Stored::Repeat(_), queue::Stored::New(_), ..]
    ));
    assert_eq!(list(&pool, "SELECT DISTINCT concat_ws(' ', d.root_id, lanes.root_id, count(*) OVER ()) FROM deliveries AS d JOIN lanes ON lanes.lane = d.lane WHERE d.lane = 78").await, ["2000 2000 9"]);
    // One that was being stored at that very moment is found later.
    pool.execute("UPDATE deliveries SET root_id = 1000 WHERE lane = 77; DELETE FROM lanes")
        .await
        .unwrap();
    let idle = queue::UnderWay {
        only: Some(Vec::new()),
        longest: std::time::Duration::ZERO,
    };
    queue::repair(&pool, &idle).await.unwrap();
    assert_eq!(list(&pool, "SELECT concat_ws(' ', d.root_id, lanes.root_id) FROM deliveries AS d JOIN lanes ON lanes.lane = d.lane WHERE d.lane = 77").await, ["2000 2000"]);
}

// With the tracker ---------------------------------------------------------------------------------------------------

const TWO_ROOTS: &str = "[queue]\nretry_seconds = [0]\nattempts = 8\n[[group]]\npath = \"globex\"\nname = \"Globex\"\ntracker = { connection = \"gitlab\", path = \"globex\" }\n";

fn two_roots() -> Setup {
    Setup {
        config: TWO_ROOTS,
        ..Setup::default()
    }
}

fn new_group(world: &World, parent: Option<u64>, path: &str) -> u64 {
    let group = world.sandbox.create_group(NewGroup {
        id: None,
        parent,
        path: path.into(),
        name: path.into(),
        visibility: Visibility::Private,
    });
    for (user, level) in [
        (world.demo.liaison, Level::Maintainer),
        (world.demo.rita, Level::Reporter),
        (world.demo.dan, Level::Developer),
    ] {
        world.sandbox.set_member(Place::Group(group), user, level);
    }
    group
}

/// Has the tracker tell the acme webhook of the whole instance.
fn system_hook(world: &World) -> u64 {
    let mut hook = NewHook::to(world.url.join("/hooks/acme-gitlab").unwrap());
    hook.signing_token = Some(SIGNING_TOKEN.to_owned());
    world.sandbox.create_hook(HookOwner::System, hook).unwrap()
}

async fn reconcile(world: &World, path: &str, dry_run: bool) -> Reconciled {
    let base = &world.config.connection[0].url;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let egress = Arc::new(Egress::new([base], Limits::default()).unwrap());
    let client = Client::new(egress, base.clone(), BOT_TOKEN.into(), Arc::clone(&clock));
    let mut connection = world.pool.acquire().await.unwrap();
    let followed = groups::followed(&mut connection, Some(path)).await.unwrap();
    drop(connection);
    worker::reconcile((&world.pool, &client, &*clock), &followed[0], dry_run)
        .await
        .unwrap()
}

async fn paths(world: &World) -> Vec<String> {
    sqlx::query_scalar("SELECT path FROM groups UNION ALL SELECT path FROM projects ORDER BY 1")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

/// Contacts with the tenant's path in front, for an issue by its number in the tracker.
async fn related(world: &World, issue: u64) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT root.path || ' ' || items.email FROM issues
         JOIN issue_items ON issue_items.root_id = issues.root_id AND issue_items.issue_id = issues.id
         JOIN items ON items.root_id = issues.root_id AND items.id = issue_items.item_id
         JOIN groups AS root ON root.root_id = issues.root_id AND root.id = issues.root_id
         WHERE issues.remote_id = $1 ORDER BY 1",
    )
    .bind(issue.to_string())
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_project_that_the_tracker_moves_keeps_or_loses_contacts_and_its_issue_is_told() {
    run_with(two_roots(), async |world| {
        let demo = world.demo;
        system_hook(world);
        let globex = new_group(world, None, "globex");
        world
            .ask(
                demo.form,
                demo.rita,
                "/add_contacts ada@example.com grace@example.com",
            )
            .await;
        world.sandbox.transfer_project(demo.website, demo.support);
        world.settled().await;
        assert_eq!(
            related(world, demo.form).await,
            ["acme Grace@Example.com", "acme ada@example.com"]
        );
        let notes = world.bot_notes(demo.form).len();

        world.sandbox.transfer_project(demo.website, globex);
        let told = world
            .sandbox
            .wait_for(
                |state| {
                    state
                        .notes(demo.form)
                        .filter(|note| note.author == demo.liaison)
                        .nth(notes)
                        .cloned()
                },
                PATIENCE,
            )
            .await
            .unwrap();
        assert!(
            told.body.contains('2') && told.body.contains("contact"),
            "{}",
            told.body
        );
        world.settled().await;
        assert_eq!(related(world, demo.form).await, [""; 0]);
        assert!(paths(world).await.contains(&"globex/website".to_owned()));
        assert_eq!(world.count("projects").await, 1, "one row, wherever it is");

        // The same event again, or another one that says the same, has no further effect.
        let history = world.count("history").await;
        for _ in 0..2 {
            world.sandbox.rename_project(demo.website, "website");
        }
        world.settled().await;
        assert_eq!(world.count("history").await, history);
        assert_eq!(world.bot_notes(demo.form).len(), notes + 1);
    })
    .await;
}

#[tokio::test]
async fn renamings_reach_whole_subtrees() {
    run(async |world| {
        let demo = world.demo;
        system_hook(world);
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        world.sandbox.rename_group(demo.support, "help");
        world.settled().await;
        assert_eq!(paths(world).await, ["acme", "acme/help", "acme/help/desk"]);
        world.sandbox.rename_project(demo.desk, "counter");
        world.settled().await;
        assert_eq!(
            paths(world).await,
            ["acme", "acme/help", "acme/help/counter"]
        );
        // Nobody had to be asked again for a comment that comes now.
        let asked = |world: &World| {
            let calls = world.sandbox.calls();
            calls
                .iter()
                .filter(|call| {
                    call.method == Method::GET
                        && call.path == format!("/api/v4/projects/{}", demo.desk)
                })
                .count()
        };
        let before = asked(world);
        world
            .ask(demo.order, demo.rita, "/crm add_contacts grace@example.com")
            .await;
        assert_eq!(asked(world), before);
    })
    .await;
}

#[tokio::test]
async fn what_is_destroyed_is_forgotten_but_not_what_is_hidden() {
    run(async |world| {
        let demo = world.demo;
        for issue in [demo.order, demo.form] {
            world.ask(issue, demo.rita, "/add_contacts ada@example.com").await;
        }
        let contacts = world.count("items").await;
        world.sandbox.destroy_group(demo.support);
        world.settled().await;
        assert_eq!(paths(world).await, ["acme", "acme/website"]);
        assert_eq!(world.count("issues").await, 1);
        assert_eq!(world.count("items").await, contacts, "customers stay");
        assert_eq!(world.count("history WHERE action = 'item_unrelated'").await, 1);

        // An event that lies destroys nothing that the tracker still shows.
        let body = serde_json::json!({"event_name": "project_destroy", "project_id": demo.website, "path_with_namespace": "acme/website"});
        let answer = world.deliver(body.to_string()).await;
        let line = world.outcome_of(crate::harness::delivery_id(&answer)).await;
        assert_eq!(line.state, "done");
        assert_eq!(related(world, demo.form).await, ["acme ada@example.com"]);
    })
    .await;
}

#[tokio::test]
async fn a_lost_event_and_a_reconciliation_end_as_the_event_would() {
    run_with(two_roots(), async |world| {
        let demo = world.demo;
        let globex = new_group(world, None, "globex");
        for issue in [demo.order, demo.form] {
            world
                .ask(issue, demo.rita, "/add_contacts ada@example.com")
                .await;
        }
        // GitLab tells nobody of a moved group; and without a system hook of nothing else either.
        world.sandbox.transfer_group(demo.support, globex);
        world.sandbox.rename_project(demo.website, "shop");
        let north = new_group(world, Some(globex), "north");
        world.settled().await;
        let before = paths(world).await;

        let would = reconcile(world, "globex", true).await;
        assert_eq!(paths(world).await, before, "a dry run changes nothing");
        let done = reconcile(world, "globex", false).await;
        assert_eq!(would.shifts, done.shifts);
        let moved = done
            .shifts
            .iter()
            .find(|shift| shift.done == Done::Moved)
            .unwrap();
        assert_eq!(
            (moved.what, moved.to.as_str()),
            (Kind::Group, "globex/support")
        );
        assert_eq!(
            moved.report.unwrap().contacts,
            Fates {
                moved: 0,
                copied: 1,
                merged: 0
            }
        );
        assert_eq!(related(world, demo.order).await, ["globex ada@example.com"]);
        assert_eq!(related(world, demo.form).await, ["acme ada@example.com"]);

        let acme = reconcile(world, "acme", false).await;
        assert_eq!(
            acme.shifts
                .iter()
                .map(|shift| shift.to.as_str())
                .collect::<Vec<_>>(),
            ["acme/shop"]
        );
        for path in ["acme", "globex"] {
            let again = reconcile(world, path, false).await;
            assert!(again.is_clean(), "{again:?}");
        }
        assert_eq!(
            paths(world).await,
            [
                "acme",
                "acme/shop",
                "globex",
                "globex/north",
                "globex/support",
                "globex/support/desk"
            ]
        );
        world.sandbox.destroy_group(north);
        world
            .sandbox
            .remove_member(Place::Group(globex), demo.liaison);
        world.settled().await;
        let hidden = reconcile(world, "globex", false).await.hidden;
        assert_eq!(hidden.len(), 1, "{hidden:?}");
        assert_eq!(
            related(world, demo.order).await,
            ["globex ada@example.com"],
            "what is merely hidden is kept"
        );
    })
    .await;
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    run(async |world| {
        for number in 0..130 {
            let parent = (number % 2 == 0)
                .then_some(world.demo.acme)
                .or(Some(world.demo.support));
            world.sandbox.create_group(NewGroup {
                id: None,
                parent,
                path: format!("g{number}"),
                name: "g".into(),
                visibility: Visibility::Private,
            });
            world.sandbox.create_project(NewProject {
                id: None,
                group: world.demo.support,
                path: format!("p{number}"),
                name: "p".into(),
                visibility: Visibility::Private,
            });
        }
        world.settled().await;
        world
            .pool
            .execute("DELETE FROM projects; DELETE FROM groups WHERE parent_id IS NOT NULL")
            .await
            .unwrap();
        let done = reconcile(world, "acme", false).await;
        assert_eq!(
            done.shifts.len(),
            1 + 130 + 2 + 130,
            "groups, projects and those of the demo"
        );
        assert!(reconcile(world, "acme", false).await.is_clean());
    })
    .await;
}

#[tokio::test]
async fn comments_that_are_written_while_everything_moves_are_neither_lost_nor_doubled() {
    run_with(two_roots(), async |world| {
        // A call that is under way while its issue moves is made again when its lease has run out.
        world.config.queue.lease_seconds = 2;
        world.start_again(&ALL).await;
        let demo = world.demo;
        let globex = new_group(world, None, "globex");
        let issues: Vec<u64> = (0..4)
            .map(|_| {
                world.sandbox.create_issue(NewIssue {
                    project: demo.desk,
                    author: demo.dan,
                    title: "Call back".into(),
                    ..NewIssue::default()
                })
            })
            .collect();
        for number in 0..24 {
            world
                .contact("C", "N", &format!("c{number}@example.com"), true)
                .await;
        }
        world
            .ask(demo.order, demo.rita, "/crm add_contacts ada@example.com")
            .await;
        reconcile(world, "globex", false).await;
        let mut comments = Vec::new();
        let say = |number: usize| {
            let issue = issues[number % issues.len()];
            (
                issue,
                world
                    .sandbox
                    .comment(
                        issue,
                        demo.rita,
                        &format!("/crm add_contacts c{number}@example.com"),
                    )
                    .unwrap(),
            )
        };
        comments.extend((0..8).map(say));
        world.sandbox.transfer_group(demo.acme, globex);
        comments.extend((8..16).map(say));
        let moved = reconcile(world, "globex", false).await;
        comments.extend((16..24).map(say));
        for (issue, comment) in comments {
            let answer = world.answer(issue, comment).await;
            assert!(answer.contains("added"), "{answer}");
        }
        world.settled().await;
        assert!(
            moved
                .shifts
                .iter()
                .filter(|shift| shift.done == Done::Moved)
                .count()
                <= 1,
            "{moved:?}"
        );
        let mut found = Vec::new();
        for issue in &issues {
            found.extend(related(world, *issue).await);
            assert_eq!(world.bot_notes(*issue).len(), 6, "one answer per comment");
        }
        found.sort();
        let mut expected: Vec<String> = (0..24)
            .map(|number| format!("globex c{number}@example.com"))
            .collect();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(
            world.count("history WHERE action = 'item_related'").await,
            25
        );
        // What the file declares is found again where it is now.
        world.start_again(&ALL).await;
        assert_eq!(world.count("groups WHERE parent_id IS NULL").await, 1);
        assert!(
            world
                .ask(demo.order, demo.rita, "/crm contacts")
                .await
                .contains("1 contact")
        );
    })
    .await;
}

#[tokio::test]
async fn a_subgroup_that_becomes_a_root_group_at_the_tracker_becomes_one_here() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        world
            .sandbox
            .set_member(Place::Group(demo.support), demo.liaison, Level::Maintainer);
        world.settled().await;
        world.sandbox.transfer_group(demo.support, None);
        reconcile(world, "acme", false).await;
        assert_eq!(
            related(world, demo.order).await,
            ["support ada@example.com"]
        );
        assert_eq!(
            paths(world).await,
            ["acme", "acme/website", "support", "support/desk"]
        );
        assert!(reconcile(world, "support", false).await.is_clean());
    })
    .await;
}

#[test]
fn nothing_follows_where_all_stays() {
    let none = Followers::none(RootId(7));
    assert_eq!(
        (none.from, none.webhooks.len(), none.projects.len()),
        (none.to, 0, 0)
    );
}
