//! What holds for every text.

use proptest::prelude::*;

use super::super::*;

const DIALECT: Dialect<'static> = Dialect {
    bot: Some("liaison"),
    slash: true,
};

/// Texts made of what means something to the extractor.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/undo",
        "/help",
        "/crm",
        "@liaison",
        "contacts",
        "/add_contacts",
        "a@example.com",
        " ",
        " ",
        "\n",
        "\n",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "`",
        "``",
        "```",
        "~~~",
        ">",
        ">>>",
        "- ",
        "1. ",
        "# ",
        "---",
        "===",
        "|",
        "|---|",
        "<b>",
        "</b>",
        "<div>",
        "</div>",
        "<!--",
        "-->",
        "[x]:",
        "[^1]",
        "[^1]: ",
        "](",
        "![",
        "[",
        "]",
        "(",
        ")",
        "*",
        "_",
        "$",
        "$$",
        "\\",
        "&",
        ":",
        "    ",
        "é",
        "\0",
        "\u{feff}",
        "\u{a0}",
        "\u{2028}",
        "text",
        "[!note]",
        "+++",
        "...",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        parse(&text, &DIALECT);
        redact(&text, |_| true);
        contacts(&text);
        let _ = create_contact(&text);
        code_span(&text);
    }

    #[test]
    fn what_is_found_stands_in_the_text(text in texts()) {
        let parsed = parse(&text, &DIALECT);
        let source = text.replace('\r', "");
        let lines: Vec<_> = source.split('\n').collect();
        let mut last = 0;
        for found in &parsed.commands {
            prop_assert!(found.line > last, "{found:?}");
            last = found.line;
            let line = lines[found.line - 1];
            prop_assert!(line.ends_with(&found.argument), "{found:?}");
            let start = match found.spelling {
                Spelling::Slash => "/",
                Spelling::Mention => "@liaison",
                Spelling::Crm => "/crm",
            };
            prop_assert!(line.starts_with(start), "{found:?}");
        }
        prop_assert!(parsed.text.len() <= source.len());
    }

    #[test]
    fn an_edit_that_changes_nothing_adds_nothing(text in texts()) {
        let commands = parse(&text, &DIALECT).commands;
        let old: Vec<_> = commands.iter().map(Signature::from).collect();
        prop_assert_eq!(added(&old, commands.clone()), []);
        prop_assert_eq!(added(&[], commands.clone()), commands);
    }

    #[test]
    fn nothing_is_found_in_fenced_code(text in texts()) {
        let inside = text.replace(['`', '\r'], "");
        let parsed = parse(&format!("```\n{inside}\n```"), &DIALECT);
        prop_assert_eq!(parsed.commands, []);
    }

    #[test]
    fn nothing_is_found_in_what_was_redacted(text in texts()) {
        let redacted = redact(&text, |_| true);
        let dialect = Dialect { bot: None, ..DIALECT };
        prop_assert_eq!(parse(&redacted, &dialect).commands, []);
    }

    #[test]
    fn nothing_is_found_in_a_code_span(text in texts(), before in "[a-z ]{0,3}") {
        let span = code_span(&text);
        prop_assert!(!span.contains(char::is_control));
        prop_assert_eq!(parse(&format!("{before}{span}\nx"), &DIALECT).commands, []);
    }

    #[test]
    fn a_written_command_is_read_back(
        row in prop::sample::select(CATALOGUE.iter().collect::<Vec<_>>()),
        argument in "([a-z@.`<\"*][a-z @.`<\"*]{0,20})?",
        bot in prop::option::of("[a-z][a-z0-9_-]{0,8}"),
        slash: bool,
    ) {
        let dialect = Dialect { bot: bot.as_deref(), slash };
        let written = dialect.write(row.name, &argument);
        let parsed = parse(&written, &dialect);
        prop_assert_eq!(parsed.text, "");
        let [found] = parsed.commands.as_slice() else {
            return Err(TestCaseError::fail(written));
        };
        prop_assert_eq!(&found.action, &Action::Known(row.name));
        prop_assert_eq!(&found.argument, &argument);
    }
}
