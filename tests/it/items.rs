//! Items of every kind, and the people who go with them: rights, chats, deletion and what brings things back, many at a time, and over the API.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use liaison::{
    crm::{Asker, Conversion, CrmError, LinkTo, NewItem, Pace},
    domain::{
        BulkJobId, Clock, ItemForm, ItemId, ItemPatch, OperationId, PersonId, RecordForm,
        RecordKind, RecordPatch, SystemClock,
    },
    rules::{Hidden, WatchTask},
    store::{
        bulk_job::{self, BulkTask, Selection},
        item_list::ItemFilter,
        transfer,
    },
};
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use crate::{
    crm::{Hall, Tree, by, denied, invalid},
    graphql::{ask, data, token_of},
    harness::{PATIENCE, run, spawn},
};

fn deal(title: &str) -> NewItem {
    NewItem::of(ItemForm::Record(RecordForm::titled(
        RecordKind::Deal,
        title,
    )))
}

fn add(people: &[PersonId]) -> WatchTask {
    WatchTask::Add {
        people: people.to_vec(),
        in_chat: true,
        history: None,
    }
}

/// A tree with an owner, people of several levels, and a messenger in which all of them have accounts.
struct Team {
    hall: Hall,
    tree: Tree,
    boss: Asker,
    ann: PersonId,
    bob: PersonId,
}

impl Team {
    async fn meet(messenger: &str) -> Self {
        let hall = Hall::open().await;
        let tree = hall.tree("acme").await;
        let boss = hall.owner(tree).await;
        let (ann, bob) = (hall.person("ann").await, hall.person("bob").await);
        hall.member(tree.root, tree.top, ann, 10).await;
        hall.member(tree.root, tree.top, bob, 20).await;
        hall.execute(&format!(
            "INSERT INTO connections (name, kind, url, bot_username, created_at)
             VALUES ('chat', '{messenger}', 'http://127.0.0.1:9', 'liaison', now())"
        ))
        .await;
        hall.execute(&format!(
            "UPDATE groups SET messenger_id = (SELECT id FROM connections WHERE name = 'chat') WHERE id = {}",
            tree.top
        ))
        .await;
        hall.execute(
            "INSERT INTO identities (connection_id, remote_id, person_id, username)
             SELECT connections.id, 'chat-' || people.id, people.id, people.username FROM people, connections WHERE connections.name = 'chat'",
        )
        .await;
        Self {
            hall,
            tree,
            boss,
            ann,
            bob,
        }
    }

    async fn item(&self, new: NewItem) -> ItemId {
        let (crm, top) = (&self.hall.crm, self.tree.top);
        crm.create_item(self.boss, top, &new).await.unwrap()
    }

    async fn observers(&self, item: ItemId) -> Vec<(i64, bool)> {
        sqlx::query_as(
            "SELECT person_id, in_chat FROM observers WHERE item_id = $1 ORDER BY person_id",
        )
        .bind(item.0)
        .fetch_all(&self.hall.pool)
        .await
        .unwrap()
    }

    /// Takes the effects that wait, as (kind, whom it is for).
    async fn effects(&self) -> Vec<String> {
        let mut effects: Vec<String> = sqlx::query_scalar(
            "WITH gone AS (DELETE FROM effects RETURNING id, payload)
             SELECT concat_ws(' ', payload ->> 'kind', coalesce(payload ->> 'chat', payload ->> 'person'), payload -> 'news' -> 0 ->> 'what',
                              payload -> 'news' -> 0 ->> 'count')
             FROM gone",
        )
        .fetch_all(&self.hall.pool)
        .await
        .unwrap();
        self.hall.execute("DELETE FROM lanes").await;
        effects.sort();
        effects
    }
}

