//! Commands about people and items, decided one after the other.

use chrono::DateTime;

use super::*;
use crate::{
    domain::{ChatId, Level, ManualClock},
    quick_action::{Dialect, parse},
    rules::{Change, Following, Observer, ObserverChange, Plan, Responsible, Snapshot, plan},
};

const ASKER: PersonId = PersonId(1);
const ANN: PersonId = PersonId(2);
const BOB: PersonId = PersonId(3);

fn item(id: i64, kind: ItemKind, related: bool) -> KnownItem {
    KnownItem {
        watched: Watched {
            item: ItemId(id),
            kind,
            observable: kind.has_observers(),
            responsible: Some(Responsible {
                person: BOB,
                in_chat: true,
            }),
            observers: vec![Observer {
                person: BOB,
                in_chat: false,
                show_history: true,
                added_by: None,
                added_at: DateTime::UNIX_EPOCH,
            }],
            hidden_before: Vec::new(),
            chat: Some(ChatId(id)),
            hides_history: Some(true),
        },
        chat_on: Some(ConnectionId(5)),
        known_by: Some("ada@example.com".into()).filter(|_| kind == ItemKind::Contact),
        active: true,
        related,
        is_member: true,
    }
}

fn snapshot(level: Level) -> Snapshot {
    Snapshot {
        access: Access {
            active: true,
            crm_enabled: true,
            contact_group: level,
            project: level,
            issue_readable: true,
        },
        contacts: Vec::new(),
        organizations: Vec::new(),
        operations: Vec::new(),
        ids: Vec::new(),
        watch: WatchSnapshot {
            actor: Some(ASKER),
            people: vec![("@ann".into(), ANN), ("bob@example.com".into(), BOB)],
            usernames: vec![(BOB, "bob".into())],
            items: vec![
                item(7, ItemKind::Deal, true),
                item(8, ItemKind::Contact, false),
                item(9, ItemKind::Estimate, true),
            ],
            ..WatchSnapshot::default()
        },
    }
}

fn decide(text: &str, snapshot: Snapshot) -> Plan {
    let dialect = Dialect {
        bot: Some("liaison"),
        slash: true,
    };
    let clock = ManualClock::at(DateTime::UNIX_EPOCH);
    plan(&parse(text, &dialect).commands, snapshot, &clock)
}

