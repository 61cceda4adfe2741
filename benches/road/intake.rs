//! Part A: how many deliveries a second are durable, how soon, and at what cost.

use std::{cell::Cell, rc::Rc, time::Duration};

use sqlx::AssertSqlSafe;

use crate::{
    body::{self, Deliveries},
    child::{Server, family_time},
    load::{self, Order},
    report::{self, Median, micros, millis},
    server::Kind,
    stage::Stage,
};

const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(4);
/// Deliveries that are signed for a run: more than can be taken in its time.
const SIGNED: usize = 250_000;
/// Issues that the comments are on.
const ISSUES: u64 = 2000;

/// One run of one kind of server.
struct Run {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Processor time per accepted delivery, in microseconds.
    server: f64,
    postgres: f64,
}

/// Measures all kinds of servers, or those that are named in `only`, as many rounds as a number in it says.
pub(crate) async fn measure(stage: &Stage, only: &[&str]) -> anyhow::Result<()> {
    let named = |kind: &Kind| only.contains(&kind.word());
    let all = !Kind::ALL.iter().any(named);
    let kinds = Kind::ALL.into_iter().filter(|kind| all || named(kind));
    let mut runs: Vec<(Kind, Vec<Run>)> = kinds.map(|kind| (kind, Vec::new())).collect();
    let rounds = only.iter().find_map(|word| word.parse().ok());
    // Every kind once per round, so that whatever else the machine does meets all alike.
    for _ in 0..rounds.unwrap_or(ROUNDS) {
        for (kind, runs) in &mut runs {
            runs.push(run(stage, *kind).await?);
        }
    }
    let rate = |wanted: Kind| {
        let found = runs.iter().find(|(kind, _)| *kind == wanted);
        found.map(|(_, runs)| runs.iter().median(|run| run.rate))
    };
    report::line(
        "\n## A. Intake: 64 connections, signed notes of 3,000 bytes, durable Postgres\n",
    )?;
    report::line(
        "| server | 2xx/s (median) | lowest–highest | p50 ms | p99 ms | CPU µs server | CPU µs Postgres |\n|---|---|---|---|---|---|---|",
    )?;
    for (kind, runs) in &runs {
        let (lowest, highest) = runs.iter().range(|run| run.rate);
        report::line(&format!(
            "| {} | {:.0} | {lowest:.0}–{highest:.0} | {:.2} | {:.2} | {:.1} | {:.1} |",
            kind.word(),
            runs.iter().median(|run| run.rate),
            runs.iter().median(|run| run.p50),
            runs.iter().median(|run| run.p99),
            runs.iter().median(|run| run.server),
            runs.iter().median(|run| run.postgres),
        ))?;
    }
    let ratios: Vec<String> = [
        (Kind::Receive, Kind::Insert),
        (Kind::Receive, Kind::Verify),
        (Kind::Verify, Kind::Hello),
    ]
    .into_iter()
    .filter_map(|(one, other)| {
        let ratio = rate(one)? / rate(other)?;
        Some(format!("{} / {} = {ratio:.2}", one.word(), other.word()))
    })
    .collect();
    report::line(&format!("\n{}", ratios.join(", ")))
}

async fn run(stage: &Stage, kind: Kind) -> anyhow::Result<Run> {
    let name = format!("intake_{}", kind.word());
    let pool = stage.database(&name).await?;
    let config = stage.write_config(&"http://127.0.0.1:1".parse()?)?;
    let args = [
        crate::SERVER,
        kind.word(),
        &config.to_string_lossy(),
        &stage.url(&name),
    ];
    let server = Server::start(&args, stage.log(kind.word())?)?;
    let stores = !matches!(kind, Kind::Hello | Kind::Verify);
    let deliveries = Rc::new(Deliveries::sign(body::ordinary(ISSUES), SIGNED)?);
    let mut order = Order {
        next: Rc::new(Cell::new(0)),
        // What stores nothing does not mind the same deliveries again.
        end: if stores { deliveries.len() } else { usize::MAX },
        time: WARM_UP,
    };
    let warm_up = load::run(server.address, &deliveries, &order).await?;
    order.time = MEASURED;
    let postmaster = stage.postmaster()?;
    let before = (server.time()?, family_time(postmaster)?);
    let mut tally = load::run(server.address, &deliveries, &order).await?;
    let after = (server.time()?, family_time(postmaster)?);
    server.stop()?;
    let table = match kind {
        Kind::Hello | Kind::Verify => None,
        Kind::Insert => Some("arrivals"),
        Kind::Receive | Kind::All => Some("deliveries"),
    };
    anyhow::ensure!(tally.refused == 0, "{} were refused", tally.refused);
    if let Some(table) = table {
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&pool)
            .await?;
        let accepted = warm_up.accepted + tally.accepted;
        anyhow::ensure!(
            usize::try_from(rows)? == accepted,
            "{accepted} deliveries were accepted and {rows} are stored"
        );
    }
    pool.close().await;
    let each = |time: Duration| micros(time) / tally.accepted as f64;
    Ok(Run {
        rate: tally.rate(),
        server: each(after.0.saturating_sub(before.0)),
        postgres: each(after.1.saturating_sub(before.1)),
        p50: millis(tally.quantile(0.5)),
        p99: millis(tally.quantile(0.99)),
    })
}
