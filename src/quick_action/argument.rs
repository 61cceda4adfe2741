//! Typed arguments: what the commands of the catalogue take from the text after their word.
//!
//! Only the form is judged here. Whether a contact exists and what a field may hold is decided by
//! those who know the data.

use std::collections::HashSet;

use super::catalogue::CommandName;
use super::render::code_span;
use super::token::{Token, tokens, unescaped, unquoted};
use crate::domain::is_email_address;

/// One contact that a person named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactRef {
    /// An e-mail address, spelled as typed.
    Email(String),
    /// Something that is no e-mail address, as typed.
    NotAnEmail(String),
}

/// What `create_contact` asks for. The spelling is the person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContact {
    /// The e-mail address.
    pub email: String,
    /// The first name: the first word or quoted text of the name.
    pub first_name: String,
    /// The last name: the rest of the name.
    pub last_name: String,
    /// The name of the organization, if one was given.
    pub organization: Option<String>,
}

/// Why the argument of `create_contact` cannot be used; `Display` is the sentence that the person is
/// shown, in Markdown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// There is nothing that could be an e-mail address.
    #[error("An e-mail address is missing. {}", usage())]
    MissingEmail,
    /// The text stands where an e-mail address is expected.
    #[error("{} is not an e-mail address. {}", code_span(.0), usage())]
    NotAnEmail(String),
    /// There is no name.
    #[error("The first and last name are missing. {}", usage())]
    MissingName,
    /// There is only one name.
    #[error("The last name is missing. {}", usage())]
    MissingLastName,
    /// `[organization:]` without a name.
    #[error("The name of the organization is missing. {}", usage())]
    MissingOrganization,
    /// The text has no meaning where it stands.
    #[error("{} is not expected here. {}", code_span(.0), usage())]
    Unexpected(String),
}

/// Returns the sentence that shows how the command is written.
fn usage() -> String {
    let spec = CommandName::CreateContact.spec();
    format!(
        "Usage: {}",
        code_span(&format!("{} {}", spec.word, spec.parameters))
    )
}

/// Returns the contacts that `argument` names, in order, each once without regard to case.
///
/// A contact is an address, `mailto:` and an address, `[contact:ADDRESS]`, `["contact:ADDRESS"]`,
/// `<ADDRESS>` or `Name <ADDRESS>`; contacts are separated by blanks, commas or semicolons.
pub fn contacts(argument: &str) -> Vec<ContactRef> {
    let argument = unescaped(argument);
    let mut list = ContactList::default();
    for token in tokens(&argument, &[',', ';']) {
        match token {
            Token::Separator => list.flush_words(),
            Token::Angle(text) => {
                if let Some(email) = email(text) {
                    list.drop_name();
                    list.push(email, ContactRef::Email);
                } else {
                    list.flush_words();
                    list.push(text, ContactRef::NotAnEmail);
                }
            }
            Token::Bracket(text) => {
                list.flush_words();
                match email(text) {
                    Some(email) => list.push(email, ContactRef::Email),
                    None => list.push(text, ContactRef::NotAnEmail),
                }
            }
            Token::Word(text) | Token::Quoted(text) => match email(text) {
                Some(email) => {
                    list.flush_words();
                    list.push(email, ContactRef::Email);
                }
                None => list.words.push(text),
            },
        }
    }
    list.flush_words();
    list.contacts
}

/// Contacts while they are collected.
#[derive(Debug, Default)]
struct ContactList<'a> {
    contacts: Vec<ContactRef>,
    seen: HashSet<String>,
    /// Words that are a name if `<ADDRESS>` follows.
    words: Vec<&'a str>,
}

impl<'a> ContactList<'a> {
    fn push(&mut self, text: &'a str, as_contact: fn(String) -> ContactRef) {
        if !text.is_empty() && self.seen.insert(text.to_lowercase()) {
            self.contacts.push(as_contact(text.to_owned()));
        }
    }

    /// Reports the words, since no address followed them.
    fn flush_words(&mut self) {
        for word in std::mem::take(&mut self.words) {
            self.push(word, ContactRef::NotAnEmail);
        }
    }

    /// Forgets the words: they were the name before an address. One with an `@` was meant as more.
    fn drop_name(&mut self) {
        self.words.retain(|word| word.contains('@'));
        self.flush_words();
    }
}

/// Returns the contact that `argument` describes: `EMAIL First Last [organization:NAME]`.
///
/// The address may have any form that [`contacts`] takes, also `First Last <EMAIL>`; the
/// organization may stand anywhere, quoted as a whole or not.
pub fn create_contact(argument: &str) -> Result<NewContact, ArgumentError> {
    let argument = unescaped(argument);
    let mut draft = ContactDraft::default();
    for token in tokens(&argument, &[]) {
        draft.take(&token)?;
    }
    draft.finish()
}

/// A new contact while its parts are collected.
#[derive(Debug, Default)]
struct ContactDraft<'a> {
    email: Option<&'a str>,
    names: Vec<&'a str>,
    organization: Option<&'a str>,
}

