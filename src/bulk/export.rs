//! Lists as files, row by row as they come from the database.

use std::{fmt, io};

use futures_util::TryStreamExt;
use sqlx::PgPool;

use crate::{
    domain::{GroupId, OrganizationFields, RootId},
    exchange::{ContactRow, Format, OrganizationRow, TableWriter, write_card},
    store::{
        StoreError,
        export::{self, ExportedContact},
    },
};

/// Why an export broke off; the file is not complete then.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file does not take more.
    #[error("the file cannot be written")]
    File(#[from] io::Error),
    /// The database did not do it.
    #[error("the list could not be read")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ExportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Writes the lists of a group.
#[derive(Debug, Clone)]
pub struct Exporter {
    /// The database.
    pub pool: PgPool,
    /// The group that holds the contacts.
    pub of: (RootId, GroupId),
    /// Which state; none for all.
    pub active: Option<bool>,
}

impl Exporter {
    /// Writes the contacts, by last name; returns how many.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub async fn contacts<W: io::Write>(
        &self,
        format: Format,
        file: W,
    ) -> Result<usize, ExportError> {
        let mut tx = self.pool.begin().await?;
        export::begin(&mut tx).await?;
        let mut contacts = std::pin::pin!(export::contacts(&mut tx, self.of, self.active));
        let mut writer = ContactWriter::new(format, file)?;
        let mut count = 0;
        while let Some(contact) = contacts.try_next().await? {
            writer.write(&contact.into())?;
            count += 1;
        }
        writer.finish()?;
        Ok(count)
    }

    /// Writes the organizations as CSV, by name; returns how many.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub async fn organizations<W: io::Write>(&self, file: W) -> Result<usize, ExportError> {
        let mut tx = self.pool.begin().await?;
        export::begin(&mut tx).await?;
        let mut organizations =
            std::pin::pin!(export::organizations(&mut tx, self.of, self.active));
        let mut writer = TableWriter::new(file)?;
        let mut count = 0;
        while let Some(organization) = organizations.try_next().await? {
            writer.write(&OrganizationRow::from(organization))?;
            count += 1;
        }
        writer.finish()?.flush()?;
        Ok(count)
    }
}

/// Writes contacts in either format.
enum ContactWriter<W: io::Write> {
    Table(Box<TableWriter<W, ContactRow>>),
    Cards(W),
}

impl<W: io::Write> ContactWriter<W> {
    fn new(format: Format, file: W) -> io::Result<Self> {
        match format {
            Format::Csv => TableWriter::new(file).map(Box::new).map(Self::Table),
            Format::VCard => Ok(Self::Cards(file)),
        }
    }

    fn write(&mut self, row: &ContactRow) -> io::Result<()> {
        match self {
            Self::Table(table) => table.write(row),
            Self::Cards(file) => {
                let mut card = String::new();
                let written: fmt::Result = write_card(&mut card, row);
                written.map_err(io::Error::other)?;
                file.write_all(card.as_bytes())
            }
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Table(table) => table.finish()?.flush(),
            Self::Cards(mut file) => file.flush(),
        }
    }
}

impl From<ExportedContact> for ContactRow {
    fn from(contact: ExportedContact) -> Self {
        let fields = contact.fields;
        Self {
            first_name: fields.first_name,
            last_name: fields.last_name,
            email: fields.email.unwrap_or_default(),
            phone: fields.phone.unwrap_or_default(),
            organization: contact.organization.unwrap_or_default(),
            description: fields.description.unwrap_or_default(),
            active: Some(fields.active),
        }
    }
}

impl From<OrganizationFields> for OrganizationRow {
    fn from(fields: OrganizationFields) -> Self {
        Self {
            name: fields.name,
            default_rate: fields
                .default_rate
                .map_or_else(String::new, |rate| rate.to_string()),
            description: fields.description.unwrap_or_default(),
            active: Some(fields.active),
        }
    }
}
