//! The rules as tables: rights, outcomes, and what an answer may show to whom.

use chrono::DateTime;

use super::*;
use crate::{
    domain::{IssueFacts, Level, ManualClock, Reaction, Visibility},
    quick_action::{Dialect, parse},
};

fn access(contact_group: Level, project: Level) -> Access {
    Access {
        active: true,
        crm_enabled: true,
        contact_group,
        project,
        issue_readable: true,
    }
}

fn contact(id: i64, email: &str, active: bool, related: bool) -> Contact {
    Contact {
        id: ItemId(id),
        first_name: "First".into(),
        last_name: format!("Last{id}"),
        email: Some(email.into()),
        active,
        related,
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        access: access(Level::Developer, Level::Developer),
        contacts: vec![
            contact(1, "Ada@example.com", true, false),
            contact(2, "grace@example.com", true, true),
            contact(3, "otto@example.com", false, false),
            contact(4, "old@example.com", false, true),
        ],
        organizations: vec![(ItemId(9), "Acme Corp".into())],
        operations: Vec::new(),
        ids: vec![ItemId(100), ItemId(101)],
        watch: WatchSnapshot::default(),
    }
}

fn commands(text: &str) -> Vec<Found> {
    let dialect = Dialect {
        bot: Some("liaison"),
        slash: true,
    };
    parse(text, &dialect).commands
}

fn decide(text: &str, snapshot: Snapshot) -> Plan {
    plan(
        &commands(text),
        snapshot,
        &ManualClock::at(DateTime::UNIX_EPOCH),
    )
}

fn changes(plan: &Plan) -> Vec<Change> {
    plan.operations
        .iter()
        .flat_map(|operation| operation.changes.clone())
        .collect()
}

#[test]
fn rights_follow_the_table() {
    use Level::{Developer, Guest, Maintainer, None, Owner, Planner, Reporter};
    let all = [
        Right::ViewContacts,
        Right::ViewIssueContacts,
        Right::RelateContacts,
        Right::CreateContacts,
        Right::DeleteContacts,
        Right::MergeContacts,
        Right::ImportContacts,
        Right::ExportContacts,
        Right::Configure,
    ];
    let allowed = |access: Access| {
        let words = all.map(|right| if access.allows(right) { "x" } else { "." });
        words.concat()
    };
    // View, view and relate on an issue, create; delete, merge, import, export, configure.
    for (contact_group, project, expected) in [
        (None, None, "........."),
        (None, Owner, "........."),
        (Guest, Owner, "........."),
        (Planner, None, "x........"),
        (Planner, Guest, "x........"),
        (Planner, Planner, "xxx......"),
        (Reporter, Reporter, "xxx......"),
        (Developer, Guest, "x..x....."),
        (Developer, Reporter, "xxxx....."),
        (Maintainer, None, "x..xxxxxx"),
        (Maintainer, Maintainer, "xxxxxxxxx"),
        (Owner, Owner, "xxxxxxxxx"),
    ] {
        let full = access(contact_group, project);
        assert_eq!(allowed(full), expected, "{contact_group:?} {project:?}");
        let inactive = Access {
            active: false,
            ..full
        };
        assert_eq!(allowed(inactive), ".........", "{inactive:?}");
        // Where the CRM is off, somebody must be able to switch it on.
        let off = Access {
            crm_enabled: false,
            ..full
        };
        let configures = expected.get(8..).unwrap();
        assert_eq!(allowed(off), format!("........{configures}"), "{off:?}");
        // From an issue that he cannot read nothing is done; the group is another matter.
        let unreadable = Access {
            issue_readable: false,
            ..full
        };
        let (view, group) = (expected.get(..1).unwrap(), expected.get(4..).unwrap());
        assert_eq!(
            allowed(unreadable),
            format!("{view}...{group}"),
            "{unreadable:?}"
        );
    }
}

