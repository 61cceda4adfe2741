//! Who observes items and who is responsible for them: for items that are named, or for all that match.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use super::{Refusal, Scope, told};
use crate::{
    api::graphql::{
        id::{BulkJobGid, GroupGid, ItemGid, ItemTypeGid, operation_gid},
        item::{BulkJob, Item, ItemKind, ItemState},
        user::User,
    },
    crm::{CrmError, MAX_WATCHED, WatchReport, Where},
    domain::{self, GroupId, ItemId, PersonId},
    rules::{self, Hidden, WatchTask},
    store::{
        bulk_job::{BulkTask, Selection},
        item_list::ItemFilter,
    },
};

/// Outcomes of single people that a payload tells.
const MAX_OUTCOMES: usize = 1000;

/// Changes of who watches items.
#[derive(Default)]
pub(super) struct ObserverMutation;

/// Which items of a group are meant: all that match, on every page of the list.
#[derive(InputObject)]
struct ItemFilterInput {
    /// The group that holds them.
    group_id: GroupGid,
    /// Only these kinds; all but contacts and organizations if nothing is said.
    kinds: Option<Vec<ItemKind>>,
    /// Only custom items of this type.
    type_id: Option<ItemTypeGid>,
    /// Only those in this state.
    state: Option<ItemState>,
    /// Words that must all be found.
    search: Option<String>,
    /// Only those that this person observes.
    observed_by: Option<String>,
    /// Only those that this person is responsible for.
    responsible: Option<String>,
}

/// People who are to observe items.
#[derive(InputObject)]
struct ItemAddObserversInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The items, all of one group; up to 1000.
    ids: Option<Vec<ItemGid>>,
    /// Or all that match.
    filter: Option<ItemFilterInput>,
    /// Usernames or e-mail addresses, up to 100.
    people: Vec<String>,
    /// Whether they see what was written in the chat before they came; if nothing is said, what they saw before, or all.
    show_history: Option<bool>,
    /// Whether they join the chat.
    #[graphql(default = true)]
    in_chat: bool,
    /// Whether only to say what would follow.
    #[graphql(default)]
    dry_run: bool,
}

/// People who are to observe items no longer.
#[derive(InputObject)]
struct ItemRemoveObserversInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The items, all of one group; up to 1000.
    ids: Option<Vec<ItemGid>>,
    /// Or all that match.
    filter: Option<ItemFilterInput>,
    /// Usernames or e-mail addresses, up to 100.
    people: Vec<String>,
    /// Whether only to say what would follow.
    #[graphql(default)]
    dry_run: bool,
}

/// The people who are to observe items, and nobody else.
#[derive(InputObject)]
struct ItemReplaceObserversInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The items, all of one group; up to 1000.
    ids: Option<Vec<ItemGid>>,
    /// Or all that match.
    filter: Option<ItemFilterInput>,
    /// Usernames or e-mail addresses, up to 100.
    people: Vec<String>,
    /// Whether those who come see what was written in the chat before.
    show_history: Option<bool>,
    /// Whether only to say what would follow.
    #[graphql(default)]
    dry_run: bool,
}

/// The person who is to be responsible for items.
#[derive(InputObject)]
struct ItemSetResponsibleInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The items, all of one group; up to 1000.
    ids: Option<Vec<ItemGid>>,
    /// Or all that match.
    filter: Option<ItemFilterInput>,
    /// Username or e-mail address; null for nobody.
    person: Option<String>,
    /// Whether only to say what would follow.
    #[graphql(default)]
    dry_run: bool,
}

/// An answer to people who wait to observe an item.
#[derive(InputObject)]
struct ItemAnswerObserversInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The item.
    id: ItemGid,
    /// Usernames or e-mail addresses.
    people: Vec<String>,
    /// Whether they may.
    approve: bool,
}

