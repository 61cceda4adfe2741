//! Pages of connections, in the arguments of Relay's cursor connections as GitLab takes them.

use async_graphql::{
    ObjectType, OutputType,
    connection::{Connection, Edge, EmptyFields},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Refusal;
use crate::store::{search, shown::Slice};

/// Most nodes of one page, and how many there are if nothing is said; GitLab's number. More are asked for in vain, as in GitLab.
pub(super) const MAX_PAGE: usize = 100;

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// From behind this cursor on.
    pub(super) after: Option<String>,
    /// Up to this cursor.
    pub(super) before: Option<String>,
    /// Whether the last nodes are wanted and not the first ones.
    pub(super) backward: bool,
    /// At most so many nodes.
    pub(super) size: usize,
}

/// The arguments of a connection as they are given: `first`, `last`, `after`, `before`.
pub(super) type Given = (Option<i32>, Option<i32>, Option<String>, Option<String>);

impl Page {
    /// Returns the page that arguments ask for. GitLab's own client sends cursors that are empty for none.
    pub(super) fn new((first, last, after, before): Given) -> Result<Self, Refusal> {
        let refused = |text: &str| Err(Refusal::Argument(text.to_owned()));
        let (size, backward) = match (first, last) {
            (Some(_), Some(_)) => {
                return refused("Can only provide either `first` or `last`, not both");
            }
            (None, Some(last)) => (last, true),
            (first, None) => (first.unwrap_or(i32::MAX), false),
        };
        let Ok(size) = usize::try_from(size) else {
            return refused("`first` and `last` cannot be negative");
        };
        let given = |cursor: Option<String>| cursor.filter(|cursor| !cursor.is_empty());
        Ok(Self {
            after: given(after),
            before: given(before),
            backward,
            size: size.min(MAX_PAGE),
        })
    }

    /// Returns the page with so many nodes at most.
    pub(super) fn at_most(self, size: usize) -> Self {
        Self {
            size: self.size.min(size),
            ..self
        }
    }

    /// Returns the page as a slice of ids, with one more row than wanted, by which it is seen whether there are more.
    pub(super) fn slice(&self, newest_first: bool) -> Result<Slice, Refusal> {
        let id = |cursor: &Option<String>| cursor.as_deref().map(id_of).transpose();
        let (after, before) = (id(&self.after)?, id(&self.before)?);
        let (above, below) = if newest_first {
            (before, after)
        } else {
            (after, before)
        };
        Ok(Slice {
            above,
            below,
            descending: newest_first != self.backward,
            limit: i64::try_from(self.size + 1).unwrap_or(i64::MAX),
        })
    }

    /// Returns the page as lists take it: the first rows after a place, or the last ones before it.
    pub(super) fn of_list(&self) -> Result<search::Page, Refusal> {
        let cursor = |text: &Option<String>| text.as_deref().map(str::parse).transpose();
        let invalid = |_| Refusal::invalid_cursor();
        let count = u32::try_from(self.size).unwrap_or(u32::MAX);
        Ok(if self.backward {
            let before = cursor(&self.before).map_err(invalid)?;
            search::Page::Last { count, before }
        } else {
            let after = cursor(&self.after).map_err(invalid)?;
            search::Page::First { count, after }
        })
    }

    /// Returns the connection for the rows that a slice yielded, each with its cursor.
    pub(super) fn connection<N: OutputType, F: ObjectType>(
        &self,
        rows: impl IntoIterator<Item = (String, N)>,
        fields: F,
    ) -> Connection<String, N, F, EmptyFields> {
        self.connection_of_some(
            rows.into_iter().map(|(cursor, node)| (cursor, Some(node))),
            fields,
        )
    }

    /// Returns the connection for rows of which the asker may not see all.
    pub(super) fn connection_of_some<N: OutputType, F: ObjectType>(
        &self,
        rows: impl IntoIterator<Item = (String, Option<N>)>,
        fields: F,
    ) -> Connection<String, N, F, EmptyFields> {
        let mut rows: Vec<_> = rows.into_iter().collect();
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        if self.backward {
            rows.reverse();
        }
        let (has_previous, has_next) = if self.backward {
            (more, self.before.is_some())
        } else {
            (self.after.is_some(), more)
        };
        let mut connection = Connection::with_additional_fields(has_previous, has_next, fields);
        let seen = rows
            .into_iter()
            .filter_map(|(cursor, node)| Some(Edge::new(cursor, node?)));
        connection.edges.extend(seen);
        // Without a cursor nobody gets further.
        connection.has_next_page &= self.backward || !connection.edges.is_empty();
        connection
    }
}

