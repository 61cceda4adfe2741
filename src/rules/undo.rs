//! `undo`: takes back what the person's last command on the issue did.

use std::collections::BTreeMap;

use super::{
    Change, Line, ObserverChange, PastChange, PastOperation, Refusal, Right, Watched, watch_back,
    working::Working,
};
use crate::{
    domain::{Clock, ItemId},
    quick_action::CommandName,
};

/// Takes back the newest operation that still stands, as far as the world still is as it left it.
pub(super) fn undo(working: &mut Working, clock: &dyn Clock) -> Line {
    let Some(operation) = working.pop_standing() else {
        return Line::NothingToUndo;
    };
    let required = operation.changes.iter().filter_map(|change| match change {
        PastChange::Created { .. } => Some(Right::CreateContacts),
        PastChange::Related(_) | PastChange::Unrelated(_) => Some(Right::RelateContacts),
        PastChange::Watched(_) => None,
    });
    if let Some(right) = required
        .into_iter()
        .find(|right| !working.access.allows(*right))
    {
        return Line::Refused {
            command: CommandName::Undo,
            refusal: Refusal::NoRight(right),
        };
    }
    let mut changes = Vec::new();
    let (mut undone, mut kept) = watching(&operation, working, &mut changes);
    for change in operation.changes.iter().rev() {
        let back = match *change {
            PastChange::Related(id) => {
                (working.is_related(id) == Some(true)).then_some(Change::Unrelate(id))
            }
            PastChange::Unrelated(id) => {
                (working.is_related(id) == Some(false)).then_some(Change::Relate(id))
            }
            PastChange::Created { id, untouched } => {
                let there = working.by_id(id).filter(|_| untouched);
                there.map(|_| Change::Delete(id))
            }
            PastChange::Watched(_) => continue,
        };
        match back {
            Some(change) => {
                undone += 1;
                changes.push(change);
            }
            None => kept += 1,
        }
    }
    working.commit(CommandName::Undo, changes, Some(operation.id), clock);
    Line::Undone {
        command: operation.command,
        changes: undone,
        kept,
    }
}

/// Takes back what the operation changed about who watches items, where the person still may; returns how much, and how much stays.
fn watching(
    operation: &PastOperation,
    working: &mut Working,
    changes: &mut Vec<Change>,
) -> (usize, usize) {
    let past: Vec<ObserverChange> = operation
        .changes
        .iter()
        .filter_map(|change| match change {
            PastChange::Watched(change) => Some(*change),
            _ => None,
        })
        .collect();
    let actor = working.watch.actor;
    let access = working.access;
    let now: BTreeMap<ItemId, Watched> = working
        .watch
        .items
        .iter()
        .filter(|item| item.on(access, actor).changes_observers())
        .map(|item| (item.watched.item, item.watched.clone()))
        .collect();
    let reachable = past
        .iter()
        .filter(|change| now.contains_key(&change.item()));
    let hidden = past.len() - reachable.count();
    let (back, kept) = watch_back(&past, &now, actor);
    let mut undone = 0;
    for (item, watching) in back {
        undone += watching.changes.len();
        if let Some(item) = working.item(item).cloned() {
            working.watch(&item, watching, changes);
        }
    }
    (undone, hidden + kept.len())
}
