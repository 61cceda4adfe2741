//! What an edited comment adds: only that is run.
//!
//! Commands are compared as a multiset of what they ask for, so that moving, respelling or
//! re-indenting a command does not run it again, while typing it a second time does.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Action, Found};

/// What a command asks for: the part of a [`Found`] that is stored with its comment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature {
    /// The command's word in lower case.
    command: String,
    /// The argument with single blanks between its words.
    argument: String,
}

impl From<&Found> for Signature {
    fn from(found: &Found) -> Self {
        let words: Vec<_> = found.argument.split_whitespace().collect();
        Self {
            command: match &found.action {
                Action::Known(name) => name.word().to_owned(),
                Action::Unknown { word, .. } => word.to_lowercase(),
            },
            argument: words.join(" "),
        }
    }
}

/// Returns the commands of `new` that go beyond `old`, in the order and with the lines of the new
/// text. Where a command stands more often than before, the last ones count as added.
pub fn added(old: &[Signature], new: Vec<Found>) -> Vec<Found> {
    let mut remaining: HashMap<&Signature, usize> = HashMap::new();
    for signature in old {
        *remaining.entry(signature).or_default() += 1;
    }
    let mut was_there = |found: &Found| match remaining.get_mut(&Signature::from(found)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    new.into_iter().filter(|found| !was_there(found)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, parse};
    use super::*;

    fn found(text: &str) -> Vec<Found> {
        let dialect = Dialect {
            bot: Some("liaison"),
            slash: true,
        };
        parse(text, &dialect).commands
    }

    #[test]
    fn only_what_the_edit_adds() {
        // Old text, new text, lines of the new text that count.
        let cases: &[(&str, &str, &[usize])] = &[
            ("", "/undo", &[1]),
            ("/undo", "/undo", &[]),
            ("/undo", "", &[]),
            ("/undo", "/undo\n/undo", &[2]),
            ("/undo\n/undo", "/undo", &[]),
            ("/undo", "Hello\n\n/UNDO  ", &[]),
            ("/undo", "@liaison: undo", &[]),
            ("/undo", "/crm undo", &[]),
            ("/undo\n/contacts", "/contacts\n/undo", &[]),
            ("/add_contacts a@x b@x", "/add_contacts  a@x  b@x ", &[]),
            ("/add_contacts a@x", "/add_contacts a@x b@x", &[1]),
            ("/add_contacts a@x", "/add_contacts A@x", &[1]),
            (
                "/add_contacts a@x",
                "/undo\n/add_contacts a@x\n/contacts",
                &[1, 3],
            ),
            ("@liaison thanks a lot", "@liaison Thanks a lot", &[]),
            ("@liaison hlep", "@liaison help", &[1]),
            ("`/undo`", "/undo", &[1]),
        ];
        for (old, new, lines) in cases {
            let old_signatures: Vec<_> = found(old).iter().map(Signature::from).collect();
            let added = added(&old_signatures, found(new));
            let added_lines: Vec<_> = added.iter().map(|found| found.line).collect();
            assert_eq!(&added_lines, lines, "{old:?} → {new:?}");
        }
    }

    #[test]
    fn signatures_are_stored_as_json() {
        let signature = Signature::from(&found("/Add_contacts  a@x  b@x")[0]);
        let json = serde_json::to_string(&signature).unwrap();
        assert_eq!(json, r#"{"command":"add_contacts","argument":"a@x b@x"}"#);
        assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
    }
}
