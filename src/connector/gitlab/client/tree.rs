//! People, projects, groups, and who may do what in them.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde::Deserialize;

use super::{CallError, Client, Request};
use crate::domain::{Level, Namespace, Namespaces, ProjectFacts, RemoteUser, Scope, Visibility};

/// GitLab nests groups 20 deep.
const MAX_DEPTH: usize = 21;

/// A group as GitLab describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GroupFacts {
    /// Immutable id.
    pub id: i64,
    /// Full path.
    pub full_path: String,
    /// Name.
    pub name: String,
    /// The group it is in.
    pub parent_id: Option<i64>,
}

#[derive(Deserialize)]
struct WireUser {
    id: i64,
    username: String,
    name: String,
    #[serde(default)]
    bot: bool,
}

#[derive(Deserialize)]
struct WireProject {
    id: i64,
    path_with_namespace: String,
    visibility: String,
    namespace: WireNamespace,
}

#[derive(Deserialize)]
struct WireNamespace {
    id: i64,
    kind: String,
}

#[derive(Deserialize)]
struct WireMember {
    access_level: i64,
    /// Of the account: active, blocked …
    state: Option<String>,
    /// Of the membership: active, or awaiting a seat.
    membership_state: Option<String>,
    /// Its last day has passed on this one. Some versions write a moment.
    expires_at: Option<String>,
}

impl WireMember {
    fn is_in_force(&self, today: NaiveDate) -> bool {
        let active = |state: &Option<String>| state.as_deref().is_none_or(|word| word == "active");
        let lasts = self.expires_at.as_deref().is_none_or(|end| {
            let day = end.get(..10).and_then(|day| day.parse::<NaiveDate>().ok());
            day.is_some_and(|day| today < day)
        });
        active(&self.state) && active(&self.membership_state) && lasts
    }
}

impl Client {
    /// Returns the bot's own account.
    pub async fn whoami(&self) -> Result<RemoteUser, CallError> {
        let user: WireUser = self.read(Request::get("GET user", &["user"])).await?;
        Ok(user.into())
    }

    /// Returns an account, or none where GitLab knows none.
    pub async fn user(&self, id: &str) -> Result<Option<RemoteUser>, CallError> {
        let user: Option<WireUser> = self
            .find(Request::get("GET user by id", &["users", id]))
            .await?;
        Ok(user.map(RemoteUser::from))
    }

    /// Returns the account with a username, whose case does not matter, or none where GitLab knows none.
    pub async fn user_named(&self, username: &str) -> Result<Option<RemoteUser>, CallError> {
        let query = [("username", username)];
        let mut request = Request::get("GET users by username", &["users"]);
        request.query = &query;
        let found: Vec<WireUser> = self.read(request).await?;
        Ok(found.into_iter().next().map(RemoteUser::from))
    }

    /// Returns the groups that are in no other, in which the bot is Maintainer or more.
    pub async fn led_groups(&self) -> Result<Vec<GroupFacts>, CallError> {
        let query = [("top_level_only", "true"), ("min_access_level", "40")];
        self.list("GET groups", &["groups"], &query).await
    }

    /// Returns a project and the groups it is in, or none where the bot sees none.
    pub async fn project(&self, id: &str) -> Result<Option<ProjectFacts>, CallError> {
        let path = ["projects", id];
        let found = self.find(Request::get("GET project", &path)).await?;
        let Some(project): Option<WireProject> = found else {
            return Ok(None);
        };
        let groups = if project.namespace.kind == "group" {
            self.ancestors(project.namespace.id).await?
        } else {
            Vec::new()
        };
        Ok(Some(project.facts(&groups)))
    }

    /// Returns a group with all the groups it is in, or none where the bot sees none.
    pub async fn namespaces(&self, id: &str) -> Result<Option<Namespaces>, CallError> {
        let Some(group) = self.group(id).await? else {
            return Ok(None);
        };
        Ok(Some(namespaces(&self.ancestors(group.id).await?)))
    }

    /// Returns a group by id or full path, or none where the bot sees none.
    pub async fn group(&self, id_or_path: &str) -> Result<Option<GroupFacts>, CallError> {
        let path = ["groups", id_or_path];
        let mut request = Request::get("GET group", &path);
        request.query = &[("with_projects", "false")];
        self.find(request).await
    }

