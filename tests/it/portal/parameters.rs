//! Parameters of a method, as JSON or as the query of a batch's command.

use serde_json::{Map, Value};
use url::form_urlencoded;

/// Reads `method?name[index]=value`.
pub(super) fn batch_command(command: &str) -> (String, Value) {
    let (method, query) = command.split_once('?').unwrap_or((command, ""));
    let mut root = Map::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let names: Vec<&str> = key
            .split('[')
            .map(|name| name.trim_end_matches(']'))
            .collect();
        let mut place = &mut root;
        for name in &names[..names.len() - 1] {
            let inner = place
                .entry((*name).to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            place = inner.as_object_mut().unwrap();
        }
        place.insert(
            names[names.len() - 1].to_owned(),
            Value::String(value.into_owned()),
        );
    }
    (method.to_owned(), Value::Object(root))
}

/// Returns a scalar as a text.
pub(super) fn text(parameters: &Value, name: &str) -> Option<String> {
    scalar(&parameters[name])
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(if *yes { "1" } else { "" }.to_owned()),
        _ => None,
    }
}

/// Returns a number.
pub(super) fn number(parameters: &Value, name: &str) -> Option<u64> {
    text(parameters, name)?.parse().ok()
}

/// Returns the numbers of a list, which PHP may write as a map.
pub(super) fn numbers(value: &Value) -> Vec<u64> {
    let values: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    };
    let numbers = values.into_iter().filter_map(scalar);
    numbers.filter_map(|text| text.parse().ok()).collect()
}
