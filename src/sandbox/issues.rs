//! Opening, changing and moving issues, with the hooks that GitLab fires and the fields that its hooks leave out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Sandbox,
    hooks::Occasion,
    model::{Issue, NewIssue, NewUser, Place},
    now, payload,
    state::{State, take_id},
};

/// Username of GitLab's own author of issues that come by mail.
const SUPPORT_BOT: &str = "support-bot";

impl Sandbox {
    /// Opens an issue, fires the Issue Hook and returns its id (not its `iid`).
    pub fn create_issue(&self, new: NewIssue) -> u64 {
        self.change(|state| {
            let by = new.author;
            state.open_issue(new, by)
        })
    }

    /// Opens an issue as a mail to the project's Service Desk does: confidential, by GitLab's own bot, and only the API tells from whom.
    pub fn receive_mail(&self, project: u64, from: &str, title: &str, text: &str) -> u64 {
        let known = self.read(|state| state.user_named(SUPPORT_BOT).map(|user| user.id));
        let author = known.unwrap_or_else(|| {
            self.create_user(NewUser {
                username: SUPPORT_BOT.to_owned(),
                name: "GitLab Support Bot".to_owned(),
                bot: true,
                ..NewUser::default()
            })
        });
        self.create_issue(NewIssue {
            project,
            author,
            title: title.to_owned(),
            description: text.to_owned(),
            confidential: true,
            external_author: Some(from.to_owned()),
            ..NewIssue::default()
        })
    }

    /// Changes the description of an issue and fires the Issue Hook.
    pub fn describe_issue(&self, issue: u64, by: u64, text: &str) {
        self.change(|state| {
            let Some(found) = state.issues.get_mut(&issue) else {
                return;
            };
            let previous = std::mem::replace(&mut found.description, text.to_owned());
            found.updated_at = now();
            let changes = json!({ "description": { "previous": previous, "current": text } });
            state.fire_issue(issue, by, "update", &changes);
        });
    }

    /// Closes or reopens an issue and fires the Issue Hook.
    pub fn set_open(&self, issue: u64, by: u64, open: bool) {
        self.change(|state| state.set_open(issue, by, open));
    }

    /// Makes an issue confidential or takes that back; fires the Issue Hook.
    pub fn set_confidential(&self, issue: u64, by: u64, confidential: bool) {
        self.change(|state| state.set_confidential(issue, by, confidential));
    }

    /// Moves an issue to another project and returns the id that it has there.
    ///
    /// As at GitLab it is a new issue, which is opened there, and the old one is closed: two Issue Hooks, of which the second names the
    /// new issue in `moved_to_id`.
    pub fn move_issue(&self, issue: u64, by: u64, project: u64) -> u64 {
        self.change(|state| {
            let new = state.copy_issue(issue, by, project);
            if let Some(old) = state.issues.get_mut(&issue) {
                old.moved_to = Some(new);
            }
            state.add_system_note(issue, by, "moved");
            state.set_open(issue, by, false);
            new
        })
    }

    /// Clones an issue into a project and returns the id of the copy; fires its Issue Hook.
    pub fn clone_issue(&self, issue: u64, by: u64, project: u64) -> u64 {
        self.change(|state| state.copy_issue(issue, by, project))
    }
}

impl State {
    fn open_issue(&mut self, new: NewIssue, by: u64) -> u64 {
        let id = take_id(&self.issues, new.id);
        let last = self.projects.get_mut(&new.project).map(|project| {
            let iid = new.iid.unwrap_or(project.last_iid + 1);
            project.last_iid = project.last_iid.max(iid);
            iid
        });
        let iid = last.unwrap_or(1);
        let at = now();
        let issue = Issue {
            id,
            iid,
            project: new.project,
            title: new.title,
            description: new.description,
            confidential: new.confidential,
            author: new.author,
            assignees: BTreeSet::new(),
            open: true,
            moved_to: None,
            external_author: new.external_author,
            created_at: at,
            updated_at: at,
            notes: Vec::new(),
            discussions: Vec::new(),
        };
        self.issue_iids.insert((new.project, iid), id);
        self.issues.insert(id, issue);
        self.fire_issue(id, by, "open", &json!({}));
        id
    }

    fn copy_issue(&mut self, issue: u64, by: u64, project: u64) -> u64 {
        let copy = self.issues.get(&issue).map(|old| NewIssue {
            project,
            author: old.author,
            title: old.title.clone(),
            description: old.description.clone(),
            confidential: old.confidential,
            external_author: old.external_author.clone(),
            ..NewIssue::default()
        });
        self.open_issue(copy.unwrap_or_default(), by)
    }

    fn set_open(&mut self, issue: u64, by: u64, open: bool) {
        let Some(found) = self.issues.get_mut(&issue) else {
            return;
        };
        found.open = open;
        found.updated_at = now();
        let (action, previous, current) = if open {
            ("reopen", 2, 1)
        } else {
            ("close", 1, 2)
        };
        let changes = json!({ "state_id": { "previous": previous, "current": current } });
        self.fire_issue(issue, by, action, &changes);
    }

    fn set_confidential(&mut self, issue: u64, by: u64, confidential: bool) {
        let Some(found) = self.issues.get_mut(&issue) else {
            return;
        };
        let previous = std::mem::replace(&mut found.confidential, confidential);
        if previous == confidential {
            return;
        }
        let text = if confidential {
            "made the issue confidential"
        } else {
            "made the issue visible to everyone"
        };
        self.add_system_note(issue, by, text);
        let changes = json!({ "confidential": { "previous": previous, "current": confidential } });
        self.fire_issue(issue, by, "update", &changes);
    }

    /// Fires the Issue Hooks of an issue that was opened or changed.
    fn fire_issue(&self, issue: u64, by: u64, action: &str, changes: &Value) {
        let Some(issue) = self.issue(issue) else {
            return;
        };
        let (flag, header) = if issue.confidential {
            ("confidential_issues_events", "Confidential Issue Hook")
        } else {
            ("issues_events", "Issue Hook")
        };
        let occasion = Occasion {
            place: Some(Place::Project(issue.project)),
            flag,
            header,
            chain: None,
            subject: issue.id,
        };
        self.fire(&occasion, |state| {
            payload::issue(state, issue, by, action, changes)
        });
    }
}
