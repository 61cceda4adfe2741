//! Changes of who watches items, as the history tells of them: all that is needed to take them back is in a row.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::operation::Told;
use crate::{
    domain::{ItemId, PersonId},
    rules::{Observer, ObserverChange, Responsible},
};

/// Reads a change of who watches an item from a row of the history.
pub(super) fn read(
    action: &str,
    item: ItemId,
    detail: &Value,
    at: DateTime<Utc>,
) -> Option<ObserverChange> {
    let person = || detail.get("person")?.as_i64().map(PersonId);
    let flag = |part: &Value, name: &str| part.get(name).and_then(Value::as_bool).unwrap_or(true);
    let moment = || {
        let text = detail.get("added_at").and_then(Value::as_str);
        text.and_then(|text| text.parse().ok()).unwrap_or(at)
    };
    let observer = |part: &Value| {
        Some(Observer {
            person: person()?,
            in_chat: flag(part, "in_chat"),
            show_history: flag(part, "show_history"),
            added_by: detail.get("added_by").and_then(Value::as_i64).map(PersonId),
            added_at: moment(),
        })
    };
    let responsible = |part: &Value| {
        let person = part.get("responsible")?.as_i64().map(PersonId)?;
        Some(Responsible {
            person,
            in_chat: flag(part, "in_chat"),
        })
    };
    match action {
        "observer_added" => Some(ObserverChange::Added(item, observer(detail)?)),
        "observer_removed" => Some(ObserverChange::Removed(item, observer(detail)?)),
        "observer_changed" => Some(ObserverChange::Changed {
            item,
            before: observer(detail.get("before")?)?,
            after: observer(detail.get("after")?)?,
        }),
        "responsible_changed" => Some(ObserverChange::Responsible {
            item,
            before: responsible(detail.get("before")?),
            after: responsible(detail.get("after")?),
        }),
        _ => None,
    }
}

/// Returns what the history tells of a change; all that is needed to take it back is in it.
pub(super) fn told(change: &ObserverChange) -> Told {
    let (item, action, detail) = match *change {
        ObserverChange::Added(item, observer) => (item, "observer_added", stored_as(&observer)),
        ObserverChange::Removed(item, observer) => (item, "observer_removed", stored_as(&observer)),
        ObserverChange::Changed {
            item,
            before,
            after,
        } => (
            item,
            "observer_changed",
            json!({
                "person": after.person,
                "before": { "in_chat": before.in_chat, "show_history": before.show_history },
                "after": { "in_chat": after.in_chat, "show_history": after.show_history },
            }),
        ),
        ObserverChange::Responsible {
            item,
            before,
            after,
        } => {
            let part = |responsible: Option<Responsible>| {
                json!({
                    "responsible": responsible.map(|one| one.person),
                    "in_chat": responsible.is_none_or(|one| one.in_chat),
                })
            };
            let detail = json!({ "before": part(before), "after": part(after) });
            (item, "responsible_changed", detail)
        }
        ObserverChange::Requested { item, person, by } => (
            item,
            "observer_requested",
            json!({ "person": person, "requested_by": by }),
        ),
    };
    let detail = match detail {
        Value::Object(detail) => detail,
        // What is written above are objects.
        _ => Map::new(),
    };
    Told {
        item: Some(item),
        action,
        detail,
    }
}

fn stored_as(observer: &Observer) -> Value {
    json!({
        "person": observer.person,
        "in_chat": observer.in_chat,
        "show_history": observer.show_history,
        "added_by": observer.added_by,
        "added_at": observer.added_at,
    })
}
