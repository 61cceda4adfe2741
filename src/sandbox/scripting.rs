//! What a test or the demo does to the tracker directly: building its world and acting as its people.
//!
//! Every change that GitLab would announce fires its hooks. Ids are GitLab's numbers.

use super::{
    ApiCall, Sandbox,
    delivery::Delivery,
    fault::{Fault, Rule},
    hooks::Occasion,
    model::{Award, Group, Level, NewGroup, NewProject, NewUser, Note, Place, Project, User},
    notes::{Draft, Refusal},
    now, payload,
    state::{Pace, State, take_id},
};
use http::Method;
use std::sync::Arc;

/// Building the world.
impl Sandbox {
    /// Creates an account and returns its id.
    pub fn create_user(&self, new: NewUser) -> u64 {
        self.change(|state| {
            let id = take_id(&state.users, new.id);
            if let Some(token) = &new.token {
                state.tokens.insert(token.clone(), id);
            }
            let email = format!("{}@staff.example", new.username);
            let user = User {
                id,
                username: new.username,
                name: new.name,
                email,
                bot: new.bot,
                token: new.token,
            };
            state.users.insert(id, user);
            id
        })
    }

    /// Creates a group, fires `subgroup_create` and the system hook `group_create`, and returns its id.
    pub fn create_group(&self, new: NewGroup) -> u64 {
        self.change(|state| {
            let parent = new.parent.and_then(|parent| state.group(parent));
            let full_path = below(parent.map(|parent| parent.full_path.as_str()), &new.path);
            let id = take_id(&state.groups, new.id);
            let group = Group {
                id,
                name: new.name,
                path: new.path,
                full_path: full_path.clone(),
                parent: new.parent,
                visibility: new.visibility,
                created_at: now(),
            };
            state.groups.insert(id, group.clone());
            state.group_paths.insert(full_path, id);
            if let Some(parent) = new.parent.and_then(|parent| state.group(parent)) {
                state.fire(
                    &announced(parent.id, "subgroup_events", "Subgroup Hook"),
                    |_| payload::subgroup(&group, parent, "subgroup_create"),
                );
            }
            state.fire(&Occasion::system(), |_| {
                payload::group(&group, "group_create", None)
            });
            id
        })
    }

    /// Creates a project, fires `project_create` (group and system hooks) and returns its id.
    pub fn create_project(&self, new: NewProject) -> u64 {
        self.change(|state| {
            let group = state.group(new.group);
            let full_path = below(group.map(|group| group.full_path.as_str()), &new.path);
            let id = take_id(&state.projects, new.id);
            let project = Project {
                id,
                name: new.name,
                path: new.path,
                path_with_namespace: full_path.clone(),
                group: new.group,
                visibility: new.visibility,
                created_at: now(),
                last_iid: 0,
            };
            state.projects.insert(id, project.clone());
            state.project_paths.insert(full_path, id);
            for occasion in [
                announced(new.group, "project_events", "Project Hook"),
                Occasion::system(),
            ] {
                state.fire(&occasion, |state| {
                    payload::project(state, &project, "project_create", None)
                });
            }
            id
        })
    }

    /// Adds a member or changes his level; fires the Member Hook of groups, or the system hook of projects.
    pub fn set_member(&self, place: Place, user: u64, level: Level) {
        self.change(|state| {
            let new = state.members.insert((user, place), level).is_none();
            let event = match (place, new) {
                (Place::Group(_), true) => "user_add_to_group",
                (Place::Group(_), false) => "user_update_for_group",
                (Place::Project(_), true) => "user_add_to_team",
                (Place::Project(_), false) => "user_update_for_team",
            };
            state.fire_member(place, user, level, event);
        });
    }

    /// Ends a membership, with the hooks of [`Self::set_member`].
    pub fn remove_member(&self, place: Place, user: u64) {
        self.change(|state| {
            if let Some(level) = state.members.remove(&(user, place)) {
                let event = match place {
                    Place::Group(_) => "user_remove_from_group",
                    Place::Project(_) => "user_remove_from_team",
                };
                state.fire_member(place, user, level, event);
            }
        });
    }
}

/// Acting as its people.
impl Sandbox {
    /// Posts a comment as `user` and returns its id; fires the Note Hook.
    ///
    /// # Errors
    /// Refuses what GitLab would refuse that user.
    pub fn comment(&self, issue: u64, user: u64, text: &str) -> Result<u64, Refusal> {
        self.post(issue, user, text, false, None)
    }

    /// Posts an internal comment, for Planner and up.
    ///
    /// # Errors
    /// As [`Self::comment`].
    pub fn comment_internal(&self, issue: u64, user: u64, text: &str) -> Result<u64, Refusal> {
        self.post(issue, user, text, true, None)
    }

