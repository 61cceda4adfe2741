//! The history, page by page.

use super::{Asker, Crm, CrmError, HistoryEntry, error::Failure};
use crate::{
    domain::{GroupId, ItemId},
    rules::{Refused, Right},
    store::{
        operation,
        road::Fresh,
        standing::{self, Held},
    },
};

/// Most entries of one page.
const MAX_PAGE: usize = 100;

/// Whose history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryOf {
    /// Of one item, those that were merged into it included; also of one that is deleted.
    Item(ItemId),
    /// Of all contacts and organizations that a group uses, wherever they are held.
    Group(GroupId),
    /// Of all that a group and those below it have, their settings and webhooks included; for whoever may configure the group.
    Below(GroupId),
}

/// Which part of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPage {
    /// Entries older than this one ([`HistoryEntry::id`]); none for the newest.
    pub before: Option<i64>,
    /// At most so many, up to 100.
    pub limit: usize,
}

impl Crm {
    /// Returns a page of a history, newest first.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] for whoever may not see the contacts of the group.
    pub async fn history(
        &self,
        asker: Asker,
        of: HistoryOf,
        page: HistoryPage,
    ) -> Result<Vec<HistoryEntry>, CrmError> {
        self.decide(|fresh| self.history_once(asker, of, page, fresh))
            .await
    }

    async fn history_once(
        &self,
        asker: Asker,
        of: HistoryOf,
        page: HistoryPage,
        fresh: Fresh,
    ) -> Result<Vec<HistoryEntry>, Failure> {
        let before = page.before.unwrap_or(i64::MAX);
        let limit = i64::try_from(page.limit.min(MAX_PAGE)).unwrap_or_default();
        let mut connection = self.pool.acquire().await?;
        if let HistoryOf::Item(item) = of {
            match self.towards_item(&mut connection, asker, item, fresh).await {
                Ok(place) => {
                    let of = (place.root, item);
                    return Ok(operation::of_item(&mut connection, of, before, limit).await?);
                }
                // It may be one that is deleted.
                Err(Failure::Refused(Refused::NotFound)) => {}
                Err(other) => return Err(other),
            }
        }
        let (root, group, held) = match of {
            HistoryOf::Group(group) => {
                let root = standing::root_of_group(&mut connection, group).await?;
                (root.ok_or(Refused::NotFound)?, group, Held::Anywhere)
            }
            HistoryOf::Below(group) => {
                let root = standing::root_of_group(&mut connection, group).await?;
                (root.ok_or(Refused::NotFound)?, group, Held::Here)
            }
            HistoryOf::Item(item) => {
                let place = operation::last_place(&mut connection, item).await?;
                let (root, group) = place.ok_or(Refused::NotFound)?;
                (root, group, Held::Here)
            }
        };
        let (access, holder) = self
            .towards_group(&mut connection, asker.person, (root, group, held), fresh)
            .await?;
        let right = match of {
            HistoryOf::Below(_) => Right::Configure,
            HistoryOf::Item(_) | HistoryOf::Group(_) => Right::ViewContacts,
        };
        if !access.allows(right) {
            return Err(Refused::NotFound.into());
        }
        let entries = match of {
            HistoryOf::Item(item) => {
                operation::of_item(&mut connection, (root, item), before, limit).await?
            }
            HistoryOf::Group(_) => {
                operation::of_group(&mut connection, (root, holder), before, limit).await?
            }
            HistoryOf::Below(_) => {
                operation::below(&mut connection, (root, group), before, limit).await?
            }
        };
        Ok(entries)
    }
}
