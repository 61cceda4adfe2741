//! Who observes items and who is responsible for them, changed for a few items that are named by their ids.

use std::collections::BTreeMap;

use super::{
    Asker, Crm, CrmError,
    error::Failure,
    items::{Place, known},
    watch::Decided,
};
use crate::{
    domain::{ItemId, OperationId, PersonId},
    rules::{ObserverOutcome, OnItem, Policies, Refused, Right, WatchTask},
    store::{
        observer::{self, Seen},
        operation::Act,
        policy,
        road::Fresh,
    },
};

/// Items that one change may name; for more there are jobs.
pub const MAX_WATCHED: usize = 1000;

/// What came of a change of who watches items, or what would come of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchReport {
    /// By which it is taken back; none where nothing changed.
    pub operation: Option<OperationId>,
    /// How many items changed.
    pub changed: u64,
    /// How many were so before.
    pub same: u64,
    /// Why others could not be changed, and how many those are.
    pub refused: BTreeMap<String, u64>,
    /// What came of each person on each item.
    pub outcomes: Vec<(ItemId, PersonId, ObserverOutcome)>,
    /// How many chats have to follow.
    pub chats: u64,
}

impl WatchReport {
    /// Adds what came of one item.
    pub(super) fn add(&mut self, item: ItemId, decided: &Result<Decided, Refused>) {
        match decided {
            Ok(one) => {
                let watching = &one.watching;
                if watching.changes.is_empty() {
                    self.same += 1;
                } else {
                    self.changed += 1;
                }
                if watching.settle && one.chat.is_some() {
                    self.chats += 1;
                }
                let outcomes = watching.outcomes.iter();
                self.outcomes
                    .extend(outcomes.map(|(person, outcome)| (item, *person, *outcome)));
            }
            Err(refused) => {
                *self.refused.entry(sentence(refused)).or_default() += 1;
            }
        }
    }
}

/// Returns the reason of a refusal.
fn sentence(refused: &Refused) -> String {
    match refused {
        Refused::NotFound => "Not found".to_owned(),
        Refused::Denied(sentence) => sentence.clone(),
        Refused::Invalid(sentences) => sentences.join(", "),
    }
}

impl Crm {
    /// Changes who watches items, all of one group. What cannot be changed is counted with the reason; the rest is changed.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] where an item is not there or not the asker's to see; [`CrmError::Invalid`] where nobody or a stranger is named.
    pub async fn change_watchers(
        &self,
        asker: Asker,
        items: &[ItemId],
        task: &WatchTask,
        dry_run: bool,
    ) -> Result<WatchReport, CrmError> {
        task.check()?;
        if items.is_empty() {
            return Err(Refused::because("No item is named").into());
        }
        if items.len() > MAX_WATCHED {
            let reason = format!("You can only change up to {MAX_WATCHED} items at one time");
            return Err(Refused::because(reason).into());
        }
        self.decide(|fresh| self.change_once(asker, items, (task, dry_run), fresh))
            .await
    }

    async fn change_once(
        &self,
        asker: Asker,
        items: &[ItemId],
        (task, dry_run): (&WatchTask, bool),
        fresh: Fresh,
    ) -> Result<WatchReport, Failure> {
        let mut tx = self.pool.begin().await?;
        let first = items.first().copied().ok_or(Refused::NotFound)?;
        let Place { on, root, group } = self.towards_item(&mut tx, asker, first, fresh).await?;
        if task.brings() {
            known(&mut tx, root, &task.people()).await?;
        }
        let act = self.act(asker, root, group);
        let policy = policy::of_group(&mut tx, root, group).await?;
        let mut ids: Vec<i64> = items.iter().map(|item| item.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let messenger = policy.messenger.map(|(_, kind)| kind);
        let seen = observer::lock(&mut tx, root, &ids, messenger).await?;
        let there = observer::those_in_group(&mut tx, (root, group), &ids).await?;
        if seen.len() != ids.len() || there.len() != ids.len() {
            return Err(Refused::NotFound.into());
        }
        if !on.access.allows(Right::ViewContacts)
            && !seen.iter().all(|seen| concerns(seen, asker.person))
        {
            return Err(Refused::NotFound.into());
        }
        let mut report = WatchReport::default();
        let mut decided = Vec::new();
        for seen in &seen {
            let one = decide(seen, task, (on, asker.person), &act, policy.policies);
            report.add(seen.watched.item, &one);
            decided.extend(one);
        }
        if report.changed == 0 || dry_run {
            return Ok(report);
        }
        let signals = self.watch(&mut tx, &act, &policy, &decided).await?;
        tx.commit().await?;
        self.signal(&signals).await;
        report.operation = Some(act.operation);
        Ok(report)
    }

    /// Approves those who wait to observe an item, or turns them away.
    ///
    /// # Errors
    /// [`CrmError::Denied`] for whoever may not change its observers; [`CrmError::Invalid`] where nobody of those waits.
    pub async fn answer_requests(
        &self,
        asker: Asker,
        item: ItemId,
        people: &[PersonId],
        approve: bool,
    ) -> Result<(), CrmError> {
        let waiting = self
            .decide(|fresh| self.take_requests(asker, item, (people, approve), fresh))
            .await?;
        if waiting.is_empty() {
            return Err(Refused::because("Nobody of those waits for approval").into());
        }
        if approve {
            let task = WatchTask::Add {
                people: waiting,
                in_chat: true,
                history: None,
            };
            self.change_watchers(asker, &[item], &task, false).await?;
        }
        Ok(())
    }

    async fn take_requests(
        &self,
        asker: Asker,
        item: ItemId,
        (people, approve): (&[PersonId], bool),
        fresh: Fresh,
    ) -> Result<Vec<PersonId>, Failure> {
        let mut tx = self.pool.begin().await?;
        let place = self.towards_item(&mut tx, asker, item, fresh).await?;
        if !place.on.changes_observers() {
            return Err(no_right().into());
        }
        // One that is approved goes when he is added.
        let found = observer::requests(&mut tx, (place.root, item), people, !approve).await?;
        tx.commit().await?;
        Ok(found)
    }
}

/// Decides on one item, as far as the asker may change it.
pub(super) fn decide(
    seen: &Seen,
    task: &WatchTask,
    (on, person): (OnItem, PersonId),
    act: &Act,
    policies: Policies,
) -> Result<Decided, Refused> {
    let on = OnItem {
        is_responsible: seen.watched.is_responsible(person),
        ..on
    };
    let may = match task {
        WatchTask::Responsible { .. } => on.edits(),
        _ => on.changes_observers(),
    };
    if !may {
        return Err(no_right());
    }
    let watching = task.decide(&seen.watched, (act.actor, act.at), policies)?;
    Ok(Decided::of(seen, watching))
}

fn no_right() -> Refused {
    let sentence = "You have insufficient permissions to change observers of this item";
    Refused::Denied(sentence.to_owned())
}

/// Returns whether somebody observes an item or is responsible for it.
fn concerns(seen: &Seen, person: PersonId) -> bool {
    seen.watched.is_responsible(person) || seen.watched.observer(person).is_some()
}
