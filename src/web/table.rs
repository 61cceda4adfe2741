//! Lists: tabs by state, search, columns that sort both ways, pages that begin at a place. `web/templates/parts/table.html` shows them.

use serde::{Deserialize, Serialize};

use super::{items::BulkForm, moment::Moment};
use crate::{
    domain::{Direction, ItemId, States},
    store::search::{Count, Listing, Page, Query, StateCounts},
};

/// Rows of a page.
const ROWS: u32 = 25;

/// A table as its template shows it.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// What it lists, for whoever hears the page.
    pub(super) caption: &'static str,
    /// The tabs; none where there is one sort of rows only.
    pub(super) tabs: Vec<Tab>,
    /// The search, if the list has one.
    pub(super) search: Option<Search>,
    /// The columns.
    pub(super) columns: Vec<Column>,
    /// The rows.
    pub(super) rows: Vec<Vec<Cell>>,
    /// The page before.
    pub(super) previous: Option<String>,
    /// The page after.
    pub(super) next: Option<String>,
    /// What is said instead of no rows.
    pub(super) empty: String,
    /// Where changes are told while the page is open.
    pub(super) live: Option<String>,
    /// What can be done with several rows at once.
    pub(super) bulk: Option<BulkForm>,
}

/// A tab.
#[derive(Debug)]
pub(super) struct Tab {
    /// What it is called.
    pub(super) label: &'static str,
    /// How many rows it has.
    pub(super) count: String,
    /// Where it leads.
    pub(super) path: String,
    /// Whether it is shown.
    pub(super) is_here: bool,
}

/// A search.
#[derive(Debug)]
pub(super) struct Search {
    /// Where it is asked.
    pub(super) path: String,
    /// What is searched, in words.
    pub(super) label: &'static str,
    /// What was typed.
    pub(super) value: String,
    /// What else stays as it is.
    pub(super) kept: Vec<(&'static str, String)>,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    /// What it is called.
    pub(super) label: &'static str,
    /// Where the list sorted by it is, if it can be.
    pub(super) path: Option<String>,
    /// How the list is sorted by it, in ARIA's words.
    pub(super) sorted: &'static str,
}

/// What stands in a cell.
#[derive(Debug)]
pub(super) enum Cell {
    /// Nothing.
    Empty,
    /// Text.
    Text(String),
    /// A way to another page; the first one of a row names it.
    Link {
        /// What it is called.
        text: String,
        /// Where it leads.
        path: String,
    },
    /// A time.
    When(Moment),
    /// A time that is a way to another page.
    Moment(Moment, String),
    /// A word of a state that somebody has to look after.
    Warning(&'static str),
    /// A word of state, and whether it is a quiet one.
    Badge(&'static str, bool),
}

impl Cell {
    /// Returns the cell of a text that may lack.
    pub(super) fn text(text: Option<String>) -> Self {
        text.map_or(Self::Empty, Self::Text)
    }

    /// Returns a way to another page.
    pub(super) fn link(text: &str, path: String) -> Self {
        Self::Link {
            text: text.to_owned(),
            path,
        }
    }

    /// Returns the cell of a state.
    pub(super) fn state(active: bool) -> Self {
        if active {
            Self::Badge("Active", false)
        } else {
            Self::Badge("Inactive", true)
        }
    }
}

/// The item of a row that a box ticks, and its name.
pub(super) type Tick = (ItemId, String);

impl Table {
    /// Returns the rows, each with the item and its name that a box ticks, where something can be done with several at once.
    pub(super) fn ticked_rows(&self) -> Vec<(Option<Tick>, &[Cell])> {
        let items = self.bulk.as_ref().map(|bulk| bulk.items.as_slice());
        let tick = |place: usize, row: &[Cell]| {
            let item = *items?.get(place)?;
            // A first and a last name have a cell each.
            let names = row.iter().take(2).filter_map(|cell| match cell {
                Cell::Link { text, .. } => Some(text.as_str()),
                _ => None,
            });
            Some((item, names.collect::<Vec<_>>().join(" ")))
        };
        let rows = self.rows.iter().enumerate();
        rows.map(|(place, row)| (tick(place, row), row.as_slice()))
            .collect()
    }

    /// Returns a column that does not sort.
    pub(super) fn plain(label: &'static str) -> Column {
        Column {
            label,
            path: None,
            sorted: "none",
        }
    }
}

/// Something that a list can be sorted by.
pub(super) trait Sort: Copy + PartialEq + 'static {
    /// All of them, each with its word in addresses and its column's label.
    const ALL: &'static [(Self, &'static str, &'static str)];
    /// The one where nothing is said.
    const DEFAULT: Self;
}

/// What an address says about a list. What makes no sense is as if it were not there.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Asked {
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    search: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sort: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    after: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    before: String,
}

impl Asked {
    fn states(&self) -> States {
        match self.state.as_str() {
            "all" => States::All,
            "inactive" => States::Inactive,
            _ => States::Active,
        }
    }

    /// Returns whether rows are to be active; none for whatever they are.
    pub(super) fn active(&self) -> Option<bool> {
        match self.states() {
            States::All => None,
            States::Active => Some(true),
            States::Inactive => Some(false),
        }
    }

    /// Returns the words that are searched.
    pub(super) fn search(&self) -> Option<&str> {
        Some(self.search.trim()).filter(|search| !search.is_empty())
    }