impl<'a> ContactDraft<'a> {
    fn take(&mut self, token: &Token<'a>) -> Result<(), ArgumentError> {
        let (text, is_name) = match *token {
            Token::Word(text) | Token::Quoted(text) => (text, true),
            Token::Angle(text) | Token::Bracket(text) => (text, false),
            Token::Separator => return Ok(()),
        };
        // Also without brackets: whoever leaves them out means no name of a person.
        if let Some(organization) = strip_key(text, "organization:") {
            return self.take_organization(organization);
        }
        if let Some(email) = email(text) {
            return self.take_email(email, matches!(token, Token::Angle(_)));
        }
        if !is_name {
            return Err(ArgumentError::Unexpected(text.to_owned()));
        }
        self.names
            .extend(Some(text).filter(|text| !text.is_empty()));
        Ok(())
    }

    fn take_organization(&mut self, name: &'a str) -> Result<(), ArgumentError> {
        let name = unquoted(name);
        if name.is_empty() {
            return Err(ArgumentError::MissingOrganization);
        }
        match self.organization.replace(name) {
            None => Ok(()),
            Some(_) => Err(ArgumentError::Unexpected(name.to_owned())),
        }
    }

    /// Takes the address; only in the form `First Last <EMAIL>` may it follow the name.
    fn take_email(&mut self, email: &'a str, in_angles: bool) -> Result<(), ArgumentError> {
        if let Some(first) = self
            .names
            .first()
            .filter(|_| self.email.is_none() && !in_angles)
        {
            return Err(ArgumentError::NotAnEmail((*first).to_owned()));
        }
        match self.email.replace(email) {
            None => Ok(()),
            Some(_) => Err(ArgumentError::Unexpected(email.to_owned())),
        }
    }

    fn finish(self) -> Result<NewContact, ArgumentError> {
        let Some(email) = self.email else {
            return Err(match self.names.first() {
                Some(word) => ArgumentError::NotAnEmail((*word).to_owned()),
                None => ArgumentError::MissingEmail,
            });
        };
        let (first_name, last_names) =
            self.names.split_first().ok_or(ArgumentError::MissingName)?;
        if last_names.is_empty() {
            return Err(ArgumentError::MissingLastName);
        }
        Ok(NewContact {
            email: email.to_owned(),
            first_name: (*first_name).to_owned(),
            last_name: last_names.join(" "),
            organization: self.organization.map(ToOwned::to_owned),
        })
    }
}

/// Returns the address that a token stands for, without `mailto:`, `contact:` and the punctuation
/// that ends a sentence.
pub(super) fn email(token: &str) -> Option<&str> {
    let text = unquoted(token);
    let text = match strip_key(text, "mailto:") {
        Some(address) => address.split('?').next().unwrap_or(address),
        None => strip_key(text, "contact:").unwrap_or(text),
    };
    let text = unquoted(text).trim_end_matches(['.', ',', ';', '!']);
    is_email_address(text).then_some(text)
}

