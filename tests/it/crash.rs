//! The promises through `kill -9`, of the program and of PostgreSQL: what was acknowledged is done, and done once.
//!
//! The moments are made from outside: by the tracker, which can hold an answer back, and by locks on the service's own tables.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use http::Method;
use liaison::sandbox::{Fault, NewIssue, Note};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::{Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::{harness::PATIENCE, program::Site};

/// Retries at once, as far as the program lets one.
const CONFIG: &str = "[queue]\nretry_seconds = [0]\nlease_seconds = 40\n";

/// Has deliveries wait although somebody could work them.
const HOLD_BACK: &str = "
    CREATE FUNCTION hold_back() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.ready_at = now() + interval '1 h'; RETURN NEW; END$$;
    CREATE TRIGGER hold_back BEFORE INSERT ON lanes FOR EACH ROW WHEN (NEW.queue = 'inbox') EXECUTE FUNCTION hold_back()";
/// Has them all worked at once.
const LET_GO: &str = "
    BEGIN;
    DROP FUNCTION hold_back CASCADE;
    UPDATE lanes SET ready_at = now();
    SELECT pg_notify('liaison', 'inbox:' || id) FROM connections;
    COMMIT";

/// A comment that creates a customer, whose address is in the answer and tells it from all others.
#[derive(Debug, Clone)]
struct Asked {
    issue: u64,
    note: u64,
    email: String,
}

impl Site {
    fn ask(&self, issue: u64, number: usize) -> Asked {
        let email = format!("c{number}@example.com");
        let text = format!("/create_contact {email} Zoe Winter");
        let note = self.sandbox.comment(issue, self.demo.dan, &text).unwrap();
        Asked { issue, note, email }
    }

    /// Waits until the service acknowledged everything that was sent.
    async fn acknowledged(&self) {
        let sent = |state: &liaison::sandbox::State| (state.unsent() == 0).then_some(());
        self.sandbox.wait_for(sent, PATIENCE).await.unwrap();
        let last = self.sandbox.hook_log().pop().unwrap();
        assert_eq!(last.status, Some(202), "{}", last.response);
    }

    fn answers(&self, asked: &Asked) -> Vec<Note> {
        let notes = self.sandbox.notes(asked.issue).into_iter();
        let named = format!("`{}`", asked.email);
        notes
            .filter(|note| note.author == self.demo.liaison && note.body.contains(&named))
            .collect()
    }

    async fn answered(&self, asked: &Asked) {
        let named = format!("`{}`", asked.email);
        let answer = self.sandbox.wait_for(
            |state| {
                let mut notes = state.notes(asked.issue);
                notes
                    .any(|note| note.author == self.demo.liaison && note.body.contains(&named))
                    .then_some(())
            },
            PATIENCE,
        );
        let answered = answer.await.is_some();
        assert!(answered, "no answer to {asked:?}:\n{}", self.trouble());
    }

    /// Waits until no work is left.
    async fn settled(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut connection = self.connect().await;
        loop {
            // Postgres forgets lanes when it crashes, so that none for a moment means nothing.
            let mut waiting = 0;
            for work in [
                "lanes",
                "deliveries WHERE settled_at IS NULL",
                "effects WHERE settled_at IS NULL",
            ] {
                waiting += count(&mut connection, work).await;
            }
            if waiting == 0 && self.sandbox.read(liaison::sandbox::State::unsent) == 0 {
                break;
            }
            if Instant::now() > deadline {
                let rows = "SELECT format('%s %s lease %s due in %s', queue, lane, lease, ready_at - now()) FROM lanes
                    UNION ALL SELECT format('%s %s %s attempts %s %s', queue, lane, state, attempts, outcome) FROM effects WHERE settled_at IS NULL
                    UNION ALL SELECT format('inbox %s %s attempts %s %s', lane, state, attempts, outcome) FROM deliveries WHERE settled_at IS NULL";
                let rows: Vec<String> = sqlx::query_scalar(rows)
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
                panic!(
                    "{waiting} lanes and rows wait: {rows:#?}\n{}",
                    self.trouble()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        connection.close().await.unwrap();
    }

    /// Lets the time pass for which a call that was cut off is waited for, once this is what is waited for.
    async fn pass_time(&self) {
        let mut connection = self.connect().await;
        let held = "lanes WHERE lease IS NULL AND ready_at > now() AND queue <> 'inbox'";
        until(&mut connection, held, |count| count > 0).await;
        let far = "lanes WHERE lease IS NULL AND ready_at > now() + interval '10 s'";
        assert_eq!(count(&mut connection, far).await, 0);
        connection
            .execute("UPDATE lanes SET ready_at = now() WHERE lease IS NULL")
            .await
            .unwrap();
        let wake = "SELECT pg_notify('liaison', queue || ':' || id) FROM connections, (VALUES ('reply'), ('call')) AS queues (queue)";
        connection.execute(wake).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Holds that every comment had its effect once, wholly, and that nothing is left.
    async fn once(&self, asked: &[Asked]) {
        for asked in asked {
            self.answered(asked).await;
        }
        self.settled().await;
        let mut connection = self.connect().await;
        for one in asked {
            let answers = self.answers(one);
            assert_eq!(answers.len(), 1, "{one:?}: {answers:#?}");
            let created = format!("- `create_contact`: `{}` created and added", one.email);
            assert!(answers[0].body.starts_with(&created), "{answers:#?}");
            let awards = self.sandbox.awards(one.note);
            assert_eq!(awards.len(), 1, "{one:?}: {awards:?}");
            let item = format!(
                "items WHERE items.root_id = it.root_id AND items.id = it.item_id AND items.email = '{}'",
                one.email
            );
            for (table, rows) in [("issue_items", 1), ("history", 2)] {
                let these = format!("{table} AS it WHERE EXISTS (SELECT FROM {item})");
                assert_eq!(
                    count(&mut connection, &these).await,
                    rows,
                    "{table} {one:?}"
                );
            }
        }
        let rows = i64::try_from(asked.len()).unwrap();
        assert_eq!(count(&mut connection, "items").await, rows);
        for (rows, table) in [
            (
                rows,
                "deliveries WHERE state = 'done' AND outcome LIKE '1 command run, 2 changes%'",
            ),
            (2 * rows, "effects WHERE state = 'done'"),
            (2 * rows, "effects"),
            (0, "deliveries WHERE state IN ('pending', 'dead')"),
        ] {
            assert_eq!(count(&mut connection, table).await, rows, "{table}");
        }
        connection.close().await.unwrap();
    }

    /// Waits until the tracker was asked for something with that method and path.
    async fn called(&self, method: &Method, path: &str) {
        let called = self.sandbox.wait_for(
            |state| {
                let mut calls = state.calls();
                calls
                    .any(|call| call.method == *method && call.path.starts_with(path))
                    .then_some(())
            },
            PATIENCE,
        );
        called.await.unwrap();
    }

    /// Sends again what was not acknowledged, as a sender does who keeps his deliveries. Returns how much is not acknowledged yet.
    fn send_again(&self, sent_again: &mut HashMap<String, usize>) -> usize {
        let mut tries: HashMap<String, (usize, u64, bool)> = HashMap::new();
        for delivery in self.sandbox.hook_log() {
            let key = delivery.header("Idempotency-Key").unwrap().to_owned();
            let (count, last, done) = tries.entry(key).or_default();
            *count += 1;
            *last = delivery.id;
            *done |= matches!(delivery.status, Some(200 | 202));
        }
        let mut open = 0;
        for (key, (count, last, _)) in tries.into_iter().filter(|(_, (_, _, done))| !done) {
            open += 1;
            let again = sent_again.entry(key).or_default();
            if *again < count {
                *again = count;
                assert!(self.sandbox.resend(last));
            }
        }
        open
    }

    /// Sends again until everything is acknowledged.
    async fn all_acknowledged(&self, sent_again: &mut HashMap<String, usize>) {
        let mut deadline = Instant::now() + PATIENCE;
        let mut fewest = usize::MAX;
        loop {
            let open = self.send_again(sent_again);
            let unsent = self.sandbox.read(liaison::sandbox::State::unsent);
            if open + unsent == 0 {
                return;
            }
            // They are sent one after the other: patience is for each.
            if open + unsent < fewest {
                (fewest, deadline) = (open + unsent, Instant::now() + PATIENCE);
            }
            if Instant::now() > deadline {
                let log = self.sandbox.hook_log().into_iter().rev().take(5);
                let last: Vec<_> = log
                    .map(|sent| (sent.at, sent.status, sent.response.clone()))
                    .collect();
                panic!(
                    "{open} open, {unsent} unsent: {last:#?}\n{}",
                    self.trouble()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn issues(&self, count: usize) -> Vec<u64> {
        let issue = |number| NewIssue {
            id: None,
            iid: None,
            project: self.demo.desk,
            author: self.demo.dan,
            title: format!("Order {number}"),
            description: String::new(),
            confidential: false,
            external_author: None,
        };
        (0..count)
            .map(|number| self.sandbox.create_issue(issue(number)))
            .collect()
    }
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    let text = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(text)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Waits until as many rows are there as are wanted.
async fn until(connection: &mut PgConnection, table: &str, wanted: impl Fn(i64) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(count(connection, table).await) {
        assert!(Instant::now() < deadline, "{table}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lets nobody else write a table, until the connection goes or rolls back.
async fn lock(connection: &mut PgConnection, table: &str) {
    let text = format!("BEGIN; LOCK TABLE {table} IN SHARE MODE");
    connection.execute(AssertSqlSafe(text)).await.unwrap();
}

/// Waits until the service stands before the lock of a table.
async fn is_stuck(connection: &mut PgConnection, table: &str) {
    let waiting = format!("pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    until(connection, &waiting, |count| count > 0).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_done_once_when_the_service_is_killed_before_its_commit() {
    let mut site = Site::new(CONFIG, 1).await;
    let issue = site.demo.order;
    let mut asked = Vec::new();

    // It was only taken in.
    site.serve(&["--roles", "receive"]).await;
    asked.push(site.ask(issue, 0));
    site.acknowledged().await;
    site.kill().await;

    // It is taken up, and the tracker is asked who the sender is.
    let projects = "/api/v4/projects/";
    site.sandbox.fail(Method::GET, projects, 1, Fault::Hang);
    site.serve(&[]).await;
    site.called(&Method::GET, projects).await;
    site.kill().await;
    site.serve(&[]).await;
    site.once(&asked).await;

    // The transaction is under way, up to its last statement but the commit.
    for table in ["items", "issue_items", "history", "effects", "deliveries"] {
        let mut first = site.connect().await;
        let held = if table == "deliveries" {
            "effects"
        } else {
            table
        };
        lock(&mut first, held).await;
        asked.push(site.ask(issue, asked.len()));
        let mut second = site.connect().await;
        is_stuck(&mut second, held).await;
        if table == "deliveries" {
            // Locked only now: the delivery itself had to get in.
            lock(&mut second, table).await;
            first.execute("ROLLBACK").await.unwrap();
            is_stuck(&mut first, table).await;
        }
        site.acknowledged().await;
        assert_eq!(
            count(&mut second, "items").await,
            i64::try_from(asked.len() - 1).unwrap(),
            "nothing of it is to be seen before the commit"
        );
        site.kill().await;
        site.serve(&[]).await;
        site.once(&asked).await;
    }
    site.end().await;
}

#[tokio::test]
async fn a_group_is_done_wholly_or_not_at_all_when_the_service_is_killed_within_it() {
    let mut site = Site::new(CONFIG, 8).await;
    site.serve(&[]).await;
    // The tracker has nothing to be asked any more.
    let mut asked = vec![site.ask(site.demo.order, 0)];
    site.once(&asked).await;
    let issues = site.issues(12);
    site.once(&asked).await;
    let waiting = "deliveries WHERE state = 'pending'";
    for table in ["items", "issue_items", "history", "effects", "deliveries"] {
        let mut connection = site.connect().await;
        connection.execute(HOLD_BACK).await.unwrap();
        for issue in &issues {
            asked.push(site.ask(*issue, asked.len()));
        }
        until(&mut connection, waiting, |count| count == 12).await;
        site.acknowledged().await;
        // Lanes are opened after the answers; all of them have to be there to be leased together.
        let held = "lanes WHERE queue = 'inbox'";
        until(&mut connection, held, |count| count == 12).await;
        let mut holder = site.connect().await;
        lock(&mut holder, table).await;
        connection.execute(LET_GO).await.unwrap();
        is_stuck(&mut connection, table).await;
        let stuck = format!("pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
        assert_eq!(
            count(&mut connection, &stuck).await,
            1,
            "it is one transaction"
        );
        assert_eq!(count(&mut connection, waiting).await, 12);
        site.kill().await;
        site.serve(&[]).await;
        site.once(&asked).await;
    }
    site.end().await;
}

#[tokio::test]
async fn an_answer_is_posted_once_when_the_service_is_killed_around_posting_it() {
    let mut site = Site::new(CONFIG, 1).await;
    let issue = site.demo.order;
    let (project, iid) = site.sandbox.read(|state| {
        let issue = state.issue(issue).unwrap();
        (issue.project, issue.iid)
    });
    let discussions = format!("/api/v4/projects/{project}/issues/{iid}/discussions/");
    let post = Method::POST;
    let mut asked = Vec::new();

    // Committed, and nothing called yet.
    site.serve(&["--roles", "receive,process"]).await;
    asked.push(site.ask(issue, 0));
    let done = "deliveries WHERE state = 'done'";
    until(&mut site.connect().await, done, |count| count > 0).await;
    site.kill().await;
    site.serve(&[]).await;
    site.once(&asked).await;

    // The call was made, and its caller killed, before the tracker did anything, or while it did, or before it answered.
    let (never, late, held) = (
        Fault::Hang,
        CancellationToken::new(),
        CancellationToken::new(),
    );
    for fault in [never, Fault::Late(late.clone()), Fault::AnswerHeld(held)] {
        let posted = matches!(fault, Fault::AnswerHeld(_));
        let is_late = matches!(fault, Fault::Late(_));
        let before = site.sandbox.calls().len();
        site.sandbox.fail(post.clone(), &discussions, 1, fault);
        asked.push(site.ask(issue, asked.len()));
        let newest = asked.last().unwrap();
        let called = site.sandbox.wait_for(
            |state| {
                let mut calls = state.calls().skip(before);
                calls
                    .any(|call| call.method == post && call.path.starts_with(&discussions))
                    .then_some(())
            },
            PATIENCE,
        );
        called.await.unwrap();
        if posted {
            site.answered(newest).await;
        }
        site.kill().await;
        assert_eq!(site.answers(newest).len(), usize::from(posted));
        site.serve(&[]).await;
        if is_late {
            // The tracker finishes what the dead asked for; whoever had not waited would have posted a second time.
            late.cancel();
            site.answered(newest).await;
        }
        site.pass_time().await;
        site.once(&asked).await;
    }
    site.end().await;
}

#[tokio::test]
async fn an_answer_is_posted_once_when_the_service_is_killed_before_recording_it() {
    let mut site = Site::new(CONFIG, 1).await;
    let issue = site.demo.order;
    let (project, iid) = site.sandbox.read(|state| {
        let issue = state.issue(issue).unwrap();
        (issue.project, issue.iid)
    });
    let discussions = format!("/api/v4/projects/{project}/issues/{iid}/discussions/");
    site.serve(&[]).await;
    let mut asked = Vec::new();

    // It has the answer, and wants to write down which comment is the answer, or that the work is done.
    for table in ["comments", "effects"] {
        let held = CancellationToken::new();
        let fault = Fault::AnswerHeld(held.clone());
        site.sandbox.fail(Method::POST, &discussions, 1, fault);
        asked.push(site.ask(issue, asked.len()));
        let newest = asked.last().unwrap();
        site.answered(newest).await;
        let mut connection = site.connect().await;
        // The reaction is out of the way.
        let open = "effects WHERE state = 'pending'";
        until(&mut connection, open, |count| count == 1).await;
        lock(&mut connection, table).await;
        held.cancel();
        is_stuck(&mut connection, table).await;
        let known = format!(
            "comments WHERE reply_remote_id IS NOT NULL AND remote_id = '{}'",
            newest.note
        );
        assert_eq!(
            count(&mut connection, &known).await,
            i64::from(table == "effects")
        );
        site.kill().await;
        site.serve(&[]).await;
        site.pass_time().await;
        site.once(&asked).await;
    }

    // The same for the reaction.
    asked.push(site.ask(issue, asked.len()));
    let newest = asked.last().unwrap().clone();
    let awards = format!("/api/v4/projects/{project}/issues/{iid}/notes/");
    site.once(&asked).await;
    let held = Fault::AnswerHeld(CancellationToken::new());
    site.sandbox.fail(Method::POST, &awards, 1, held);
    asked.push(site.ask(issue, asked.len()));
    let newest_award = asked.last().unwrap().note;
    assert_ne!(newest.note, newest_award);
    let awarded = site.sandbox.wait_for(
        |state| (!state.note(newest_award)?.awards.is_empty()).then_some(()),
        PATIENCE,
    );
    awarded.await.unwrap();
    site.answered(asked.last().unwrap()).await;
    site.kill().await;
    site.serve(&[]).await;
    site.pass_time().await;
    site.once(&asked).await;
    site.end().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_done_once_when_postgres_is_killed_under_load() {
    let mut site = Site::new(CONFIG, 64).await;
    let issues = site.issues(64);
    site.serve(&[]).await;
    let mut sent_again = HashMap::new();
    let mut asked: Vec<Asked> = Vec::new();
    for round in 0..3 {
        let first = asked.len();
        for issue in &issues {
            asked.push(site.ask(*issue, asked.len()));
        }
        // In the midst of it: some are answered and most are not.
        site.answered(&asked[first + 8 * round]).await;
        let server = site.postmaster();
        kill_process(server.unwrap(), Signal::KILL).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while site.postmaster() == server || site.try_connect().await.is_err() {
            assert!(Instant::now() < deadline, "{}", site.trouble());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        site.all_acknowledged(&mut sent_again).await;
    }
    println!("{} deliveries had to be sent again", sent_again.len());
    site.once(&asked).await;

    // A rest, in which nothing tells the service that its connections are gone.
    let server = site.postmaster();
    kill_process(server.unwrap(), Signal::KILL).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while site.postmaster() == server || site.try_connect().await.is_err() {
        assert!(Instant::now() < deadline, "{}", site.trouble());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    asked.push(site.ask(issues[0], asked.len()));
    site.acknowledged().await;
    site.once(&asked).await;
    site.end().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_done_once_through_kills_at_any_moment() {
    const ROUNDS: usize = 20;
    const PER_ROUND: usize = 8;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut site = Site::new(CONFIG, 4).await;
    let issues = site.issues(8);
    let mut sent_again = HashMap::new();
    let mut asked: Vec<Asked> = Vec::new();
    site.serve(&[]).await;
    for _ in 0..ROUNDS {
        for _ in 0..PER_ROUND {
            let issue = issues[random.random_range(0..issues.len())];
            asked.push(site.ask(issue, asked.len()));
            site.send_again(&mut sent_again);
            // No wait for anything, but the random moment of the kill.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..80))).await;
        }
        site.kill().await;
        site.spawn_service(&[]);
    }
    site.ready().await;
    site.all_acknowledged(&mut sent_again).await;
    println!("{} of {} sent again", sent_again.len(), asked.len());
    site.once(&asked).await;
    site.end().await;
}

/// Items of which pages are worked when the service is killed.
const MANY: i64 = 12_000;

#[tokio::test]
async fn a_change_of_many_items_goes_on_behind_the_last_page() {
    let mut site = Site::new(CONFIG, 1).await;
    site.serve(&[]).await;
    let mut connection = site.connect().await;
    let dan = site.demo.dan;
    let prepare = format!(
        r"INSERT INTO people (username, name, created_at) VALUES ('dan', '', now()), ('ivy', '', now());
           INSERT INTO identities (connection_id, remote_id, person_id, username)
           SELECT connections.id, '{dan}', people.id, 'dan' FROM connections, people WHERE people.username = 'dan';
           INSERT INTO memberships (root_id, group_id, person_id, level)
           SELECT groups.root_id, groups.id, people.id, 10 FROM groups, people WHERE people.username = 'ivy';
           INSERT INTO items (root_id, group_id, kind, title, created_at, updated_at)
           SELECT root_id, id, 'deal', 'Deal ' || n, now(), now() FROM groups, generate_series(1, {MANY}) AS n;
           INSERT INTO bulk_jobs (root_id, operation, actor_id, via, group_id, task, total, created_at)
           SELECT root_id, gen_random_uuid(), (SELECT id FROM people WHERE username = 'dan'), 'page', groups.id,
                  jsonb_build_object('task', jsonb_build_object('what', 'add', 'people', ARRAY (SELECT id FROM people WHERE username = 'ivy'),
                                                                'in_chat', true, 'history', NULL),
                                     'items', jsonb_build_object('filter', jsonb_build_object('kinds', ARRAY['deal']))),
                  {MANY}, now() FROM groups"
    );
    connection.execute(AssertSqlSafe(prepare)).await.unwrap();
    connection
        .execute("SELECT pg_notify('liaison', 'bulk_jobs')")
        .await
        .unwrap();
    let begun = "bulk_jobs WHERE worked > 0 OR state <> 'running'";
    until(&mut connection, begun, |count| count > 0).await;
    connection.close().await.unwrap();
    site.kill().await;

    site.serve(&[]).await;
    let mut connection = site.connect().await;
    let killed = "SELECT worked FROM bulk_jobs";
    let before: i64 = sqlx::query_scalar(killed)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(before < MANY, "it was done before it was killed");
    let done = "bulk_jobs WHERE state = 'done'";
    until(&mut connection, done, |count| count > 0).await;
    for once in ["observers", "history WHERE action = 'observer_added'"] {
        assert_eq!(count(&mut connection, once).await, MANY, "{once}");
    }
    let told: (i64, i64) = sqlx::query_as("SELECT worked, changed FROM bulk_jobs")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(told, (MANY, MANY));
    connection.close().await.unwrap();
    site.end().await;
}