#[tokio::test]
async fn an_observer_reads_his_item_and_nothing_else() {
    let team = Team::meet("bitrix24").await;
    let (hall, crm) = (&team.hall, &team.hall.crm);
    let (mine, other) = (
        team.item(deal("Mine")).await,
        team.item(deal("Other")).await,
    );
    let see = async |person: PersonId| {
        let found = crm.items_access(person, &[mine, other]).await.unwrap();
        [mine, other].map(|item| found.get(&item).is_some_and(|on| on.reads()))
    };
    assert_eq!(see(team.ann).await, [false, false], "a Guest sees no items");
    crm.change_watchers(team.boss, &[mine], &add(&[team.ann]), false)
        .await
        .unwrap();
    assert_eq!(see(team.ann).await, [true, false]);
    // Reading is all: neither its observers nor its fields are his to change.
    let him = by(team.ann);
    let report = crm
        .change_watchers(him, &[mine], &add(&[team.bob]), false)
        .await
        .unwrap();
    let reason = report.refused.into_keys().next().unwrap();
    assert!(
        report.changed == 0 && reason.contains("insufficient"),
        "{reason}"
    );
    let rename = ItemPatch::Record(RecordPatch {
        title: Some("Ours".into()),
        ..RecordPatch::default()
    });
    denied(crm.update_item(him, mine, &rename, None).await);
    let gone = crm.update_item(him, other, &rename, None).await;
    assert!(matches!(gone, Err(CrmError::NotFound)));
    // Why, and since when.
    let why = crm.why(team.boss, mine, team.ann).await.unwrap();
    assert!(
        why.reads
            && why.reasons[0]
                .starts_with("observes it since 2026-03-01 12:00 UTC, added by @owner"),
        "{why:?}"
    );
    let why = crm.why(team.boss, other, team.ann).await.unwrap();
    assert!(!why.reads && why.reasons.len() == 1, "{why:?}");
    assert!(matches!(
        crm.why(him, mine, team.bob).await,
        Err(CrmError::NotFound)
    ));
    // Whoever is no member any more sees nothing, though he is on the list.
    hall.execute(&format!(
        "DELETE FROM memberships WHERE person_id = {}",
        team.ann
    ))
    .await;
    assert_eq!(see(team.ann).await, [false, false]);
    assert!(matches!(
        crm.update_item(him, mine, &rename, None).await,
        Err(CrmError::NotFound)
    ));
    hall.member(team.tree.root, team.tree.top, team.ann, 50)
        .await;
    hall.execute(&format!(
        "UPDATE people SET active = false WHERE id = {}",
        team.ann
    ))
    .await;
    assert_eq!(see(team.ann).await, [false, false]);
    // A stranger of another tenant cannot be brought in.
    let stranger = hall.person("stranger").await;
    let sentence = format!("Person {stranger} is not known here or not active");
    let refused = crm
        .change_watchers(team.boss, &[mine], &add(&[stranger]), false)
        .await;
    assert_eq!(invalid(refused), [sentence]);
}

#[tokio::test]
async fn the_responsible_changes_observers_and_nothing_more() {
    let team = Team::meet("bitrix24").await;
    let crm = &team.hall.crm;
    let item = team
        .item(NewItem {
            responsible: Some(team.bob),
            ..deal("His")
        })
        .await;
    let told = format!("notify {} responsible 1", team.bob);
    assert_eq!(team.effects().await, [told]);
    let bob = by(team.bob);
    let report = crm
        .change_watchers(bob, &[item], &add(&[team.ann]), false)
        .await
        .unwrap();
    assert_eq!(report.changed, 1);
    let told = format!("notify {} observing 1", team.ann);
    assert_eq!(team.effects().await, [told]);
    // He hands it to nobody, and takes back what he did.
    let give = WatchTask::Responsible {
        person: Some(team.ann),
    };
    let refused = crm
        .change_watchers(bob, &[item], &give, false)
        .await
        .unwrap();
    assert_eq!((refused.changed, refused.refused.len()), (0, 1));
    let undone = crm.undo(bob, report.operation.unwrap()).await.unwrap();
    assert_eq!((undone.undone, undone.kept.len()), (1, 0));
    assert_eq!(team.observers(item).await, []);
    // Handed over, he observes on.
    crm.change_watchers(team.boss, &[item], &give, false)
        .await
        .unwrap();
    assert_eq!(team.observers(item).await, [(team.bob.0, true)]);
}