/// Returns the text after `key`, without regard to ASCII case.
fn strip_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(key.len())?;
    start.eq_ignore_ascii_case(key).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_in_every_form() {
        // What is no address is written with a leading `!`.
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" , ; \t", &[]),
            ("ann@example.com", &["ann@example.com"]),
            ("  ann@example.com  ", &["ann@example.com"]),
            ("[contact:ann@example.com]", &["ann@example.com"]),
            ("[CONTACT: ann@example.com ]", &["ann@example.com"]),
            ("[\"contact:ann@example.com\"]", &["ann@example.com"]),
            (
                r"\[contact:ann\_lee@example.com\]",
                &["ann_lee@example.com"],
            ),
            (
                "[ann@example.com](mailto:ann@example.com)",
                &["ann@example.com"],
            ),
            ("<ann@example.com>", &["ann@example.com"]),
            ("<mailto:ann@example.com>", &["ann@example.com"]),
            ("MailTo:ann@example.com?subject=x", &["ann@example.com"]),
            ("Ann Lee <ann@example.com>", &["ann@example.com"]),
            ("\"Lee, Ann\" <ann@example.com>", &["ann@example.com"]),
            ("\"ann@example.com\"", &["ann@example.com"]),
            ("Bob<bob@example.org>", &["bob@example.org"]),
            ("a@x.org b@x.org", &["a@x.org", "b@x.org"]),
            (
                "a@x.org,b@x.org;c@x.org",
                &["a@x.org", "b@x.org", "c@x.org"],
            ),
            (
                "[contact:a@x.org][contact:b@x.org]",
                &["a@x.org", "b@x.org"],
            ),
            (
                "a@x.org Ann Lee <b@x.org> c@x.org",
                &["a@x.org", "b@x.org", "c@x.org"],
            ),
            ("A@X.org a@x.ORG", &["A@X.org"]),
            ("a@x.org.", &["a@x.org"]),
            ("ann", &["!ann"]),
            ("ann, Bob <b@x.org>", &["!ann", "b@x.org"]),
            ("@ann b@x.org oops Oops", &["!@ann", "b@x.org", "!oops"]),
            ("a@@x Bob <b@x.org>", &["!a@@x", "b@x.org"]),
            ("[contact:ann]", &["!contact:ann"]),
            ("[]", &[]),
            ("Bob <ann>", &["!Bob", "!ann"]),
            ("[a@x.org", &["![a@x.org"]),
            ("@ a@ @b a@b@c", &["!@", "!a@", "!@b", "!a@b@c"]),
            (
                "a@-x.org a@x-.org a@x..org a@.org",
                &["!a@-x.org", "!a@x-.org", "!a@x..org", "!a@.org"],
            ),
            ("o'neil+crm@example.com", &["o'neil+crm@example.com"]),
            ("jörg@münchen.example", &["jörg@münchen.example"]),
            ("a@localhost", &["a@localhost"]),
            ("a\u{202e}b@x.org", &["!a\u{202e}b@x.org"]),
            ("a\0b@x.org", &["!a\0b@x.org"]),
        ];
        for (argument, expected) in cases {
            let found = contacts(argument);
            let shown: Vec<_> = found
                .iter()
                .map(|contact| match contact {
                    ContactRef::Email(text) => text.clone(),
                    ContactRef::NotAnEmail(text) => format!("!{text}"),
                })
                .collect();
            assert_eq!(&shown, expected, "{argument:?}");
        }
    }

    #[test]
    fn an_address_has_at_most_255_characters() {
        let longest = format!("{}@example.com", "a".repeat(243));
        assert_eq!(contacts(&longest), [ContactRef::Email(longest.clone())]);
        let longer = format!("a{longest}");
        assert_eq!(contacts(&longer), [ContactRef::NotAnEmail(longer.clone())]);
    }

    #[test]
    fn creates_contacts() {
        let cases = [
            ("ann@example.com Ann Lee", ("Ann", "Lee", None)),
            (
                "  <ann@example.com>  Ann   van  Lee ",
                ("Ann", "van Lee", None),
            ),
            ("[contact:ann@example.com] Ann Lee", ("Ann", "Lee", None)),
            ("Ann Lee <ann@example.com>", ("Ann", "Lee", None)),
            (
                "ann@example.com \"Mary Ann\" Lee",
                ("Mary Ann", "Lee", None),
            ),
            ("ann@example.com Ann King, Jr.", ("Ann", "King, Jr.", None)),
            ("ann@example.com, Ann Lee", ("Ann", "Lee", None)),
            (
                "ann@example.com Ann Lee [organization:Acme Corp]",
                ("Ann", "Lee", Some("Acme Corp")),
            ),
            (
                "[\"organization:Acme\"] ann@example.com Ann Lee",
                ("Ann", "Lee", Some("Acme")),
            ),
            (
                "ann@example.com [Organization: \"Acme\" ] Ann Lee",
                ("Ann", "Lee", Some("Acme")),
            ),
            (
                r"ann@example.com Ann Lee \[organization:Acme\]",
                ("Ann", "Lee", Some("Acme")),
            ),
            (
                "ann@example.com Ann Lee organization:Acme",
                ("Ann", "Lee", Some("Acme")),
            ),
        ];
        for (argument, (first_name, last_name, organization)) in cases {
            let expected = NewContact {
                email: "ann@example.com".to_owned(),
                first_name: first_name.to_owned(),
                last_name: last_name.to_owned(),
                organization: organization.map(ToOwned::to_owned),
            };
            assert_eq!(create_contact(argument), Ok(expected), "{argument:?}");
        }
    }

    #[test]
    fn says_what_is_missing() {
        let usage = "Usage: `create_contact EMAIL First Last [organization:NAME]`";
        let cases = [
            ("", "An e-mail address is missing."),
            ("[organization:Acme]", "An e-mail address is missing."),
            ("Ann Lee", "`Ann` is not an e-mail address."),
            ("a@@b Ann Lee", "`a@@b` is not an e-mail address."),
            ("Ann ann@example.com", "`Ann` is not an e-mail address."),
            ("ann@example.com", "The first and last name are missing."),
            (
                "ann@example.com \"\"",
                "The first and last name are missing.",
            ),
            ("ann@example.com Ann", "The last name is missing."),
            (
                "ann@example.com Ann Lee [organization:]",
                "The name of the organization is missing.",
            ),
            (
                "ann@example.com Ann Lee [deal:4]",
                "`deal:4` is not expected here.",
            ),
            (
                "ann@example.com Ann Lee b@x.org",
                "`b@x.org` is not expected here.",
            ),
            (
                "ann@example.com Ann [organization:A] [organization:B`] Lee",
                "`` B` `` is not expected here.",
            ),
        ];
        for (argument, sentence) in cases {
            let error = create_contact(argument).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{sentence} {usage}"),
                "{argument:?}"
            );
        }
    }

    #[test]
    fn the_catalogue_shows_valid_examples() {
        for example in CommandName::CreateContact.spec().examples {
            assert!(create_contact(example).is_ok(), "{example}");
        }
        for name in [CommandName::AddContacts, CommandName::RemoveContacts] {
            for contact in name.spec().examples.iter().flat_map(|e| contacts(e)) {
                assert!(matches!(contact, ContactRef::Email(_)), "{contact:?}");
            }
        }
    }
}
