//! Autocompletion of contacts: who has words that begin as what is typed.
//!
//! Every word of a contact is the beginning of a range in some index: the fields themselves in those of the sorts, the words within a
//! field in `item_words`, and the words within the name of its organization in those of the organization. The best of each range come
//! first in it, so that a few rows of each are enough, however common the word is.

use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres, postgres::PgArguments, query::QueryAs};

use super::{Holder, StoreError, by_estimate, by_index, order, terms::Terms};
use crate::domain::{IssueId, ItemId};

/// Most contacts of an answer.
const MOST: u32 = 50;
/// Of several words, each is looked for so far along its ranges where no name has them; who has none of them in that reach is searched for.
const REACH: i64 = 100;
/// The same where names have them, which mostly are what is meant.
const GLANCE: i64 = 10;
/// So many first or last names that begin as the first word are tried with the second one.
const NAMES: i64 = 20;

/// What the contact is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be related to the issue: active ones that are not yet.
    Add,
    /// To be taken off the issue: those that are on it.
    Remove,
    /// Anything.
    Any,
}

/// A contact that is offered; the fields are those of GitLab's autocompletion source.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Completion {
    /// Its id.
    pub id: ItemId,
    /// E-mail address.
    pub email: Option<String>,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Whether it is active.
    pub active: bool,
    /// Whether it is on the issue.
    pub set: bool,
}

/// Returns up to `limit` (50 at most) contacts of a group whose names, e-mail address or organization have words that begin as the words
/// of `term`. Whole words come first, then names before addresses before organizations, then the alphabet. An issue of another tenant
/// has no contacts.
pub async fn complete(
    connection: &mut PgConnection,
    holder: Holder,
    term: &str,
    issue: Option<IssueId>,
    purpose: Purpose,
    limit: u32,
) -> Result<Vec<Completion>, StoreError> {
    let asked = Asked {
        holder,
        words: Terms::of(term).words().to_vec(),
        issue,
        purpose,
        limit: i64::from(limit.min(MOST)),
    };
    if purpose == Purpose::Remove {
        return asked.on_issue(connection).await;
    }
    if asked.words.len() < 2 {
        return asked.by_words(connection, i64::MAX).await;
    }
    let mut found = asked.by_names(&mut *connection).await?;
    let reach = if found.is_empty() { REACH } else { GLANCE };
    if !asked.is_enough(&found) {
        let more = asked.by_words(&mut *connection, reach).await?;
        asked.add(&mut found, more);
    }
    // It takes longer than all before, but then there is something to see.
    if found.is_empty() {
        found = asked.by_search(connection).await?;
    }
    Ok(found)
}

struct Asked {
    holder: Holder,
    words: Vec<String>,
    issue: Option<IssueId>,
    purpose: Purpose,
    limit: i64,
}

/// What each statement here begins with: $1 root, $2 group, $3 limit, $4 issue; from $5 on the words, then their
/// [`beginning`]s.
const COMPLETION: &str = "SELECT items.id, email, first_name, last_name, items.state = 'active' AS active, \
     (SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $4 AND item_id = items.id LIMIT 1) IS NOT NULL AS set";
/// One item; in a lateral subquery with an offset, which no plan turns round to look through all items first.
const ITEM: &str = "SELECT * FROM items WHERE root_id = $1";
const FIRST_WORD: usize = 5;
/// The last character there is: whatever begins with a text comes before the text with this behind it.
const LAST: &str = r"U&'\+10FFFF'";

impl Asked {
    fn query<'q>(&self, sql: String) -> QueryAs<'q, Postgres, Completion, PgArguments> {
        let (root, group) = self.holder;
        let query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(root.0)
            .bind(group.0)
            .bind(self.limit)
            .bind(self.issue.map(|issue| issue.0));
        let words = self.words.iter().cloned();
        let beginnings = self.words.iter().map(|word| beginning(word));
        words.chain(beginnings).fold(query, QueryAs::bind)
    }

    /// Writes that a text has a word that begins as one of those that were typed. That it has it at all is found out sooner.
    fn begins_word(&self, text: &str, word: usize) -> String {
        let typed = FIRST_WORD + word;
        let beginning = typed + self.words.len();
        format!("strpos({text}, lower(${typed})) > 0 AND {text} ~ lower(${beginning})")
    }