#[test]
fn a_confidential_issue_is_for_planners_authors_and_assignees() {
    let issue = |confidential| IssueFacts {
        remote_id: "1".into(),
        iid: 1,
        title: String::new(),
        state: "opened".into(),
        confidential,
        author: "7".into(),
        assignees: vec!["8".into()],
        updated_at: DateTime::UNIX_EPOCH,
    };
    for (confidential, visibility, user, level, expected) in [
        (true, Visibility::Public, "9", Level::Guest, false),
        (true, Visibility::Public, "9", Level::Planner, true),
        (true, Visibility::Private, "7", Level::Guest, true),
        (true, Visibility::Private, "8", Level::None, true),
        (false, Visibility::Private, "9", Level::None, false),
        (false, Visibility::Private, "9", Level::Guest, true),
        (false, Visibility::Internal, "9", Level::None, true),
        (false, Visibility::Public, "9", Level::None, true),
    ] {
        let readable = issue_is_readable(&issue(confidential), visibility, user, level);
        assert_eq!(
            readable, expected,
            "{confidential} {visibility:?} {user} {level:?}"
        );
    }
}

#[test]
fn each_address_has_its_outcome() {
    let text = "/add_contacts ada@EXAMPLE.com grace@example.com otto@example.com new@example.com huh ada@example.com";
    let plan = decide(text, snapshot());
    let Line::Contacts {
        outcomes, left_out, ..
    } = &plan.lines[0]
    else {
        panic!("{plan:?}");
    };
    let seen: Vec<_> = outcomes
        .iter()
        .map(|(typed, outcome)| (typed.as_str(), *outcome))
        .collect();
    assert_eq!(
        seen,
        [
            ("ada@EXAMPLE.com", Outcome::Added),
            ("grace@example.com", Outcome::AlreadyThere),
            ("otto@example.com", Outcome::Inactive),
            ("new@example.com", Outcome::NotFound { may_create: true }),
            ("huh", Outcome::NotAnAddress),
        ]
    );
    assert_eq!(*left_out, 0);
    assert_eq!(changes(&plan), [Change::Relate(ItemId(1))]);
    assert_eq!(plan.reaction(), Reaction::Attention);
}

#[test]
fn inactive_contacts_can_be_removed() {
    let plan = decide(
        "/remove_contacts OLD@example.com ada@example.com",
        snapshot(),
    );
    assert_eq!(changes(&plan), [Change::Unrelate(ItemId(4))]);
    assert_eq!(plan.reaction(), Reaction::Done);
}

#[test]
fn a_command_names_a_hundred_contacts_at_most() {
    let many: Vec<String> = (0..103)
        .map(|number| format!("c{number}@example.com"))
        .collect();
    let plan = decide(&format!("/add_contacts {}", many.join(" ")), snapshot());
    let Line::Contacts {
        outcomes, left_out, ..
    } = &plan.lines[0]
    else {
        panic!("{plan:?}");
    };
    assert_eq!((outcomes.len(), *left_out), (100, 3));
    assert_eq!(
        needs(&commands(&format!("/add_contacts {}", many.join(" "))))
            .emails
            .len(),
        100
    );
}

#[test]
fn creation_checks_and_relates() {
    let refusal = |text: &str| match decide(text, snapshot()).lines.remove(0) {
        Line::Refused { refusal, .. } => refusal,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refusal("/create_contact ADA@example.com A B"),
        Refusal::EmailTaken { .. }
    ));
    assert!(matches!(
        refusal("/create_contact z@example.com Zoe"),
        Refusal::Argument(_)
    ));
    assert!(matches!(
        refusal("/create_contact z@example.com Zoe Winter [organization:Nobody]"),
        Refusal::UnknownOrganization { .. }
    ));
    let long = "x".repeat(256);
    assert!(matches!(
        refusal(&format!("/create_contact z@example.com Zoe {long}")),
        Refusal::Field(_)
    ));

    let plan = decide(
        "/create_contact z@example.com Zoe Winter [organization:Acme CORP]",
        snapshot(),
    );
    let draft = ContactDraft::new("Zoe", "Winter", "z@example.com").unwrap();
    let created = Change::Create {
        id: ItemId(100),
        draft,
        organization: Some(ItemId(9)),
    };
    assert_eq!(changes(&plan), [created, Change::Relate(ItemId(100))]);

    // A Developer of the group who is a Guest of the project may create, but not relate.
    let mut apart = snapshot();
    apart.access = access(Level::Developer, Level::Guest);
    let plan = decide("/create_contact z@example.com Zoe Winter", apart);
    assert_eq!(
        plan.lines,
        [Line::Created {
            email: "z@example.com".into(),
            related: false
        }]
    );
}

