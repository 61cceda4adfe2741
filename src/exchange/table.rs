//! CSV (RFC 4180) and what spreadsheets make of it: read by its titles, printed for spreadsheets.

use std::{
    io::{self, Chain, Read, Write},
    marker::PhantomData,
};

use csv::{ByteRecord, ReaderBuilder, Terminator, WriterBuilder};

use super::{
    FileError, Row, RowError, Source, formula,
    row::{Column, MAX_CELL, Record, plain},
};

/// Most columns that are read.
pub(super) const MAX_COLUMNS: usize = 256;
/// What is read of one row at most, in bytes. All fields together have a hundredth of that.
const MAX_ROW: usize = 1 << 20;
/// What is read ahead, in bytes.
const BUFFER: usize = 64 << 10;

/// The rows of a table.
#[derive(Debug)]
pub struct Table<R, T: 'static> {
    reader: csv::Reader<Chain<Source<R>, &'static [u8]>>,
    /// What the columns of the file mean, in its order.
    columns: Vec<Option<&'static Column<T>>>,
    unknown: Vec<String>,
    record: ByteRecord,
    ended: bool,
    rows: PhantomData<T>,
}

impl<R: Read, T: Record> Table<R, T> {
    /// Returns a reader that has read the titles. Commas, semicolons and tabs separate, whichever the titles have most of.
    ///
    /// # Errors
    /// Fails on an empty file, and on titles that do not name what each row needs, or name it twice.
    pub fn open(reader: R) -> Result<Self, FileError> {
        Self::new(Source::open(reader)?)
    }

    pub(super) fn new(mut source: Source<R>) -> Result<Self, FileError> {
        let separator = separator(source.head()?);
        let reader = ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            // So that the line of each row can be told; the CR before it is taken off its last cell.
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(BUFFER)
            // The last line may lack its end.
            .from_reader(source.chain(b"\n".as_slice()));
        let mut table = Self {
            reader,
            columns: Vec::new(),
            unknown: Vec::new(),
            record: ByteRecord::new(),
            ended: false,
            rows: PhantomData,
        };
        table.read_titles()?;
        Ok(table)
    }

    /// Returns the titles of columns that mean nothing here.
    pub fn unknown_columns(&self) -> &[String] {
        &self.unknown
    }

    fn read_titles(&mut self) -> Result<(), FileError> {
        loop {
            self.advance()?.ok_or(FileError::Empty)?;
            if !self.is_blank() {
                break;
            }
        }
        if self.record.len() > MAX_COLUMNS {
            return Err(FileError::TooManyColumns {
                columns: self.record.len(),
            });
        }
        let cells: Vec<&[u8]> = cells(&self.record).collect();
        let mut titles: Vec<&str> = Vec::with_capacity(cells.len());
        for cell in cells {
            let title = std::str::from_utf8(cell).map_err(|_| FileError::TitlesNotText)?;
            if title.contains('\0') {
                return Err(FileError::TitlesNotText);
            }
            titles.push(formula::unguard(title).trim());
        }
        let mut taken: Vec<(&'static str, &str)> = Vec::new();
        for title in &titles {
            let name = plain(title);
            let column = T::COLUMNS.iter().find(|column| column.is_called(&name));
            match column {
                Some(column) => {
                    let before = taken.iter().find(|(other, _)| *other == column.title);
                    if let Some((_, first)) = before {
                        return Err(FileError::SameColumn {
                            first: (*first).to_owned(),
                            second: (*title).to_owned(),
                        });
                    }
                    taken.push((column.title, title));
                }
                None if title.is_empty() => {}
                None => self.unknown.push((*title).to_owned()),
            }
            self.columns.push(column);
        }
        for set in T::NEEDS {
            let is_there = |title: &&str| taken.iter().any(|(column, _)| column == title);
            if !set.iter().any(is_there)
                && let Some(title) = set.first()
            {
                return Err(FileError::NoColumn { title });
            }
        }
        Ok(())
    }

    /// Reads the next row; returns the line where it begins.
    fn advance(&mut self) -> Result<Option<u64>, FileError> {
        let begins = self.reader.position().line();
        let (source, _) = self.reader.get_mut().get_mut();
        source.allow(MAX_ROW + BUFFER);
        let has_row = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| file_error(error, begins))?;
        if !has_row {
            return Ok(None);
        }
        // Counted back from its end, since blank lines before it are skipped.
        let within = self.record.as_slice().iter().filter(|byte| **byte == b'\n');
        let after = self.reader.position().line();
        let line = after.saturating_sub(within.count() as u64 + 1).max(begins);
        if self.record.as_slice().len() > MAX_ROW {
            return Err(FileError::TooLong {
                line,
                limit: MAX_ROW,
            });
        }
        Ok(Some(line))
    }

