//! What one line may look like in each spelling.

use super::super::CommandName::{AddContacts, Contacts, Help, Undo};
use super::super::*;

const BOT: Dialect<'static> = Dialect {
    bot: Some("liaison"),
    slash: false,
};

fn known(name: CommandName) -> Action {
    Action::Known(name)
}

fn unknown(word: &str, nearest: Option<CommandName>) -> Action {
    Action::Unknown {
        word: word.to_owned(),
        nearest,
    }
}

#[test]
fn mentions() {
    let cases = [
        ("@liaison undo", known(Undo), ""),
        ("@Liaison UNDO", known(Undo), ""),
        ("@liaison /undo", known(Undo), ""),
        ("@liaison: undo", known(Undo), ""),
        ("@liaison, undo", known(Undo), ""),
        ("@liaison \t\u{a0} undo", known(Undo), ""),
        ("@liaison undo!", known(Undo), ""),
        ("@liaison help: undo", known(Help), "undo"),
        (
            "@liaison add_contacts a@x  b@x ",
            known(AddContacts),
            "a@x  b@x ",
        ),
        ("@liaison add_contacts\ta@x", known(AddContacts), "a@x"),
        ("@liaison contacts  ", known(Contacts), ""),
        ("@liaison", known(Help), ""),
        ("@liaison:  ", known(Help), ""),
        ("@liaison /", known(Help), ""),
        (
            "@liaison add_contact a@x",
            unknown("add_contact", Some(AddContacts)),
            "a@x",
        ),
        ("@liaison add a@x", unknown("add", Some(AddContacts)), "a@x"),
        ("@liaison thanks a lot!", unknown("thanks", None), "a lot!"),
        ("@liaison ?", unknown("?", None), ""),
        ("@liaison @ann", unknown("@ann", None), ""),
    ];
    for (text, action, argument) in cases {
        let expected = Found {
            action,
            argument: argument.to_owned(),
            line: 1,
            spelling: Spelling::Mention,
        };
        assert_eq!(parse(text, &BOT).commands, [expected], "{text:?}");
    }
}

#[test]
fn other_mentions_are_text() {
    for text in [
        "@liaison2 undo",
        "@liaison-bot undo",
        "@liaison_ undo",
        "@liaison.x undo",
        "@liaison/team undo",
        "@liaison:example.org undo",
        "@liaisonundo",
        "@liaisoné undo",
        "@liaiso undo",
        "@ liaison undo",
        " @liaison undo",
        "Hello @liaison undo",
        "`@liaison undo`",
        "> @liaison undo",
        "- Hello\n@liaison undo",
        "/undo",
        "/add_contacts a@x",
    ] {
        let parsed = parse(text, &BOT);
        assert_eq!(parsed.commands, [], "{text:?}");
        assert_eq!(parsed.text, text);
    }
    for bot in [None, Some("")] {
        let dialect = Dialect { bot, slash: true };
        assert_eq!(parse("@liaison undo\n@ undo", &dialect).commands, []);
    }
}

#[test]
fn names_with_marks() {
    for bot in ["lia.ison", "_lia-ison_", "лиазон"] {
        let dialect = Dialect {
            bot: Some(bot),
            slash: false,
        };
        let text = format!("@{bot} undo");
        assert_eq!(parse(&text, &dialect).commands.len(), 1, "{bot}");
    }
}

#[test]
fn crm() {
    let cases = [
        ("/crm undo", known(Undo), ""),
        ("/CRM Undo", known(Undo), ""),
        ("/crm /undo", known(Undo), ""),
        ("/crm  add_contacts a@x", known(AddContacts), "a@x"),
        ("/crm", known(Help), ""),
        ("/crm ", known(Help), ""),
        ("/crm hlep", unknown("hlep", Some(Help)), ""),
        ("/crm dance with me", unknown("dance", None), "with me"),
    ];
    for (text, action, argument) in cases {
        for dialect in [BOT, Dialect::default()] {
            let expected = Found {
                action: action.clone(),
                argument: argument.to_owned(),
                line: 1,
                spelling: Spelling::Crm,
            };
            assert_eq!(parse(text, &dialect).commands, [expected], "{text:?}");
        }
    }
    for text in ["/crmundo", "/crm\tundo", "/crm: undo", "@crm undo"] {
        assert_eq!(parse(text, &BOT).commands, [], "{text:?}");
    }
}

#[test]
fn spellings_mix() {
    let dialect = Dialect { slash: true, ..BOT };
    let text = "Hello\n@liaison contacts\n/undo\n\n/crm help\n@liaison thank you\nBye";
    let parsed = parse(text, &dialect);
    let spellings: Vec<_> = parsed
        .commands
        .iter()
        .map(|f| (f.line, f.spelling))
        .collect();
    let expected = [
        (2, Spelling::Mention),
        (3, Spelling::Slash),
        (5, Spelling::Crm),
        (6, Spelling::Mention),
    ];
    assert_eq!(spellings, expected);
    // What was no command stays.
    assert_eq!(parsed.text, "Hello\n@liaison thank you\nBye");
}

#[test]
fn only_so_many_commands_are_reported() {
    let dialect = Dialect { slash: true, ..BOT };
    let parsed = parse(&"/undo\n".repeat(MAX_COMMANDS + 3), &dialect);
    assert_eq!(parsed.commands.len(), MAX_COMMANDS);
    assert_eq!(parsed.dropped, 3);
    assert_eq!(parsed.text, "");
}

#[test]
fn writes_what_is_advised() {
    let slash = Dialect { slash: true, ..BOT };
    let cases = [
        (BOT, "@liaison help undo"),
        (slash, "/help undo"),
        (Dialect::default(), "/crm help undo"),
    ];
    for (dialect, text) in cases {
        assert_eq!(dialect.write(Help, "undo"), text);
    }
    assert_eq!(BOT.write(Undo, ""), "@liaison undo");
}
