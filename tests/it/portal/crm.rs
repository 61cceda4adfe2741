//! `crm.item.*`: items, and how their observers and chats follow each other.

use serde_json::{Value, json};

use super::{
    Refused, State,
    chat::{join, leave},
    parameters::{number, numbers, scalar, text},
    state::Item,
};

const TYPES: [(&str, i64); 5] = [
    ("LEAD", 1),
    ("DEAL", 2),
    ("CONTACT", 3),
    ("COMPANY", 4),
    ("SMART_INVOICE", 31),
];

fn entity(entity_type: i64, id: u64) -> String {
    let known = TYPES.iter().find(|(_, number)| *number == entity_type);
    match known {
        Some((name, _)) => format!("{name}|{id}"),
        None => format!("DYNAMIC_{entity_type}|{id}"),
    }
}

pub(super) fn run(
    state: &mut State,
    user: u64,
    method: &str,
    parameters: &Value,
) -> Result<Value, Refused> {
    let entity_type =
        number(parameters, "entityTypeId").ok_or((400, "100", "Missing entityTypeId"))?;
    let entity_type = i64::try_from(entity_type).unwrap();
    if method == "crm.item.list" {
        return Ok(list(state, entity_type, parameters));
    }
    let id = number(parameters, "id").unwrap_or_default();
    let item = state.items.get(&(entity_type, id));
    let item = item.ok_or((400, "NOT_FOUND", "Item not found"))?;
    if item.hidden && user == super::ACCOUNT {
        return Err((400, "ACCESS_DENIED", "Access denied"));
    }
    match method {
        "crm.item.get" => Ok(json!({ "item": row(id, item) })),
        "crm.item.update" => {
            update(state, (entity_type, id), &parameters["fields"]);
            Ok(json!({ "item": row(id, &state.items[&(entity_type, id)]) }))
        }
        "crm.item.delete" => {
            state.items.remove(&(entity_type, id));
            let about = ("CRM".to_owned(), entity(entity_type, id));
            state.chats.retain(|_, chat| chat.entity != about);
            changed(state, "DELETE", entity_type, id);
            Ok(json!([]))
        }
        _ => Err((404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
    }
}

fn row(id: u64, item: &Item) -> Value {
    json!({
        "id": id,
        "title": item.title,
        "observers": item.observers,
        "assignedById": item.assigned,
    })
}

fn list(state: &State, entity_type: i64, parameters: &Value) -> Value {
    let wanted = numbers(&parameters["filter"]["@id"]);
    let items = state
        .items
        .iter()
        .filter(|((kind, id), item)| *kind == entity_type && wanted.contains(id) && !item.hidden);
    let rows = items.take(50).map(|((_, id), item)| row(*id, item));
    json!({ "items": rows.collect::<Vec<_>>() })
}

/// Changes an item as its form does; what is not different is not saved, and makes no event.
fn update(state: &mut State, key: (i64, u64), fields: &Value) {
    let before = state.items[&key].clone();
    let mut item = before.clone();
    match &fields["observers"] {
        // An empty list changes nothing, an empty text clears.
        list @ (Value::Array(_) | Value::Object(_)) if !numbers(list).is_empty() => {
            item.observers = numbers(list);
            let users = &state.users;
            item.observers.retain(|user| users.contains_key(user));
        }
        Value::String(text) if text.is_empty() => item.observers.clear(),
        _ => {}
    }
    if let Some(assigned) = scalar(&fields["assignedById"]).and_then(|id| id.parse().ok()) {
        item.assigned = assigned;
    }
    if let Some(title) = text(fields, "title") {
        item.title = title;
    }
    if item == before {
        return;
    }
    state.items.insert(key, item.clone());
    let about = ("CRM".to_owned(), entity(key.0, key.1));
    let chat = state.chats.iter().find(|(_, chat)| chat.entity == about);
    if let Some(chat) = chat.map(|(id, _)| *id) {
        follow(state, chat, &before, &item);
    }
    changed(state, "UPDATE", key.0, key.1);
}

/// Brings the chat to what the item says: only differences act.
fn follow(state: &mut State, chat: u64, before: &Item, item: &Item) {
    for user in item
        .observers
        .iter()
        .filter(|user| !before.observers.contains(user))
    {
        join(state, chat, *user, 0);
    }
    for user in before
        .observers
        .iter()
        .filter(|user| !item.observers.contains(user))
    {
        leave(state, chat, *user);
    }
    if item.assigned != before.assigned {
        join(state, chat, item.assigned, 0);
        let known = state.chats.get_mut(&chat).unwrap();
        known.owner = item.assigned;
        known.managers = vec![item.assigned];
    }
    state
        .chats
        .get_mut(&chat)
        .unwrap()
        .title
        .clone_from(&item.title);
}

/// Makes somebody who came into an item's chat an observer of it.
pub(super) fn observe(state: &mut State, about: &str, user: u64) {
    let key = state
        .items
        .keys()
        .find(|(kind, id)| entity(*kind, *id) == about);
    let Some((kind, id)) = key.copied() else {
        return;
    };
    let item = state.items.get_mut(&(kind, id)).unwrap();
    if !item.observers.contains(&user) {
        item.observers.push(user);
        changed(state, "UPDATE", kind, id);
    }
}

fn changed(state: &mut State, what: &str, entity_type: i64, id: u64) {
    let name = TYPES
        .iter()
        .find(|(_, number)| *number == entity_type && *number != 31);
    let (event, told) = match name {
        Some((name, _)) => (format!("ONCRM{name}{what}"), None),
        None => (format!("ONCRMDYNAMICITEM{what}"), Some(entity_type)),
    };
    let mut fields = vec![("data[FIELDS][ID]", id.to_string())];
    fields.extend(told.map(|number| ("data[FIELDS][ENTITY_TYPE_ID]", number.to_string())));
    state.happen(&event, &fields);
}
