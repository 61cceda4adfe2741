//! The tracker's memory: tables, their indexes and the questions asked of them.
//!
//! Changes are made elsewhere, under the one lock of [`super::Sandbox`]. Nothing here awaits, sends or scans all comments.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use url::Url;

use super::{
    ApiCall,
    crm::Crm,
    delivery::Delivery,
    fault::Rule,
    hooks::Hook,
    model::{Group, Issue, Level, Note, Place, Project, User, Visibility},
};

/// Longest log that is kept; the oldest entries go first.
const LOG_LENGTH: usize = 50_000;

/// Everything the tracker knows.
#[derive(Debug)]
pub struct State {
    pub(super) public_url: Url,
    pub(super) users: BTreeMap<u64, User>,
    pub(super) tokens: HashMap<String, u64>,
    pub(super) groups: BTreeMap<u64, Group>,
    pub(super) group_paths: HashMap<String, u64>,
    pub(super) projects: BTreeMap<u64, Project>,
    pub(super) project_paths: HashMap<String, u64>,
    pub(super) members: BTreeMap<(u64, Place), Level>,
    pub(super) issues: BTreeMap<u64, Issue>,
    pub(super) issue_iids: HashMap<(u64, u64), u64>,
    pub(super) crm: Crm,
    pub(super) notes: HashMap<u64, Note>,
    pub(super) discussions: HashMap<String, Vec<u64>>,
    pub(super) hooks: BTreeMap<u64, Hook>,
    pub(super) hook_log: VecDeque<Arc<Delivery>>,
    pub(super) calls: VecDeque<ApiCall>,
    pub(super) rules: VecDeque<Rule>,
    pub(super) pace: Option<Pace>,
    pub(super) eats_native_commands: bool,
    pub(super) lanes: usize,
    pub(super) last_note: u64,
    pub(super) last_award: u64,
    pub(super) last_hook: u64,
    pub(super) last_delivery: u64,
    paced: HashMap<u64, (Instant, u32)>,
}

/// A limit on the comments that one user may create, as GitLab's application limits have it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Comments that are accepted within the window.
    pub notes: u32,
    /// Length of the fixed window; a minute at GitLab.
    pub window: Duration,
}

impl Pace {
    /// Returns GitLab's form of the limit.
    pub fn per_minute(notes: u32) -> Self {
        Self {
            notes,
            window: Duration::from_mins(1),
        }
    }
}

impl State {
    pub(super) fn new(public_url: Url) -> Self {
        Self {
            public_url,
            users: BTreeMap::new(),
            tokens: HashMap::new(),
            groups: BTreeMap::new(),
            group_paths: HashMap::new(),
            projects: BTreeMap::new(),
            project_paths: HashMap::new(),
            members: BTreeMap::new(),
            issues: BTreeMap::new(),
            issue_iids: HashMap::new(),
            crm: Crm::default(),
            notes: HashMap::new(),
            discussions: HashMap::new(),
            hooks: BTreeMap::new(),
            hook_log: VecDeque::new(),
            calls: VecDeque::new(),
            rules: VecDeque::new(),
            pace: None,
            eats_native_commands: false,
            lanes: 1,
            last_note: 0,
            last_award: 0,
            last_hook: 0,
            last_delivery: 0,
            paced: HashMap::new(),
        }
    }

    /// Returns the user with that id.
    pub fn user(&self, id: u64) -> Option<&User> {
        self.users.get(&id)
    }

    /// Returns the user with that name for mentions.
    pub fn user_named(&self, username: &str) -> Option<&User> {
        self.users.values().find(|user| user.username == username)
    }

    /// Returns the group with that id.
    pub fn group(&self, id: u64) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// Returns the project with that id.
    pub fn project(&self, id: u64) -> Option<&Project> {
        self.projects.get(&id)
    }

    /// Returns the issue with that id (not its number within the project).
    pub fn issue(&self, id: u64) -> Option<&Issue> {
        self.issues.get(&id)
    }

    /// Returns the comment with that id.
    pub fn note(&self, id: u64) -> Option<&Note> {
        self.notes.get(&id)
    }

    /// Returns the comments of an issue in order of creation.
    pub fn notes(&self, issue: u64) -> impl DoubleEndedIterator<Item = &Note> {
        self.issues
            .get(&issue)
            .into_iter()
            .flat_map(|issue| &issue.notes)
            .filter_map(|id| self.notes.get(id))
    }

    /// Returns the hook with that id.
    pub fn hook(&self, id: u64) -> Option<&Hook> {
        self.hooks.get(&id)
    }

