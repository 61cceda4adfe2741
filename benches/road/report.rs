//! What is printed, and medians.

use std::{io::Write, time::Duration};

use crate::stage::Stage;

/// Prints a line.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Prints why the benchmark failed.
pub(crate) fn failure(error: &anyhow::Error) {
    // Nobody is left to be told where this fails.
    let _ = writeln!(std::io::stderr(), "road: {error:#}");
}

/// Prints on what it is measured.
pub(crate) async fn machine(stage: &Stage) -> anyhow::Result<()> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism()?;
    let mut admin = stage.admin().await?;
    let postgres: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(&mut admin)
        .await?;
    line(&format!(
        "{cores} cores ({model}), Linux {}, Postgres {postgres}, load before: {}",
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").trim(),
    ))
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Medians and ranges of what runs brought.
pub(crate) trait Median<T>: Iterator<Item = T> + Sized {
    /// Returns the median of a figure.
    fn median(self, figure: impl FnMut(T) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Returns the lowest and the highest of a figure.
    fn range(self, figure: impl FnMut(T) -> f64) -> (f64, f64) {
        let mut figures: Vec<f64> = self.map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        let at = |place: Option<&f64>| place.copied().unwrap_or(f64::NAN);
        (at(figures.first()), at(figures.last()))
    }
}

impl<T, I: Iterator<Item = T>> Median<T> for I {}
