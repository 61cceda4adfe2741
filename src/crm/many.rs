//! Rights on many things at a time, for lists: the same answers as one by one, with a number of statements that does not grow with the list.
//!
//! What the tracker cannot place counts as not there; a tracker that does not answer fails the whole, so that a list is never silently short.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::{StreamExt, stream};
use sqlx::PgConnection;

use super::{
    Crm, CrmError, Outage,
    access::{level_there, on_group, on_issue},
    error::Question,
};
use crate::{
    domain::{GroupId, IssueId, ItemId, Level, PersonId, ProjectId, RootId, Scope},
    rules::{Access, OnItem, project_is_readable},
    store::{
        StoreError, item_fields,
        road::Fresh,
        standing::{self, GroupStanding, Held, IssueStanding},
    },
};

/// Rounds of questions: where projects are, then what the levels there are, then what is known.
const ROUNDS: usize = 3;
/// Questions to trackers at a time.
const AT_ONCE: usize = 8;

/// What is known of some things, and what has to be asked about the others.
struct Looked<K, V> {
    found: HashMap<K, V>,
    questions: Vec<Question>,
}

/// Whose contacts are meant: those of a group, or of an issue in it or below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Below {
    /// The group itself.
    Group,
    /// An issue.
    Issue(IssueId),
}

impl Crm {
    /// Returns what a person may do with the contacts of issues; those that are not there are left out.
    ///
    /// # Errors
    /// [`CrmError::Unavailable`] where a tracker or the database does not answer.
    pub async fn issues_access(
        &self,
        person: PersonId,
        issues: &[IssueId],
    ) -> Result<HashMap<IssueId, Access>, CrmError> {
        self.rounds(|fresh| self.look_at_issues(person, issues, fresh))
            .await
    }

    /// Returns what a person may do with the contacts that groups use; groups that are not there are left out.
    ///
    /// # Errors
    /// As for [`Self::issues_access`].
    pub async fn groups_access(
        &self,
        person: PersonId,
        groups: &[(RootId, GroupId)],
    ) -> Result<HashMap<(RootId, GroupId), Access>, CrmError> {
        self.rounds(|fresh| self.look_at_some_groups(person, groups, fresh))
            .await
    }

    /// Returns which of some projects a person may read; what he may do with contacts there is another matter.
    ///
    /// # Errors
    /// As for [`Self::issues_access`].
    pub async fn readable_projects(
        &self,
        person: PersonId,
        projects: &[(RootId, ProjectId)],
    ) -> Result<HashSet<ProjectId>, CrmError> {
        let found = self
            .rounds(|fresh| self.look_at_projects(person, projects, fresh))
            .await?;
        Ok(found.into_keys().collect())
    }

    /// Returns what a person may do with items; those that are not there are left out.
    ///
    /// # Errors
    /// As for [`Self::issues_access`].
    pub async fn items_access(
        &self,
        person: PersonId,
        items: &[ItemId],
    ) -> Result<HashMap<ItemId, OnItem>, CrmError> {
        self.rounds(|fresh| self.look_at_items(person, items, fresh))
            .await
    }

    /// Returns what a person may do with the contacts of a group, and with those of issues in it and below, each with the group of its
    /// project: at once, since it is known where they are. What is not there is left out.
    ///
    /// # Errors
    /// As for [`Self::issues_access`].
    pub async fn access_below(
        &self,
        person: PersonId,
        group: (RootId, GroupId),
        issues: &[(IssueId, GroupId)],
    ) -> Result<HashMap<Below, Access>, CrmError> {
        self.rounds(|fresh| self.look_below(person, group, issues, fresh))
            .await
    }

