//! From a comment to a change and an answer: the main job.

use liaison::sandbox::Place;
use sqlx::Executor;

use crate::harness::{database, pool, run, without_marker};

#[tokio::test]
async fn adds_contacts_and_says_what_happened_to_each_address() {
    run(async |world| {
        let issue = world.demo.order;
        let asked = "Two of them called.\n\n/add_contacts ada@example.com, Grace <grace@example.com> nobody@example.com otto@example.com huh\n";
        let answer = world.ask(issue, world.demo.rita, asked).await;
        assert_eq!(
            answer,
            "- `add_contacts`: `ada@example.com` added · `grace@example.com` added · `nobody@example.com` not found \
             · `otto@example.com` inactive, so it cannot be added · `huh` is not an e-mail address"
        );
        assert_eq!(world.issue_contacts(issue).await, ["ada@example.com", "Grace@Example.com"]);

        let again = world.ask(issue, world.demo.dan, "@liaison add_contacts ADA@example.com new@example.com").await;
        assert_eq!(
            again,
            "- `add_contacts`: `ADA@example.com` already there · `new@example.com` not found \
             (to create it: `@liaison create_contact new@example.com First Last`)"
        );
        let removed = world.ask(issue, world.demo.rita, "/crm remove_contacts GRACE@example.com grace@example.com otto@example.com").await;
        assert_eq!(removed, "- `remove_contacts`: `GRACE@example.com` removed · `otto@example.com` not on this issue");
        assert_eq!(world.issue_contacts(issue).await, ["ada@example.com"]);
    })
    .await;
}

/// Plans are made while tables are empty, and kept. Another index by which all issues of the project are read costs as little then.
#[tokio::test]
async fn an_issue_is_looked_up_by_its_number_however_few_there_are() {
    let pool = pool(database().await);
    let mut connection = pool.acquire().await.unwrap();
    connection
        .execute(
            "PREPARE look_up (bigint, bigint, bigint) AS
             SELECT id FROM issues WHERE root_id = $1 AND project_id = $2 AND iid = $3",
        )
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar("EXPLAIN EXECUTE look_up (1, 2, 3)")
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    assert!(plan[0].contains("issues_iid_key"), "{plan:#?}");
}

#[tokio::test]
async fn reacts_at_once_and_replies_in_the_thread() {
    run(async |world| {
        let issue = world.demo.order;
        let comment = world
            .sandbox
            .comment(issue, world.demo.rita, "/add_contacts ada@example.com")
            .unwrap();
        let answer = world.answer_note(issue, comment).await;
        assert!(!answer.internal);
        world.settled().await;
        let names: Vec<_> = world
            .sandbox
            .awards(comment)
            .into_iter()
            .map(|award| award.name)
            .collect();
        assert_eq!(names, ["white_check_mark"]);
    })
    .await;
}

