//! The command line: arguments, what commands print, and how they end (0 done, 1 failed, 2 wrong usage).

mod check;
mod delivery;
mod demo;
mod export;
mod import;
mod item;
mod login;
mod parse;
mod person;
mod print;
mod reconcile;
mod serve;
mod token;
mod webhook;

use std::{
    fmt::Write,
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use sqlx::PgConnection;

use crate::{
    app::Database,
    config::{self, Config, LogFormat, Overrides, Secret},
    connector::gitlab::Client,
    crypto::SealingKey,
    domain::{Clock, SystemClock},
    egress::{Egress, Limits},
    store::{
        connection,
        group::{self, Group},
    },
    telemetry,
};

/// Issues, messengers and customers that know of each other.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    /// Configuration file; without it config/liaison.toml is read if it exists.
    #[arg(long, global = true, env = "LIAISON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole product with nothing set up, beside a sandbox tracker, and prints what to open.
    Demo(demo::DemoArgs),
    /// Runs the service.
    Serve(serve::ServeArgs),
    /// Prints the effective configuration and every problem.
    Check(check::CheckArgs),
    /// Applies migrations.
    Migrate,
    /// Reads a comment from standard input and prints what would run.
    Parse(parse::ParseArgs),
    /// Makes a link that signs a person in to the pages, once.
    LoginLink(login::LinkArgs),
    /// API tokens of people.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Accounts in messengers, and people who leave.
    #[command(subcommand)]
    Person(person::PersonCommand),
    /// Items that are kept equal with those of a Bitrix24 portal.
    #[command(subcommand)]
    Item(item::ItemCommand),
    /// Webhooks of groups.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// The log of deliveries, and replay of what died.
    #[command(subcommand)]
    Delivery(delivery::DeliveryCommand),
    /// Brings contacts and organizations in, from files or from GitLab's own CRM.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Writes contacts and organizations to files.
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Compares groups, projects and levels with the tracker, and chats with the messenger, and repairs what differs.
    Reconcile(reconcile::ReconcileArgs),
}

/// How a command that lists prints.
#[derive(Debug, Clone, Copy, Args)]
struct Output {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the program.
pub fn run() -> ExitCode {
    // clap prints its own errors and ends with 2.
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(&anyhow::Error::new(error).context("the runtime does not start"));
        }
    };
    match runtime.block_on(execute(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // The chain of causes on lines of its own: each says one thing.
    let mut text = format!("liaison: {error}");
    for cause in error.chain().skip(1) {
        let _ = write!(text, "\n  because: {cause}");
    }
    print::error(&text);
    ExitCode::FAILURE
}

async fn execute(cli: Cli) -> anyhow::Result<()> {
    let overrides = |flags| Overrides {
        file: cli.config.clone(),
        environment: environment(),
        flags,
    };
    match cli.command {
        Command::Demo(args) => demo::demo(args).await,
        Command::Serve(args) => {
            let overrides = overrides(args.flags());
            let config = config::load(&overrides)?;
            start_log(&config)?;
            serve::serve(config, overrides, args).await
        }
        Command::Check(args) => check::check(&overrides(Vec::new()), args).await,
        Command::Migrate => migrate(&quiet(&overrides(Vec::new()))?).await,
        Command::Parse(args) => parse::parse(&args),
        Command::LoginLink(args) => login::login_link(&quiet(&overrides(Vec::new()))?, args).await,
        Command::Token(command) => token::token(&quiet(&overrides(Vec::new()))?, command).await,
        Command::Person(command) => person::person(&quiet(&overrides(Vec::new()))?, command).await,
        Command::Item(command) => item::item(&quiet(&overrides(Vec::new()))?, command).await,
        Command::Webhook(command) => {
            webhook::webhook(&quiet(&overrides(Vec::new()))?, command).await
        }
        Command::Delivery(command) => {
            delivery::delivery(&quiet(&overrides(Vec::new()))?, command).await
        }
        Command::Import(command) => import::import(&quiet(&overrides(Vec::new()))?, command).await,
        Command::Export(command) => export::export(&quiet(&overrides(Vec::new()))?, command).await,
        Command::Reconcile(args) => {
            reconcile::reconcile(&quiet(&overrides(Vec::new()))?, args).await
        }
    }
}

/// Reads the configuration for a command that is no service: it logs warnings only.
fn quiet(overrides: &Overrides) -> anyhow::Result<Config> {
    let config = config::load(overrides)?;
    telemetry::init("warn", telemetry::Format::Auto)?;
    Ok(config)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read for the configuration"
)]
fn environment() -> Vec<(String, String)> {
    std::env::vars()
        .filter(|(name, _)| name.starts_with("LIAISON_"))
        .collect()
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let format = match config.log.format {
        LogFormat::Auto => telemetry::Format::Auto,
        LogFormat::Pretty => telemetry::Format::Pretty,
        LogFormat::Json => telemetry::Format::Json,
    };
    Ok(telemetry::init(&config.log.filter, format)?)
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

/// Reads the sealing key; a file that does not exist is created.
fn sealing_key(config: &Config) -> anyhow::Result<SealingKey> {
    let key = match &config.secrets.key {
        Secret::File(place) => SealingKey::load_or_create(&place.file)?,
        other => SealingKey::from_base64(&other.resolve().context("secrets.key")?)?,
    };
    Ok(key)
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let database = Database::join(&config.database).await?;
    let migrated = database.migrate().await;
    database.close().await;
    migrated?;
    print::line("The schema is up to date.");
    Ok(())
}

/// Opens the database for a command, with the schema that this version needs.
async fn open(config: &Config) -> anyhow::Result<Database> {
    let database = Database::join(&config.database).await?;
    if config.database.migrate {
        database.migrate().await?;
    }
    Ok(database)
}

/// Finds a group by its path.
async fn find_group(connection: &mut PgConnection, path: &str) -> anyhow::Result<Group> {
    group::find(connection, path).await?.with_context(|| {
        format!("there is no group {path}: declare a [[group]] in the configuration and start the service once")
    })
}

/// Finds a connection by its name.
async fn find_connection(
    connection: &mut PgConnection,
    name: &str,
) -> anyhow::Result<connection::Connection> {
    connection::list(connection)
        .await?
        .into_iter()
        .find(|connection| connection.name == name)
        .with_context(|| {
            format!(
                "there is no connection {name}: declare a [[connection]] and start the service once"
            )
        })
}

/// Returns a client for the tracker of a connection, which may call that one only.
fn tracker(config: &Config, stored: &connection::Connection) -> anyhow::Result<Client> {
    let base = stored.url.parse().context("the connection's address")?;
    let token = stored
        .token(&sealing_key(config)?)?
        .context("the connection has no token")?;
    let egress = Egress::new([&base], Limits::default())?;
    Ok(Client::new(Arc::new(egress), base, token, clock()))
}

/// Creates a file for customers' data: its owner alone may read it. One that is there is emptied and keeps its permissions.
fn create_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
