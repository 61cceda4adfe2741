//! Imports and exports: what becomes of the rows, of a repeat, and of what was there.

use std::{fmt::Write, fs, process::Stdio, sync::Arc, time::Duration};

use http::Method;
use liaison::{
    bulk::{
        self, Destination, Existing, Exporter, ImportError, Imported, Importer, Options, Report,
        Work,
    },
    crm::{Asker, Crm, CrmError},
    domain::{Level, PersonId, SystemClock, Via},
    exchange::{Contacts, Format, Table},
    sandbox::{Contact, Fault, Organization},
    store::{group, person},
};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::{Connection, PgPool};

use crate::{
    harness::{PATIENCE, World, run},
    program::{Printed, Running, Site, output_of, program},
};

const PLAIN: Options = Options {
    existing: Existing::Skip,
    create_organizations: false,
    all_or_nothing: false,
    dry_run: false,
};

async fn destination(pool: &PgPool, path: &str, actor: Option<PersonId>) -> Destination {
    let mut connection = pool.acquire().await.unwrap();
    let group = group::find(&mut connection, path).await.unwrap().unwrap();
    Destination {
        root: group.root,
        group: group.id,
        actor,
    }
}

async fn attempt(
    pool: &PgPool,
    work: Work<'_>,
    into: Destination,
    options: Options,
) -> Result<Report, ImportError> {
    let importer = Importer {
        pool: pool.clone(),
        clock: Arc::new(SystemClock::default()),
    };
    match importer.import(work, into, options).await? {
        Imported::Rows(report) => Ok(report),
        Imported::GitLab(report) => panic!("{report:?}"),
    }
}

async fn import(world: &World, file: &str, options: Options) -> Report {
    import_into(world, "acme", file, options).await
}

async fn import_into(world: &World, group: &str, file: &str, options: Options) -> Report {
    let rows = bulk::read(Contacts::open(file.as_bytes()).unwrap()).unwrap();
    let into = destination(&world.pool, group, None).await;
    attempt(&world.pool, Work::Contacts(&rows), into, options)
        .await
        .unwrap()
}

async fn import_organizations(world: &World, file: &str, options: Options) -> Report {
    let rows = bulk::read(Table::open(file.as_bytes()).unwrap()).unwrap();
    let into = destination(&world.pool, "acme", None).await;
    attempt(&world.pool, Work::Organizations(&rows), into, options)
        .await
        .unwrap()
}

/// Line, outcome and reason of each row.
fn said(report: &Report) -> Vec<String> {
    let line = |row: &bulk::RowReport| {
        let reason = row.reason.clone().unwrap_or_default();
        format!("{} {} {reason}", row.line, row.outcome.word())
            .trim_end()
            .to_owned()
    };
    report.rows.iter().map(line).collect()
}

async fn exported(pool: &PgPool, group: &str, format: Format) -> String {
    let of = destination(pool, group, None).await;
    let exporter = Exporter {
        pool: pool.clone(),
        of: (of.root, of.group),
        active: None,
    };
    let mut file = Vec::new();
    exporter.contacts(format, &mut file).await.unwrap();
    String::from_utf8(file).unwrap()
}

/// Name, e-mail, phone, organization, description and state of the contacts that have a last name.
async fn contacts(world: &World, last_name: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws('|', items.title, items.email, items.phone, organization.title, items.description, items.state) FROM items
         LEFT JOIN items AS organization ON organization.root_id = items.root_id AND organization.id = items.organization_id
         WHERE items.last_name = $1 ORDER BY items.first_name, items.id",
    )
    .bind(last_name)
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

