//! One thing on its way to its place, with the groups it is in: outermost first, each below the one before.

use sqlx::PgConnection;

use super::{Done, Finder, Kind, Placement, Shift, home, path};
use crate::{
    domain::{GroupId, Namespace, Namespaces, ProjectFacts, ProjectId, RootId},
    store::{
        StoreError,
        group::Group,
        transfer::{self, GroupMove, ProjectMove},
    },
};

/// A group as it is stored.
struct Known {
    root: RootId,
    id: GroupId,
    parent: Option<GroupId>,
    path: String,
    name: String,
    remote_path: Option<String>,
}

/// One thing on its way to its place.
pub(super) struct Placing<'a> {
    connection: &'a mut PgConnection,
    finder: &'a Finder<'a>,
    /// Tenants that stand for one of the namespaces themselves.
    standing: Vec<home::Standing>,
    pub(super) placement: Placement,
}

impl<'a> Placing<'a> {
    /// Has moves of the tenants that may be concerned wait for each other, then looks at what is known.
    pub(super) async fn begin(
        connection: &'a mut PgConnection,
        finder: &'a Finder<'a>,
        namespaces: &Namespaces,
        project: Option<&ProjectFacts>,
    ) -> Result<Self, StoreError> {
        let ids = home::ids(namespaces);
        let project = project.map(|project| project.remote_id.as_str());
        let mut roots = home::roots(connection, finder.on, &ids, project).await?;
        roots.push(finder.own);
        transfer::lock_roots(connection, &roots).await?;
        let standing = home::standing(connection, finder.on, namespaces).await?;
        Ok(Self {
            connection,
            finder,
            standing,
            placement: Placement::default(),
        })
    }

    /// Puts the namespaces in their places, outermost first; returns the innermost, or none where nothing of the path is Liaison's.
    pub(super) async fn walk(
        &mut self,
        namespaces: &Namespaces,
    ) -> Result<Option<Group>, StoreError> {
        let found = home::home(&self.standing, namespaces, self.finder.own);
        let (depth, mut group) = match found {
            Some((depth, standing)) => {
                home::adopt(self.connection, standing, namespaces, depth).await?;
                (depth, standing.group.clone())
            }
            None => match self.new_root(namespaces).await? {
                Some(group) => (0, group),
                None => return Ok(None),
            },
        };
        for namespace in namespaces.path.iter().skip(depth + 1) {
            group = self.group(&group, namespace).await?;
        }
        self.placement.root = Some(group.root);
        Ok(Some(group))
    }

    /// A subgroup that is a root group at the tracker now becomes one here.
    async fn new_root(&mut self, namespaces: &Namespaces) -> Result<Option<Group>, StoreError> {
        let Some(namespace) = namespaces.path.first().filter(|_| namespaces.is_whole) else {
            return Ok(None);
        };
        let Some(known) = self.known(&namespace.remote_id, self.finder.own).await? else {
            return Ok(None);
        };
        let path = path::free(
            self.connection,
            None,
            &namespace.path,
            (self.finder.on, &namespace.remote_id),
        )
        .await?;
        let moved = self.transfer(&known, None, &path, namespace).await?;
        home::adopt_new(self.connection, moved.root, moved.id).await?;
        Ok(Some(moved))
    }

    /// Returns the other tenants that stand for a part of the path themselves: what they know of it is theirs.
    fn elsewhere(&self, root: RootId) -> Vec<i64> {
        let standing = self.standing.iter().map(|standing| standing.group.root);
        standing
            .filter(|standing| *standing != root)
            .map(|standing| standing.0)
            .collect()
    }

    /// Returns what is known of a namespace: in a tenant, else in any that does not stand for the same path itself.
    async fn known(&mut self, remote_id: &str, root: RootId) -> Result<Option<Known>, StoreError> {
        let elsewhere = self.elsewhere(root);
        let known = sqlx::query_as!(
            Known,
            r#"SELECT root_id AS "root: RootId", id AS "id: GroupId", parent_id AS "parent: GroupId", path, name, remote_path
               FROM groups
               WHERE connection_id = $1 AND remote_id = $2 AND (root_id = id OR root_id <> ALL($4))
               ORDER BY root_id <> $3, root_id LIMIT 1"#,
            self.finder.on.0,
            remote_id,
            root.0,
            &elsewhere,
        )
        .fetch_optional(&mut *self.connection)
        .await?;
        Ok(known)
    }

    /// Puts one group below its parent.
    async fn group(&mut self, parent: &Group, namespace: &Namespace) -> Result<Group, StoreError> {
        let segment = namespace.path.rsplit('/').next().unwrap_or(&namespace.path);
        let wanted = format!("{}/{segment}", parent.path);
        let own = (self.finder.on, namespace.remote_id.as_str());
        match self.known(&namespace.remote_id, parent.root).await? {
            Some(known) if known.root == parent.root && known.parent == Some(parent.id) => {
                self.keep(known, parent, wanted, namespace).await
            }
            Some(known) => {
                let path = path::free(self.connection, Some(parent), &wanted, own).await?;
                self.transfer(&known, Some(parent), &path, namespace).await
            }
            None => {
                let path = path::free(self.connection, Some(parent), &wanted, own).await?;
                self.add(parent, path, namespace).await
            }
        }
    }

