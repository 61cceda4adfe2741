//! The CRM of a group, and the contacts of its issues.
//!
//! Queries are told apart by the list they ask for and are not parsed; a field that GitLab's schema does not have is refused all the same,
//! and what was not asked for is left out.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::refused;
use crate::sandbox::{
    api::tree::find_group,
    crm::{Contact, Organization},
    iso,
    model::{Group, Issue},
    state::State,
};

/// Rows of a page where the query names no number, and at most.
const PAGE: usize = 100;

/// Words of the queries that are no fields.
const SYNTAX: &[&str] = &[
    "query",
    "first",
    "after",
    "fullPath",
    "includeSubgroups",
    "true",
    "false",
    "ID",
    "String",
    "Int",
];
const CONNECTION: &[&str] = &["group", "nodes", "pageInfo", "hasNextPage", "endCursor"];

/// A list that may be asked for, and the fields of its rows.
struct List {
    name: &'static str,
    fields: &'static [&'static str],
    rows: fn(&State, u64, &Group) -> Vec<(u64, Value)>,
}

const LISTS: [List; 3] = [
    List {
        name: "organizations",
        fields: &[
            "id",
            "name",
            "defaultRate",
            "description",
            "active",
            "createdAt",
            "updatedAt",
        ],
        rows: organizations,
    },
    List {
        name: "contacts",
        fields: &[
            "id",
            "firstName",
            "lastName",
            "email",
            "phone",
            "description",
            "active",
            "organization",
            "name",
        ],
        rows: contacts,
    },
    List {
        name: "issues",
        fields: &[
            "id",
            "iid",
            "projectId",
            "title",
            "state",
            "confidential",
            "updatedAt",
            "author",
            "assignees",
            "customerRelationsContacts",
        ],
        rows: issues,
    },
];

#[derive(Deserialize)]
pub(super) struct Query {
    query: String,
    variables: Variables,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variables {
    full_path: String,
    after: Option<String>,
}

pub(super) fn answer(state: &State, user: u64, query: &Query) -> Value {
    // The operation's own name, and those of variables, are free.
    let body = query.query.split_once('{').map_or("", |(_, body)| body);
    let Some(list) = LISTS
        .iter()
        .find(|list| body.contains(&format!("{}(", list.name)))
    else {
        return refused("No such query is known here");
    };
    let asked: HashSet<&str> = words(body).collect();
    let known = |word: &&str| {
        [SYNTAX, CONNECTION, list.fields, &[list.name]]
            .iter()
            .any(|words| words.contains(word))
    };
    if let Some(unknown) = asked.iter().find(|word| !known(word)) {
        return refused(&format!("Field '{unknown}' doesn't exist"));
    }
    let group = find_group(state, user, &query.variables.full_path).ok();
    let group = group.map(|group| {
        let mut rows = (list.rows)(state, user, group);
        let after = query.variables.after.as_deref().map_or(0, position);
        rows.retain(|(id, _)| *id > after);
        let more = rows.len() > PAGE;
        rows.truncate(PAGE);
        let end = rows.last().map(|(id, _)| cursor(*id));
        let nodes: Vec<Value> = rows.into_iter().map(|(_, row)| only(row, &asked)).collect();
        let page_info = json!({ "hasNextPage": more, "endCursor": end });
        json!({ list.name: { "nodes": nodes, "pageInfo": page_info } })
    });
    json!({ "data": { "group": group } })
}

/// Returns the names in a query; what follows a dollar sign is a variable.
fn words(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(|char: char| !char.is_alphanumeric() && char != '$')
        .filter(|word| word.starts_with(char::is_alphabetic))
}

/// Leaves out the fields that were not asked for.
fn only(mut row: Value, asked: &HashSet<&str>) -> Value {
    if let Some(fields) = row.as_object_mut() {
        fields.retain(|name, _| asked.contains(name.as_str()));
    }
    row
}

fn cursor(id: u64) -> String {
    BASE64_STANDARD.encode(json!({ "id": id.to_string() }).to_string())
}

fn position(cursor: &str) -> u64 {
    let decoded = BASE64_STANDARD.decode(cursor).unwrap_or_default();
    let cursor: Value = serde_json::from_slice(&decoded).unwrap_or_default();
    let id = cursor.pointer("/id").and_then(Value::as_str);
    id.and_then(|id| id.parse().ok()).unwrap_or_default()
}

fn organizations(state: &State, user: u64, group: &Group) -> Vec<(u64, Value)> {
    let row = |(id, organization): (&u64, &Organization)| {
        let node = json!({
            "id": format!("gid://gitlab/CustomerRelations::Organization/{id}"),
            "name": organization.name,
            "defaultRate": organization.default_rate,
            "description": organization.description,
            "active": !organization.inactive,
        });
        (*id, node)
    };
    let may = state.may_read_crm(user, group);
    let all = state.crm.organizations.iter();
    all.filter(|(_, organization)| may && organization.group == group.id)
        .map(row)
        .collect()
}

fn contacts(state: &State, user: u64, group: &Group) -> Vec<(u64, Value)> {
    let row = |(id, contact): (&u64, &Contact)| {
        let organization = contact.organization.and_then(|id| {
            let organization = state.crm.organizations.get(&id)?;
            let id = format!("gid://gitlab/CustomerRelations::Organization/{id}");
            Some(json!({ "id": id, "name": organization.name }))
        });
        let node = json!({
            "id": contact_id(*id),
            "firstName": contact.first_name,
            "lastName": contact.last_name,
            "email": contact.email,
            "phone": contact.phone,
            "description": contact.description,
            "active": !contact.inactive,
            "organization": organization,
        });
        (*id, node)
    };
    let may = state.may_read_crm(user, group);
    let all = state.crm.contacts.iter();
    all.filter(|(_, contact)| may && contact.group == group.id)
        .map(row)
        .collect()
}

fn issues(state: &State, user: u64, group: &Group) -> Vec<(u64, Value)> {
    let within = |issue: &Issue| {
        let project = state.project(issue.project);
        project.is_some_and(|project| {
            state
                .ancestry(project.group)
                .any(|above| above.id == group.id)
        }) && state.may_read_issue(user, issue)
    };
    let may = state.may_read_crm(user, group);
    let row = |issue: &Issue| {
        let all = &state.crm.issue_contacts;
        let own = all.range((issue.id, 0)..=(issue.id, u64::MAX));
        let contacts: Vec<Value> = own
            .filter(|_| may)
            .map(|(_, contact)| json!({ "id": contact_id(*contact) }))
            .collect();
        let user = |id: u64| json!({ "id": format!("gid://gitlab/User/{id}") });
        let assignees: Vec<Value> = issue.assignees.iter().copied().map(user).collect();
        let node = json!({
            "id": format!("gid://gitlab/Issue/{}", issue.id),
            "iid": issue.iid.to_string(),
            "projectId": issue.project,
            "title": issue.title,
            "state": if issue.open { "opened" } else { "closed" },
            "confidential": issue.confidential,
            "updatedAt": iso(issue.updated_at),
            "author": user(issue.author),
            "assignees": { "nodes": assignees },
            "customerRelationsContacts": { "nodes": contacts },
        });
        (issue.id, node)
    };
    let all = state.issues.values();
    all.filter(|issue| within(issue)).map(row).collect()
}

fn contact_id(id: u64) -> String {
    format!("gid://gitlab/CustomerRelations::Contact/{id}")
}
