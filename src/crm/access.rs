//! What somebody may do: his standing as the store knows it, and the questions to the tracker that are open.

use sqlx::PgConnection;

use super::{
    Crm, CrmError, Outage,
    error::{About, Failure, Question},
};
use crate::{
    domain::{ConnectionId, GroupId, IssueId, Level, PersonId, RootId, Scope},
    lookup::{Lookup, Placed},
    rules::{Access, Refused, issue_is_readable},
    store::{
        access,
        road::Fresh,
        standing::{self, Held, Known},
    },
};

/// An issue's place and what somebody may do there.
pub(super) struct OnIssue {
    pub(super) access: Access,
    /// The group that holds its contacts.
    pub(super) holder: GroupId,
}

impl Crm {
    /// Returns what a person may do with the contacts that a group uses, wherever they are held.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] where there is no such group or person; [`CrmError::Unavailable`] where tracker or database do not answer.
    pub async fn group_access(
        &self,
        person: PersonId,
        root: RootId,
        group: GroupId,
    ) -> Result<Access, CrmError> {
        self.decide(async |fresh| {
            let mut connection = self.pool.acquire().await?;
            let place = (root, group, Held::Anywhere);
            let (access, _) = self
                .towards_group(&mut connection, person, place, fresh)
                .await?;
            Ok(access)
        })
        .await
    }

    /// Returns what a person may do with the contacts of an issue.
    ///
    /// # Errors
    /// As for [`Self::group_access`].
    pub async fn issue_access(
        &self,
        person: PersonId,
        root: RootId,
        issue: IssueId,
    ) -> Result<Access, CrmError> {
        self.decide(async |fresh| {
            let mut connection = self.pool.acquire().await?;
            let found = self
                .towards_issue(&mut connection, person, (root, issue), fresh)
                .await?;
            Ok(found.access)
        })
        .await
    }

    /// Returns what a person may do with the contacts of a group, and which group holds them.
    pub(super) async fn towards_group(
        &self,
        connection: &mut PgConnection,
        person: PersonId,
        (root, group, held): (RootId, GroupId, Held),
        fresh: Fresh,
    ) -> Result<(Access, GroupId), Failure> {
        let known = standing::towards_group(connection, (root, group, held), person, fresh).await?;
        let standing = known.ok_or(Refused::NotFound)?;
        let level = match &standing.tracker {
            // Nobody needs to be asked about somebody who may do nothing.
            _ if !standing.active => Level::None,
            Some((on, id)) => level((root, *on), (Scope::Group, id), &standing.known)?,
            None => {
                let now = self.clock.now();
                access::own_level(connection, root, standing.holder, person, now).await?
            }
        };
        let access = Access {
            active: standing.active,
            crm_enabled: standing.crm_enabled,
            contact_group: level,
            project: Level::None,
            issue_readable: true,
        };
        Ok((access, standing.holder))
    }

    /// Returns what a person may do with the contacts of an issue.
    pub(super) async fn towards_issue(
        &self,
        connection: &mut PgConnection,
        person: PersonId,
        (root, issue): (RootId, IssueId),
        fresh: Fresh,
    ) -> Result<OnIssue, Failure> {
        let known = standing::towards_issue(connection, (root, issue), person, fresh).await?;
        let standing = known.ok_or(Refused::NotFound)?;
        if !standing.placed {
            return Err(Failure::Ask(vec![Question {
                root,
                connection: standing.connection,
                about: About::Place(standing.project),
            }]));
        }
        let place = (root, standing.group, Held::Anywhere);
        let (access, holder) = self.towards_group(connection, person, place, fresh).await?;
        let project = if access.active {
            let scope = (Scope::Project, standing.project.as_str());
            level((root, standing.connection), scope, &standing.known)?
        } else {
            Level::None
        };
        // Without an account in the tracker he reads what everybody reads.
        let accounts = standing.known.iter().map(|(account, _)| account.as_str());
        let issue_readable = accounts.chain(std::iter::once("")).any(|account| {
            issue_is_readable(&standing.facts, standing.visibility, account, project)
        });
        let access = Access {
            project,
            issue_readable,
            ..access
        };
        Ok(OnIssue { access, holder })
    }

    /// Asks the trackers, all at once.
    pub(super) async fn ask(&self, questions: Vec<Question>) -> Result<(), CrmError> {
        let asked = questions.into_iter().map(async |question| {
            let client = self
                .trackers
                .get(&question.connection)
                .ok_or(CrmError::Unavailable(Outage::NotConfigured(
                    question.connection,
                )))?;
            let lookup = Lookup {
                pool: &self.pool,
                clock: &*self.clock,
                root: question.root,
                connection: question.connection,
                client,
            };
            match question.about {
                About::Level(user, scope, id) => lookup.level(&user, (scope, &id)).await?,
                About::Place(project) => match lookup.place(&project).await? {
                    Placed::Inside => {}
                    Placed::Outside | Placed::Unseen => return Err(CrmError::NotFound),
                },
            }
            Ok(())
        });
        futures_util::future::try_join_all(asked).await.map(drop)
    }
}

/// Returns the highest level of a person's accounts, or the questions to ask first. Without an account he has none.
fn level(
    (root, connection): (RootId, ConnectionId),
    (scope, id): (Scope, &str),
    known: &[Known],
) -> Result<Level, Failure> {
    let questions: Vec<Question> = known
        .iter()
        .filter(|(_, level)| level.is_none())
        .map(|(account, _)| Question {
            root,
            connection,
            about: About::Level(account.clone(), scope, id.to_owned()),
        })
        .collect();
    if questions.is_empty() {
        let levels = known.iter().filter_map(|(_, level)| *level);
        Ok(levels.max().unwrap_or(Level::None))
    } else {
        Err(Failure::Ask(questions))
    }
}