#[tokio::test]
async fn what_goes_comes_back_with_its_people_links_issues_and_chat() {
    let team = Team::meet("bitrix24").await;
    let (hall, crm) = (&team.hall, &team.hall.crm);
    let ada = hall
        .contact(team.boss, team.tree.top, "ada@example.com")
        .await;
    let item = team
        .item(NewItem {
            responsible: Some(team.bob),
            observers: vec![team.ann],
            links: vec![ada],
            ..deal("Chairs")
        })
        .await;
    crm.link(team.boss, item, (LinkTo::Issue(team.tree.issue), true))
        .await
        .unwrap();
    let chat = crm.create_chat(team.boss, item).await.unwrap();
    let settle = format!("settle_chat {chat}");
    assert!(team.effects().await.contains(&settle));
    let snapshot = "SELECT md5(string_agg(part, '|' ORDER BY part)) FROM (
        SELECT observers::text AS part FROM observers UNION ALL SELECT item_links::text FROM item_links
        UNION ALL SELECT issue_items::text FROM issue_items UNION ALL SELECT state FROM chats
        UNION ALL SELECT concat(id, title, kind, responsible_id, responsible_in_chat) FROM items WHERE kind = 'deal') AS parts";
    let before: String = hall.one(snapshot).await;
    let operation = crm.delete(team.boss, &[item]).await.unwrap();
    assert_eq!(
        team.effects().await,
        std::slice::from_ref(&settle),
        "nobody is told, the chat is closed"
    );
    let left: i64 = hall.one("SELECT (SELECT count(*) FROM observers) + (SELECT count(*) FROM item_links) + (SELECT count(*) FROM issue_items)").await;
    let state: String = hall.one("SELECT state FROM chats").await;
    assert_eq!((left, state.as_str()), (0, "closed"));
    let undone = crm.undo(team.boss, operation).await.unwrap();
    assert_eq!(undone.kept, [""; 0]);
    assert_eq!(hall.one::<String>(snapshot).await, before);
    assert!(team.effects().await.contains(&settle));
    // Archived, its chat is closed; used again, it is open.
    for (active, state) in [(false, "closed"), (true, "open")] {
        let patch = ItemPatch::Record(RecordPatch {
            active: Some(active),
            ..RecordPatch::default()
        });
        let operation = crm.update_item(team.boss, item, &patch, None).await;
        let operation = operation.unwrap().unwrap();
        assert_eq!(hall.one::<String>("SELECT state FROM chats").await, state);
        assert_eq!(team.effects().await, std::slice::from_ref(&settle));
        // Taken back, and done once more.
        let before = if active { "closed" } else { "open" };
        crm.undo(team.boss, operation).await.unwrap();
        assert_eq!(hall.one::<String>("SELECT state FROM chats").await, before);
        assert_eq!(team.effects().await, std::slice::from_ref(&settle));
        crm.update_item(team.boss, item, &patch, None)
            .await
            .unwrap();
        team.effects().await;
    }
}

#[tokio::test]
async fn merged_items_have_one_list_and_one_chat() {
    let team = Team::meet("bitrix24").await;
    let (hall, crm) = (&team.hall, &team.hall.crm);
    let loser = team
        .item(NewItem {
            responsible: Some(team.bob),
            observers: vec![team.ann],
            ..deal("Chairs, twice")
        })
        .await;
    let chat = crm.create_chat(team.boss, loser).await.unwrap();
    let winner = team.item(deal("Chairs")).await;
    team.effects().await;
    let operation = crm.merge(team.boss, winner, &[loser], &[]).await.unwrap();
    // The boss is created before Ann.
    let both = [(team.boss.person.0, true), (team.ann.0, true)];
    assert_eq!(team.observers(winner).await, both);
    let has: i64 = hall.one("SELECT item_id FROM chats").await;
    let responsible: i64 = hall
        .one(&format!(
            "SELECT responsible_id FROM items WHERE id = {winner}"
        ))
        .await;
    assert_eq!((has, responsible), (winner.0, team.bob.0));
    assert_eq!(team.effects().await, [format!("settle_chat {chat}")]);
    crm.undo(team.boss, operation).await.unwrap();
    assert_eq!(team.observers(winner).await, []);
    assert_eq!(team.observers(loser).await.len(), 2);
    assert_eq!(hall.one::<i64>("SELECT item_id FROM chats").await, loser.0);
}

