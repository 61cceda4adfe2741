//! What the commands of a text would do on an issue. Nothing is changed: the transaction is never committed.

use super::{Asker, Crm, CrmError, error::Failure};
use crate::{
    connector::gitlab,
    domain::{IssueId, ItemId},
    quick_action::{Dialect, Found, parse},
    rules::{Refused, Snapshot, needs, plan},
    store::{
        connection, history,
        item::{self, Wanted},
        road::Fresh,
        standing,
    },
};

/// What a text would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The commands in it, in their order.
    pub commands: Vec<Found>,
    /// What would be answered: Markdown, a line per command.
    pub answer: Vec<String>,
    /// How many changes would be made.
    pub changes: usize,
}

impl Crm {
    /// Returns what the commands of a comment by the asker would do on an issue, and changes nothing.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] for whoever may not read the issue.
    pub async fn preview(
        &self,
        asker: Asker,
        issue: IssueId,
        text: &str,
    ) -> Result<Preview, CrmError> {
        self.decide(|fresh| self.preview_once(asker, issue, text, fresh))
            .await
    }

    async fn preview_once(
        &self,
        asker: Asker,
        issue: IssueId,
        text: &str,
        fresh: Fresh,
    ) -> Result<Preview, Failure> {
        let mut tx = self.pool.begin().await?;
        let root = standing::root_of_issue(&mut tx, issue)
            .await?
            .ok_or(Refused::NotFound)?;
        let on_issue = self
            .towards_issue(&mut tx, asker.person, (root, issue), fresh)
            .await?;
        if !on_issue.access.active || !on_issue.access.issue_readable {
            return Err(Refused::NotFound.into());
        }
        let bot = connection::bot_of_issue(&mut tx, root, issue).await?;
        let dialect = Dialect {
            bot: Some(&bot),
            slash: true,
        };
        let parsed = parse(text, &dialect);
        let needs = needs(&parsed.commands);
        let whose = (issue, asker.person);
        let asked: Vec<_> = (needs.undo > 0).then_some(whose).into_iter().collect();
        let mut standing = history::standing(&mut tx, root, &asked).await?;
        let operations = standing.remove(&whose).unwrap_or_default();
        let past: Vec<i64> = operations
            .iter()
            .take(needs.undo)
            .flat_map(|operation| operation.items().map(|item| item.0))
            .collect();
        let wanted = [Wanted {
            group: on_issue.holder,
            issue,
            needs: &needs,
            past,
        }];
        let contacts = item::contacts(&mut tx, root, &wanted).await?;
        let organizations = item::organizations(&mut tx, root, &wanted).await?;
        let snapshot = Snapshot {
            access: on_issue.access,
            contacts: contacts.into_iter().flatten().collect(),
            organizations: organizations.into_iter().flatten().collect(),
            operations,
            // No contact has them, and none gets them.
            ids: (1_i64..).take(needs.ids).map(|id| ItemId(-id)).collect(),
        };
        let plan = plan(&parsed.commands, snapshot, &*self.clock);
        Ok(Preview {
            answer: gitlab::render(&plan.lines, parsed.dropped, &bot, false).lines,
            changes: plan
                .operations
                .iter()
                .map(|operation| operation.changes.len())
                .sum(),
            commands: parsed.commands,
        })
    }
}
