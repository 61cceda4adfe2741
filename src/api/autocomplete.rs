//! `GET /groups/{path}/-/autocomplete_sources/contacts` and its twin for projects: contacts for whoever types a command.
//!
//! GitLab's editors send `type=Issue&type_id=IID` and get, beside each contact, whether it is on that issue. Here `q` is what was typed so
//! far, and `command` which command is being typed: `add_contacts` is offered active contacts that are not on the issue,
//! `remove_contacts` those that are.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, Uri, header};
use serde::{Deserialize, Serialize};

use super::{Shared, reply::Denied};
use crate::{
    crm::{Below, CrmError, Outage},
    domain::{GroupId, IssueId, PersonId, RootId},
    rules::{Access, Right},
    store::{
        StoreError,
        search::{Completion, Purpose},
        tree,
    },
};

/// What the paths end with.
const END: &str = "/-/autocomplete_sources/contacts";
/// Most contacts of an answer.
const MOST: u32 = 20;

/// What is asked.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// What is being written on; only an issue has contacts.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Number of the issue, in spite of the name, which is GitLab's.
    type_id: Option<String>,
    /// What was typed so far.
    #[serde(default)]
    q: String,
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    AddContacts,
    RemoveContacts,
}

impl Asked {
    fn is_on_issue(&self) -> bool {
        let kind = self.kind.as_deref();
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("issue"))
    }

    /// Returns the number of the issue that is written on.
    fn issue(&self) -> Option<i64> {
        let number = self.type_id.as_deref().filter(|_| self.is_on_issue());
        number.and_then(|iid| iid.parse().ok())
    }
}

/// A contact that is offered, in GitLab's fields.
#[derive(Debug, Serialize)]
struct Offered {
    id: i64,
    email: Option<String>,
    first_name: String,
    last_name: String,
    state: &'static str,
    /// Whether it is on the issue; left out where no issue is written on.
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<bool>,
}

/// Where contacts are completed.
struct Place {
    root: RootId,
    /// The group whose contacts are meant.
    group: GroupId,
    /// The group that holds them.
    holder: GroupId,
    /// The issues that may be meant, whoever may read them, with the groups of their projects.
    issues: Vec<(IssueId, GroupId)>,
}

/// Answers with contacts, or with 404 where the path is another one, there is no such place or the asker may not see its contacts.
pub(super) async fn contacts(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Denied> {
    let place = uri
        .path()
        .strip_suffix(END)
        .filter(|_| method == Method::GET)
        .ok_or(Denied::NotFound)?;
    let Query(asked) = asked.map_err(|_| Denied::NotFound)?;
    let iid = asked.issue();
    // Who asks and what is there are looked up at once; what is there is nobody's to know before it is known who asks.
    let (viewer, group) = tokio::join!(shared.api.viewer(&headers), async {
        match place.strip_prefix("/groups/") {
            Some(path) => of_group(&shared, path, iid).await,
            None => Ok(None),
        }
    });
    let viewer = viewer?;
    let person = viewer.bearer().ok_or(Denied::NotFound)?.person;
    let found = match place.strip_prefix('/') {
        Some(path) if !place.starts_with("/groups/") => {
            of_project(&shared, person, path, iid).await
        }
        _ => group,
    };
    let place = found?.ok_or(Denied::NotFound)?;
    let offered = offer(&shared, person, place, &asked).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(offered)).into_response())
}

