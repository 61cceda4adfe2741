//! E-mail addresses in running text, such as the head of a description that a mail program wrote.

use super::argument::email;

/// Lines that are looked at: mail programs put the addresses on top.
const LINES: usize = 10;
/// Bytes that are looked at, whatever the lines are like.
const BYTES: usize = 16 * 1024;

/// Returns the addresses in the first ten lines of `text`, in order, spelled as they stand there; one that is repeated is repeated.
///
/// No Markdown is read: an address in a quote or a code span is an address too.
pub fn addresses(text: &str) -> Vec<String> {
    head(text)
        .lines()
        .take(LINES)
        .flat_map(|line| line.split(is_between))
        .filter(|word| word.contains('@'))
        .filter_map(|word| {
            // "E-mail:ann@example.com" is one word, and so is "mailto:…".
            email(word).or_else(|| email(word.rsplit(':').next()?))
        })
        .map(ToOwned::to_owned)
        .collect()
}

/// Returns the beginning of `text` that is looked at; it ends with a whole word, since part of an address may be somebody else's.
fn head(text: &str) -> &str {
    if text.len() <= BYTES {
        return text;
    }
    let start = text.get(..text.floor_char_boundary(BYTES)).unwrap_or("");
    start
        .rfind(char::is_whitespace)
        .and_then(|end| start.get(..end))
        .unwrap_or("")
}

/// Returns whether a character separates words: what may stand around an address in prose, Markdown and mail headers.
fn is_between(char: char) -> bool {
    char.is_whitespace()
        || matches!(
            char,
            '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '|' | '"' | '`' | '*'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_anywhere_in_the_first_lines() {
        for (text, expected) in [
            ("", &[][..]),
            ("no address @ann here", &[]),
            ("[REDACTED]", &[]),
            (
                "From: Ann Lee <ann@example.com>, bob@example.com.",
                &["ann@example.com", "bob@example.com"],
            ),
            ("**E-mail:**ann@example.com", &["ann@example.com"]),
            ("E-mail:ann@example.com", &["ann@example.com"]),
            ("[Ann](mailto:ann@example.com)", &["ann@example.com"]),
            ("> `ann@example.com`", &["ann@example.com"]),
            ("| ann@example.com|x |", &["ann@example.com"]),
            ("a\r\nann@example.com\r\n", &["ann@example.com"]),
            (
                "1\n2\n3\n4\n5\n6\n7\n8\n9\nten@example.com\neleven@example.com",
                &["ten@example.com"],
            ),
        ] {
            assert_eq!(addresses(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        let long = "ann@example.com ".repeat(100_000);
        assert_eq!(addresses(&long).len(), BYTES / 16);
        let cut = format!("{} ann@example.com.evil.example", "x".repeat(BYTES - 16));
        assert_eq!(addresses(&cut), [""; 0]);
        assert_eq!(addresses(&"ü@".repeat(1_000_000)), [""; 0]);
    }
}
