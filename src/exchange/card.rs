//! vCard: 3.0 (RFC 2426) and 4.0 (RFC 6350) are read, 4.0 is printed.
//!
//! A file is taken apart into cards here, so that each is named by its line and none is held in memory longer than it takes to read it;
//! what a card says is the vCard parser's business.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
};

use calcard::{
    Entry, Parser,
    vcard::{
        VCard, VCardEntry, VCardKind, VCardParameter, VCardParameterName, VCardParameterValue,
        VCardProperty, VCardValue, VCardVersion,
    },
};

use super::{
    ContactRow, FileError, Record, Row, RowError, Source, read_error,
    row::{self, Column, MAX_CELL},
};

/// What is read of one card at most, in bytes: photos stand within.
const MAX_CARD: usize = 16 << 20;
/// The property by which an inactive contact is known; vCard has no word for it.
const STATE: &str = "X-LIAISON-STATE";

/// The contacts of a vCard file.
#[derive(Debug)]
pub struct Cards<R> {
    lines: BufReader<Source<R>>,
    /// Lines read so far.
    line: u64,
    /// Line where the next card begins, where that was seen already.
    begun: Option<u64>,
    ended: bool,
}

/// A card while its lines are collected.
#[derive(Debug)]
struct Open {
    begins: u64,
    text: String,
    wrong: Option<RowError>,
}

impl<R: Read> Cards<R> {
    pub(super) fn new(source: Source<R>) -> Self {
        Self {
            lines: BufReader::new(source),
            line: 0,
            begun: None,
            ended: false,
        }
    }

    /// Reads to the end of the next card.
    fn advance(&mut self) -> Result<Option<Row<ContactRow>>, FileError> {
        self.lines.get_mut().allow(MAX_CARD);
        let mut open = self.begun.take().map(Open::at);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let begins = open.as_ref().map_or(self.line + 1, |open| open.begins);
            let read = self
                .lines
                .read_until(b'\n', &mut bytes)
                .map_err(|error| read_error(error, begins, MAX_CARD))?;
            if read == 0 {
                let row = |open: Open| Row {
                    line: open.begins,
                    content: Err(RowError::OpenCard),
                };
                return Ok(open.map(row));
            }
            self.line += 1;
            let is = |word: &str| bytes.trim_ascii().eq_ignore_ascii_case(word.as_bytes());
            if is("BEGIN:VCARD") {
                let Some(open) = open.replace(Open::at(self.line)) else {
                    continue;
                };
                self.begun = Some(self.line);
                return Ok(Some(Row {
                    line: open.begins,
                    content: Err(RowError::OpenCard),
                }));
            }
            match &mut open {
                Some(card) => card.push(self.line, &bytes),
                None if bytes.trim_ascii().is_empty() => continue,
                None => {
                    return Ok(Some(Row {
                        line: self.line,
                        content: Err(RowError::OutsideCard),
                    }));
                }
            }
            if is("END:VCARD") {
                return Ok(open.map(Open::close));
            }
        }
    }
}

impl<R: Read> Iterator for Cards<R> {
    type Item = Result<Row<ContactRow>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.advance();
        self.ended = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

impl Open {
    fn at(begins: u64) -> Self {
        Self {
            begins,
            text: "BEGIN:VCARD\r\n".to_owned(),
            wrong: None,
        }
    }

    fn push(&mut self, line: u64, bytes: &[u8]) {
        let wrong = match std::str::from_utf8(bytes) {
            Err(_) => Some(RowError::LineNotText { line }),
            Ok(text) if text.contains('\0') => Some(RowError::LineNul { line }),
            Ok(text) if is_quoted_printable(text) => Some(RowError::QuotedPrintable),
            Ok(text) => {
                self.text.push_str(text);
                None
            }
        };
        self.wrong = self.wrong.take().or(wrong);
    }

