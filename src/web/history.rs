//! The history as pages tell it: who did what, when, through what, and what of it a button takes back.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{moment::Moment, people::Names, problem::Problem, visit::InGroup};
use crate::{
    crm::{HistoryEntry, HistoryOf, HistoryPage},
    domain::{IssueId, ItemId, OperationId, PersonId, ProjectId, Via},
    rules::Right,
    store::{
        operation::{self, Extent},
        shown, tree,
    },
};

/// Entries that a page shows.
const SHOWN: usize = 30;

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who.
    pub(super) who: String,
    /// What he did, after his name.
    pub(super) what: String,
    /// The other item that it was done with: title and path; the path is empty where it is not the reader's to see.
    pub(super) other: Option<(String, String)>,
    /// The item, where the history is not of one: title and path.
    pub(super) item: Option<(String, String)>,
    /// When.
    pub(super) when: Moment,
    /// Through what.
    pub(super) via: &'static str,
    /// On which issue, if the reader may know of it: label and path.
    pub(super) issue: Option<(String, String)>,
    /// What became of the fields.
    pub(super) changes: Vec<Change>,
    /// What a button takes back; of the entries of one operation the first has it.
    pub(super) undo: Option<Undo>,
    /// Whether it was taken back.
    pub(super) is_undone: bool,
}

/// What a button takes back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undo {
    /// The operation.
    pub(super) operation: OperationId,
    /// All changes that it takes back, where they are several and more than the entry tells.
    pub(super) changes: Option<String>,
}

/// What became of a field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The field.
    pub(super) field: &'static str,
    /// What was in it.
    pub(super) before: Option<String>,
    /// What is in it.
    pub(super) after: Option<String>,
}

/// Returns the newest part of an item's history.
pub(super) async fn of_item<R>(visit: &InGroup<R>, item: ItemId) -> Result<Vec<Entry>, Problem> {
    let page = HistoryPage {
        before: None,
        limit: SHOWN,
    };
    let crm = &visit.visitor.web.crm;
    let of = HistoryOf::Item(item);
    let entries = crm.history(visit.visitor.asker(), of, page).await?;
    told(visit, entries, false).await
}

