//! Where a command counts, one text per rule. The expectations follow from GitLab's extractor.

use super::super::*;

/// Name, text, commands as `line word argument` joined by blanks, remaining text.
type Case = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

const LINES: &[Case] = &[
    ("empty", "", &[], ""),
    ("alone", "/undo", &["1 undo"], ""),
    ("first", "/undo\nThanks", &["1 undo"], "Thanks"),
    (
        "middle",
        "Hello\n/undo\nThanks",
        &["2 undo"],
        "Hello\nThanks",
    ),
    ("last", "Hello\n/undo", &["2 undo"], "Hello"),
    ("in a line", "Hello /undo", &[], "Hello /undo"),
    ("leading blank", "Hello\n /undo", &[], "Hello\n /undo"),
    ("argument", "/help undo", &["1 help undo"], ""),
    (
        "argument keeps blanks",
        "/help  undo ",
        &["1 help  undo "],
        "",
    ),
    ("blank argument", "/help   \nx", &["1 help"], "x"),
    ("NBSP argument", "/help \u{a0}", &["1 help"], ""),
    (
        "argument with slashes",
        "/help /undo /x",
        &["1 help /undo /x"],
        "",
    ),
    ("case", "/UnDo", &["1 undo"], ""),
    ("unknown", "/close\n/undo", &["2 undo"], "/close"),
    ("path", "/etc/hosts", &[], "/etc/hosts"),
    ("longer word", "/undoing", &[], "/undoing"),
    ("two slashes", "//undo", &[], "//undo"),
    ("slash only", "/", &[], "/"),
    ("slash and blank", "/ undo", &[], "/ undo"),
    ("colon", "/undo: x", &[], "/undo: x"),
    ("at sign", "/help@undo", &[], "/help@undo"),
    ("tab", "/help\tundo", &[], "/help\tundo"),
    ("trailing tab at the end", "/undo\t", &[], "/undo"),
    (
        "trailing tab before a line end",
        "/undo\t\nx",
        &["1 undo"],
        "x",
    ),
    ("NBSP", "/help\u{a0}undo", &[], "/help\u{a0}undo"),
    ("U+2028", "Hello\u{2028}/undo", &[], "Hello\u{2028}/undo"),
    ("U+0085", "Hello\u{85}/undo", &[], "Hello\u{85}/undo"),
    ("form feed", "Hello\u{c}/undo", &[], "Hello\u{c}/undo"),
    ("full-width slash", "／undo", &[], "／undo"),
    ("zero-width space", "\u{200b}/undo", &[], "\u{200b}/undo"),
    ("BOM", "\u{feff}/undo", &[], "\u{feff}/undo"),
    (
        "BOM on a later line",
        "Hello\n\u{feff}/undo",
        &[],
        "Hello\n\u{feff}/undo",
    ),
    ("entity", "&#47;undo", &[], "&#47;undo"),
    ("escaped", "\\/undo", &[], "\\/undo"),
    (
        "CRLF",
        "Hello\r\n/undo\r\nThanks\r\n",
        &["2 undo"],
        "Hello\nThanks",
    ),
    ("stray CR", "/un\rdo", &["1 undo"], ""),
    ("NUL", "/help \0", &["1 help \0"], ""),
    ("end is stripped", "Hello \n\n\0 ", &[], "Hello"),
    ("start is kept", "  Hello\n/undo", &["2 undo"], "  Hello"),
];

