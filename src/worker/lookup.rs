//! Questions to the tracker before a decision: where a project is, who somebody is, what level he has. No transaction is open meanwhile.

use crate::{
    domain::{Comment, RemoteProject, Scope},
    lookup::{Lookup, Placed},
    store::{StoreError, person, road::Surroundings},
};

use super::process::{Failure, Job};

/// What has to be asked before a comment can be decided on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Questions {
    place: bool,
    person: bool,
    project_level: bool,
    /// Remote id of the group that holds the contacts.
    contact_level: Option<String>,
}

impl Questions {
    /// Returns what is missing, or none.
    pub(super) fn about(known: &Surroundings) -> Option<Self> {
        let actor = known.actor.as_ref();
        let questions = Self {
            place: known.project.is_none(),
            person: actor.is_none(),
            project_level: actor.is_none_or(|actor| actor.project_level.is_none()),
            contact_level: known
                .project
                .as_ref()
                .filter(|_| actor.is_none_or(|actor| actor.contact_level.is_none()))
                .and_then(|project| project.contact_group_remote.clone()),
        };
        let asks = questions.place
            || questions.person
            || questions.project_level
            || questions.contact_level.is_some();
        asks.then_some(questions)
    }

    /// Asks and remembers the answers. Returns false where the project is outside the root group.
    pub(super) async fn ask(&self, job: &Job<'_>, comment: &Comment) -> Result<bool, Failure> {
        // First and by itself: in a project that the bot does not see everybody seems to be no member, which must not be remembered.
        if self.place && !place(job, &comment.project.id).await? {
            return Ok(false);
        }
        let person = async {
            if self.person {
                meet(job, comment).await?;
            }
            Ok::<(), Failure>(())
        };
        let project_level = async {
            if self.project_level {
                let project = (Scope::Project, comment.project.id.as_str());
                job.lookup().level(&comment.actor.id, project).await?;
            }
            Ok(())
        };
        let contact_level = async {
            if let Some(group) = &self.contact_level {
                let group = (Scope::Group, group.as_str());
                job.lookup().level(&comment.actor.id, group).await?;
            }
            Ok(())
        };
        tokio::try_join!(person, project_level, contact_level)?;
        Ok(true)
    }
}

/// Asks where a project is and puts it there. Returns false where that is outside the root group.
pub(super) async fn place(job: &Job<'_>, project: &str) -> Result<bool, Failure> {
    match job.lookup().place(project).await? {
        Placed::Inside => Ok(true),
        Placed::Outside => Ok(false),
        Placed::Unseen => Err(Failure::Hopeless(format!(
            "GitLab shows the bot no project {project}: make @{} a member of it, then replay",
            job.remote.bot
        ))),
    }
}

impl Job<'_> {
    fn lookup(&self) -> Lookup<'_> {
        Lookup {
            pool: &self.worker.pool,
            clock: &*self.worker.clock,
            root: self.claimed.root,
            connection: self.remote.id,
            client: &self.remote.client,
        }
    }
}

/// Says that a project is not the webhook's business.
pub(super) fn outside(project: &RemoteProject) -> String {
    format!(
        "project {} is outside the group of this webhook",
        project.path
    )
}

async fn meet(job: &Job<'_>, comment: &Comment) -> Result<(), Failure> {
    // Only the tracker's own word tells a bot from a person who is named like one.
    let told = job.remote.client.user(&comment.actor.id).await?;
    let mut user = told.unwrap_or_else(|| comment.actor.clone());
    user.is_bot |= comment.actor.is_bot;
    let mut connection = job.worker.pool.acquire().await?;
    match person::meet(
        &mut connection,
        job.remote.id,
        &user,
        job.worker.clock.now(),
    )
    .await
    {
        // Another comment of the same person was faster.
        Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(other) => Err(other.into()),
    }
}