/// Creates another root group.
async fn another_root(world: &World, path: &str) {
    let mut connection = world.pool.acquire().await.unwrap();
    let declared = group::Declared {
        path,
        name: path,
        crm: true,
        automatic_relations: &[],
        tracker: None,
    };
    let now = liaison::domain::Clock::now(&SystemClock::default());
    group::declare(&mut connection, &declared, now)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_that_is_imported_twice_doubles_nothing() {
    run(async |world| {
        let file = "First name,Last name,Email,Phone,Description,State\n\
            Ann,Lee,Ann@example.com,1,\"two\nlines\",\n\
            Bob,Lee,,2,,inactive\n\
            Cid,Lee,,,,\n\
            Ada,Byron,ADA@example.com,,,\n";
        let report = import(world, file, PLAIN).await;
        let first = [
            "2 created",
            "4 created",
            "5 created",
            "6 skipped already there",
        ];
        assert_eq!(said(&report), first);
        assert_eq!((report.created, report.skipped), (3, 1));
        let stored = [
            "Ann Lee|Ann@example.com|1|two\nlines|active",
            "Bob Lee|2|inactive",
            "Cid Lee|active",
        ];
        assert_eq!(contacts(world, "Lee").await, stored);
        let again = import(world, file, PLAIN).await;
        let skipped = [2, 4, 5, 6].map(|line| format!("{line} skipped already there"));
        assert_eq!(said(&again), skipped);
        assert_eq!(again.operation, None);
        // The rows stand for the same contacts.
        let ids = |report: &Report| report.rows.iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&report));
        assert_eq!(contacts(world, "Lee").await, stored);
    })
    .await;
}

