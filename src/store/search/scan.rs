//! How a page is found.
//!
//! A list is cut into *segments*, rows with a sort key and rows without one, since those come last both ways; and a segment into one
//! *part* per state, each a range of one index. With a search there are two roads. The *walk* goes along the sort's index until the page
//! is full: right where many rows match, or the group has few. It is bounded, and tells when it did not get far enough; then what matches is
//! *gathered* by the index of trigrams and sorted. A row costs a walk some four times as much as a gathering, which takes rows in the order in
//! which they lie on the disk.
//!
//! Whoever looks for a name in the order of names finds it far along the sort, where the names begin as the word that he typed. The walk starts
//! anew there, and what is gathered is only what stands before these.

use std::collections::HashSet;

use serde_json::Value;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{
    Cursor, Holder, StoreError, by_both, by_estimate, by_index,
    cursor::Key,
    order::{Measure, Order},
    ranges::LAST,
};
use crate::domain::{ItemId, Listed};

/// Rows of each state that the first walk looks at, about as long as gathering two thousand takes.
const WALK: i64 = 500;
/// How much farther the second one goes, if by the hits of the first it will fill the page.
const FARTHER: i64 = 6;
/// So many rows are gathered in the time in which one is walked over.
const GATHERED: i64 = 5;
/// Most rows of each state that a walk looks at, however long gathering would take.
const FARTHEST: i64 = 12_000;

/// A row with its place.
pub(super) struct Found<R> {
    row: R,
    cursor: Cursor,
    /// Whether it is only where the walk ended, be it a hit or not.
    bound: bool,
}

impl<R> Found<R> {
    /// Takes it apart.
    pub(super) fn with_cursor(self) -> (R, Cursor) {
        (self.row, self.cursor)
    }
}

impl<'r, R: FromRow<'r, PgRow>> FromRow<'r, PgRow> for Found<R> {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            row: R::from_row(row)?,
            cursor: Cursor {
                key: row.try_get("key_text")?,
                id: row.try_get("id")?,
            },
            bound: row.try_get("bound")?,
        })
    }
}

/// A page to be found, as seen in the direction in which it is read.
pub(super) struct Scan {
    pub(super) holder: Holder,
    pub(super) what: (Listed, &'static str),
    pub(super) order: Order,
    /// Whether keys and ids fall.
    pub(super) descending: bool,
    /// Whether it is read from the end, where rows without a key come first.
    pub(super) backward: bool,
    pub(super) states: &'static [&'static str],
    pub(super) patterns: Vec<String>,
    /// The word that is looked for, if it is the only one.
    pub(super) word: Option<String>,
    pub(super) ids: Option<Vec<i64>>,
    pub(super) from: Option<(Option<Key>, ItemId)>,
    pub(super) wanted: i64,
}

/// What a walk along the index looks at.
#[derive(Clone, Copy)]
enum Along<'a> {
    /// As many rows as are wanted.
    Rows,
    /// So many rows of each state, for those that match.
    Bounded(i64),
    /// The rows whose keys begin as a word, for those that match.
    Beginning(&'a str),
}

/// What a walk along the index brought.
enum Walk<R> {
    /// The page.
    Page(Vec<Found<R>>),
    /// So many hits, and then its bound.
    Bounded(usize),
}

impl Scan {
    /// Returns up to `wanted` rows in the order in which they are read.
    pub(super) async fn rows<R>(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<Found<R>>, StoreError>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        if self.ids.is_some() {
            return self.gather(connection, None).await;
        }
        let near = if self.patterns.is_empty() {
            Along::Rows
        } else {
            Along::Bounded(WALK)
        };
        let hits = match self.walk(&mut *connection, near).await? {
            Walk::Page(rows) => return Ok(rows),
            Walk::Bounded(hits) => i64::try_from(hits).unwrap_or_default(),
        };
        let by_hits = if hits * FARTHER >= self.wanted {
            WALK * FARTHER
        } else if let Some(rows) = self.jump(&mut *connection).await? {
            return Ok(rows);
        } else {
            0
        };
        let as_long = (self.expected(&mut *connection).await? / GATHERED).min(FARTHEST);
        let far = by_hits.max(as_long);
        if far > WALK
            && let Walk::Page(rows) = self.walk(&mut *connection, Along::Bounded(far)).await?
        {
            return Ok(rows);
        }
        self.gather(connection, None).await
    }

