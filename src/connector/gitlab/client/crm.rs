//! GitLab's own CRM, read through its GraphQL: the contacts and organizations of a group, and the issues that contacts are on.
//!
//! Shapes follow GitLab's schema (`CustomerRelationsContact`, `CustomerRelationsOrganization`, `Issue.customerRelationsContacts`).
//! A page of 100 with the fields asked for here stays far below the complexity that GitLab allows a signed-in user (250).

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{CallError, Client, Request};
use crate::{
    domain::{IssueFacts, ProjectFacts},
    egress::Retry,
};

/// How often a call is tried.
const ATTEMPTS: u32 = 6;
/// Longest pause between two tries where GitLab names none, in seconds.
const LONGEST_PAUSE: u64 = 30;

const ORGANIZATIONS: &str = "query organizations($fullPath: ID!, $after: String) {
  group(fullPath: $fullPath) { organizations(first: 100, after: $after) {
    nodes { id name defaultRate description active }
    pageInfo { hasNextPage endCursor } } } }";

const CONTACTS: &str = "query contacts($fullPath: ID!, $after: String) {
  group(fullPath: $fullPath) { contacts(first: 100, after: $after) {
    nodes { id firstName lastName email phone description active organization { name } }
    pageInfo { hasNextPage endCursor } } } }";

const ISSUES: &str = "query issues($fullPath: ID!, $after: String) {
  group(fullPath: $fullPath) { issues(includeSubgroups: true, first: 100, after: $after) {
    nodes { id iid projectId title state confidential updatedAt author { id } assignees { nodes { id } }
      customerRelationsContacts { nodes { id } } }
    pageInfo { hasNextPage endCursor } } } }";

/// What the CRM of a group holds.
#[derive(Debug, Default)]
pub struct GroupCrm {
    /// Its organizations.
    pub organizations: Vec<CrmOrganization>,
    /// Its contacts.
    pub contacts: Vec<CrmContact>,
    /// The issues that have contacts, each with the id of its project.
    pub issues: Vec<CrmIssue>,
    /// Those projects by id; none where the bot sees none.
    pub projects: HashMap<String, Option<ProjectFacts>>,
}

/// An organization.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrmOrganization {
    /// Name.
    pub name: String,
    /// Default rate, as GitLab writes the number.
    pub default_rate: Option<serde_json::Number>,
    /// Description.
    pub description: Option<String>,
    /// False once deactivated.
    pub active: bool,
}

/// A contact.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrmContact {
    /// Global id.
    pub id: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// False once deactivated.
    pub active: bool,
    /// Its organization.
    pub organization: Option<CrmOrganizationName>,
}

/// The organization of a contact.
#[derive(Debug, Clone, Deserialize)]
pub struct CrmOrganizationName {
    /// Name.
    pub name: String,
}

/// An issue that has contacts.
#[derive(Debug, Clone)]
pub struct CrmIssue {
    /// The issue.
    pub facts: IssueFacts,
    /// Id of its project.
    pub project: String,
    /// Global ids of its contacts.
    pub contacts: Vec<String>,
}

#[derive(Deserialize)]
struct Reply<T> {
    data: Option<Data<T>>,
    #[serde(default)]
    errors: Vec<Value>,
}

#[derive(Deserialize)]
struct Data<T> {
    group: Option<Group<T>>,
}