    /// Whether no more are wanted.
    fn is_enough(&self, found: &[Completion]) -> bool {
        i64::try_from(found.len()).is_ok_and(|found| found >= self.limit)
    }

    /// Adds those that are not there yet, as long as more are wanted.
    fn add(&self, found: &mut Vec<Completion>, more: Vec<Completion>) {
        for other in more {
            if !self.is_enough(found) && !found.contains(&other) {
                found.push(other);
            }
        }
    }

    /// Returns the states of contacts that are offered.
    const fn states(&self) -> &'static [&'static str] {
        match self.purpose {
            Purpose::Add => &["active"],
            Purpose::Remove | Purpose::Any => &["active", "inactive"],
        }
    }

    /// Looks for the first two words as the beginnings of a first and a last name, either one first, which mostly is what two words are.
    async fn by_names(&self, connection: &mut PgConnection) -> Result<Vec<Completion>, StoreError> {
        let ranges: Vec<String> = (self.states().iter())
            .flat_map(|state| {
                [order::FIRST_NAME, order::LAST_NAME].map(|key| self.full_names(state, key))
            })
            .collect();
        self.ranked(connection, &ranges).await
    }

    /// Looks along the ranges of each word.
    async fn by_words(
        &self,
        connection: &mut PgConnection,
        reach: i64,
    ) -> Result<Vec<Completion>, StoreError> {
        let mut ranges: Vec<String> = Vec::new();
        for state in self.states() {
            if self.words.is_empty() {
                ranges.push(self.field((state, order::FIRST_NAME), 1, reach, None));
            }
            for word in 0..self.words.len() {
                ranges.extend(self.ranges(state, word, reach));
            }
        }
        self.ranked(connection, &ranges).await
    }

    /// Returns the best that some ranges have.
    async fn ranked(
        &self,
        connection: &mut PgConnection,
        ranges: &[String],
    ) -> Result<Vec<Completion>, StoreError> {
        // A statement per number of words, reach and purpose, so that its plan is kept. Only those that are answered are read whole.
        let sql = format!(
            "{COMPLETION} FROM (
                 SELECT * FROM (
                     SELECT DISTINCT ON (id) id, rank, word, begun FROM (
                         SELECT id, rank, word, substr(word, char_length(typed) + 1, 1) ~ '[[:alnum:]]' AS begun
                         FROM ({}) AS found) AS found
                     ORDER BY id, begun, rank, word) AS best
                 ORDER BY begun, rank, word, id LIMIT $3) AS best
             CROSS JOIN LATERAL ({ITEM} AND id = best.id OFFSET 0) AS items
             ORDER BY begun, rank, word, items.id LIMIT $3",
            ranges.join(" UNION ALL ")
        );
        let mut reading = by_index(connection).await?;
        let found = self.query(sql).fetch_all(&mut *reading).await?;
        reading.rollback().await?;
        Ok(found)
    }

    /// Writes the ranges of a word in a state.
    fn ranges(&self, state: &str, word: usize, reach: i64) -> Vec<String> {
        let typed = format!("lower(${})", FIRST_WORD + word);
        let whole_address = (format!("{typed} || '@'"), format!("{typed} || 'A'"));
        let prefix = (typed.clone(), format!("{typed} || {LAST}"));
        let field = |key, rank, range| self.field((state, key), rank, reach, Some((word, range)));
        let mut ranges = vec![
            field(order::FIRST_NAME, 1, &prefix),
            field(order::LAST_NAME, 1, &prefix),
            field(order::EMAIL, 2, &prefix),
            // A whole word before the @, which comes after the digits in the alphabet.
            field(order::EMAIL, 2, &whole_address),
            field(order::ORGANIZATION, 3, &prefix),
        ];
        ranges.extend([1, 2].map(|rank| self.inner(state, rank, reach, word)));
        ranges.extend([true, false].map(|active| self.by_organization(state, active, reach, word)));
        ranges
    }

    /// Writes the range of a sort key in a state.
    fn field(
        &self,
        (state, key): (&str, &str),
        rank: u8,
        reach: i64,
        word: Option<(usize, &(String, String))>,
    ) -> String {
        let (place, typed, range) = match word {
            Some((place, (from, to))) => (
                Some(place),
                format!("lower(${})", FIRST_WORD + place),
                format!(" AND {key} >= ({from}) AND {key} < ({to})"),
            ),
            None => (None, "''".to_owned(), String::new()),
        };
        let near = format!(
            "SELECT id, search_text, {key} AS word FROM items WHERE {}{range} ORDER BY {key}, id",
            contacts(state)
        );
        self.best(&near, (rank, &typed), reach, place)
    }

    /// Writes the ranges of full names: each name that begins as the first word, with those of the second word behind it. The names are found
    /// by stepping from one to the next, over all their namesakes.
    fn full_names(&self, state: &str, key: &str) -> String {
        let (one, other) = ("lower($5)", "lower($6)");
        let name = format!(r#"SELECT split_part({key}, E'\001', 1) COLLATE "C" AS name"#);
        let (contacts, until) = (contacts(state), format!("{key} < ({one} || {LAST})"));
        let typed = format!(r"names.name || E'\001' || {other}");
        let conditions = self.conditions(&[0, 1]);
        format!(
            r"(WITH RECURSIVE names AS (
                   ({name} FROM items WHERE {contacts} AND {key} >= ({one}) AND {until} ORDER BY {key}, id LIMIT 1)
                   UNION ALL
                   SELECT following.name FROM names CROSS JOIN LATERAL (
                       {name} FROM items WHERE {contacts} AND {key} > (names.name || E'\002') AND {until}
                       ORDER BY {key}, id LIMIT 1) AS following)
               SELECT near.id, CASE WHEN names.name = {one} THEN 0 ELSE 1 END AS rank, near.word, {typed} AS typed
               FROM (SELECT name FROM names LIMIT {NAMES}) AS names
               CROSS JOIN LATERAL (
                   SELECT id, search_text, {key} AS word FROM items
                   WHERE {contacts} AND {key} >= ({typed}) AND {key} < ({typed} || {LAST}) ORDER BY {key}, id LIMIT {REACH}) AS near
               {conditions} LIMIT $3)"
        )
    }

    /// Writes the range of words within names (rank 1) or addresses (rank 2).
    fn inner(&self, state: &str, rank: u8, reach: i64, word: usize) -> String {
        let typed = format!("lower(${})", FIRST_WORD + word);
        let active = state == "active";
        let near = format!(
            "SELECT item_id AS id, word FROM item_words
             WHERE root_id = $1 AND group_id = $2 AND kind = 'contact' AND active = {active} AND rank = {rank}
               AND word >= ({typed}) AND word < ({typed} || {LAST}) ORDER BY word, item_id"
        );
        // The text is only needed for other words.
        let near = if self.words.len() > 1 {
            format!(
                "SELECT near.id, items.search_text, near.word FROM ({near} LIMIT {reach}) AS near CROSS JOIN LATERAL ({ITEM} AND id = near.id OFFSET 0) AS items"
            )
        } else {
            near
        };
        self.best(&near, (rank, &typed), reach, Some(word))
    }

    /// Writes the contacts of organizations with the word within their names.
    fn by_organization(&self, state: &str, active: bool, reach: i64, word: usize) -> String {
        let typed = format!("lower(${})", FIRST_WORD + word);
        let organizations = reach.min(REACH);
        let near = format!(
            "SELECT items.id, items.search_text, near.word FROM (
                 SELECT item_id, word FROM item_words
                 WHERE root_id = $1 AND group_id = $2 AND kind = 'organization' AND active = {active} AND rank = 1
                   AND word >= ({typed}) AND word < ({typed} || {LAST}) ORDER BY word, item_id LIMIT {organizations}) AS near
             CROSS JOIN LATERAL (
                 SELECT id, search_text FROM items
                 WHERE items.root_id = $1 AND items.organization_id = near.item_id AND items.group_id = $2
                   AND items.kind = 'contact' AND items.state = '{state}' LIMIT $3) AS items"
        );
        self.best(&near, (3, &typed), reach, Some(word))
    }

    /// Writes the first of some rows that meet the conditions beside their range.
    fn best(
        &self,
        near: &str,
        (rank, typed): (u8, &str),
        reach: i64,
        word: Option<usize>,
    ) -> String {
        let reach = if self.words.len() > 1 {
            format!(" LIMIT {reach}")
        } else {
            String::new()
        };
        let conditions = self.conditions(word.as_slice());
        format!(
            "(SELECT near.id, {rank} AS rank, near.word, {typed} AS typed FROM ({near}{reach}) AS near {conditions} LIMIT $3)"
        )
    }

    /// Writes that `near` is not on the issue, where that is asked, and has the words that its range does not give it.
    fn conditions(&self, given: &[usize]) -> String {
        let mut conditions = Vec::new();
        if self.purpose == Purpose::Add {
            conditions.push(not_on_issue("near"));
        }
        let others = (0..self.words.len()).filter(|word| !given.contains(word));
        conditions.extend(others.map(|word| self.begins_word("near.search_text", word)));
        if conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", conditions.join(" AND "))
        }
    }

    /// Looks for several words that are all too common to meet along the range of one.
    async fn by_search(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<Completion>, StoreError> {
        let mut conditions: Vec<String> = (0..self.words.len())
            .map(|word| self.begins_word("items.search_text", word))
            .collect();
        if self.purpose == Purpose::Add {
            conditions.push("items.state = 'active'".to_owned());
            conditions.push(not_on_issue("items"));
        }
        let key = order::FIRST_NAME;
        // The offset keeps the order out of it: its index would be walked to the end.
        let sql = format!(
            "{COMPLETION} FROM (
                 SELECT * FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'contact' AND {} OFFSET 0) AS items
             ORDER BY {key}, id LIMIT $3",
            conditions.join(" AND ")
        );
        let mut reading = by_estimate(connection).await?;
        let query = self.query(sql).persistent(false);
        let found = query.fetch_all(&mut *reading).await?;
        reading.rollback().await?;
        Ok(found)
    }

    /// Looks at the contacts of the issue.
    async fn on_issue(&self, connection: &mut PgConnection) -> Result<Vec<Completion>, StoreError> {
        let mut conditions = vec!["items.group_id = $2 AND items.kind = 'contact'".to_owned()];
        let words = 0..self.words.len();
        conditions.extend(words.map(|word| self.begins_word("search_text", word)));
        let sql = format!(
            "{COMPLETION} FROM issue_items CROSS JOIN LATERAL ({ITEM} AND id = issue_items.item_id OFFSET 0) AS items
             WHERE issue_items.root_id = $1 AND issue_items.issue_id = $4 AND {}
             ORDER BY {}, items.id LIMIT $3",
            conditions.join(" AND "),
            order::FIRST_NAME
        );
        let mut reading = by_index(connection).await?;
        let found = self.query(sql).fetch_all(&mut *reading).await?;
        reading.rollback().await?;
        Ok(found)
    }
}

/// Writes that an item is a contact of the group in a state.
fn contacts(state: &str) -> String {
    format!("root_id = $1 AND group_id = $2 AND kind = 'contact' AND state = '{state}'")
}

/// Writes that a contact is not on the issue; looked up one by one, since a join may read all relations of the tenant, by a plan from
/// when there were few.
fn not_on_issue(contact: &str) -> String {
    format!(
        "(SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $4 AND item_id = {contact}.id LIMIT 1) IS NULL"
    )
}

/// Returns the regular expression of texts that have a word which begins so.
fn beginning(word: &str) -> String {
    let mut expression = "(^|[^[:alnum:]])".to_owned();
    for char in word.chars() {
        // A backslash before a sign takes its meaning; before a letter it gives one.
        if char.is_ascii_punctuation() {
            expression.push('\\');
        }
        expression.push(char);
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_no_expression() {
        for (word, expression) in [
            ("Ada", "(^|[^[:alnum:]])Ada"),
            (".*", r"(^|[^[:alnum:]])\.\*"),
            ("ö_\\", r"(^|[^[:alnum:]])ö\_\\"),
        ] {
            assert_eq!(beginning(word), expression);
        }
    }
}
