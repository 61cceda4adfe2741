//! Issues that are opened, changed and moved: what follows without anybody's command.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use liaison::sandbox::{
    Fault, HookOwner, Level, NewGroup, NewHook, NewIssue, NewProject, Place, Visibility,
};
use serde_json::{Value, json};

use crate::harness::{Setup, World, run, run_with, without_marker};

/// A world whose group relates contacts by every source.
fn automatic() -> Setup {
    Setup {
        group: "automatic_relations = [\"author\", \"participants\", \"description\"]\n",
        ..Setup::default()
    }
}

/// A root group that is nobody's here; the bot is a member where it `is_seen`.
fn foreign_project(world: &World, path: &str, is_seen: bool) -> u64 {
    let group = world.sandbox.create_group(NewGroup {
        id: None,
        parent: None,
        path: path.into(),
        name: path.into(),
        visibility: Visibility::Private,
    });
    if is_seen {
        let bot = world.demo.liaison;
        world
            .sandbox
            .set_member(Place::Group(group), bot, Level::Developer);
    }
    project(world, group)
}

fn project(world: &World, group: u64) -> u64 {
    world.sandbox.create_project(NewProject {
        id: None,
        group,
        path: "shop".into(),
        name: "Shop".into(),
        visibility: Visibility::Private,
    })
}

fn described(world: &World, text: &str) -> u64 {
    world.sandbox.create_issue(NewIssue {
        project: world.demo.desk,
        author: world.demo.dan,
        title: "Call back".into(),
        description: text.into(),
        ..NewIssue::default()
    })
}

/// Everything that deliveries came to, newest first.
async fn outcomes(world: &World) -> Vec<String> {
    world.settled().await;
    let lines = world.deliveries().await.into_iter();
    lines.filter_map(|line| line.outcome).collect()
}

/// The bodies of the Issue Hooks of some issues, in the order of their making.
fn hooks_of(world: &World, issues: &[u64]) -> Vec<Bytes> {
    let is_about = |body: &Bytes| {
        let body: Value = serde_json::from_slice(body).unwrap();
        body["object_kind"] == "issue"
            && issues
                .iter()
                .any(|issue| body["object_attributes"]["id"] == *issue)
    };
    let log = world.sandbox.hook_log().into_iter();
    log.map(|sent| sent.request_body.clone())
        .filter(is_about)
        .collect()
}

/// The history of an issue's relations as (via, action, address), oldest first.
async fn history(world: &World, issue: u64) -> Vec<(String, String, String)> {
    sqlx::query_as(
        "SELECT via, action, lower(email) FROM history JOIN items ON items.id = item_id JOIN issues ON issues.id = issue_id
         WHERE issues.remote_id = $1 ORDER BY history.id",
    )
    .bind(issue.to_string())
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

fn row(via: &str, action: &str, email: &str) -> (String, String, String) {
    (via.into(), action.into(), email.into())
}

#[tokio::test]
async fn contacts_go_along_with_an_issue_that_is_moved_within_the_group() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com grace@example.com")
            .await;
        let moved = world.sandbox.move_issue(demo.order, demo.rita, demo.website);
        let said = outcomes(world).await;
        assert!(
            said.iter().any(|line| line.contains("; 2 contacts went along to issue 2 of project")),
            "{said:#?}"
        );
        assert_eq!(world.issue_contacts(moved).await, ["ada@example.com", "Grace@Example.com"]);
        assert_eq!(world.issue_contacts(demo.order).await, [""; 0]);
        assert_eq!(world.bot_notes(moved).len(), 0, "nothing was lost, so nothing is said");
        assert_eq!(
            history(world, moved).await,
            [row("tracker", "item_related", "ada@example.com"), row("tracker", "item_related", "grace@example.com")]
        );
        let operations = "(SELECT operation, actor_id FROM history WHERE via = 'tracker' AND actor_id IS NOT NULL GROUP BY 1, 2)";
        assert_eq!(world.count(&format!("{operations} AS moves")).await, 1, "one operation, by the mover");
        assert_eq!(world.count("issue_items WHERE added_by IS NOT NULL").await, 2, "who added them is kept");

        // All of it again, under new ids and from the end to the beginning.
        let rows = world.count("history").await;
        for body in hooks_of(world, &[demo.order, moved]).into_iter().rev() {
            world.deliver(body).await;
        }
        // What a person does meanwhile stands.
        world.ask(moved, demo.rita, "/remove_contacts ada@example.com").await;
        for body in hooks_of(world, &[demo.order, moved]) {
            world.deliver(body).await;
        }
        world.settled().await;
        assert_eq!(world.issue_contacts(moved).await, ["Grace@Example.com"]);
        assert_eq!(world.count("history").await, rows + 1);
    })
    .await;
}

