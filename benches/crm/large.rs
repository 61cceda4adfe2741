//! What is done with a hundred thousand contacts at once, beside the tenant of a million: imported from a file, given an observer, moved to
//! another root group. While they move, somebody of the large tenant creates and changes contacts.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use liaison::{
    bulk::{self, Destination, Importer, Options, Work},
    crm::{Asker, Crm, Pace},
    domain::{
        Clock, ContactDraft, GroupId, ItemKind, OperationId, PersonId, RootId, SystemClock, Via,
    },
    exchange::{ContactRow, Table},
    queue::Wake,
    rules::WatchTask,
    store::{
        bulk_job::{BulkTask, Selection},
        item,
        item_list::ItemFilter,
        transfer::{self, GroupMove, Mover},
    },
};
use sqlx::{Executor, PgPool};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    figure::Figure,
    measure::{HERE, figure},
};

const MANY: usize = 100_000;
const BETA: (RootId, GroupId) = (RootId(2), GroupId(2));
const GAMMA: (RootId, GroupId) = (RootId(3), GroupId(3));

/// Imports, changes and moves them.
pub(crate) async fn all(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    pool.execute(
        "DELETE FROM people WHERE username IN ('boss', 'watcher');
         INSERT INTO people (username, name, created_at) VALUES ('boss', '', now()), ('watcher', '', now());
         INSERT INTO groups (root_id, id, path, name, contact_group_id, created_at) VALUES (2, 2, 'beta', 'Beta', 2, now()), (3, 3, 'gamma', 'Gamma', 3, now());
         INSERT INTO memberships (root_id, group_id, person_id, level)
         SELECT root, root, people.id, 50 FROM people, unnest(ARRAY[2, 3]) AS root WHERE username IN ('boss', 'watcher')",
    )
    .await?;
    let mut figures = vec![import(pool).await?];
    pool.execute("ANALYZE items; ANALYZE history").await?;
    figures.extend(watch(pool).await?);
    figures.extend(transfer_all(pool).await?);
    Ok(figures)
}

async fn person(pool: &PgPool, username: &str) -> anyhow::Result<PersonId> {
    let id = sqlx::query_scalar("SELECT id FROM people WHERE username = $1")
        .bind(username)
        .fetch_one(pool)
        .await?;
    Ok(PersonId(id))
}

async fn import(pool: &PgPool) -> anyhow::Result<Figure> {
    let mut took = figure("import of 100,000 rows of a file", 20_000);
    let mut file = String::from("First name,Last name,Email,Phone,Description\n");
    for row in 0..MANY {
        writeln!(
            file,
            "Ada,Byron {row},ada{row}@beta.example,+43 1 {row},Met at fair {}",
            row % 50
        )?;
    }
    let importer = Importer {
        pool: pool.clone(),
        clock: Arc::new(SystemClock::default()),
    };
    let destination = Destination {
        root: BETA.0,
        group: BETA.1,
        actor: None,
    };
    let begun = Instant::now();
    let rows = bulk::read(Table::<_, ContactRow>::open(file.as_bytes())?)?;
    let work = Work::Contacts(&rows);
    let imported = importer
        .import(work, destination, Options::default())
        .await?;
    took.times.push(begun.elapsed());
    let created: usize = imported.reports().map(|report| report.created).sum();
    anyhow::ensure!(created == MANY, "{created} rows were imported");
    Ok(took)
}

/// Gives all of them an observer, and takes that back.
async fn watch(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let crm = Crm {
        pool: pool.clone(),
        clock: Arc::new(SystemClock::default()),
        trackers: Arc::default(),
        level_fresh: Duration::from_mins(1),
        place_fresh: Duration::from_mins(1),
    };
    let asker = Asker {
        person: person(pool, "boss").await?,
        via: Via::Page,
    };
    let task = BulkTask {
        task: WatchTask::Add {
            people: vec![person(pool, "watcher").await?],
            in_chat: true,
            history: None,
        },
        items: Selection::Filter(ItemFilter {
            kinds: Some(vec![ItemKind::Contact.word().to_owned()]),
            ..ItemFilter::default()
        }),
    };
    let mut foreseen = figure("what an observer for 100,000 would change", 10_000);
    let begun = Instant::now();
    let report = crm.foresee_bulk(asker, BETA.1, &task).await?.report;
    foreseen.times.push(begun.elapsed());
    anyhow::ensure!(report.changed == MANY as u64, "{report:?}");
    let mut changed = figure("an observer for 100,000", 10_000);
    let bell = Wake::new([]).bulk_jobs();
    let stop = CancellationToken::new();
    let begun = Instant::now();
    let id = crm.begin_bulk(asker, BETA.1, &task).await?;
    bell.notify_one();
    let worker = TaskTracker::new().spawn(crm.clone().work_bulk(Pace::new(bell), stop.clone()));
    let job = loop {
        let job = crm.bulk_job(asker, id).await?;
        if job.state != "running" {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    changed.times.push(begun.elapsed());
    stop.cancel();
    worker.await?;
    anyhow::ensure!(job.changed == i64::try_from(MANY)?, "{job:?}");
    let mut undone = figure("the same taken back", 30_000);
    let begun = Instant::now();
    crm.undo(asker, job.operation).await?;
    undone.times.push(begun.elapsed());
    Ok(vec![foreseen, changed, undone])
}

/// Moves the group below another root group; meanwhile somebody of the large tenant works on.
async fn transfer_all(pool: &PgPool) -> anyhow::Result<Vec<Figure>> {
    let mut took = figure("a group with 100,000 contacts moved", 30_000);
    let mut beside = figure("one contact created by another tenant meanwhile", 1000);
    let stop = CancellationToken::new();
    let probe = TaskTracker::new().spawn(probe(pool.clone(), stop.clone()));
    let clock = SystemClock::default();
    let mover = Mover {
        operation: OperationId(clock.id()),
        actor: None,
        via: Via::CommandLine,
        now: clock.now(),
    };
    let what = GroupMove {
        root: BETA.0,
        group: BETA.1,
        parent: Some(GAMMA),
        path: "gamma/beta",
        remote_path: None,
    };
    let begun = Instant::now();
    let mut tx = pool.begin().await?;
    let moved = transfer::group(&mut tx, &mover, &what).await?;
    tx.commit().await?;
    took.times.push(begun.elapsed());
    stop.cancel();
    beside.times = probe.await.context("the probe ended")??;
    anyhow::ensure!(
        moved.report.contacts.moved == i64::try_from(MANY)?,
        "{:?}",
        moved.report
    );
    Ok(vec![took, beside])
}

/// Creates contacts in the large tenant, one after the other, until `stop`; returns how long each took.
async fn probe(pool: PgPool, stop: CancellationToken) -> anyhow::Result<Vec<Duration>> {
    let clock = SystemClock::default();
    let mut times = Vec::new();
    while !stop.is_cancelled() {
        let turn = times.len();
        let draft = ContactDraft::new(
            "Probe",
            &format!("{turn}"),
            &format!("p{turn}@probe.example"),
        )?;
        let begun = Instant::now();
        let mut connection = pool.acquire().await?;
        item::insert_contact(&mut connection, HERE, &draft, true, clock.now()).await?;
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(times)
}