    async fn look_at_items(
        &self,
        person: PersonId,
        items: &[ItemId],
        fresh: Fresh,
    ) -> Result<Looked<ItemId, OnItem>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let places = item_fields::places(&mut connection, items, person).await?;
        let homes: BTreeSet<_> = places
            .iter()
            .map(|place| (place.root, place.group))
            .collect();
        let homes: Vec<_> = homes.into_iter().collect();
        let groups = self
            .look_at_groups(&mut connection, person, (&homes, Held::Here), fresh)
            .await?;
        let roots: BTreeSet<RootId> = homes.iter().map(|(root, _)| *root).collect();
        let roots: Vec<_> = roots.into_iter().collect();
        let when = (fresh, self.clock.now());
        let member = standing::memberships(&mut connection, &roots, person, when).await?;
        let on = places.into_iter().filter_map(|place| {
            let access = *groups.found.get(&(place.root, place.group))?;
            let on = OnItem {
                access,
                is_member: access.contact_group > Level::None || member.contains(&place.root),
                is_responsible: place.is_responsible,
                is_observer: place.is_observer,
            };
            Some((place.item, on))
        });
        Ok(Looked {
            found: on.collect(),
            questions: groups.questions,
        })
    }

    async fn look_at_issues(
        &self,
        person: PersonId,
        issues: &[IssueId],
        fresh: Fresh,
    ) -> Result<Looked<IssueId, Access>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let standings = standing::towards_issues(&mut connection, issues, person, fresh).await?;
        let homes: BTreeSet<_> = standings
            .iter()
            .map(|(root, _, issue)| (*root, issue.group))
            .collect();
        let homes: Vec<_> = homes.into_iter().collect();
        let groups = self
            .look_at_groups(&mut connection, person, (&homes, Held::Anywhere), fresh)
            .await?;
        Ok(on_issues(standings, groups))
    }

    async fn look_below(
        &self,
        person: PersonId,
        (root, group): (RootId, GroupId),
        issues: &[(IssueId, GroupId)],
        fresh: Fresh,
    ) -> Result<Looked<Below, Access>, StoreError> {
        let homes = issues.iter().map(|(_, home)| *home);
        let homes: BTreeSet<_> = homes.chain([group]).map(|home| (root, home)).collect();
        let homes: Vec<_> = homes.into_iter().collect();
        let ids: Vec<_> = issues.iter().map(|(issue, _)| *issue).collect();
        let (groups, standings) =
            tokio::try_join!(self.look_at_some_groups(person, &homes, fresh), async {
                if ids.is_empty() {
                    return Ok(Vec::new());
                }
                let mut connection = self.pool.acquire().await?;
                standing::towards_issues(&mut connection, &ids, person, fresh).await
            })?;
        let on_group = groups.found.get(&(root, group)).copied();
        let on_issues = on_issues(standings, groups);
        let found = on_issues.found.into_iter();
        let found = found.map(|(issue, access)| (Below::Issue(issue), access));
        Ok(Looked {
            found: found
                .chain(on_group.map(|access| (Below::Group, access)))
                .collect(),
            questions: on_issues.questions,
        })
    }

    async fn look_at_projects(
        &self,
        person: PersonId,
        projects: &[(RootId, ProjectId)],
        fresh: Fresh,
    ) -> Result<Looked<ProjectId, Level>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let standings =
            standing::towards_projects(&mut connection, projects, person, fresh).await?;
        let mut looked = Looked {
            found: HashMap::new(),
            questions: Vec::new(),
        };
        for (root, id, standing) in standings
            .into_iter()
            .filter(|(_, _, standing)| standing.active)
        {
            let scope = (Scope::Project, standing.remote.as_str());
            match level_there(
                (root, standing.connection),
                scope,
                standing.placed,
                &standing.known,
            ) {
                Ok(level) if project_is_readable(standing.visibility, level) => {
                    looked.found.insert(id, level);
                }
                Ok(_) => {}
                Err(open) => looked.questions.extend(open),
            }
        }
        Ok(looked)
    }

    async fn look_at_some_groups(
        &self,
        person: PersonId,
        groups: &[(RootId, GroupId)],
        fresh: Fresh,
    ) -> Result<Looked<(RootId, GroupId), Access>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        self.look_at_groups(&mut connection, person, (groups, Held::Anywhere), fresh)
            .await
    }

    async fn look_at_groups(
        &self,
        connection: &mut PgConnection,
        person: PersonId,
        groups: (&[(RootId, GroupId)], Held),
        fresh: Fresh,
    ) -> Result<Looked<(RootId, GroupId), Access>, StoreError> {
        let standings = standing::towards_groups(connection, groups, person, fresh).await?;
        let told = |standing: &GroupStanding| standing.tracker.is_some();
        let own: BTreeSet<_> = standings
            .iter()
            .filter(|(_, _, standing)| standing.active && !told(standing))
            .map(|(root, _, standing)| (*root, standing.holder))
            .collect();
        let own: HashMap<GroupId, Level> = if own.is_empty() {
            HashMap::new()
        } else {
            let own: Vec<_> = own.into_iter().collect();
            let levels = standing::own_levels(connection, &own, person, self.clock.now()).await?;
            levels.into_iter().collect()
        };
        let mut looked = Looked {
            found: HashMap::new(),
            questions: Vec::new(),
        };
        for (root, id, standing) in standings {
            let level = match &standing.tracker {
                _ if !standing.active => Ok(Level::None),
                Some((on, remote)) => {
                    level_there((root, *on), (Scope::Group, remote), true, &standing.known)
                }
                None => Ok(own.get(&standing.holder).copied().unwrap_or(Level::None)),
            };
            match level {
                Ok(level) => drop(looked.found.insert((root, id), on_group(&standing, level))),
                Err(open) => looked.questions.extend(open),
            }
        }
        Ok(looked)
    }

    /// Looks, asks what is open, and looks again. What is still open in the end is not there for the person.
    async fn rounds<K, V, F>(&self, look: impl Fn(Fresh) -> F) -> Result<HashMap<K, V>, CrmError>
    where
        F: Future<Output = Result<Looked<K, V>, StoreError>>,
    {
        let fresh = self.fresh();
        for _ in 0..ROUNDS {
            let looked = look(fresh)
                .await
                .map_err(|error| CrmError::Unavailable(Outage::Store(error)))?;
            if looked.questions.is_empty() {
                return Ok(looked.found);
            }
            let questions: BTreeSet<Question> = looked.questions.into_iter().collect();
            let mut asked = stream::iter(questions)
                .map(|question| self.ask(vec![question]))
                .buffer_unordered(AT_ONCE);
            while let Some(answer) = asked.next().await {
                match answer {
                    // A project that the tracker does not show is not there.
                    Ok(()) | Err(CrmError::NotFound) => {}
                    Err(other) => return Err(other),
                }
            }
        }
        let looked = look(fresh)
            .await
            .map_err(|error| CrmError::Unavailable(Outage::Store(error)))?;
        Ok(looked.found)
    }
}

/// Puts together what is known of a person's standing towards issues and towards the groups of their projects.
fn on_issues(
    standings: Vec<(RootId, IssueId, IssueStanding)>,
    groups: Looked<(RootId, GroupId), Access>,
) -> Looked<IssueId, Access> {
    let mut looked = Looked {
        found: HashMap::new(),
        questions: groups.questions,
    };
    for (root, id, standing) in standings {
        let Some(on_group) = groups.found.get(&(root, standing.group)) else {
            continue;
        };
        match on_issue(root, &standing, *on_group) {
            Ok(access) => drop(looked.found.insert(id, access)),
            Err(open) => looked.questions.extend(open),
        }
    }
    looked
}
