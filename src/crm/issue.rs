//! The contacts of an issue, set by ids and addresses.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::{Asker, Crm, CrmError, error::Failure};
use crate::{
    domain::{GroupId, IssueId, OperationId, RootId},
    rules::{
        self, Candidate, ContactOutcome, IssueContacts, NamedContact, Refused, Related, Right,
        SetContacts,
    },
    store::{
        relation,
        road::Fresh,
        standing::{self, Held},
    },
};

/// What came of setting an issue's contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetReport {
    /// Per contact, in the order in which they were named; then those that a replacement removed.
    pub outcomes: Vec<(NamedContact, ContactOutcome)>,
    /// By which it is undone; none where nothing changed.
    pub operation: Option<OperationId>,
}

impl Crm {
    /// Changes which contacts an issue has.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] names every contact that cannot be added; nothing is changed then.
    pub async fn set_issue_contacts(
        &self,
        asker: Asker,
        issue: IssueId,
        wanted: &SetContacts,
    ) -> Result<SetReport, CrmError> {
        self.decide(|fresh| self.set_contacts_once(asker, issue, wanted, fresh))
            .await
    }

    async fn set_contacts_once(
        &self,
        asker: Asker,
        issue: IssueId,
        wanted: &SetContacts,
        fresh: Fresh,
    ) -> Result<SetReport, Failure> {
        let mut tx = self.pool.begin().await?;
        let root = standing::root_of_issue(&mut tx, issue).await?;
        let root = root.ok_or(Refused::NotFound)?;
        let on_issue = self
            .towards_issue(&mut tx, asker.person, (root, issue), fresh)
            .await?;
        rules::may_set_contacts(&on_issue.access, wanted)?;
        let holder = on_issue.holder;
        let ids: Vec<i64> = wanted
            .names()
            .flat_map(|names| names.ids.iter().map(|id| id.0))
            .collect();
        let emails: Vec<String> = wanted
            .names()
            .flat_map(|names| names.emails.iter().map(|email| email.trim().to_owned()))
            .collect();
        let candidates =
            relation::candidates(&mut tx, (root, holder, issue), &ids, &emails).await?;
        let visible = self
            .visible(&mut tx, asker, (root, holder), &candidates, fresh)
            .await?;
        let plan = rules::set_contacts(
            &IssueContacts {
                access: on_issue.access,
                holder,
                visible: &visible,
                candidates: &candidates,
            },
            wanted,
        )?;
        let act = self.act(asker, root, holder);
        let come: Vec<Related> = plan
            .add
            .iter()
            .map(|&item| Related {
                issue,
                item,
                added_by: Some(asker.person),
                added_at: act.at,
            })
            .collect();
        let go: Vec<_> = plan.remove.iter().map(|&item| (issue, item)).collect();
        let gone = relation::remove(&mut tx, &act, &go).await?;
        let come = relation::add(&mut tx, &act, &come).await?;
        if gone.len() != plan.remove.len() || come.len() != plan.add.len() {
            // Somebody else was faster with some of them; what is said must be what happened.
            return Err(Failure::Conflict);
        }
        let changed = !gone.is_empty() || !come.is_empty();
        tx.commit().await?;
        // Also where nothing changed, as GitLab does.
        self.notify(holder, &[issue]).await;
        Ok(SetReport {
            outcomes: plan.outcomes,
            operation: changed.then_some(act.operation),
        })
    }

    /// Returns the groups other than the holder whose contacts were named and may be seen by the asker.
    async fn visible(
        &self,
        connection: &mut PgConnection,
        asker: Asker,
        (root, holder): (RootId, GroupId),
        candidates: &[Candidate],
        fresh: Fresh,
    ) -> Result<HashSet<GroupId>, Failure> {
        let foreign: HashSet<GroupId> = candidates
            .iter()
            .filter(|contact| contact.group != holder && !contact.related)
            .map(|contact| contact.group)
            .collect();
        let mut visible = HashSet::new();
        // Normally none. A tenant has a handful of groups that hold contacts.
        for group in foreign {
            let place = (root, group, Held::Here);
            let (access, _) = self
                .towards_group(connection, asker.person, place, fresh)
                .await?;
            if access.allows(Right::ViewContacts) {
                visible.insert(group);
            }
        }
        Ok(visible)
    }
}
