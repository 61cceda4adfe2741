//! What a row of a file holds, and how its columns are called.

use super::name;

/// Longest cell that is handed on, in bytes. Every field has a smaller limit of its own; this one bounds what a row takes in memory.
pub(super) const MAX_CELL: usize = 16 << 10;

/// A row of a file: where it begins and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<T> {
    /// Line where it begins, from 1.
    pub line: u64,
    /// What it says, or why that is not known.
    pub content: Result<T, RowError>,
}

/// Why a row cannot be read; the rows after it can. The texts quote nothing of the row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A cell that is not UTF-8.
    #[error("{column} is not text in UTF-8")]
    NotText {
        /// Title of the column.
        column: String,
    },
    /// A cell with a character that no text has.
    #[error("{column} contains a NUL character")]
    Nul {
        /// Title of the column.
        column: String,
    },
    /// A cell that is longer than any field may be.
    #[error("{column} is too long (maximum is {} KiB)", MAX_CELL >> 10)]
    TooLong {
        /// Title of the column.
        column: &'static str,
    },
    /// More cells than there are titles.
    #[error("there are {cells} cells in {titles} columns: is a separator not quoted?")]
    TooManyCells {
        /// Cells of the row.
        cells: usize,
        /// Columns of the file.
        titles: usize,
    },
    /// A state that is none.
    #[error("State is neither \"active\" nor \"inactive\"")]
    BadState,
    /// Bytes that are not UTF-8, within a card.
    #[error("line {line} is not text in UTF-8")]
    LineNotText {
        /// The line.
        line: u64,
    },
    /// A NUL within a card.
    #[error("line {line} contains a NUL character")]
    LineNul {
        /// The line.
        line: u64,
    },
    /// A line that belongs to no card.
    #[error("there is text outside of a card: a card begins with BEGIN:VCARD")]
    OutsideCard,
    /// A card that goes on where the next begins.
    #[error("the card does not end: END:VCARD is missing")]
    OpenCard,
    /// The way in which version 2.1 wrote text.
    #[error("the card is in the quoted-printable form of vCard 2.1: export it as vCard 3.0 or 4.0")]
    QuotedPrintable,
    /// A card that does not read as one.
    #[error("the card is not as vCard 3.0 or 4.0 describes it")]
    BadCard,
    /// A card of a company or a list.
    #[error("the card is not of a person")]
    NotAPerson,
}

/// A contact as a file has it: nothing is trimmed or checked, and what is empty was not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactRow {
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address.
    pub email: String,
    /// Phone number.
    pub phone: String,
    /// Name of the organization.
    pub organization: String,
    /// Description.
    pub description: String,
    /// Whether it is active.
    pub active: Option<bool>,
}

/// An organization as a file has it: nothing is trimmed or checked, and what is empty was not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganizationRow {
    /// Name.
    pub name: String,
    /// Default rate, in digits.
    pub default_rate: String,
    /// Description.
    pub description: String,
    /// Whether it is active.
    pub active: Option<bool>,
}

/// A column of a table: its titles, and how a cell goes into a row and out of it.
#[derive(Debug)]
pub struct Column<T> {
    /// Title, as it is printed and as messages name it.
    pub(super) title: &'static str,
    /// Other titles that mean the same, in lower case and without what [`plain`] leaves out.
    pub(super) also: &'static [&'static str],
    pub(super) put: fn(&mut T, String) -> Result<(), RowError>,
    /// How the cell is printed; none for a column that is read only.
    pub(super) get: Option<fn(&T) -> &str>,
}

/// Something that a row of a table describes.
pub trait Record: Default + 'static {
    /// Its columns, in the order in which they are printed.
    const COLUMNS: &'static [Column<Self>];
    /// Columns that have to be there: one of each set.
    const NEEDS: &'static [&'static [&'static str]];
}

