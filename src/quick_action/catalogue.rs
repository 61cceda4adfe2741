//! The catalogue of commands: the one table that feeds the parser, the help, the documentation page
//! and the command lists of messengers.
//!
//! A new command is one variant and one row. What a command does is decided elsewhere.

/// The most characters of a word for which a near command is looked for.
const MAX_NEAR_WORD: usize = 40;

/// The fewest characters that name a command by its beginning.
const MIN_PREFIX: usize = 3;

/// A command that Liaison knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandName {
    /// Relates contacts to the issue.
    AddContacts,
    /// Takes contacts off the issue.
    RemoveContacts,
    /// Lists the contacts.
    Contacts,
    /// Creates a contact and relates it to the issue.
    CreateContact,
    /// Adds observers to items.
    AddObservers,
    /// Removes observers of items.
    RemoveObservers,
    /// Lists the observers of items.
    Observers,
    /// Makes a person responsible for items.
    Responsible,
    /// Relates an item to the issue.
    LinkItem,
    /// Takes an item off the issue.
    UnlinkItem,
    /// Creates the chat of an item.
    CreateChat,
    /// Takes back the person's last command.
    Undo,
    /// Explains the commands.
    Help,
}

/// One row of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// The command.
    pub name: CommandName,
    /// The word that people type, in lower case.
    pub word: &'static str,
    /// The parameters as shown after the word; empty when it takes none.
    pub parameters: &'static str,
    /// What the command does: one sentence for lists.
    pub summary: &'static str,
    /// What else one should know, in Markdown; empty when the summary says all.
    pub detail: &'static str,
    /// Arguments that may be typed as they stand.
    pub examples: &'static [&'static str],
}

/// Every command, in the order in which help shows them.
pub static CATALOGUE: [Spec; 13] = [
    Spec {
        name: CommandName::AddContacts,
        word: "add_contacts",
        parameters: "CONTACT…",
        summary: "Relates contacts to the issue.",
        detail: "A contact is an e-mail address, `[contact:ADDRESS]` or `Name <ADDRESS>`, \
                 separated by blanks or commas. Inactive contacts cannot be added.",
        examples: &[
            "ann@example.com",
            "[contact:ann@example.com] Bob Stone <bob@example.org>",
        ],
    },
    Spec {
        name: CommandName::RemoveContacts,
        word: "remove_contacts",
        parameters: "CONTACT…",
        summary: "Takes contacts off the issue.",
        detail: "Contacts are written as for `add_contacts`.",
        examples: &["ann@example.com"],
    },
    Spec {
        name: CommandName::Contacts,
        word: "contacts",
        parameters: "",
        summary: "Lists the issue's contacts.",
        detail: "",
        examples: &[],
    },
    Spec {
        name: CommandName::CreateContact,
        word: "create_contact",
        parameters: "EMAIL First Last [organization:NAME]",
        summary: "Creates a contact and relates it to the issue.",
        detail: "The first word after the address is the first name, the rest the last name; \
                 quote a first name of several words. Needs the Developer role.",
        examples: &[
            "ann@example.com Ann Lee",
            "ann@example.com \"Mary Ann\" Lee [organization:Acme Corp]",
        ],
    },
    Spec {
        name: CommandName::AddObservers,
        word: "add_observers",
        parameters: "PERSON… [ITEM]",
        summary: "Adds observers to an item: they may read it and take part in its chat.",
        detail: "A person is `@username` or an e-mail address. An item is `[deal:42]`, `[lead:7]`, `[invoice:9]`, `[item:123]`, \
                 `[contact:ADDRESS]` or `[organization:NAME]`; without one, all items of the issue are meant, and in the chat of an item \
                 that one. Needs the Developer role, or to be responsible for the item.",
        examples: &["@ann @bob [deal:42]", "ann@example.com"],
    },
    Spec {
        name: CommandName::RemoveObservers,
        word: "remove_observers",
        parameters: "PERSON… [ITEM]",
        summary: "Removes observers of an item, also from its chat.",
        detail: "People and items are written as for `add_observers`.",
        examples: &["@ann [deal:42]"],
    },
    Spec {
        name: CommandName::Observers,
        word: "observers",
        parameters: "[ITEM]",
        summary: "Lists who observes an item and who is responsible for it.",
        detail: "",
        examples: &["[deal:42]"],
    },
    Spec {
        name: CommandName::Responsible,
        word: "responsible",
        parameters: "PERSON [ITEM]",
        summary: "Makes a person responsible for an item.",
        detail: "Needs the Developer role.",
        examples: &["@ann [deal:42]"],
    },
    Spec {
        name: CommandName::LinkItem,
        word: "link_item",
        parameters: "ITEM",
        summary: "Relates an item to the issue.",
        detail: "",
        examples: &["[deal:42]"],
    },
    Spec {
        name: CommandName::UnlinkItem,
        word: "unlink_item",
        parameters: "ITEM",
        summary: "Takes an item off the issue.",
        detail: "",
        examples: &["[deal:42]"],
    },
    Spec {
        name: CommandName::CreateChat,
        word: "create_chat",
        parameters: "[ITEM]",
        summary: "Creates the chat of an item, with its responsible and its observers.",
        detail: "",
        examples: &["[deal:42]"],
    },
    Spec {
        name: CommandName::Undo,
        word: "undo",
        parameters: "",
        summary: "Takes back what your last command here did.",
        detail: "",
        examples: &[],
    },
    Spec {
        name: CommandName::Help,
        word: "help",
        parameters: "[COMMAND]",
        summary: "Explains the commands, or one of them.",
        detail: "",
        examples: &["add_contacts"],
    },
];