    fn close(self) -> Row<ContactRow> {
        let content = match self.wrong {
            Some(wrong) => Err(wrong),
            None => parse(&self.text),
        };
        Row {
            line: self.begins,
            content,
        }
    }
}

/// Returns whether the property of a line is written as version 2.1 writes what is not ASCII.
fn is_quoted_printable(line: &str) -> bool {
    // A line that goes on with the one before begins with a blank.
    let is_property = line.starts_with(char::is_alphanumeric);
    let before = line.split_once(':').filter(|_| is_property);
    let before = before.map_or("", |(before, _)| before);
    before
        .split(';')
        .skip(1)
        .any(|parameter| parameter.to_ascii_uppercase().ends_with("QUOTED-PRINTABLE"))
}

fn parse(text: &str) -> Result<ContactRow, RowError> {
    let Entry::VCard(card) = Parser::new(text).entry() else {
        return Err(RowError::BadCard);
    };
    let of = |property: VCardProperty| {
        card.entries
            .iter()
            .filter(move |entry| entry.name == property)
    };
    let is_person = of(VCardProperty::Kind).all(|kind| {
        kind.values
            .iter()
            .all(|value| matches!(value, VCardValue::Kind(VCardKind::Individual)))
    });
    if !is_person {
        return Err(RowError::NotAPerson);
    }
    let mut row = ContactRow::default();
    if let Some(name) = of(VCardProperty::N).next() {
        // Family; given; additional; before; after (RFC 6350 6.2.2).
        row.last_name = component(name, 0);
        let given = [component(name, 1), component(name, 2)];
        given.join(" ").trim().clone_into(&mut row.first_name);
    }
    if let Some(whole) = of(VCardProperty::Fn).next() {
        row.name_if_blank(&component(whole, 0));
    }
    if let Some(email) = of(VCardProperty::Email).min_by_key(|entry| preference(entry)) {
        row.email = component(email, 0);
    }
    if let Some(phone) = of(VCardProperty::Tel).min_by_key(|entry| preference(entry)) {
        let number = component(phone, 0);
        let digits = number.strip_prefix("tel:").unwrap_or(&number);
        digits.clone_into(&mut row.phone);
    }
    if let Some(organization) = of(VCardProperty::Org).next() {
        row.organization = component(organization, 0);
    }
    let notes: Vec<String> = of(VCardProperty::Note)
        .map(|note| component(note, 0))
        .collect();
    row.description = notes.join("\n");
    if let Some(state) = of(VCardProperty::Other(STATE.to_owned())).next() {
        row.active = row::state(&component(state, 0))?;
    }
    let get = |column: &'static Column<ContactRow>| Some((column.title, column.get?));
    for (column, get) in ContactRow::COLUMNS.iter().filter_map(get) {
        if get(&row).len() > MAX_CELL {
            return Err(RowError::TooLong { column });
        }
    }
    Ok(row)
}

/// Returns one part of a property's value; a part of several words has blanks between them.
fn component(entry: &VCardEntry, index: usize) -> String {
    match entry.values.get(index) {
        Some(VCardValue::Text(text)) => text.clone(),
        Some(VCardValue::Component(words)) => words.join(" "),
        _ => String::new(),
    }
}

/// Returns where a property stands among its like: 1 for the preferred one (RFC 6350 5.3), last where nothing is said.
fn preference(entry: &VCardEntry) -> u32 {
    let rank = |parameter: &VCardParameter| match (&parameter.name, &parameter.value) {
        (VCardParameterName::Pref, VCardParameterValue::Integer(rank)) => Some(*rank),
        // The way of 3.0 (RFC 2426 3.3.2).
        (VCardParameterName::Type, VCardParameterValue::Text(word)) => {
            word.eq_ignore_ascii_case("pref").then_some(1)
        }
        _ => None,
    };
    entry
        .params
        .iter()
        .filter_map(rank)
        .min()
        .unwrap_or(u32::MAX)
}

/// Prints a contact as a card.
///
/// # Errors
/// Fails only where `out` does.
pub fn write_card(out: &mut impl fmt::Write, row: &ContactRow) -> fmt::Result {
    let whole = format!("{} {}", row.first_name, row.last_name);
    let name = [&row.last_name, &row.first_name, "", "", ""].map(text);
    let mut card = VCard {
        entries: vec![
            VCardEntry::new(VCardProperty::Fn).with_value(text(&whole)),
            VCardEntry::new(VCardProperty::N).with_values(name.to_vec()),
        ],
    };
    for (property, value) in [
        (VCardProperty::Email, &row.email),
        (VCardProperty::Tel, &row.phone),
        (VCardProperty::Org, &row.organization),
        (VCardProperty::Note, &row.description),
    ] {
        if !value.is_empty() {
            let entry = VCardEntry::new(property).with_value(text(value));
            card.entries.push(entry);
        }
    }
    if row.active == Some(false) {
        let state = VCardEntry::new(VCardProperty::Other(STATE.to_owned()));
        card.entries
            .push(state.with_value(text(row::state_word(row.active))));
    }
    card.write_to(out, VCardVersion::V4_0)
}

fn text(value: &str) -> VCardValue {
    VCardValue::Text(value.to_owned())
}
