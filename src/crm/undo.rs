//! Taking back an operation that is named by its id.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;
use sqlx::PgConnection;

use super::{
    Asker, Crm, CrmError,
    error::Failure,
    items::{detail, write},
    watch::Decided,
};
use crate::{
    domain::{GroupId, ItemId, OperationId, RootId},
    queue::Signal,
    rules::{
        self, Kept, Past, Refused, Right, Situation, TakeBack, Watched, take_back, watch_back,
    },
    store::{
        bulk_job, chat, item_fields, link, observer,
        operation::{self, Act, Told},
        policy, relation,
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
        if bulk_job::is_running(&mut tx, root, undone).await? {
            let reason = "This is still being done: stop it first";
            return Err(Refused::because(reason).into());
        }
        let past = operation::lock(&mut tx, root, undone).await?;
        let group = past.group.ok_or(Refused::NotFound)?;
        self.may_undo(&mut tx, asker, (root, group), &past, fresh)
            .await?;
        let situation = situation(&mut tx, (root, group), undone, &past).await?;
        let mut back = take_back(&past, situation);
        let act = Act {
            undoes: Some(undone),
            ..self.act(asker, root, group)
        };
        let mut undone = back.undone;
        let mut kept = std::mem::take(&mut back.kept);
        // Chats come back before their items go.
        let mut signals = self.chats_back(&mut tx, &act, &past).await?;
        let changed: Vec<i64> = back.items().map(|item| item.0).collect();
        apply(&mut tx, &act, &mut back).await?;
        let chats = chat::follow(&mut tx, root, &changed).await?;
        signals.extend(self.settle(&mut tx, &act, chats).await?);
        let linked = links_back(&mut tx, &act, &past).await?;
        undone += linked.0;
        kept.extend(linked.1);
        let watched = self.people_back(&mut tx, &act, &past).await?;
        undone += watched.undone;
        kept.extend(watched.kept);
        signals.extend(watched.signals);
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        if undone == 0 {
            return Err(Refused::Invalid(kept).into());
        }
        operation::mark_undone(&mut tx, &act).await?;
        tx.commit().await?;
        self.tell(&act).await;
        self.signal(&signals).await;
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
        let required = past.required();
        if let (Ok(_), Some(item)) = (&required, past.only_watches()) {
            // Whoever is responsible for an item changes its observers, and takes that back.
            let place = self.towards_item(connection, asker, item, fresh).await?;
            if place.on.changes_observers() {
                return Ok(());
            }
        }
        let place = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(connection, asker.person, place, fresh)
            .await?;
        // Whoever may not see the contacts is not told whether there is anything to take back.
        if !access.allows(Right::ViewContacts) {
            return Err(Refused::NotFound.into());
        }
        let required = required?;
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

/// What came back of those who watch items.
struct Back {
    undone: usize,
    kept: Vec<Kept>,
    signals: Vec<Signal>,
}

impl Crm {
    /// Gives chats back to the items that had them.
    async fn chats_back(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        past: &Past,
    ) -> Result<Vec<Signal>, Failure> {
        let mut chats = Vec::new();
        // One for each item that was converted or merged with a chat: a few.
        for (from, into) in past.chats_moved() {
            chats.extend(chat::hand_over(connection, act.root, (into, from)).await?);
        }
        self.settle(connection, act, chats).await
    }

    /// Puts people back in their places, on items that exist by now.
    async fn people_back(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        past: &Past,
    ) -> Result<Back, Failure> {
        let changes = past.watched();
        let mut items: Vec<i64> = changes.iter().map(|change| change.item().0).collect();
        items.sort_unstable();
        items.dedup();
        if items.is_empty() {
            return Ok(Back {
                undone: 0,
                kept: Vec::new(),
                signals: Vec::new(),
            });
        }
        let policy = policy::of_group(connection, act.root, act.group).await?;
        let messenger = policy.messenger.map(|(_, kind)| kind);
        let seen = observer::lock(connection, act.root, &items, messenger).await?;
        let now: BTreeMap<ItemId, Watched> = seen
            .iter()
            .map(|seen| (seen.watched.item, seen.watched.clone()))
            .collect();
        let (mut back, kept) = watch_back(&changes, &now, act.actor);
        let decided: Vec<Decided> = seen
            .iter()
            .filter_map(|seen| Some(Decided::of(seen, back.remove(&seen.watched.item)?)))
            .collect();
        Ok(Back {
            undone: decided.iter().map(|one| one.watching.changes.len()).sum(),
            kept,
            signals: self.watch(connection, act, &policy, &decided).await?,
        })
    }
}

/// Ends links that were made and makes those that were ended, as far as both ends are there; returns how many, and what stays.
async fn links_back(
    connection: &mut PgConnection,
    act: &Act,
    past: &Past,
) -> Result<(usize, Vec<Kept>), Failure> {
    let links = past.links();
    if links.is_empty() {
        return Ok((0, Vec::new()));
    }
    let mut ids: Vec<i64> = links
        .iter()
        .flat_map(|(item, to, _)| [item.0, to.0])
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let there: HashSet<ItemId> = item_fields::lock(connection, act.root, &ids)
        .await?
        .into_iter()
        .filter(|item| item.group == act.group)
        .map(|item| item.id)
        .collect();
    let made: Vec<link::Link> = links
        .iter()
        .filter(|(.., is_linked)| *is_linked)
        .map(|(item, to, _)| (*item, *to))
        .collect();
    let ended: Vec<link::Link> = links
        .iter()
        .filter(|(item, to, is_linked)| !is_linked && there.contains(item) && there.contains(to))
        .map(|(item, to, _)| (*item, *to))
        .collect();
    let mut done = link::remove(connection, act, &made).await?;
    done.extend(link::add(connection, act, &ended).await?);
    let kept = links
        .iter()
        // What went with its item is not missed.
        .filter(|(item, to, is_linked)| !is_linked || there.contains(item) && there.contains(to))
        .filter(|(item, to, _)| !done.contains(&(*item, *to)))
        .map(|(item, ..)| Kept::Link(*item))
        .collect();
    Ok((done.len(), kept))
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
        observer::put_responsible(connection, act, &back.responsible).await?;
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
