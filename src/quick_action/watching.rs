//! Arguments that name people and items: `@ann bob@example.com [deal:42]`.

use super::{
    argument::email,
    token::{Token, tokens, unescaped, unquoted},
};
use crate::domain::{ItemId, ItemKind, is_email_address};

/// An item that a person named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ItemRef {
    /// By its id, and what it is said to be, if anything.
    Id {
        /// Its kind; none for `[item:123]`.
        kind: Option<ItemKind>,
        /// Its id.
        id: ItemId,
    },
    /// A contact by its e-mail address.
    Contact(String),
    /// An organization by its name.
    Organization(String),
}

/// What a command about people and items names, each once, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// People: usernames with `@`, or e-mail addresses, as typed.
    pub people: Vec<String>,
    /// Items, each with the text that names it.
    pub items: Vec<(String, ItemRef)>,
    /// What is neither, as typed.
    pub unclear: Vec<String>,
}

/// Returns the people and items that `argument` names, separated by blanks, commas or semicolons.
pub fn named(argument: &str) -> Named {
    let argument = unescaped(argument);
    let mut named = Named::default();
    for token in tokens(&argument, &[',', ';']) {
        match token {
            Token::Separator => {}
            Token::Bracket(text) => match item(text) {
                Some(item) => push(&mut named.items, (text.to_owned(), item)),
                None => push(&mut named.unclear, text.to_owned()),
            },
            Token::Angle(text) | Token::Word(text) | Token::Quoted(text) => match person(text) {
                Some(person) => push(&mut named.people, person.to_owned()),
                None if text.is_empty() => {}
                None => push(&mut named.unclear, text.to_owned()),
            },
        }
    }
    named
}

fn push<T: PartialEq>(list: &mut Vec<T>, new: T) {
    if !list.contains(&new) {
        list.push(new);
    }
}

/// Returns the username with its `@`, or the address, that a word is.
fn person(text: &str) -> Option<&str> {
    let text = unquoted(text);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let username = text.trim_end_matches(['.', '!', ':']);
    match username.strip_prefix('@') {
        Some(name) if !name.is_empty() && name.chars().all(is_name) => Some(username),
        Some(_) => None,
        None => email(text),
    }
}

/// Returns the item that stands in brackets.
fn item(text: &str) -> Option<ItemRef> {
    let (key, value) = text.split_once(':')?;
    let (key, value) = (key.trim().to_ascii_lowercase(), unquoted(value));
    let kind = match key.as_str() {
        "item" => None,
        "company" => Some(ItemKind::Organization),
        word => Some(
            ItemKind::ALL
                .into_iter()
                .find(|kind| kind.word() == word && *kind != ItemKind::Custom)?,
        ),
    };
    if let Ok(id) = value.parse::<i64>() {
        return (id > 0).then_some(ItemRef::Id {
            kind,
            id: ItemId(id),
        });
    }
    match kind {
        Some(ItemKind::Contact) if is_email_address(value) => {
            Some(ItemRef::Contact(value.to_owned()))
        }
        Some(ItemKind::Organization) if !value.is_empty() => {
            Some(ItemRef::Organization(value.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: Option<ItemKind>, id: i64) -> ItemRef {
        ItemRef::Id {
            kind,
            id: ItemId(id),
        }
    }

    #[test]
    fn people_and_items_in_every_form() {
        let found = named(
            r"@ann, bob@example.com; <cy@example.com> @ann \[deal:42\] [Lead: 7] [invoice:9] [item:123]",
        );
        assert_eq!(found.people, ["@ann", "bob@example.com", "cy@example.com"]);
        let items: Vec<_> = found.items.into_iter().map(|(_, item)| item).collect();
        assert_eq!(
            items,
            [
                id(Some(ItemKind::Deal), 42),
                id(Some(ItemKind::Lead), 7),
                id(Some(ItemKind::Invoice), 9),
                id(None, 123),
            ]
        );
        assert_eq!(found.unclear, [""; 0]);
        let found = named("[contact:ada@example.com] [\"organization:Acme Corp\"] [contact:7]");
        let items: Vec<_> = found.items.into_iter().map(|(_, item)| item).collect();
        assert_eq!(
            items,
            [
                ItemRef::Contact("ada@example.com".into()),
                ItemRef::Organization("Acme Corp".into()),
                id(Some(ItemKind::Contact), 7),
            ]
        );
    }

    #[test]
    fn what_is_neither_is_said_so() {
        for (argument, unclear) in [
            ("ann", "ann"),
            ("@", "@"),
            ("@a/b", "@a/b"),
            ("[deal:x]", "deal:x"),
            ("[deal:-1]", "deal:-1"),
            ("[deal:0]", "deal:0"),
            ("[custom:5]", "custom:5"),
            ("[deal:99999999999999999999]", "deal:99999999999999999999"),
            ("[contact:ada]", "contact:ada"),
            ("[organization:]", "organization:"),
            ("[ship:5]", "ship:5"),
        ] {
            let found = named(argument);
            assert_eq!(found.unclear, [unclear], "{argument}");
            assert!(
                found.people.is_empty() && found.items.is_empty(),
                "{argument}"
            );
        }
        assert_eq!(named(" , ; "), Named::default());
    }
}