    /// Returns the page if those whose keys begin as the word fill it: what else matches before them, which mostly is little, and then them.
    async fn jump<R>(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<Vec<Found<R>>>, StoreError>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let keyless_first = self.order.nullable && self.backward;
        let is_keyless = matches!(self.from, Some((None, _)));
        let Some(word) = self
            .word
            .as_deref()
            .filter(|_| self.order.measure == Measure::Text && !keyless_first && !is_keyless)
        else {
            return Ok(None);
        };
        let mut reading = by_index(connection).await?;
        let beginning: Vec<Found<R>> = self
            .segment(false, self.wanted, Along::Beginning(word))
            .build_query_as()
            .persistent(false)
            .fetch_all(&mut *reading)
            .await?;
        drop(reading);
        let wanted = usize::try_from(self.wanted).unwrap_or_default();
        if beginning.len() < wanted {
            return Ok(None);
        }
        let mut rows: Vec<Found<R>> = self.gather(connection, Some(word)).await?;
        let before: HashSet<ItemId> = rows.iter().map(|found| found.cursor.id).collect();
        // One that was given another name between the two reads stands there by now.
        let beginning = beginning.into_iter();
        rows.extend(beginning.filter(|found| !before.contains(&found.cursor.id)));
        rows.truncate(wanted);
        Ok((rows.len() == wanted).then_some(rows))
    }

    /// Returns about how many rows gathering would look at, those of other tenants included, as the statistics have it.
    async fn expected(&self, connection: &mut PgConnection) -> Result<i64, StoreError> {
        let mut sql = QueryBuilder::new("EXPLAIN (FORMAT JSON) SELECT FROM items");
        self.held(&mut sql);
        self.matching(&mut sql);
        let mut reading = by_estimate(connection).await?;
        let plan: Value = sql
            .build_query_scalar()
            .persistent(false)
            .fetch_one(&mut *reading)
            .await?;
        drop(reading);
        Ok(most_rows(plan.get(0).and_then(|top| top.get("Plan"))))
    }

    /// Returns the segments that the page may touch, the one with the place first; true is the one of rows without a key.
    fn segments(&self) -> Vec<bool> {
        let mut segments = if self.order.nullable {
            vec![self.backward, !self.backward]
        } else {
            vec![false]
        };
        if let Some((key, _)) = &self.from {
            let at = segments
                .iter()
                .position(|&keyless| keyless == key.is_none());
            segments.drain(..at.unwrap_or_default());
        }
        segments
    }