/// Returns a title as it is compared: without regard to case, blanks and what joins words.
pub(super) fn plain(title: &str) -> String {
    title
        .chars()
        .filter(|char| char.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

impl<T> Column<T> {
    /// Returns whether a title, made [`plain`], is this column's.
    pub(super) fn is_called(&self, title: &str) -> bool {
        plain(self.title) == title || self.also.contains(&title)
    }
}

const ORGANIZATION_NAMES: &[&str] = &["organisation", "company", "organizationname", "companyname"];
const STATES: &[&str] = &["active", "status"];
const DESCRIPTIONS: &[&str] = &["note", "notes", "comment", "comments"];

impl Record for ContactRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            title: "First name",
            also: &["givenname", "forename"],
            put: |row, cell| fill(&mut row.first_name, cell),
            get: Some(|row| &row.first_name),
        },
        Column {
            title: "Last name",
            also: &["familyname", "surname"],
            put: |row, cell| fill(&mut row.last_name, cell),
            get: Some(|row| &row.last_name),
        },
        Column {
            title: "Name",
            also: &["fullname", "displayname"],
            put: |row, cell| {
                row.name_if_blank(&cell);
                Ok(())
            },
            get: None,
        },
        Column {
            title: "Email",
            also: &["emailaddress", "mail", "email1value", "emailaddress1"],
            put: |row, cell| fill(&mut row.email, cell),
            get: Some(|row| &row.email),
        },
        Column {
            title: "Phone",
            also: &["phonenumber", "telephone", "tel", "phone1value"],
            put: |row, cell| fill(&mut row.phone, cell),
            get: Some(|row| &row.phone),
        },
        Column {
            title: "Organization",
            also: ORGANIZATION_NAMES,
            put: |row, cell| fill(&mut row.organization, cell),
            get: Some(|row| &row.organization),
        },
        Column {
            title: "Description",
            also: DESCRIPTIONS,
            put: |row, cell| fill(&mut row.description, cell),
            get: Some(|row| &row.description),
        },
        Column {
            title: "State",
            also: STATES,
            put: |row, cell| state(&cell).map(|active| row.active = active),
            get: Some(|row| state_word(row.active)),
        },
    ];
    const NEEDS: &'static [&'static [&'static str]] =
        &[&["First name", "Name"], &["Last name", "Name"]];
}

impl Record for OrganizationRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            title: "Name",
            also: &[
                "organization",
                "organisation",
                "company",
                "organizationname",
                "companyname",
            ],
            put: |row, cell| fill(&mut row.name, cell),
            get: Some(|row| &row.name),
        },
        Column {
            title: "Default rate",
            also: &["rate"],
            put: |row, cell| fill(&mut row.default_rate, cell),
            get: Some(|row| &row.default_rate),
        },
        Column {
            title: "Description",
            also: DESCRIPTIONS,
            put: |row, cell| fill(&mut row.description, cell),
            get: Some(|row| &row.description),
        },
        Column {
            title: "State",
            also: STATES,
            put: |row, cell| state(&cell).map(|active| row.active = active),
            get: Some(|row| state_word(row.active)),
        },
    ];
    const NEEDS: &'static [&'static [&'static str]] = &[&["Name"]];
}

impl ContactRow {
    /// Takes the names that are not known yet from a whole name.
    pub(super) fn name_if_blank(&mut self, whole: &str) {
        let (first, last) = name::split(whole);
        for (field, part) in [(&mut self.first_name, first), (&mut self.last_name, last)] {
            if field.trim().is_empty() {
                part.clone_into(field);
            }
        }
    }
}

/// Sets a field, but leaves it where an empty cell would take away what another column said.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a column's cell may be refused; these never are"
)]
fn fill(field: &mut String, cell: String) -> Result<(), RowError> {
    if field.is_empty() || !cell.trim().is_empty() {
        *field = cell;
    }
    Ok(())
}

/// Reads a state in the words that lists of contacts use.
pub(super) fn state(cell: &str) -> Result<Option<bool>, RowError> {
    match plain(cell).as_str() {
        "" => Ok(None),
        "active" | "yes" | "true" | "1" | "y" => Ok(Some(true)),
        "inactive" | "no" | "false" | "0" | "n" => Ok(Some(false)),
        _ => Err(RowError::BadState),
    }
}

/// Returns the word for a state, empty for one that is not known.
pub(super) fn state_word(active: Option<bool>) -> &'static str {
    match active {
        Some(true) => "active",
        Some(false) => "inactive",
        None => "",
    }
}