    /// Answers in the thread of another comment.
    ///
    /// # Errors
    /// As [`Self::comment`]; also when there is no such comment.
    pub fn reply(&self, note: u64, user: u64, text: &str) -> Result<u64, Refusal> {
        let (issue, thread) = self
            .read(|state| {
                let note = state.note(note)?;
                Some((note.issue, note.discussion_id.clone()))
            })
            .ok_or(Refusal::NotFound("Note "))?;
        self.post(issue, user, text, false, Some(&thread))
    }

    pub(super) fn post(
        &self,
        issue: u64,
        author: u64,
        body: &str,
        internal: bool,
        discussion: Option<&str>,
    ) -> Result<u64, Refusal> {
        let draft = Draft {
            issue,
            author,
            body,
            internal,
            discussion,
            chain: None,
        };
        self.change(|state| state.post_note(&draft))
    }

    /// Changes the text of a comment as `by` and fires the Note Hook with the action `update`.
    ///
    /// # Errors
    /// Refuses everyone but the author and Maintainers.
    pub fn edit_comment(&self, note: u64, by: u64, text: &str) -> Result<(), Refusal> {
        self.change(|state| state.edit_note(note, by, text, None))
    }

    /// Deletes a comment, and with the last one its thread. GitLab fires no hook.
    pub fn delete_comment(&self, note: u64) {
        self.change(|state| {
            let Some(deleted) = state.notes.remove(&note) else {
                return;
            };
            if let Some(issue) = state.issues.get_mut(&deleted.issue) {
                issue.notes.retain(|id| *id != note);
            }
            if let Some(thread) = state.discussions.get_mut(&deleted.discussion_id) {
                thread.retain(|id| *id != note);
            }
        });
    }
}

/// Looking and steering.
impl Sandbox {
    /// Returns the comments of an issue in order of creation, system notes included.
    pub fn notes(&self, issue: u64) -> Vec<Note> {
        self.read(|state| state.notes(issue).cloned().collect())
    }

    /// Returns the reactions to a comment.
    pub fn awards(&self, note: u64) -> Vec<Award> {
        self.read(|state| state.note(note).map(|note| note.awards.clone()))
            .unwrap_or_default()
    }

    /// Returns the requests made to hooks, oldest first (the last 50,000).
    pub fn hook_log(&self) -> Vec<Arc<Delivery>> {
        self.read(|state| state.hook_log().cloned().collect())
    }

    /// Returns the API calls received, oldest first (the last 50,000).
    pub fn calls(&self) -> Vec<ApiCall> {
        self.read(|state| state.calls().cloned().collect())
    }

    /// Makes the next `times` API calls with that method and a path beginning with `path` end in `fault`.
    ///
    /// Rules are tried in the order in which they were given; a used-up rule is dropped.
    pub fn fail(&self, method: Method, path: &str, times: u32, fault: Fault) {
        let rule = Rule {
            method,
            path: path.to_owned(),
            times,
            fault,
        };
        self.change(|state| state.rules.push_back(rule));
    }

    /// Takes back all rules of [`Self::fail`].
    pub fn clear_faults(&self) {
        self.change(|state| state.rules.clear());
    }

    /// Limits the comments per user, or lifts the limit; what is above is answered with a bare 429.
    pub fn set_pace(&self, pace: Option<Pace>) {
        self.change(|state| state.pace = pace);
    }

    /// Chooses whether lines with GitLab's own `/add_contacts` are taken away before a comment is saved (default no).
    pub fn set_eats_native_commands(&self, eats: bool) {
        self.change(|state| state.eats_native_commands = eats);
    }
}

impl State {
    fn fire_member(&self, place: Place, user: u64, level: Level, event: &str) {
        let Some(user) = self.user(user) else { return };
        let group_hook = match place {
            Place::Group(group) => Some(announced(group, "member_events", "Member Hook")),
            Place::Project(_) => None,
        };
        for occasion in group_hook.into_iter().chain([Occasion::system()]) {
            self.fire(&occasion, |state| {
                payload::member(state, place, user, level, event)
            });
        }
    }
}

pub(super) fn below(parent: Option<&str>, path: &str) -> String {
    parent.map_or_else(|| path.to_owned(), |parent| format!("{parent}/{path}"))
}

pub(super) fn announced(group: u64, flag: &'static str, header: &'static str) -> Occasion {
    Occasion {
        place: Some(Place::Group(group)),
        flag,
        header,
        chain: None,
        subject: 0,
    }
}
