//! The table of what happens with observers and chats: a test per row, named after it.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;

const R: PersonId = PersonId(1);
const ANN: PersonId = PersonId(2);
const BOB: PersonId = PersonId(3);
const CY: PersonId = PersonId(4);
const ITEM: ItemId = ItemId(7);

fn at() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(1)
}

fn observing(person: PersonId) -> Observer {
    Observer {
        person,
        in_chat: true,
        show_history: true,
        added_by: None,
        added_at: DateTime::UNIX_EPOCH,
    }
}

fn away(person: PersonId) -> Observer {
    Observer {
        in_chat: false,
        ..observing(person)
    }
}

/// A deal that R is responsible for, with a chat in a messenger that can hide the past.
fn deal(observers: &[Observer]) -> Watched {
    Watched {
        item: ITEM,
        kind: ItemKind::Deal,
        observable: true,
        responsible: Some(Responsible {
            person: R,
            in_chat: true,
        }),
        observers: observers.to_vec(),
        hidden_before: Vec::new(),
        chat: Some(ChatId(9)),
        hides_history: Some(true),
    }
}

fn by(person: PersonId) -> Added {
    Added {
        by: Some(person),
        at: at(),
        in_chat: true,
        history: None,
    }
}

fn came(person: PersonId, by: PersonId) -> Observer {
    Observer {
        added_by: Some(by),
        added_at: at(),
        ..observing(person)
    }
}

fn inviter(person: PersonId, may_read: bool, may_edit: bool) -> Inviter {
    Inviter {
        person,
        may_read,
        may_edit,
    }
}

fn newcomer(person: PersonId) -> Newcomer {
    Newcomer {
        person,
        is_employee: true,
        shows_history: false,
    }
}

fn under(invites: InvitePolicy) -> (Policies, DateTime<Utc>) {
    let policies = Policies {
        invites,
        ..Policies::default()
    };
    (policies, at())
}

#[test]
fn row_01_created_with_a_responsible_and_observers() {
    let new = Watched {
        responsible: None,
        chat: None,
        ..deal(&[])
    };
    let watching = new
        .created(Some(R), &[ANN, BOB], (Some(ANN), at()))
        .unwrap();
    assert_eq!(
        watching.told,
        [(BOB, Happening::Observing), (R, Happening::Responsible)],
        "nobody is told of himself"
    );
    assert_eq!(watching.changes.len(), 3);
    assert!(!watching.settle, "there is no chat");
}

#[test]
fn row_02_the_chat_is_created_and_its_creator_observes() {
    let watching = deal(&[observing(ANN)]).chat_created(BOB, at()).unwrap();
    let expected = [ObserverChange::Added(ITEM, came(BOB, BOB))];
    assert_eq!(
        (watching.changes.as_slice(), watching.settle),
        (&expected[..], true)
    );
    assert_eq!(watching.told, []);
    // The responsible and whoever observes already are in it anyway.
    let watching = deal(&[observing(ANN)]).chat_created(R, at()).unwrap();
    assert_eq!((watching.changes.len(), watching.settle), (0, true));
    // Asking for the chat is on purpose: who had left comes back.
    let watching = deal(&[away(ANN)]).chat_created(ANN, at()).unwrap();
    assert_eq!(watching.outcomes, [(ANN, ObserverOutcome::Back)]);
}

#[test]
fn row_03_an_observer_is_added() {
    let watching = deal(&[]).add(&[ANN, ANN], by(R)).unwrap();
    assert_eq!(
        watching.changes,
        [ObserverChange::Added(ITEM, came(ANN, R))]
    );
    assert_eq!(watching.told, [(ANN, Happening::Observing)]);
    assert!(watching.settle);
    assert!(came(ANN, R).show_history, "full history");
}

