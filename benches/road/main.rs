//! The benchmark of the road: how fast deliveries are taken, worked and answered. `docs/BENCHMARKS.md` says how it measures.
//!
//! `cargo bench --bench road [-- intake|whole|latency] [quick]`; beside `intake` may stand which servers, and how many rounds. Servers
//! under load run in processes of their own, which are this program again, so
//! that the load generator's time counts for nobody. All traffic stays on the loopback interface and every load is bounded in time.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times become figures for people"
)]

mod body;
mod child;
mod intake;
mod load;
mod report;
mod server;
mod stage;
mod tracker;
mod whole;

use std::process::ExitCode;

use anyhow::Context;

/// First arguments with which this program becomes a server instead.
const SERVER: &str = "__server";
const TRACKER: &str = "__tracker";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args()
        .skip(1)
        // Cargo adds it for every benchmark.
        .filter(|argument| argument != "--bench")
        .collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let server = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    match words.as_slice() {
        [SERVER, kind, config, database] => server()?.block_on(server::run(kind, config, database)),
        [TRACKER, comments] => server()?.block_on(tracker::run(
            comments.parse().context("number of comments")?,
        )),
        parts => {
            // One thread, so that the generator never takes more than one of the machine's.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(measure(parts))
        }
    }
}

async fn measure(words: &[&str]) -> anyhow::Result<()> {
    let (quick, parts): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| **word == "quick");
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let extent = if quick.is_empty() {
        whole::FULL
    } else {
        whole::QUICK
    };
    let stage = stage::Stage::set().await?;
    report::machine(&stage).await?;
    let measured = async {
        if wanted("intake") {
            intake::measure(&stage, &parts).await?;
        }
        if wanted("whole") {
            whole::measure_throughput(&stage, extent).await?;
        }
        if wanted("latency") {
            whole::measure_latency(&stage, extent.rounds).await?;
        }
        anyhow::Ok(())
    };
    let measured = measured.await;
    stage.strike().await;
    measured
}