    /// A group that is where it was may have another path or name.
    async fn keep(
        &mut self,
        known: Known,
        parent: &Group,
        wanted: String,
        namespace: &Namespace,
    ) -> Result<Group, StoreError> {
        let mut group = Group {
            root: known.root,
            id: known.id,
            path: known.path,
        };
        let from = group.path.clone();
        if group.path != wanted {
            let own = (self.finder.on, namespace.remote_id.as_str());
            group.path = path::free(self.connection, Some(parent), &wanted, own).await?;
        }
        let same_remote = known.remote_path.as_deref() == Some(namespace.path.as_str());
        if group.path == from && same_remote && known.name == namespace.name {
            return Ok(group);
        }
        if group.path != from || !same_remote {
            let before = Group {
                path: from.clone(),
                ..group.clone()
            };
            path::rename(self.connection, &before, &group.path, Some(&namespace.path)).await?;
        }
        sqlx::query!(
            "UPDATE groups SET name = $3 WHERE root_id = $1 AND id = $2",
            group.root.0,
            group.id.0,
            namespace.name,
        )
        .execute(&mut *self.connection)
        .await?;
        self.placement.shifts.push(Shift {
            what: Kind::Group,
            done: Done::Changed,
            from: Some(from),
            to: group.path.clone(),
            report: None,
        });
        Ok(group)
    }

    async fn transfer(
        &mut self,
        known: &Known,
        parent: Option<&Group>,
        path: &str,
        namespace: &Namespace,
    ) -> Result<Group, StoreError> {
        let what = GroupMove {
            root: known.root,
            group: known.id,
            parent: parent.map(|parent| (parent.root, parent.id)),
            path,
            remote_path: Some(&namespace.path),
        };
        let moved = transfer::group(self.connection, &self.finder.mover(), &what).await?;
        self.placement.followers.push(moved.followers);
        self.placement.shifts.push(Shift {
            what: Kind::Group,
            done: Done::Moved,
            from: Some(known.path.clone()),
            to: path.to_owned(),
            report: Some(moved.report),
        });
        Ok(Group {
            root: parent.map_or(RootId(known.id.0), |parent| parent.root),
            id: known.id,
            path: path.to_owned(),
        })
    }

    /// A group that is met for the first time holds its contacts where its parent does.
    async fn add(
        &mut self,
        parent: &Group,
        path: String,
        namespace: &Namespace,
    ) -> Result<Group, StoreError> {
        let group = sqlx::query_as!(
            Group,
            r#"INSERT INTO groups (root_id, parent_id, path, name, contact_group_id, connection_id, remote_id, remote_path, created_at)
               SELECT $1, $2, $3, $4, contact_group_id, $5, $6, $7, $8 FROM groups WHERE root_id = $1 AND id = $2
               RETURNING root_id AS "root: RootId", id AS "id: GroupId", path"#,
            parent.root.0,
            parent.id.0,
            path,
            namespace.name,
            self.finder.on.0,
            namespace.remote_id,
            namespace.path,
            self.finder.now(),
        )
        .fetch_one(&mut *self.connection)
        .await?;
        self.placement.shifts.push(Shift {
            what: Kind::Group,
            done: Done::Added,
            from: None,
            to: path,
            report: None,
        });
        Ok(group)
    }

    /// Puts a project into its group.
    pub(super) async fn project(
        &mut self,
        group: &Group,
        facts: &ProjectFacts,
    ) -> Result<(), StoreError> {
        let elsewhere = self.elsewhere(group.root);
        let known = sqlx::query!(
            r#"SELECT root_id AS "root: RootId", id AS "id: ProjectId", group_id AS "group: GroupId", path, visibility FROM projects
               WHERE connection_id = $1 AND remote_id = $2 AND root_id <> ALL($4) ORDER BY root_id <> $3, root_id LIMIT 1"#,
            self.finder.on.0,
            facts.remote_id,
            group.root.0,
            &elsewhere,
        )
        .fetch_optional(&mut *self.connection)
        .await?;
        let mut shift = Shift {
            what: Kind::Project,
            done: Done::Added,
            from: known.as_ref().map(|known| known.path.clone()),
            to: facts.path.clone(),
            report: None,
        };
        match &known {
            Some(known) if (known.root, known.group) != (group.root, group.id) => {
                let what = ProjectMove {
                    root: known.root,
                    project: known.id,
                    to: (group.root, group.id),
                };
                let moved = transfer::project(self.connection, &self.finder.mover(), &what).await?;
                self.placement.followers.push(moved.followers);
                let lost = moved.lost.into_iter();
                let of = facts.remote_id.clone();
                self.placement
                    .lost
                    .extend(lost.map(|lost| (of.clone(), lost)));
                shift.done = Done::Moved;
                shift.report = Some(moved.report);
            }
            Some(_) => shift.done = Done::Changed,
            None => {}
        }
        let is_as_known = shift.done == Done::Changed
            && known.is_some_and(|known| {
                known.path == facts.path && known.visibility == facts.visibility.word()
            });
        sqlx::query!(
            "INSERT INTO projects (root_id, group_id, connection_id, remote_id, path, visibility, checked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (root_id, connection_id, remote_id) DO UPDATE
             SET group_id = excluded.group_id, path = excluded.path, visibility = excluded.visibility, checked_at = excluded.checked_at",
            group.root.0,
            group.id.0,
            self.finder.on.0,
            facts.remote_id,
            facts.path,
            facts.visibility.word(),
            self.finder.now(),
        )
        .execute(&mut *self.connection)
        .await?;
        if !is_as_known {
            self.placement.shifts.push(shift);
        }
        Ok(())
    }

    /// A project that is nowhere in Liaison's trees any more keeps what it has, in case it comes back; nothing about it is believed.
    pub(super) async fn left(&mut self, facts: &ProjectFacts) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE projects SET checked_at = '-infinity' WHERE connection_id = $1 AND remote_id = $2",
            self.finder.on.0,
            facts.remote_id,
        )
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }
}
