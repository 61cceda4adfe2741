//! `liaison export`: contacts and organizations into files.
//!
//! The command line acts as the administrator; nobody's rights are asked for.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use super::{create_private, find_group, open, print};
use crate::{
    bulk::{ExportError, Exporter},
    config::Config,
    exchange::Format,
    store::group,
};

#[derive(Debug, Subcommand)]
pub(super) enum ExportCommand {
    /// Writes the contacts of a group, by last name.
    Contacts {
        #[command(flatten)]
        list: ListArgs,
        /// How they are written.
        #[arg(long, value_enum, default_value_t = FileFormat::Csv)]
        format: FileFormat,
    },
    /// Writes the organizations of a group as CSV, by name.
    Organizations {
        #[command(flatten)]
        list: ListArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Path of the group, or of one that keeps its contacts there.
    #[arg(long, value_name = "PATH")]
    group: String,
    /// Only those in this state.
    #[arg(long, value_enum, default_value_t = State::All)]
    state: State,
    /// File to write; standard output without it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FileFormat {
    /// Comma-separated values, with titles.
    Csv,
    /// vCard 4.0.
    #[value(name = "vcard")]
    VCard,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    /// In use.
    Active,
    /// Deactivated.
    Inactive,
    /// Both.
    All,
}

impl State {
    fn active(self) -> Option<bool> {
        match self {
            Self::Active => Some(true),
            Self::Inactive => Some(false),
            Self::All => None,
        }
    }
}

pub(super) async fn export(config: &Config, command: ExportCommand) -> anyhow::Result<()> {
    let database = open(config).await?;
    let done = run(&database.pool, &command).await;
    database.close().await;
    done
}

async fn run(pool: &sqlx::PgPool, command: &ExportCommand) -> anyhow::Result<()> {
    let (ExportCommand::Contacts { list, .. } | ExportCommand::Organizations { list }) = command;
    let mut connection = pool.acquire().await?;
    let group = find_group(&mut connection, &list.group).await?;
    let holder = group::contact_holder(&mut connection, (group.root, group.id)).await?;
    drop(connection);
    let exporter = Exporter {
        pool: pool.clone(),
        of: (group.root, holder),
        active: list.state.active(),
    };
    match &list.output {
        None => match write(&exporter, command, BufWriter::new(io::stdout())).await {
            // Whoever read has read enough.
            Err(ExportError::File(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written.map(drop)?),
        },
        Some(path) => {
            let count = to_file(path, async |file| write(&exporter, command, file).await).await?;
            print::error(&format!("{count} rows were written to {}.", path.display()));
            Ok(())
        }
    }
}

async fn write(
    exporter: &Exporter,
    command: &ExportCommand,
    file: impl Write,
) -> Result<usize, ExportError> {
    match command {
        ExportCommand::Contacts { format, .. } => {
            let format = match format {
                FileFormat::Csv => Format::Csv,
                FileFormat::VCard => Format::VCard,
            };
            exporter.contacts(format, file).await
        }
        ExportCommand::Organizations { .. } => exporter.organizations(file).await,
    }
}

/// Writes a file that is there when it is complete, or not at all.
async fn to_file(
    path: &Path,
    write: impl AsyncFnOnce(BufWriter<&File>) -> Result<usize, ExportError>,
) -> anyhow::Result<usize> {
    let mut name = path
        .file_name()
        .context("the output is not a file")?
        .to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let place = || format!("{} cannot be written", path.display());
    let file = create_private(&part).with_context(place)?;
    let written = async {
        let count = write(BufWriter::new(&file)).await?;
        file.sync_all().with_context(place)?;
        fs::rename(&part, path).with_context(place)?;
        anyhow::Ok(count)
    }
    .await;
    if written.is_err() {
        // It would be taken for something; that it cannot be removed changes nothing about the failure.
        let _ = fs::remove_file(&part);
    }
    written
}
