//! What items are about: contacts and organizations, and issues.

use super::{
    Asker, Crm, CrmError,
    error::Failure,
    items::{Place, linkable, locked, may_edit},
};
use crate::{
    domain::{IssueId, ItemId, OperationId},
    rules::{self, Refused, Related, Right},
    store::{link, relation, road::Fresh},
};

/// What an item is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkTo {
    /// A contact or organization of its group.
    Item(ItemId),
    /// An issue of a group that keeps its contacts where the item is.
    Issue(IssueId),
}

impl Crm {
    /// Links an item to what it is about, or no longer; returns the operation where that changed anything.
    ///
    /// # Errors
    /// [`CrmError::Denied`] for whoever may not change the item, or not relate items to the issue; [`CrmError::Invalid`] where both do not
    /// belong together.
    pub async fn link(
        &self,
        asker: Asker,
        item: ItemId,
        (to, is_linked): (LinkTo, bool),
    ) -> Result<Option<OperationId>, CrmError> {
        self.decide(async |fresh| match to {
            LinkTo::Item(other) => self.link_item(asker, (item, other, is_linked), fresh).await,
            LinkTo::Issue(issue) => {
                self.link_issue(asker, (item, issue, is_linked), fresh)
                    .await
            }
        })
        .await
    }

    async fn link_item(
        &self,
        asker: Asker,
        (item, other, is_linked): (ItemId, ItemId, bool),
        fresh: Fresh,
    ) -> Result<Option<OperationId>, Failure> {
        let mut tx = self.pool.begin().await?;
        let Place { on, root, group } = self.towards_item(&mut tx, asker, item, fresh).await?;
        may_edit(on, "link items")?;
        let act = self.act(asker, root, group);
        let changed = if is_linked {
            if item == other {
                return Err(Refused::because("An item cannot be linked to itself").into());
            }
            locked(&mut tx, (root, group), &[item]).await?;
            linkable(&mut tx, (root, group), &[other]).await?;
            link::add(&mut tx, &act, &[(item, other)]).await?
        } else {
            link::remove(&mut tx, &act, &[(item, other)]).await?
        };
        tx.commit().await?;
        Ok((!changed.is_empty()).then_some(act.operation))
    }

    async fn link_issue(
        &self,
        asker: Asker,
        (item, issue, is_linked): (ItemId, IssueId, bool),
        fresh: Fresh,
    ) -> Result<Option<OperationId>, Failure> {
        let mut tx = self.pool.begin().await?;
        let Place { on, root, group } = self.towards_item(&mut tx, asker, item, fresh).await?;
        // Whoever merely observes an item does nothing with it.
        if !on.access.allows(Right::ViewContacts) {
            return Err(Refused::NotFound.into());
        }
        let on_issue = self
            .towards_issue(&mut tx, asker.person, (root, issue), fresh)
            .await?;
        if !on_issue.access.issue_readable {
            return Err(Refused::NotFound.into());
        }
        rules::may(&on_issue.access, Right::RelateContacts, "relate items")?;
        if on_issue.holder != group {
            let reason = "The issue's group keeps its items elsewhere";
            return Err(Refused::because(reason).into());
        }
        let act = self.act(asker, root, group);
        let changed = if is_linked {
            let related = Related {
                issue,
                item,
                added_by: Some(asker.person),
                added_at: act.at,
            };
            locked(&mut tx, (root, group), &[item]).await?;
            relation::add(&mut tx, &act, &[related]).await?
        } else {
            relation::remove(&mut tx, &act, &[(issue, item)]).await?
        };
        tx.commit().await?;
        self.notify(group, &[issue]).await;
        Ok((!changed.is_empty()).then_some(act.operation))
    }
}