#[test]
fn row_04_an_observer_is_removed() {
    let watching = deal(&[observing(ANN)])
        .remove(&[ANN, BOB], Some(R))
        .unwrap();
    assert_eq!(
        watching.changes,
        [ObserverChange::Removed(ITEM, observing(ANN))]
    );
    assert_eq!(watching.told, [(ANN, Happening::ObservingNoLonger)]);
    assert_eq!(
        watching.outcomes,
        [
            (ANN, ObserverOutcome::Removed),
            (BOB, ObserverOutcome::NotThere)
        ]
    );
    assert!(watching.settle);
    // Whoever removes himself is told nothing.
    let watching = deal(&[observing(ANN)]).remove(&[ANN], Some(ANN)).unwrap();
    assert_eq!(watching.told, []);
}

#[test]
fn row_05_somebody_is_added_in_the_chat() {
    let item = deal(&[]);
    let reader = Some(inviter(BOB, true, false));
    let watching = item.joined(newcomer(ANN), reader, under(InvitePolicy::Readers));
    let expected = Observer {
        show_history: false,
        ..came(ANN, BOB)
    };
    assert_eq!(watching.changes, [ObserverChange::Added(ITEM, expected)]);
    assert_eq!(watching.told, [(ANN, Happening::Observing)]);
    // Not by whoever may not read, not by an unknown one, not with the stricter policy, no bot and no guest.
    let stranger = Newcomer {
        is_employee: false,
        ..newcomer(ANN)
    };
    for (newcomer, inviter, invites) in [
        (
            newcomer(ANN),
            Some(inviter(BOB, false, false)),
            InvitePolicy::Readers,
        ),
        (newcomer(ANN), None, InvitePolicy::Readers),
        (newcomer(ANN), reader, InvitePolicy::Editors),
        (
            stranger,
            Some(inviter(BOB, true, true)),
            InvitePolicy::Readers,
        ),
    ] {
        let watching = item.joined(newcomer, inviter, under(invites));
        assert_eq!(watching.changes, []);
        assert_eq!(watching.outcomes, [(ANN, ObserverOutcome::NotByThat)]);
    }
    // With approval the responsible is asked; an editor needs none.
    let watching = item.joined(newcomer(ANN), reader, under(InvitePolicy::Approval));
    let request = ObserverChange::Requested {
        item: ITEM,
        person: ANN,
        by: BOB,
    };
    assert_eq!(watching.changes, [request]);
    assert_eq!(watching.told, [(R, Happening::AskedToApprove)]);
    let editor = Some(inviter(BOB, true, true));
    let watching = item.joined(newcomer(ANN), editor, under(InvitePolicy::Approval));
    assert_eq!(watching.outcomes, [(ANN, ObserverOutcome::Added)]);
    // Our own calls come back as events.
    let known = deal(&[observing(ANN)]).joined(newcomer(ANN), reader, under(InvitePolicy::Readers));
    assert_eq!(
        (known.changes.len(), known.told.len(), known.settle),
        (0, 0, false)
    );
}

#[test]
fn row_06_somebody_leaves_the_chat_and_observes_on() {
    let watching = deal(&[observing(ANN)]).left(ANN, Policies::default());
    let off = ObserverChange::Changed {
        item: ITEM,
        before: observing(ANN),
        after: away(ANN),
    };
    assert_eq!(watching.changes, [off]);
    assert_eq!((watching.told.len(), watching.settle), (0, false));
    let again = deal(&[away(ANN)]).left(ANN, Policies::default());
    assert_eq!(again, Watching::default());
    // So does the responsible, who stays responsible.
    let watching = deal(&[]).left(R, Policies::default());
    assert!(
        matches!(watching.changes.as_slice(), [ObserverChange::Responsible { after: Some(after), .. }]
                 if after.person == R && !after.in_chat)
    );
    // The old preset: leaving ends observing.
    let legacy = Policies {
        preset: ChatPreset::Legacy,
        ..Policies::default()
    };
    let watching = deal(&[observing(ANN)]).left(ANN, legacy);
    assert_eq!(
        watching.changes,
        [ObserverChange::Removed(ITEM, observing(ANN))]
    );
}

