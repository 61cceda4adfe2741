//! What a change of many items would do, and how long the messenger would take to follow.

use std::time::Duration;

use super::{
    Asker, Crm, CrmError,
    bulk::{PAGE, check, failed, outage},
    observers::WatchReport,
};
use crate::{
    domain::{ConnectionKind, GroupId},
    store::{bulk_job::BulkTask, policy::Policy},
};

/// What a change of many items would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foreseen {
    /// What would come of the items.
    pub report: WatchReport,
    /// How many items are meant.
    pub total: u64,
    /// How long the messenger will take to follow, about; it takes so many calls a minute.
    pub messenger_takes: Duration,
}

impl Crm {
    /// Returns what a change of many items would do, and changes nothing.
    ///
    /// # Errors
    /// As [`Self::begin_bulk`].
    pub async fn foresee_bulk(
        &self,
        asker: Asker,
        group: GroupId,
        task: &BulkTask,
    ) -> Result<Foreseen, CrmError> {
        check(task)?;
        let (root, on, total) = self
            .decide(|fresh| self.may_begin(asker, group, task, fresh))
            .await?;
        let act = self.act(asker, root, group);
        let mut foreseen = Foreseen {
            total: u64::try_from(total).unwrap_or_default(),
            ..Foreseen::default()
        };
        let mut above = 0;
        loop {
            let mut tx = self.pool.begin().await.map_err(outage)?;
            let page = (above, PAGE);
            let looked = self
                .look(&mut tx, (&act, on), task, page)
                .await
                .map_err(failed)?;
            let Some((last, page, policy)) = looked else {
                break;
            };
            foreseen.messenger_takes += takes(&policy, &page.report, task);
            merge(&mut foreseen.report, page.report);
            above = last;
            tx.rollback().await.map_err(outage)?;
        }
        Ok(foreseen)
    }
}

fn merge(all: &mut WatchReport, page: WatchReport) {
    all.changed += page.changed;
    all.same += page.same;
    all.chats += page.chats;
    for (why, count) in page.refused {
        *all.refused.entry(why).or_default() += count;
    }
}

/// Returns how long a messenger takes to follow, by how many calls a minute the bots of a kind may make; one call to look at a chat and
/// one for each person.
fn takes(policy: &Policy, report: &WatchReport, task: &BulkTask) -> Duration {
    let Some((_, kind)) = policy.messenger else {
        return Duration::ZERO;
    };
    let a_minute = match kind {
        ConnectionKind::Bitrix24 => 120,
        ConnectionKind::Slack => 50,
        _ => 600,
    };
    let people = u64::try_from(task.task.people().len()).unwrap_or_default();
    let calls = report.chats.saturating_mul(1 + people);
    Duration::from_secs(calls.saturating_mul(60).div_ceil(a_minute))
}
