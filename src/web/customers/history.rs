//! The history of an item as its page tells it: who did what, when, through what, and what of it a button takes back.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::{
    crm::{HistoryEntry, HistoryOf, HistoryPage},
    domain::{IssueId, ItemId, OperationId, Via},
    rules::Right,
    store::{shown, tree},
    web::{moment::Moment, people::Names, problem::Problem, visit::InGroup},
};

/// Entries that a page shows.
const SHOWN: usize = 30;

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who.
    pub(super) who: String,
    /// What he did, after his name.
    pub(super) what: &'static str,
    /// When.
    pub(super) when: Moment,
    /// Through what.
    pub(super) via: &'static str,
    /// On which issue, if the reader may know of it: label and path.
    pub(super) issue: Option<(String, String)>,
    /// What became of the fields.
    pub(super) changes: Vec<Change>,
    /// The operation that a button takes back.
    pub(super) undo: Option<OperationId>,
    /// Whether it was taken back.
    pub(super) is_undone: bool,
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
    let entries = crm
        .history(visit.visitor.asker(), HistoryOf::Item(item), page)
        .await?;
    let issues = issues(visit, &entries).await?;
    let mut connection = visit.visitor.connection().await?;
    let names = Names::of(
        &mut connection,
        entries.iter().filter_map(|entry| entry.actor),
    )
    .await?;
    let organizations: Vec<ItemId> = entries.iter().flat_map(organizations_in).collect();
    let organizations = shown::items(&mut connection, &organizations).await?;
    let titles: HashMap<i64, String> = organizations
        .into_iter()
        .filter(|item| (item.root, item.group) == visit.holder())
        .map(|item| (item.id.0, item.fields.title()))
        .collect();
    let may_undo = visit.access.allows(Right::CreateContacts);
    let now = crm.clock.now();
    let entry = |entry: HistoryEntry| Entry {
        who: names.get(entry.actor),
        what: what(&entry.action),
        when: Moment::new(entry.at, now),
        via: through(entry.via),
        issue: entry.issue.and_then(|issue| issues.get(&issue).cloned()),
        changes: changes(&entry.detail, &titles),
        undo: Some(entry.operation).filter(|_| may_undo && entry.undone_by.is_none()),
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
    let label = |issue: tree::IssueNode| {
        let path = visit.to(format_args!("issues/{}", issue.id));
        (issue.id, (format!("#{} {}", issue.iid, issue.title), path))
    };
    Ok(nodes.into_iter().map(label).collect())
}

fn what(action: &str) -> &'static str {
    match action {
        "item_created" => "created it",
        "item_edited" => "changed it",
        "item_deleted" => "deleted it",
        "item_merged" => "merged it with another one",
        "item_moved" => "moved it here",
        "item_related" => "added it to",
        "item_unrelated" => "removed it from",
        _ => "changed something",
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
const FIELDS: [(&str, &str); 9] = [
    ("first_name", "First name"),
    ("last_name", "Last name"),
    ("name", "Name"),
    ("email", "Email"),
    ("phone", "Phone"),
    ("organization", "Organization"),
    ("default_rate", "Default rate"),
    ("description", "Description"),
    ("active", "State"),
];

fn changes(detail: &Value, titles: &HashMap<i64, String>) -> Vec<Change> {
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
    titles: &HashMap<i64, String>,
) -> Option<String> {
    let text = match part?.get(field)? {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bool(true) => "Active".to_owned(),
        Value::Bool(false) => "Inactive".to_owned(),
        Value::Number(id) if field == "organization" => {
            let known = id.as_i64().and_then(|id| titles.get(&id));
            known
                .cloned()
                .unwrap_or_else(|| "one that is gone".to_owned())
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
        let titles = HashMap::from([(7, "Acme".to_owned())]);
        let told: Vec<_> = changes(&detail, &titles)
            .into_iter()
            .map(|change| (change.field, change.before, change.after))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("Phone", None, some("12")),
                ("Organization", some("Acme"), some("one that is gone")),
                ("State", some("Active"), some("Inactive")),
            ]
        );
    }
}
