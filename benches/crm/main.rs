//! The benchmark of lists, search, counts and autocompletion on a million contacts. `docs/BENCHMARKS.md` says how it measures.
//!
//! `cargo bench --bench crm [-- lists|search|complete|counts|related|http|pages|plans|large|write] [postgres://…]`. Without an address it starts a private Postgres,
//! fills it and throws it away; a database at an address is filled once and kept.

mod data;
mod figure;
mod large;
mod measure;
mod names;
mod over_http;
mod plans;
mod service;
mod stage;

use std::process::ExitCode;

use figure::{failure, line};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args()
        .skip(1)
        // Cargo adds it for every benchmark.
        .filter(|argument| argument != "--bench")
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let measured = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(&args)));
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            failure(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[String]) -> anyhow::Result<()> {
    let (addresses, parts): (Vec<&str>, Vec<&str>) = args
        .iter()
        .map(String::as_str)
        .partition(|argument| argument.starts_with("postgres"));
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let stage = stage::Stage::set(addresses.first().copied()).await?;
    let measured = async {
        line(&stage.machine().await?)?;
        // Each part is told when it is measured: a later one may fail.
        figure::head()?;
        figure::rows(&data::fill(&stage.pool).await?)?;
        if wanted("lists") {
            figure::rows(&measure::lists(&stage.pool).await?)?;
        }
        if wanted("search") {
            figure::rows(&measure::search(&stage.pool).await?)?;
        }
        if wanted("complete") {
            figure::rows(&measure::complete(&stage.pool).await?)?;
        }
        if wanted("counts") {
            figure::rows(&measure::counts(&stage.pool).await?)?;
        }
        if wanted("related") {
            figure::rows(&measure::related(&stage.pool).await?)?;
        }
        if wanted("http") {
            figure::rows(&over_http::all(&stage.pool).await?)?;
        }
        if wanted("pages") {
            figure::rows(&over_http::pages(&stage.pool).await?)?;
        }
        if wanted("large") {
            figure::rows(&large::all(&stage.pool).await?)?;
        }
        if wanted("write") {
            figure::rows(&measure::write(&stage.pool).await?)?;
        }
        if wanted("plans") {
            plans::print(&stage.pool).await?;
        }
        Ok(())
    };
    let measured = measured.await;
    stage.strike().await;
    measured
}