/// Returns the cursor of a row that is ordered by its id.
pub(super) fn cursor_of(id: i64) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

fn id_of(cursor: &str) -> Result<i64, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let id = bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok());
    id.ok_or_else(Refusal::invalid_cursor)
}

/// Returns what a page costs at most: each node as much as what is asked of it.
pub(super) fn cost(first: Option<i32>, last: Option<i32>, node: usize) -> usize {
    let size = first
        .or(last)
        .map_or(MAX_PAGE, |size| usize::try_from(size).unwrap_or(0));
    size.min(MAX_PAGE).saturating_mul(node).saturating_add(2)
}

/// Returns how many nodes are named at most, where they are named by their ids.
pub(super) fn named<T>(ids: Option<&[T]>) -> Option<i32> {
    let ids = ids.filter(|ids| !ids.is_empty())?;
    Some(i32::try_from(ids.len()).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(
        first: Option<i32>,
        last: Option<i32>,
        after: &str,
        before: &str,
    ) -> Result<Page, String> {
        let given = (first, last, Some(after.to_owned()), Some(before.to_owned()));
        Page::new(given).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn takes_the_arguments_as_gitlab_does() {
        let all = page(None, None, "", "").unwrap();
        assert_eq!(
            (all.size, all.backward, all.after, all.before),
            (100, false, None, None)
        );
        let last = page(None, Some(20), "", "MTM").unwrap();
        assert_eq!(
            (last.size, last.backward, last.before.as_deref()),
            (20, true, Some("MTM"))
        );
        assert_eq!(page(Some(1000), None, "", "").unwrap().size, 100);
        assert_eq!(page(Some(0), None, "", "").unwrap().size, 0);
        assert_eq!(
            page(Some(1), Some(1), "", "").unwrap_err(),
            "Can only provide either `first` or `last`, not both"
        );
        assert_eq!(
            page(Some(-1), None, "", "").unwrap_err(),
            "`first` and `last` cannot be negative"
        );
    }

    #[test]
    fn slices_run_from_the_end_that_is_wanted() {
        let cursor = cursor_of(13);
        let slice = page(Some(2), None, &cursor, "")
            .unwrap()
            .slice(false)
            .unwrap();
        assert_eq!(
            (slice.above, slice.below, slice.descending, slice.limit),
            (Some(13), None, false, 3)
        );
        let slice = page(None, Some(2), "", &cursor)
            .unwrap()
            .slice(false)
            .unwrap();
        assert_eq!(
            (slice.above, slice.below, slice.descending),
            (None, Some(13), true)
        );
        let slice = page(Some(2), None, &cursor, "")
            .unwrap()
            .slice(true)
            .unwrap();
        assert_eq!(
            (slice.above, slice.below, slice.descending),
            (None, Some(13), true)
        );
        let wrong = page(Some(2), None, "x", "")
            .unwrap()
            .slice(false)
            .unwrap_err();
        assert_eq!(wrong.to_string(), "Please provide a valid cursor");
    }

    #[test]
    fn a_page_tells_what_is_around_it() {
        let rows = |ids: &[i64]| {
            ids.iter()
                .map(|id| (cursor_of(*id), i32::try_from(*id).unwrap()))
                .collect::<Vec<_>>()
        };
        let forward = page(Some(2), None, "MQ", "")
            .unwrap()
            .connection(rows(&[2, 3, 4]), EmptyFields);
        let nodes: Vec<_> = forward.edges.iter().map(|edge| edge.node).collect();
        assert_eq!(
            (nodes, forward.has_previous_page, forward.has_next_page),
            (vec![2, 3], true, true)
        );
        let backward = page(None, Some(2), "", "")
            .unwrap()
            .connection(rows(&[4, 3]), EmptyFields);
        let nodes: Vec<_> = backward.edges.iter().map(|edge| edge.node).collect();
        assert_eq!(
            (nodes, backward.has_previous_page, backward.has_next_page),
            (vec![3, 4], false, false)
        );
    }

    #[test]
    fn a_page_costs_its_nodes() {
        assert_eq!(cost(None, None, 3), 302);
        assert_eq!(cost(Some(10), None, 3), 32);
        assert_eq!(cost(None, Some(1_000_000), 3), 302);
        assert_eq!(cost(Some(-1), None, 3), 2);
    }
}
