//! The CRM by ids: rights, validation, deletion, merging and undo, and what happens when several people do it at the same time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use liaison::{
    connector::gitlab::Client,
    crm::{
        Asker, ContactNames, ContactOutcome, Crm, CrmError, GroupSettings, HistoryOf, HistoryPage,
        NamedContact, SetContacts,
    },
    domain::{
        Clock, ConnectionId, ContactForm, ContactPatch, GroupId, IssueId, ItemId, ManualClock,
        OperationId, OrganizationForm, OrganizationPatch, PersonId, RelationSource, RootId,
        SystemClock, Via,
    },
    egress::{Egress, Limits},
    rules::Right,
    sandbox::{Level as Role, Place},
};
use sqlx::{AssertSqlSafe, PgPool};

use crate::harness::{self, BOT_TOKEN, World, database, run, spawn};

const FRESH: Duration = Duration::from_mins(1);
const GONE: &str = "The resource that you are attempting to access does not exist or you don't have permission to perform this action";

/// A database with people and groups whose levels Liaison keeps itself; what trackers told of projects is given.
pub(crate) struct Hall {
    pub(crate) pool: PgPool,
    pub(crate) crm: Crm,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) tracker: i64,
}

/// A root group with a subgroup, a private project in it, and two issues.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    pub(crate) root: RootId,
    pub(crate) top: GroupId,
    sub: GroupId,
    project: i64,
    pub(crate) issue: IssueId,
    confidential: IssueId,
}

impl Hall {
    pub(crate) async fn open() -> Self {
        let pool = harness::pool(database().await);
        let clock = Arc::new(ManualClock::at(
            "2026-03-01T12:00:00Z".parse::<DateTime<Utc>>().unwrap(),
        ));
        let tracker = sqlx::query_scalar(
            "INSERT INTO connections (name, kind, url, bot_username, created_at)
             VALUES ('gitlab', 'gitlab', 'http://127.0.0.1:9', 'liaison', now()) RETURNING id",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        let crm = Crm {
            pool: pool.clone(),
            clock: clock.clone(),
            trackers: Arc::default(),
            level_fresh: FRESH,
            place_fresh: FRESH,
        };
        Self {
            pool,
            crm,
            clock,
            tracker,
        }
    }

    pub(crate) async fn tree(&self, path: &str) -> Tree {
        let top: i64 = sqlx::query_scalar(
            "WITH fresh AS (SELECT nextval('group_ids') AS id)
             INSERT INTO groups (root_id, id, path, name, contact_group_id, created_at) SELECT id, id, $1, $1, id, now() FROM fresh RETURNING id",
        )
        .bind(path)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        let root = RootId(top);
        let sub = self.subgroup(root, GroupId(top), path, "sub").await;
        let project = self.project(root, sub, &format!("{path}-desk")).await;
        let issue = self.issue(root, project, 1, false).await;
        let confidential = self.issue(root, project, 2, true).await;
        Tree {
            root,
            top: GroupId(top),
            sub,
            project,
            issue,
            confidential,
        }
    }

    async fn subgroup(&self, root: RootId, parent: GroupId, path: &str, name: &str) -> GroupId {
        let id = sqlx::query_scalar(
            "INSERT INTO groups (root_id, parent_id, path, name, contact_group_id, created_at)
             SELECT $1, $2, $3 || '/' || $4, $4, contact_group_id, now() FROM groups WHERE id = $2 RETURNING id",
        )
        .bind(root.0)
        .bind(parent.0)
        .bind(path)
        .bind(name)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        GroupId(id)
    }

