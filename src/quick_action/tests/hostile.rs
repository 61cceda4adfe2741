//! Texts that make careless parsers slow or overflow the stack: these tests hold that parsing ends.

use super::super::*;

const DIALECT: Dialect<'static> = Dialect {
    bot: Some("liaison"),
    slash: true,
};

/// Returns how many commands are found in `text`, which must be short enough to be scanned. A
/// command is put before and after, since a text without any is not parsed at all.
fn commands_around(text: &str) -> usize {
    let text = format!("/undo\n\n{text}\n\n/undo");
    let parsed = parse(&text, &DIALECT);
    assert!(!parsed.unscanned);
    parsed.commands.len() + parsed.dropped
}

/// The most repetitions of `unit` that are scanned together with the commands around them.
fn filled(unit: &str) -> String {
    unit.repeat((MAX_TEXT - 100) / unit.len())
}

#[test]
fn backtick_and_line_ends() {
    assert_eq!(commands_around(&format!("`{}", "\n".repeat(100_000))), 2);
    assert_eq!(commands_around(&format!("`{}", "a\n".repeat(100_000))), 2);
}

#[test]
fn deep_nesting() {
    // Three and more open a quote block, which nothing closes.
    assert_eq!(commands_around(&filled(">")), 1);
    assert_eq!(commands_around(&filled("> ")), 2);
    assert_eq!(commands_around(&"- ".repeat(100_000)), 2);
    assert_eq!(commands_around(&"[".repeat(100_000)), 2);
    assert_eq!(commands_around(&"![".repeat(100_000)), 2);
    assert_eq!(commands_around(&"*".repeat(100_000)), 2);
    assert_eq!(commands_around(&"*a _b ".repeat(50_000)), 2);
}

#[test]
fn moderate_nesting() {
    let opening = |depth: usize| ">".repeat(depth) + "\n";
    let nested: String = (3..300).rev().map(opening).collect();
    assert_eq!(commands_around(&(nested + &"a\n\n".repeat(40_000))), 1);
    let nested = nested_lists(2);
    assert_eq!(commands_around(&(nested + &"\n".repeat(100_000))), 2);
}

#[test]
fn nesting_that_takes_long_is_not_scanned() {
    let lists = nested_lists(20);
    let repeated = |unit: &str| filled(unit).split_off(lists.len() / unit.len() * unit.len());
    let texts = [
        lists.replace("- ", "- \r") + &repeated("\n"),
        filled(">>>\n"),
        filled(">>> \t\n"),
        filled(">>> [!note]\n"),
        filled(">>>> [!TIP] Hello\n"),
        lists.clone() + &repeated("\n"),
        lists.clone() + &repeated("a\n"),
    ];
    for text in texts {
        let text = format!("/undo\n\n{text}");
        let parsed = parse(&text, &DIALECT);
        assert!(parsed.unscanned);
        assert_eq!(parsed.commands, []);
        assert!(redact(&text, |_| true).starts_with("`/undo`\n"));
    }
}

/// Returns a list whose items are nested a hundred deep on each line.
fn nested_lists(lines: usize) -> String {
    let line = |depth: usize| "  ".repeat(100 * depth) + &"- ".repeat(100) + "a\n";
    (0..lines).map(line).collect()
}

#[test]
fn what_only_looks_nested_is_scanned() {
    // Quotes within quotes of a mail, and the prompt of Python's console.
    for unit in [">>> Hello\n", ">>>print(1)\n"] {
        let text = format!("/undo\n{}", filled(unit));
        assert_eq!(parse(&text, &DIALECT).commands.len(), 1, "{unit:?}");
    }
}

#[test]
fn many_commands() {
    assert_eq!(commands_around(&"/undo\n".repeat(10_000)), 10_002);
    assert_eq!(commands_around(&"/undo\n\n".repeat(10_000)), 10_002);
    assert_eq!(commands_around(&"@liaison undone\n".repeat(10_000)), 10_002);
}

#[test]
fn long_paragraphs() {
    for unit in [
        "a",
        "a\n",
        "a `b` ",
        "` ",
        "`\n",
        "`` ",
        "<b>\n",
        "<",
        "<\n",
        "<b\n",
        "\n</b>",
        "/\n",
        "@\n",
        "/undo",
        "@liaison",
        "$",
        "$$",
        "~",
        "|",
        "|-\n",
        "&",
        "\\",
        "[a]: b\n",
        "[^a]",
        "[[",
        "](",
        "\u{e9}",
        "\0",
        "www.",
        "a@",
        "http://a.b/(",
        ":",
        "_",
        "\"",
    ] {
        let text = filled(unit);
        assert!(commands_around(&text) >= 1, "{unit:?}");
    }
}

#[test]
fn longer_texts_are_not_scanned() {
    let text = "/undo\n".repeat(MAX_TEXT / 6 + 1);
    let parsed = parse(&text, &DIALECT);
    assert!(parsed.unscanned);
    assert_eq!(parsed.commands, []);
    assert_eq!(parsed.text, text);
}

#[test]
fn one_endless_word() {
    let word = "a".repeat(MAX_TEXT - 100);
    let parsed = parse(&format!("@liaison {word}"), &DIALECT);
    assert_eq!(parsed.commands.len(), 1);
    let parsed = parse(&format!("/add_contacts {word}@{word}"), &DIALECT);
    assert_eq!(parsed.commands.len(), 0);
}

#[test]
fn hostile_texts_are_redacted() {
    let text = "/undo `\n".repeat(20_000);
    let redacted = redact(&text, |_| true);
    assert!(redacted.lines().all(|line| !line.starts_with('/')));
    let text = "/undo\n".repeat(MAX_TEXT / 6 + 1);
    assert!(redact(&text, |_| true).starts_with("`/undo`\n"));
}