#[tokio::test]
async fn what_is_there_is_left_updated_or_refused() {
    run(async |world| {
        let file = "Last name,First name,Email,Phone,Description\n\
            King,Ada,ada@EXAMPLE.com,42,\nMurray,Grace,grace@example.com,,\n";
        let with = |existing| Options { existing, ..PLAIN };
        let refused = import(world, file, with(Existing::Fail)).await;
        let taken = [2, 3].map(|line| format!("{line} failed Email has already been taken"));
        assert_eq!(said(&refused), taken);
        let updated = import(world, file, with(Existing::Update)).await;
        assert_eq!(
            said(&updated),
            [
                "2 updated changed: last name, email, phone",
                "3 updated changed: email"
            ]
        );
        assert_eq!(
            contacts(world, "King").await,
            ["Ada King|ada@EXAMPLE.com|42|active"]
        );
        let again = import(world, file, with(Existing::Update)).await;
        let same = [2, 3].map(|line| format!("{line} skipped already there, and nothing differs"));
        assert_eq!(said(&again), same);

        // Empty cells leave what is there; a state that is said changes.
        let file = "Name,Email,Phone,State\nAda King,ada@example.com,,inactive\n";
        let updated = import(world, file, with(Existing::Update)).await;
        assert_eq!(said(&updated), ["2 updated changed: email, state"]);
        assert_eq!(
            contacts(world, "King").await,
            ["Ada King|ada@example.com|42|inactive"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_bad_row_costs_itself_or_everything() {
    run(async |world| {
        let file = format!(
            "First name,Last name,Email,Phone\nAnn,Lee,ann@example.com,\n,,nobody,{}\nBob,Lee,bob@example.com,\n",
            "1".repeat(33)
        );
        let expected = [
            "2 created",
            "3 failed First name can't be blank; Last name can't be blank; Email is invalid; \
             Phone is too long (maximum is 32 characters)",
            "4 created",
        ];
        let all = Options {
            all_or_nothing: true,
            ..PLAIN
        };
        let report = import(world, &file, all).await;
        assert_eq!(said(&report), expected);
        assert_eq!((report.operation, report.rows[0].id), (None, None));
        assert_eq!(contacts(world, "Lee").await, [""; 0]);
        let report = import(world, &file, PLAIN).await;
        assert_eq!(said(&report), expected);
        assert_eq!(contacts(world, "Lee").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_saves_nothing() {
    run(async |world| {
        let file = "First name,Last name,Email,Organization\nAnn,Lee,ann@example.com,Initech\n\
            Ada,Byron,ada@example.com,Initech\nBob,Lee,nobody,\n";
        let options = Options {
            existing: Existing::Update,
            create_organizations: true,
            ..PLAIN
        };
        let before = (world.count("items").await, world.count("history").await);
        let dry = Options {
            dry_run: true,
            ..options
        };
        let promised = import(world, file, dry).await;
        assert_eq!(
            before,
            (world.count("items").await, world.count("history").await)
        );
        let done = import(world, file, options).await;
        assert_eq!(said(&promised), said(&done));
        assert_eq!(promised.organizations_created, 1);
        assert_eq!(done.organizations_created, 1);
        assert_eq!(done.updated, 1);
    })
    .await;
}

#[tokio::test]
async fn rows_that_repeat_each_other_are_told_by_both_lines() {
    run(async |world| {
        let file = "First name,Last name,Email\nAnn,Lee,ann@example.com\nAnna,Lee,ANN@example.com\n\
            Ann, Lee,ann@example.com\nBob,Lee,\nBob,Lee,\nBad,Lee,x\nBad,Lee,x\n";
        let report = import(world, file, PLAIN).await;
        assert_eq!(
            said(&report),
            [
                "2 created",
                "3 failed Email is the same as in line 2, and other cells differ",
                "4 skipped the same as line 2",
                "5 created",
                "6 skipped the same as line 5",
                "7 failed Email is invalid",
                "8 failed Email is invalid",
            ]
        );
        assert_eq!(report.rows[2].id, report.rows[0].id);
        assert_eq!(contacts(world, "Lee").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn organizations_are_found_without_regard_to_case_and_founded_on_request() {
    run(async |world| {
        let file = "Name,Default rate,Description,State\nÄcme,12.5,first,\nGlobex,x,,\nInitech,,,no\n";
        let report = import_organizations(world, file, PLAIN).await;
        assert_eq!(
            said(&report),
            [
                "2 created",
                "3 failed Default rate is not a number like 1234.50",
                "4 created"
            ]
        );
        let file = "First name,Last name,Email,Organization\nAnn,Lee,ann@example.com,INITECH\n\
            Bob,Lee,bob@example.com,Hooli\nCid,Lee,,hooli\n";
        let report = import(world, file, PLAIN).await;
        let missing = |line, name: &str| {
            format!(
                "{line} failed organization \"{name}\" was not found: create it, or have missing organizations created"
            )
        };
        assert_eq!(
            said(&report),
            ["2 created".to_owned(), missing(3, "Hooli"), missing(4, "hooli")]
        );
        let founding = Options {
            create_organizations: true,
            ..PLAIN
        };
        let report = import(world, file, founding).await;
        assert_eq!(
            said(&report),
            ["2 skipped already there", "3 created", "4 created"]
        );
        assert_eq!(report.organizations_created, 1);
        assert_eq!(
            contacts(world, "Lee").await,
            [
                "Ann Lee|ann@example.com|Initech|active",
                "Bob Lee|bob@example.com|Hooli|active",
                "Cid Lee|Hooli|active",
            ]
        );
        // Those without an e-mail are known by their organization too.
        let again = import(world, file, PLAIN).await;
        assert_eq!(again.skipped, 3);
        let file = "Name,Default rate,Description\näcme,13,\n";
        let updating = Options {
            existing: Existing::Update,
            ..PLAIN
        };
        // How the database compares letters beyond ASCII is its own affair: whatever it says, nothing is doubled.
        let report = import_organizations(world, file, updating).await;
        assert_eq!(report.failed, 0);
        let again = import_organizations(world, file, updating).await;
        assert_eq!((again.created, again.updated), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_import_is_one_operation_in_the_name_of_who_made_it() {
    run(async |world| {
        let mut connection = world.pool.acquire().await.unwrap();
        let now = liaison::domain::Clock::now(&SystemClock::default());
        let ann = person::declare(&mut connection, "ann", None, now)
            .await
            .unwrap();
        let file = "Name,Email,Phone,Organization\nAnn Lee,ann@example.com,,Initech\n\
            Ada Byron,ada@example.com,42,\nOtto Retired,otto@example.com,,\n";
        let rows = bulk::read(Contacts::open(file.as_bytes()).unwrap()).unwrap();
        let options = Options {
            existing: Existing::Update,
            create_organizations: true,
            ..PLAIN
        };
        let into = destination(&world.pool, "acme", Some(ann)).await;
        let report = attempt(&world.pool, Work::Contacts(&rows), into, options)
            .await
            .unwrap();
        let told: Vec<(String, Option<i64>, String, Value)> = sqlx::query_as(
            "SELECT action, actor_id, via, detail FROM history WHERE operation = $1 ORDER BY id",
        )
        .bind(report.operation.unwrap().0)
        .fetch_all(&world.pool)
        .await
        .unwrap();
        let actions: Vec<&str> = told.iter().map(|row| row.0.as_str()).collect();
        assert_eq!(actions, ["item_created", "item_created", "item_edited"]);
        for (_, actor, via, _) in &told {
            assert_eq!((*actor, via.as_str()), (Some(ann.0), "import"));
        }
        assert_eq!(told[0].3["fields"]["name"], "Initech");
        assert_eq!(told[1].3["fields"]["email"], "ann@example.com");
        assert_eq!(
            told[2].3,
            serde_json::json!({ "before": { "phone": null }, "after": { "phone": "42" } })
        );
    })
    .await;
}

#[tokio::test]
async fn imports_of_one_file_at_the_same_time_double_nothing() {
    run(async |world| {
        let mut file = "First name,Last name,Email\n".to_owned();
        for number in 0..500 {
            let _ = writeln!(file, "Ann,Lee,ann{number}@example.com\nBob{number},Lee,");
        }
        let once = || Box::pin(import(world, &file, PLAIN));
        let (a, b, c) = tokio::join!(once(), once(), once());
        assert_eq!(a.created + b.created + c.created, 1000);
        assert_eq!(a.failed + b.failed + c.failed, 0);
        assert_eq!(contacts(world, "Lee").await.len(), 1000);
    })
    .await;
}

#[tokio::test]
async fn another_tenant_is_neither_seen_nor_changed() {
    run(async |world| {
        another_root(world, "globex").await;
        let file = "First name,Last name,Email,Phone\nEve,Byron,ada@example.com,666\n";
        let options = Options {
            existing: Existing::Update,
            ..PLAIN
        };
        let report = import_into(world, "globex", file, options).await;
        assert_eq!(said(&report), ["2 created"]);
        assert_eq!(
            contacts(world, "Byron").await,
            [
                "Ada Byron|ada@example.com|active",
                "Eve Byron|ada@example.com|666|active"
            ]
        );
        let theirs = exported(&world.pool, "globex", Format::Csv).await;
        assert_eq!(theirs.lines().count(), 2, "{theirs}");
    })
    .await;
}

#[tokio::test]
async fn an_export_imported_elsewhere_is_the_same_export() {
    run(async |world| {
        another_root(world, "globex").await;
        another_root(world, "initech").await;
        let file = "First name,Last name,Email,Phone,Organization,Description,State\n\
            \"=cmd|' /C calc'!A0\",@Lee,+ann@example.com,+49 30,\"Acme, Inc.\",\"'=1\nsays \"\"hi\"\"\",\n\
            Bob,Lee,,,-Minus,,inactive\n\u{1f600},\u{202e}Lee,,,,\"\ttab\",\n";
        let founding = Options {
            create_organizations: true,
            ..PLAIN
        };
        let report = import(world, file, founding).await;
        assert_eq!(report.created, 3, "{report:?}");
        let csv = exported(&world.pool, "acme", Format::Csv).await;
        for cell in csv.split([',', '\n']) {
            let cell = cell.trim_start_matches('"');
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
        }
        import_into(world, "globex", &csv, founding).await;
        assert_eq!(exported(&world.pool, "globex", Format::Csv).await, csv);
        let cards = exported(&world.pool, "acme", Format::VCard).await;
        import_into(world, "initech", &cards, founding).await;
        assert_eq!(exported(&world.pool, "initech", Format::Csv).await, csv);
        // Where it came from, nothing is new.
        let again = import(world, &csv, PLAIN).await;
        assert_eq!((again.created, again.failed), (0, 0), "{again:?}");
    })
    .await;
}

/// The CRM for people, who have their levels in a group from Liaison alone.
async fn crm(world: &World, path: &str, levels: &[(&str, Level)]) -> (Crm, Vec<PersonId>) {
    let mut connection = world.pool.acquire().await.unwrap();
    let group = group::find(&mut connection, path).await.unwrap().unwrap();
    let now = liaison::domain::Clock::now(&SystemClock::default());
    let mut members = Vec::new();
    for (name, level) in levels {
        let person = person::declare(&mut connection, name, None, now)
            .await
            .unwrap();
        members.push((person, *level));
    }
    group::declare_members(&mut connection, &group, &members)
        .await
        .unwrap();
    let crm = Crm {
        pool: world.pool.clone(),
        clock: Arc::new(SystemClock::default()),
        trackers: Arc::default(),
        level_fresh: Duration::from_mins(1),
        place_fresh: Duration::from_mins(1),
    };
    (crm, members.into_iter().map(|(person, _)| person).collect())
}

#[tokio::test]
async fn maintainers_import_and_export_and_others_do_not() {
    run(async |world| {
        another_root(world, "globex").await;
        let levels = [
            ("mo", Level::Maintainer),
            ("dee", Level::Developer),
            ("gus", Level::Guest),
        ];
        let (crm, people) = crm(world, "globex", &levels).await;
        let globex = destination(&world.pool, "globex", None).await;
        let acme = destination(&world.pool, "acme", None).await;
        let import = async |person, of: Destination| {
            bulk::destination_for(&crm, person, (of.root, of.group)).await
        };
        let [mo, dee, gus] = people[..] else { panic!() };
        let into = import(mo, globex).await.unwrap();
        assert_eq!((into.group, into.actor), (globex.group, Some(mo)));
        assert!(matches!(
            import(dee, globex).await,
            Err(CrmError::Denied(_))
        ));
        assert!(matches!(import(gus, globex).await, Err(CrmError::NotFound)));
        assert!(matches!(import(mo, acme).await, Err(CrmError::NotFound)));
        let export = async |person| {
            bulk::exporter_for(&crm, person, (globex.root, globex.group), None).await
        };
        assert!(export(mo).await.is_ok());
        assert!(matches!(export(dee).await, Err(CrmError::Denied(_))));
    })
    .await;
}

#[tokio::test]
async fn an_import_is_taken_back_as_a_whole() {
    run(async |world| {
        another_root(world, "globex").await;
        let (crm, people) = crm(world, "globex", &[("mo", Level::Owner)]).await;
        let options = Options {
            existing: Existing::Update,
            create_organizations: true,
            ..PLAIN
        };
        let file = "Name,Email,Phone,Organization\nAnn Lee,ann@example.com,1,\n";
        import_into(world, "globex", file, options).await;
        let before = exported(&world.pool, "globex", Format::Csv).await;
        let file = "Name,Email,Phone,Organization\nAnn Lee,ann@example.com,2,\n\
            Bob Lee,bob@example.com,,Initech\nCid Lee,,,Initech\n";
        let report = import_into(world, "globex", file, options).await;
        assert_eq!((report.created, report.updated), (2, 1));
        let asker = Asker {
            person: people[0],
            via: Via::CommandLine,
        };
        let undone = crm.undo(asker, report.operation.unwrap()).await.unwrap();
        assert_eq!(undone.kept, [""; 0]);
        assert_eq!(exported(&world.pool, "globex", Format::Csv).await, before);
        let organizations: i64 =
            sqlx::query_scalar("SELECT count(*) FROM items WHERE title = 'Initech'")
                .fetch_one(&world.pool)
                .await
                .unwrap();
        assert_eq!(organizations, 0);
    })
    .await;
}

async fn with_input(site: &Site, args: &[&str], input: &str) -> Printed {
    output_of(&mut program(site.path(), args), input).await
}

#[tokio::test]
async fn the_command_line_imports_and_exports_beside_a_service_that_runs() {
    let mut site = Site::new("", 1).await;
    site.serve(&[]).await;
    let file = "First name,Last name,Email,Shoe size\nAnn,Lee,ann@example.com,38\nBob,,bob@example.com,40\n";
    fs::write(site.path().join("people.csv"), file).unwrap();
    let import = ["import", "contacts", "people.csv", "--group", "acme"];
    let printed = site
        .run(&[&import[..], &["--as", "ann", "--report", "report.csv"]].concat())
        .await;
    assert_eq!(printed.code, Some(1));
    assert!(
        printed
            .out
            .contains("3     failed   Last name can't be blank"),
        "{}",
        printed.out
    );
    assert!(
        printed
            .out
            .contains("rows: 2, created: 1, updated: 0, skipped: 0, failed: 1"),
        "{}",
        printed.out
    );
    assert!(
        printed.error.contains("Shoe size") && printed.error.contains("1 rows failed"),
        "{}",
        printed.error
    );
    let report = fs::read_to_string(site.path().join("report.csv")).unwrap();
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "Line,Outcome,Reason,Id");
    assert!(lines[1].starts_with("2,created,,"), "{report}");
    assert_eq!(lines[2], "3,failed,Last name can't be blank,");

    let json = site
        .run(&[&import[..], &["--json", "--dry-run"]].concat())
        .await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["skipped"], 1);
    assert_eq!(json["dry_run"], true);
    assert_eq!(json["unknown_columns"][0], "Shoe size");
    assert_eq!(json["rows"][1]["outcome"], "failed");

    // What is written to standard output is read from standard input.
    let cards = site
        .succeed(&["export", "contacts", "--group", "acme", "--format", "vcard"])
        .await;
    assert!(cards.contains("EMAIL:ann@example.com\r\n"), "{cards}");
    let back = ["import", "contacts", "-", "--group", "acme"];
    let printed = with_input(&site, &back, &cards).await;
    assert_eq!(printed.code, Some(0), "{}", printed.error);
    assert!(
        printed.out.contains("skipped: 1, failed: 0"),
        "{}",
        printed.out
    );

    let organizations = ["import", "organizations", "-", "--group", "acme"];
    let printed = with_input(&site, &organizations, "Name,Default rate\nInitech,12.5\n").await;
    assert_eq!(printed.code, Some(0), "{}", printed.error);
    let args = [
        "export",
        "organizations",
        "--group",
        "acme",
        "--output",
        "organizations.csv",
    ];
    site.succeed(&args).await;
    let written = fs::read_to_string(site.path().join("organizations.csv")).unwrap();
    assert_eq!(
        written,
        "Name,Default rate,Description,State\r\nInitech,12.50,,active\r\n"
    );

    for (args, sentence) in [
        (
            &["import", "contacts", "none.csv", "--group", "acme"][..],
            "none.csv cannot be read",
        ),
        (
            &["import", "contacts", "people.csv", "--group", "nowhere"],
            "there is no group nowhere",
        ),
        (
            &[
                "import",
                "contacts",
                "people.csv",
                "--group",
                "acme",
                "--as",
                "zoe",
            ],
            "there is no active person zoe",
        ),
        (
            &["export", "contacts", "--group", "nowhere"],
            "there is no group nowhere",
        ),
    ] {
        let error = site.fail(args).await;
        assert!(error.contains(sentence), "{args:?}: {error}");
    }
    site.end().await;
}

#[tokio::test]
async fn an_import_that_is_killed_leaves_nothing_and_a_repeat_finishes_it() {
    let mut site = Site::new("", 1).await;
    site.serve(&[]).await;
    let rows = 5000;
    let mut file = "First name,Last name,Email\n".to_owned();
    for number in 0..rows {
        let _ = writeln!(file, "Ann,Lee,ann{number}@example.com");
    }
    fs::write(site.path().join("people.csv"), file).unwrap();
    let import = ["import", "contacts", "people.csv", "--group", "acme"];

    // Somebody else is about to create the contact of the last row, so that the import waits there with all the others written.
    let mut other = site.connect().await;
    let mut tx = other.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO items (root_id, group_id, kind, title, first_name, last_name, email, created_at, updated_at)
         SELECT root_id, id, 'contact', 'A B', 'A', 'B', $1, now(), now() FROM groups WHERE path = 'acme'",
    )
    .bind(format!("ann{}@example.com", rows - 1))
    .execute(&mut *tx)
    .await
    .unwrap();
    let mut importing = Running::start(program(site.path(), &import).stdout(Stdio::null()));
    let mut watch = site.connect().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'",
        )
        .fetch_one(&mut watch)
        .await
        .unwrap();
        if waiting > 0 {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the import does not wait"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    importing.signal(Signal::KILL);
    importing.end().await;
    tx.rollback().await.unwrap();

    let out = site.succeed(&import).await;
    assert!(
        out.contains("created: 5000, updated: 0, skipped: 0, failed: 0"),
        "{out}"
    );
    site.end().await;
}

#[tokio::test]
async fn the_crm_of_a_gitlab_group_is_brought_in_with_its_issues() {
    let mut site = Site::new("", 1).await;
    site.serve(&[]).await;
    let (acme, demo) = (site.demo.acme, site.demo);
    let initech = site.sandbox.create_organization(Organization {
        group: acme,
        name: "Initech".to_owned(),
        default_rate: Some(12.5),
        ..Organization::default()
    });
    let person = |first: &str, email: Option<&str>| Contact {
        group: acme,
        first_name: first.to_owned(),
        last_name: "Lee".to_owned(),
        email: email.map(str::to_owned),
        organization: Some(initech),
        ..Contact::default()
    };
    let ann = site
        .sandbox
        .create_contact(person("Ann", Some("ann@example.com")));
    let bob = site.sandbox.create_contact(person("Bob", None));
    // More than a page.
    for number in 0..120 {
        let email = format!("many{number}@example.com");
        site.sandbox.create_contact(person("Many", Some(&email)));
    }
    for (issue, contact) in [
        (demo.order, ann),
        (demo.order, bob),
        (demo.incident, ann),
        (demo.form, bob),
    ] {
        site.sandbox.relate_contact(issue, contact);
    }
    let throttled = Fault::throttled(Duration::ZERO);
    site.sandbox
        .fail(Method::POST, "/api/graphql", 1, throttled);
    let import = ["import", "gitlab", "--group", "acme", "--json"];
    let out = site.succeed(&import).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["organizations"]["created"], 1, "{out}");
    assert_eq!(report["contacts"]["created"], 122);
    assert_eq!(
        (&report["issues"], &report["related"]),
        (&3.into(), &4.into())
    );
    assert_eq!(report["projects_outside"], serde_json::json!([]));
    let mut connection = site.connect().await;
    let related: Vec<(i64, String)> = sqlx::query_as(
        "SELECT issues.remote_id::bigint, items.first_name FROM issue_items
         JOIN issues ON issues.root_id = issue_items.root_id AND issues.id = issue_items.issue_id
         JOIN items ON items.root_id = issue_items.root_id AND items.id = issue_items.item_id ORDER BY 1, 2",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let id = |issue: u64| i64::try_from(issue).unwrap();
    let mut expected = vec![
        (id(demo.order), "Ann".to_owned()),
        (id(demo.order), "Bob".to_owned()),
        (id(demo.incident), "Ann".to_owned()),
        (id(demo.form), "Bob".to_owned()),
    ];
    expected.sort();
    assert_eq!(related, expected);
    let again: Value = serde_json::from_str(&site.succeed(&import).await).unwrap();
    assert_eq!(again["contacts"]["skipped"], 122);
    assert_eq!(again["related"], 0);

    // What the bot may not see is not there, and a group that is another tenant's brings no issues.
    let error = site
        .fail(&["import", "gitlab", "--group", "acme", "--from", "no/such"])
        .await;
    assert!(error.contains("shows the bot no group no/such"), "{error}");
    site.end().await;
}