async fn offer(
    shared: &Shared,
    person: PersonId,
    place: Place,
    asked: &Asked,
) -> Result<Vec<Offered>, Denied> {
    let on_issue = asked.is_on_issue();
    let key = (place.root, place.group);
    let access = shared.api.crm.access_below(person, key, &place.issues);
    let access = access.await.map_err(denied)?;
    if !access
        .get(&Below::Group)
        .is_some_and(|access| access.allows(Right::ViewContacts))
    {
        return Err(Denied::NotFound);
    }
    let issue = meant(&access);
    let purpose = match asked.command {
        None => Purpose::Any,
        Some(Command::AddContacts) => Purpose::Add,
        // Nothing is on an issue that is not there.
        Some(Command::RemoveContacts) if issue.is_none() => return Ok(Vec::new()),
        Some(Command::RemoveContacts) => Purpose::Remove,
    };
    let holder = (place.root, place.holder);
    let completing = &shared.api.completing;
    let found = completing.complete(holder, &asked.q, issue, purpose, MOST);
    let found = found.await.map_err(store_denied)?;
    Ok(found
        .into_iter()
        .map(|contact| offered(contact, on_issue))
        .collect())
}

/// Finds a group; several of its projects may have an issue of the number.
async fn of_group(shared: &Shared, path: &str, iid: Option<i64>) -> Result<Option<Place>, Denied> {
    let found = async {
        let mut connection = shared.api.crm.pool.acquire().await?;
        let found = tree::group_with_issues(&mut connection, path, iid).await?;
        Ok(found.map(|(group, issues)| Place {
            root: group.root,
            group: group.id,
            holder: group.contact_group,
            issues,
        }))
    };
    found.await.map_err(store_denied)
}

/// Finds a project that the person may read.
async fn of_project(
    shared: &Shared,
    person: PersonId,
    path: &str,
    iid: Option<i64>,
) -> Result<Option<Place>, Denied> {
    let store = store_denied;
    let connection = shared.api.crm.pool.acquire().await;
    let mut connection = connection.map_err(|error| store(error.into()))?;
    let projects = tree::projects_at(&mut connection, path)
        .await
        .map_err(store)?;
    let keys: Vec<_> = projects
        .iter()
        .map(|project| (project.root, project.id))
        .collect();
    let readable = shared
        .api
        .crm
        .readable_projects(person, &keys)
        .await
        .map_err(denied)?;
    let Some(project) = projects
        .into_iter()
        .find(|project| readable.contains(&project.id))
    else {
        return Ok(None);
    };
    let groups = tree::groups(&mut connection, &[project.group]).await;
    let Some(group) = groups.map_err(store)?.into_iter().next() else {
        return Ok(None);
    };
    let issue = match iid {
        Some(iid) => tree::issue_at(&mut connection, project.id, iid)
            .await
            .map_err(store)?,
        None => None,
    };
    Ok(Some(Place {
        root: project.root,
        group: group.id,
        holder: group.contact_group,
        issues: issue
            .map(|issue| (issue.id, group.id))
            .into_iter()
            .collect(),
    }))
}

/// Returns the issue that is meant: the only one whose contacts the asker may see. GitLab takes any one of several.
fn meant(access: &HashMap<Below, Access>) -> Option<IssueId> {
    let mut seen = access.iter().filter_map(|(below, access)| match below {
        Below::Issue(issue) if access.allows(Right::ViewIssueContacts) => Some(*issue),
        Below::Issue(_) | Below::Group => None,
    });
    match (seen.next(), seen.next()) {
        (Some(issue), None) => Some(issue),
        _ => None,
    }
}

fn offered(contact: Completion, on_issue: bool) -> Offered {
    Offered {
        id: contact.id.0,
        email: contact.email,
        first_name: contact.first_name,
        last_name: contact.last_name,
        state: if contact.active { "active" } else { "inactive" },
        set: on_issue.then_some(contact.set),
    }
}

fn denied(error: CrmError) -> Denied {
    match error {
        CrmError::NotFound | CrmError::Denied(_) | CrmError::Invalid(_) | CrmError::Changed => {
            Denied::NotFound
        }
        CrmError::Unavailable(outage) => {
            tracing::error!(error = %outage, "contacts could not be completed");
            Denied::Unavailable
        }
    }
}

fn store_denied(error: StoreError) -> Denied {
    denied(CrmError::Unavailable(Outage::Store(error)))
}
