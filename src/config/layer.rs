//! Tables of keys on top of each other.

use toml::{Table, Value};

use super::source::Step;

pub(super) fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            // A secret is one value in three shapes: the later one replaces the earlier whole.
            (Some(Value::Table(into)), Value::Table(from))
                if !is_secret(into) && !is_secret(&from) =>
            {
                merge(into, from);
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn is_secret(table: &Table) -> bool {
    table.contains_key("file") || table.contains_key("env")
}

pub(super) fn set(table: &mut Table, path: &[String], text: &str) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        table.insert(first.clone(), literal(text));
        return;
    }
    let next = table
        .entry(first.clone())
        .or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(next) = next {
        set(next, rest, text);
    }
}

/// Reads numbers, booleans, lists and tables as TOML, everything else as text.
fn literal(text: &str) -> Value {
    let read = format!("value = {text}").parse::<Table>().ok();
    match read.and_then(|mut table| table.remove("value")) {
        Some(value) if !value.is_datetime() => value,
        _ => Value::String(text.to_owned()),
    }
}

pub(super) fn remove(table: &mut Table, path: &[Step]) -> bool {
    let Some((Step::Key(first), rest)) = path.split_first() else {
        return false;
    };
    if rest.is_empty() {
        return table.remove(first).is_some();
    }
    table
        .get_mut(first)
        .is_some_and(|value| remove_in(value, rest))
}

fn remove_in(value: &mut Value, path: &[Step]) -> bool {
    match (value, path.split_first()) {
        (Value::Table(table), Some((Step::Key(_), _))) => remove(table, path),
        (Value::Array(list), Some((Step::Index(index), rest))) => match list.get_mut(*index) {
            Some(_) if rest.is_empty() => {
                list.remove(*index);
                true
            }
            Some(value) => remove_in(value, rest),
            None => false,
        },
        _ => false,
    }
}

/// Puts the default back; returns false where there is none.
pub(super) fn restore(table: &mut Table, defaults: &Table, path: &[Step]) -> bool {
    let Some((Step::Key(first), rest)) = path.split_first() else {
        return false;
    };
    let Some(default) = defaults.get(first) else {
        return false;
    };
    match (table.get_mut(first), default) {
        (Some(Value::Table(table)), Value::Table(defaults)) if !rest.is_empty() => {
            restore(table, defaults, rest)
        }
        _ => {
            table.insert(first.clone(), default.clone());
            true
        }
    }
}