#[test]
fn row_07_added_again_on_purpose() {
    let watching = deal(&[away(ANN)]).add(&[ANN], by(R)).unwrap();
    let on = ObserverChange::Changed {
        item: ITEM,
        before: away(ANN),
        after: observing(ANN),
    };
    assert_eq!(watching.changes, [on]);
    assert_eq!(watching.outcomes, [(ANN, ObserverOutcome::Back)]);
    assert_eq!(watching.told, [(ANN, Happening::Observing)]);
    assert!(watching.settle);
}

#[test]
fn row_08_the_same_list_is_saved_again() {
    let list = [observing(ANN), away(BOB)];
    let watching = deal(&list).save(&[BOB, ANN], by(R)).unwrap();
    assert_eq!((watching.changes.len(), watching.settle), (0, false));
    // Another list changes only what differs.
    let watching = deal(&list).save(&[BOB, CY], by(R)).unwrap();
    assert_eq!(
        watching.changes,
        [
            ObserverChange::Added(ITEM, came(CY, R)),
            ObserverChange::Removed(ITEM, observing(ANN)),
        ]
    );
}

#[test]
fn row_09_the_responsible_changes() {
    let change = ObserverChange::Responsible {
        item: ITEM,
        before: Some(Responsible {
            person: R,
            in_chat: true,
        }),
        after: Some(Responsible {
            person: ANN,
            in_chat: true,
        }),
    };
    let watching = deal(&[]).reassign(Some(ANN), (Some(BOB), at()), Policies::default());
    assert_eq!(
        watching.changes,
        [change, ObserverChange::Added(ITEM, came(R, BOB))],
        "the one before observes on"
    );
    assert_eq!(
        watching.told,
        [
            (ANN, Happening::Responsible),
            (R, Happening::ResponsibleNoLonger)
        ]
    );
    assert!(watching.settle);
    let drop = Policies {
        reassignment: Reassignment::Drop,
        ..Policies::default()
    };
    let watching = deal(&[observing(R)]).reassign(Some(ANN), (Some(BOB), at()), drop);
    assert_eq!(
        watching.changes,
        [change, ObserverChange::Removed(ITEM, observing(R))]
    );
    let same = deal(&[]).reassign(Some(R), (Some(BOB), at()), Policies::default());
    assert_eq!(same, Watching::default());
}

#[test]
fn row_10_the_past_of_the_chat_is_hidden() {
    let hide = Added {
        history: Some(Hidden::Past),
        ..by(R)
    };
    let watching = deal(&[]).add(&[ANN], hide).unwrap();
    let marked = Observer {
        show_history: false,
        ..came(ANN, R)
    };
    assert_eq!(watching.changes, [ObserverChange::Added(ITEM, marked)]);
    // The mark is kept, on the list and after it.
    let again = deal(&[marked]).add(&[ANN], by(R)).unwrap();
    assert_eq!(again.changes, []);
    let back = Watched {
        hidden_before: vec![ANN],
        ..deal(&[])
    };
    let again = back.add(&[ANN], by(R)).unwrap();
    assert_eq!(again.changes, [ObserverChange::Added(ITEM, marked)]);
    // Until somebody says otherwise.
    let shown = Added {
        history: Some(Hidden::Nothing),
        ..by(R)
    };
    let again = back.add(&[ANN], shown).unwrap();
    assert_eq!(again.changes, [ObserverChange::Added(ITEM, came(ANN, R))]);
    // What the messenger cannot hide is never shown silently.
    let cannot = Watched {
        hides_history: Some(false),
        ..back
    };
    let reason = "This messenger cannot hide the history of a chat from one person";
    for how in [hide, by(R)] {
        assert_eq!(cannot.add(&[ANN], how), Err(Refused::because(reason)));
    }
    let outside = Added {
        in_chat: false,
        ..hide
    };
    assert!(cannot.add(&[ANN], outside).is_ok());
}

