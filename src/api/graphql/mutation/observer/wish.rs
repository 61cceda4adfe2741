//! What is wished for items that are named, or for all that match.

use super::{ItemFilterInput, ItemObserversPayload, ItemsRefused, Outcome};
use crate::{
    api::graphql::{
        Refusal, Scope,
        id::{ItemGid, ItemTypeGid, operation_gid},
        item::ItemState,
        mutation::told,
        watching::BulkJob,
    },
    crm::{CrmError, MAX_WATCHED, WatchReport, Where},
    domain::{self, GroupId, ItemId, PersonId},
    rules::WatchTask,
    store::{
        bulk_job::{BulkTask, Selection},
        item_list::ItemFilter,
    },
};

/// Outcomes of single people that a payload tells.
const MAX_OUTCOMES: usize = 1000;

/// What is wished for which items.
pub(super) struct Wish {
    pub(super) ids: Option<Vec<ItemGid>>,
    pub(super) filter: Option<ItemFilterInput>,
    pub(super) people: Vec<String>,
    pub(super) dry_run: bool,
}

impl Wish {
    /// Does it, or says what would follow.
    pub(super) async fn grant(
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
