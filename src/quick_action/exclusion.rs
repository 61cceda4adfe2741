//! The parts of a paragraph's source in which no command is looked for: code spans and HTML blocks.
//!
//! This follows GitLab's extractor rather than Markdown, since they differ. There a code span is a
//! backtick, at least one character whatever it is, and all up to the next backtick, so that the
//! second of two adjacent backticks neither opens nor closes anything; and an HTML block may stand
//! inside a paragraph. Each search is linear over the whole block, however many attempts fail.

/// Finds code spans, which may reach over lines.
#[derive(Debug, Default)]
pub(super) struct CodeSpans {
    /// No span that starts later can be closed, since an earlier one was not.
    exhausted: bool,
}

impl CodeSpans {
    /// Returns the end of the span whose opening backtick is at `start`.
    pub(super) fn end(&mut self, block: &str, start: usize) -> Option<usize> {
        if self.exhausted {
            return None;
        }
        let mut content = block.get(start..)?.strip_prefix('`')?.char_indices();
        let first = content.next();
        let closing = first.and_then(|_| content.find(|(_, c)| *c == '`'));
        self.exhausted = closing.is_none();
        // The offset is counted from after the opening backtick, and the closing one is included.
        closing.map(|(offset, _)| start + offset + 2)
    }
}

/// Finds HTML blocks: a line that starts with a tag and ends with it, at least one character, and a
/// line that is a closing tag. A tag may itself reach over lines.
#[derive(Debug, Default)]
pub(super) struct HtmlBlocks {
    brackets: ClosingBrackets,
    /// Where each closing tag on its own line starts (at its line end before) and ends; computed
    /// when first needed.
    closing_tags: Option<Vec<(usize, usize)>>,
}

impl HtmlBlocks {
    /// Returns the end of the HTML block whose `<` is at `start`, the start of a line. The starts of
    /// successive calls must not decrease.
    pub(super) fn end(&mut self, block: &str, start: usize) -> Option<usize> {
        let bracket = self.brackets.next_from(block, start)?;
        let is_opening_tag = bracket >= start + 2 && block.get(bracket..)?.starts_with(">\n");
        if !is_opening_tag {
            return None;
        }
        let content = bracket + 2;
        let first = block.get(content..)?.chars().next()?;
        let tags = self.closing_tags.get_or_insert_with(|| closing_tags(block));
        let next = tags.partition_point(|(at, _)| *at < content + first.len_utf8());
        tags.get(next).map(|(_, end)| *end)
    }
}

/// Returns start and end of every closing tag that ends a line and whose `<` starts one, with the line
/// end before it.
fn closing_tags(block: &str) -> Vec<(usize, usize)> {
    let mut brackets = ClosingBrackets::default();
    let mut tags = Vec::new();
    for (at, opening) in block.match_indices("\n</") {
        let name = at + opening.len();
        let Some(bracket) = brackets.next_from(block, name) else {
            break;
        };
        let end = bracket + 1;
        let ends_line = block
            .get(end..)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('\n'));
        if bracket > name && ends_line {
            tags.push((at, end));
        }
    }
    tags
}

/// Finds the next `>` for places that do not decrease, without reading any byte twice.
#[derive(Debug, Default)]
struct ClosingBrackets {
    last: Option<usize>,
    exhausted: bool,
}

impl ClosingBrackets {
    fn next_from(&mut self, block: &str, from: usize) -> Option<usize> {
        if self.exhausted {
            return None;
        }
        if let Some(last) = self.last.filter(|last| *last >= from) {
            return Some(last);
        }
        self.last = block.get(from..)?.find('>').map(|offset| from + offset);
        self.exhausted = self.last.is_none();
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_spans_as_gitlab_sees_them() {
        // Block, start, end.
        let cases = [
            ("`a` b", 0, Some(3)),
            ("`a\nb` c", 0, Some(5)),
            ("``", 0, None),
            ("```", 0, Some(3)),
            ("``a`` b", 0, Some(4)),
            ("``a`` b`", 4, Some(8)),
            ("`é`", 0, Some(4)),
            ("x`y", 1, None),
            ("`", 0, None),
        ];
        for (block, start, end) in cases {
            assert_eq!(CodeSpans::default().end(block, start), end, "{block:?}");
        }
    }

    #[test]
    fn html_blocks_as_gitlab_sees_them() {
        let cases = [
            ("<b>\nx\n</b>", Some(10)),
            ("<b>\nx\n</b>\nrest", Some(10)),
            ("<b>\n\n</b>", None),
            ("<b\n>\nx\n</b>", Some(11)),
            ("<b>x\n</b>", None),
            ("<>\nx\n</b>", None),
            ("<b>\nx\n</b> y\n</b>", Some(17)),
            ("<b>\nx\n</>\n</a>", Some(14)),
            ("<b>\nx", None),
            ("<b", None),
        ];
        for (block, end) in cases {
            assert_eq!(HtmlBlocks::default().end(block, 0), end, "{block:?}");
        }
    }
}
