//! What holds whatever happens, in whatever order.

use std::collections::HashSet;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;

/// Something that happens to an item.
#[derive(Debug, Clone)]
enum Step {
    Add(Vec<i64>, bool, Option<Hidden>),
    Remove(Vec<i64>),
    Save(Vec<i64>),
    Reassign(Option<i64>),
    Joined(i64, i64),
    Left(i64),
    ChatCreated(i64),
}

fn people() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(1..6_i64, 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    let history = prop_oneof![
        Just(None),
        Just(Some(Hidden::Nothing)),
        Just(Some(Hidden::Past))
    ];
    prop_oneof![
        (people(), any::<bool>(), history).prop_map(|(who, chat, past)| Step::Add(who, chat, past)),
        people().prop_map(Step::Remove),
        people().prop_map(Step::Save),
        prop::option::of(1..6_i64).prop_map(Step::Reassign),
        (1..6_i64, 1..6_i64).prop_map(|(who, by)| Step::Joined(who, by)),
        (1..6_i64).prop_map(Step::Left),
        (1..6_i64).prop_map(Step::ChatCreated),
    ]
}

fn policies() -> impl Strategy<Value = Policies> {
    let preset = prop_oneof![Just(ChatPreset::Current), Just(ChatPreset::Legacy)];
    let invites = prop_oneof![
        Just(InvitePolicy::Readers),
        Just(InvitePolicy::Editors),
        Just(InvitePolicy::Approval)
    ];
    let reassignment = prop_oneof![Just(Reassignment::Keep), Just(Reassignment::Drop)];
    (preset, invites, reassignment).prop_map(|(preset, invites, reassignment)| Policies {
        preset,
        invites,
        reassignment,
    })
}

fn item(observable: bool) -> Watched {
    Watched {
        item: ItemId(1),
        kind: ItemKind::Custom,
        observable,
        responsible: None,
        observers: Vec::new(),
        hidden_before: Vec::new(),
        chat: Some(ChatId(1)),
        hides_history: Some(true),
    }
}

const BY: Option<PersonId> = Some(PersonId(99));

fn decide(step: &Step, item: &Watched, policies: Policies) -> Watching {
    let ids = |people: &[i64]| people.iter().copied().map(PersonId).collect::<Vec<_>>();
    let at = DateTime::UNIX_EPOCH;
    let how = |in_chat, history| Added {
        by: BY,
        at,
        in_chat,
        history,
    };
    let decided = match step {
        Step::Add(who, in_chat, history) => item.add(&ids(who), how(*in_chat, *history)),
        Step::Remove(who) => item.remove(&ids(who), BY),
        Step::Save(who) => item.save(&ids(who), how(true, None)),
        Step::Reassign(to) => Ok(item.reassign(to.map(PersonId), (BY, at), policies)),
        Step::Joined(who, by) => {
            let newcomer = Newcomer {
                person: PersonId(*who),
                is_employee: who % 5 != 0,
                shows_history: true,
            };
            let inviter = Inviter {
                person: PersonId(*by),
                may_read: true,
                may_edit: by % 2 == 0,
            };
            Ok(item.joined(newcomer, Some(inviter), (policies, at)))
        }
        Step::Left(who) => Ok(item.left(PersonId(*who), policies)),
        Step::ChatCreated(who) => item.chat_created(PersonId(*who), at),
    };
    decided.unwrap_or_default()
}

/// Applies changes as the store does, and checks that each fits what is there.
fn apply(item: &mut Watched, changes: &[ObserverChange]) {
    for change in changes {
        match *change {
            ObserverChange::Added(_, observer) => {
                assert!(item.observer(observer.person).is_none(), "added twice");
                item.observers.push(observer);
            }
            ObserverChange::Removed(_, observer) => {
                assert_eq!(item.observer(observer.person), Some(&observer));
                item.observers.retain(|one| one.person != observer.person);
            }
            ObserverChange::Changed { before, after, .. } => {
                let there = item.observers.iter_mut().find(|one| **one == before);
                *there.unwrap() = after;
            }
            ObserverChange::Responsible { before, after, .. } => {
                assert_eq!(item.responsible, before);
                item.responsible = after;
            }
            ObserverChange::Requested { .. } => {}
        }
    }
}

proptest! {
    #[test]
    fn changes_always_fit_what_is_there(steps in prop::collection::vec((step(), policies()), 0..30), observable: bool) {
        let mut item = item(observable);
        for (step, policies) in steps {
            let watching = decide(&step, &item, policies);
            apply(&mut item, &watching.changes);
            let people: HashSet<_> = item.observers.iter().map(|one| one.person).collect();
            prop_assert_eq!(people.len(), item.observers.len());
            prop_assert!(observable || item.observers.is_empty());
            prop_assert!(watching.told.iter().all(|(person, _)| Some(*person) != BY));
        }
    }

    #[test]
    fn what_is_done_twice_changes_nothing_more(
        before in prop::collection::vec((step(), policies()), 0..10), last in step(), policies in policies(),
    ) {
        let mut item = item(true);
        for (step, policies) in before {
            let watching = decide(&step, &item, policies);
            apply(&mut item, &watching.changes);
        }
        let once = decide(&last, &item, policies);
        apply(&mut item, &once.changes);
        let asked = |change: &ObserverChange| matches!(change, ObserverChange::Requested { .. });
        let twice = decide(&last, &item, policies);
        prop_assert!(twice.changes.iter().all(asked), "{:?}", twice.changes);
    }

    #[test]
    fn nothing_but_asking_for_it_puts_anybody_back(
        before in prop::collection::vec(step(), 0..10), who in 1..6_i64, list in people(),
    ) {
        let mut item = item(true);
        for step in before {
            let watching = decide(&step, &item, Policies::default());
            apply(&mut item, &watching.changes);
        }
        let left = item.left(PersonId(who), Policies::default());
        apply(&mut item, &left.changes);
        let is_in = |item: &Watched| item.observer(PersonId(who)).is_some_and(|one| one.in_chat);
        prop_assert!(!is_in(&item));
        if item.observer(PersonId(who)).is_some() {
            let saved = decide(&Step::Save([list, vec![who]].concat()), &item, Policies::default());
            apply(&mut item, &saved.changes);
            prop_assert!(!is_in(&item));
        }
    }

    #[test]
    fn taking_back_at_once_restores_the_list(before in prop::collection::vec(step(), 0..10), last in step()) {
        let mut item = item(true);
        for step in before {
            let watching = decide(&step, &item, Policies::default());
            apply(&mut item, &watching.changes);
        }
        let was = item.clone();
        let done = decide(&last, &item, Policies::default());
        apply(&mut item, &done.changes);
        let now = [(item.item, item.clone())].into_iter().collect();
        let (back, kept) = watch_back(&done.changes, &now, BY);
        prop_assert_eq!(kept, vec![]);
        for watching in back.values() {
            apply(&mut item, &watching.changes);
        }
        let sorted = |item: &Watched| {
            let mut observers = item.observers.clone();
            observers.sort_by_key(|one| one.person);
            (observers, item.responsible)
        };
        prop_assert_eq!(sorted(&item), sorted(&was));
    }
}