    /// Returns whether no cell of the record says anything.
    fn is_blank(&self) -> bool {
        cells(&self.record).all(|cell| cell.trim_ascii().is_empty())
    }

    /// Makes a row of the record.
    fn content(&self) -> Result<T, RowError> {
        let mut row = T::default();
        for (index, cell) in cells(&self.record).enumerate() {
            let Some(column) = self.columns.get(index) else {
                if cell.trim_ascii().is_empty() {
                    continue;
                }
                return Err(RowError::TooManyCells {
                    cells: self.record.len(),
                    titles: self.columns.len(),
                });
            };
            let Some(column) = column else { continue };
            if cell.len() > MAX_CELL {
                let column = column.title;
                return Err(RowError::TooLong { column });
            }
            let named = || column.title.to_owned();
            let text =
                std::str::from_utf8(cell).map_err(|_| RowError::NotText { column: named() })?;
            if text.contains('\0') {
                return Err(RowError::Nul { column: named() });
            }
            (column.put)(&mut row, formula::unguard(text).to_owned())?;
        }
        Ok(row)
    }
}

impl<R: Read, T: Record> Iterator for Table<R, T> {
    type Item = Result<Row<T>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let line = match self.advance() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    // Where the next row would begin cannot be known.
                    self.ended = true;
                    return Some(Err(error));
                }
            };
            if !self.is_blank() {
                let content = self.content();
                return Some(Ok(Row { line, content }));
            }
        }
        self.ended = true;
        None
    }
}

/// Returns the cells of a record, the last one without the CR of the line's end.
fn cells(record: &ByteRecord) -> impl Iterator<Item = &[u8]> {
    let last = record.len().saturating_sub(1);
    record.iter().enumerate().map(move |(index, cell)| {
        let cut = cell.strip_suffix(b"\r").filter(|_| index == last);
        cut.unwrap_or(cell)
    })
}

/// Returns what the titles are separated by, outside of quotation marks.
fn separator(titles: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    for byte in titles {
        quoted ^= *byte == b'"';
        for (separator, count) in &mut counts {
            *count += usize::from(!quoted && byte == separator);
        }
    }
    // The first of equals is the comma.
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(b',', |(separator, _)| separator)
}

fn file_error(error: csv::Error, line: u64) -> FileError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => super::read_error(error, line, MAX_ROW),
        // Neither the text nor the number of cells is checked by the reader.
        _ => FileError::Io(io::ErrorKind::InvalidData.into()),
    }
}

/// Prints rows as CSV: with titles, in UTF-8 without a byte order mark, lines ended by CR LF.
#[derive(Debug)]
pub struct TableWriter<W: Write, T> {
    writer: csv::Writer<W>,
    rows: PhantomData<T>,
}

impl<W: Write, T: Record> TableWriter<W, T> {
    /// Returns a writer that has written the titles.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn new(file: W) -> io::Result<Self> {
        let mut writer = WriterBuilder::new()
            .terminator(Terminator::CRLF)
            .from_writer(file);
        writer.write_record(printed::<T>().map(|(title, _)| title))?;
        Ok(Self {
            writer,
            rows: PhantomData,
        })
    }

    /// Writes a row; cells that a spreadsheet would calculate are made text.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn write(&mut self, row: &T) -> io::Result<()> {
        for (_, get) in printed::<T>() {
            self.writer
                .write_field(formula::guard(get(row)).as_bytes())?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(())
    }

    /// Writes what is still held back, and returns the file.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)
    }
}

/// Returns the columns that are printed.
fn printed<T: Record>() -> impl Iterator<Item = (&'static str, fn(&T) -> &str)> {
    T::COLUMNS
        .iter()
        .filter_map(|column| Some((column.title, column.get?)))
}
