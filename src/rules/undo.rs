//! `undo`: takes back what the person's last command on the issue did.

use super::{Change, Line, PastChange, Refusal, Right, working::Working};
use crate::{domain::Clock, quick_action::CommandName};

/// Takes back the newest operation that still stands, as far as the world still is as it left it.
pub(super) fn undo(working: &mut Working, clock: &dyn Clock) -> Line {
    let Some(operation) = working.pop_standing() else {
        return Line::NothingToUndo;
    };
    let creates = |change: &PastChange| matches!(change, PastChange::Created { .. });
    if operation.changes.iter().any(creates) && !working.access.allows(Right::CreateContacts) {
        return Line::Refused {
            command: CommandName::Undo,
            refusal: Refusal::NoRight(Right::CreateContacts),
        };
    }
    let mut changes = Vec::new();
    let (mut undone, mut kept) = (0, 0);
    for change in operation.changes.iter().rev() {
        let id = match change {
            PastChange::Related(id)
            | PastChange::Unrelated(id)
            | PastChange::Created { id, .. } => *id,
        };
        let back = match (change, working.by_id(id)) {
            (PastChange::Related(_), Some(contact)) if contact.related => {
                Some(Change::Unrelate(id))
            }
            (PastChange::Unrelated(_), Some(contact)) if !contact.related => {
                Some(Change::Relate(id))
            }
            (PastChange::Created { untouched, .. }, Some(_)) if *untouched => {
                Some(Change::Delete(id))
            }
            _ => None,
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