#[tokio::test]
async fn a_lead_becomes_a_deal_with_all_that_belongs_to_it() {
    let team = Team::meet("bitrix24").await;
    let (hall, crm) = (&team.hall, &team.hall.crm);
    let ada = hall
        .contact(team.boss, team.tree.top, "ada@example.com")
        .await;
    let lead = NewItem {
        responsible: Some(team.bob),
        observers: vec![team.ann],
        links: vec![ada],
        ..NewItem::of(ItemForm::Record(RecordForm::titled(
            RecordKind::Lead,
            "Chairs?",
        )))
    };
    let lead = team.item(lead).await;
    crm.link(team.boss, lead, (LinkTo::Issue(team.tree.issue), true))
        .await
        .unwrap();
    let chat = crm.create_chat(team.boss, lead).await.unwrap();
    let conversion = Conversion {
        title: Some("Chairs".into()),
        amount: Some("120.5".parse().unwrap()),
        currency: Some("eur".into()),
    };
    let (deal, operation) = crm.convert(team.boss, lead, &conversion).await.unwrap();
    let shown: String = hall
        .one(&format!(
            "SELECT concat_ws(' ', kind, title, amount, currency, responsible_id, converted_from_id) FROM items WHERE id = {deal}"
        ))
        .await;
    assert_eq!(shown, format!("deal Chairs 120.50 EUR {} {lead}", team.bob));
    assert_eq!(team.observers(deal).await, team.observers(lead).await);
    let issues: i64 = hall
        .one(&format!(
            "SELECT count(*) FROM issue_items WHERE item_id IN ({deal}, {lead})"
        ))
        .await;
    let links: i64 = hall
        .one(&format!(
            "SELECT count(*) FROM item_links WHERE item_id = {deal}"
        ))
        .await;
    assert_eq!((issues, links), (2, 1));
    assert_eq!(hall.one::<i64>("SELECT item_id FROM chats").await, deal.0);
    let again = crm.convert(team.boss, lead, &conversion).await;
    assert_eq!(
        invalid(again),
        [format!("This lead was converted before: deal {deal}")]
    );
    crm.undo(team.boss, operation).await.unwrap();
    let left: String = hall.one(&format!("SELECT concat(state, (SELECT count(*) FROM items WHERE id = {deal})) FROM items WHERE id = {lead}")).await;
    assert_eq!(left, "active0");
    assert_eq!(hall.one::<i64>("SELECT item_id FROM chats").await, lead.0);
    assert!(chat.0 > 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let team = Team::meet("mattermost").await;
    let crm = &team.hall.crm;
    let estimate = NewItem::of(ItemForm::Record(RecordForm::titled(
        RecordKind::Estimate,
        "E",
    )));
    let refused = NewItem {
        observers: vec![team.ann],
        ..estimate.clone()
    };
    let refused = crm.create_item(team.boss, team.tree.top, &refused).await;
    assert_eq!(invalid(refused), ["Estimates have no observers"]);
    let estimate = team.item(estimate).await;
    assert_eq!(
        invalid(crm.create_chat(team.boss, estimate).await),
        ["Estimates have no observers"]
    );
    let report = crm
        .change_watchers(team.boss, &[estimate], &add(&[team.ann]), false)
        .await
        .unwrap();
    assert_eq!(
        report.refused.into_iter().collect::<Vec<_>>(),
        [("Estimates have no observers".to_owned(), 1)]
    );
    // Mattermost shows the whole past to whoever joins.
    let hide = WatchTask::Add {
        people: vec![team.ann],
        in_chat: true,
        history: Some(Hidden::Past),
    };
    let item = team.item(deal("Chairs")).await;
    let report = crm
        .change_watchers(team.boss, &[item], &hide, false)
        .await
        .unwrap();
    let reason = "This messenger cannot hide the history of a chat from one person";
    assert_eq!(
        report.refused.into_iter().collect::<Vec<_>>(),
        [(reason.to_owned(), 1)]
    );
    assert_eq!(team.observers(item).await, []);
    // Types of the root group's own.
    let ship = crm
        .create_item_type(team.boss, team.tree.top, " Ship ", false)
        .await
        .unwrap();
    let taken = crm
        .create_item_type(team.boss, team.tree.top, "SHIP", true)
        .await;
    assert_eq!(invalid(taken), ["Name has already been taken"]);
    let form = RecordForm {
        item_type: Some(ship),
        ..RecordForm::titled(RecordKind::Custom, "Ada")
    };
    let ada = team.item(NewItem::of(ItemForm::Record(form))).await;
    let report = crm
        .change_watchers(team.boss, &[ada], &add(&[team.ann]), false)
        .await
        .unwrap();
    assert_eq!(
        report.refused.into_iter().next().unwrap().0,
        "Items of this type have no observers"
    );
    crm.update_item_type(team.boss, ship, (None, Some(true)))
        .await
        .unwrap();
    let report = crm
        .change_watchers(team.boss, &[ada], &add(&[team.ann]), false)
        .await
        .unwrap();
    assert_eq!(report.changed, 1);
    assert_eq!(
        invalid(crm.delete_item_type(team.boss, ship).await),
        ["There are items of this type"]
    );
}

/// Makes so many deals at once, the first with a chat.
async fn many(team: &Team, count: i64) {
    team.hall
        .execute(&format!(
            "INSERT INTO items (root_id, group_id, kind, title, responsible_id, created_at, updated_at)
             SELECT {root}, {root}, 'deal', 'Deal ' || n, {bob}, now(), now() FROM generate_series(1, {count}) AS n",
            root = team.tree.root,
            bob = team.bob
        ))
        .await;
    team.hall
        .execute(&format!(
            "INSERT INTO chats (root_id, item_id, connection_id, history, state, created_at)
             SELECT root_id, id, (SELECT id FROM connections WHERE name = 'chat'), 'all', 'open', now() FROM items
             WHERE root_id = {} AND kind = 'deal' ORDER BY items.id LIMIT 3",
            team.tree.root
        ))
        .await;
}

fn all(task: WatchTask) -> BulkTask {
    let kinds = Some(vec!["deal".to_owned()]);
    BulkTask {
        task,
        items: Selection::Filter(ItemFilter {
            kinds,
            ..ItemFilter::default()
        }),
    }
}

fn pace(lease: Duration) -> Pace {
    Pace {
        lease,
        look: Duration::from_millis(50),
        bell: Arc::default(),
    }
}

async fn ended(team: &Team, id: BulkJobId) -> bulk_job::Job {
    let deadline = Instant::now() + PATIENCE * 3;
    loop {
        let job = team.hall.crm.bulk_job(team.boss, id).await.unwrap();
        if job.state != "running" {
            return job;
        }
        assert!(Instant::now() < deadline, "{job:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn many_items_are_changed_once_through_a_crash_and_taken_back_as_one() {
    let team = Team::meet("bitrix24").await;
    let crm = &team.hall.crm;
    many(&team, 5000).await;
    let task = all(add(&[team.ann, team.boss.person]));
    let foreseen = crm
        .foresee_bulk(team.boss, team.tree.top, &task)
        .await
        .unwrap();
    assert_eq!(
        (
            foreseen.total,
            foreseen.report.changed,
            foreseen.report.chats
        ),
        (5000, 5000, 3)
    );
    assert!(foreseen.messenger_takes > Duration::ZERO);
    assert_eq!(
        team.hall.one::<i64>("SELECT count(*) FROM observers").await,
        0
    );
    let id = crm
        .begin_bulk(team.boss, team.tree.top, &task)
        .await
        .unwrap();
    // The first worker took the job, did a page, and died with the lease.
    let lease = Duration::from_millis(300);
    let mut connection = team.hall.pool.acquire().await.unwrap();
    let taken = bulk_job::claim(&mut connection, lease)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((taken.id, taken.total), (id, 5000));
    assert!(
        bulk_job::claim(&mut connection, lease)
            .await
            .unwrap()
            .is_none(),
        "it is leased"
    );
    drop(connection);
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..2)
        .map(|_| spawn(crm.clone().work_bulk(pace(lease), stop.clone())))
        .collect();
    let job = ended(&team, id).await;
    stop.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(
        (
            job.state.as_str(),
            job.worked,
            job.changed,
            job.refused,
            job.chats
        ),
        ("done", 5000, 5000, 0, 3)
    );
    assert_eq!(
        team.hall.one::<i64>("SELECT count(*) FROM observers").await,
        10_000
    );
    let told: i64 = team
        .hall
        .one("SELECT count(*) FROM history WHERE action = 'observer_added'")
        .await;
    assert_eq!(told, 10_000, "each change once");
    // One message, though there are thousands of items; and nobody is told what he did himself.
    let effects = team.effects().await;
    let notices: Vec<_> = effects
        .iter()
        .filter(|effect| effect.starts_with("notify"))
        .collect();
    assert_eq!(notices, [&format!("notify {} observing 5000", team.ann)]);
    assert_eq!(effects.len(), 4, "and three chats: {effects:?}");
    let undone = crm.undo(team.boss, job.operation).await.unwrap();
    assert_eq!((undone.undone, undone.kept.len()), (10_000, 0));
    assert_eq!(
        team.hall.one::<i64>("SELECT count(*) FROM observers").await,
        0
    );
}

#[tokio::test]
async fn a_change_of_many_ends_where_it_is_stopped_or_the_right_is_lost() {
    let team = Team::meet("bitrix24").await;
    let (hall, crm) = (&team.hall, &team.hall.crm);
    many(&team, 10).await;
    let task = all(add(&[team.ann]));
    let refused = crm.begin_bulk(by(team.bob), team.tree.top, &task).await;
    denied(refused);
    let id = crm
        .begin_bulk(team.boss, team.tree.top, &task)
        .await
        .unwrap();
    let job = crm.bulk_job(team.boss, id).await.unwrap();
    let running = crm.undo(team.boss, job.operation).await;
    assert!(
        matches!(running, Err(CrmError::NotFound | CrmError::Invalid(_))),
        "{running:?}"
    );
    crm.stop_bulk(team.boss, id).await.unwrap();
    assert_eq!(ended(&team, id).await.state, "stopped");
    let guest = crm.bulk_job(by(team.ann), id).await;
    assert!(matches!(guest, Err(CrmError::NotFound)));
    let id = crm
        .begin_bulk(team.boss, team.tree.top, &task)
        .await
        .unwrap();
    hall.execute(&format!(
        "UPDATE memberships SET level = 20 WHERE person_id = {}",
        team.boss.person
    ))
    .await;
    let stop = CancellationToken::new();
    let worker = spawn(
        crm.clone()
            .work_bulk(pace(Duration::from_secs(5)), stop.clone()),
    );
    let job = ended(&team, id).await;
    stop.cancel();
    worker.await.unwrap();
    assert_eq!((job.state.as_str(), job.changed), ("failed", 0));
    assert_eq!(hall.one::<i64>("SELECT count(*) FROM observers").await, 0);
}

#[tokio::test]
async fn a_group_that_moves_takes_its_items_with_all_that_belongs_to_them() {
    let team = Team::meet("bitrix24").await;
    let (hall, crm) = (&team.hall, &team.hall.crm);
    let beta = hall.tree("beta").await;
    let ada = hall
        .contact(team.boss, team.tree.top, "ada@example.com")
        .await;
    let ship = crm
        .create_item_type(team.boss, team.tree.top, "Ship", true)
        .await
        .unwrap();
    let form = RecordForm {
        item_type: Some(ship),
        ..RecordForm::titled(RecordKind::Custom, "Ada")
    };
    let item = team
        .item(NewItem {
            responsible: Some(team.bob),
            observers: vec![team.ann],
            links: vec![ada],
            ..NewItem::of(ItemForm::Record(form))
        })
        .await;
    crm.create_chat(team.boss, item).await.unwrap();
    let mut tx = hall.pool.begin().await.unwrap();
    let mover = transfer::Mover {
        operation: OperationId(SystemClock::default().id()),
        actor: None,
        via: liaison::domain::Via::CommandLine,
        now: hall.clock.now(),
    };
    let what = transfer::GroupMove {
        root: team.tree.root,
        group: team.tree.top,
        parent: Some((beta.root, beta.top)),
        path: "beta/acme",
        remote_path: None,
    };
    let moved = transfer::group(&mut tx, &mover, &what).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        (moved.report.items.moved, moved.report.contacts.moved),
        (1, 1)
    );
    for table in ["items", "observers", "item_links", "chats", "item_types"] {
        let roots: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT DISTINCT root_id FROM {table} ORDER BY 1"
        )))
        .fetch_all(&hall.pool)
        .await
        .unwrap();
        assert!(roots.contains(&beta.root.0), "{table}: {roots:?}");
        assert!(
            table == "item_types" || roots == [beta.root.0],
            "{table}: {roots:?}"
        );
    }
    let shown: String = hall
        .one(&format!("SELECT concat_ws(' ', item_types.name, responsible_id) FROM items JOIN item_types ON item_types.root_id = items.root_id AND item_types.id = type_id WHERE items.id = {item}"))
        .await;
    assert_eq!(shown, format!("Ship {}", team.bob));
}

