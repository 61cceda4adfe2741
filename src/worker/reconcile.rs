//! Reconciliation: the tree as it is known here is compared with the tracker's, and what differs is set right, as the events would have done.
//!
//! What the tracker does not list is asked for by itself. What it does not show even then is reported and left alone: it may be destroyed,
//! or only hidden from the bot, and forgetting what is merely hidden would lose customers' relations for good.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use serde::Serialize;
use sqlx::PgPool;

use crate::{
    connector::gitlab::{Client, GroupFacts, GroupTree},
    domain::{Clock, ProjectFacts, Via},
    lookup::{LookupError, Reason, Told, put},
    store::{
        StoreError, access,
        group::Followed,
        place::{self, Finder, Kind, KnownGroup, KnownProject, KnownTree, Placement, Shift},
    },
};

/// What a reconciliation found and did.
#[derive(Debug, Default, Serialize)]
pub struct Reconciled {
    /// Path of the group.
    pub group: String,
    /// What was not as the tracker says, in the order in which it was set right, or would be.
    pub shifts: Vec<Shift>,
    /// What the tracker does not show to the bot.
    pub hidden: Vec<Hidden>,
    /// Levels that were remembered; they are asked anew.
    pub levels: u64,
}

/// Something that is known here and that the tracker does not show.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Hidden {
    /// A group or a project.
    pub what: Kind,
    /// Its path as it is known here.
    pub path: String,
    /// True where the tracker shows it, outside of every group that is known here.
    pub left: bool,
}

/// Compares one group with the tracker and sets right what differs; with `dry_run` it only says so.
///
/// # Errors
/// Fails where the tracker or the database does not answer; what was set right until then stays.
pub async fn reconcile(
    (pool, client, clock): (&PgPool, &Client, &dyn Clock),
    followed: &Followed,
    dry_run: bool,
) -> Result<Reconciled, LookupError> {
    let mut work = Work {
        pool,
        client,
        dry_run,
        finder: Finder {
            on: followed.connection,
            own: followed.group.root,
            actor: None,
            via: Via::CommandLine,
            clock,
        },
        done: Reconciled {
            group: followed.group.path.clone(),
            ..Reconciled::default()
        },
    };
    let Some(top) = client.group(&followed.remote_id).await? else {
        work.hide(Kind::Group, &followed.group.path, false);
        return Ok(work.done);
    };
    let id = top.id.to_string();
    let mut groups = client.ancestors(top.id).await?;
    groups.extend(client.descendants(&id).await?);
    let tree: GroupTree = groups.iter().cloned().collect();
    let projects = client.projects(&id, &tree).await?;
    // The group itself first: with it everything below may come from, or go to, another root group.
    work.put(Told::Group(&tree.namespaces(top.id))).await?;
    let known = work.known(followed).await?;
    work.groups(&known, &tree, groups).await?;
    work.projects(&known, projects).await?;
    work.levels().await?;
    Ok(work.done)
}

struct Work<'a> {
    pool: &'a PgPool,
    client: &'a Client,
    dry_run: bool,
    finder: Finder<'a>,
    done: Reconciled,
}

