//! Pages of contacts and organizations: what is asked, and what is answered.

use sqlx::{FromRow, PgConnection, postgres::PgRow};

use super::{
    Cursor, Holder, InvalidCursor, StoreError,
    order::Order,
    row::{self, ContactRow, OrganizationRow},
    scan::{Found, Scan},
    terms::Terms,
};
use crate::domain::{ContactSort, Direction, ItemId, Listed, OrganizationSort, States};

/// Most rows of a page.
const MOST: u32 = 1000;
/// What is asked of a list.
#[derive(Debug, Clone)]
pub struct Query<S> {
    /// Words that must all be found in a row; blank asks for all rows.
    pub search: Option<String>,
    /// States.
    pub states: States,
    /// Only these, whatever they are.
    pub ids: Option<Vec<ItemId>>,
    /// The sort.
    pub sort: S,
    /// Its direction.
    pub direction: Direction,
    /// The page.
    pub page: Page,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub enum Page {
    /// The first rows after a place, or from the beginning.
    First {
        /// How many, 1000 at most.
        count: u32,
        /// The place.
        after: Option<Cursor>,
    },
    /// The last rows before a place, or at the end.
    Last {
        /// How many, 1000 at most.
        count: u32,
        /// The place.
        before: Option<Cursor>,
    },
}

/// Rows of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<R> {
    /// The rows in the order of the list, each with its place.
    pub rows: Vec<(R, Cursor)>,
    /// Whether rows follow; for a page before a place always, since the place itself does.
    pub has_next: bool,
    /// Whether rows precede; for a page after a place always.
    pub has_previous: bool,
}

/// Why a page is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The place is not one of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ListError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Returns a page of the contacts of a group.
///
/// # Errors
/// A cursor that is not of this sort, and what the store says.
pub async fn contacts(
    connection: &mut PgConnection,
    holder: Holder,
    query: &Query<ContactSort>,
) -> Result<Listing<ContactRow>, ListError> {
    let what = (Listed::Contacts, row::CONTACT);
    page(connection, holder, what, query).await
}

/// Returns a page of the organizations of a group.
///
/// # Errors
/// A cursor that is not of this sort, and what the store says.
pub async fn organizations(
    connection: &mut PgConnection,
    holder: Holder,
    query: &Query<OrganizationSort>,
) -> Result<Listing<OrganizationRow>, ListError> {
    let what = (Listed::Organizations, row::ORGANIZATION);
    page(connection, holder, what, query).await
}

async fn page<R, S>(
    connection: &mut PgConnection,
    holder: Holder,
    what: (Listed, &'static str),
    query: &Query<S>,
) -> Result<Listing<R>, ListError>
where
    R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    S: Copy + Into<Order>,
{
    let (count, place, backward) = match &query.page {
        Page::First { count, after } => (*count, after, false),
        Page::Last { count, before } => (*count, before, true),
    };
    let order: Order = query.sort.into();
    let from = match place {
        Some(cursor) => Some((cursor.key(order)?, cursor.id)),
        None => None,
    };
    let count = count.min(MOST);
    let terms = Terms::of(query.search.as_deref().unwrap_or_default());
    let scan = Scan {
        holder,
        what,
        order,
        descending: (query.direction == Direction::Descending) != backward,
        backward,
        states: query.states.words(),
        patterns: terms.patterns().collect(),
        word: terms.only().map(str::to_owned),
        ids: query
            .ids
            .as_ref()
            .map(|ids| ids.iter().map(|id| id.0).collect()),
        from,
        // One more tells whether there is more.
        wanted: i64::from(count) + 1,
    };
    let mut rows = scan.rows(connection).await?;
    let count = usize::try_from(count).unwrap_or_default();
    let more = rows.len() > count;
    rows.truncate(count);
    if backward {
        rows.reverse();
    }
    let (ahead, behind) = (more, scan.from.is_some());
    Ok(Listing {
        rows: rows.into_iter().map(Found::with_cursor).collect(),
        has_next: if backward { behind } else { ahead },
        has_previous: if backward { ahead } else { behind },
    })
}

impl States {
    pub(super) const fn words(self) -> &'static [&'static str] {
        match self {
            Self::All => &["active", "inactive"],
            Self::Active => &["active"],
            Self::Inactive => &["inactive"],
        }
    }
}
