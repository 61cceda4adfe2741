//! Contacts and organizations as files have them: CSV and vCard, read and printed.
//!
//! What is read is what the file says, cell by cell; whether it makes a contact is the domain's business. Readers take any
//! [`std::io::Read`] and keep no more than one row, so that a file may be larger than memory. This room does no I/O of its own.

mod card;
mod formula;
mod name;
mod row;
mod source;
mod table;

use std::io::Read;

pub use card::{Cards, write_card};
pub use row::{ContactRow, OrganizationRow, Record, Row, RowError};
pub use table::{Table, TableWriter};

use source::{Source, TooLong};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a line of titles (RFC 4180).
    Csv,
    /// vCard 4.0 (RFC 6350).
    VCard,
}

/// Why a file cannot be read on; what was read before is good.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file itself could not be read.
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// The titles are not text.
    #[error("the first line is not text in UTF-8: save the file as \"CSV UTF-8\"")]
    TitlesNotText,
    /// A column that every row needs is not there.
    #[error(
        "there is no column \"{title}\": the first line has to name the columns, and this one is needed"
    )]
    NoColumn {
        /// Its title.
        title: &'static str,
    },
    /// Two columns mean the same.
    #[error("the columns \"{first}\" and \"{second}\" mean the same: keep one of them")]
    SameColumn {
        /// Title of the one.
        first: String,
        /// Title of the other.
        second: String,
    },
    /// More columns than any list of contacts has.
    #[error("there are {columns} columns; at most {} are read", table::MAX_COLUMNS)]
    TooManyColumns {
        /// How many there are.
        columns: usize,
    },
    /// A row that does not end.
    #[error("the row that begins at line {line} is longer than {} KiB: is a quotation mark not closed?", limit >> 10)]
    TooLong {
        /// Where it begins.
        line: u64,
        /// What is read of one row at most, in bytes.
        limit: usize,
    },
}

/// Contacts of a file whose format was found by looking.
#[derive(Debug)]
pub enum Contacts<R> {
    /// It is CSV.
    Table(Table<R, ContactRow>),
    /// It is vCard.
    Cards(Cards<R>),
}

impl<R: Read> Contacts<R> {
    /// Returns a reader for contacts in either format: a vCard says so in its first line.
    ///
    /// # Errors
    /// Fails where [`Table::open`] does.
    pub fn open(reader: R) -> Result<Self, FileError> {
        let mut source = Source::open(reader)?;
        let head = source.head()?.trim_ascii_start();
        let begins = head.get(..11).unwrap_or_default();
        if begins.eq_ignore_ascii_case(b"BEGIN:VCARD") {
            Ok(Self::Cards(Cards::new(source)))
        } else {
            Table::new(source).map(Self::Table)
        }
    }

    /// Returns the titles of columns that mean nothing here.
    pub fn unknown_columns(&self) -> &[String] {
        match self {
            Self::Table(table) => table.unknown_columns(),
            Self::Cards(_) => &[],
        }
    }
}

impl<R: Read> Iterator for Contacts<R> {
    type Item = Result<Row<ContactRow>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Table(table) => table.next(),
            Self::Cards(cards) => cards.next(),
        }
    }
}

/// Tells a row that does not end from a file that cannot be read.
fn read_error(error: std::io::Error, line: u64, limit: usize) -> FileError {
    match error.get_ref() {
        Some(inner) if inner.is::<TooLong>() => FileError::TooLong { line, limit },
        _ => FileError::Io(error),
    }
}

#[cfg(test)]
mod tests;
