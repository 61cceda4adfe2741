//! Splits a command's argument into tokens: words, quoted text, `<…>` and `[…]`.
//!
//! What the tokens mean is decided by the typed arguments. Splitting is linear: an opening mark is
//! closed before the next one of its kind or not at all.

/// One part of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A run of other characters.
    Word(&'a str),
    /// The text between double quotes.
    Quoted(&'a str),
    /// The text between `<` and `>`.
    Angle(&'a str),
    /// The text between `[` and `]`, without quotes around it. The target of a Markdown link is
    /// dropped.
    Bracket(&'a str),
    /// One of the separators.
    Separator,
}

/// Drops each backslash before ASCII punctuation, as Markdown does: rich-text editors escape the
/// brackets and underscores that people type.
pub(super) fn unescaped(argument: &str) -> String {
    let mut characters = argument.chars().peekable();
    let mut plain = String::with_capacity(argument.len());
    while let Some(c) = characters.next() {
        match characters.peek() {
            Some(next) if c == '\\' && next.is_ascii_punctuation() => {
                plain.extend(characters.next());
            }
            _ => plain.push(c),
        }
    }
    plain
}

/// Returns the tokens of `argument`. Blanks always separate words; each of `separators` separates
/// too and is reported. An opening mark that is not closed is an ordinary character.
pub(super) fn tokens<'a>(argument: &'a str, separators: &[char]) -> Vec<Token<'a>> {
    let mut tokens = Vec::new();
    let mut rest = argument.trim_start();
    while !rest.is_empty() {
        let (token, after) = if let Some(after) = rest.strip_prefix(separators) {
            (Token::Separator, after)
        } else if let Some((inner, after)) = enclosed(rest, '"', '"') {
            (Token::Quoted(inner.trim()), after)
        } else if let Some((inner, after)) = enclosed(rest, '<', '>') {
            (Token::Angle(inner.trim()), after)
        } else if let Some((inner, after)) = enclosed(rest, '[', ']') {
            let after = enclosed(after, '(', ')').map_or(after, |(_, after)| after);
            (Token::Bracket(unquoted(inner)), after)
        } else {
            let (word, after) = rest.split_at(word_end(rest, separators));
            (Token::Word(word), after)
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// Returns `text` without blanks and double quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"').trim()
}

/// Returns what stands between `open`, the first character, and `close`, and what follows.
fn enclosed(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    let inside = text.strip_prefix(open)?;
    let end = inside.find([open, close])?;
    let (inner, rest) = inside.split_at(end);
    Some((inner, rest.strip_prefix(close)?))
}

/// Returns where the word at the start of `text` ends: at a blank, a separator or `<…>`.
fn word_end(text: &str, separators: &[char]) -> usize {
    let mut characters = text.char_indices();
    characters.next();
    let end = characters.find(|(at, c)| {
        let opens = || {
            text.get(*at..)
                .is_some_and(|rest| enclosed(rest, '<', '>').is_some())
        };
        c.is_whitespace() || separators.contains(c) || *c == '<' && opens()
    });
    end.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::Token::{Angle, Bracket, Quoted, Separator, Word};
    use super::*;

    #[test]
    fn splits() {
        let cases: &[(&str, &[Token<'_>])] = &[
            ("", &[]),
            (" \t\u{a0}", &[]),
            ("a  b", &[Word("a"), Word("b")]),
            ("a,b;", &[Word("a"), Separator, Word("b"), Separator]),
            ("\"a b\" c", &[Quoted("a b"), Word("c")]),
            ("\"a b", &[Word("\"a"), Word("b")]),
            ("Bob<b@x>", &[Word("Bob"), Angle("b@x")]),
            ("<a <b>", &[Word("<a"), Angle("b")]),
            ("a<b", &[Word("a<b")]),
            ("[a b][\"c\"]", &[Bracket("a b"), Bracket("c")]),
            ("[a [b]", &[Word("[a"), Bracket("b")]),
            ("[a](mailto:a) b", &[Bracket("a"), Word("b")]),
            ("[a](b", &[Bracket("a"), Word("(b")]),
        ];
        for (argument, expected) in cases {
            assert_eq!(&tokens(argument, &[',', ';']), expected, "{argument:?}");
        }
        assert_eq!(tokens("a,b", &[]), [Word("a,b")]);
    }

    #[test]
    fn drops_escapes() {
        assert_eq!(unescaped(r"\[contact:a\_b@x\]"), "[contact:a_b@x]");
        assert_eq!(unescaped(r"a\b \\ \"), r"a\b \ \");
    }

    #[test]
    fn ends_on_hostile_input() {
        for hostile in ["[", "<", "\"", "[a](", "a<", "a\"", "\\", ",", "<\"["] {
            let argument = hostile.repeat(200_000);
            assert!(tokens(&argument, &[',']).len() <= argument.len());
        }
    }
}