impl CommandName {
    /// Returns the command's row of the catalogue.
    pub fn spec(self) -> &'static Spec {
        let [first, ..] = &CATALOGUE;
        let row = CATALOGUE.iter().find(|spec| spec.name == self);
        // Every command has its row: a test holds that.
        row.unwrap_or(first)
    }

    /// Returns the word that people type for the command.
    pub fn word(self) -> &'static str {
        self.spec().word
    }

    /// Returns the command of this word, without regard to ASCII case.
    pub fn from_word(word: &str) -> Option<Self> {
        CATALOGUE
            .iter()
            .find(|spec| spec.word.eq_ignore_ascii_case(word))
            .map(|spec| spec.name)
    }

    /// Returns the command that a person who typed `word` probably meant, if one is close.
    ///
    /// Close is a few slips of the keyboard, the more the longer the command's word is, or a whole
    /// first part of it: `add` is close to `add_contacts`.
    pub fn nearest(word: &str) -> Option<Self> {
        if word.chars().count() > MAX_NEAR_WORD {
            return None;
        }
        let typed = word.to_lowercase().replace('-', "_");
        let slips = CATALOGUE
            .iter()
            .map(|spec| (strsim::osa_distance(spec.word, &typed), spec))
            .filter(|(distance, spec)| *distance <= tolerated_slips(spec.word))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, spec)| spec.name);
        slips.or_else(|| {
            let is_first_part = |spec: &&Spec| {
                let rest = spec.word.strip_prefix(typed.as_str());
                typed.len() >= MIN_PREFIX && rest.is_some_and(|rest| rest.starts_with('_'))
            };
            CATALOGUE.iter().find(is_first_part).map(|spec| spec.name)
        })
    }
}

/// Returns how many slips still leave `word` recognisable: one in four letters, at least one.
fn tolerated_slips(word: &str) -> usize {
    (word.len() / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_one_row() {
        use CommandName::*;
        for name in [
            AddContacts,
            RemoveContacts,
            Contacts,
            CreateContact,
            AddObservers,
            RemoveObservers,
            Observers,
            Responsible,
            LinkItem,
            UnlinkItem,
            CreateChat,
            Undo,
            Help,
        ] {
            assert_eq!(name.spec().name, name);
            assert_eq!(CommandName::from_word(name.word()), Some(name));
            let rows = CATALOGUE.iter().filter(|spec| spec.word == name.word());
            assert_eq!(rows.count(), 1, "{name:?}");
        }
    }

    #[test]
    fn words_are_typable_in_every_spelling() {
        for spec in &CATALOGUE {
            assert!(
                spec.word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_'),
                "{}",
                spec.word
            );
            assert!(spec.summary.ends_with('.'), "{}", spec.word);
        }
    }

    #[test]
    fn nearest_is_reasonable() {
        let cases = [
            ("add_contact", Some(CommandName::AddContacts)),
            ("addcontacts", Some(CommandName::AddContacts)),
            ("ADD-CONTACTS", Some(CommandName::AddContacts)),
            ("add", Some(CommandName::AddContacts)),
            ("remove", Some(CommandName::RemoveContacts)),
            ("contact", Some(CommandName::Contacts)),
            ("create_contacts", Some(CommandName::CreateContact)),
            ("observer", Some(CommandName::Observers)),
            ("add_observer", Some(CommandName::AddObservers)),
            ("hlep", Some(CommandName::Help)),
            ("und", Some(CommandName::Undo)),
            ("thanks", None),
            ("hello", None),
            ("ad", None),
            ("", None),
            ("please", None),
            ("контакты", None),
        ];
        for (word, nearest) in cases {
            assert_eq!(CommandName::nearest(word), nearest, "{word}");
        }
        assert_eq!(CommandName::nearest(&"a".repeat(100_000)), None);
    }
}