    fn sort<S: Sort>(&self) -> (S, Direction) {
        let known = |word: &str| S::ALL.iter().find(|(_, known, _)| *known == word);
        let named = self.sort.rsplit_once('_').and_then(|(word, direction)| {
            let (sort, ..) = known(word)?;
            match direction {
                "asc" => Some((*sort, Direction::Ascending)),
                "desc" => Some((*sort, Direction::Descending)),
                _ => None,
            }
        });
        named.unwrap_or((S::DEFAULT, Direction::Ascending))
    }

    /// Returns the query for the page that is asked for.
    pub(super) fn query<S: Sort>(&self) -> Query<S> {
        let (sort, direction) = self.sort();
        let page = match self.before.parse() {
            Ok(before) => Page::Last {
                count: ROWS,
                before: Some(before),
            },
            Err(_) => Page::First {
                count: ROWS,
                after: self.after.parse().ok(),
            },
        };
        Query {
            search: self.search().map(str::to_owned),
            states: self.states(),
            ids: None,
            sort,
            direction,
            page,
        }
    }

    /// Returns the same from its first page on.
    pub(super) fn restarted(&self) -> Self {
        Self {
            after: String::new(),
            before: String::new(),
            ..self.clone()
        }
    }

    fn link(&self, path: &str) -> String {
        let query = serde_urlencoded::to_string(self).unwrap_or_default();
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    }

    /// Returns the tabs of a list by state.
    pub(super) fn tabs(&self, path: &str, counts: StateCounts) -> Vec<Tab> {
        let here = self.states();
        [
            ("Active", "", States::Active, counts.active),
            ("Inactive", "inactive", States::Inactive, counts.inactive),
            ("All", "all", States::All, counts.all),
        ]
        .into_iter()
        .map(|(label, state, states, count)| Tab {
            label,
            count: shown(count),
            path: Self {
                state: state.to_owned(),
                ..self.restarted()
            }
            .link(path),
            is_here: states == here,
        })
        .collect()
    }

    /// Returns the search of a list.
    pub(super) fn search_box(&self, path: &str, label: &'static str) -> Search {
        let kept = [("state", &self.state), ("sort", &self.sort)];
        Search {
            path: path.to_owned(),
            label,
            value: self.search.clone(),
            kept: kept
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, value.clone()))
                .collect(),
        }
    }

    /// Returns the columns of a list, each sorting it.
    pub(super) fn columns<S: Sort>(&self, path: &str) -> Vec<Column> {
        let (now, direction) = self.sort::<S>();
        S::ALL
            .iter()
            .map(|(sort, word, label)| {
                let (sorted, next) = match direction {
                    _ if *sort != now => ("none", "asc"),
                    Direction::Ascending => ("ascending", "desc"),
                    Direction::Descending => ("descending", "asc"),
                };
                let by = Self {
                    sort: format!("{word}_{next}"),
                    ..self.restarted()
                };
                Column {
                    label,
                    path: Some(by.link(path)),
                    sorted,
                }
            })
            .collect()
    }

    /// Returns the ways to the pages before and after one.
    pub(super) fn pager<R>(&self, path: &str, listing: &Listing<R>) -> [Option<String>; 2] {
        let first = listing.rows.first().map(|(_, cursor)| Self {
            before: cursor.to_string(),
            ..self.restarted()
        });
        let last = listing.rows.last().map(|(_, cursor)| Self {
            after: cursor.to_string(),
            ..self.restarted()
        });
        [
            first
                .filter(|_| listing.has_previous)
                .map(|asked| asked.link(path)),
            last.filter(|_| listing.has_next)
                .map(|asked| asked.link(path)),
        ]
    }
}

/// Returns a number as a tab shows it.
fn shown(count: Count) -> String {
    let digits = count.count.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if count.exact {
        grouped
    } else {
        format!("{grouped}+")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ContactSort;

    #[test]
    fn nonsense_in_an_address_is_as_if_it_were_not_there() {
        let asked = Asked {
            state: "sideways".into(),
            search: "  ".into(),
            sort: "height_up".into(),
            after: "!".into(),
            before: "?".into(),
        };
        let query = asked.query::<ContactSort>();
        assert_eq!((query.states, query.search), (States::Active, None));
        assert_eq!(
            (query.sort, query.direction),
            (ContactSort::LastName, Direction::Ascending)
        );
        assert!(matches!(query.page, Page::First { after: None, .. }));
    }

    #[test]
    fn a_column_turns_the_order_round() {
        let asked = Asked {
            sort: "email_asc".into(),
            after: "abc".into(),
            search: "a&b".into(),
            ..Asked::default()
        };
        let columns = asked.columns::<ContactSort>("/x");
        let email = columns
            .iter()
            .find(|column| column.label == "Email")
            .unwrap();
        assert_eq!(email.sorted, "ascending");
        assert_eq!(
            email.path.as_deref(),
            Some("/x?search=a%26b&sort=email_desc")
        );
        let phone = columns
            .iter()
            .find(|column| column.label == "Phone")
            .unwrap();
        assert_eq!(
            (phone.sorted, phone.path.as_deref()),
            ("none", Some("/x?search=a%26b&sort=phone_asc"))
        );
    }

    #[test]
    fn numbers_are_grouped() {
        for (count, exact, expected) in [
            (0, true, "0"),
            (999, true, "999"),
            (1_000_000, true, "1,000,000"),
            (5001, false, "5,001+"),
        ] {
            assert_eq!(shown(Count { count, exact }), expected);
        }
    }
}