/// What came of answering.
#[derive(SimpleObject)]
struct ItemAnswerObserversPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The item.
    item: Option<Item>,
    /// Why nothing changed.
    errors: Vec<String>,
}

/// A change of many items to stop.
#[derive(InputObject)]
struct BulkJobStopInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The change.
    id: BulkJobGid,
}

/// What came of stopping.
#[derive(SimpleObject)]
struct BulkJobStopPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The change as it is now; what it did stays, and can be taken back.
    bulk_job: Option<BulkJob>,
    /// Why it was not stopped.
    errors: Vec<String>,
}

/// What came of one person on one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "rules::ObserverOutcome")]
enum ObserverOutcome {
    /// Observes now.
    Added,
    /// Observed before, and is to be in the chat again.
    Back,
    /// Observes as before.
    AlreadyThere,
    /// Observes no longer.
    Removed,
    /// Did not observe.
    NotThere,
    /// Has to be approved first.
    Waiting,
    /// Does not become an observer that way.
    NotByThat,
}

/// What came of one person on one item.
struct Outcome {
    item: ItemId,
    person: PersonId,
    came: rules::ObserverOutcome,
}

/// What came of one person on one item.
#[Object(name = "ItemObserverOutcome")]
impl Outcome {
    /// The item.
    async fn item(&self, context: &Context<'_>) -> Result<Option<Item>> {
        Ok(Item::find(Scope::of(context)?, self.item).await?)
    }

    /// The person.
    async fn person(&self, context: &Context<'_>) -> Result<Option<User>> {
        Ok(Scope::of(context)?.rows.load_one(self.person).await?)
    }

    /// What came of it.
    async fn outcome(&self) -> ObserverOutcome {
        self.came.into()
    }
}

/// Why some items could not be changed.
#[derive(SimpleObject)]
struct ItemsRefused {
    /// The reason.
    reason: String,
    /// How many items.
    count: u64,
}

/// What came of a change of who watches items, or what would.
#[derive(Default, SimpleObject)]
struct ItemObserversPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// How many items change.
    changed: u64,
    /// How many are so already.
    unchanged: u64,
    /// Why others cannot be changed.
    refused: Vec<ItemsRefused>,
    /// What comes of each person on each item that was named, up to 1000.
    outcomes: Vec<Outcome>,
    /// How many chats have to follow.
    chats: u64,
    /// How many seconds the messenger will take to follow, about.
    messenger_seconds: u64,
    /// The change of all that match, which goes on while this is read.
    bulk_job: Option<BulkJob>,
    /// By which it is taken back; none if nothing changed.
    operation_id: Option<ID>,
    /// Why nothing changed.
    errors: Vec<String>,
}

/// Changes of who watches items.
#[Object]
impl ObserverMutation {
    /// Adds observers to items: they may read them and take part in their chats.
    async fn item_add_observers(
        &self,
        context: &Context<'_>,
        input: ItemAddObserversInput,
    ) -> Result<ItemObserversPayload> {
        let wish = Wish {
            ids: input.ids,
            filter: input.filter,
            people: input.people,
            dry_run: input.dry_run,
        };
        let (in_chat, history) = (input.in_chat, hidden(input.show_history));
        let task = |people| WatchTask::Add {
            people,
            in_chat,
            history,
        };
        Ok(wish
            .grant(Scope::of(context)?, input.client_mutation_id, task)
            .await?)
    }

    /// Removes observers of items, also from their chats.
    async fn item_remove_observers(
        &self,
        context: &Context<'_>,
        input: ItemRemoveObserversInput,
    ) -> Result<ItemObserversPayload> {
        let wish = Wish {
            ids: input.ids,
            filter: input.filter,
            people: input.people,
            dry_run: input.dry_run,
        };
        let task = |people| WatchTask::Remove { people };
        Ok(wish
            .grant(Scope::of(context)?, input.client_mutation_id, task)
            .await?)
    }

