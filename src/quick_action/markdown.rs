//! Finds the paragraphs of a Markdown text that may hold commands.
//!
//! GitLab renders a text with comrak and takes the paragraphs that are direct children of the
//! document and show a line with a slash at its start; the same parser with the same extensions
//! gives the same paragraphs here. Nothing is rendered.

use std::ops::RangeInclusive;

use comrak::nodes::{AstNode, NodeValue};
use comrak::options::{Extension, Parse};
use comrak::{Arena, Options, arena_tree::NodeEdge, parse_document};

use super::MAX_TEXT;

/// The most steps that comrak may spend on open blocks: well under a second.
const MAX_NESTING_STEPS: usize = 64 * 1024 * 1024;

/// Whether the text is short and flat enough to be parsed in little time.
///
/// Each block that the parser holds open costs it a step per line, blank and lazy lines included:
/// three thousand nested list items, which thirty lines can open, make the line ends that fill up
/// the text take half a minute. How many are open at once is estimated from above: a list or quote
/// takes at least a column of some line's start, while a `>>>` block takes none on later lines.
pub(super) fn is_scannable(text: &str) -> bool {
    if text.len() > MAX_TEXT {
        return false;
    }
    let (mut lines, mut columns, mut quote_blocks) = (0, 0, 0);
    for line in text.lines() {
        lines += 1;
        columns = columns.max(container_columns(line));
        quote_blocks += usize::from(opens_quote_block(line));
    }
    lines * (columns + quote_blocks) <= MAX_NESTING_STEPS
}

/// Returns how many columns of the line's start may belong to lists and quotes.
fn container_columns(line: &str) -> usize {
    const TAB: usize = 4;
    line.bytes()
        .map_while(|byte| match byte {
            b'\t' => Some(TAB),
            b' ' | b'>' | b'-' | b'+' | b'*' | b'.' | b')' | b':' | b'0'..=b'9' => Some(1),
            _ => None,
        })
        .sum()
}

/// Whether the line may open a block of the form `>>>` or `>>> [!note]`.
fn opens_quote_block(line: &str) -> bool {
    line.contains(">>>") && (line.trim_end().ends_with('>') || line.contains("[!"))
}

/// Returns the lines, counted from 0, of every top-level paragraph whose text shows a line that
/// starts with one of `markers`.
pub(super) fn paragraphs(text: &str, markers: &[char]) -> Vec<RangeInclusive<usize>> {
    let (skipped, body) = after_front_matter(text);
    let arena = Arena::new();
    let document = parse_document(&arena, body, &options());
    document
        .children()
        .filter(|node| matches!(node.data().value, NodeValue::Paragraph))
        .filter(|node| shown_text(node).lines().any(|l| l.starts_with(markers)))
        .map(|node| {
            let position = node.data().sourcepos;
            let start = position.start.line.saturating_sub(1);
            let end = position.end.line.saturating_sub(1);
            skipped + start..=skipped + end
        })
        .collect()
}

/// The extensions that GitLab parses with; rendering options do not matter here.
fn options() -> Options<'static> {
    Options {
        extension: Extension {
            alerts: true,
            autolink: true,
            cjk_friendly_emphasis: true,
            description_lists: true,
            footnotes: true,
            math_code: true,
            math_dollars: true,
            multiline_block_quotes: true,
            strikethrough: true,
            table: true,
            tasklist: true,
            wikilinks_title_before_pipe: true,
            ..Extension::default()
        },
        parse: Parse {
            relaxed_autolinks: true,
            tasklist_in_table: true,
            ..Parse::default()
        },
        ..Options::default()
    }
}

/// Returns the text that a reader of the paragraph sees: the destination of a link, the attributes
/// of a tag and the description of an image are not part of it.
fn shown_text<'a>(paragraph: &'a AstNode<'a>) -> String {
    let mut shown = String::new();
    let mut images = 0_usize;
    for edge in paragraph.traverse() {
        match edge {
            NodeEdge::Start(node) => match &node.data().value {
                NodeValue::Image(_) => images += 1,
                _ if images > 0 => {}
                NodeValue::Text(text) => shown.push_str(text),
                NodeValue::Code(code) => shown.push_str(&code.literal),
                NodeValue::Math(math) => shown.push_str(&math.literal),
                NodeValue::SoftBreak | NodeValue::LineBreak => shown.push('\n'),
                _ => {}
            },
            NodeEdge::End(node) => {
                if matches!(node.data().value, NodeValue::Image(_)) {
                    images = images.saturating_sub(1);
                }
            }
        }
    }
    shown
}

/// Returns the number of lines of the front matter that `text` starts with, and the text after it.
///
/// Front matter is what GitLab shows as a code block: after optional blank lines a line of `---`,
/// `+++` or `;;;` with an optional language, up to a line of the same or of `...`.
fn after_front_matter(text: &str) -> (usize, &str) {
    let whole = (0, text);
    let mut lines = text.split_inclusive('\n').enumerate();
    let mut length = 0;
    let mut fence = None;
    for (_, line) in lines.by_ref() {
        length += line.len();
        if !line.trim_ascii().is_empty() {
            fence = opening_fence(line);
            break;
        }
    }
    let Some(fence) = fence else { return whole };
    for (index, line) in lines {
        length += line.len();
        match line.trim_ascii_end() {
            closing if closing == fence || closing == "..." => {
                return (index + 1, text.get(length..).unwrap_or_default());
            }
            "---" | "+++" | ";;;" => return whole,
            _ => {}
        }
    }
    whole
}

/// Returns the fence of front matter that `line` opens.
fn opening_fence(line: &str) -> Option<&'static str> {
    let fence = ["---", "+++", ";;;"]
        .into_iter()
        .find(|fence| line.starts_with(fence))?;
    let language = line.strip_prefix(fence)?.trim_ascii();
    (!language.contains(|c: char| c.is_ascii_whitespace())).then_some(fence)
}