    /// Returns a group with all the groups it is in, outermost first. A group that the bot may not see ends the walk.
    pub async fn ancestors(&self, id: i64) -> Result<Vec<GroupFacts>, CallError> {
        let mut path = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|_| path.len() < MAX_DEPTH) {
            let Some(group) = self.group(&id.to_string()).await? else {
                break;
            };
            next = group.parent_id;
            path.push(group);
        }
        path.reverse();
        Ok(path)
    }

    /// Returns all groups below a group that the bot sees, at any depth.
    pub async fn descendants(&self, group: &str) -> Result<Vec<GroupFacts>, CallError> {
        let path = ["groups", group, "descendant_groups"];
        let query = [("order_by", "id"), ("sort", "asc")];
        self.list("GET descendant_groups", &path, &query).await
    }

    /// Returns all projects in a group and below that the bot sees; the groups they are in are looked up in `groups`.
    pub async fn projects(
        &self,
        group: &str,
        groups: &GroupTree,
    ) -> Result<Vec<ProjectFacts>, CallError> {
        let path = ["groups", group, "projects"];
        let query = [
            ("include_subgroups", "true"),
            ("with_shared", "false"),
            ("order_by", "id"),
            ("sort", "asc"),
        ];
        let projects: Vec<WireProject> = self.list("GET group projects", &path, &query).await?;
        Ok(projects
            .into_iter()
            .map(|project| {
                let path = groups.path(project.namespace.id);
                project.facts(&path)
            })
            .collect())
    }

    /// Returns the level a user has in a group or project, inherited and shared ones included.
    pub async fn access_level(
        &self,
        scope: Scope,
        id: &str,
        user: &str,
    ) -> Result<Level, CallError> {
        let scope = match scope {
            Scope::Group => "groups",
            Scope::Project => "projects",
        };
        let path = [scope, id, "members", "all", user];
        let member: Option<WireMember> = self.find(Request::get("GET member", &path)).await?;
        let today = self.clock.now().date_naive();
        Ok(member
            .filter(|member| member.is_in_force(today))
            .map_or(Level::None, |member| {
                Level::from_number(member.access_level)
            }))
    }
}

/// Groups of GitLab by id, so that a path can be put together without asking.
#[derive(Debug, Clone, Default)]
pub struct GroupTree(HashMap<i64, GroupFacts>);

impl GroupTree {
    /// Returns the groups with that id and those it is in, outermost first, as far as they are known.
    fn path(&self, id: i64) -> Vec<GroupFacts> {
        let above = |group: &&GroupFacts| self.0.get(&group.parent_id?);
        let mut path: Vec<GroupFacts> = std::iter::successors(self.0.get(&id), above)
            .take(MAX_DEPTH)
            .cloned()
            .collect();
        path.reverse();
        path
    }

    /// Returns a group with all the groups it is in.
    pub fn namespaces(&self, id: i64) -> Namespaces {
        namespaces(&self.path(id))
    }
}

impl FromIterator<GroupFacts> for GroupTree {
    fn from_iter<I: IntoIterator<Item = GroupFacts>>(groups: I) -> Self {
        Self(groups.into_iter().map(|group| (group.id, group)).collect())
    }
}

impl WireProject {
    /// Returns the project with the groups it is in, outermost first.
    fn facts(self, groups: &[GroupFacts]) -> ProjectFacts {
        ProjectFacts {
            remote_id: self.id.to_string(),
            path: self.path_with_namespace,
            visibility: Visibility::from_word(&self.visibility),
            namespaces: namespaces(groups),
        }
    }
}

fn namespaces(groups: &[GroupFacts]) -> Namespaces {
    Namespaces {
        is_whole: groups
            .first()
            .is_some_and(|group| group.parent_id.is_none()),
        path: groups
            .iter()
            .map(|group| Namespace {
                remote_id: group.id.to_string(),
                path: group.full_path.clone(),
                name: group.name.clone(),
            })
            .collect(),
    }
}

impl From<WireUser> for RemoteUser {
    fn from(user: WireUser) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username,
            name: user.name,
            is_bot: user.bot,
        }
    }
}
