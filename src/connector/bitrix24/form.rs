//! Bodies as Bitrix24 sends them: `application/x-www-form-urlencoded`, nested with PHP's brackets (`data[FIELDS][ID]=7`).
//!
//! One reading serves the proof of the sender and the understanding of the body alike, so that both see the same value: of a key that
//! comes twice the last one counts, as in PHP.

use std::collections::BTreeMap;

use url::form_urlencoded;

/// Largest body that is read, in bytes; the documented ones have less than ten thousand.
const MAX_BYTES: usize = 1 << 20;
/// Most pairs of key and value in a body.
const MAX_PAIRS: usize = 2000;
/// Most brackets in a key.
const MAX_DEPTH: usize = 16;

/// Why a body is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    /// More bytes than any event has.
    #[error("the form is larger than {MAX_BYTES} bytes")]
    Large,
    /// More pairs than any event has.
    #[error("the form has more than {MAX_PAIRS} fields")]
    Many,
    /// Brackets deeper than any event has.
    #[error("a field of the form is nested deeper than {MAX_DEPTH}")]
    Deep,
}

/// A value of a form: a text, or named values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A text, without NUL characters.
    Text(String),
    /// Values by the word in the brackets.
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// Reads a body.
    ///
    /// # Errors
    /// Fails on more bytes, pairs or depth than an event can have. What is odd otherwise is read as PHP reads it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, FormError> {
        if body.len() > MAX_BYTES {
            return Err(FormError::Large);
        }
        let mut root = BTreeMap::new();
        for (count, (key, value)) in form_urlencoded::parse(body).enumerate() {
            if count >= MAX_PAIRS {
                return Err(FormError::Many);
            }
            let path = path(&key)?;
            put(&mut root, &path, value.replace('\0', ""));
        }
        Ok(Self::Map(root))
    }

    /// Returns the value at a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| match node {
            Self::Map(map) => map.get(*key),
            Self::Text(_) => None,
        })
    }

    /// Returns the text at a path; an empty one counts as absent, since events of bots write null so.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        match self.at(path)? {
            Self::Text(text) if !text.is_empty() => Some(text),
            Self::Text(_) | Self::Map(_) => None,
        }
    }

    /// Returns whether the text at a path says yes: `1` in events of bots, `Y` elsewhere.
    pub(super) fn is_on(&self, path: &[&str]) -> bool {
        matches!(self.text(path), Some("1" | "Y" | "true"))
    }

    /// Returns the values of a map in the order of their keys; none for a text.
    pub(super) fn values(&self) -> impl Iterator<Item = &Self> {
        let map = match self {
            Self::Map(map) => Some(map),
            Self::Text(_) => None,
        };
        map.into_iter().flat_map(BTreeMap::values)
    }

    /// Returns the form written anew, which is the same for bodies that say the same.
    pub(super) fn canonical(&self) -> String {
        let mut written = String::new();
        self.write(&mut written);
        written
    }

    fn write(&self, written: &mut String) {
        match self {
            Self::Text(text) => {
                // Lengths keep values apart whatever stands in them.
                written.push_str(&text.len().to_string());
                written.push(':');
                written.push_str(text);
            }
            Self::Map(map) => {
                written.push('{');
                for (key, node) in map {
                    written.push_str(&key.len().to_string());
                    written.push(':');
                    written.push_str(key);
                    node.write(written);
                }
                written.push('}');
            }
        }
    }
}

/// Splits `data[FIELDS][ID]` into its keys. Brackets that do not close belong to the name, as in PHP.
fn path(key: &str) -> Result<Vec<&str>, FormError> {
    let Some((name, mut rest)) = key
        .split_once('[')
        .filter(|(name, rest)| !name.is_empty() && rest.contains(']'))
    else {
        return Ok(vec![key]);
    };
    let mut path = vec![name];
    while let Some((inner, after)) = rest.split_once(']') {
        path.push(inner);
        if path.len() > MAX_DEPTH {
            return Err(FormError::Deep);
        }
        // What follows the last closed bracket is no key.
        match after.strip_prefix('[') {
            Some(next) => rest = next,
            None => break,
        }
    }
    Ok(path)
}

