//! Autocompletion of contacts: who has words that begin as what is typed.
//!
//! Every word of a contact is the beginning of a range in some index: the fields themselves in those of the sorts, the words within a
//! field in `item_words`, and the words within the name of its organization in those of the organization. The best of each range come
//! first in it, so that a few rows of each are enough, however common the word is.

use std::cmp::Reverse;

use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres, postgres::PgArguments, query::QueryAs};

use super::{
    Holder, StoreError, by_trigrams, order,
    ranges::{FIRST_WORD, ITEM, beginning, not_on_issue},
    terms::{Terms, anywhere},
};
use crate::domain::{GroupId, IssueId, ItemId, RootId};

/// Most contacts of an answer.
const MOST: u32 = 50;
/// Of several words, each is looked for so far along its ranges where no name has them; who has none of them in that reach is searched for.
/// A single word needs no bound: whoever is in its range has it.
const REACH: i64 = 40;
/// The same where names have them, which mostly are what is meant.
const GLANCE: i64 = 10;
/// Of more words than these, the longest ones are looked for, which are the rarest as a rule; who is found has to have the others too.
const DRIVERS: usize = 2;
/// Characters of a word that not everybody has one like.
const LONG: usize = 3;
/// So many words are mostly typed at most.
const PLANNED: usize = 3;
/// Words that may be a first and a last name together.
const LONGEST_NAME: usize = 4;

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
/// has no contacts. The connection has the settings of those of [`Completing`](super::Completing).
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
        return asked.by_words(connection, REACH).await;
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

/// Carries out each statement that is kept once for nobody, so that it is planned.
pub(super) async fn plan(connection: &mut PgConnection) -> Result<(), StoreError> {
    for purpose in [Purpose::Add, Purpose::Any] {
        for words in 0..=PLANNED {
            let asked = |others: &str| Asked {
                holder: (RootId(0), GroupId(0)),
                words: ["nobody"]
                    .into_iter()
                    .chain(std::iter::repeat(others))
                    .take(words)
                    .map(str::to_owned)
                    .collect(),
                issue: None,
                purpose,
                limit: 1,
            };
            let (long, short) = (asked("nobody"), asked("a"));
            long.by_names(&mut *connection).await?;
            long.by_words(&mut *connection, REACH).await?;
            if words > 1 {
                short.by_words(&mut *connection, REACH).await?;
                long.by_search(&mut *connection).await?;
                short.by_search(&mut *connection).await?;
            }
        }
    }
    Ok(())
}

/// What is asked.
pub(super) struct Asked {
    holder: Holder,
    pub(super) words: Vec<String>,
    issue: Option<IssueId>,
    pub(super) purpose: Purpose,
    limit: i64,
}

/// What each statement here begins with: $1 root, $2 group, $3 limit, $4 issue, $5 how far several words are looked for along each range;
/// from $6 on the words, then their [`beginning`]s.
const COMPLETION: &str = "SELECT items.id, email, first_name, last_name, items.state = 'active' AS active, \
     (SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $4 AND item_id = items.id LIMIT 1) IS NOT NULL AS set";

impl Asked {
    fn query<'q>(&self, sql: String, reach: i64) -> QueryAs<'q, Postgres, Completion, PgArguments> {
        let (root, group) = self.holder;
        let query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(root.0)
            .bind(group.0)
            .bind(self.limit)
            .bind(self.issue.map(|issue| issue.0))
            .bind(reach);
        let words = self.words.iter().cloned();
        let beginnings = self.words.iter().map(|word| beginning(word));
        words.chain(beginnings).fold(query, QueryAs::bind)
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

    /// Looks for the words as the beginnings of a first and a last name, either one first, which mostly is what several words are.
    async fn by_names(&self, connection: &mut PgConnection) -> Result<Vec<Completion>, StoreError> {
        if !(2..=LONGEST_NAME).contains(&self.words.len()) {
            return Ok(Vec::new());
        }
        let mut ranges = Vec::new();
        for state in self.states() {
            for split in 1..self.words.len() {
                let keys = [order::FIRST_NAME, order::LAST_NAME];
                ranges.extend(keys.map(|key| self.full_names(state, key, split)));
            }
        }
        self.ranked(connection, &ranges, REACH).await
    }

    /// Returns the same with the longest words first, so that there are few statements.
    fn longest_first(&self) -> Self {
        let mut words = self.words.clone();
        words.sort_by_key(|word| Reverse(word.len()));
        Self { words, ..*self }
    }

    /// Returns of how many of the first words the ranges are looked along. Those of a letter or two hold everybody, and lead to nobody who
    /// has a longer word too.
    fn drivers(&self) -> usize {
        let is_long = |word: &&String| word.chars().count() >= LONG;
        let long = self.words.iter().filter(is_long).count();
        if long == 0 { DRIVERS } else { long }
            .min(DRIVERS)
            .min(self.words.len())
    }

    /// Looks along the ranges of the words.
    async fn by_words(
        &self,
        connection: &mut PgConnection,
        reach: i64,
    ) -> Result<Vec<Completion>, StoreError> {
        let asked = self.longest_first();
        let mut ranges: Vec<String> = Vec::new();
        for state in asked.states() {
            if asked.words.is_empty() {
                ranges.push(asked.field((state, order::FIRST_NAME), 1, None));
            }
            for word in 0..asked.drivers() {
                ranges.extend(asked.ranges(state, word));
            }
        }
        asked.ranked(connection, &ranges, reach).await
    }

    /// Returns the best that some ranges have.
    async fn ranked(
        &self,
        connection: &mut PgConnection,
        ranges: &[String],
        reach: i64,
    ) -> Result<Vec<Completion>, StoreError> {
        // A statement per number of words and purpose, so that its plan is kept. Only those that are answered are read whole.
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
        Ok(self.query(sql, reach).fetch_all(connection).await?)
    }

    /// Looks for several words that are all too common to meet along the range of one.
    async fn by_search(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<Completion>, StoreError> {
        let mut conditions: Vec<String> = (0..self.words.len())
            .map(|word| self.begins_word("near.search_text", word))
            .collect();
        if self.purpose == Purpose::Add {
            conditions.push("near.state = 'active'".to_owned());
            conditions.push(not_on_issue("near"));
        }
        // The index of trigrams is asked, and for nothing else, or another index might be taken to know more.
        let patterns: Vec<String> = self
            .words
            .iter()
            .filter_map(|word| anywhere(word))
            .collect();
        let beginnings = FIRST_WORD + self.words.len();
        let end = beginnings + self.words.len();
        let asked: Vec<String> = if patterns.is_empty() {
            (beginnings..end)
                .map(|place| format!("search_text ~ lower(${place})"))
                .collect()
        } else {
            (end..end + patterns.len())
                .map(|place| format!("search_text LIKE lower(${place})"))
                .collect()
        };
        let key = order::FIRST_NAME;
        // The offset keeps the order out of it: its index would be walked to the end.
        let sql = format!(
            "{COMPLETION} FROM (
                 SELECT * FROM (SELECT * FROM items WHERE {} OFFSET 0) AS near
                 WHERE root_id = $1 AND group_id = $2 AND kind = 'contact' AND {} OFFSET 0) AS items
             ORDER BY {key}, id LIMIT $3",
            asked.join(" AND "),
            conditions.join(" AND ")
        );
        let mut reading = by_trigrams(connection).await?;
        let query = patterns
            .into_iter()
            .fold(self.query(sql, REACH), QueryAs::bind);
        let found = query.fetch_all(&mut *reading).await?;
        drop(reading);
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
        Ok(self.query(sql, REACH).fetch_all(connection).await?)
    }
}
