//! Neutralises text that Liaison posts: whatever is posted is parsed again by the tracker, with the
//! bot's rights.

use std::borrow::Cow;

use super::extract::{extract, rewrite, stripped};
use super::spelling::{Native, native};
use super::{markdown, without_carriage_returns};

/// The most characters of user text that a code span shows; an e-mail address fits.
pub const MAX_CODE_SPAN: usize = 255;

/// Returns a Markdown code span of one line that shows `text` and lets none of it act: no mention,
/// command, tag or formatting.
///
/// Line ends, control characters and invisible marks that turn the direction of writing become
/// U+FFFD; what exceeds [`MAX_CODE_SPAN`] characters is cut off with `…`.
pub fn code_span(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters
        .by_ref()
        .take(MAX_CODE_SPAN)
        .map(visible)
        .collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    if shown.is_empty() {
        // Markdown has no empty code span.
        shown.push(' ');
    }
    fenced(&shown)
}

/// Returns `text` with every line that would be a command wrapped in a code span, as GitLab does it
/// for the texts of mails. Like GitLab it also drops carriage returns and blanks at the end.
///
/// `known` gets each candidate name in lower case; names that it rejects are left alone.
pub fn redact(text: &str, known: impl Fn(&str) -> bool) -> String {
    let text = without_carriage_returns(text);
    if markdown::is_scannable(&text) {
        let matches = extract(&text, &['/'], |line| command(line, &known));
        let spans = matches.iter().map(|found| {
            let line_end = text
                .get(found.range.clone())
                .is_some_and(|t| t.contains('\n'));
            (found.range.clone(), wrapped(&found.value, line_end))
        });
        let redacted = rewrite(&text, spans);
        // The new backticks may pair with others and so uncover a line that was in a code span.
        if extract(&redacted, &['/'], |line| command(line, &known)).is_empty() {
            return redacted;
        }
    }
    // Every such line is wrapped, wherever it stands. What is stripped is stripped first, since a
    // line may become a command by that.
    stripped(&text)
        .split_inclusive('\n')
        .map(|line| match command(line, &known) {
            Some(native) => Cow::Owned(wrapped(&native, line.ends_with('\n'))),
            None => Cow::Borrowed(line),
        })
        .collect()
}

/// Returns the known command that the line would be.
fn command<'t>(line: &'t str, known: &impl Fn(&str) -> bool) -> Option<Native<'t>> {
    native(line).filter(|native| known(&native.name.to_lowercase()))
}

/// Returns the command in a code span, with a line end if it had one.
fn wrapped(native: &Native<'_>, line_end: bool) -> String {
    let Native { name, argument } = native;
    let blank = if argument.is_empty() { "" } else { " " };
    let line_end = if line_end { "\n" } else { "" };
    fenced(&format!("/{name}{blank}{argument}")) + line_end
}

/// Returns `text`, one line, between backticks that outnumber any within it.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // Markdown takes one blank off both ends if the content has one at both, unless it is all blank.
    let is_padded =
        text.starts_with(' ') && text.ends_with(' ') && !text.trim_matches(' ').is_empty();
    let pad = if text.starts_with('`') || text.ends_with('`') || is_padded {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Replaces a character that would break the line or deceive its reader.
fn visible(c: char) -> char {
    let deceives = matches!(c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    if c.is_control() || deceives {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_spans_hold_any_text() {
        let cases = [
            ("ann@example.com", "`ann@example.com`"),
            ("", "` `"),
            ("a`b", "``a`b``"),
            ("`a", "`` `a ``"),
            ("``", "``` `` ```"),
            (" a ", "`  a  `"),
            (" a", "` a`"),
            ("  ", "`  `"),
            ("a\n/undo\r\n@all", "`a\u{fffd}/undo\u{fffd}\u{fffd}@all`"),
            (
                "a\0\u{202e}b\u{2028}c\u{85}",
                "`a\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}`",
            ),
            ("می\u{200c}خواهم", "`می\u{200c}خواهم`"),
        ];
        for (text, span) in cases {
            assert_eq!(code_span(text), span, "{text:?}");
        }
    }

    #[test]
    fn code_spans_are_limited() {
        let fits = "é".repeat(MAX_CODE_SPAN);
        assert_eq!(code_span(&fits), format!("`{fits}`"));
        assert_eq!(code_span(&format!("{fits}x")), format!("`{fits}…`"));
    }

    #[test]
    fn redacts_commands_only() {
        let cases = [
            ("hello\n/close\nworld", "hello\n`/close`\nworld"),
            ("/Close  now \n\n\nworld", "`/Close  now `\n\nworld"),
            ("/close a`b", "``/close a`b``"),
            ("```\n/close\n```", "```\n/close\n```"),
            ("> /close\n/close", "> /close\n/close"),
            ("/etc/hosts\n/open", "/etc/hosts\n/open"),
            ("/close\r\nworld\r\n", "`/close`\nworld"),
        ];
        for (text, redacted) in cases {
            assert_eq!(redact(text, |word| word == "close"), redacted, "{text:?}");
        }
    }

    #[test]
    fn redacting_makes_no_command() {
        // A tab is no blank after a name, unless the line ends there.
        assert_eq!(redact("/open\n/close\t", |_| true), "`/open`\n`/close`");
        // The backtick of the first line pairs with the one that hid the second command.
        let text = "/close a`b\nx `y\n/close\n` z";
        let redacted = redact(text, |_| true);
        assert_eq!(redacted, "``/close a`b``\nx `y\n`/close`\n` z");
    }
}
