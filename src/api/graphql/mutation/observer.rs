//! Who observes items and who is responsible for them: for items that are named, or for all that match.

mod wish;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use super::{Scope, told};
use crate::{
    api::graphql::{
        id::{BulkJobGid, GroupGid, ItemGid, ItemTypeGid},
        item::{Item, ItemKind, ItemState},
        user::User,
        watching::BulkJob,
    },
    crm::Where,
    domain::{ItemId, PersonId},
    rules::{self, Hidden, WatchTask},
};
use wish::Wish;

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

fn hidden(show_history: Option<bool>) -> Option<Hidden> {
    show_history.map(|shown| if shown { Hidden::Nothing } else { Hidden::Past })
}