    /// Has these people observe items, and nobody else. Whoever observes them already stays as he is.
    async fn item_replace_observers(
        &self,
        context: &Context<'_>,
        input: ItemReplaceObserversInput,
    ) -> Result<ItemObserversPayload> {
        let wish = Wish {
            ids: input.ids,
            filter: input.filter,
            people: input.people,
            dry_run: input.dry_run,
        };
        let history = hidden(input.show_history);
        let task = |people| WatchTask::Replace { people, history };
        Ok(wish
            .grant(Scope::of(context)?, input.client_mutation_id, task)
            .await?)
    }

    /// Makes a person responsible for items.
    async fn item_set_responsible(
        &self,
        context: &Context<'_>,
        input: ItemSetResponsibleInput,
    ) -> Result<ItemObserversPayload> {
        let wish = Wish {
            ids: input.ids,
            filter: input.filter,
            people: input.person.into_iter().collect(),
            dry_run: input.dry_run,
        };
        let task = |people: Vec<PersonId>| WatchTask::Responsible {
            person: people.into_iter().next(),
        };
        Ok(wish
            .grant(Scope::of(context)?, input.client_mutation_id, task)
            .await?)
    }

    /// Approves people who were added to an item's chat and wait to observe it, or turns them away.
    async fn item_answer_observers(
        &self,
        context: &Context<'_>,
        input: ItemAnswerObserversInput,
    ) -> Result<ItemAnswerObserversPayload> {
        let scope = Scope::of(context)?;
        let (asker, id) = (scope.asker()?, input.id.read()?);
        let crm = &scope.api.crm;
        let answered = async {
            let people = crm.people_named(Where::Item(id), &input.people).await?;
            crm.answer_requests(asker, id, &people, input.approve).await
        };
        let (item, errors) = match told(answered.await)? {
            Ok(()) => (Item::find(scope, id).await?, Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(ItemAnswerObserversPayload {
            client_mutation_id: input.client_mutation_id,
            item,
            errors,
        })
    }

    /// Stops a change of many items; what it did stays, and can be taken back.
    async fn bulk_job_stop(
        &self,
        context: &Context<'_>,
        input: BulkJobStopInput,
    ) -> Result<BulkJobStopPayload> {
        let scope = Scope::of(context)?;
        let (asker, id) = (scope.asker()?, input.id.read()?);
        let crm = &scope.api.crm;
        let stopped = async {
            crm.stop_bulk(asker, id).await?;
            crm.bulk_job(asker, id).await
        };
        let (bulk_job, errors) = match told(stopped.await)? {
            Ok(job) => (Some(BulkJob(job)), Vec::new()),
            Err(errors) => (None, errors),
        };
        Ok(BulkJobStopPayload {
            client_mutation_id: input.client_mutation_id,
            bulk_job,
            errors,
        })
    }
}

/// What is wished for which items.
struct Wish {
    ids: Option<Vec<ItemGid>>,
    filter: Option<ItemFilterInput>,
    people: Vec<String>,
    dry_run: bool,
}

impl Wish {
    async fn grant(
        self,
        scope: Scope<'_>,
        client_mutation_id: Option<String>,
        task: impl FnOnce(Vec<PersonId>) -> WatchTask,
    ) -> Result<ItemObserversPayload, Refusal> {
        let granted = match (&self.ids, &self.filter) {
            (Some(ids), None) => {
                let ids = ids
                    .iter()
                    .map(ItemGid::read)
                    .collect::<Result<Vec<_>, _>>()?;
                self.on_ids(scope, &ids, task).await
            }
            (None, Some(filter)) => {
                let group = filter.group_id.read()?;
                self.on_filter(scope, (group, filter), task).await
            }
            _ => {
                let text = "Name either `ids` or `filter`";
                return Err(Refusal::Argument(text.to_owned()));
            }
        };
        Ok(match told(granted)? {
            Ok(payload) => ItemObserversPayload {
                client_mutation_id,
                ..payload
            },
            Err(errors) => ItemObserversPayload {
                client_mutation_id,
                errors,
                ..ItemObserversPayload::default()
            },
        })
    }

    async fn on_ids(
        &self,
        scope: Scope<'_>,
        ids: &[ItemId],
        task: impl FnOnce(Vec<PersonId>) -> WatchTask,
    ) -> Result<ItemObserversPayload, CrmError> {
        let invalid = |reason: String| CrmError::Invalid(vec![reason]);
        let first = ids
            .first()
            .ok_or_else(|| invalid("No item is named".to_owned()))?;
        if ids.len() > MAX_WATCHED {
            return Err(invalid(format!(
                "You can only name up to {MAX_WATCHED} items; use a filter for more"
            )));
        }
        let asker = scope.asker().map_err(|_| CrmError::NotFound)?;
        let crm = &scope.api.crm;
        let people = crm.people_named(Where::Item(*first), &self.people).await?;
        let report = crm
            .change_watchers(asker, ids, &task(people), self.dry_run)
            .await?;
        Ok(payload(report))
    }

    async fn on_filter(
        &self,
        scope: Scope<'_>,
        (group, filter): (GroupId, &ItemFilterInput),
        task: impl FnOnce(Vec<PersonId>) -> WatchTask,
    ) -> Result<ItemObserversPayload, CrmError> {
        let asker = scope.asker().map_err(|_| CrmError::NotFound)?;
        let crm = &scope.api.crm;
        let place = Where::Group(group);
        let people = crm.people_named(place, &self.people).await?;
        let one = async |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => {
                let found = crm.people_named(place, std::slice::from_ref(name)).await;
                found.map(|people| people.into_iter().next())
            }
        };
        let read = |refusal: Refusal| CrmError::Invalid(vec![refusal.to_string()]);
        let kinds = filter.kinds.as_ref().map(|kinds| {
            let words = kinds.iter().map(|kind| domain::ItemKind::from(*kind));
            words.map(|kind| kind.word().to_owned()).collect()
        });
        let item_type = filter.type_id.as_ref().map(ItemTypeGid::read).transpose();
        let task = BulkTask {
            task: task(people),
            items: Selection::Filter(ItemFilter {
                kinds,
                item_type: item_type.map_err(read)?,
                active: filter.state.and_then(ItemState::active),
                search: filter.search.clone(),
                observed_by: one(&filter.observed_by).await?,
                responsible: one(&filter.responsible).await?,
            }),
        };
        if self.dry_run {
            let foreseen = crm.foresee_bulk(asker, group, &task).await?;
            return Ok(ItemObserversPayload {
                messenger_seconds: foreseen.messenger_takes.as_secs(),
                ..payload(foreseen.report)
            });
        }
        let id = crm.begin_bulk(asker, group, &task).await?;
        let job = crm.bulk_job(asker, id).await?;
        Ok(ItemObserversPayload {
            operation_id: Some(operation_gid(job.operation)),
            bulk_job: Some(BulkJob(job)),
            ..ItemObserversPayload::default()
        })
    }
}

fn payload(report: WatchReport) -> ItemObserversPayload {
    let refused = report
        .refused
        .into_iter()
        .map(|(reason, count)| ItemsRefused { reason, count });
    let outcomes = report
        .outcomes
        .into_iter()
        .take(MAX_OUTCOMES)
        .map(|(item, person, came)| Outcome { item, person, came });
    ItemObserversPayload {
        changed: report.changed,
        unchanged: report.same,
        refused: refused.collect(),
        outcomes: outcomes.collect(),
        chats: report.chats,
        operation_id: report.operation.map(operation_gid),
        ..ItemObserversPayload::default()
    }
}

fn hidden(show_history: Option<bool>) -> Option<Hidden> {
    show_history.map(|shown| if shown { Hidden::Nothing } else { Hidden::Past })
}
