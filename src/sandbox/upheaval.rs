//! Groups and projects that are renamed, moved and destroyed, with the hooks that GitLab sends of it: system hooks of nearly everything, group
//! hooks of what is destroyed, and none at all of a moved group.

use std::collections::BTreeSet;

use super::{
    Sandbox,
    hooks::Occasion,
    model::{Place, Project},
    payload,
    scripting::{announced, below},
    state::State,
};

impl Sandbox {
    /// Gives a group another path and fires the system hook `group_rename`; everything below it moves along.
    pub fn rename_group(&self, group: u64, path: &str) {
        self.change(|state| {
            let Some(found) = state.groups.get_mut(&group) else {
                return;
            };
            let old_path = std::mem::replace(&mut found.path, path.to_owned());
            let old_full_path = found.full_path.clone();
            state.rebuild_paths();
            if let Some(group) = state.group(group) {
                let old = Some((old_path.as_str(), old_full_path.as_str()));
                state.fire(&Occasion::system(), |_| {
                    payload::group(group, "group_rename", old)
                });
            }
        });
    }

    /// Moves a group below another one, or makes it a root group; everything below it moves along. GitLab fires no hook.
    pub fn transfer_group(&self, group: u64, parent: impl Into<Option<u64>>) {
        self.change(|state| {
            if let Some(found) = state.groups.get_mut(&group) {
                found.parent = parent.into();
            }
            state.rebuild_paths();
        });
    }

    /// Gives a project another path and fires the system hook `project_rename`.
    pub fn rename_project(&self, project: u64, path: &str) {
        self.move_project(project, "project_rename", |project| {
            path.clone_into(&mut project.path);
        });
    }

    /// Moves a project to another group and fires the system hook `project_transfer`.
    pub fn transfer_project(&self, project: u64, group: u64) {
        self.move_project(project, "project_transfer", |project| project.group = group);
    }

    fn move_project(&self, project: u64, event: &str, apply: impl FnOnce(&mut Project)) {
        self.change(|state| {
            let Some(found) = state.projects.get_mut(&project) else {
                return;
            };
            let old = found.path_with_namespace.clone();
            apply(found);
            state.rebuild_paths();
            if let Some(project) = state.project(project) {
                state.fire(&Occasion::system(), |state| {
                    payload::project(state, project, event, Some(&old))
                });
            }
        });
    }

    /// Destroys a project with its issues and fires `project_destroy` (group and system hooks).
    pub fn destroy_project(&self, project: u64) {
        self.change(|state| state.destroy_project(project));
    }

    /// Destroys a group with everything below; fires `project_destroy` for its projects, then `subgroup_destroy` and the system hook
    /// `group_destroy` for each group, inner ones first.
    pub fn destroy_group(&self, group: u64) {
        self.change(|state| {
            let is_inside = |id: &u64| state.ancestry(*id).any(|above| above.id == group);
            let mut groups: Vec<u64> = state.groups.keys().copied().filter(is_inside).collect();
            let projects = state.projects.values();
            let projects: Vec<u64> = projects
                .filter(|project| groups.contains(&project.group))
                .map(|project| project.id)
                .collect();
            for project in projects {
                state.destroy_project(project);
            }
            groups.sort_by_key(|id| std::cmp::Reverse(state.ancestry(*id).count()));
            for group in groups {
                state.destroy_group(group);
            }
        });
    }
}

impl State {
    fn destroy_project(&mut self, id: u64) {
        let Some(project) = self.project(id).cloned() else {
            return;
        };
        for occasion in [
            announced(project.group, "project_events", "Project Hook"),
            Occasion::system(),
        ] {
            self.fire(&occasion, |state| {
                payload::project(state, &project, "project_destroy", None)
            });
        }
        self.projects.remove(&id);
        self.project_paths.remove(&project.path_with_namespace);
        self.members
            .retain(|(_, place), _| *place != Place::Project(id));
        let gone: BTreeSet<u64> = self
            .issues
            .values()
            .filter(|issue| issue.project == id)
            .map(|issue| issue.id)
            .collect();
        self.issues.retain(|issue, _| !gone.contains(issue));
        self.issue_iids.retain(|_, issue| !gone.contains(issue));
        self.notes.retain(|_, note| !gone.contains(&note.issue));
    }

    fn destroy_group(&mut self, id: u64) {
        let Some(group) = self.group(id).cloned() else {
            return;
        };
        if let Some(parent) = group.parent.and_then(|parent| self.group(parent)) {
            self.fire(
                &announced(parent.id, "subgroup_events", "Subgroup Hook"),
                |_| payload::subgroup(&group, parent, "subgroup_destroy"),
            );
        }
        self.fire(&Occasion::system(), |_| {
            payload::group(&group, "group_destroy", None)
        });
        self.groups.remove(&id);
        self.group_paths.remove(&group.full_path);
        self.members
            .retain(|(_, place), _| *place != Place::Group(id));
    }

    /// Brings the full paths in line with the tree after something moved.
    fn rebuild_paths(&mut self) {
        let full_path = |state: &Self, group: u64| {
            let mut segments: Vec<&str> = state
                .ancestry(group)
                .map(|group| group.path.as_str())
                .collect();
            segments.reverse();
            segments.join("/")
        };
        let groups: Vec<(u64, String)> = self
            .groups
            .keys()
            .map(|id| (*id, full_path(self, *id)))
            .collect();
        self.group_paths.clear();
        for (id, path) in groups {
            if let Some(group) = self.groups.get_mut(&id) {
                group.full_path.clone_from(&path);
            }
            self.group_paths.insert(path, id);
        }
        self.project_paths.clear();
        for project in self.projects.values_mut() {
            let group = self.groups.get(&project.group);
            let path = below(group.map(|group| group.full_path.as_str()), &project.path);
            project.path_with_namespace.clone_from(&path);
            self.project_paths.insert(path, project.id);
        }
    }
}
