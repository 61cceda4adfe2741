//! What is measured, and the table of it.

use std::{io::Write, time::Duration};

/// Times of one kind of statement, and the longest that its 99th percentile (or its only run) should take.
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) target: Duration,
    pub(crate) times: Vec<Duration>,
    /// What took longest, where that is told.
    pub(crate) slowest: Vec<(Duration, String)>,
}

/// So many of what took longest are told.
const TOLD: usize = 4;

impl Figure {
    /// Adds a time, and remembers of what if it is one of the longest.
    pub(crate) fn note(&mut self, took: Duration, what: &str) {
        self.slowest.push((took, what.to_owned()));
        self.slowest.sort_unstable_by(|one, other| other.cmp(one));
        self.slowest.dedup_by(|one, other| one.1 == other.1);
        self.slowest.truncate(TOLD);
        self.times.push(took);
    }

    fn row(&self) -> String {
        let mut times = self.times.clone();
        times.sort_unstable();
        // In hundredths; of few times the last one is the 99th percentile.
        let at = |percentile: usize| {
            let place = (times.len() * percentile).div_ceil(100).max(1) - 1;
            let time = times.get(place).or(times.last());
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        let met = if at(99) <= self.target.as_secs_f64() * 1e3 {
            "yes"
        } else {
            "no"
        };
        let slowest: Vec<String> = self
            .slowest
            .iter()
            .map(|(took, what)| format!("{what} {:.1}", took.as_secs_f64() * 1e3))
            .collect();
        format!(
            "| {} | {} | {:.2} | {:.2} | {:.2} {} | {} | {met} |",
            self.name,
            times.len(),
            at(50),
            at(99),
            at(100),
            slowest.join(", "),
            self.target.as_millis(),
        )
    }
}

/// Prints the head of the table.
pub(crate) fn head() -> anyhow::Result<()> {
    line(
        "| what | runs | p50 ms | p99 ms | longest ms | target p99 ms | met |\n|---|---|---|---|---|---|---|",
    )
}

/// Prints figures.
pub(crate) fn rows(figures: &[Figure]) -> anyhow::Result<()> {
    figures.iter().try_for_each(|figure| line(&figure.row()))
}

/// Prints a line.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Prints why the benchmark failed.
pub(crate) fn failure(error: &anyhow::Error) {
    // Nobody is left to be told where this fails.
    let _ = writeln!(std::io::stderr(), "crm: {error:#}");
}
