//! What people type into a search box, taken apart.

/// Words of a search that are looked at; the rest is left out, since each costs.
const MOST: usize = 8;
/// Characters of a word that are looked at: no field is longer.
const LONGEST: usize = 1024;

/// The words of a search. All of them must be found in a row, wherever in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Terms(Vec<String>);

impl Terms {
    /// Takes a text apart at its blanks.
    pub(super) fn of(text: &str) -> Self {
        let words = text
            .split(|char: char| char.is_whitespace() || char.is_control())
            .filter(|word| !word.is_empty());
        let words = words.map(|word| word.chars().take(LONGEST).collect());
        Self(words.take(MOST).collect())
    }

    /// The words as they were typed.
    pub(super) fn words(&self) -> &[String] {
        &self.0
    }

    /// The word, if there is one only.
    pub(super) fn only(&self) -> Option<&str> {
        match self.words() {
            [word] => Some(word),
            _ => None,
        }
    }

    /// Returns patterns for LIKE on the lower-case search text: a word of three letters or digits may stand anywhere, a shorter one
    /// begins a word, since an index of trigrams tells nothing about less. It tells nothing about signs either, wherever they stand.
    pub(super) fn patterns(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|word| {
            let anywhere = is_indexed(word) || !word.contains(char::is_alphanumeric);
            let start = if anywhere { "%" } else { "% " };
            format!("{start}{}%", escaped(word))
        })
    }
}

/// Returns the pattern for LIKE of texts with a word anywhere, if an index of trigrams tells something about it.
pub(super) fn anywhere(word: &str) -> Option<String> {
    is_indexed(word).then(|| format!("%{}%", escaped(word)))
}

/// Whether a word has a trigram: three letters or digits in a row, where a sign beside them counts as pg_trgm pads a word.
fn is_indexed(word: &str) -> bool {
    let mut runs = word
        .split_inclusive(|char: char| !char.is_alphanumeric())
        .enumerate();
    runs.any(|(place, run)| {
        let ended = run.ends_with(|char: char| !char.is_alphanumeric());
        let length = run.chars().count() - usize::from(ended);
        length > 0 && length + if place > 0 { 2 } else { 0 } + usize::from(ended) >= 3
    })
}

/// Escapes what LIKE would take for a pattern.
fn escaped(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for char in word.chars() {
        if matches!(char, '\\' | '%' | '_') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_search_apart() {
        for (text, patterns) in [
            ("", &[][..]),
            (" \t\n", &[]),
            ("John  Doe", &["%John%", "%Doe%"]),
            ("Jo Doe", &["% Jo%", "%Doe%"]),
            ("%", &["%\\%%"]),
            ("a_c", &["%a\\_c%"]),
            ("J.", &["% J.%"]),
            ("ab_c", &["%ab\\_c%"]),
            ("50%", &["%50\\%%"]),
            ("C:\\x", &["%C:\\\\x%"]),
            ("---", &["%---%"]),
            ("äöü", &["%äöü%"]),
            ("+4", &["%+4%"]),
            ("nul\0l", &["%nul%", "% l%"]),
        ] {
            let found: Vec<String> = Terms::of(text).patterns().collect();
            assert_eq!(found, patterns, "{text:?}");
        }
        assert_eq!(Terms::of(&"x ".repeat(99)).words().len(), MOST);
        assert_eq!(Terms::of(&"x".repeat(9999)).words()[0].len(), LONGEST);
    }
}
