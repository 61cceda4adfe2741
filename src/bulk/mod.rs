//! Whole lists in and out: contacts and organizations from files, from GitLab's own CRM, and to files.
//!
//! An import is one transaction and one operation of the history, so that a killed one leaves nothing behind and a finished one can be
//! taken back as a whole. It may be repeated: what is there already is found again. Rows are looked up, decided on and written in chunks.
//! What a person asks for is asked through [`destination_for`] and [`exporter_for`], which know his rights; the command line acts as the
//! administrator.

mod candidate;
mod decide;
mod export;
mod gitlab;
mod person;
mod report;
mod session;

use std::sync::Arc;

use sqlx::PgPool;

pub use export::{ExportError, Exporter};
pub use gitlab::{GitLabReport, Harvest};
pub use person::{destination_for, exporter_for};
pub use report::{Outcome, Report, RowReport};

use crate::{
    domain::{Clock, ConnectionId, GroupId, OperationId, PersonId, RootId, Via},
    exchange::{ContactRow, FileError, OrganizationRow, Row},
    queue::{self, Signal},
    store::{StoreError, import as store, place::Finder},
};
use session::Session;

/// Most rows that are taken at once; all of them are held in memory.
pub const MAX_ROWS: usize = 1_000_000;
/// How often an import is begun anew when somebody else creates the same contact at the same time.
const ATTEMPTS: usize = 5;

/// What becomes of a row whose contact or organization is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Existing {
    /// Leaves what is there as it is.
    #[default]
    Skip,
    /// Changes what is there to what the row says; empty cells leave what is there.
    Update,
    /// Counts the row as failed.
    Fail,
}

/// How an import is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What becomes of what is there already.
    pub existing: Existing,
    /// Whether organizations that contacts name and that are not there are created.
    pub create_organizations: bool,
    /// Whether one failed row keeps all others from being saved.
    pub all_or_nothing: bool,
    /// Whether nothing is saved, whatever the report says.
    pub dry_run: bool,
}

/// Where an import goes, and in whose name.
#[derive(Debug, Clone, Copy)]
pub struct Destination {
    /// Tenant.
    pub root: RootId,
    /// The group that holds the contacts.
    pub group: GroupId,
    /// The person, if it is made in somebody's name.
    pub actor: Option<PersonId>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read to its end.
    #[error(transparent)]
    File(#[from] FileError),
    /// More rows than are held in memory.
    #[error("the file has more than {MAX_ROWS} rows: split it")]
    TooManyRows,
    /// Others created the same contacts all the time.
    #[error("others changed the same contacts meanwhile, again and again: try again later")]
    Busy,
    /// The database did not do it.
    #[error("the import could not be saved")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ImportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What is to be brought in.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// Contacts of a file.
    Contacts(&'a [Row<ContactRow>]),
    /// Organizations of a file.
    Organizations(&'a [Row<OrganizationRow>]),
    /// What a GitLab group has.
    GitLab(ConnectionId, &'a Harvest),
}

/// Imports into groups.
#[derive(Debug, Clone)]
pub struct Importer {
    /// The database.
    pub pool: PgPool,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
}

/// Reads all rows of a file, before anything is locked for them.
///
/// # Errors
/// Fails where the file cannot be read to its end, and where it has more than [`MAX_ROWS`] rows.
pub fn read<T>(
    rows: impl Iterator<Item = Result<Row<T>, FileError>>,
) -> Result<Vec<Row<T>>, ImportError> {
    let mut read = Vec::new();
    for row in rows {
        if read.len() == MAX_ROWS {
            return Err(ImportError::TooManyRows);
        }
        read.push(row?);
    }
    Ok(read)
}

impl Importer {
    /// Imports and reports what became of each row.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing is saved then. Rows that fail are no error: the report says so.
    pub async fn import(
        &self,
        work: Work<'_>,
        destination: Destination,
        options: Options,
    ) -> Result<Imported, ImportError> {
        for _ in 0..ATTEMPTS {
            match self.attempt(work, destination, options).await {
                Err(ImportError::Store(StoreError::Conflict { .. })) => {}
                ended => return ended,
            }
        }
        Err(ImportError::Busy)
    }

    async fn attempt(
        &self,
        work: Work<'_>,
        destination: Destination,
        options: Options,
    ) -> Result<Imported, ImportError> {
        let scene = store::Scene {
            root: destination.root,
            group: destination.group,
            actor: destination.actor,
            operation: OperationId(self.clock.id()),
            now: self.clock.now(),
        };
        let mut tx = self.pool.begin().await?;
        store::begin(&mut tx, scene.root).await?;
        let mut session = Session::new(&mut tx, scene, options);
        let mut imported = match work {
            Work::Contacts(rows) => Imported::Rows(session.contacts(rows).await?),
            Work::Organizations(rows) => Imported::Rows(session.organizations(rows).await?),
            Work::GitLab(on, harvest) => {
                let finder = Finder {
                    on,
                    own: scene.root,
                    actor: scene.actor,
                    via: Via::Import,
                    clock: &*self.clock,
                };
                Imported::GitLab(session.gitlab(&finder, harvest).await?)
            }
        };
        let failed = imported.reports().any(|report| report.failed > 0);
        if options.dry_run || (failed && options.all_or_nothing) {
            tx.rollback().await?;
            imported.each(Report::not_saved);
        } else {
            tx.commit().await?;
            imported.each(|report| report.saved_as(scene.operation));
            if let Err(error) = queue::notify(&self.pool, Signal::Customers(scene.group)).await {
                tracing::debug!(%error, "nobody was told of imported customers");
            }
        }
        Ok(imported)
    }
}

/// What came of an import.
#[derive(Debug)]
pub enum Imported {
    /// Of a file.
    Rows(Report),
    /// Of a GitLab group.
    GitLab(GitLabReport),
}

impl Imported {
    /// Returns the reports on rows.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        match self {
            Self::Rows(report) => vec![report],
            Self::GitLab(report) => vec![&report.organizations, &report.contacts],
        }
        .into_iter()
    }

    fn each(&mut self, change: impl Fn(&mut Report)) {
        match self {
            Self::Rows(report) => change(report),
            Self::GitLab(report) => {
                change(&mut report.organizations);
                change(&mut report.contacts);
            }
        }
    }
}