/// Puts a text at a path; `[]` takes the next free number.
fn put(map: &mut BTreeMap<String, Node>, path: &[&str], text: String) {
    let Some((key, rest)) = path.split_first() else {
        return;
    };
    let key = if key.is_empty() {
        let numbers = map.keys().filter_map(|key| key.parse::<u64>().ok());
        numbers
            .max()
            .map_or(0, |most| most.saturating_add(1))
            .to_string()
    } else {
        (*key).to_owned()
    };
    if rest.is_empty() {
        map.insert(key, Node::Text(text));
        return;
    }
    let inner = map
        .entry(key)
        .and_modify(|node| {
            if let Node::Text(_) = node {
                *node = Node::Map(BTreeMap::new());
            }
        })
        .or_insert_with(|| Node::Map(BTreeMap::new()));
    if let Node::Map(inner) = inner {
        put(inner, rest, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Node {
        Node::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn reads_nested_keys_as_php_does() {
        let form = parse(
            "event=ONCRMDEALUPDATE&data%5BFIELDS%5D%5BID%5D=7405&data[USER][0]=a&data[USER][]=b&data[USER][]=c\
             &name=Zo%C3%AB+M&odd%zz=1&open[a=2&%5Bx%5D=3&tail[a]b=4&null=",
        );
        assert_eq!(form.text(&["event"]), Some("ONCRMDEALUPDATE"));
        assert_eq!(form.text(&["data", "FIELDS", "ID"]), Some("7405"));
        let users = form.at(&["data", "USER"]).unwrap();
        let users: Vec<_> = users.values().filter_map(|node| node.text(&[])).collect();
        assert_eq!(users, ["a", "b", "c"]);
        assert_eq!(form.text(&["name"]), Some("Zoë M"));
        assert_eq!(form.text(&["odd%zz"]), Some("1"));
        assert_eq!(form.text(&["open[a"]), Some("2"));
        assert_eq!(form.text(&["[x]"]), Some("3"));
        assert_eq!(form.text(&["tail", "a"]), Some("4"));
        assert_eq!(form.text(&["null"]), None);
        assert_eq!(form.text(&["data"]), None);
        assert_eq!(form.text(&["event", "deeper"]), None);
    }

    #[test]
    fn the_last_of_a_repeated_key_counts() {
        assert_eq!(parse("a=1&a=2").text(&["a"]), Some("2"));
        assert_eq!(parse("a=1&a[b]=2").text(&["a", "b"]), Some("2"));
        assert_eq!(parse("a[b]=1&a=2").text(&["a"]), Some("2"));
    }

    #[test]
    fn holds_no_nul_and_survives_bytes_that_are_no_text() {
        assert_eq!(parse("a=x%00y").text(&["a"]), Some("xy"));
        assert!(Node::parse(b"a=%ff\xfe&=&&[]=&[[[]]]").is_ok());
    }

    #[test]
    fn bounds_size_number_and_depth() {
        let many = "a=1&".repeat(MAX_PAIRS + 1);
        assert_eq!(Node::parse(many.as_bytes()), Err(FormError::Many));
        let deep = format!("a{}=1", "[b]".repeat(MAX_DEPTH + 1));
        assert_eq!(Node::parse(deep.as_bytes()), Err(FormError::Deep));
        let large = vec![b'a'; MAX_BYTES + 1];
        assert_eq!(Node::parse(&large), Err(FormError::Large));
    }

    #[test]
    fn writes_the_same_for_the_same() {
        assert_eq!(
            parse("b=2&a[x]=1").canonical(),
            parse("a%5Bx%5D=1&b=2").canonical()
        );
        assert_ne!(
            parse("a=1&b=2").canonical(),
            parse("a=1%26b%3D2").canonical()
        );
        assert_ne!(parse("a[b]=1").canonical(), parse("a=b1").canonical());
    }
}