const CREATE: &str = r"
mutation($input: ItemCreateInput!) {
  itemCreate(input: $input) { errors item { id kind title amount currency responsible { username } observers { inChat showHistory person { username } } } }
}";

#[tokio::test]
async fn items_over_the_api_and_in_comments() {
    run(async |world| {
        // Both are met first, under the names that they have in the tracker.
        world.ask(world.demo.order, world.demo.rita, "@liaison contacts").await;
        world.ask(world.demo.order, world.demo.dan, "@liaison contacts").await;
        let (dan, rita) = (token_of(world, world.demo.dan).await, token_of(world, world.demo.rita).await);
        let group: i64 = sqlx::query_scalar("SELECT id FROM groups WHERE path = 'acme'").fetch_one(&world.pool).await.unwrap();
        let group = format!("gid://gitlab/Group/{group}");
        let name = async |user: u64| -> String {
            sqlx::query_scalar("SELECT people.username FROM people JOIN identities ON identities.person_id = people.id WHERE remote_id = $1")
                .bind(user.to_string())
                .fetch_one(&world.pool)
                .await
                .unwrap()
        };
        let (dan_name, rita_name) = (name(world.demo.dan).await, name(world.demo.rita).await);
        let input = json!({ "groupId": group, "kind": "DEAL", "title": "Chairs", "amount": "1200.5", "currency": "EUR", "observers": [rita_name] });
        let created = data(world, &dan, CREATE, json!({ "input": input })).await["itemCreate"].clone();
        assert_eq!(created["errors"], json!([]));
        let item = &created["item"];
        assert_eq!((&item["kind"], &item["amount"], &item["responsible"]["username"]), (&json!("DEAL"), &json!("1200.50"), &json!(dan_name)));
        assert_eq!(item["observers"], json!([{ "inChat": true, "showHistory": true, "person": { "username": rita_name } }]));
        let denied = ask(world, &rita, CREATE, json!({ "input": { "groupId": group, "kind": "LEAD", "title": "x" } })).await;
        assert_eq!(denied["errors"][0]["extensions"]["code"], "RESOURCE_NOT_AVAILABLE");
        let id = item["id"].as_str().unwrap().to_owned();
        let number = id.rsplit('/').next().unwrap().to_owned();
        // Commands, on the issue.
        let said = world.ask(world.demo.order, world.demo.dan, &format!("@liaison link_item [deal:{number}]")).await;
        assert!(said.contains(&format!("`[deal:{number}]` added to this issue")), "{said}");
        let said = world.ask(world.demo.order, world.demo.rita, "@liaison remove_observers @rita").await;
        assert!(said.contains("you have no right to do this"), "{said}");
        let said = world.ask(world.demo.order, world.demo.dan, "@liaison remove_observers @rita @nemo").await;
        assert!(said.contains("`@rita` removed · `@nemo`: nobody here is called so"), "{said}");
        let said = world.ask(world.demo.order, world.demo.dan, "@liaison undo").await;
        assert!(said.contains("1 change"), "{said}");
        let observers: i64 = world.count("observers").await;
        assert_eq!(observers, 1);
        let said = world.ask(world.demo.order, world.demo.gus, &format!("@liaison observers [deal:{number}]")).await;
        assert!(said.contains("not found") && !said.contains("rita"), "{said}");
        let said = world.ask(world.demo.order, world.demo.dan, &format!("@liaison responsible @rita [deal:{number}]\n@liaison create_chat")).await;
        assert!(said.contains("has another responsible now"), "{said}");
        assert!(said.contains("this group has no messenger"), "{said}");
        // Lists, the item, its history, and who sees it why.
        let query = r#"query($group: ID!, $id: ItemID!, $who: String!) {
          group(fullPath: $group) { items(kinds: [DEAL], search: "chair", responsible: $who, first: 5, sort: TITLE) { count nodes { id issues { nodes { iid } } } pageInfo { hasNextPage } } }
          item(id: $id) { mayChangeObservers history { nodes { action person { username } } } why(person: $who) { reads reasons } }
          currentUser { observedItems { nodes { title } } }
        }"#;
        let seen = data(world, &rita, query, json!({ "group": "acme", "id": id, "who": rita_name })).await;
        assert_eq!(seen["group"]["items"]["count"], 1, "{seen}");
        assert_eq!(seen["group"]["items"]["nodes"][0]["id"], json!(id));
        assert_eq!(seen["item"]["mayChangeObservers"], true, "she is responsible");
        assert_eq!(seen["item"]["why"]["reads"], true);
        assert_eq!(seen["item"]["why"]["reasons"].as_array().unwrap().len(), 3, "{seen}");
        assert_eq!(seen["currentUser"]["observedItems"]["nodes"], json!([{ "title": "Chairs" }]));
        let actions: Vec<_> = seen["item"]["history"]["nodes"].as_array().unwrap().iter().map(|node| node["action"].as_str().unwrap().to_owned()).collect();
        assert!(actions.contains(&"responsible_changed".to_owned()) && actions.contains(&"observer_removed".to_owned()), "{actions:?}");
        // All that match, worked by the service itself.
        let bulk = r"mutation($input: ItemAddObserversInput!) { itemAddObservers(input: $input) { errors changed refused { reason count } bulkJob { id state total } operationId } }";
        let filter = json!({ "groupId": group, "kinds": ["DEAL"] });
        let foreseen = data(world, &dan, bulk, json!({ "input": { "filter": filter, "people": [dan_name], "dryRun": true } })).await;
        assert_eq!((&foreseen["itemAddObservers"]["changed"], &foreseen["itemAddObservers"]["bulkJob"]), (&json!(0), &json!(null)), "he observes it since he handed it over: {foreseen}");
        let unknown = data(world, &dan, bulk, json!({ "input": { "filter": filter, "people": ["nemo"] } })).await;
        assert_eq!(unknown["itemAddObservers"]["errors"], json!(["Nobody here is called \"nemo\""]));
        let begun = data(world, &dan, bulk, json!({ "input": { "filter": filter, "people": [dan_name, rita_name] } })).await;
        let job = begun["itemAddObservers"]["bulkJob"]["id"].clone();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = data(world, &dan, "query($id: BulkJobID!) { bulkJob(id: $id) { state worked } }", json!({ "id": job })).await;
            if now["bulkJob"]["state"] == "done" {
                assert_eq!(now["bulkJob"]["worked"], 1);
                break;
            }
            assert!(Instant::now() < deadline, "{now}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