    /// Returns the requests made to hooks, oldest first.
    pub fn hook_log(&self) -> impl DoubleEndedIterator<Item = &Arc<Delivery>> {
        self.hook_log.iter()
    }

    /// Returns the API calls received, oldest first.
    pub fn calls(&self) -> impl DoubleEndedIterator<Item = &ApiCall> {
        self.calls.iter()
    }

    /// Returns the group and its ancestors, from the inside out.
    pub(super) fn ancestry(&self, group: u64) -> impl Iterator<Item = &Group> {
        std::iter::successors(self.groups.get(&group), |group| {
            self.groups.get(&group.parent?)
        })
    }

    /// Returns the highest level that a user has in a place, inherited ones included.
    pub fn level(&self, place: Place, user: u64) -> Option<Level> {
        let (own, group) = match place {
            Place::Group(group) => (None, group),
            Place::Project(project) => (
                self.members.get(&(user, place)).copied(),
                self.projects.get(&project)?.group,
            ),
        };
        self.ancestry(group)
            .filter_map(|group| self.members.get(&(user, Place::Group(group.id))).copied())
            .chain(own)
            .max()
    }

    pub(super) fn may_read_project(&self, user: u64, project: &Project) -> bool {
        project.visibility != Visibility::Private
            || self.level(Place::Project(project.id), user).is_some()
    }

    /// Tells whether a group is visible: also to members of anything below it, as at GitLab.
    pub(super) fn may_read_group(&self, user: u64, group: &Group) -> bool {
        let below = |place: &Place| {
            let home = match place {
                Place::Group(id) => Some(*id),
                Place::Project(id) => self.projects.get(id).map(|project| project.group),
            };
            home.is_some_and(|home| self.ancestry(home).any(|above| above.id == group.id))
        };
        group.visibility != Visibility::Private
            || self.level(Place::Group(group.id), user).is_some()
            || self
                .members
                .range((user, Place::Group(0))..=(user, Place::Project(u64::MAX)))
                .any(|((_, place), _)| below(place))
    }

    pub(super) fn may_read_issue(&self, user: u64, issue: &Issue) -> bool {
        let readable = self
            .projects
            .get(&issue.project)
            .is_some_and(|project| self.may_read_project(user, project));
        readable
            && (!issue.confidential
                || issue.author == user
                || issue.assignees.contains(&user)
                || self.level(Place::Project(issue.project), user) >= Some(Level::Planner))
    }

    /// Tells whether a user may read and write internal comments of a project.
    pub(super) fn is_insider(&self, user: u64, project: u64) -> bool {
        self.level(Place::Project(project), user) >= Some(Level::Planner)
    }

    pub(super) fn may_read_note(&self, user: u64, note: &Note) -> bool {
        self.issues.get(&note.issue).is_some_and(|issue| {
            self.may_read_issue(user, issue)
                && (!note.internal || self.is_insider(user, issue.project))
        })
    }

    /// Returns the address of something below the tracker's own.
    pub(super) fn web_url(&self, path: &str) -> String {
        format!("{}/{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    pub(super) fn project_url(&self, project: &Project) -> String {
        self.web_url(&project.path_with_namespace)
    }

    pub(super) fn issue_url(&self, project: &Project, issue: &Issue) -> String {
        format!("{}/-/issues/{}", self.project_url(project), issue.iid)
    }

    pub(super) fn log_call(&mut self, call: ApiCall) {
        push_bounded(&mut self.calls, call);
    }

    pub(super) fn log_delivery(&mut self, delivery: Arc<Delivery>) {
        push_bounded(&mut self.hook_log, delivery);
    }

    /// Counts a comment against the limit and tells whether it is within.
    pub(super) fn within_pace(&mut self, user: u64) -> bool {
        let Some(pace) = self.pace else { return true };
        let (started, count) = self.paced.entry(user).or_insert((Instant::now(), 0));
        if started.elapsed() >= pace.window {
            (*started, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count <= pace.notes
    }
}

fn push_bounded<T>(log: &mut VecDeque<T>, entry: T) {
    if log.len() == LOG_LENGTH {
        log.pop_front();
    }
    log.push_back(entry);
}

/// Takes the id that was asked for, else the one after the highest.
pub(super) fn take_id<T>(table: &BTreeMap<u64, T>, wanted: Option<u64>) -> u64 {
    wanted.unwrap_or_else(|| table.last_key_value().map_or(0, |(id, _)| *id) + 1)
}
