//! The log: pretty for people on a terminal, one JSON object per line otherwise.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// Logs an error with all its causes, once, where it is handled.
pub fn log_chain(error: &dyn std::error::Error) {
    let mut causes = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        if !causes.is_empty() {
            causes.push_str(": ");
        }
        causes.push_str(&error.to_string());
        cause = error.source();
    }
    tracing::warn!(%error, causes, "failed");
}

/// The filter is not written as it must be.
#[derive(Debug, thiserror::Error)]
#[error("log.filter is not a filter: {0}")]
pub struct BadFilter(#[from] tracing_subscriber::filter::ParseError);

/// Starts the log, on standard error, so that standard output stays the command's.
///
/// # Errors
/// Fails on a filter that does not read. A log that is started already stays as it is.
pub fn init(filter: &str, format: Format) -> Result<(), BadFilter> {
    let registry = tracing_subscriber::registry().with(EnvFilter::try_new(filter)?);
    let pretty = match format {
        Format::Auto => std::io::stderr().is_terminal(),
        Format::Pretty => true,
        Format::Json => false,
    };
    let started = if pretty {
        let layer = fmt::layer().with_target(false).with_writer(std::io::stderr);
        registry.with(layer).try_init()
    } else {
        let layer = fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(std::io::stderr);
        registry.with(layer).try_init()
    };
    // Tests start several services in one process.
    drop(started);
    Ok(())
}
