//! `liaison import`: contacts and organizations from files and from GitLab's own CRM.
//!
//! The command line acts as the administrator; nobody's rights are asked for, and `--as` names the person in the history.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::{clock, create_private, find_connection, find_group, open, print, tracker};
use crate::{
    bulk::{
        self, Destination, Existing, GitLabReport, Harvest, ImportError, Imported, Importer,
        Options, Report, Work,
    },
    config::Config,
    domain::ConnectionId,
    exchange::{Contacts, Table},
    store::{connection, group, person},
};

/// Rows that are printed one by one; the report file has all.
const SHOWN: usize = 40;

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Reads contacts from a CSV or vCard file.
    Contacts {
        #[command(flatten)]
        file: FileArgs,
        /// Creates organizations that contacts name and that are not there.
        #[arg(long)]
        create_organizations: bool,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Reads organizations from a CSV file.
    Organizations {
        #[command(flatten)]
        file: FileArgs,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Reads contacts, organizations and the contacts of issues from the CRM of a GitLab group.
    #[command(name = "gitlab")]
    GitLab {
        /// The connection; that of the group without it.
        #[arg(long, value_name = "NAME")]
        connection: Option<String>,
        /// Full path of the group in GitLab; that of the group without it.
        #[arg(long, value_name = "FULLPATH")]
        from: Option<String>,
        #[command(flatten)]
        how: HowArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The file; - for standard input.
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct HowArgs {
    /// Path of the group, or of one that keeps its contacts there.
    #[arg(long, value_name = "PATH")]
    group: String,
    /// Username of the person in whose name it is done.
    #[arg(long = "as", value_name = "USERNAME")]
    actor: Option<String>,
    /// What becomes of rows whose contact or organization is there already.
    #[arg(long, value_enum, default_value_t)]
    existing: Existing,
    /// Saves nothing if one row fails.
    #[arg(long)]
    all_or_nothing: bool,
    /// Saves nothing, and says what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Writes what became of each row to this file, as CSV.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn import(config: &Config, command: ImportCommand) -> anyhow::Result<()> {
    let database = open(config).await?;
    let desk = Desk {
        config,
        pool: &database.pool,
    };
    let done = desk.run(command).await;
    database.close().await;
    done
}

struct Desk<'a> {
    config: &'a Config,
    pool: &'a PgPool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Told<T> {
    dry_run: bool,
    /// Titles of columns that were not read.
    unknown_columns: Vec<String>,
    #[serde(flatten)]
    report: T,
}

impl Desk<'_> {
    async fn run(&self, command: ImportCommand) -> anyhow::Result<()> {
        match command {
            ImportCommand::Contacts {
                file,
                create_organizations,
                how,
            } => {
                let (rows, unknown) = read(file.file, |reader| {
                    let contacts = Contacts::open(reader)?;
                    let unknown = contacts.unknown_columns().to_vec();
                    Ok((bulk::read(contacts)?, unknown))
                })
                .await?;
                let options = how.options(create_organizations);
                let imported = self.import(Work::Contacts(&rows), &how, options).await?;
                how.tell(imported, unknown)
            }
            ImportCommand::Organizations { file, how } => {
                let (rows, unknown) = read(file.file, |reader| {
                    let table = Table::open(reader)?;
                    let unknown = table.unknown_columns().to_vec();
                    Ok((bulk::read(table)?, unknown))
                })
                .await?;
                let options = how.options(false);
                let imported = self.import(Work::Organizations(&rows), &how, options);
                how.tell(imported.await?, unknown)
            }
            ImportCommand::GitLab {
                connection,
                from,
                how,
            } => {
                let (on, harvest) = self.harvest(connection, from, &how.group).await?;
                // GitLab's contacts name organizations that GitLab has.
                let options = how.options(true);
                let work = Work::GitLab(on, &harvest);
                let imported = self.import(work, &how, options).await?;
                how.tell(imported, Vec::new())
            }
        }
    }

    async fn import(
        &self,
        work: Work<'_>,
        how: &HowArgs,
        options: Options,
    ) -> anyhow::Result<Imported> {
        let mut connection = self.pool.acquire().await?;
        let group = find_group(&mut connection, &how.group).await?;
        let destination = Destination {
            root: group.root,
            group: group::contact_holder(&mut connection, (group.root, group.id)).await?,
            actor: match &how.actor {
                None => None,
                Some(name) => Some(
                    person::find(&mut connection, name)
                        .await?
                        .with_context(|| format!("there is no active person {name}"))?,
                ),
            },
        };
        drop(connection);
        let importer = Importer {
            pool: self.pool.clone(),
            clock: clock(),
        };
        Ok(importer.import(work, destination, options).await?)
    }

    /// Reads what a GitLab group has.
    async fn harvest(
        &self,
        name: Option<String>,
        from: Option<String>,
        group: &str,
    ) -> anyhow::Result<(ConnectionId, Harvest)> {
        let mut connection = self.pool.acquire().await?;
        let (stored, own) = self.source(&mut connection, name, group).await?;
        drop(connection);
        let client = tracker(self.config, &stored)?;
        let from = match (from, own) {
            (Some(path), _) => path,
            (None, Some(remote)) => {
                let facts = client.group(&remote).await?;
                let facts = facts.with_context(|| {
                    format!("GitLab shows the bot no group for {group}: make it a member")
                })?;
                facts.full_path
            }
            (None, None) => anyhow::bail!(
                "{group} stands for no group of that GitLab: say --from which one to read"
            ),
        };
        let crm = client.group_crm(&from).await?;
        let crm = crm.with_context(|| {
            format!("GitLab shows the bot no group {from}: make it a member, Reporter at least")
        })?;
        Ok((stored.id, crm.into()))
    }

    /// Returns the connection to read from, and what the group stands for there.
    async fn source(
        &self,
        connection: &mut PgConnection,
        name: Option<String>,
        group: &str,
    ) -> anyhow::Result<(connection::Connection, Option<String>)> {
        let group = find_group(connection, group).await?;
        let remote = group::remote(connection, group.root, group.id).await?;
        let stored = match (&name, &remote) {
            (Some(name), _) => find_connection(connection, name).await?,
            (None, Some(remote)) => connection::list(connection)
                .await?
                .into_iter()
                .find(|stored| stored.id == remote.connection)
                .context("the group's connection is gone")?,
            (None, None) => anyhow::bail!("the group has no tracker: name a --connection"),
        };
        let own = remote.filter(|remote| remote.connection == stored.id);
        Ok((
            stored,
            own.and_then(|remote| remote.name().map(str::to_owned)),
        ))
    }
}

/// Reads a file away from the threads that others wait for.
async fn read<T: Send + 'static>(
    path: PathBuf,
    read: impl FnOnce(Box<dyn Read + Send>) -> Result<T, ImportError> + Send + 'static,
) -> anyhow::Result<T> {
    let reading = tokio::task::spawn_blocking(move || {
        let file: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let file = File::open(&path);
            Box::new(file.with_context(|| format!("{} cannot be read", path.display()))?)
        };
        Ok(read(file)?)
    });
    reading.await?
}

