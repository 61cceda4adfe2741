//! Questions to the tracker before a change of an issue can be decided on: where it was moved to, and who opened it by mail. No transaction
//! is open meanwhile.
//!
//! A hook only says where to look. Where an issue was moved to counts as the tracker tells it: whoever knows a webhook's secret can claim
//! anything, and a note about removed contacts must not reach an issue that has nothing to do with it.

use super::{
    lookup,
    process::{Failure, Job},
};
use crate::{
    connector::gitlab::IssueMove,
    domain::{GroupId, IssueChange, IssueFacts, Level, RelationSource, Scope},
    store::{group, issue::Known},
};

/// Attempts after which a move that the tracker does not confirm counts as untrue: its replicas may be behind for a moment.
const UNCONFIRMED: i16 = 2;

/// Where the tracker says that an issue was moved to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nowhere, or the bot does not see the issue that the event is about.
    Nowhere,
    /// To where the bot sees nothing, which may be in the tree.
    Unseen,
    /// Within the tree: the project's remote id, and the issue that it became.
    Inside(String, Box<IssueFacts>),
    /// Out of the tree; the project's remote id and the issue, where the bot sees it.
    Outside(Option<(String, Box<IssueFacts>)>),
}

/// What the tracker was asked for this delivery.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) way: Option<Way>,
    /// The address of whoever opened the issue by mail, if anybody did, once it was asked.
    pub(super) author: Option<Vec<String>>,
}

impl Answers {
    /// Returns whether all is known that has to be asked.
    pub(super) fn suffice(&self, change: &IssueChange, known: &Known) -> bool {
        !self.lacks_way(change, known) && !self.lacks_author(change, known)
    }

    /// A move that is known needs no more questions, unless contacts are still where they cannot follow from.
    fn lacks_way(&self, change: &IssueChange, known: &Known) -> bool {
        let settled = known.issue.as_ref().is_some_and(|issue| {
            issue.moved_to == change.moved_to && (issue.is_followed || !issue.has_contacts)
        });
        self.way.is_none() && change.moved_to.is_some() && !settled
    }

    fn lacks_author(&self, change: &IssueChange, known: &Known) -> bool {
        self.author.is_none()
            && shows_addresses(change, known)
            && known.sources.contains(&RelationSource::Author)
            && !change.is_by_a_member()
            && (change.opened || has_new_author(change, known))
    }

    /// Asks what is missing.
    pub(super) async fn ask(
        &mut self,
        job: &Job<'_>,
        change: &IssueChange,
        known: &Known,
    ) -> Result<(), Failure> {
        if self.lacks_way(change, known) {
            self.way = Some(way(job, change).await?);
        }
        if self.lacks_author(change, known) {
            let (project, iid) = (&change.project.id, change.issue.iid);
            let told = job.remote.client.external_author(project, iid).await?;
            self.author = Some(Vec::from_iter(told));
        }
        Ok(())
    }
}

/// Returns whether the event shows addresses that were not looked at before. An issue that is met for the first time was opened while
/// nobody listened.
pub(super) fn shows_addresses(change: &IssueChange, known: &Known) -> bool {
    change.has_contacts
        && known.crm_enabled
        && !known.sources.is_empty()
        && (change.opened || change.described || has_new_author(change, known))
}

fn has_new_author(change: &IssueChange, known: &Known) -> bool {
    known
        .issue
        .as_ref()
        .is_none_or(|issue| issue.author != change.issue.author)
}

/// Asks where an issue was moved to, and whether that is in the tree.
async fn way(job: &Job<'_>, change: &IssueChange) -> Result<Way, Failure> {
    let client = &job.remote.client;
    match client.issue_move(&change.issue.remote_id).await? {
        Some(IssueMove::Not) if job.delivery.attempts < UNCONFIRMED => Err(Failure::Unconfirmed),
        None | Some(IssueMove::Not) => Ok(Way::Nowhere),
        Some(IssueMove::Unseen) if sees_all(job).await? => Ok(Way::Outside(None)),
        Some(IssueMove::Unseen) => Ok(Way::Unseen),
        Some(IssueMove::To { project, issue }) => {
            if lookup::place(job, &project).await? {
                Ok(Way::Inside(project, issue))
            } else {
                Ok(Way::Outside(Some((project, issue))))
            }
        }
    }
}

/// Returns whether the bot sees every issue of the tree: what it does not see is outside then.
async fn sees_all(job: &Job<'_>) -> Result<bool, Failure> {
    let bot = job.remote.bot_id(&job.worker.pool).await?;
    let root = job.claimed.root;
    let mut connection = job.worker.pool.acquire().await?;
    let namespace = group::remote(&mut connection, root, GroupId(root.0)).await?;
    drop(connection);
    let Some(namespace) = namespace.filter(|namespace| namespace.connection == job.remote.id)
    else {
        return Ok(false);
    };
    let Some(name) = namespace.name() else {
        return Ok(false);
    };
    let level = job.remote.client.access_level(Scope::Group, name, bot);
    Ok(level.await? >= Level::Planner)
}