#[derive(Deserialize)]
struct Group<T> {
    #[serde(alias = "organizations", alias = "contacts", alias = "issues")]
    page: Option<Page<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    nodes: Vec<T>,
    page_info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

#[derive(Deserialize)]
struct Nodes {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireIssue {
    id: String,
    /// A number in quotation marks.
    iid: String,
    project_id: i64,
    title: String,
    state: String,
    confidential: bool,
    updated_at: DateTime<Utc>,
    author: Node,
    assignees: Option<Nodes>,
    customer_relations_contacts: Option<Nodes>,
}

impl Client {
    /// Returns all that the CRM of a group holds, or none where the bot sees no such group.
    ///
    /// # Errors
    /// Fails where GitLab does not answer, though it is asked again after the pauses that it asks for.
    pub async fn group_crm(&self, group: &str) -> Result<Option<GroupCrm>, CallError> {
        let mut crm = GroupCrm::default();
        let organizations = ("GraphQL organizations", ORGANIZATIONS);
        if !self
            .connection(organizations, group, &mut crm.organizations)
            .await?
        {
            return Ok(None);
        }
        let contacts = ("GraphQL contacts", CONTACTS);
        self.connection(contacts, group, &mut crm.contacts).await?;
        let mut issues: Vec<WireIssue> = Vec::new();
        let issues_query = ("GraphQL issues", ISSUES);
        self.connection(issues_query, group, &mut issues).await?;
        let with_contacts = issues.into_iter().filter_map(WireIssue::with_contacts);
        crm.issues.extend(with_contacts);
        for issue in &crm.issues {
            if !crm.projects.contains_key(&issue.project) {
                let project = patiently(async || self.project(&issue.project).await).await?;
                crm.projects.insert(issue.project.clone(), project);
            }
        }
        Ok(Some(crm))
    }

    /// Reads all pages of a list of a group. Returns false where there is no such group.
    async fn connection<T: DeserializeOwned>(
        &self,
        (call, query): (&'static str, &str),
        group: &str,
        into: &mut Vec<T>,
    ) -> Result<bool, CallError> {
        let mut after: Option<String> = None;
        loop {
            let variables = json!({ "fullPath": group, "after": after });
            let body = json!({ "query": query, "variables": variables });
            let reply: Reply<T> = patiently(async || {
                let mut request = Request::write(call, Method::POST, &[], body.clone());
                request.api = &["api", "graphql"];
                self.read(request).await
            })
            .await?;
            if !reply.errors.is_empty() {
                return Err(CallError::Refused { call });
            }
            let Some(group) = reply.data.and_then(|data| data.group) else {
                return Ok(false);
            };
            let Some(page) = group.page else {
                return Ok(true);
            };
            into.extend(page.nodes);
            // A page that ends where it began would be read for ever.
            let next = page
                .page_info
                .end_cursor
                .filter(|_| page.page_info.has_next_page);
            if next.is_none() || next == after {
                return Ok(true);
            }
            after = next;
        }
    }
}

impl WireIssue {
    /// Returns the issue if it has contacts.
    fn with_contacts(self) -> Option<CrmIssue> {
        let contacts = self.customer_relations_contacts?.nodes;
        if contacts.is_empty() {
            return None;
        }
        let assignees = self.assignees.map_or_else(Vec::new, |list| list.nodes);
        let facts = IssueFacts {
            remote_id: number(&self.id).to_owned(),
            iid: self.iid.parse().ok()?,
            title: self.title,
            state: self.state,
            confidential: self.confidential,
            author: number(&self.author.id).to_owned(),
            assignees: assignees
                .iter()
                .map(|user| number(&user.id).to_owned())
                .collect(),
            updated_at: self.updated_at,
        };
        Some(CrmIssue {
            facts,
            project: self.project_id.to_string(),
            contacts: contacts.into_iter().map(|node| node.id).collect(),
        })
    }
}

/// Returns the number in a global id like `gid://gitlab/Issue/7`.
fn number(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// Makes a call, again and again where that may help, after the pause that GitLab asks for or a growing one.
async fn patiently<T>(call: impl AsyncFn() -> Result<T, CallError>) -> Result<T, CallError> {
    let mut attempt = 1;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Retry::Later { after } = error.retry() else {
            return Err(error);
        };
        // A token is not renewed while somebody waits for a command to end.
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        let is_refused =
            matches!(&error, CallError::Status { status, .. } if refused.contains(status));
        if attempt == ATTEMPTS || is_refused {
            return Err(error);
        }
        let pause = Duration::from_secs(LONGEST_PAUSE.min(1 << attempt));
        tokio::time::sleep(after.unwrap_or(pause)).await;
        attempt += 1;
    }
}