#[tokio::test]
async fn names_customers_in_an_internal_note_only() {
    run(async |world| {
        let issue = world.demo.form;
        world
            .ask(issue, world.demo.rita, "/add_contacts ada@example.com")
            .await;
        let comment = world
            .sandbox
            .comment(issue, world.demo.rita, "/crm contacts")
            .unwrap();
        let answer = world.answer_note(issue, comment).await;
        assert!(
            answer.internal,
            "on a public project nobody else may read it"
        );
        let text = without_marker(&answer.body);
        assert!(
            text.ends_with("- `contacts`: 1 contact\n  - `Ada Byron` `ada@example.com`"),
            "{text}"
        );
        world.settled().await;

        // In a confidential issue every reader may see customers, so the answer stays in the thread.
        let incident = world.demo.incident;
        world
            .ask(incident, world.demo.rita, "/add_contacts ada@example.com")
            .await;
        let comment = world
            .sandbox
            .comment(incident, world.demo.rita, "/crm contacts")
            .unwrap();
        let answer = world.answer_note(incident, comment).await;
        assert!(!answer.internal);
        assert!(
            answer
                .body
                .starts_with("- `contacts`: 1 contact\n  - `Ada Byron`"),
            "{}",
            answer.body
        );
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_public_stays_free_of_names_when_an_edit_asks_for_them() {
    run(async |world| {
        let issue = world.demo.order;
        let comment = world.sandbox.comment(issue, world.demo.rita, "/add_contacts ada@example.com").unwrap();
        world.answer(issue, comment).await;
        world.sandbox.edit_comment(comment, world.demo.rita, "/add_contacts ada@example.com\n/crm contacts").unwrap();
        world.sandbox.wait_for(|state| state.notes(issue).any(|note| note.body.contains("`contacts`")).then_some(()), crate::harness::PATIENCE).await.unwrap();
        world.settled().await;
        let notes = world.bot_notes(issue);
        assert_eq!(notes.len(), 1, "one answer per comment, brought up to date in place");
        assert_eq!(
            without_marker(&notes[0].body),
            "- `add_contacts`: `ada@example.com` added\n- `contacts`: 1 contact; names are not shown in a public comment"
        );
    })
    .await;
}

#[tokio::test]
async fn an_edit_runs_only_what_it_adds_with_the_rights_of_who_edits() {
    run(async |world| {
        let issue = world.demo.order;
        let comment = world
            .sandbox
            .comment(issue, world.demo.rita, "/add_contacts ada@example.com")
            .unwrap();
        world.answer(issue, comment).await;
        world
            .ask(issue, world.demo.rita, "/remove_contacts ada@example.com")
            .await;
        // Mona edits Rita's comment: the old line does not run again, the new one runs with Mona's rights, which suffice to create.
        let text =
            "Thanks!\n\n/add_contacts ada@example.com\n/create_contact zoe@example.com Zoe Winter";
        world
            .sandbox
            .edit_comment(comment, world.demo.mona, text)
            .unwrap();
        world
            .sandbox
            .wait_for(
                |state| {
                    state
                        .notes(issue)
                        .any(|note| note.body.contains("zoe@example.com` created and added"))
                        .then_some(())
                },
                crate::harness::PATIENCE,
            )
            .await
            .unwrap();
        world.settled().await;
        assert_eq!(world.issue_contacts(issue).await, ["zoe@example.com"]);
        // An edit that only removes or rewords runs nothing.
        let answers = world.bot_notes(issue).len();
        world
            .sandbox
            .edit_comment(
                comment,
                world.demo.rita,
                "Thanks again!\n\n/create_contact zoe@example.com Zoe Winter",
            )
            .unwrap();
        world
            .sandbox
            .edit_comment(
                comment,
                world.demo.rita,
                "Thanks a lot!\n\n/create_contact zoe@example.com Zoe Winter",
            )
            .unwrap();
        world
            .ask(issue, world.demo.rita, "/remove_contacts zoe@example.com")
            .await;
        world.settled().await;
        assert_eq!(world.bot_notes(issue).len(), answers + 1);
        assert_eq!(world.issue_contacts(issue).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn undo_takes_back_the_last_command_of_the_person() {
    run(async |world| {
        let issue = world.demo.order;
        let (rita, dan) = (world.demo.rita, world.demo.dan);
        world.ask(issue, rita, "/add_contacts ada@example.com grace@example.com").await;
        world.ask(issue, dan, "/remove_contacts ada@example.com").await;
        assert_eq!(world.ask(issue, dan, "/undo").await, "- `undo`: 1 change of `remove_contacts` taken back");
        assert_eq!(world.issue_contacts(issue).await.len(), 2);
        assert_eq!(world.ask(issue, dan, "/undo").await, "- `undo`: there is nothing of yours to take back here");
        assert_eq!(world.ask(issue, rita, "/undo").await, "- `undo`: 2 changes of `add_contacts` taken back");
        assert_eq!(world.issue_contacts(issue).await, [""; 0]);

        world.ask(issue, dan, "/create_contact zoe@example.com Zoe Winter").await;
        assert_eq!(world.ask(issue, dan, "/crm undo").await, "- `undo`: 2 changes of `create_contact` taken back");
        assert_eq!(world.count("items WHERE email = 'zoe@example.com'").await, 0);

        // A contact that somebody else uses by now stays.
        world.ask(issue, dan, "/create_contact zoe@example.com Zoe Winter").await;
        world.ask(world.demo.form, rita, "/add_contacts zoe@example.com").await;
        assert_eq!(
            world.ask(issue, dan, "/crm undo").await,
            "- `undo`: 1 change of `create_contact` taken back; 1 could not be, because the contact is gone or in use by now"
        );
        assert_eq!(world.count("items WHERE email = 'zoe@example.com'").await, 1);
    })
    .await;
}

#[tokio::test]
async fn commands_of_one_comment_see_each_other() {
    run(async |world| {
        let issue = world.demo.order;
        let text = "/create_contact zoe@example.com Zoe Winter\n/add_contacts zoe@example.com ada@example.com\n/remove_contacts ada@example.com\n/undo\n/undo\n/contcts\n@liaison ad_contacts x\n";
        let answer = world.ask(issue, world.demo.dan, text).await;
        assert_eq!(
            answer,
            "- `create_contact`: `zoe@example.com` created and added\n\
             - `add_contacts`: `zoe@example.com` already there · `ada@example.com` added\n\
             - `remove_contacts`: `ada@example.com` removed\n\
             - `undo`: 1 change of `remove_contacts` taken back\n\
             - `undo`: 1 change of `add_contacts` taken back\n\
             - `ad_contacts` is not a command: did you mean `@liaison add_contacts`?"
        );
        assert_eq!(world.issue_contacts(issue).await, ["zoe@example.com"]);
    })
    .await;
}

#[tokio::test]
async fn who_lacks_the_right_changes_and_learns_nothing() {
    run(async |world| {
        let demo = world.demo;
        let order = world.demo.order;
        world.ask(order, demo.rita, "/add_contacts ada@example.com").await;
        for command in ["add_contacts grace@example.com", "remove_contacts ada@example.com", "add_contacts nobody@example.com"] {
            let answer = world.ask(order, demo.gus, &format!("/crm {command}")).await;
            let name = command.split(' ').next().unwrap();
            assert_eq!(
                answer,
                format!("- `{name}`: you have no right to change contacts of this issue (it takes the Planner or Reporter role in the group and in the project)")
            );
        }
        // Nobody takes back what another did.
        let undone = world.ask(order, demo.gus, "/crm undo").await;
        assert_eq!(undone, "- `undo`: there is nothing of yours to take back here");
        let listed = world.ask(order, demo.gus, "/crm contacts").await;
        assert!(listed.contains("no right to see") && !listed.contains("ada"), "{listed}");
        let created = world.ask(order, demo.rita, "/create_contact zoe@example.com Zoe Winter").await;
        assert!(created.contains("no right to create"), "{created}");

        // A reporter of the project alone, who is not in the group, may nothing.
        world.sandbox.set_member(Place::Project(demo.website), demo.stranger, liaison::sandbox::Level::Developer);
        let answer = world.ask(demo.form, demo.stranger, "/crm add_contacts ada@example.com").await;
        assert!(answer.contains("no right to change"), "{answer}");
        assert_eq!(world.issue_contacts(order).await, ["ada@example.com"]);
    })
    .await;
}

#[tokio::test]
async fn a_member_event_ends_the_memory_of_a_level() {
    run(async |world| {
        let demo = world.demo;
        assert!(
            world
                .ask(demo.order, demo.rita, "/add_contacts ada@example.com")
                .await
                .contains("added")
        );
        world.sandbox.set_member(
            Place::Group(demo.acme),
            demo.rita,
            liaison::sandbox::Level::Guest,
        );
        world.settled().await;
        let answer = world
            .ask(demo.order, demo.rita, "/add_contacts grace@example.com")
            .await;
        assert!(answer.contains("no right"), "{answer}");
        world
            .sandbox
            .remove_member(Place::Group(demo.acme), demo.dan);
        world.settled().await;
        let answer = world
            .ask(demo.form, demo.dan, "/add_contacts grace@example.com")
            .await;
        assert!(answer.contains("no right"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn the_bot_and_other_bots_run_nothing() {
    run(async |world| {
        let demo = world.demo;
        world
            .sandbox
            .comment(demo.order, demo.liaison, "/add_contacts ada@example.com")
            .unwrap();
        let robot = world.sandbox.create_user(liaison::sandbox::NewUser {
            id: None,
            username: "project_7_bot_0af3".into(),
            name: "ci".into(),
            bot: true,
            token: None,
        });
        let disguised = world.sandbox.create_user(liaison::sandbox::NewUser {
            id: None,
            username: "nightly".into(),
            name: "Nightly".into(),
            bot: true,
            token: None,
        });
        for bot in [robot, disguised] {
            world
                .sandbox
                .set_member(Place::Group(demo.acme), bot, liaison::sandbox::Level::Owner);
            world
                .sandbox
                .comment(demo.order, bot, "/add_contacts ada@example.com")
                .unwrap();
        }
        world.ask(demo.form, demo.rita, "/help").await;
        world.settled().await;
        assert_eq!(world.issue_contacts(demo.order).await, [""; 0]);
        assert_eq!(
            world.bot_notes(demo.order).len(),
            1,
            "its own comment and nothing else"
        );
        let outcomes: Vec<_> = world
            .deliveries()
            .await
            .into_iter()
            .filter_map(|line| line.outcome)
            .collect();
        assert!(
            outcomes.contains(&"written by the bot itself".to_owned()),
            "{outcomes:?}"
        );
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| *outcome == "written by another bot")
                .count(),
            2,
            "{outcomes:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn names_do_not_follow_an_issue_into_the_open() {
    run(async |world| {
        let incident = world.demo.incident;
        world
            .ask(incident, world.demo.rita, "/add_contacts ada@example.com")
            .await;
        world.settled().await;
        // The answer is on its way when the issue is opened to everybody.
        let busy = liaison::sandbox::Fault::status(http::StatusCode::BAD_GATEWAY, "busy");
        world
            .sandbox
            .fail(http::Method::POST, "/api/v4/projects", 2, busy);
        let comment = world
            .sandbox
            .comment(incident, world.demo.rita, "/crm contacts")
            .unwrap();
        world
            .sandbox
            .set_confidential(incident, world.demo.mona, false);
        let answer = world.answer_note(incident, comment).await;
        assert!(answer.internal, "{}", answer.body);
        assert!(answer.body.contains("Ada Byron"));
    })
    .await;
}

#[tokio::test]
async fn a_group_chooses_what_is_answered_and_whether_reactions_say_it_too() {
    run(async |world| {
        let rita = world.demo.rita;
        let policy = async |replies: Option<&str>, reactions: Option<&str>| {
            sqlx::query("UPDATE groups SET replies = $1, reactions = $2 WHERE parent_id IS NULL")
                .bind(replies)
                .bind(reactions)
                .execute(&world.pool)
                .await
                .unwrap();
        };
        policy(Some("when_needed"), None).await;
        // In a group further down, which says nothing, and in the group itself.
        for issue in [world.demo.order, world.demo.form] {
            let comment = world.sandbox.comment(issue, rita, "/add_contacts ada@example.com").unwrap();
            world.settled().await;
            assert!(world.bot_notes(issue).is_empty(), "all was done");
            assert_eq!(world.sandbox.awards(comment).len(), 1);
            assert_eq!(world.issue_contacts(issue).await, ["ada@example.com"]);
            // The answer to what is asked later says nothing of what was passed over.
            world.sandbox.edit_comment(comment, rita, "/add_contacts ada@example.com\n/add_contacts nobody@example.com").unwrap();
            world.settled().await;
            let notes = world.bot_notes(issue);
            assert_eq!(notes.len(), 1);
            let text = without_marker(&notes[0].body);
            assert_eq!(text, "- `add_contacts`: `nobody@example.com` not found");
            // An answer that is there is told all that follows.
            world.sandbox.edit_comment(comment, rita, "/add_contacts ada@example.com\n/add_contacts nobody@example.com\n/remove_contacts ada@example.com").unwrap();
            world.settled().await;
            let notes = world.bot_notes(issue);
            assert_eq!(notes.len(), 1);
            let text = without_marker(&notes[0].body);
            assert!(text.ends_with("- `remove_contacts`: `ada@example.com` removed"), "{text}");
        }
        policy(None, Some("never")).await;
        let comment = world.sandbox.comment(world.demo.order, rita, "/add_contacts ada@example.com").unwrap();
        world.settled().await;
        assert_eq!(world.bot_notes(world.demo.order).len(), 2);
        assert!(world.sandbox.awards(comment).is_empty());
        // The nearest group counts.
        sqlx::query("UPDATE groups SET reactions = 'always' WHERE parent_id IS NOT NULL").execute(&world.pool).await.unwrap();
        let comment = world.sandbox.comment(world.demo.order, rita, "/add_contacts ada@example.com").unwrap();
        world.settled().await;
        assert_eq!(world.sandbox.awards(comment).len(), 1);
    })
    .await;
}
