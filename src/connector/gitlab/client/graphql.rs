//! Where an issue was moved to: the one question that the REST API answers to administrators only.

use chrono::{DateTime, Utc};
use http::Method;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::json;

use super::{CallError, Client, Request};
use crate::domain::IssueFacts;

const QUERY: &str = "query($id: IssueID!) { issue(id: $id) { moved movedTo { \
     id iid projectId title state confidential updatedAt author { id } assignees { nodes { id } } } } }";

/// What GitLab says about an issue that may have been moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueMove {
    /// It was not.
    Not,
    /// It was, to where the bot sees nothing.
    Unseen,
    /// It was.
    To {
        /// Remote id of the project that it is in now.
        project: String,
        /// The issue that it is now.
        issue: Box<IssueFacts>,
    },
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    issue: Option<Old>,
}

#[derive(Deserialize)]
struct Old {
    moved: Option<bool>,
    #[serde(rename = "movedTo")]
    moved_to: Option<New>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct New {
    id: GlobalId,
    #[serde(deserialize_with = "number")]
    iid: i64,
    project_id: i64,
    title: String,
    state: String,
    confidential: bool,
    updated_at: DateTime<Utc>,
    author: Account,
    assignees: Option<Accounts>,
}

#[derive(Deserialize)]
struct Accounts {
    nodes: Vec<Account>,
}

#[derive(Deserialize)]
struct Account {
    id: GlobalId,
}

/// `gid://gitlab/Issue/90`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct GlobalId(String);

impl TryFrom<String> for GlobalId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, &'static str> {
        match id.rsplit_once('/') {
            Some((_, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Self(number.to_owned()))
            }
            _ => Err("not a global id"),
        }
    }
}

/// Reads a number that is written as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom("not a number"))
}

impl Client {
    /// Returns where the issue with a global id was moved to, or none where the bot sees no such issue.
    pub async fn issue_move(&self, id: &str) -> Result<Option<IssueMove>, CallError> {
        let variables = json!({ "id": format!("gid://gitlab/Issue/{id}") });
        let body = json!({ "query": QUERY, "variables": variables });
        let mut request = Request::write("POST graphql", Method::POST, &[], body);
        request.api = &["api", "graphql"];
        let answer: Answer = self.read(request).await?;
        Ok(answer.data.issue.map(|old| match old.moved_to {
            Some(new) => IssueMove::To {
                project: new.project_id.to_string(),
                issue: Box::new(new.into()),
            },
            None if old.moved == Some(true) => IssueMove::Unseen,
            None => IssueMove::Not,
        }))
    }
}

impl From<New> for IssueFacts {
    fn from(new: New) -> Self {
        let assignees = new.assignees.map(|accounts| accounts.nodes);
        Self {
            remote_id: new.id.0,
            iid: new.iid,
            title: new.title,
            state: new.state,
            confidential: new.confidential,
            author: new.author.id.0,
            assignees: assignees
                .unwrap_or_default()
                .into_iter()
                .map(|account| account.id.0)
                .collect(),
            updated_at: new.updated_at,
        }
    }
}