#[test]
fn row_11_an_observer_without_the_chat() {
    let without = Added {
        in_chat: false,
        ..by(R)
    };
    let watching = deal(&[]).add(&[ANN], without).unwrap();
    let expected = Observer {
        in_chat: false,
        ..came(ANN, R)
    };
    assert_eq!(watching.changes, [ObserverChange::Added(ITEM, expected)]);
    assert_eq!(watching.told, [(ANN, Happening::Observing)]);
}

#[test]
fn row_12_merged_items_have_the_union() {
    let loser = Watched {
        item: ItemId(8),
        responsible: Some(Responsible {
            person: CY,
            in_chat: true,
        }),
        ..deal(&[observing(ANN), away(BOB)])
    };
    let winner = deal(&[observing(ANN)]);
    let watching = combined(
        &winner,
        std::slice::from_ref(&loser),
        at(),
        Policies::default(),
    );
    let replaced = Observer {
        added_at: at(),
        ..observing(CY)
    };
    assert_eq!(
        watching.changes,
        [
            ObserverChange::Added(ITEM, away(BOB)),
            ObserverChange::Added(ITEM, replaced)
        ]
    );
    assert_eq!((watching.told.len(), watching.settle), (0, true));
    let without = Watched {
        responsible: None,
        ..winner
    };
    let watching = combined(&without, &[loser], at(), Policies::default());
    assert!(
        matches!(watching.changes.first(), Some(ObserverChange::Responsible { after: Some(after), .. }) if after.person == CY)
    );
}

#[test]
fn row_13_a_converted_lead_keeps_its_people() {
    let lead = deal(&[observing(ANN), away(BOB)]);
    let watching = carried(&lead, ItemId(70));
    let given = ObserverChange::Responsible {
        item: ItemId(70),
        before: None,
        after: lead.responsible,
    };
    assert_eq!(
        watching.changes,
        [
            given,
            ObserverChange::Added(ItemId(70), observing(ANN)),
            ObserverChange::Added(ItemId(70), away(BOB))
        ]
    );
    assert_eq!((watching.told.len(), watching.settle), (0, true));
}

#[test]
fn row_14_a_person_who_is_gone_observes_nothing() {
    let watching = deal(&[observing(ANN)]).without(ANN);
    assert_eq!(
        watching.changes,
        [ObserverChange::Removed(ITEM, observing(ANN))]
    );
    assert!(watching.settle);
    let watching = deal(&[]).without(R);
    assert_eq!(
        (watching.changes.len(), watching.settle),
        (1, true),
        "it stays his until it is handed over, and nothing puts him into its chat"
    );
    assert_eq!(deal(&[]).without(BOB), Watching::default());
}

#[test]
fn row_15_types_without_observers_refuse() {
    let estimate = Watched {
        kind: ItemKind::Estimate,
        observable: false,
        ..deal(&[])
    };
    let refused = Err(Refused::because("Estimates have no observers"));
    assert_eq!(estimate.add(&[ANN], by(R)), refused);
    assert_eq!(estimate.remove(&[ANN], Some(R)), refused);
    assert_eq!(estimate.chat_created(R, at()), refused);
    let there = estimate.joined(
        newcomer(ANN),
        Some(inviter(BOB, true, true)),
        under(InvitePolicy::Readers),
    );
    assert_eq!(there.changes, []);
    // It has a responsible all the same, and the one before does not observe.
    let given = estimate.reassign(Some(ANN), (Some(BOB), at()), Policies::default());
    assert_eq!(given.changes.len(), 1);
    let custom = Watched {
        kind: ItemKind::Custom,
        ..estimate
    };
    assert_eq!(custom.why_not(), "Items of this type have no observers");
}
