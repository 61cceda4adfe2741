//! Parts B and C: from a delivery to the answer in the tracker, many at once and one after the other.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use liaison::domain::{Clock, SystemClock};
use sqlx::PgPool;

use crate::{
    body::{self, Deliveries},
    child::{Server, family_time},
    load::{self, Connection, Order, quantile},
    report::{self, Median, micros, millis},
    server::Kind,
    stage::Stage,
    tracker::{Posted, Progress},
};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Rounds of each part.
    pub(crate) rounds: usize,
    /// Comments of a round of part B.
    comments: usize,
}

/// For figures.
pub(crate) const FULL: Extent = Extent {
    rounds: 3,
    comments: 20_000,
};
/// For a look while something is being changed.
pub(crate) const QUICK: Extent = Extent {
    rounds: 1,
    comments: 10_000,
};

/// Comments that go before, so that the tree, the people and their levels are known.
const WARM_UP: usize = 300;
/// Comments of a round of part C, and the pause between two.
const SINGLE: usize = 300;
const PAUSE: Duration = Duration::from_millis(20);
/// Longest that all answers may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A service with all its roles, a tracker, and the comments to send.
struct World {
    service: Server,
    tracker: Server,
    pool: PgPool,
    deliveries: Rc<Deliveries>,
    postmaster: u32,
}

impl World {
    async fn start(stage: &Stage, name: &str, comments: usize) -> anyhow::Result<Self> {
        let count = (WARM_UP + comments).to_string();
        let mut tracker = Server::start(&[crate::TRACKER, &count], stage.log("tracker")?)?;
        let pool = stage.database(name).await?;
        let config = stage.write_config(&format!("http://{}", tracker.address).parse()?)?;
        let args = [
            crate::SERVER,
            Kind::All.word(),
            &config.to_string_lossy(),
            &stage.url(name),
        ];
        let service = Server::start(&args, stage.log(name)?)?;
        let posted: Vec<Posted> = serde_json::from_str(&tracker.ask("comments")?)?;
        let bodies: Vec<_> = posted
            .iter()
            .map(|posted| {
                body::note(
                    posted,
                    "The customer sent photos of two chairs with broken armrests.",
                )
            })
            .collect();
        let count = bodies.len();
        let mut world = Self {
            service,
            tracker,
            pool,
            deliveries: Rc::new(Deliveries::sign(bodies, count)?),
            postmaster: stage.postmaster()?,
        };
        world.send(0, 1).await?;
        world.answered(1).await?;
        world.send(1, WARM_UP).await?;
        world.answered(WARM_UP).await?;
        Ok(world)
    }

    async fn send(&self, from: usize, end: usize) -> anyhow::Result<()> {
        let order = Order {
            next: Rc::new(Cell::new(from)),
            end,
            time: PATIENCE,
        };
        let tally = load::run(self.service.address, &self.deliveries, &order).await?;
        anyhow::ensure!(
            tally.accepted == end - from,
            "{} of {} were accepted",
            tally.accepted,
            end - from
        );
        Ok(())
    }

    /// Waits until so many comments are answered.
    async fn answered(&mut self, wanted: usize) -> anyhow::Result<Progress> {
        let began = Instant::now();
        loop {
            let progress: Progress = serde_json::from_str(&self.tracker.ask("progress")?)?;
            if progress.answered >= wanted {
                return Ok(progress);
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "{} of {wanted} are answered",
                progress.answered
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Processor time of service, Postgres and tracker.
    fn times(&self) -> anyhow::Result<[Duration; 3]> {
        Ok([
            self.service.time()?,
            family_time(self.postmaster)?,
            self.tracker.time()?,
        ])
    }

    /// Checks that everything is settled well, and stops.
    async fn end(self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let (open, dead): (i64, i64) = sqlx::query_as(
                "SELECT count(*) FILTER (WHERE settled_at IS NULL), count(*) FILTER (WHERE state = 'dead')
                 FROM (SELECT settled_at, state FROM deliveries UNION ALL SELECT settled_at, state FROM effects) AS work",
            )
            .fetch_one(&self.pool)
            .await?;
            anyhow::ensure!(dead == 0, "{dead} deliveries or effects died");
            if open == 0 {
                break;
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "{open} deliveries or effects are open"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.pool.close().await;
        self.service.stop()?;
        self.tracker.stop()
    }
}

/// Part B.
pub(crate) async fn measure_throughput(stage: &Stage, extent: Extent) -> anyhow::Result<()> {
    let Extent { rounds, comments } = extent;
    let mut runs: Vec<(f64, [f64; 3])> = Vec::new();
    for _ in 0..rounds {
        let mut world = World::start(stage, "whole", comments).await?;
        let before = world.times()?;
        let began = SystemClock::default().now().timestamp_micros();
        world.send(WARM_UP, WARM_UP + comments).await?;
        let progress = world.answered(WARM_UP + comments).await?;
        let after = world.times()?;
        let seconds = (progress.last - began) as f64 / 1e6;
        let mut cost = [0.0; 3];
        for (cost, (after, before)) in cost.iter_mut().zip(after.into_iter().zip(before)) {
            *cost = micros(after.saturating_sub(before)) / comments as f64;
        }
        world.end().await?;
        runs.push((comments as f64 / seconds, cost));
    }
    let (lowest, highest) = runs.iter().range(|run| run.0);
    report::line(
        "\n## B. The whole road: comments with a command, each answered in the tracker\n",
    )?;
    report::line(
        "| deliveries/s (median) | lowest–highest | CPU µs service | CPU µs Postgres | CPU µs tracker |\n|---|---|---|---|---|",
    )?;
    report::line(&format!(
        "| {:.0} | {lowest:.0}–{highest:.0} | {:.0} | {:.0} | {:.0} |",
        runs.iter().median(|run| run.0),
        runs.iter().median(|run| run.1[0]),
        runs.iter().median(|run| run.1[1]),
        runs.iter().median(|run| run.1[2]),
    ))
}

/// Part C.
pub(crate) async fn measure_latency(stage: &Stage, rounds: usize) -> anyhow::Result<()> {
    let mut latencies = Vec::new();
    for _ in 0..rounds {
        let mut world = World::start(stage, "latency", SINGLE).await?;
        let mut connection = Connection::open(world.service.address).await?;
        let mut pace = tokio::time::interval(PAUSE);
        let mut accepted = Vec::new();
        for number in WARM_UP..WARM_UP + SINGLE {
            pace.tick().await;
            let (status, _) = connection.send(&world.deliveries, number).await?;
            anyhow::ensure!(status == 202, "answered {status}");
            accepted.push(SystemClock::default().now().timestamp_micros());
        }
        world.answered(WARM_UP + SINGLE).await?;
        let times: Vec<Option<i64>> = serde_json::from_str(&world.tracker.ask("times")?)?;
        let answered = times.into_iter().skip(WARM_UP).flatten();
        latencies.extend(answered.zip(accepted).map(|(answered, accepted)| {
            Duration::from_micros(u64::try_from(answered - accepted).unwrap_or_default())
        }));
        world.end().await?;
    }
    report::line(
        "\n## C. Low load: one comment every 20 ms, from 202 to the answer's arrival in the tracker\n",
    )?;
    report::line("| comments | p50 ms | p99 ms | longest ms |\n|---|---|---|---|")?;
    report::line(&format!(
        "| {} | {:.1} | {:.1} | {:.1} |",
        latencies.len(),
        millis(quantile(&mut latencies, 0.5)),
        millis(quantile(&mut latencies, 0.99)),
        millis(quantile(&mut latencies, 1.0)),
    ))
}
