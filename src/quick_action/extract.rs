//! Finds the lines of a text that are commands, whatever the commands are called.
//!
//! The caller says what a command line looks like; where such a line counts is decided here as
//! GitLab's extractor does it: in top-level paragraphs, outside code spans and HTML blocks, from the
//! first column. The text must be scannable and free of carriage returns.

use std::ops::Range;

use super::exclusion::{CodeSpans, HtmlBlocks};
use super::markdown;

/// A command line within a text.
#[derive(Debug)]
pub(super) struct Match<T> {
    /// The bytes that make up the command: its line with the line end, and the blank lines after it
    /// that belong to the same block.
    pub(super) range: Range<usize>,
    /// The line of the text, counted from 1.
    pub(super) line: usize,
    /// What the caller made of the line.
    pub(super) value: T,
}

/// Returns the command lines of `text` in order.
///
/// `recognise` gets a line from its first column on, including its line end if it has one, and
/// returns something if the line is a command. Such a line must start with one of `markers`.
pub(super) fn extract<'t, T>(
    text: &'t str,
    markers: &[char],
    recognise: impl Fn(&'t str) -> Option<T>,
) -> Vec<Match<T>> {
    let mut lines = text.split_inclusive('\n');
    // Most texts hold no command: they need not be parsed.
    if !lines.any(|line| line.starts_with(markers) && recognise(line).is_some()) {
        return Vec::new();
    }
    let starts = line_starts(text);
    let mut matches = Vec::new();
    for paragraph in markdown::paragraphs(text, markers) {
        let block = source(text, &starts, *paragraph.start(), *paragraph.end());
        scan(text, block, markers, &recognise, |range, value| {
            let line = starts.partition_point(|start| *start <= range.start);
            matches.push(Match { range, line, value });
        });
    }
    matches
}

/// Returns `text` with each range replaced, and [`stripped`]. The
/// ranges must be in order and must not overlap.
pub(super) fn rewrite<R: AsRef<str>>(
    text: &str,
    replacements: impl Iterator<Item = (Range<usize>, R)>,
) -> String {
    let mut rest = String::with_capacity(text.len());
    let mut copied = 0;
    for (range, replacement) in replacements {
        rest.push_str(text.get(copied..range.start).unwrap_or_default());
        rest.push_str(replacement.as_ref());
        copied = range.end;
    }
    rest.push_str(text.get(copied..).unwrap_or_default());
    rest.truncate(stripped(&rest).len());
    rest
}

/// Returns `text` without what Ruby's `rstrip` takes off its end.
pub(super) fn stripped(text: &str) -> &str {
    text.trim_end_matches(|c| c == '\0' || is_space(c))
}

/// Whether Ruby's `\s` matches the character.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ')
}

/// Returns the offset of each line, and the text's length at the end.
fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    starts.extend(text.split_inclusive('\n').scan(0, |offset, line| {
        *offset += line.len();
        Some(*offset)
    }));
    starts
}

/// Returns the bytes of the lines `first` to `last` and of one empty line after them.
fn source(text: &str, starts: &[usize], first: usize, last: usize) -> Range<usize> {
    let at = |line: usize| starts.get(line).copied().unwrap_or(text.len());
    let next = at(last + 1);
    let is_empty_line = text.get(next..at(last + 2)) == Some("\n");
    at(first)..(if is_empty_line { next + 1 } else { next })
}

/// Calls `found` for each command of the block, leftmost first, as Ruby's `gsub` would.
fn scan<'t, T>(
    text: &'t str,
    block: Range<usize>,
    markers: &[char],
    recognise: &impl Fn(&'t str) -> Option<T>,
    mut found: impl FnMut(Range<usize>, T),
) {
    let offset = block.start;
    let Some(block) = text.get(block) else { return };
    let mut code_spans = CodeSpans::default();
    let mut html_blocks = HtmlBlocks::default();
    let mut at = 0;
    let mut at_line_start = true;
    while let Some(rest) = block.get(at..).filter(|rest| !rest.is_empty()) {
        if at_line_start && rest.starts_with(markers) {
            let line = rest.split_inclusive('\n').next().unwrap_or(rest);
            if let Some(value) = recognise(line) {
                let end = at + line.len() + blank_lines(block, at + line.len());
                found(offset + at..offset + end, value);
                at = end;
                continue;
            }
        }
        let excluded = if rest.starts_with('`') {
            code_spans.end(block, at)
        } else if at_line_start && rest.starts_with('<') {
            html_blocks.end(block, at)
        } else {
            None
        };
        if let Some(end) = excluded {
            at = end;
            at_line_start = false;
            continue;
        }
        // On to the next character that may open a span, or to the next line.
        let mut characters = rest.char_indices();
        at_line_start = characters.next().is_some_and(|(_, c)| c == '\n');
        let next = if at_line_start {
            Some(1)
        } else {
            characters
                .find(|(_, c)| matches!(c, '`' | '\n'))
                .map(|(next, _)| next)
        };
        let Some(next) = next else { return };
        at += next;
    }
}

/// Returns how many bytes of blank lines stand at `from`, the start of a line.
fn blank_lines(block: &str, from: usize) -> usize {
    let rest = block.get(from..).unwrap_or_default();
    let blank = rest.len() - rest.trim_start_matches(is_space).len();
    let line_end = rest.get(..blank).and_then(|blank| blank.rfind('\n'));
    line_end.map_or(0, |line_end| line_end + 1)
}