/// Returns the outcomes of the only line, by item.
fn outcomes(plan: &Plan) -> Vec<(&str, &ItemOutcome)> {
    match plan.lines.as_slice() {
        [Line::Items { outcomes, .. }] => outcomes
            .iter()
            .map(|(label, outcome)| (label.as_str(), outcome))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn observers_are_added_to_the_items_that_are_named_or_to_all_of_the_place() {
    let added = ItemOutcome::People(vec![("@ann".into(), ObserverOutcome::Added)]);
    let plan = decide(
        "/crm add_observers @ann [deal:7]",
        snapshot(Level::Developer),
    );
    assert_eq!(outcomes(&plan), [("deal:7", &added)]);
    let operation = plan.operations.first().unwrap();
    assert!(matches!(
        operation.changes.as_slice(),
        [Change::Watch(ObserverChange::Added(ItemId(7), _))]
    ));
    assert_eq!(operation.following.people(), [ANN]);
    assert_eq!(operation.following.chats.len(), 1);
    // Without one: the items of the issue, of which one can have none; in a chat that one alone.
    let plan = decide("/crm add_observers @ann", snapshot(Level::Developer));
    let refused = ItemOutcome::Refused("Estimates have no observers".into());
    assert_eq!(
        outcomes(&plan),
        [("deal:7", &added), ("estimate:9", &refused)]
    );
    let mut in_chat = snapshot(Level::Developer);
    in_chat.watch.place = Place::Chat(ItemId(8));
    let plan = decide("/crm add_observers @ann", in_chat);
    assert_eq!(outcomes(&plan), [("contact:8", &added)]);
    // By address; one who left the chat comes back.
    let plan = decide(
        "/crm add_observers bob@example.com [contact:ADA@example.com]",
        snapshot(Level::Developer),
    );
    let back = ItemOutcome::People(vec![("bob@example.com".into(), ObserverOutcome::Back)]);
    assert_eq!(outcomes(&plan), [("contact:8", &back)]);
    // Of another kind than is said, it is not there.
    let plan = decide("/crm observers [lead:7]", snapshot(Level::Developer));
    assert_eq!(outcomes(&plan), [("lead:7", &ItemOutcome::NotFound)]);
}

#[test]
fn rights_are_looked_at_item_by_item() {
    let add = "/crm add_observers @ann [deal:7]";
    for (level, expected) in [
        (Level::Reporter, ItemOutcome::NoRight),
        (Level::Guest, ItemOutcome::NotFound),
    ] {
        let plan = decide(add, snapshot(level));
        assert_eq!(outcomes(&plan), [("deal:7", &expected)]);
        assert_eq!(plan.operations, []);
    }
    // The responsible may, whatever else he is; and he may not hand it over.
    let mut his = snapshot(Level::Guest);
    his.watch.actor = Some(BOB);
    let plan = decide(add, his.clone());
    assert_eq!(plan.operations.len(), 1);
    let plan = decide("/crm responsible @ann [deal:7]", his.clone());
    assert_eq!(outcomes(&plan), [("deal:7", &ItemOutcome::NoRight)]);
    // Unless he is nobody any more.
    for item in &mut his.watch.items {
        item.is_member = false;
    }
    let plan = decide(add, his);
    assert_eq!(outcomes(&plan), [("deal:7", &ItemOutcome::NotFound)]);
}

#[test]
fn a_later_command_sees_what_an_earlier_one_did_and_undo_takes_it_back() {
    let text = "/crm add_observers @ann [deal:7]\n/crm add_observers @ann [deal:7]\n/crm undo";
    let plan = decide(text, snapshot(Level::Developer));
    assert_eq!(plan.operations.len(), 2, "the second changed nothing");
    let undone = plan.operations.last().unwrap();
    assert!(matches!(
        undone.changes.as_slice(),
        [Change::Watch(ObserverChange::Removed(ItemId(7), _))]
    ));
    assert_eq!(undone.undoes, plan.operations.first().map(|first| first.id));
    assert!(matches!(
        plan.lines.last(),
        Some(Line::Undone {
            changes: 1,
            kept: 0,
            ..
        })
    ));
    let text = "/crm responsible @ann [deal:7]\n/crm undo";
    let plan = decide(text, snapshot(Level::Developer));
    assert!(
        matches!(
            plan.lines.last(),
            Some(Line::Undone {
                changes: 1,
                kept: 0,
                ..
            })
        ),
        "{:?}",
        plan.lines
    );
}

#[test]
fn items_are_linked_and_chats_are_made_once() {
    let text = "/crm link_item [contact:8]\n/crm link_item [contact:8]\n/crm unlink_item [deal:7]";
    let plan = decide(text, snapshot(Level::Reporter));
    let changes: Vec<_> = plan
        .operations
        .iter()
        .flat_map(|one| &one.changes)
        .collect();
    assert_eq!(
        changes,
        [&Change::Relate(ItemId(8)), &Change::Unrelate(ItemId(7))]
    );
    let plan = decide("/crm create_chat [deal:7]", snapshot(Level::Developer));
    assert_eq!(outcomes(&plan), [("deal:7", &ItemOutcome::ChatThere)]);
    let mut without = snapshot(Level::Developer);
    without.watch.items[0].watched.chat = None;
    let plan = decide("/crm create_chat [deal:7]", without.clone());
    assert_eq!(outcomes(&plan), [("deal:7", &ItemOutcome::NoMessenger)]);
    without.watch.messenger = Some(ConnectionId(5));
    let plan = decide("/crm create_chat [deal:7]", without);
    assert_eq!(outcomes(&plan), [("deal:7", &ItemOutcome::ChatCreated)]);
    let changes = &plan.operations.first().unwrap().changes;
    assert!(
        matches!(
            changes.as_slice(),
            [Change::CreateChat { .. }, Change::Watch(_)]
        ),
        "{changes:?}"
    );
}

#[test]
fn what_makes_no_sense_is_said_so() {
    for (text, expected) in [
        ("/crm add_observers", Refusal::NobodyNamed),
        (
            "/crm responsible @ann bob@example.com",
            Refusal::TooManyPeople,
        ),
        ("/crm link_item", Refusal::NoItemNamed),
        (
            "/crm add_observers ann",
            Refusal::Unclear { text: "ann".into() },
        ),
        (
            "/crm observers @ann",
            Refusal::Unclear {
                text: "@ann".into(),
            },
        ),
    ] {
        let plan = decide(text, snapshot(Level::Developer));
        assert!(
            matches!(plan.lines.as_slice(), [Line::Refused { refusal, .. }] if *refusal == expected),
            "{text}: {:?}",
            plan.lines
        );
    }
    let mut bare = snapshot(Level::Developer);
    bare.watch.items.clear();
    let plan = decide("/crm observers", bare);
    assert!(matches!(
        plan.lines.as_slice(),
        [Line::Refused {
            refusal: Refusal::NoItemsHere,
            ..
        }]
    ));
    let plan = decide(
        "/crm add_observers @nemo [deal:7]",
        snapshot(Level::Developer),
    );
    assert!(
        matches!(plan.lines.as_slice(), [Line::Items { unknown, .. }] if unknown == &["@nemo"])
    );
    assert_eq!(Following::default().people(), []);
}

#[test]
fn a_list_of_observers_names_people_so_it_is_not_for_everybody() {
    let plan = decide("/crm observers [deal:7]", snapshot(Level::Planner));
    let expected = ItemOutcome::Watchers {
        responsible: Some("bob".into()),
        observers: vec![("bob".into(), false)],
    };
    assert_eq!(outcomes(&plan), [("deal:7", &expected)]);
    assert!(plan.names_customers());
}
