//! `/crm/import` and `/crm/export`: whole lists in and out, for Maintainers.
//!
//! A file is read in memory, first only to say what would become of each row. Files beyond the limit are the command line's.

use std::io::Cursor;

use askama::Template;
use axum::{
    Router,
    extract::{FromRequest, Multipart, Request},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::header;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::{
    Web, body,
    form::refused,
    frame::{Frame, html},
    kind::Kind,
    params::Query,
    problem::Problem,
    visit::{InGroup, ToExport, ToImport},
};
use crate::{
    bulk::{self, Existing, ImportError, Imported, Importer, Options, Outcome, Report, Work},
    exchange::{Contacts, FileError, Format, Table},
};

/// Rows of a report that a page shows.
const SHOWN: usize = 200;

/// Which list, and how it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    kind: String,
    format: String,
}

impl Asked {
    fn kind(&self) -> Kind {
        if self.kind == Kind::Organization.word() {
            Kind::Organization
        } else {
            Kind::Contact
        }
    }
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    frame: Frame,
    /// Where the group's pages are.
    base: String,
    kind: &'static str,
    plural: &'static str,
    error: Option<String>,
    told: Option<Told>,
    input: Input,
}

/// What came of an import, or would come of it.
struct Told {
    is_dry_run: bool,
    report: Report,
    unknown_columns: String,
    /// The rows that a page shows: those that failed first.
    rows: Vec<(u64, &'static str, String)>,
    /// How many more there are.
    more: usize,
}

/// What is chosen in the form.
#[derive(Debug, Default)]
struct Input {
    existing: Existing,
    create_organizations: bool,
    all_or_nothing: bool,
    dry_run: bool,
    file: Bytes,
}

/// Returns the routes within a group.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/crm/import", get(form).post(import))
        .route("/crm/export", get(export))
}

impl FromRequest<Web> for Input {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        if !body::is_upload(request.headers()) {
            return Err(Problem::Malformed);
        }
        let request = body::collect_upload(request).await?;
        let form = Multipart::from_request(request, web).await;
        let mut form = form.map_err(|_| Problem::Malformed)?;
        let mut input = Self::default();
        while let Some(field) = form.next_field().await.map_err(|_| Problem::Malformed)? {
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.bytes().await.map_err(|_| Problem::Malformed)?;
            match (name.as_str(), &value[..]) {
                ("file", _) => input.file = value,
                ("existing", b"update") => input.existing = Existing::Update,
                ("existing", b"fail") => input.existing = Existing::Fail,
                ("create_organizations", _) => input.create_organizations = true,
                ("all_or_nothing", _) => input.all_or_nothing = true,
                ("do", b"check") => input.dry_run = true,
                _ => {}
            }
        }
        Ok(input)
    }
}

async fn form(visit: InGroup<ToImport>, Query(asked): Query<Asked>) -> Response {
    page(&visit, asked.kind(), Input::default(), Ok(None))
}

async fn import(
    visit: InGroup<ToImport>,
    Query(asked): Query<Asked>,
    input: Input,
) -> Result<Response, Problem> {
    let kind = asked.kind();
    match run(&visit, kind, &input).await {
        Ok(told) => Ok(page(&visit, kind, input, Ok(Some(told)))),
        Err(ImportError::Store(error)) => Err(error.into()),
        Err(error) => Ok(refused(page(&visit, kind, input, Err(error.to_string())))),
    }
}

async fn run(visit: &InGroup<ToImport>, kind: Kind, input: &Input) -> Result<Told, ImportError> {
    let crm = &visit.visitor.web.crm;
    let importer = Importer {
        pool: crm.pool.clone(),
        clock: std::sync::Arc::clone(&crm.clock),
    };
    let destination = bulk::Destination {
        root: visit.group.root,
        group: visit.group.contact_group,
        actor: Some(visit.visitor.bearer.person),
    };
    let options = Options {
        existing: input.existing,
        create_organizations: input.create_organizations,
        all_or_nothing: input.all_or_nothing,
        dry_run: input.dry_run,
    };
    let file = Cursor::new(input.file.clone());
    let (imported, unknown) = match kind {
        Kind::Contact => {
            let (rows, unknown) = read(move || {
                let contacts = Contacts::open(file)?;
                let unknown = contacts.unknown_columns().join(", ");
                Ok((bulk::read(contacts)?, unknown))
            })
            .await?;
            let work = Work::Contacts(&rows);
            (importer.import(work, destination, options).await?, unknown)
        }
        Kind::Organization => {
            let (rows, unknown) = read(move || {
                let table = Table::open(file)?;
                let unknown = table.unknown_columns().join(", ");
                Ok((bulk::read(table)?, unknown))
            })
            .await?;
            let work = Work::Organizations(&rows);
            (importer.import(work, destination, options).await?, unknown)
        }
    };
    let report = match imported {
        Imported::Rows(report) => report,
        Imported::GitLab(report) => report.contacts,
    };
    Ok(told(report, unknown, input.dry_run))
}

/// Reads a file away from the threads that others wait for.
async fn read<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    let reading = spawn_blocking(read).await;
    reading.unwrap_or_else(|error| Err(FileError::Io(std::io::Error::other(error)).into()))
}

fn told(mut report: Report, unknown_columns: String, is_dry_run: bool) -> Told {
    let mut rows = std::mem::take(&mut report.rows);
    rows.sort_by_key(|row| row.outcome != Outcome::Failed);
    let more = rows.len().saturating_sub(SHOWN);
    let rows = rows
        .into_iter()
        .take(SHOWN)
        .map(|row| (row.line, row.outcome.word(), row.reason.unwrap_or_default()))
        .collect();
    Told {
        is_dry_run,
        report,
        unknown_columns,
        rows,
        more,
    }
}

fn page(
    visit: &InGroup<ToImport>,
    kind: Kind,
    input: Input,
    came: Result<Option<Told>, String>,
) -> Response {
    let (told, error) = match came {
        Ok(told) => (told, None),
        Err(error) => (None, Some(error)),
    };
    html(&ImportPage {
        frame: visit.frame(format!("Import {}", kind.plural())),
        base: visit.base.clone(),
        kind: kind.word(),
        plural: kind.plural(),
        error,
        told,
        input,
    })
}

async fn export(visit: InGroup<ToExport>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let crm = &visit.visitor.web.crm;
    let place = (visit.group.root, visit.group.id);
    let exporter = bulk::exporter_for(crm, visit.visitor.bearer.person, place, None).await?;
    let kind = asked.kind();
    let (format, ending, media) = match asked.format.as_str() {
        "vcard" => (Format::VCard, "vcf", "text/vcard"),
        _ => (Format::Csv, "csv", "text/csv"),
    };
    let mut file = Vec::new();
    let written = match kind {
        Kind::Contact => exporter.contacts(format, &mut file).await,
        Kind::Organization => exporter.organizations(&mut file).await,
    };
    written.map_err(|error| match error {
        bulk::ExportError::Store(error) => error.into(),
        bulk::ExportError::File(_) => Problem::Unavailable,
    })?;
    let name = format!("attachment; filename=\"{}.{ending}\"", kind.plural());
    let headers = [
        (header::CONTENT_TYPE, format!("{media}; charset=utf-8")),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, file).into_response())
}