impl Work<'_> {
    async fn known(&self, followed: &Followed) -> Result<KnownTree, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let group = (followed.group.root, followed.group.id);
        place::known(&mut connection, group, followed.connection).await
    }

    /// Sets groups right, outer ones before those in them, then looks for those that were not listed.
    async fn groups(
        &mut self,
        known: &KnownTree,
        tree: &GroupTree,
        mut listed: Vec<GroupFacts>,
    ) -> Result<(), LookupError> {
        let by_id = index(&known.groups, |group| group.remote_id.clone());
        listed.sort_by_key(|group| group.full_path.matches('/').count());
        let ids: HashSet<String> = listed.iter().map(|group| group.id.to_string()).collect();
        for group in &listed {
            let before = by_id.get(&group.id.to_string());
            if before.is_none_or(|known| differs(known, group)) {
                self.put(Told::Group(&tree.namespaces(group.id))).await?;
            }
        }
        for group in known
            .groups
            .iter()
            .filter(|group| !ids.contains(&group.remote_id))
        {
            match self.client.namespaces(&group.remote_id).await? {
                Some(namespaces) => {
                    self.put_or_hide(&group.path, Told::Group(&namespaces))
                        .await?;
                }
                None => self.hide(Kind::Group, &group.path, false),
            }
        }
        Ok(())
    }

    async fn projects(
        &mut self,
        known: &KnownTree,
        listed: Vec<ProjectFacts>,
    ) -> Result<(), LookupError> {
        let by_id = index(&known.projects, |project| project.remote_id.clone());
        let ids: HashSet<&str> = listed
            .iter()
            .map(|project| project.remote_id.as_str())
            .collect();
        for project in &listed {
            let before = by_id.get(&project.remote_id);
            if before.is_none_or(|known| is_elsewhere(known, project)) {
                self.put(Told::Project(project)).await?;
            }
        }
        for project in &known.projects {
            if ids.contains(project.remote_id.as_str()) {
                continue;
            }
            match self.client.project(&project.remote_id).await? {
                Some(facts) => {
                    self.put_or_hide(&project.path, Told::Project(&facts))
                        .await?;
                }
                None => {
                    self.hide(Kind::Project, &project.path, false);
                    self.doubt(&project.remote_id).await?;
                }
            }
        }
        Ok(())
    }

    async fn put_or_hide(&mut self, path: &str, told: Told<'_>) -> Result<(), LookupError> {
        let what = match told {
            Told::Group(_) => Kind::Group,
            Told::Project(_) => Kind::Project,
        };
        if self.put(told).await?.root.is_none() {
            self.hide(what, path, true);
        }
        Ok(())
    }

    async fn put(&mut self, told: Told<'_>) -> Result<Placement, StoreError> {
        let reason = Reason::default();
        let placement = put(self.pool, &self.finder, told, reason, self.dry_run).await?;
        for shift in &placement.shifts {
            // Nothing is committed in a dry run, so that what comes later meets the same again.
            if !self.done.shifts.contains(shift) {
                self.done.shifts.push(shift.clone());
            }
        }
        Ok(placement)
    }

    fn hide(&mut self, what: Kind, path: &str, left: bool) {
        self.done.hidden.push(Hidden {
            what,
            path: path.to_owned(),
            left,
        });
    }

    async fn doubt(&self, project: &str) -> Result<(), StoreError> {
        if self.dry_run {
            return Ok(());
        }
        let mut connection = self.pool.acquire().await?;
        let (root, on) = (self.finder.own, self.finder.on);
        place::doubt(&mut connection, root, on, Some(project)).await
    }

    /// What was told of levels is asked anew.
    async fn levels(&mut self) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let place = (self.finder.own, self.finder.on);
        self.done.levels = access::forget_all(&mut tx, place).await?;
        if self.dry_run {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        Ok(())
    }
}

fn index<T, K: Hash + Eq>(list: &[T], key: impl Fn(&T) -> K) -> HashMap<K, &T> {
    list.iter().map(|entry| (key(entry), entry)).collect()
}

/// Returns whether a group is not as it is known. Of a root group only what it stands for counts: its path and name are declared.
fn differs(known: &KnownGroup, group: &GroupFacts) -> bool {
    let Some(parent) = &known.parent else {
        return false;
    };
    known.name != group.name
        || known.remote_path.as_deref() != Some(group.full_path.as_str())
        || group.parent_id.map(|id| id.to_string()).as_ref() != Some(parent)
}

fn is_elsewhere(known: &KnownProject, project: &ProjectFacts) -> bool {
    let group = project.namespaces.path.last();
    known.path != project.path
        || known.visibility != project.visibility.word()
        || known.group.as_ref() != group.map(|group| &group.remote_id)
}

impl Reconciled {
    /// Returns whether everything is as the tracker says.
    pub fn is_clean(&self) -> bool {
        self.shifts.is_empty() && self.hidden.is_empty()
    }
}