#[tokio::test]
async fn an_issue_that_leaves_the_group_loses_its_contacts_and_is_told_once() {
    run(async |world| {
        let demo = world.demo;
        let shop = foreign_project(world, "other", true);
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com grace@example.com")
            .await;
        world.settled().await;
        // The note is posted, but nobody here hears of it.
        let notes = format!("/api/v4/projects/{shop}/issues/1/notes");
        world.sandbox.fail(Method::POST, &notes, 1, Fault::AnswerLost);
        let moved = world.sandbox.move_issue(demo.order, demo.rita, shop);
        let said = outcomes(world).await;
        assert!(said.iter().any(|line| line.ends_with("; 2 contacts removed, since it was moved to where others are kept")), "{said:#?}");
        for body in hooks_of(world, &[demo.order]) {
            world.deliver(body).await;
        }
        world.settled().await;
        let notes: Vec<_> = world.bot_notes(moved).iter().map(|note| without_marker(&note.body)).collect();
        assert_eq!(notes, ["- removed 2 contacts: this issue was moved here from a group that keeps its own contacts"]);
        assert_eq!(world.count("issue_items").await, 0);
        assert_eq!(
            history(world, demo.order).await[2..],
            [row("tracker", "item_unrelated", "ada@example.com"), row("tracker", "item_unrelated", "grace@example.com")]
        );
        assert_eq!(world.count(&format!("issues WHERE remote_id = '{moved}'")).await, 0, "it is not ours");
    })
    .await;
}