#[test]
fn later_commands_see_earlier_ones_and_undo_goes_back_through_them() {
    let text = "/add_contacts ada@example.com\n/add_contacts ada@example.com\n/remove_contacts ada@example.com\n/undo\n/undo\n/undo";
    let plan = decide(text, snapshot());
    assert_eq!(
        changes(&plan),
        [
            Change::Relate(ItemId(1)),
            Change::Unrelate(ItemId(1)),
            Change::Relate(ItemId(1)),
            Change::Unrelate(ItemId(1)),
        ]
    );
    assert_eq!(plan.lines.last(), Some(&Line::NothingToUndo));
    assert_eq!(plan.operations[2].undoes, Some(plan.operations[1].id));
    assert_eq!(plan.operations[3].undoes, Some(plan.operations[0].id));
}

#[test]
fn undo_takes_the_right_to_do_what_is_taken_back() {
    let clock = ManualClock::at(DateTime::UNIX_EPOCH);
    let mut before = snapshot();
    before.access.project = Level::Guest;
    before.operations = vec![PastOperation {
        id: OperationId(clock.id()),
        command: "add_contacts".into(),
        changes: vec![PastChange::Related(ItemId(1))],
    }];
    let plan = decide("/undo\n/undo", before);
    let refused = Line::Refused {
        command: CommandName::Undo,
        refusal: Refusal::NoRight(Right::RelateContacts),
    };
    assert_eq!(plan.lines, [refused, Line::NothingToUndo]);
    assert!(plan.operations.is_empty());
}

#[test]
fn undo_leaves_what_others_rely_on_and_is_used_up_all_the_same() {
    let clock = ManualClock::at(DateTime::UNIX_EPOCH);
    let mut before = snapshot();
    before.operations = vec![
        PastOperation {
            id: OperationId(clock.id()),
            command: "create_contact".into(),
            changes: vec![PastChange::Created {
                id: ItemId(2),
                untouched: false,
            }],
        },
        PastOperation {
            id: OperationId(clock.id()),
            command: "add_contacts".into(),
            changes: vec![
                PastChange::Related(ItemId(2)),
                PastChange::Related(ItemId(77)),
            ],
        },
    ];
    let plan = decide("/undo\n/undo\n/undo", before);
    let undone = |command: &str, changes, kept| Line::Undone {
        command: command.into(),
        changes,
        kept,
    };
    assert_eq!(
        plan.lines,
        [
            undone("create_contact", 0, 1),
            undone("add_contacts", 1, 1),
            Line::NothingToUndo
        ]
    );
    assert_eq!(changes(&plan), [Change::Unrelate(ItemId(2))]);
    assert_eq!(
        plan.operations.len(),
        2,
        "also the one that changed nothing marks what it used up"
    );
}

#[test]
fn answers_show_names_only_where_every_reader_may_see_them() {
    let list = decide("/crm contacts", snapshot());
    let add = decide("/add_contacts ada@example.com", snapshot());
    let mut nobody = snapshot();
    nobody.contacts.clear();
    let empty = decide("/crm contacts", nobody);
    for (plan, protected, existing, expected) in [
        (&list, false, None, Audience::Internal),
        (&list, true, None, Audience::Thread),
        (&list, false, Some(false), Audience::ThreadWithCounts),
        (&list, false, Some(true), Audience::Internal),
        (&add, false, None, Audience::Thread),
        (&add, false, Some(true), Audience::Internal),
        (&add, false, Some(false), Audience::Thread),
        (&empty, false, None, Audience::Thread),
    ] {
        assert_eq!(
            audience(plan, protected, existing),
            expected,
            "{protected} {existing:?}"
        );
    }
}

#[test]
fn without_the_right_the_answer_is_the_same_whatever_exists() {
    for text in [
        "/add_contacts ada@example.com",
        "/remove_contacts grace@example.com",
        "/crm contacts",
        "/create_contact ada@example.com A B",
        "/undo",
    ] {
        let mut none = snapshot();
        none.access = access(Level::Guest, Level::Guest);
        let mut nothing_there = none.clone();
        nothing_there.contacts.clear();
        let (seen, unseen) = (decide(text, none), decide(text, nothing_there));
        assert_eq!(seen, unseen, "{text}");
        assert!(seen.operations.is_empty(), "{text}");
    }
}
