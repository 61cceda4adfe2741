//! Autocompletion in SQL: where the words that begin as what is typed stand in indexes.

use std::ops::Range;

use super::{
    complete::{Asked, Purpose},
    order,
};

/// So many first or last names that begin as the first word are tried with the second one.
const NAMES: i64 = 20;
/// So many organizations with a word within their names are looked at.
const ORGANIZATIONS: i64 = 20;
/// So many contacts of each of these are looked at for the other words.
const MEMBERS: i64 = 100;
/// One item; in a lateral subquery with an offset, which no plan turns round to look through all items first.
pub(super) const ITEM: &str = "SELECT * FROM items WHERE root_id = $1";
/// Number of the parameter that is the first word.
pub(super) const FIRST_WORD: usize = 6;
/// The last character there is: whatever begins with a text comes before the text with this behind it.
pub(super) const LAST: &str = r"U&'\+10FFFF'";

impl Asked {
    /// Writes that a text has a word that begins as one of those that were typed. Mostly it stands behind a blank, or not at all, which is
    /// found out sooner than what an expression says.
    pub(super) fn begins_word(&self, text: &str, word: usize) -> String {
        let typed = FIRST_WORD + word;
        let beginning = typed + self.words.len();
        format!(
            "(strpos({text}, lower(' ' || ${typed})) > 0 OR strpos({text}, lower(${typed})) > 0 AND {text} ~ lower(${beginning}))"
        )
    }

    /// Writes the ranges of a word in a state.
    pub(super) fn ranges(&self, state: &str, word: usize) -> Vec<String> {
        let typed = format!("lower(${})", FIRST_WORD + word);
        let whole_address = (format!("{typed} || '@'"), format!("{typed} || 'A'"));
        let prefix = (typed.clone(), format!("{typed} || {LAST}"));
        let field = |key, rank, range| self.field((state, key), rank, Some((word, range)));
        let mut ranges = vec![
            field(order::FIRST_NAME, 1, &prefix),
            field(order::LAST_NAME, 1, &prefix),
            field(order::EMAIL, 2, &prefix),
            // A whole word before the @, which comes after the digits in the alphabet.
            field(order::EMAIL, 2, &whole_address),
            field(order::ORGANIZATION, 3, &prefix),
        ];
        ranges.extend([1, 2].map(|rank| self.inner(state, rank, word)));
        ranges.extend([true, false].map(|active| self.by_organization(state, active, word)));
        ranges
    }

    /// Writes the range of a sort key in a state.
    pub(super) fn field(
        &self,
        (state, key): (&str, &str),
        rank: u8,
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
        self.best(&near, (rank, &typed), place)
    }

    /// Writes the ranges of full names: each name that begins as the words before `split`, with those that follow behind it. The names are
    /// found by stepping from one to the next, over all their namesakes.
    pub(super) fn full_names(&self, state: &str, key: &str, split: usize) -> String {
        let (one, other) = (phrase(0..split), phrase(split..self.words.len()));
        let name = format!(r#"SELECT split_part({key}, E'\001', 1) COLLATE "C" AS name"#);
        let (contacts, until) = (contacts(state), format!("{key} < ({one} || {LAST})"));
        let typed = format!(r"names.name || E'\001' || {other}");
        let all: Vec<usize> = (0..self.words.len()).collect();
        let conditions = self.conditions(&all);
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
                   WHERE {contacts} AND {key} >= ({typed}) AND {key} < ({typed} || {LAST}) ORDER BY {key}, id LIMIT $5) AS near
               {conditions} LIMIT $3)"
        )
    }

    /// Writes the range of words within names (rank 1) or addresses (rank 2).
    fn inner(&self, state: &str, rank: u8, word: usize) -> String {
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
                "SELECT near.id, items.search_text, near.word FROM ({near} LIMIT $5) AS near CROSS JOIN LATERAL ({ITEM} AND id = near.id OFFSET 0) AS items"
            )
        } else {
            near
        };
        self.best(&near, (rank, &typed), Some(word))
    }

    /// Writes the contacts of organizations with the word within their names.
    fn by_organization(&self, state: &str, active: bool, word: usize) -> String {
        let typed = format!("lower(${})", FIRST_WORD + word);
        // Of several words, those of an organization who have the others too are found though many come before them.
        let members = format!(
            "SELECT id, search_text FROM items
             WHERE items.root_id = $1 AND items.organization_id = near.item_id AND items.group_id = $2
               AND items.kind = 'contact' AND items.state = '{state}'"
        );
        let members = if self.words.len() > 1 {
            let conditions = self.conditions(&[word]);
            format!("SELECT * FROM ({members} LIMIT {MEMBERS}) AS near {conditions} LIMIT $3")
        } else {
            format!("{members} LIMIT $3")
        };
        let near = format!(
            "SELECT items.id, items.search_text, near.word FROM (
                 SELECT item_id, word FROM item_words
                 WHERE root_id = $1 AND group_id = $2 AND kind = 'organization' AND active = {active} AND rank = 1
                   AND word >= ({typed}) AND word < ({typed} || {LAST}) ORDER BY word, item_id LIMIT {ORGANIZATIONS}) AS near
             CROSS JOIN LATERAL ({members}) AS items"
        );
        self.best(&near, (3, &typed), Some(word))
    }

    /// Writes the first of some rows that meet the conditions beside their range.
    fn best(&self, near: &str, (rank, typed): (u8, &str), word: Option<usize>) -> String {
        let reach = if self.words.len() > 1 {
            " LIMIT $5"
        } else {
            ""
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
}

/// Writes words with blanks between them.
fn phrase(words: Range<usize>) -> String {
    let words: Vec<String> = words
        .map(|word| format!("${}", FIRST_WORD + word))
        .collect();
    format!("lower({})", words.join(" || ' ' || "))
}

/// Writes that an item is a contact of the group in a state.
fn contacts(state: &str) -> String {
    format!("root_id = $1 AND group_id = $2 AND kind = 'contact' AND state = '{state}'")
}

/// Writes that a contact is not on the issue; looked up one by one, since a join may read all relations of the tenant, by a plan from
/// when there were few.
pub(super) fn not_on_issue(contact: &str) -> String {
    format!(
        "(SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $4 AND item_id = {contact}.id LIMIT 1) IS NULL"
    )
}

/// Returns the regular expression of texts that have a word which begins so.
pub(super) fn beginning(word: &str) -> String {
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