    async fn walk<R>(
        &self,
        connection: &mut PgConnection,
        along: Along<'_>,
    ) -> Result<Walk<R>, StoreError>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut reading = by_index(connection).await?;
        let mut rows: Vec<Found<R>> = Vec::new();
        // Two at most, and mostly the first one fills the page.
        for keyless in self.segments() {
            let left = self.wanted - i64::try_from(rows.len()).unwrap_or_default();
            if left <= 0 {
                break;
            }
            let mut statement = self.segment(keyless, left, along);
            let found: Vec<Found<R>> = statement
                .build_query_as()
                .persistent(false)
                .fetch_all(&mut *reading)
                .await?;
            if let Some(hits) = found.iter().position(|found| found.bound) {
                drop(reading);
                return Ok(Walk::Bounded(rows.len() + hits));
            }
            rows.extend(found);
        }
        drop(reading);
        Ok(Walk::Page(rows))
    }

    /// Writes the statement that reads a segment, `wanted` rows of it.
    fn segment(&self, keyless: bool, wanted: i64, along: Along<'_>) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new("SELECT * FROM (");
        for (place, state) in self.states.iter().enumerate() {
            sql.push(if place == 0 { "(" } else { " UNION ALL (" });
            match along {
                Along::Rows | Along::Beginning(_) => {
                    self.select(&mut sql, None);
                    sql.push(" FROM items");
                    self.range(&mut sql, state, keyless);
                    if let Along::Beginning(word) = along {
                        sql.push(format_args!(" AND {} >= lower(", self.order.key));
                        sql.push_bind(word.to_owned()).push(")");
                        self.until_end_of(&mut sql, "<", word);
                        self.matching(&mut sql);
                    }
                    self.order_by(&mut sql, self.order.key);
                    sql.push(" LIMIT ").push_bind(wanted);
                }
                Along::Bounded(bound) => {
                    self.select(&mut sql, Some(bound));
                    sql.push(
                        " FROM (SELECT *, row_number() OVER () AS walked FROM (SELECT * FROM items",
                    );
                    self.range(&mut sql, state, keyless);
                    self.order_by(&mut sql, self.order.key);
                    sql.push(" LIMIT ").push_bind(bound);
                    sql.push(") AS near) AS near WHERE walked = ")
                        .push_bind(bound);
                    sql.push(" OR (true");
                    self.matching(&mut sql);
                    sql.push(") LIMIT ").push_bind(wanted);
                }
            }
            sql.push(")");
        }
        sql.push(") AS segment");
        self.order_by(&mut sql, "sort_key");
        sql.push(" LIMIT ").push_bind(wanted);
        sql
    }

    /// Writes what a row is read as.
    fn select(&self, sql: &mut QueryBuilder<Postgres>, bound: Option<i64>) {
        let key = self.order.key;
        let (before, after) = self.order.as_text();
        let columns = self.what.1;
        sql.push(format_args!(
            "SELECT {columns}, {key} AS sort_key, {before}{key}{after} AS key_text, "
        ));
        match bound {
            Some(bound) => sql.push("walked = ").push_bind(bound),
            None => sql.push("false"),
        };
        sql.push(" AS bound");
    }

    /// Writes the conditions that the index of the sort answers.
    fn range(&self, sql: &mut QueryBuilder<Postgres>, state: &str, keyless: bool) {
        self.held(sql);
        sql.push(format_args!(" AND state = '{state}'"));
        if keyless || self.order.nullable {
            let not = if keyless { "" } else { "NOT " };
            sql.push(format_args!(" AND {} IS {not}NULL", self.order.key));
        }
        if let Some((key, id)) = &self.from
            && key.is_none() == keyless
        {
            sql.push(" AND ");
            self.beyond(sql, key.as_ref(), *id);
        }
    }

    fn held(&self, sql: &mut QueryBuilder<Postgres>) {
        let (root, group) = self.holder;
        sql.push(" WHERE root_id = ").push_bind(root.0);
        sql.push(" AND group_id = ").push_bind(group.0);
        sql.push(format_args!(" AND kind = '{}'", self.what.0.kind()));
    }

    /// Writes that a row of the place's own segment comes after the place.
    fn beyond(&self, sql: &mut QueryBuilder<Postgres>, key: Option<&Key>, id: ItemId) {
        let sign = if self.descending { "<" } else { ">" };
        let Some(key) = key else {
            sql.push(format_args!("id {sign} ")).push_bind(id.0);
            return;
        };
        sql.push(format_args!("({}, id) {sign} (", self.order.key));
        match key {
            Key::Text(text) => sql.push_bind(text.clone()),
            Key::Moment(moment) => sql.push_bind(*moment),
            Key::Number(number) => sql.push_bind(*number),
        };
        sql.push(", ").push_bind(id.0).push(")");
    }

    /// Writes that a key stands before or after all that begin as a word.
    fn until_end_of(&self, sql: &mut QueryBuilder<Postgres>, sign: &str, word: &str) {
        sql.push(format_args!(" AND {} {sign} lower(", self.order.key));
        sql.push_bind(word.to_owned());
        sql.push(format_args!(") || {LAST}"));
    }

    fn matching(&self, sql: &mut QueryBuilder<Postgres>) {
        for pattern in &self.patterns {
            sql.push(" AND search_text LIKE lower(");
            sql.push_bind(pattern.clone()).push(")");
        }
    }

    /// Writes the order of the index, which also tells that rows without a key stand by their ids.
    fn order_by(&self, sql: &mut QueryBuilder<Postgres>, key: &str) {
        let direction = if self.descending { "DESC" } else { "ASC" };
        sql.push(format_args!(" ORDER BY {key} {direction}, id {direction}"));
    }

    /// Finds what matches by the index that tells most, and sorts it: first only keys and ids, then the rows of the page are read. With a word
    /// only what stands before the keys that begin so.
    async fn gather<R>(
        &self,
        connection: &mut PgConnection,
        before: Option<&str>,
    ) -> Result<Vec<Found<R>>, StoreError>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut sql = QueryBuilder::new("");
        self.select(&mut sql, None);
        sql.push(" FROM (SELECT id AS hit FROM items");
        self.held(&mut sql);
        let states = self.states.join("', '");
        sql.push(format_args!(" AND state IN ('{states}')"));
        self.matching(&mut sql);
        if let Some(ids) = &self.ids {
            sql.push(" AND id = ANY(").push_bind(ids.clone()).push(")");
        }
        match before {
            Some(word) if self.descending => self.until_end_of(&mut sql, ">=", word),
            Some(word) => {
                sql.push(format_args!(" AND {} < lower(", self.order.key));
                sql.push_bind(word.to_owned()).push(")");
            }
            None => {}
        }
        self.behind_place(&mut sql);
        self.sorted(&mut sql);
        sql.push(" LIMIT ").push_bind(self.wanted);
        sql.push(") AS found CROSS JOIN LATERAL (SELECT * FROM items WHERE root_id = ");
        sql.push_bind(self.holder.0.0);
        sql.push(" AND id = hit OFFSET 0) AS items");
        self.sorted(&mut sql);
        let mut reading = match before {
            Some(_) => by_both(connection).await?,
            None => by_estimate(connection).await?,
        };
        let rows = sql
            .build_query_as()
            .persistent(false)
            .fetch_all(&mut *reading)
            .await?;
        drop(reading);
        Ok(rows)
    }

    /// Writes that a row of any segment comes after the place.
    fn behind_place(&self, sql: &mut QueryBuilder<Postgres>) {
        let Some((from, id)) = &self.from else {
            return;
        };
        for (place, keyless) in self.segments().into_iter().enumerate() {
            let not = if keyless { "" } else { "NOT " };
            let joint = if place == 0 { "AND (" } else { "OR " };
            sql.push(format_args!(" {joint}({} IS {not}NULL", self.order.key));
            if place == 0 {
                sql.push(" AND ");
                self.beyond(sql, from.as_ref(), *id);
            }
            sql.push(")");
        }
        sql.push(")");
    }

    /// Writes the order of both segments, which no index has.
    fn sorted(&self, sql: &mut QueryBuilder<Postgres>) {
        let key = self.order.key;
        let direction = if self.descending { "DESC" } else { "ASC" };
        sql.push(" ORDER BY ");
        if self.order.nullable {
            let nulls = if self.backward { "DESC" } else { "ASC" };
            sql.push(format_args!("({key} IS NULL) {nulls}, "));
        }
        sql.push(format_args!("{key} {direction}, id {direction}"));
    }
}

/// Returns the most rows that a step of a plan is expected to bring.
fn most_rows(step: Option<&Value>) -> i64 {
    let Some(step) = step else {
        return 0;
    };
    let rows = step.get("Plan Rows").and_then(Value::as_i64);
    let below = step.get("Plans").and_then(Value::as_array);
    let below = below
        .into_iter()
        .flatten()
        .map(|step| most_rows(Some(step)));
    below.chain(rows).max().unwrap_or_default()
}
