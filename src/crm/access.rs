//! What somebody may do: his standing as the store knows it, and the questions to the tracker that are open.

use sqlx::PgConnection;

use super::{
    Crm, CrmError, Outage,
    error::{About, Failure, Question},
};
use crate::{
    domain::{ConnectionId, GroupId, IssueId, Level, PersonId, RootId, Scope},
    lookup::{Lookup, Placed, Reason},
    rules::{Access, Refused, issue_is_readable},
    store::{
        access,
        road::Fresh,
        standing::{self, GroupStanding, Held, IssueStanding, Known},
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
        self.access_to(person, (root, group, Held::Anywhere)).await
    }

    /// Returns what a person may do in a group itself, wherever its contacts are held: whether he may configure it.
    ///
    /// # Errors
    /// As for [`Self::group_access`].
    pub async fn own_access(
        &self,
        person: PersonId,
        root: RootId,
        group: GroupId,
    ) -> Result<Access, CrmError> {
        self.access_to(person, (root, group, Held::Here)).await
    }

    async fn access_to(
        &self,
        person: PersonId,
        place: (RootId, GroupId, Held),
    ) -> Result<Access, CrmError> {
        self.decide(async |fresh| {
            let mut connection = self.pool.acquire().await?;
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
        let groups = (&[(root, group)][..], held);
        let known = standing::towards_groups(connection, groups, person, fresh).await?;
        let (_, _, standing) = known.into_iter().next().ok_or(Refused::NotFound)?;
        let level = match &standing.tracker {
            // Nobody needs to be asked about somebody who may do nothing.
            _ if !standing.active => Level::None,
            Some((on, id)) => level_there((root, *on), (Scope::Group, id), true, &standing.known)
                .map_err(Failure::Ask)?,
            None => {
                let now = self.clock.now();
                access::own_level(connection, root, standing.holder, person, now).await?
            }
        };
        Ok((on_group(&standing, level), standing.holder))
    }

    /// Returns what a person may do with the contacts of an issue.
    pub(super) async fn towards_issue(
        &self,
        connection: &mut PgConnection,
        person: PersonId,
        (root, issue): (RootId, IssueId),
        fresh: Fresh,
    ) -> Result<OnIssue, Failure> {
        let known = standing::towards_issues(connection, &[issue], person, fresh).await?;
        let mut known = known.into_iter().filter(|(of, ..)| *of == root);
        let (_, _, standing) = known.next().ok_or(Refused::NotFound)?;
        let place = (root, standing.group, Held::Anywhere);
        let (access, holder) = self.towards_group(connection, person, place, fresh).await?;
        let access = on_issue(root, &standing, access).map_err(Failure::Ask)?;
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
                About::Place(project) => match lookup.place(&project, Reason::default()).await? {
                    Placed::Inside => {}
                    Placed::Outside | Placed::Unseen => return Err(CrmError::NotFound),
                },
            }
            Ok(())
        });
        futures_util::future::try_join_all(asked).await.map(drop)
    }
}

/// Returns what somebody with a standing and a level may do with the contacts of a group.
pub(super) fn on_group(standing: &GroupStanding, level: Level) -> Access {
    Access {
        active: standing.active,
        crm_enabled: standing.crm_enabled,
        contact_group: level,
        project: Level::None,
        issue_readable: true,
    }
}

/// Returns what somebody may do with the contacts of an issue, or what to ask first.
pub(super) fn on_issue(
    root: RootId,
    standing: &IssueStanding,
    on_group: Access,
) -> Result<Access, Vec<Question>> {
    let project = if on_group.active {
        let scope = (Scope::Project, standing.project.as_str());
        level_there(
            (root, standing.connection),
            scope,
            standing.placed,
            &standing.known,
        )?
    } else {
        Level::None
    };
    // Without an account in the tracker he reads what everybody reads.
    let accounts = standing.known.iter().map(|(account, _)| account.as_str());
    let issue_readable = accounts
        .chain(std::iter::once(""))
        .any(|account| issue_is_readable(&standing.facts, standing.visibility, account, project));
    Ok(Access {
        project,
        issue_readable,
        ..on_group
    })
}

/// Returns the highest level of a person's accounts somewhere, or what to ask first: where a project is, then the levels there.
pub(super) fn level_there(
    (root, connection): (RootId, ConnectionId),
    (scope, id): (Scope, &str),
    placed: bool,
    known: &[Known],
) -> Result<Level, Vec<Question>> {
    let question = |about| Question {
        root,
        connection,
        about,
    };
    if !placed {
        return Err(vec![question(About::Place(id.to_owned()))]);
    }
    let open: Vec<Question> = known
        .iter()
        .filter(|(_, level)| level.is_none())
        .map(|(account, _)| question(About::Level(account.clone(), scope, id.to_owned())))
        .collect();
    if open.is_empty() {
        Ok(known
            .iter()
            .filter_map(|(_, level)| *level)
            .max()
            .unwrap_or(Level::None))
    } else {
        Err(open)
    }
}