#[tokio::test]
async fn where_the_bot_sees_nothing_is_outside_only_if_it_sees_the_whole_group() {
    // What the hidden project sends itself is dead, and should be.
    let setup = Setup {
        dead_is_fine: true,
        ..Setup::default()
    };
    run_with(setup, async |world| {
        let demo = world.demo;
        let shop = foreign_project(world, "other", false);
        for issue in [demo.order, demo.incident] {
            world
                .ask(issue, demo.rita, "/add_contacts ada@example.com")
                .await;
        }
        world.sandbox.move_issue(demo.order, demo.rita, shop);
        world.settled().await;
        assert_eq!(world.issue_contacts(demo.order).await, [""; 0]);

        // In a group that it sees through one project only, the new place may be next door.
        let bot = demo.liaison;
        world.sandbox.remove_member(Place::Group(demo.acme), bot);
        world
            .sandbox
            .set_member(Place::Project(demo.desk), bot, Level::Maintainer);
        let hidden = project(world, demo.support);
        world.sandbox.move_issue(demo.incident, demo.mona, hidden);
        let said = outcomes(world).await;
        assert!(
            said.iter()
                .any(|line| line.contains("where the bot sees nothing")),
            "{said:#?}"
        );
        assert_eq!(
            world.issue_contacts(demo.incident).await,
            ["ada@example.com"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_subgroup_with_contacts_of_its_own_takes_no_others() {
    run(async |world| {
        let demo = world.demo;
        let partners = world.sandbox.create_group(NewGroup {
            id: None,
            parent: Some(demo.acme),
            path: "partners".into(),
            name: "Partners".into(),
            visibility: Visibility::Private,
        });
        let shop = project(world, partners);
        world.sandbox.create_issue(NewIssue { project: shop, author: demo.dan, title: "First".into(), ..NewIssue::default() });
        world.ask(demo.order, demo.rita, "/add_contacts ada@example.com").await;
        world.settled().await;
        sqlx::query("UPDATE groups SET contact_source_id = id, contact_group_id = id WHERE path = 'acme/partners'").execute(&world.pool).await.unwrap();
        let moved = world.sandbox.move_issue(demo.order, demo.rita, shop);
        world.settled().await;
        assert_eq!(world.count("issue_items").await, 0);
        assert!(world.bot_notes(moved)[0].body.contains("removed 1 contact:"));
    })
    .await;
}

#[tokio::test]
async fn an_issue_that_comes_from_another_tenant_brings_nothing_along() {
    let beta = r#"
[[group]]
path = "beta"
name = "Beta"
automatic_relations = ["description"]
tracker = { connection = "gitlab", path = "beta" }
[[group.webhook]]
name = "beta-gitlab"
connection = "gitlab"
secret = "a token of beta"
"#;
    let config = format!("[queue]\nretry_seconds = [0]\nattempts = 4\n{beta}");
    let setup = Setup {
        config: config.leak(),
        ..automatic()
    };
    run_with(setup, async |world| {
        let demo = world.demo;
        let shop = foreign_project(world, "beta", true);
        let group = world.sandbox.read(|state| state.project(shop).unwrap().group);
        let mut hook = NewHook::to(world.url.join("/hooks/beta-gitlab").unwrap());
        hook.token = Some("a token of beta".to_owned());
        world.sandbox.create_hook(HookOwner::Group(group), hook).unwrap();
        let issue = described(world, "From: ada@example.com");
        world.ask(issue, demo.rita, "/add_contacts grace@example.com").await;
        let moved = world.sandbox.move_issue(issue, demo.rita, shop);
        world.settled().await;
        assert_eq!(world.count("issue_items").await, 0);
        assert!(world.bot_notes(moved)[0].body.contains("removed 2 contacts"));
        assert_eq!(
            world
                .count(&format!("issues WHERE remote_id = '{moved}'"))
                .await,
            1,
            "known to its own tenant only"
        );
        // Beta's own contact of the same address is another one.
        sqlx::query("INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
                     SELECT root_id, id, 'contact', 'Ada B', 'Ada', 'B', 'ada@example.com', now(), now() FROM groups WHERE path = 'beta'")
            .execute(&world.pool).await.unwrap();
        world.sandbox.describe_issue(moved, demo.rita, "From: ada@example.com, grace@example.com");
        world.settled().await;
        assert_eq!(world.count("issue_items JOIN groups ON groups.id = issue_items.root_id WHERE path = 'beta'").await, 1);
        assert_eq!(world.count("issue_items").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_clone_takes_nothing_and_leaves_nothing() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        let copy = world
            .sandbox
            .clone_issue(demo.order, demo.rita, demo.website);
        world.settled().await;
        assert_eq!(world.issue_contacts(demo.order).await, ["ada@example.com"]);
        assert_eq!(world.issue_contacts(copy).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_an_issue_was_moved_is_believed_of_the_tracker_only() {
    run(async |world| {
        let demo = world.demo;
        let shop = foreign_project(world, "other", true);
        let foreign = world.sandbox.create_issue(NewIssue {
            project: shop,
            author: demo.stranger,
            title: "Theirs".into(),
            ..NewIssue::default()
        });
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        world.settled().await;
        world.sandbox.set_open(demo.order, demo.rita, false);
        world.settled().await;
        let hook = hooks_of(world, &[demo.order]).pop().unwrap();
        let mut forged: Value = serde_json::from_slice(&hook).unwrap();
        for target in [foreign, demo.form, demo.order, 4_000_000_000] {
            forged["object_attributes"]["moved_to_id"] = target.into();
            world.deliver(forged.to_string()).await;
            let said = outcomes(world).await;
            assert!(
                said[0].ends_with("; GitLab does not confirm that it was moved"),
                "{said:#?}"
            );
        }
        assert_eq!(world.issue_contacts(demo.order).await, ["ada@example.com"]);
        assert_eq!(
            world.bot_notes(foreign).len() + world.bot_notes(demo.form).len(),
            0
        );
        assert_eq!(
            world
                .count("issues WHERE moved_to_remote_id IS NOT NULL")
                .await,
            0
        );

        // Nor do people's issues of another tenant move because a body says so.
        forged["object_attributes"]["id"] = foreign.into();
        forged["project"] = json!({ "id": shop, "path_with_namespace": "acme/website" });
        world.deliver(forged.to_string()).await;
        let said = outcomes(world).await;
        assert!(
            said[0].contains("is outside the group of this webhook"),
            "{said:#?}"
        );
    })
    .await;
}

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[tokio::test]
async fn any_order_and_repetition_of_the_hooks_of_moves_ends_in_the_same_relations() {
    const ISSUES: usize = 12;
    run_with(automatic(), async |world| {
        let demo = world.demo;
        world.contact("Zoe", "Winter", "zoe@example.com", true).await;
        let other = project(world, demo.support);
        let head = "From: zoe@example.com, ada@example.com";
        let first: Vec<u64> = (0..ISSUES).map(|_| described(world, head)).collect();
        for issue in &first {
            world.ask(*issue, demo.rita, "/remove_contacts ada@example.com\n/add_contacts grace@example.com").await;
        }
        world.settled().await;
        // Nobody listens while they are moved twice; the tracker does not send again.
        world.stop_service().await;
        let ways: Vec<[u64; 3]> = first
            .iter()
            .map(|issue| {
                let second = world.sandbox.move_issue(*issue, demo.rita, demo.website);
                [*issue, second, world.sandbox.move_issue(second, demo.rita, other)]
            })
            .collect();
        world.settled_sending().await;
        world.start_service(&[liaison::app::Role::Receive, liaison::app::Role::Process, liaison::app::Role::Deliver, liaison::app::Role::Web]).await;
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for way in &ways {
            let hooks = hooks_of(world, way);
            assert_eq!(hooks.len(), 5, "opened thrice, moved twice");
            let mut order: Vec<usize> = (0..hooks.len()).collect();
            order.extend((0..4).map(|_| numbers.below(hooks.len())));
            for last in (1..order.len()).rev() {
                order.swap(last, numbers.below(last + 1));
            }
            // What only opens an issue may be lost.
            let lost = [0, 1, 3][numbers.below(3)];
            let is_open = |at: usize| {
                let body: Value = serde_json::from_slice(&hooks[at]).unwrap();
                body["object_attributes"]["action"] == "open"
            };
            order.retain(|at| *at != lost || !is_open(*at));
            for at in order {
                world.deliver(hooks[at].clone()).await;
            }
        }
        world.settled().await;
        for [first, second, third] in ways {
            assert_eq!(world.issue_contacts(third).await, ["Grace@Example.com", "zoe@example.com"]);
            assert_eq!(world.issue_contacts(first).await, [""; 0]);
            assert_eq!(world.issue_contacts(second).await, [""; 0]);
        }
        let torn = "(SELECT issue_id, item_id, count(*) FILTER (WHERE action = 'item_related') - count(*) FILTER (WHERE action = 'item_unrelated') AS net
                     FROM history GROUP BY 1, 2) AS told FULL JOIN issue_items USING (issue_id, item_id)
                    WHERE coalesce(net, 0) <> (issue_items.root_id IS NOT NULL)::int";
        assert_eq!(world.count(torn).await, 0, "the history tells of every relation");
    })
    .await;
}

#[tokio::test]
async fn whoever_writes_to_the_service_desk_is_related_if_he_is_a_contact() {
    run_with(automatic(), async |world| {
        let desk = world.demo.desk;
        let mail = world.sandbox.receive_mail(
            desk,
            "GRACE@example.com",
            "Two chairs",
            "Hello,\n\nthey are broken.",
        );
        let unknown = world
            .sandbox
            .receive_mail(desk, "nobody@example.com", "Hello", "");
        let retired = world
            .sandbox
            .receive_mail(desk, "otto@example.com", "Hello", "");
        let said = outcomes(world).await;
        assert_eq!(world.issue_contacts(mail).await, ["Grace@Example.com"]);
        assert_eq!(world.issue_contacts(unknown).await, [""; 0]);
        assert_eq!(
            world.issue_contacts(retired).await,
            [""; 0],
            "inactive contacts are not related"
        );
        assert_eq!(
            said.iter()
                .filter(|line| line.ends_with("; 1 contact related by address"))
                .count(),
            1,
            "{said:#?}"
        );
        assert!(!said.iter().any(|line| line.contains('@')), "{said:#?}");
        assert_eq!(
            history(world, mail).await,
            [row("automatic", "item_related", "grace@example.com")]
        );
        assert_eq!(world.bot_notes(mail).len(), 0, "it is done quietly");

        // Moved as any other, and the mail still counts where it is now.
        let moved = world
            .sandbox
            .move_issue(mail, world.demo.rita, world.demo.website);
        world.settled().await;
        assert_eq!(world.issue_contacts(moved).await, ["Grace@Example.com"]);
    })
    .await;
}

#[tokio::test]
async fn only_issues_that_may_come_by_mail_are_asked_about() {
    run_with(automatic(), async |world| {
        let issue = described(world, "Nothing to see");
        world.sandbox.set_open(issue, world.demo.dan, false);
        world
            .sandbox
            .receive_mail(world.demo.desk, "nobody@example.com", "Hello", "");
        world.settled().await;
        let path = format!("/api/v4/projects/{}/issues/", world.demo.desk);
        let asked: Vec<_> = world
            .sandbox
            .calls()
            .into_iter()
            .filter(|call| call.path.starts_with(&path))
            .collect();
        assert_eq!(asked.len(), 1, "{asked:#?}");
    })
    .await;
}

#[tokio::test]
async fn an_edit_of_the_description_relates_what_it_adds_and_puts_nothing_back() {
    run_with(automatic(), async |world| {
        let (dan, rita) = (world.demo.dan, world.demo.rita);
        let issue = described(world, "Customer: Ada <ada@example.com>, otto@example.com");
        world.settled().await;
        assert_eq!(world.issue_contacts(issue).await, ["ada@example.com"]);
        world
            .ask(issue, rita, "/remove_contacts ada@example.com")
            .await;
        world.sandbox.describe_issue(
            issue,
            dan,
            "Customer: Ada <ada@example.com>, grace@example.com",
        );
        world.settled().await;
        assert_eq!(world.issue_contacts(issue).await, ["Grace@Example.com"]);
        // Whoever removed her may think again.
        world
            .ask(issue, rita, "/add_contacts ada@example.com")
            .await;
        world.ask(issue, rita, "/undo").await;
        world
            .sandbox
            .describe_issue(issue, dan, "Customer: ada@example.com");
        world.settled().await;
        assert_eq!(
            world.issue_contacts(issue).await,
            ["Grace@Example.com"],
            "an edit takes nobody away"
        );
        let below = format!("{}Customer: ada@example.com", "\n".repeat(10));
        let other = described(world, &below);
        world.settled().await;
        assert_eq!(world.issue_contacts(other).await, [""; 0], "below the head");
        assert_eq!(world.bot_notes(issue).len(), 3, "answers to comments only");
    })
    .await;
}

#[tokio::test]
async fn nothing_is_related_where_nobody_chose_it() {
    run(async |world| {
        let issue = described(world, "From: ada@example.com");
        let mail = world.sandbox.receive_mail(world.demo.desk, "ada@example.com", "Hello", "");
        world.settled().await;
        assert_eq!(world.count("issue_items").await, 0);
        // The author counts, the description does not; a subgroup may choose otherwise, and the CRM may be off.
        let set = async |statement: &str| {
            let statement = sqlx::AssertSqlSafe(statement.to_owned());
            sqlx::query(statement).execute(&world.pool).await.unwrap();
        };
        set("UPDATE groups SET automatic_relations = '{author}' WHERE path = 'acme'").await;
        world.sandbox.describe_issue(issue, world.demo.dan, "By: ada@example.com");
        world.settled().await;
        assert_eq!(world.issue_contacts(issue).await, [""; 0]);
        set("UPDATE groups SET automatic_relations = '{}' WHERE path = 'acme/support'").await;
        world.sandbox.receive_mail(world.demo.desk, "ada@example.com", "Again", "");
        world.settled().await;
        assert_eq!(world.count("issue_items").await, 0);
        set("UPDATE groups SET automatic_relations = NULL, crm_enabled = false WHERE path = 'acme/support'").await;
        world.sandbox.receive_mail(world.demo.desk, "ada@example.com", "And again", "");
        world.settled().await;
        assert_eq!(world.count("issue_items").await, 0);
        set("UPDATE groups SET crm_enabled = true").await;
        for body in hooks_of(world, &[mail]) {
            world.deliver(body).await;
        }
        world.settled().await;
        assert_eq!(world.issue_contacts(mail).await, ["ada@example.com"]);
    })
    .await;
}

#[tokio::test]
async fn participants_count_where_the_hook_shows_their_addresses() {
    run_with(automatic(), async |world| {
        let issue = described(world, "");
        world.settled().await;
        let mut hook: Value = serde_json::from_slice(&hooks_of(world, &[issue])[0]).unwrap();
        hook["user"]["email"] = "ada@example.com".into();
        hook["assignees"] = json!([{ "name": "x", "email": "grace@example.com" }, { "name": "y", "email": "[REDACTED]" }, { "name": "z" }]);
        world.deliver(hook.to_string()).await;
        world.settled().await;
        assert_eq!(world.issue_contacts(issue).await, ["ada@example.com", "Grace@Example.com"]);
        // A task has no contacts at GitLab.
        let task = described(world, "");
        let mut hook: Value = serde_json::from_slice(&hooks_of(world, &[issue])[0]).unwrap();
        hook["object_kind"] = "work_item".into();
        hook["object_attributes"]["type"] = "Task".into();
        hook["object_attributes"]["id"] = task.into();
        hook["object_attributes"]["iid"] = 77.into();
        hook["object_attributes"]["description"] = "ada@example.com".into();
        world.deliver(hook.to_string()).await;
        world.settled().await;
        assert_eq!(world.issue_contacts(task).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_hundred_addresses_of_an_issue_are_looked_at_and_no_more() {
    run_with(automatic(), async |world| {
        sqlx::query(
            "INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
             SELECT root_id, id, 'contact', 'C ' || n, 'C', n::text, 'c' || n || '@example.com', now(), now()
             FROM groups, generate_series(1, 150) AS n WHERE path = 'acme'",
        )
        .execute(&world.pool)
        .await
        .unwrap();
        let addresses = |count: usize| (1..=count).map(|n| format!("c{n}@example.com")).collect::<Vec<_>>().join(", ");
        let issue = described(world, &addresses(150));
        let said = outcomes(world).await;
        assert_eq!(world.issue_contacts(issue).await.len(), 100);
        assert!(
            said.iter().any(|line| line.ends_with("; 50 more addresses were left out: 100 of an issue are looked at; 100 contacts related by address")),
            "{said:#?}"
        );
        // A megabyte of them is not even read to its end.
        let flood = described(world, &addresses(50_000));
        let mut lines = outcomes(world).await.into_iter();
        let said = lines.find(|line| line.contains("left out")).unwrap();
        assert!(said.ends_with("100 contacts related by address"), "{said}");
        let left_out: usize = said.split("; ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(left_out < 2_000, "{said}");
        assert_eq!(world.issue_contacts(flood).await.len(), 100);
    })
    .await;
}

#[tokio::test]
async fn an_issue_hook_that_hides_an_issue_counts_for_the_next_answer() {
    run(async |world| {
        let demo = world.demo;
        world
            .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
            .await;
        world.sandbox.set_confidential(demo.order, demo.mona, true);
        world.settled().await;
        let comment = world
            .sandbox
            .comment(demo.order, demo.rita, "/crm contacts")
            .unwrap();
        let answer = world.answer_note(demo.order, comment).await;
        assert!(
            !answer.internal && answer.body.contains("Ada Byron"),
            "all who read it may: {}",
            answer.body
        );
        world.sandbox.set_confidential(demo.order, demo.mona, false);
        world.settled().await;
        let comment = world
            .sandbox
            .comment(demo.order, demo.rita, "/crm contacts")
            .unwrap();
        assert!(world.answer_note(demo.order, comment).await.internal);
    })
    .await;
}

#[tokio::test]
async fn commands_in_descriptions_do_not_run() {
    run_with(automatic(), async |world| {
        let issue = described(
            world,
            "/add_contacts grace@example.com\n@liaison create_contact new@example.com New One",
        );
        world.settled().await;
        assert_eq!(
            world.count("items WHERE email = 'new@example.com'").await,
            0
        );
        assert_eq!(
            world.issue_contacts(issue).await,
            ["Grace@Example.com"],
            "as an address in the description"
        );
        assert_eq!(world.bot_notes(issue).len(), 0);
        let vias: BTreeSet<String> = history(world, issue)
            .await
            .into_iter()
            .map(|(via, ..)| via)
            .collect();
        assert_eq!(vias.into_iter().collect::<Vec<_>>(), ["automatic"]);
    })
    .await;
}
