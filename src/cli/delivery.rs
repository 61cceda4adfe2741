//! `liaison delivery`: the log, and replay.

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use uuid::Uuid;

use super::{Output, open, print};
use crate::{
    config::Config,
    domain::DeliveryId,
    queue::{self, DeliveryLog, LogFilter, Signal},
};

#[derive(Debug, Subcommand)]
pub(super) enum DeliveryCommand {
    /// Lists the newest deliveries.
    List {
        /// Only those of this webhook.
        #[arg(long, value_name = "NAME")]
        webhook: Option<String>,
        /// Only those in this state.
        #[arg(long)]
        state: Option<State>,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        #[command(flatten)]
        output: Output,
    },
    /// Shows a delivery with its effects and their attempts.
    Show {
        /// The delivery.
        id: Uuid,
        #[command(flatten)]
        output: Output,
    },
    /// Takes up again what died of deliveries.
    Replay {
        /// The deliveries.
        #[arg(required = true)]
        ids: Vec<Uuid>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum State {
    /// Waits to be processed, or to be tried again.
    Pending,
    /// Its work is done.
    Done,
    /// There was nothing to do.
    Ignored,
    /// It failed and was given up.
    Dead,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Dead => "dead",
        }
    }
}

pub(super) async fn delivery(config: &Config, command: DeliveryCommand) -> anyhow::Result<()> {
    let database = open(config).await?;
    let done = run(&database.pool, command).await;
    database.close().await;
    done
}

async fn run(pool: &sqlx::PgPool, command: DeliveryCommand) -> anyhow::Result<()> {
    match command {
        DeliveryCommand::List {
            webhook,
            state,
            limit,
            output,
        } => {
            let filter = LogFilter {
                name: webhook,
                state: state.map(|state| state.word().to_owned()),
                ..LogFilter::default()
            };
            let deliveries = queue::deliveries(pool, &filter, limit).await?;
            if output.json {
                return print::json(&deliveries);
            }
            let rows: Vec<_> = deliveries
                .into_iter()
                .map(|line| {
                    let dead = match line.dead_effects {
                        0 => String::new(),
                        count => format!(" ({count} dead effects)"),
                    };
                    [
                        line.id.to_string(),
                        print::moment(Some(line.received_at)),
                        line.webhook,
                        line.state,
                        format!("{}{dead}", line.outcome.unwrap_or_default()),
                    ]
                })
                .collect();
            print::table(
                ["ID", "RECEIVED", "WEBHOOK", "STATE", "OUTCOME"],
                &rows,
                "There are no deliveries.",
            );
        }
        DeliveryCommand::Show { id, output } => {
            let shown = queue::delivery(pool, DeliveryId(id)).await?;
            let shown = shown.with_context(|| format!("there is no delivery {id}"))?;
            if output.json {
                return print::json(&shown);
            }
            show(&shown)?;
        }
        DeliveryCommand::Replay { ids } => {
            // All at once or none: what is mistyped is better found before anything happens.
            for id in &ids {
                let known = queue::delivery(pool, DeliveryId(*id)).await?;
                known.with_context(|| format!("there is no delivery {id}"))?;
            }
            let mut connection = pool.acquire().await?;
            for id in ids {
                let woken = queue::replay(&mut connection, DeliveryId(id)).await?;
                let text = if woken.is_empty() {
                    "nothing of it is dead"
                } else {
                    "taken up again"
                };
                print::line(&format!("{id}: {text}"));
                for (queue, connection) in woken {
                    queue::notify(pool, Signal::Work(queue, connection)).await?;
                }
            }
        }
    }
    Ok(())
}

fn show(log: &DeliveryLog) -> anyhow::Result<()> {
    let summary = &log.summary;
    let outcome = summary.outcome.as_deref().unwrap_or("-");
    print::line(&format!("delivery  {}", summary.id));
    print::line(&format!("webhook   {}", summary.webhook));
    print::line(&format!(
        "received  {}",
        print::moment(Some(summary.received_at))
    ));
    print::line(&format!(
        "state     {} after {} attempts: {outcome}",
        summary.state, summary.attempts
    ));
    for effect in &log.effects {
        print::line(&format!("\neffect    {}", effect.id));
        print::line(&format!(
            "call      {}",
            serde_json::to_string(&effect.effect)?
        ));
        let outcome = effect.outcome.as_deref().unwrap_or("-");
        print::line(&format!("state     {}: {outcome}", effect.state));
        for attempt in &effect.attempts {
            print::line(&format!(
                "attempt   {} {} ms: {}",
                print::moment(Some(attempt.at)),
                attempt.duration_ms,
                attempt.outcome
            ));
        }
    }
    print::line(&format!(
        "\nheaders\n{}",
        serde_json::to_string_pretty(&log.headers)?
    ));
    print::line(&format!("\nbody\n{}", log.body));
    Ok(())
}