const BLOCKS: &[Case] = &[
    (
        "own paragraph",
        "Hello\n\n/undo\n\nThanks",
        &["3 undo"],
        "Hello\n\nThanks",
    ),
    (
        "one empty line goes along",
        "/undo\n\n\nThanks",
        &["1 undo"],
        "\nThanks",
    ),
    (
        "a blank line stays",
        "/undo\n  \nThanks",
        &["1 undo"],
        "  \nThanks",
    ),
    (
        "several",
        "/undo\n/help\n\n/contacts",
        &["1 undo", "2 help", "4 contacts"],
        "",
    ),
    ("indented code", "    /undo", &[], "    /undo"),
    (
        "fence",
        "```\n/undo\n```\n/help",
        &["4 help"],
        "```\n/undo\n```",
    ),
    ("tilde fence", "~~~\n/undo\n~~~", &[], "~~~\n/undo\n~~~"),
    (
        "unclosed fence",
        "Hello\n```\n/undo\n\n/undo",
        &[],
        "Hello\n```\n/undo\n\n/undo",
    ),
    (
        "unclosed tilde fence",
        "~~~ sh\n/undo\n\n/help",
        &[],
        "~~~ sh\n/undo\n\n/help",
    ),
    (
        "fence in a fence",
        "````\n```\n/undo\n```\n/undo\n````\n/help",
        &["7 help"],
        "````\n```\n/undo\n```\n/undo\n````",
    ),
    (
        "command before a fence",
        "/help\n```\nx\n```",
        &["1 help"],
        "```\nx\n```",
    ),
    ("quote", "> /undo", &[], "> /undo"),
    (
        "lazy line of a quote",
        "> Hello\n/undo",
        &[],
        "> Hello\n/undo",
    ),
    ("after a quote", "> Hello\n\n/undo", &["3 undo"], "> Hello"),
    (
        "quote block",
        ">>>\n/undo\n>>>\n\n/help",
        &["5 help"],
        ">>>\n/undo\n>>>",
    ),
    (
        "quote block, command at once",
        ">>>\n/undo\n>>>\n/help",
        &["4 help"],
        ">>>\n/undo\n>>>",
    ),
    (
        "unclosed quote block",
        ">>>\n/undo\n\n/undo",
        &[],
        ">>>\n/undo\n\n/undo",
    ),
    (
        "alert",
        "> [!note]\n> Hello\n/undo",
        &[],
        "> [!note]\n> Hello\n/undo",
    ),
    (
        "alert block",
        ">>> [!warning]\n/undo\n>>>",
        &[],
        ">>> [!warning]\n/undo\n>>>",
    ),
    ("list item", "- /undo", &[], "- /undo"),
    (
        "lazy line of a list",
        "- Hello\n/undo",
        &[],
        "- Hello\n/undo",
    ),
    (
        "lazy line of a task",
        "- [ ] Hello\n/undo",
        &[],
        "- [ ] Hello\n/undo",
    ),
    (
        "lazy line of a numbered list",
        "1. Hello\n/undo",
        &[],
        "1. Hello\n/undo",
    ),
    ("after a list", "- Hello\n\n/undo", &["3 undo"], "- Hello"),
    (
        "command before a list",
        "/undo\n- Hello",
        &["1 undo"],
        "- Hello",
    ),
    (
        "row of a table",
        "| a |\n|---|\n/undo",
        &[],
        "| a |\n|---|\n/undo",
    ),
    (
        "after a table",
        "| a |\n|---|\n| b |\n\n/undo",
        &["5 undo"],
        "| a |\n|---|\n| b |",
    ),
    (
        "right before a table",
        "/undo\n| a |\n|---|\n| b |",
        &["1 undo"],
        "| a |\n|---|\n| b |",
    ),
    (
        "head of a table",
        "/undo | a\n---|---\nb | c",
        &[],
        "/undo | a\n---|---\nb | c",
    ),
    ("heading", "# /undo", &[], "# /undo"),
    ("after a heading", "# Hello\n/undo", &["2 undo"], "# Hello"),
    ("underlined heading", "/undo\n---", &[], "/undo\n---"),
    (
        "doubly underlined heading",
        "Hello\n/undo\n===",
        &[],
        "Hello\n/undo\n===",
    ),
    (
        "thematic break",
        "/undo\n\n---\n\n/help",
        &["1 undo", "5 help"],
        "---",
    ),
    (
        "definition list",
        "Term\n\n: /undo\n/undo",
        &[],
        "Term\n\n: /undo\n/undo",
    ),
    (
        "term of a definition",
        "/undo\n\n: Hello",
        &[],
        "/undo\n\n: Hello",
    ),
    (
        "footnote",
        "Hello[^1]\n\n[^1]: Note\n/undo",
        &[],
        "Hello[^1]\n\n[^1]: Note\n/undo",
    ),
    (
        "after a footnote",
        "Hello[^1]\n\n[^1]: Note\n\n/undo",
        &["5 undo"],
        "Hello[^1]\n\n[^1]: Note",
    ),
    ("math block", "$$\n/undo\n$$", &["2 undo"], "$$\n$$"),
    (
        "front matter",
        "---\ntitle: x\n\n/undo\n\n---\n/help",
        &["7 help"],
        "---\ntitle: x\n\n/undo\n\n---",
    ),
    (
        "TOML front matter",
        "\n+++ toml\n\n/undo\n...\n/help",
        &["6 help"],
        "\n+++ toml\n\n/undo\n...",
    ),
    ("no front matter", "---\n\n/undo", &["3 undo"], "---"),
];

