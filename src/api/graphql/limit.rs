//! What one query may ask for, found out before anything walks its fragments.
//!
//! The checks of the GraphQL library expand fragments wherever they are named, so a short text can keep them busy for ever. Here every
//! fragment is looked at once. Depth and complexity are then checked by the library.

use std::collections::HashMap;

use async_graphql::{
    Positioned,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use super::Refusal;

/// Longest text of a query, in bytes; variables do not count.
pub(super) const MAX_TEXT: usize = 32 << 10;
/// Most fields of a query, fragments counted wherever they are named.
const MAX_FIELDS: usize = 1000;
/// Most fields under another name than their own.
const MAX_ALIASES: usize = 50;
/// Most operations in a text.
const MAX_OPERATIONS: usize = 20;
/// Deepest nesting; the introspection query of usual clients has 15.
pub(super) const MAX_DEPTH: usize = 20;
/// Most values that an answer may have, counted before it is known: a connection counts as many times as its page may hold.
pub(super) const MAX_COMPLEXITY: usize = 50_000;
/// Most directives on a field.
pub(super) const MAX_DIRECTIVES: usize = 5;

/// Size of a part of a query.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    fields: usize,
    aliases: usize,
    asks_for_schema: bool,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.asks_for_schema |= other.asks_for_schema;
    }
}

/// Checks the size of a query. Somebody unknown may not ask for the schema.
pub(super) fn check(document: &ExecutableDocument, is_known: bool) -> Result<(), Refusal> {
    if document.operations.iter().count() > MAX_OPERATIONS {
        return Err(Refusal::TooMuch(format!(
            "A request may have {MAX_OPERATIONS} operations"
        )));
    }
    let mut measure = Measure {
        document,
        fragments: HashMap::new(),
    };
    let mut total = Size::default();
    for (_, operation) in document.operations.iter() {
        total.add(measure.selection(&operation.node.selection_set)?);
    }
    if total.fields > MAX_FIELDS {
        return Err(Refusal::TooMuch(format!(
            "A query may have {MAX_FIELDS} fields"
        )));
    }
    if total.aliases > MAX_ALIASES {
        return Err(Refusal::TooMuch(format!(
            "A query may have {MAX_ALIASES} aliases"
        )));
    }
    if total.asks_for_schema && !is_known {
        return Err(Refusal::Unauthenticated);
    }
    Ok(())
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    /// Sizes of the fragments seen; none while one is being measured.
    fragments: HashMap<&'a str, Option<Size>>,
}

impl<'a> Measure<'a> {
    fn selection(&mut self, set: &'a Positioned<SelectionSet>) -> Result<Size, Refusal> {
        let mut size = Size::default();
        for item in &set.node.items {
            match &item.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    size.add(Size {
                        fields: 1,
                        aliases: usize::from(field.alias.is_some()),
                        asks_for_schema: matches!(field.name.node.as_str(), "__schema" | "__type"),
                    });
                    size.add(self.selection(&field.selection_set)?);
                }
                Selection::InlineFragment(part) => {
                    size.add(self.selection(&part.node.selection_set)?);
                }
                Selection::FragmentSpread(spread) => {
                    size.add(self.fragment(&spread.node.fragment_name.node)?);
                }
            }
        }
        Ok(size)
    }

    fn fragment(&mut self, name: &'a str) -> Result<Size, Refusal> {
        match self.fragments.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(Refusal::TooMuch(format!("Fragment {name} contains itself"))),
            None => {}
        }
        // An unknown one is told by the library's own check; it counts, or a tree of nothing else would have no size.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Size {
                fields: 1,
                ..Size::default()
            });
        };
        self.fragments.insert(name, None);
        let size = self.selection(&fragment.node.selection_set)?;
        self.fragments.insert(name, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use async_graphql::parser::parse_query;

    use super::*;

    fn said(query: &str, is_known: bool) -> Option<String> {
        check(&parse_query(query).unwrap(), is_known)
            .err()
            .map(|refusal| refusal.to_string())
    }

    #[test]
    fn bounds_what_a_query_asks_for() {
        let fields = |count| format!("{{ {} }}", "id ".repeat(count));
        assert_eq!(said(&fields(1000), true), None);
        assert_eq!(
            said(&fields(1001), true).unwrap(),
            "A query may have 1000 fields"
        );

        let aliases = |count: usize| {
            let names = (0..count).fold(String::new(), |mut text, number| {
                let _ = write!(text, "a{number}: id ");
                text
            });
            format!("{{ {names} }}")
        };
        assert_eq!(said(&aliases(50), true), None);
        assert_eq!(
            said(&aliases(51), true).unwrap(),
            "A query may have 50 aliases"
        );
    }

    #[test]
    fn counts_fragments_wherever_they_are_named_and_looks_at_each_once() {
        let mut query = "{ ...F0 } ".to_owned();
        for number in 0..60 {
            let next = number + 1;
            let _ = write!(
                query,
                "fragment F{number} on Query {{ ...F{next} ...F{next} }} "
            );
        }
        for end in ["fragment F60 on Query { id }", ""] {
            let query = format!("{query} {end}");
            assert_eq!(said(&query, true).unwrap(), "A query may have 1000 fields");
        }
    }

    #[test]
    fn refuses_fragments_that_contain_themselves() {
        let query =
            "{ ...A } fragment A on Query { ...B ...B } fragment B on Query { group { ...A } }";
        assert_eq!(said(query, true).unwrap(), "Fragment A contains itself");
    }

    #[test]
    fn tells_the_schema_to_people_only() {
        let query = "{ ...A } fragment A on Query { __schema { types { name } } }";
        assert_eq!(said(query, true), None);
        assert_eq!(said(query, false).unwrap(), "Authentication required");
        assert_eq!(said("{ __typename }", false), None);
    }
}
