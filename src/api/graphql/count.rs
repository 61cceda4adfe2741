//! How many nodes a connection has in all; counted only where it is asked for.

use async_graphql::{Context, Object, Result};

use super::{Refusal, Scope, loader::IssueItems};
use crate::{
    domain::{
        ContactSort, Direction, IssueId, ItemId, ItemKind, Listed, OrganizationSort, RootId, States,
    },
    store::search::{self, Holder},
};

/// Contacts or organizations of a group, as a list shows them.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) holder: Holder,
    pub(super) listed: Listed,
    pub(super) search: Option<String>,
    pub(super) states: States,
}

impl Counted {
    /// Returns the query for a page of the list. GitLab takes an empty list of ids for none.
    pub(super) fn query<S>(
        &self,
        ids: Vec<ItemId>,
        (sort, direction): (S, Direction),
        page: search::Page,
    ) -> search::Query<S> {
        search::Query {
            search: self.search.clone(),
            states: self.states,
            ids: Some(ids).filter(|ids| !ids.is_empty()),
            sort,
            direction,
            page,
        }
    }

    /// Returns what the list has in all.
    pub(super) fn count(self, ids: Option<Vec<ItemId>>) -> Count {
        match ids {
            Some(ids) => Count::OfIds(self, ids),
            None => Count::OfList(self),
        }
    }

    /// Counts those that have some ids, of which no more than a page is ever named.
    async fn among(&self, scope: Scope<'_>, ids: &[ItemId]) -> Result<i64, Refusal> {
        let page = search::Page::First {
            count: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            after: None,
        };
        let mut connection = scope.single().await?;
        let found = match self.listed {
            Listed::Contacts => {
                let query = self.query(
                    ids.to_vec(),
                    (ContactSort::Created, Direction::Ascending),
                    page,
                );
                search::contacts(&mut connection, self.holder, &query)
                    .await?
                    .rows
                    .len()
            }
            Listed::Organizations => {
                let query = self.query(
                    ids.to_vec(),
                    (OrganizationSort::Created, Direction::Ascending),
                    page,
                );
                search::organizations(&mut connection, self.holder, &query)
                    .await?
                    .rows
                    .len()
            }
        };
        Ok(i64::try_from(found).unwrap_or(i64::MAX))
    }

    /// Counts all, active and inactive ones.
    pub(super) async fn by_state(&self, scope: Scope<'_>) -> Result<[i64; 3], Refusal> {
        let mut connection = scope.single().await?;
        let counts = search::counts(
            &mut connection,
            self.holder,
            self.listed,
            self.search.as_deref(),
        )
        .await?;
        let (active, inactive) = (counts.active.count, counts.inactive.count);
        Ok(match self.states {
            States::All => [counts.all.count, active, inactive],
            States::Active => [active, active, 0],
            States::Inactive => [inactive, 0, inactive],
        })
    }
}

/// What is counted.
pub(super) enum Count {
    /// A list.
    OfList(Counted),
    /// Those of a list that have some ids.
    OfIds(Counted, Vec<ItemId>),
    /// The contacts or organizations of an issue.
    OfIssue(RootId, IssueId, ItemKind),
    /// Nothing that the asker may see.
    Nothing,
}

/// What is beside the nodes.
#[Object]
impl Count {
    /// How many there are on all pages; at least so many, where a search finds thousands.
    async fn count(&self, context: &Context<'_>) -> Result<i64> {
        let scope = Scope::of(context)?;
        match self {
            Self::Nothing => Ok(0),
            Self::OfList(counted) => {
                let [all, ..] = counted.by_state(scope).await?;
                Ok(all)
            }
            Self::OfIds(counted, ids) => counted.among(scope, ids).await.map_err(Into::into),
            Self::OfIssue(root, issue, kind) => {
                let key = IssueItems {
                    root: *root,
                    issue: *issue,
                    kind: *kind,
                };
                Ok(scope.rows.load_one(key).await?.unwrap_or_default())
            }
        }
    }
}