const HTML: &[Case] = &[
    ("block", "<div>\n/undo\n</div>", &[], "<div>\n/undo\n</div>"),
    (
        "details",
        "<details>\n/undo\n</details>",
        &[],
        "<details>\n/undo\n</details>",
    ),
    (
        "details with empty lines",
        "<details>\n\n/undo\n\n</details>",
        &["3 undo"],
        "<details>\n\n</details>",
    ),
    (
        "comment above",
        "<!-- Hello -->\n/undo",
        &["2 undo"],
        "<!-- Hello -->",
    ),
    (
        "comment around",
        "<!--\n/undo\n-->",
        &[],
        "<!--\n/undo\n-->",
    ),
    (
        "comment around with empty lines",
        "<!--\n\n/undo\n\n-->\n/help",
        &["6 help"],
        "<!--\n\n/undo\n\n-->",
    ),
    ("unclosed comment", "<!--\n\n/undo", &[], "<!--\n\n/undo"),
    (
        "pre with empty lines",
        "<pre>\n\n/undo\n</pre>",
        &[],
        "<pre>\n\n/undo\n</pre>",
    ),
    (
        "tag on its own line within a paragraph",
        "Hello\n<b>\n/undo\n</b>",
        &[],
        "Hello\n<b>\n/undo\n</b>",
    ),
    (
        "tag within a line",
        "Hello <b>\n/undo\n</b>",
        &["2 undo"],
        "Hello <b>\n</b>",
    ),
    (
        "hidden in an attribute",
        "Hello <b title='\n/undo\n'>x</b>",
        &[],
        "Hello <b title='\n/undo\n'>x</b>",
    ),
    (
        "hidden in a destination",
        "[Hello](\n/undo\n)",
        &[],
        "[Hello](\n/undo\n)",
    ),
    (
        "hidden in a description",
        "![Hello\n/undo\n](x)",
        &[],
        "![Hello\n/undo\n](x)",
    ),
    (
        "text of a link",
        "[Hello\n/undo\n](x)",
        &["2 undo"],
        "[Hello\n](x)",
    ),
    (
        "link reference definition",
        "[x]: /y\n/undo",
        &["2 undo"],
        "[x]: /y",
    ),
    (
        "definition over lines",
        "[x]:\n/undo\nHello",
        &[],
        "[x]:\n/undo\nHello",
    ),
    ("definition only", "[x]:\n/undo", &[], "[x]:\n/undo"),
];

const CODE_SPANS: &[Case] = &[
    ("span", "`/undo`", &[], "`/undo`"),
    (
        "span over lines",
        "Hello `a\n/undo\nb`",
        &[],
        "Hello `a\n/undo\nb`",
    ),
    ("span on separate lines", "`\n/undo\n`", &[], "`\n/undo\n`"),
    (
        "odd backticks in one paragraph",
        "It`s\n/undo\nIt`s",
        &[],
        "It`s\n/undo\nIt`s",
    ),
    (
        "odd backticks across paragraphs",
        "It`s\n\n/undo\n\nIt`s",
        &["3 undo"],
        "It`s\n\nIt`s",
    ),
    ("one backtick", "It`s\n/undo", &["2 undo"], "It`s"),
    ("backtick after", "/undo\nIt`s", &["1 undo"], "It`s"),
    (
        "backtick in the argument",
        "/help `a\n/undo `b",
        &["1 help `a", "2 undo `b"],
        "",
    ),
    (
        "double backticks over lines",
        "``a\n/undo\nb``",
        &[],
        "``a\n/undo\nb``",
    ),
    (
        "double backticks before",
        "``a``\n/undo",
        &["2 undo"],
        "``a``",
    ),
    (
        "rest of double backticks pairs",
        "``a``\n/undo\n`",
        &[],
        "``a``\n/undo\n`",
    ),
    ("double backtick alone", "``\n/undo", &["2 undo"], "``"),
    (
        "triple backticks in a line",
        "a ```b``` c\n/undo",
        &["2 undo"],
        "a ```b``` c",
    ),
    (
        "escaped backticks",
        "\\`a\n/undo\n\\`",
        &[],
        "\\`a\n/undo\n\\`",
    ),
    ("between spans", "`a`\n/undo\n`b`", &["2 undo"], "`a`\n`b`"),
    (
        "two lines of spans",
        "`a\n/undo\nb`\n/help\n`c`",
        &["4 help"],
        "`a\n/undo\nb`\n`c`",
    ),
];

/// Checks each case with the native spelling only.
fn check(cases: &[Case]) {
    let dialect = Dialect {
        bot: None,
        slash: true,
    };
    for (name, text, commands, rest) in cases {
        let parsed = parse(text, &dialect);
        let found: Vec<_> = parsed.commands.iter().map(shown).collect();
        assert_eq!(&found, commands, "{name}");
        assert_eq!(&parsed.text, rest, "{name}");
    }
}

fn shown(found: &Found) -> String {
    let Action::Known(name) = found.action else {
        panic!("unknown commands are text in this spelling: {found:?}");
    };
    let command = format!("{} {}", found.line, name.word());
    if found.argument.is_empty() {
        command
    } else {
        format!("{command} {}", found.argument)
    }
}

#[test]
fn lines() {
    check(LINES);
}

#[test]
fn blocks() {
    check(BLOCKS);
}

#[test]
fn html_and_links() {
    check(HTML);
}

#[test]
fn code_spans() {
    check(CODE_SPANS);
}
