//! Look-ups of one request, put together: what many fields ask for at a time is asked of the store once.
//!
//! Nothing is remembered from one batch to the next, so that a subscription sees what is and not what was.

mod items;

use std::{
    collections::HashMap,
    hash::Hash,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_graphql::dataloader::{DataLoader, Loader};

pub(super) use items::{ChatOf, ItemAccess, ItemsOf, LinkedTo, MAX_ISSUE_ITEMS, ObserversOf};

use super::{Refusal, Viewer, user::User};
use crate::{
    api::Api,
    crm::HistoryEntry,
    domain::{GroupId, IssueId, ItemId, ItemKind, PersonId, ProjectId, RootId},
    rules::Access,
    store::{
        operation, person,
        shown::{self, ShownItem, Slice},
        tree::{self, GroupNode, IssueNode, ProjectNode},
    },
};

/// Most keys of one batch; a page of pages stays below.
const MAX_BATCH: usize = 10_000;

/// What is not put together, and so may be asked for but so many times in one request: lists, counts and histories of groups, and previews.
const MAX_SINGLE: usize = 25;

/// The batches of one request.
pub(super) struct Rows {
    api: Api,
    person: Option<PersonId>,
    /// How many look-ups were made that are not put together.
    single: AtomicUsize,
}

/// What the asker may do with the contacts that a group uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct GroupAccess(pub(super) RootId, pub(super) GroupId);

/// What the asker may do with the contacts of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct IssueAccess(pub(super) IssueId);

/// A slice of the contacts or organizations of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct IssueSlice {
    pub(super) root: RootId,
    pub(super) issue: IssueId,
    pub(super) kind: ItemKind,
    pub(super) slice: Slice,
}

/// How many contacts or organizations an issue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct IssueItems {
    pub(super) root: RootId,
    pub(super) issue: IssueId,
    pub(super) kind: ItemKind,
}

/// A slice of the issues that a contact or organization is related to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ItemSlice {
    pub(super) root: RootId,
    pub(super) item: ItemId,
    pub(super) slice: Slice,
}

/// A part of the history of a contact or organization, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ItemHistory {
    pub(super) root: RootId,
    pub(super) item: ItemId,
    /// Only entries before this one.
    pub(super) before: i64,
    /// At most so many.
    pub(super) limit: i64,
}

impl Rows {
    /// Returns the batches of a request.
    pub(super) fn new(api: &Api, viewer: &Viewer) -> DataLoader<Self> {
        let tasks = api.tasks.clone();
        let rows = Self {
            api: api.clone(),
            person: viewer.bearer().map(|bearer| bearer.person),
            single: AtomicUsize::new(0),
        };
        DataLoader::new(rows, move |batch| tasks.spawn(batch)).max_batch_size(MAX_BATCH)
    }

    /// Counts a look-up that is not put together with others.
    pub(super) fn single(&self) -> Result<(), Refusal> {
        if self.single.fetch_add(1, Ordering::Relaxed) < MAX_SINGLE {
            Ok(())
        } else {
            Err(Refusal::TooMuch(format!(
                "A query may have {MAX_SINGLE} lists of groups"
            )))
        }
    }

    /// Begins to count anew, for the next event of a subscription.
    pub(super) fn begin(&self) {
        self.single.store(0, Ordering::Relaxed);
    }
}

impl Loader<GroupId> for Rows {
    type Value = GroupNode;
    type Error = Refusal;

    async fn load(&self, ids: &[GroupId]) -> Result<HashMap<GroupId, GroupNode>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let groups = tree::groups(&mut connection, ids).await?;
        Ok(groups.into_iter().map(|group| (group.id, group)).collect())
    }
}

impl Loader<ProjectId> for Rows {
    type Value = ProjectNode;
    type Error = Refusal;

    async fn load(&self, ids: &[ProjectId]) -> Result<HashMap<ProjectId, ProjectNode>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let projects = tree::projects(&mut connection, ids).await?;
        Ok(projects
            .into_iter()
            .map(|project| (project.id, project))
            .collect())
    }
}

impl Loader<IssueId> for Rows {
    type Value = IssueNode;
    type Error = Refusal;

    async fn load(&self, ids: &[IssueId]) -> Result<HashMap<IssueId, IssueNode>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let issues = tree::issues(&mut connection, ids).await?;
        Ok(issues.into_iter().map(|issue| (issue.id, issue)).collect())
    }
}

impl Loader<GroupAccess> for Rows {
    type Value = Access;
    type Error = Refusal;

    async fn load(&self, keys: &[GroupAccess]) -> Result<HashMap<GroupAccess, Access>, Refusal> {
        let Some(person) = self.person else {
            return Ok(HashMap::new());
        };
        let groups: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let found = self.api.crm.groups_access(person, &groups).await?;
        Ok(found
            .into_iter()
            .map(|((root, group), access)| (GroupAccess(root, group), access))
            .collect())
    }
}

impl Loader<IssueAccess> for Rows {
    type Value = Access;
    type Error = Refusal;