    async fn project(&self, root: RootId, group: GroupId, remote: &str) -> i64 {
        sqlx::query_scalar(
            "INSERT INTO projects (root_id, group_id, connection_id, remote_id, path, visibility, checked_at)
             VALUES ($1, $2, $3, $4, $4, 'private', $5) RETURNING id",
        )
        .bind(root.0)
        .bind(group.0)
        .bind(self.tracker)
        .bind(remote)
        .bind(self.clock.now())
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    async fn issue(&self, root: RootId, project: i64, iid: i64, confidential: bool) -> IssueId {
        let id = sqlx::query_scalar(
            "INSERT INTO issues (root_id, project_id, remote_id, iid, title, state, confidential, author_remote_id, assignee_remote_ids, remote_updated_at)
             VALUES ($1, $2, $2 || '-' || $3, $3, 'Issue', 'opened', $4, 'nobody', '{}', now()) RETURNING id",
        )
        .bind(root.0)
        .bind(project)
        .bind(iid)
        .bind(confidential)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        IssueId(id)
    }

    /// A person with an account in the tracker.
    pub(crate) async fn person(&self, username: &str) -> PersonId {
        let id = sqlx::query_scalar(
            "WITH person AS (INSERT INTO people (username, name, created_at) VALUES ($1, $1, now()) RETURNING id)
             INSERT INTO identities (connection_id, remote_id, person_id, username) SELECT $2, $1, id, $1 FROM person RETURNING person_id",
        )
        .bind(username)
        .bind(self.tracker)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        PersonId(id)
    }

    pub(crate) async fn member(&self, root: RootId, group: GroupId, person: PersonId, level: i16) {
        if level == 0 {
            return;
        }
        sqlx::query(
            "INSERT INTO memberships (root_id, group_id, person_id, level) VALUES ($1, $2, $3, $4)",
        )
        .bind(root.0)
        .bind(group.0)
        .bind(person.0)
        .bind(level)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Says what the tracker told of somebody's level in the project of a tree.
    pub(crate) async fn in_project(&self, tree: Tree, person: PersonId, level: i16) {
        sqlx::query(
            "INSERT INTO access_levels (root_id, connection_id, remote_user_id, scope, remote_scope_id, level, checked_at)
             SELECT $1, $2, identities.remote_id, 'project', projects.remote_id, $5, $6
             FROM identities, projects WHERE identities.person_id = $3 AND projects.id = $4",
        )
        .bind(tree.root.0)
        .bind(self.tracker)
        .bind(person.0)
        .bind(tree.project)
        .bind(level)
        .bind(self.clock.now())
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Somebody who may do everything in a tree.
    pub(crate) async fn owner(&self, tree: Tree) -> Asker {
        let person = self.person(&format!("owner{}", tree.root)).await;
        self.member(tree.root, tree.top, person, 50).await;
        self.in_project(tree, person, 50).await;
        by(person)
    }

    pub(crate) async fn contact(&self, asker: Asker, group: GroupId, email: &str) -> ItemId {
        let form = form("Ann", "Lee", Some(email));
        self.crm.create_contact(asker, group, &form).await.unwrap()
    }

    pub(crate) async fn organization(&self, asker: Asker, group: GroupId, name: &str) -> ItemId {
        let form = OrganizationForm {
            name: name.into(),
            ..OrganizationForm::default()
        };
        self.crm
            .create_organization(asker, group, &form)
            .await
            .unwrap()
    }

    async fn related(&self, issue: IssueId) -> Vec<i64> {
        sqlx::query_scalar("SELECT item_id FROM issue_items WHERE issue_id = $1 ORDER BY item_id")
            .bind(issue.0)
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    pub(crate) async fn one<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// The operation of the newest row of the history.
    pub(crate) async fn last_operation(&self) -> OperationId {
        OperationId(
            self.one("SELECT operation FROM history ORDER BY id DESC LIMIT 1")
                .await,
        )
    }
}

pub(crate) fn by(person: PersonId) -> Asker {
    Asker {
        person,
        via: Via::GraphQl,
    }
}

fn form(first: &str, last: &str, email: Option<&str>) -> ContactForm {
    ContactForm {
        first_name: first.into(),
        last_name: last.into(),
        email: email.map(str::to_owned),
        ..ContactForm::default()
    }
}

fn ids(items: &[ItemId]) -> ContactNames {
    ContactNames {
        ids: items.to_vec(),
        emails: Vec::new(),
    }
}

pub(crate) fn invalid<T: std::fmt::Debug>(result: Result<T, CrmError>) -> Vec<String> {
    match result {
        Err(CrmError::Invalid(reasons)) => reasons,
        other => panic!("not invalid: {other:?}"),
    }
}

pub(crate) fn denied<T: std::fmt::Debug>(result: Result<T, CrmError>) -> String {
    match result {
        Err(CrmError::Denied(sentence)) => sentence,
        other => panic!("not denied: {other:?}"),
    }
}

const ROLES: [(&str, i16); 7] = [
    ("nobody", 0),
    ("Guest", 10),
    ("Planner", 15),
    ("Reporter", 20),
    ("Developer", 30),
    ("Maintainer", 40),
    ("Owner", 50),
];

const OPERATIONS: [&str; 7] = [
    "view",
    "relate",
    "create",
    "edit",
    "delete",
    "merge",
    "configure",
];

/// From which role on something is done, and from which on it is refused with a reason; before that, there is no such thing. `-` is "never".
const RIGHTS: &[(&str, [&str; 7])] = &[
    // situation, then view, relate, create, edit, delete, merge, configure
    (
        "member of the root group",
        [
            "Planner -",
            "Planner Guest",
            "Developer Planner",
            "Developer Planner",
            "Maintainer Planner",
            "Maintainer Planner",
            "Maintainer Guest",
        ],
    ),
    (
        "confidential issue",
        [
            "Planner -",
            "Planner -",
            "Developer Planner",
            "Developer Planner",
            "Maintainer Planner",
            "Maintainer Planner",
            "Maintainer Guest",
        ],
    ),
    (
        "member of the subgroup",
        ["- -", "- Guest", "- -", "- -", "- -", "- -", "- -"],
    ),
    (
        "member of the project",
        ["- -", "- Guest", "- -", "- -", "- -", "- -", "- -"],
    ),
    (
        "CRM off in the root group",
        [
            "- -",
            "- Guest",
            "- -",
            "- -",
            "- -",
            "- -",
            "Maintainer Guest",
        ],
    ),
    (
        "CRM off in the subgroup",
        [
            "Planner -",
            "- Guest",
            "Developer Planner",
            "Developer Planner",
            "Maintainer Planner",
            "Maintainer Planner",
            "Maintainer Guest",
        ],
    ),
    (
        "member of another root group",
        ["- -", "- -", "- -", "- -", "- -", "- -", "- -"],
    ),
    (
        "deactivated person",
        ["- -", "- -", "- -", "- -", "- -", "- -", "- -"],
    ),
    (
        "expired membership",
        ["- -", "- -", "- -", "- -", "- -", "- -", "- -"],
    ),
];

fn expected(cell: &str, level: i16) -> &'static str {
    let reaches = |word: &str| {
        ROLES
            .iter()
            .any(|(name, from)| *name == word && level >= *from)
    };
    let (done, told) = cell.split_once(' ').unwrap();
    if reaches(done) {
        "done"
    } else if reaches(told) {
        "denied"
    } else {
        "not found"
    }
}

/// A person of a role in a situation, and the tree and issue that the situation is about.
async fn cast(
    hall: &Hall,
    trees: [Tree; 4],
    situation: &str,
    (role, level): (&str, i16),
) -> (PersonId, Tree, IssueId) {
    let [plain, root_off, sub_off, other] = trees;
    let person = hall.person(&format!("{role} {situation}")).await;
    let tree = match situation {
        "CRM off in the root group" => root_off,
        "CRM off in the subgroup" => sub_off,
        _ => plain,
    };
    let (mut in_project, mut issue) = (level, tree.issue);
    match situation {
        "member of the subgroup" => hall.member(tree.root, tree.sub, person, level).await,
        "member of the project" => {}
        "member of another root group" => {
            hall.member(other.root, other.top, person, level).await;
            hall.in_project(other, person, level).await;
            in_project = 0;
        }
        "expired membership" => {
            hall.member(tree.root, tree.top, person, level).await;
            hall.execute(&format!(
                "UPDATE memberships SET expires_at = '2026-03-01T12:00:00Z' WHERE person_id = {person}"
            ))
            .await;
            in_project = 0;
        }
        _ => hall.member(tree.root, tree.top, person, level).await,
    }
    if situation == "deactivated person" {
        hall.execute(&format!(
            "UPDATE people SET active = false WHERE id = {person}"
        ))
        .await;
    }
    if situation == "confidential issue" {
        issue = tree.confidential;
    }
    hall.in_project(tree, person, in_project).await;
    (person, tree, issue)
}

/// Tries an operation on contacts that are there for it alone; says what came of it.
async fn attempt(
    hall: &Hall,
    operation: &str,
    (person, tree, issue): (PersonId, Tree, IssueId),
) -> String {
    let asker = by(person);
    let contact = async || {
        let id: i64 = hall
            .one(&format!(
                "INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, created_at, updated_at)
                 VALUES ({0}, {0}, 'contact', 'A B', 'A', 'B', now(), now()) RETURNING id",
                tree.root
            ))
            .await;
        ItemId(id)
    };
    let page = HistoryPage {
        before: None,
        limit: 1,
    };
    let came = match operation {
        "view" => {
            let seen = hall.crm.history(asker, HistoryOf::Group(tree.top), page);
            let allows = hall
                .crm
                .group_access(person, tree.root, tree.top)
                .await
                .unwrap()
                .allows(Right::ViewContacts);
            let seen = seen.await.map(drop);
            assert_eq!(seen.is_ok(), allows);
            seen
        }
        "relate" => {
            let wanted = SetContacts::append(ids(&[contact().await]));
            let set = hall.crm.set_issue_contacts(asker, issue, &wanted).await;
            set.map(drop)
        }
        "create" => {
            let form = form("New", "Comer", None);
            let created = hall.crm.create_contact(asker, tree.top, &form).await;
            created.map(drop)
        }
        "edit" => {
            let patch = ContactPatch {
                active: Some(false),
                ..ContactPatch::default()
            };
            hall.crm
                .update_contact(asker, contact().await, &patch, None)
                .await
                .map(drop)
        }
        "delete" => hall.crm.delete(asker, &[contact().await]).await.map(drop),
        "merge" => {
            let (survivor, loser) = (contact().await, contact().await);
            let merged = hall.crm.merge(asker, survivor, &[loser], &[]).await;
            merged.map(drop)
        }
        "configure" => {
            let settings = GroupSettings {
                automatic_relations: Some(Some(vec![RelationSource::Author])),
                ..GroupSettings::default()
            };
            let set = hall.crm.set_group(asker, tree.top, settings).await;
            set.map(drop)
        }
        other => panic!("{other}"),
    };
    match came {
        Ok(()) => "done".into(),
        Err(CrmError::Denied(_)) => "denied".into(),
        Err(CrmError::NotFound) => "not found".into(),
        Err(other) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_learns_no_more() {
    let hall = Hall::open().await;
    let trees = [
        hall.tree("plain").await,
        hall.tree("off").await,
        hall.tree("below").await,
        hall.tree("other").await,
    ];
    hall.execute("UPDATE groups SET crm_enabled = false WHERE path IN ('off', 'below/sub')")
        .await;
    let mut wrong = Vec::new();
    for (situation, cells) in RIGHTS {
        for role in ROLES {
            let who = cast(&hall, trees, situation, role).await;
            for (operation, cell) in OPERATIONS.iter().zip(cells) {
                let came = attempt(&hall, operation, who).await;
                let expected = expected(cell, role.1);
                if came != expected {
                    wrong.push(format!(
                        "{situation}, {}: {operation} is {came}, not {expected}",
                        role.0
                    ));
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    hall.pool.close().await;
}

#[tokio::test]
async fn contacts_and_organizations_are_checked_as_gitlab_does_and_named_all_at_once() {
    let hall = Hall::open().await;
    let (tree, other) = (hall.tree("acme").await, hall.tree("other").await);
    let (owner, stranger) = (hall.owner(tree).await, hall.owner(other).await);
    let crm = &hall.crm;
    let foreign = hall.organization(stranger, other.top, "Elsewhere").await;
    let acme = hall.organization(owner, tree.top, " Acme Corp ").await;
    let full = ContactForm {
        first_name: " Ada ".into(),
        last_name: "Byron".into(),
        email: Some(" Ada@Example.com ".into()),
        phone: Some(String::new()),
        description: Some("Likes numbers".into()),
        organization: Some(acme),
    };
    let ada = crm.create_contact(owner, tree.top, &full).await.unwrap();
    let row: String = hall
        .one(&format!(
            "SELECT concat_ws('|', title, first_name, last_name, email, coalesce(phone, 'none'), description, organization_id = {acme}, state) FROM items WHERE id = {ada}"
        ))
        .await;
    assert_eq!(
        row,
        "Ada Byron|Ada|Byron|Ada@Example.com|none|Likes numbers|t|active"
    );

    let bad = ContactForm {
        first_name: String::new(),
        email: Some("ADA@example.com".into()),
        organization: Some(foreign),
        ..full.clone()
    };
    assert_eq!(
        invalid(crm.create_contact(owner, tree.top, &bad).await),
        [
            "The specified organization was not found or does not belong to this group",
            "First name can't be blank",
            "Email has already been taken",
        ]
    );
    assert_eq!(
        invalid(
            crm.create_contact(owner, tree.sub, &form("A", "B", None))
                .await
        ),
        ["contacts can only be added to root groups and groups configured as CRM targets"]
    );
    let twin = OrganizationForm {
        name: "ACME corp".into(),
        default_rate: Some("12.345".parse().unwrap()),
        description: None,
    };
    assert_eq!(
        invalid(crm.create_organization(owner, tree.top, &twin).await),
        ["Name has already been taken"]
    );
    // The same name and address are free in another group.
    let elsewhere = ContactForm {
        organization: None,
        ..full.clone()
    };
    crm.create_contact(stranger, other.top, &elsewhere)
        .await
        .unwrap();

    let rate = OrganizationPatch {
        default_rate: Some(Some("12.345".parse().unwrap())),
        active: Some(false),
        ..OrganizationPatch::default()
    };
    crm.update_organization(owner, acme, &rate, None)
        .await
        .unwrap();
    let row: String = hall
        .one(&format!(
            "SELECT concat_ws('|', title, default_rate, state) FROM items WHERE id = {acme}"
        ))
        .await;
    assert_eq!(row, "Acme Corp|12.35|inactive");
    // A contact is no organization, whatever is asked for.
    let missing = crm.update_organization(owner, ada, &rate, None).await;
    assert!(matches!(missing, Err(CrmError::NotFound)), "{missing:?}");
    let missing = crm
        .update_contact(stranger, ada, &ContactPatch::default(), None)
        .await;
    assert!(matches!(missing, Err(CrmError::NotFound)), "{missing:?}");
    // His own address is not taken by himself, and what does not change is not written.
    let rows: i64 = hall.one("SELECT count(*) FROM history").await;
    let same = ContactPatch {
        email: Some(Some("Ada@Example.com".into())),
        ..ContactPatch::default()
    };
    crm.update_contact(owner, ada, &same, None).await.unwrap();
    assert_eq!(hall.one::<i64>("SELECT count(*) FROM history").await, rows);
    let clear = ContactPatch {
        email: Some(None),
        organization: Some(None),
        ..ContactPatch::default()
    };
    crm.update_contact(owner, ada, &clear, None).await.unwrap();
    let detail: serde_json::Value = hall
        .one("SELECT detail FROM history ORDER BY id DESC LIMIT 1")
        .await;
    assert_eq!(
        detail,
        serde_json::json!({
            "before": { "email": "Ada@Example.com", "organization": acme },
            "after": { "email": null, "organization": null },
        })
    );
    hall.pool.close().await;
}

#[tokio::test]
async fn a_confidential_issue_is_read_by_its_author_and_assignees_whatever_their_level() {
    let hall = Hall::open().await;
    let tree = hall.tree("acme").await;
    hall.execute(&format!(
        "UPDATE issues SET author_remote_id = 'anna', assignee_remote_ids = '{{alan}}' WHERE id = {}",
        tree.confidential
    ))
    .await;
    for (name, readable) in [("anna", true), ("alan", true), ("gus", false)] {
        let person = hall.person(name).await;
        hall.in_project(tree, person, 10).await;
        let access = hall
            .crm
            .issue_access(person, tree.root, tree.confidential)
            .await
            .unwrap();
        assert_eq!(access.issue_readable, readable, "{name}");
        assert!(!access.allows(Right::ViewIssueContacts), "{name}");
    }
    let nobody = hall
        .crm
        .issue_access(PersonId(999), tree.root, tree.issue)
        .await;
    assert!(matches!(nobody, Err(CrmError::NotFound)), "{nobody:?}");
    hall.pool.close().await;
}

#[tokio::test]
async fn of_two_who_take_an_address_at_the_same_time_one_is_told() {
    let hall = Hall::open().await;
    let tree = hall.tree("acme").await;
    let owner = hall.owner(tree).await;
    let creations = (0..4).map(|number| {
        let crm = hall.crm.clone();
        let form = form("Ann", &format!("Lee{number}"), Some("ann@example.com"));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        spawn(async move {
            let _ = sender.send(crm.create_contact(owner, tree.top, &form).await);
        });
        receiver
    });
    let results: Vec<_> = futures_util::future::join_all(creations.collect::<Vec<_>>())
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let (created, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((created.len(), refused.len()), (1, 3));
    for result in refused {
        assert_eq!(invalid(result), ["Email has already been taken"]);
    }
    hall.pool.close().await;
}

#[tokio::test]
async fn an_issues_contacts_are_set_all_or_none() {
    let hall = Hall::open().await;
    let tree = hall.tree("acme").await;
    let owner = hall.owner(tree).await;
    let crm = &hall.crm;
    let mut contacts = Vec::new();
    for name in ["a", "b", "c"] {
        let email = format!("{name}@example.com");
        contacts.push(hall.contact(owner, tree.top, &email).await);
    }
    let (a, b, c) = (contacts[0], contacts[1], contacts[2]);
    let set = async |wanted: SetContacts| crm.set_issue_contacts(owner, tree.issue, &wanted).await;

    let mut names = ids(&[a]);
    names.emails = vec!["B@example.com".into(), "nobody@example.com".into()];
    let report = set(SetContacts::append(names)).await.unwrap();
    assert_eq!(
        report.outcomes,
        [
            (NamedContact::Id(a), ContactOutcome::Added),
            (
                NamedContact::Email("B@example.com".into()),
                ContactOutcome::Added
            ),
            (
                NamedContact::Email("nobody@example.com".into()),
                ContactOutcome::UnknownEmail
            ),
        ]
    );
    assert_eq!(hall.related(tree.issue).await, [a.0, b.0]);
    let first = report.operation.unwrap();

    // One that does not exist, one that is archived, one of another root group: nothing is saved, each is named.
    let other = hall.tree("other").await;
    let stranger = hall.owner(other).await;
    let foreign = hall.contact(stranger, other.top, "f@example.com").await;
    let archive = ContactPatch {
        active: Some(false),
        ..ContactPatch::default()
    };
    let d = hall.contact(owner, tree.top, "d@example.com").await;
    crm.update_contact(owner, d, &archive, None).await.unwrap();
    let refused = set(SetContacts::append(ids(&[c, d, foreign, ItemId(999)]))).await;
    assert_eq!(
        invalid(refused),
        [
            format!("{d}: The contact is inactive, so it cannot be added"),
            format!("{foreign}: {GONE}"),
            format!("999: {GONE}"),
        ]
    );
    assert_eq!(hall.related(tree.issue).await, [a.0, b.0]);

    // Archived ones that are there stay through a replacement that names them.
    crm.update_contact(owner, a, &archive, None).await.unwrap();
    set(SetContacts::Replace(ids(&[a, c]))).await.unwrap();
    assert_eq!(hall.related(tree.issue).await, [a.0, c.0]);
    let both = SetContacts::Change {
        add: ids(&[b, c]),
        remove: ids(&[b, c, a]),
    };
    set(both).await.unwrap();
    assert_eq!(hall.related(tree.issue).await, [b.0, c.0]);
    let nothing = set(SetContacts::remove(ids(&[a, ItemId(999)])))
        .await
        .unwrap();
    assert_eq!(nothing.operation, None);
    set(SetContacts::Replace(ContactNames::default()))
        .await
        .unwrap();
    assert_eq!(hall.related(tree.issue).await, [0; 0]);

    // The first call added two, who are gone by now.
    let reasons = invalid(crm.undo(owner, first).await);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    let cleared = hall.last_operation().await;
    assert_eq!(crm.undo(owner, cleared).await.unwrap().undone, 2);
    assert_eq!(hall.related(tree.issue).await, [b.0, c.0]);
    hall.pool.close().await;
}

#[tokio::test]
async fn what_was_deleted_comes_back_with_its_relations() {
    let hall = Hall::open().await;
    let tree = hall.tree("acme").await;
    let owner = hall.owner(tree).await;
    let crm = &hall.crm;
    let acme = hall.organization(owner, tree.top, "Acme").await;
    let ada = hall.contact(owner, tree.top, "ada@example.com").await;
    let eve = hall.contact(owner, tree.top, "eve@example.com").await;
    let of_acme = ContactPatch {
        organization: Some(Some(acme)),
        ..ContactPatch::default()
    };
    for contact in [ada, eve] {
        crm.update_contact(owner, contact, &of_acme, None)
            .await
            .unwrap();
        for issue in [tree.issue, tree.confidential] {
            let wanted = SetContacts::append(ids(&[contact]));
            crm.set_issue_contacts(owner, issue, &wanted).await.unwrap();
        }
    }
    let before: String = hall.one("SELECT string_agg(items::text, ';' ORDER BY id) FROM (SELECT id, title, email, organization_id, created_at FROM items) AS items").await;

    // One that does not exist stops the deletion.
    let missing = crm.delete(owner, &[ada, ItemId(999)]).await;
    assert!(matches!(missing, Err(CrmError::NotFound)), "{missing:?}");
    let operation = crm.delete(owner, &[acme, ada]).await.unwrap();
    assert_eq!(hall.related(tree.issue).await, [eve.0]);
    let left: i64 = hall
        .one("SELECT count(*) FROM items WHERE organization_id IS NULL")
        .await;
    assert_eq!(left, 1, "only Eve is left, without her organization");
    // The history of what is gone can still be read.
    let page = HistoryPage {
        before: None,
        limit: 100,
    };
    let told = crm
        .history(owner, HistoryOf::Item(ada), page)
        .await
        .unwrap();
    assert!(
        told.iter().any(|entry| entry.action == "item_deleted"),
        "{told:?}"
    );

    // Meanwhile one of the issues goes.
    hall.execute(&format!(
        "DELETE FROM issues WHERE id = {}",
        tree.confidential
    ))
    .await;
    let report = crm.undo(owner, operation).await.unwrap();
    assert_eq!(
        report.kept,
        [format!(
            "{ada}: the issue is gone or keeps its contacts in another group"
        )]
    );
    let after: String = hall.one("SELECT string_agg(items::text, ';' ORDER BY id) FROM (SELECT id, title, email, organization_id, created_at FROM items) AS items").await;
    assert_eq!(after, before);
    assert_eq!(hall.related(tree.issue).await, [ada.0, eve.0]);
    assert_eq!(
        invalid(crm.undo(owner, operation).await),
        ["This has been taken back already"]
    );
    assert_eq!(
        invalid(crm.undo(owner, report.operation).await),
        ["What took something back cannot be taken back itself"]
    );

    // An address that somebody else has by now does not come back.
    let again = crm.delete(owner, &[ada]).await.unwrap();
    hall.contact(owner, tree.top, "ADA@example.com").await;
    let reasons = invalid(crm.undo(owner, again).await);
    assert_eq!(
        reasons.first().unwrap(),
        &format!("{ada}: its email or name has been taken by another one")
    );
    hall.pool.close().await;
}

#[tokio::test]
async fn a_merge_unites_and_is_split_again() {
    let hall = Hall::open().await;
    let tree = hall.tree("acme").await;
    let owner = hall.owner(tree).await;
    let crm = &hall.crm;
    let [old, new] = [
        hall.organization(owner, tree.top, "Old").await,
        hall.organization(owner, tree.top, "New").await,
    ];
    let survivor = crm
        .create_contact(owner, tree.top, &form("Ann", "Lee", None))
        .await
        .unwrap();
    let mut rich = form("Anna", "Lee", Some("ann@example.com"));
    rich.phone = Some("1".into());
    rich.organization = Some(old);
    let loser = crm.create_contact(owner, tree.top, &rich).await.unwrap();
    for (issue, contacts) in [
        (tree.issue, vec![survivor, loser]),
        (tree.confidential, vec![loser]),
    ] {
        let wanted = SetContacts::append(ids(&contacts));
        crm.set_issue_contacts(owner, issue, &wanted).await.unwrap();
    }
    let world = "SELECT concat((SELECT string_agg(items::text, ';' ORDER BY id) FROM (SELECT id, title, email, phone, organization_id FROM items) AS items),
                               (SELECT string_agg(issue_id || '-' || item_id, ';' ORDER BY issue_id, item_id) FROM issue_items))";
    let before: String = hall.one(world).await;

    let merge = crm.merge(owner, survivor, &[loser], &[]).await.unwrap();
    assert_eq!(hall.related(tree.issue).await, [survivor.0]);
    assert_eq!(hall.related(tree.confidential).await, [survivor.0]);
    let row: String = hall
        .one(&format!(
            "SELECT concat_ws('|', title, email, phone, organization_id = {old}) FROM items WHERE id = {survivor}"
        ))
        .await;
    assert_eq!(row, "Ann Lee|ann@example.com|1|t");
    // His history is theirs, too.
    let page = HistoryPage {
        before: None,
        limit: 100,
    };
    let told = crm
        .history(owner, HistoryOf::Item(survivor), page)
        .await
        .unwrap();
    let created = told
        .iter()
        .filter(|entry| entry.action == "item_created")
        .map(|entry| entry.item);
    assert_eq!(
        created.collect::<Vec<_>>(),
        [Some(loser), Some(survivor)],
        "newest first"
    );
    // Page by page it is the same.
    let mut paged = Vec::new();
    let mut before_id = None;
    loop {
        let page = HistoryPage {
            before: before_id,
            limit: 2,
        };
        let part = crm
            .history(owner, HistoryOf::Item(survivor), page)
            .await
            .unwrap();
        let Some(last) = part.last() else { break };
        before_id = Some(last.id);
        paged.extend(part);
    }
    assert_eq!(paged, told);

    // Organizations: their contacts go over.
    let united = crm.merge(owner, new, &[old], &[]).await.unwrap();
    let of_new: i64 = hall
        .one(&format!(
            "SELECT count(*) FROM items WHERE organization_id = {new}"
        ))
        .await;
    assert_eq!(of_new, 1);
    assert_eq!(
        invalid(crm.merge(owner, new, &[survivor], &[]).await),
        ["Items of different kinds cannot be merged with each other"]
    );
    assert_eq!(crm.undo(owner, united).await.unwrap().kept, [""; 0]);
    assert_eq!(crm.undo(owner, merge).await.unwrap().kept, [""; 0]);
    let after: String = hall.one(world).await;
    assert_eq!(after, before);
    hall.pool.close().await;
}

#[tokio::test]
async fn fields_go_back_where_nobody_changed_them_since() {
    let hall = Hall::open().await;
    let tree = hall.tree("acme").await;
    let owner = hall.owner(tree).await;
    let crm = &hall.crm;
    let ada = hall.contact(owner, tree.top, "ada@example.com").await;
    let created = hall.last_operation().await;
    let patch = ContactPatch {
        last_name: Some("Byron".into()),
        email: Some(Some("byron@example.com".into())),
        phone: Some(Some("1".into())),
        ..ContactPatch::default()
    };
    crm.update_contact(owner, ada, &patch, None).await.unwrap();
    let edited = hall.last_operation().await;
    let later = ContactPatch {
        phone: Some(Some("2".into())),
        ..ContactPatch::default()
    };
    crm.update_contact(owner, ada, &later, None).await.unwrap();
    let report = crm.undo(owner, edited).await.unwrap();
    assert_eq!(report.kept, [format!("{ada}: the phone was changed since")]);
    let row: String = hall
        .one(&format!(
            "SELECT concat_ws('|', title, email, phone) FROM items WHERE id = {ada}"
        ))
        .await;
    assert_eq!(row, "Ann Lee|ada@example.com|2");
    // Who was changed since is not deleted by taking his creation back; who was not is.
    assert_eq!(
        invalid(crm.undo(owner, created).await),
        [format!("{ada}: it was used or changed since")]
    );
    let eve = hall.contact(owner, tree.top, "eve@example.com").await;
    let created = hall.last_operation().await;
    let planner = hall.person("paula").await;
    hall.member(tree.root, tree.top, planner, 15).await;
    assert_eq!(
        denied(crm.undo(by(planner), created).await),
        "You have insufficient permissions to undo this for this group"
    );
    let stranger = hall.person("sam").await;
    let hidden = crm.undo(by(stranger), created).await;
    assert!(matches!(hidden, Err(CrmError::NotFound)), "{hidden:?}");
    crm.undo(owner, created).await.unwrap();
    let left: i64 = hall
        .one(&format!("SELECT count(*) FROM items WHERE id = {eve}"))
        .await;
    assert_eq!(left, 0);
    hall.pool.close().await;
}

#[tokio::test]
async fn merges_and_relations_that_race_lose_nothing() {
    let hall = Hall::open().await;
    let tree = hall.tree("acme").await;
    let owner = hall.owner(tree).await;
    for round in 0..10 {
        let a = hall
            .contact(owner, tree.top, &format!("a{round}@example.com"))
            .await;
        let b = hall
            .contact(owner, tree.top, &format!("b{round}@example.com"))
            .await;
        let issue = hall
            .issue(tree.root, tree.project, 100 + round, false)
            .await;
        let merge = |survivor, loser| {
            let crm = hall.crm.clone();
            async move { crm.merge(owner, survivor, &[loser], &[]).await.is_ok() }
        };
        let relate = {
            let crm = hall.crm.clone();
            let wanted = SetContacts::append(ids(&[a]));
            async move { crm.set_issue_contacts(owner, issue, &wanted).await.is_ok() }
        };
        let (ab, ba, related) = (at_once(merge(a, b)), at_once(merge(b, a)), at_once(relate));
        let (ab, ba, related) = (ab.await.unwrap(), ba.await.unwrap(), related.await.unwrap());
        assert!(ab ^ ba, "one of the merges finds the other contact gone");
        let survivor = if ab { a } else { b };
        let left: Vec<i64> = sqlx::query_scalar("SELECT id FROM items WHERE id IN ($1, $2)")
            .bind(a.0)
            .bind(b.0)
            .fetch_all(&hall.pool)
            .await
            .unwrap();
        assert_eq!(left, [survivor.0]);
        let expected = if related { vec![survivor.0] } else { vec![] };
        assert_eq!(
            hall.related(issue).await,
            expected,
            "a relation that was made is the survivor's"
        );
    }
    hall.pool.close().await;
}

fn at_once<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::sync::oneshot::Receiver<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    spawn(async move {
        let _ = sender.send(work.await);
    });
    receiver
}

#[tokio::test]
async fn a_contact_source_is_followed_by_all_groups_below_that_name_none() {
    let hall = Hall::open().await;
    let (tree, other) = (hall.tree("acme").await, hall.tree("other").await);
    let owner = hall.owner(tree).await;
    let crm = &hall.crm;
    let source = hall.subgroup(tree.root, tree.top, "acme", "contacts").await;
    let below = hall
        .subgroup(tree.root, tree.sub, "acme/sub", "below")
        .await;
    let own = hall.subgroup(tree.root, tree.sub, "acme/sub", "own").await;
    let ada = hall.contact(owner, tree.top, "ada@example.com").await;
    for issue in [tree.issue, tree.confidential] {
        let wanted = SetContacts::append(ids(&[ada]));
        crm.set_issue_contacts(owner, issue, &wanted).await.unwrap();
    }
    let keep = GroupSettings {
        contact_source: Some(Some(own)),
        ..GroupSettings::default()
    };
    crm.set_group(owner, own, keep).await.unwrap();
    let settings = |group| GroupSettings {
        contact_source: Some(Some(group)),
        ..GroupSettings::default()
    };
    assert_eq!(
        invalid(crm.set_group(owner, tree.sub, settings(other.top)).await),
        ["Contact source must be a group of the same root group with CRM enabled"]
    );

    let preview = crm
        .preview_group(owner, tree.sub, settings(source))
        .await
        .unwrap();
    assert_eq!((preview.groups_affected, preview.relations_removed), (2, 2));
    assert_eq!(hall.related(tree.issue).await, [ada.0], "only looked");
    let done = crm
        .set_group(owner, tree.sub, settings(source))
        .await
        .unwrap();
    assert_eq!((done.groups_affected, done.relations_removed), (2, 2));
    assert_eq!(hall.related(tree.issue).await, [0; 0]);
    let holder = async |group: GroupId| {
        hall.one::<i64>(&format!(
            "SELECT contact_group_id FROM groups WHERE id = {group}"
        ))
        .await
    };
    assert_eq!(holder(tree.sub).await, source.0);
    assert_eq!(holder(below).await, source.0);
    assert_eq!(holder(own).await, own.0);
    // The source takes contacts now, and the issue those of the source alone.
    let eve = hall.contact(owner, source, "eve@example.com").await;
    let refused = crm
        .set_issue_contacts(owner, tree.issue, &SetContacts::append(ids(&[eve, ada])))
        .await;
    assert_eq!(
        invalid(refused),
        [format!(
            "{ada}: The contact does not belong to the issue group's CRM source group"
        )]
    );
    let wanted = SetContacts::append(ids(&[eve]));
    crm.set_issue_contacts(owner, tree.issue, &wanted)
        .await
        .unwrap();
    let back = GroupSettings {
        contact_source: Some(None),
        ..GroupSettings::default()
    };
    let report = crm.set_group(owner, tree.sub, back).await.unwrap();
    assert_eq!((report.groups_affected, report.relations_removed), (2, 1));
    assert_eq!(holder(below).await, tree.top.0);
    assert_eq!(
        invalid(crm.undo(owner, report.operation.unwrap()).await),
        ["Settings of a group are taken back by setting them again"]
    );
    hall.pool.close().await;
}

/// The CRM beside a running service, asking its tracker.
fn beside(world: &World) -> (Crm, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock::default().now()));
    let url = world.config.connection[0].url.clone();
    let egress = Arc::new(Egress::new([&url], Limits::default()).unwrap());
    let client = Client::new(egress, url, BOT_TOKEN.into(), clock.clone());
    let crm = Crm {
        pool: world.pool.clone(),
        clock: clock.clone(),
        // The only connection of the configuration.
        trackers: Arc::new(HashMap::from([(ConnectionId(1), client)])),
        level_fresh: FRESH,
        place_fresh: FRESH,
    };
    (crm, clock)
}

async fn acme(world: &World) -> (RootId, GroupId) {
    let id = sqlx::query_scalar("SELECT id FROM groups WHERE path = 'acme'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    (RootId(id), GroupId(id))
}

async fn met(world: &World, user: u64) -> PersonId {
    let id = sqlx::query_scalar("SELECT person_id FROM identities WHERE remote_id = $1")
        .bind(user.to_string())
        .fetch_one(&world.pool)
        .await
        .unwrap();
    PersonId(id)
}

#[tokio::test]
async fn levels_are_asked_from_the_tracker_kept_for_a_while_and_forgotten_when_they_change() {
    run(async |world| {
        let (order, dan) = (world.demo.order, world.demo.dan);
        world.ask(order, dan, "/add_contacts ada@example.com").await;
        let person = met(world, dan).await;
        let (root, group) = acme(world).await;
        let (crm, clock) = beside(world);
        let may_create = async |crm: &Crm| {
            crm.group_access(person, root, group)
                .await
                .map(|access| access.allows(Right::CreateContacts))
        };
        assert!(may_create(&crm).await.unwrap());
        world
            .sandbox
            .set_member(Place::Group(world.demo.acme), dan, Role::Reporter);
        world.settled().await;
        clock.advance(TimeDelta::seconds(1));
        assert!(
            !may_create(&crm).await.unwrap(),
            "the member event made it forget"
        );

        // What is known of the project's place and the level there grows old, too, and is asked anew.
        clock.advance(TimeDelta::seconds(61));
        let issue: i64 = sqlx::query_scalar("SELECT id FROM issues WHERE title LIKE 'Order%'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
        let access = crm.issue_access(person, root, IssueId(issue)).await.unwrap();
        assert!(access.allows(Right::RelateContacts), "{access:?}");
        assert!(!access.allows(Right::CreateContacts), "{access:?}");

        // A person without an account there has no level, and nobody is asked.
        let nobody: i64 = sqlx::query_scalar(
            "INSERT INTO people (username, name, created_at) VALUES ('nobody', 'Nobody', now()) RETURNING id",
        )
        .fetch_one(&world.pool)
        .await
        .unwrap();
        let access = crm.group_access(PersonId(nobody), root, group).await.unwrap();
        assert!(!access.allows(Right::ViewContacts));

        // A tracker that is not there makes no yes: not even for what was known until now.
        let away = Crm {
            trackers: Arc::default(),
            ..crm.clone()
        };
        assert!(!may_create(&away).await.unwrap(), "still known");
        clock.advance(TimeDelta::seconds(61));
        let unknown = may_create(&away).await;
        assert!(
            matches!(unknown, Err(CrmError::Unavailable(_))),
            "{unknown:?}"
        );
        assert_eq!(
            unknown.unwrap_err().to_string(),
            "The answer is not available at the moment; try again later"
        );
    })
    .await;
}

#[tokio::test]
async fn what_a_comment_did_is_taken_back_by_its_operation() {
    run(async |world| {
        let (order, dan) = (world.demo.order, world.demo.dan);
        world
            .ask(order, dan, "/create_contact zoe@example.com Zoe Winter")
            .await;
        world.ask(order, dan, "/add_contacts ada@example.com").await;
        world.settled().await;
        let person = met(world, dan).await;
        let (crm, _) = beside(world);
        let operation: uuid::Uuid =
            sqlx::query_scalar("SELECT operation FROM history WHERE action = 'item_created'")
                .fetch_one(&world.pool)
                .await
                .unwrap();
        let report = crm.undo(by(person), OperationId(operation)).await.unwrap();
        assert_eq!((report.undone, report.kept), (2, vec![]));
        assert_eq!(world.issue_contacts(order).await, ["ada@example.com"]);
        // The comment's own undo goes on with what still stands.
        assert_eq!(
            world.ask(order, dan, "/undo").await,
            "- `undo`: 1 change of `add_contacts` taken back"
        );
        assert_eq!(
            world.ask(order, dan, "/undo").await,
            "- `undo`: there is nothing of yours to take back here"
        );
    })
    .await;
}
