//! Our Markdown as the portal's BB code. Whatever people typed or stored neither formats nor mentions anybody.

use std::fmt::Write;

use comrak::{
    Arena, Options,
    nodes::{AstNode, NodeValue},
    parse_document,
};
use uuid::Uuid;

/// Longest text of a message, in characters: the portal takes 20,000, and the mark needs some.
const MAX_TEXT: usize = 19_000;
/// Zero and one of a mark, and what stands around it: nobody sees them.
const BITS: [char; 2] = ['\u{200b}', '\u{200c}'];
const AROUND: char = '\u{2063}';

/// Returns the text in BB code, cut at the end of a line where it is too long.
pub(super) fn bb_code(markdown: &str) -> String {
    let arena = Arena::new();
    let mut options = Options::default();
    options.extension.strikethrough = true;
    let document = parse_document(&arena, markdown, &options);
    let mut written = String::new();
    for block in document.children() {
        write_block(block, "", &mut written);
    }
    shortened(written.trim_end())
}

fn shortened(text: &str) -> String {
    let mut length = 0;
    let mut kept: Vec<&str> = Vec::new();
    for line in text.lines() {
        length += line.chars().count() + 1;
        if length > MAX_TEXT {
            kept.push("…");
            break;
        }
        kept.push(line);
    }
    kept.join("\n")
}

fn write_block<'a>(block: &'a AstNode<'a>, indent: &str, written: &mut String) {
    match &block.data.borrow().value {
        NodeValue::List(_) => {
            for item in block.children() {
                written.push_str(indent);
                written.push_str("• ");
                let deeper = format!("{indent}  ");
                for (index, child) in item.children().enumerate() {
                    let indent = if index == 0 { "" } else { deeper.as_str() };
                    let is_list = matches!(child.data.borrow().value, NodeValue::List(_));
                    write_block(child, if is_list { &deeper } else { indent }, written);
                }
            }
        }
        NodeValue::CodeBlock(code) => {
            for line in code.literal.lines() {
                let _ = writeln!(written, "{indent}{}", plain(line));
            }
        }
        NodeValue::HtmlBlock(html) => {
            for line in html.literal.lines() {
                let _ = writeln!(written, "{indent}{}", plain(line));
            }
        }
        NodeValue::Paragraph | NodeValue::Heading(_) => {
            written.push_str(indent);
            write_inlines(block, written);
            written.push('\n');
        }
        _ => {
            for child in block.children() {
                write_block(child, indent, written);
            }
        }
    }
}

fn write_inlines<'a>(node: &'a AstNode<'a>, written: &mut String) {
    for child in node.children() {
        let around = |tag: &str, written: &mut String| {
            let _ = write!(written, "[{tag}]");
            write_inlines(child, written);
            let _ = write!(written, "[/{tag}]");
        };
        match &child.data.borrow().value {
            NodeValue::Text(text) => written.push_str(&plain(text)),
            NodeValue::Code(code) => written.push_str(&plain(&code.literal)),
            NodeValue::HtmlInline(html) => written.push_str(&plain(html)),
            NodeValue::SoftBreak | NodeValue::LineBreak => written.push('\n'),
            NodeValue::Strong => around("b", written),
            NodeValue::Emph => around("i", written),
            NodeValue::Strikethrough => around("s", written),
            NodeValue::Link(link) if is_address(&link.url) => {
                let _ = write!(written, "[url={}]", link.url);
                write_inlines(child, written);
                written.push_str("[/url]");
            }
            _ => write_inlines(child, written),
        }
    }
}

fn is_address(url: &str) -> bool {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let breaks = |char: char| "[]\"'<>".contains(char) || char.is_whitespace();
    is_web && !url.contains(breaks)
}

/// Returns text in which nothing is a tag: a bracket that would begin one becomes the wide one that looks like it.
fn plain(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        let rest = text.get(at + char.len_utf8()..).unwrap_or_default();
        match char {
            '[' if begins_tag(rest) => written.push('［'),
            char if BITS.contains(&char) || char == AROUND => {}
            char => written.push(char),
        }
    }
    // `#BR#` is a line end.
    written.replace("#BR#", "# BR #").replace("#br#", "# br #")
}

/// Returns whether what follows a bracket makes it a tag, of whatever name: `b]`, `/url]`, `USER=7]`, `br /]`.
fn begins_tag(rest: &str) -> bool {
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let name = rest
        .find(|char: char| !char.is_alphanumeric() && char != '_' && char != '*')
        .unwrap_or(rest.len());
    let after = rest.get(name..).and_then(|rest| rest.chars().next());
    name > 0 && after.is_none_or(|char| char == ']' || char == '=' || char.is_whitespace())
}

/// Returns the mark of a message, by which it is found again: the key's last 64 bits in characters that nobody sees.
pub(super) fn marker(key: Uuid) -> String {
    let (_, low) = key.as_u64_pair();
    let bits = (0..64).map(|bit| {
        let is_one = (low >> bit) & 1 == 1;
        BITS.get(usize::from(is_one)).copied().unwrap_or(AROUND)
    });
    std::iter::once(AROUND)
        .chain(bits)
        .chain(std::iter::once(AROUND))
        .collect()
}

/// Returns a text with its mark.
pub(super) fn marked(text: &str, key: Uuid) -> String {
    format!("{text}{}", marker(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_bb_code() {
        for (markdown, expected) in [
            ("Added `ann@example.com`.", "Added ann@example.com."),
            (
                "- **done** and *so*\n- ~~no~~\n  - deeper",
                "• [b]done[/b] and [i]so[/i]\n• [s]no[/s]\n  • deeper",
            ),
            (
                "You observe [Acme](https://crm.example.com/items/7).",
                "You observe [url=https://crm.example.com/items/7]Acme[/url].",
            ),
            ("a\nb\n\nc", "a\nb\nc"),
            ("[deal:42] and [ITEM]", "[deal:42] and ［ITEM]"),
        ] {
            assert_eq!(bb_code(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn what_people_typed_is_no_tag() {
        for attack in [
            "`[USER=1]x[/USER]`",
            "`[url=https://evil.example]click[/url]`",
            "`[SEND=/crm undo]ok[/SEND]`",
            "[user=1]x[/user]",
            "\\[b]x\\[/b]",
            "<b>[USER=1]</b>",
            "[x](javascript:alert)",
            "[x](<https://a.example/][USER=1]>)",
            "`[br /]`",
            "```\n[USER=1]x\n```",
        ] {
            let written = bb_code(attack);
            assert!(!written.contains('['), "{attack} -> {written}");
        }
        assert!(!bb_code("`a#BR#b`").contains("#BR#"));
    }

    #[test]
    fn long_texts_end_at_a_line() {
        let long = "- line\n".repeat(20_000);
        let written = bb_code(&long);
        assert!(written.chars().count() <= MAX_TEXT + 2);
        assert!(written.ends_with("• line\n…"));
    }

    #[test]
    fn marks_tell_messages_apart_and_cannot_be_typed() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_ne!(marker(one), marker(two));
        assert!(marked("x", one).contains(&marker(one)));
        let typed = bb_code(&format!("`{}`", marker(one)));
        assert!(!typed.contains(&marker(one)));
    }
}