    async fn load(&self, keys: &[IssueAccess]) -> Result<HashMap<IssueAccess, Access>, Refusal> {
        let Some(person) = self.person else {
            return Ok(HashMap::new());
        };
        let issues: Vec<IssueId> = keys.iter().map(|key| key.0).collect();
        let found = self.api.crm.issues_access(person, &issues).await?;
        Ok(found
            .into_iter()
            .map(|(issue, access)| (IssueAccess(issue), access))
            .collect())
    }
}

impl Loader<ItemId> for Rows {
    type Value = ShownItem;
    type Error = Refusal;

    async fn load(&self, ids: &[ItemId]) -> Result<HashMap<ItemId, ShownItem>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let items = shown::items(&mut connection, ids).await?;
        Ok(items.into_iter().map(|item| (item.id, item)).collect())
    }
}

impl Loader<PersonId> for Rows {
    type Value = User;
    type Error = Refusal;

    async fn load(&self, ids: &[PersonId]) -> Result<HashMap<PersonId, User>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let people = person::names(&mut connection, ids).await?;
        let user = |(id, username, name)| (id, User { id, username, name });
        Ok(people.into_iter().map(user).collect())
    }
}

impl Loader<IssueSlice> for Rows {
    type Value = Vec<ShownItem>;
    type Error = Refusal;

    async fn load(
        &self,
        keys: &[IssueSlice],
    ) -> Result<HashMap<IssueSlice, Vec<ShownItem>>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let mut found: HashMap<IssueSlice, Vec<ShownItem>> = HashMap::new();
        for ((kind, slice), keys) in alike(keys, |key| (key.kind, key.slice)) {
            let issues: HashMap<IssueId, RootId> =
                keys.iter().map(|key| (key.issue, key.root)).collect();
            let wanted: Vec<_> = issues.iter().map(|(issue, root)| (*root, *issue)).collect();
            for (issue, item) in
                shown::items_of_issues(&mut connection, kind, &wanted, slice).await?
            {
                let key = IssueSlice {
                    root: item.root,
                    issue,
                    kind,
                    slice,
                };
                found.entry(key).or_default().push(item);
            }
        }
        Ok(found)
    }
}

impl Loader<IssueItems> for Rows {
    type Value = i64;
    type Error = Refusal;

    async fn load(&self, keys: &[IssueItems]) -> Result<HashMap<IssueItems, i64>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let mut found = HashMap::new();
        for (kind, keys) in alike(keys, |key| key.kind) {
            let roots: HashMap<IssueId, RootId> =
                keys.iter().map(|key| (key.issue, key.root)).collect();
            let wanted: Vec<_> = keys.iter().map(|key| (key.root, key.issue)).collect();
            for (issue, count) in
                shown::item_counts_of_issues(&mut connection, kind, &wanted).await?
            {
                if let Some(&root) = roots.get(&issue) {
                    found.insert(IssueItems { root, issue, kind }, count);
                }
            }
        }
        Ok(found)
    }
}

impl Loader<ItemSlice> for Rows {
    type Value = Vec<IssueNode>;
    type Error = Refusal;

    async fn load(
        &self,
        keys: &[ItemSlice],
    ) -> Result<HashMap<ItemSlice, Vec<IssueNode>>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let mut found: HashMap<ItemSlice, Vec<IssueNode>> = HashMap::new();
        for (slice, keys) in alike(keys, |key| key.slice) {
            let wanted: Vec<_> = keys.iter().map(|key| (key.root, key.item)).collect();
            for (item, issue) in shown::issues_of_items(&mut connection, &wanted, slice).await? {
                let key = ItemSlice {
                    root: issue.root,
                    item,
                    slice,
                };
                found.entry(key).or_default().push(issue);
            }
        }
        Ok(found)
    }
}

impl Loader<ItemHistory> for Rows {
    type Value = Vec<HistoryEntry>;
    type Error = Refusal;

    async fn load(
        &self,
        keys: &[ItemHistory],
    ) -> Result<HashMap<ItemHistory, Vec<HistoryEntry>>, Refusal> {
        let mut connection = self.api.crm.pool.acquire().await?;
        let mut found: HashMap<ItemHistory, Vec<HistoryEntry>> = HashMap::new();
        for ((before, limit), keys) in alike(keys, |key| (key.before, key.limit)) {
            let wanted: Vec<_> = keys.iter().map(|key| (key.root, key.item)).collect();
            for (root, item, entry) in
                operation::of_items(&mut connection, &wanted, before, limit).await?
            {
                found
                    .entry(ItemHistory {
                        root,
                        item,
                        before,
                        limit,
                    })
                    .or_default()
                    .push(entry);
            }
        }
        Ok(found)
    }
}

/// Puts keys together that can be looked up with one statement; there are no more groups of them than fields in the query.
fn alike<K: Copy, A: Eq + Hash>(keys: &[K], of: impl Fn(&K) -> A) -> HashMap<A, Vec<K>> {
    let mut groups: HashMap<A, Vec<K>> = HashMap::new();
    for key in keys {
        groups.entry(of(key)).or_default().push(*key);
    }
    groups
}