impl HowArgs {
    fn options(&self, create_organizations: bool) -> Options {
        Options {
            existing: self.existing,
            create_organizations,
            all_or_nothing: self.all_or_nothing,
            dry_run: self.dry_run,
        }
    }

    /// Prints what came of the import; rows that failed make the command fail.
    fn tell(&self, imported: Imported, unknown_columns: Vec<String>) -> anyhow::Result<()> {
        let failed: usize = imported.reports().map(|report| report.failed).sum();
        if let Some(path) = &self.report {
            write_report(path, &imported)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        if !unknown_columns.is_empty() {
            let columns = unknown_columns.join(", ");
            let columns = columns.escape_debug();
            print::error(&format!("Columns that mean nothing here: {columns}"));
        }
        let dry_run = self.dry_run;
        match imported {
            Imported::Rows(report) if self.json => print::json(&Told {
                dry_run,
                unknown_columns,
                report,
            })?,
            Imported::GitLab(report) if self.json => print::json(&Told {
                dry_run,
                unknown_columns,
                report,
            })?,
            Imported::Rows(report) => show("row", &report),
            Imported::GitLab(report) => show_gitlab(&report),
        }
        let nothing = self.all_or_nothing && failed > 0;
        if dry_run && !self.json {
            print::line("This was a dry run: nothing was saved.");
        }
        ensure!(!nothing, "nothing was saved, since {failed} rows failed");
        ensure!(failed == 0, "{failed} rows failed");
        Ok(())
    }
}

/// Prints the rows that somebody may want to look at, and how many there were of each sort.
fn show(what: &str, report: &Report) {
    let telling = report.rows.iter().filter(|row| row.reason.is_some());
    let rows: Vec<[String; 3]> = telling
        .clone()
        .take(SHOWN)
        .map(|row| {
            let reason = row.reason.clone().unwrap_or_default();
            [row.line.to_string(), row.outcome.word().to_owned(), reason]
        })
        .collect();
    if !rows.is_empty() {
        print::table(["LINE", "OUTCOME", "REASON"], &rows, "");
    }
    let more = telling.count() - rows.len();
    if more > 0 {
        print::line(&format!(
            "… and {more} more; --report FILE has all of them."
        ));
    }
    let founded = match report.organizations_created {
        0 => String::new(),
        count => format!("; organizations created: {count}"),
    };
    print::line(&format!(
        "{what}s: {}, created: {}, updated: {}, skipped: {}, failed: {}{founded}",
        report.rows.len(),
        report.created,
        report.updated,
        report.skipped,
        report.failed,
    ));
    if let Some(operation) = report.operation {
        print::line(&format!("Saved as operation {operation}."));
    }
}

fn show_gitlab(report: &GitLabReport) {
    show("organization", &report.organizations);
    show("contact", &report.contacts);
    print::line(&format!(
        "issues with contacts: {}, new relations: {}",
        report.issues, report.related
    ));
    if !report.projects_outside.is_empty() {
        let projects = report.projects_outside.join(", ");
        print::line(&format!(
            "Projects that are not in the group here: {projects}"
        ));
    }
}

fn write_report(path: &Path, imported: &Imported) -> anyhow::Result<()> {
    let mut file = csv::Writer::from_writer(create_private(path)?);
    file.write_record(["Line", "Outcome", "Reason", "Id"])?;
    for row in imported.reports().flat_map(|report| &report.rows) {
        let id = row.id.map_or_else(String::new, |id| id.to_string());
        // No reason begins with what a row says, so that no cell is a formula.
        let reason = row.reason.as_deref().unwrap_or_default();
        file.write_record([&row.line.to_string(), row.outcome.word(), reason, &id])?;
    }
    file.flush()?;
    Ok(())
}
