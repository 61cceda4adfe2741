//! Taking back an operation that is named by its id.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    Asker, Crm, CrmError,
    error::Failure,
    items::{detail, write},
};
use crate::{
    domain::{GroupId, ItemId, OperationId, RootId},
    rules::{self, Past, Refused, Right, Situation, TakeBack, take_back},
    store::{
        item_fields,
        operation::{self, Act, Told},
        relation,
        road::Fresh,
        standing::Held,
    },
};

/// What came of taking back an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoReport {
    /// The operation that took it back.
    pub operation: OperationId,
    /// How many changes were taken back.
    pub undone: usize,
    /// What stays as it is, with the reason, in words for people and without customers' data.
    pub kept: Vec<String>,
}

impl Crm {
    /// Takes back an operation, of whomever and through whatever, as far as nobody changed since what it changed.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] where nothing can be taken back, with the reasons; [`CrmError::Denied`] where it takes more rights.
    pub async fn undo(&self, asker: Asker, operation: OperationId) -> Result<UndoReport, CrmError> {
        self.decide(|fresh| self.undo_once(asker, operation, fresh))
            .await
    }

    async fn undo_once(
        &self,
        asker: Asker,
        undone: OperationId,
        fresh: Fresh,
    ) -> Result<UndoReport, Failure> {
        let mut tx = self.pool.begin().await?;
        let root = operation::root(&mut tx, undone).await?;
        let root = root.ok_or(Refused::NotFound)?;
        let past = operation::lock(&mut tx, root, undone).await?;
        let group = past.group.ok_or(Refused::NotFound)?;
        self.may_undo(&mut tx, asker, (root, group), &past, fresh)
            .await?;
        let situation = situation(&mut tx, (root, group), undone, &past).await?;
        let mut back = take_back(&past, situation);
        let kept: Vec<String> = back.kept.iter().map(ToString::to_string).collect();
        if back.undone == 0 {
            return Err(Refused::Invalid(kept).into());
        }
        let act = Act {
            undoes: Some(undone),
            ..self.act(asker, root, group)
        };
        let undone = back.undone;
        apply(&mut tx, &act, &mut back).await?;
        operation::mark_undone(&mut tx, &act).await?;
        tx.commit().await?;
        self.tell(&act).await;
        Ok(UndoReport {
            operation: act.operation,
            undone,
            kept,
        })
    }

    async fn may_undo(
        &self,
        connection: &mut PgConnection,
        asker: Asker,
        (root, group): (RootId, GroupId),
        past: &Past,
        fresh: Fresh,
    ) -> Result<(), Failure> {
        let place = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(connection, asker.person, place, fresh)
            .await?;
        // Whoever may not see the contacts is not told whether there is anything to take back.
        if !access.allows(Right::ViewContacts) {
            return Err(Refused::NotFound.into());
        }
        let required = past.required()?;
        if let Some(right) = required.in_group {
            rules::may(&access, right, "undo this")?;
        }
        if let Some(issue) = required.on_issue {
            let on_issue = self
                .towards_issue(connection, asker.person, (root, issue), fresh)
                .await?;
            if !on_issue.access.issue_readable {
                return Err(Refused::NotFound.into());
            }
            rules::may(&on_issue.access, Right::RelateContacts, "undo this")?;
        }
        Ok(())
    }
}

/// Locks what an operation touched and loads how it is now.
async fn situation(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    operation: OperationId,
    past: &Past,
) -> Result<Situation, Failure> {
    let numbers = |items: &[ItemId]| items.iter().map(|item| item.0).collect::<Vec<i64>>();
    let ids = numbers(&past.items());
    let items = item_fields::lock(connection, root, &ids).await?;
    let created = numbers(&past.created());
    let relations: Vec<_> = past.relations().collect();
    let issues: Vec<i64> = relations.iter().map(|(issue, _)| issue.0).collect();
    let values = past.unique_values();
    Ok(Situation {
        group,
        items: items
            .into_iter()
            .filter(|item| item.group == group)
            .map(|item| (item.id, item.fields))
            .collect(),
        untouched: operation::untouched(connection, (root, operation), &created).await?,
        related: relation::existing(connection, root, &relations).await?,
        holders: relation::holders(connection, root, &issues).await?,
        taken: item_fields::taken(connection, (root, group), &values, &ids)
            .await?
            .into_iter()
            .collect(),
    })
}

/// Does what was decided, in an order in which no step needs a later one.
async fn apply(
    connection: &mut PgConnection,
    act: &Act,
    back: &mut TakeBack,
) -> Result<(), Failure> {
    relation::remove(connection, act, &back.unrelate).await?;
    let gone: Vec<i64> = back.delete.iter().map(|(item, _)| item.0).collect();
    item_fields::delete(connection, act.root, &gone).await?;
    write(connection, act, std::mem::take(&mut back.edit_first)).await?;
    if !back.restore.is_empty() {
        let place = (act.root, act.group);
        item_fields::insert(connection, place, &back.restore, act.at).await?;
    }
    let told = |action, item: ItemId, fields| Told {
        item: Some(item),
        action,
        detail: detail([("fields", json!(fields))]),
    };
    let deleted = back.delete.iter();
    let restored = back.restore.iter();
    let rows = deleted
        .map(|(item, fields)| told("item_deleted", *item, fields))
        .chain(restored.map(|(item, fields, _)| told("item_created", *item, fields)))
        .collect();
    operation::append(connection, act, rows).await?;
    write(connection, act, std::mem::take(&mut back.edit_last)).await?;
    relation::add(connection, act, &back.relate).await?;
    Ok(())
}