/// Returns entries as they are told, with the items that they are about where that is not said otherwise.
pub(super) async fn told<R>(
    visit: &InGroup<R>,
    entries: Vec<HistoryEntry>,
    with_items: bool,
) -> Result<Vec<Entry>, Problem> {
    let issues = issues(visit, &entries).await?;
    let people = people_in(&entries);
    let mut items: Vec<ItemId> = entries.iter().flat_map(organizations_in).collect();
    items.extend(entries.iter().filter_map(other_in));
    if with_items {
        items.extend(entries.iter().filter_map(|entry| entry.item));
    }
    let mut connection = visit.visitor.connection().await?;
    let names = Names::of(&mut connection, people).await?;
    let items = shown::items(&mut connection, &items).await?;
    let operations: Vec<OperationId> = entries.iter().map(|entry| entry.operation).collect();
    let extents = operation::extents(&mut connection, visit.group.root, &operations).await?;
    drop(connection);
    // Whoever merely observes an item, or configures a group whose CRM is off, reads of no other.
    let may_view = visit.access.allows(Right::ViewContacts);
    let titles: HashMap<i64, (String, String)> = items
        .into_iter()
        .filter(|item| may_view && (item.root, item.group) == visit.holder())
        .map(|item| {
            let path = visit.to(super::kind::path(item.fields.kind(), item.id));
            (item.id.0, (item.fields.title(), path))
        })
        .collect();
    let is_told = |item: Option<ItemId>| item.is_none_or(|item| titles.contains_key(&item.0));
    let may_undo = visit.access.allows(Right::CreateContacts);
    let mut offered = HashSet::new();
    let mut undo = |entry: &HistoryEntry| {
        let is_offered = may_undo && entry.undone_by.is_none() && is_undoable(&entry.action);
        // It takes back the whole operation, and says so.
        (is_offered && offered.insert(entry.operation)).then(|| Undo {
            operation: entry.operation,
            changes: match extents.get(&entry.operation).map(|extent| extent.changes) {
                None | Some(0 | 1) => None,
                Some(Extent::COUNTED..) => Some(format!("{} or more changes", Extent::COUNTED)),
                Some(changes) => Some(format!("{changes} changes")),
            },
        })
    };
    let now = visit.visitor.web.crm.clock.now();
    let entry = |entry: HistoryEntry| Entry {
        undo: undo(&entry),
        who: match entry.actor {
            None if entry.via == Via::CommandLine => "An administrator".to_owned(),
            None if entry.via == Via::Automatic => "Liaison".to_owned(),
            actor => names.get(actor),
        },
        what: match entry.issue.filter(|issue| issues.contains_key(issue)) {
            Some(_) if !entry.action.ends_with("related") => {
                format!("{} on", what(&entry, &names))
            }
            _ => what(&entry, &names),
        },
        other: other_in(&entry).map(|other| {
            let known = titles.get(&other.0).cloned();
            known.unwrap_or_else(|| ("another one".to_owned(), String::new()))
        }),
        item: entry
            .item
            .filter(|_| with_items)
            .map(|item| match titles.get(&item.0) {
                Some(known) => known.clone(),
                None => (format!("#{item}"), String::new()),
            }),
        when: Moment::new(entry.at, now),
        via: through(entry.via),
        issue: entry.issue.and_then(|issue| issues.get(&issue).cloned()),
        // Of what is not the reader's to see, or is not there any more, only the number is told where it is one of many.
        changes: if with_items && !is_told(entry.item) {
            Vec::new()
        } else {
            changes(&entry.detail, &titles)
        },
        is_undone: entry.undone_by.is_some(),
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// Returns label and path of the issues that the reader may know of.
async fn issues<R>(
    visit: &InGroup<R>,
    entries: &[HistoryEntry],
) -> Result<HashMap<IssueId, (String, String)>, Problem> {
    let ids: HashSet<IssueId> = entries.iter().filter_map(|entry| entry.issue).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<IssueId> = ids.into_iter().collect();
    let person = visit.visitor.bearer.person;
    let access = visit.visitor.web.crm.issues_access(person, &ids).await?;
    let seen: Vec<IssueId> = access
        .into_iter()
        .filter(|(_, access)| access.allows(Right::ViewIssueContacts))
        .map(|(issue, _)| issue)
        .collect();
    let mut connection = visit.visitor.connection().await?;
    let nodes = tree::issues(&mut connection, &seen).await?;
    let projects: Vec<ProjectId> = nodes.iter().map(|issue| issue.project).collect();
    let projects = tree::projects(&mut connection, &projects).await?;
    let paths: HashMap<ProjectId, String> = projects
        .into_iter()
        .map(|project| (project.id, project.path))
        .collect();
    // By their projects: customers may be those of issues of groups beside this one.
    let label = |issue: tree::IssueNode| {
        let path = format!("/{}/-/issues/{}", paths.get(&issue.project)?, issue.iid);
        Some((issue.id, (format!("#{} {}", issue.iid, issue.title), path)))
    };
    Ok(nodes.into_iter().filter_map(label).collect())
}

/// Returns everybody whom entries name.
fn people_in(entries: &[HistoryEntry]) -> Vec<PersonId> {
    let mut people = Vec::new();
    for entry in entries {
        people.extend(entry.actor);
        people.extend(person(&entry.detail, "person"));
        for part in ["before", "after"] {
            let part = entry.detail.get(part);
            people.extend(part.and_then(|part| person(part, "responsible")));
        }
    }
    people
}

/// Returns whether a button takes it back.
fn is_undoable(action: &str) -> bool {
    !action.starts_with("webhook_") && !matches!(action, "observer_requested" | "group_configured")
}

fn person(part: &Value, name: &str) -> Option<PersonId> {
    part.get(name)?.as_i64().map(PersonId)
}

/// Returns what somebody did, after his name. People are colleagues, whose names every reader may see.
fn what(entry: &HistoryEntry, names: &Names) -> String {
    let detail = &entry.detail;
    let whom = || names.get(person(detail, "person"));
    let is_himself = entry.actor.is_some() && entry.actor == person(detail, "person");
    let text = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default();
    match entry.action.as_str() {
        "item_created" if other_in(entry).is_some() => "made it of".to_owned(),
        "item_created" => "created it".to_owned(),
        "item_edited" => "changed it".to_owned(),
        "item_deleted" => "deleted it".to_owned(),
        "item_merged" if other_in(entry).is_some() => "merged it into".to_owned(),
        "item_merged" => "merged another one into it".to_owned(),
        "item_moved" => "moved it here".to_owned(),
        "item_converted" => "made a deal of it:".to_owned(),
        "item_related" => "added it to".to_owned(),
        "item_unrelated" => "removed it from".to_owned(),
        "item_linked" => "linked it to".to_owned(),
        "item_unlinked" => "took away its link to".to_owned(),
        "observer_added" if is_himself => "began to observe it".to_owned(),
        "observer_added" => format!("added {} as an observer", whom()),
        "observer_removed" if is_himself => "observes it no longer".to_owned(),
        "observer_removed" => format!("removed {} from its observers", whom()),
        "observer_changed" => {
            let comes = |part: &str| detail.get(part)?.get("in_chat")?.as_bool();
            match (comes("before"), comes("after")) {
                (Some(true), Some(false)) if is_himself => "left its chat".to_owned(),
                (Some(true), Some(false)) => format!("took {} out of its chat", whom()),
                (Some(false), Some(true)) => format!("put {} back into its chat", whom()),
                _ => format!("changed how {} observes it", whom()),
            }
        }
        "observer_requested" => format!("asked that {} observe it", whom()),
        "responsible_changed" => {
            let part = |name: &str| person(detail.get(name)?, "responsible");
            let after = part("after");
            match after {
                Some(_) if part("before") == after => {
                    format!("took {} out of its chat", names.get(after))
                }
                Some(_) => format!("made {} responsible for it", names.get(after)),
                None => "made nobody responsible for it".to_owned(),
            }
        }
        "chat_created" => "had its chat made".to_owned(),
        "chat_moved" => "gave its chat to".to_owned(),
        "group_configured" => "changed the group’s settings".to_owned(),
        "webhook_created" => format!("made the webhook {}", text("webhook")),
        "webhook_rotated" => format!("gave the webhook {} a new secret", text("webhook")),
        "webhook_state" => match text("after") {
            "active" => format!("resumed the webhook {}", text("webhook")),
            "paused" => format!("paused the webhook {}", text("webhook")),
            _ => format!("deleted the webhook {}", text("webhook")),
        },
        "webhook_events" => format!("chose the events of the webhook {}", text("webhook")),
        "webhook_installed" => {
            format!("installed the webhook {} into the tracker", text("webhook"))
        }
        _ => "changed something".to_owned(),
    }
}

fn through(via: Via) -> &'static str {
    match via {
        Via::QuickAction => "by a comment",
        Via::Chat => "in a chat",
        Via::GraphQl => "through the API",
        Via::Page => "on this page",
        Via::Import => "by an import",
        Via::Tracker => "as the tracker told",
        Via::Automatic => "by a rule of the group",
        Via::CommandLine => "on the command line",
    }
}

/// Fields by the names that the history gives them, and their labels.
const FIELDS: [(&str, &str); 13] = [
    ("first_name", "First name"),
    ("last_name", "Last name"),
    ("name", "Name"),
    ("email", "Email"),
    ("phone", "Phone"),
    ("organization", "Organization"),
    ("default_rate", "Default rate"),
    ("title", "Title"),
    ("stage", "Stage"),
    ("amount", "Amount"),
    ("currency", "Currency"),
    ("description", "Description"),
    ("active", "State"),
];

fn changes(detail: &Value, titles: &HashMap<i64, (String, String)>) -> Vec<Change> {
    let part = |name: &str| detail.get(name).and_then(Value::as_object);
    let (before, after) = (part("before"), part("after"));
    FIELDS
        .iter()
        .filter(|(name, _)| {
            [before, after]
                .iter()
                .flatten()
                .any(|part| part.contains_key(*name))
        })
        .map(|(name, label)| Change {
            field: label,
            before: shown_value(before, name, titles),
            after: shown_value(after, name, titles),
        })
        .collect()
}

fn shown_value(
    part: Option<&Map<String, Value>>,
    field: &str,
    titles: &HashMap<i64, (String, String)>,
) -> Option<String> {
    let text = match part?.get(field)? {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bool(true) => "Active".to_owned(),
        Value::Bool(false) => "Inactive".to_owned(),
        Value::Number(id) if field == "organization" => {
            let known = id.as_i64().and_then(|id| titles.get(&id));
            known.map_or_else(|| "another one".to_owned(), |(title, _)| title.clone())
        }
        other => other.to_string(),
    };
    Some(text)
}

fn organizations_in(entry: &HistoryEntry) -> Vec<ItemId> {
    ["before", "after"]
        .iter()
        .filter_map(|part| entry.detail.get(*part)?.get("organization")?.as_i64())
        .map(ItemId)
        .collect()
}

/// Returns the other item that something was done with.
fn other_in(entry: &HistoryEntry) -> Option<ItemId> {
    ["linked", "into", "converted_from"]
        .iter()
        .find_map(|name| entry.detail.get(*name)?.as_i64())
        .map(ItemId)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_what_became_of_the_fields_in_words() {
        let detail = json!({
            "before": { "phone": null, "active": true, "organization": 7, "unheard_of": 1 },
            "after": { "phone": "12", "active": false, "organization": 8, "unheard_of": 2 },
        });
        let titles = HashMap::from([(7, ("Acme".to_owned(), String::new()))]);
        let told: Vec<_> = changes(&detail, &titles)
            .into_iter()
            .map(|change| (change.field, change.before, change.after))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("Phone", None, some("12")),
                ("Organization", some("Acme"), some("another one")),
                ("State", some("Active"), some("Inactive")),
            ]
        );
    }
}
