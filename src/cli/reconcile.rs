//! `liaison reconcile`: compares the tree with the tracker and repairs what differs.

mod chats;

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use sqlx::PgPool;

use super::{Output, clock, open, print, sealing_key};
use crate::{
    config::Config,
    connector::gitlab::Client,
    domain::{ConnectionId, ConnectionKind},
    egress::{Egress, Limits},
    store::{connection, group, place::Done, transfer::TransferReport},
    worker::{self, Reconciled},
};

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// Path of the group; without it all root groups.
    #[arg(long, value_name = "PATH")]
    group: Option<String>,
    /// Says what would be done, and does nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn reconcile(config: &Config, args: ReconcileArgs) -> anyhow::Result<()> {
    let database = open(config).await?;
    let done = async {
        let groups = run(config, &database.pool, &args).await?;
        let chats = chats::compare(&database.pool, args.group.as_deref(), args.dry_run).await?;
        anyhow::Ok(Report { groups, chats })
    }
    .await;
    database.close().await;
    let done = done?;
    if args.output.json {
        return print::json(&done);
    }
    for reconciled in &done.groups {
        show(reconciled, args.dry_run);
    }
    for compared in &done.chats {
        chats::show(compared, args.dry_run);
    }
    Ok(())
}

/// What was compared.
#[derive(Debug, Serialize)]
struct Report {
    groups: Vec<Reconciled>,
    chats: Vec<chats::Compared>,
}

async fn run(
    config: &Config,
    pool: &PgPool,
    args: &ReconcileArgs,
) -> anyhow::Result<Vec<Reconciled>> {
    let mut connection = pool.acquire().await?;
    let followed = group::followed(&mut connection, args.group.as_deref()).await?;
    if let Some(path) = &args.group {
        let known = group::find(&mut connection, path).await?;
        ensure!(known.is_some(), "there is no group {path}");
    }
    drop(connection);
    let clients = clients(config, pool).await?;
    let clock = clock();
    let mut done = Vec::new();
    for followed in followed {
        let Some(client) = clients.get(&followed.connection) else {
            continue;
        };
        let reconciled = worker::reconcile((pool, client, &*clock), &followed, args.dry_run)
            .await
            .with_context(|| format!("group {}", followed.group.path))?;
        done.push(reconciled);
    }
    Ok(done)
}

/// Builds the clients of all connections that tell of a tree.
async fn clients(config: &Config, pool: &PgPool) -> anyhow::Result<HashMap<ConnectionId, Client>> {
    let stored = connection::list(&mut *pool.acquire().await?).await?;
    let key = sealing_key(config)?;
    let mut clients = HashMap::new();
    for stored in stored
        .iter()
        .filter(|stored| stored.kind == ConnectionKind::Gitlab)
    {
        let Some(token) = stored.token(&key)? else {
            continue;
        };
        let base = stored.url.parse().context("the connection's address")?;
        let egress = Arc::new(Egress::new([&base], Limits::default())?);
        clients.insert(stored.id, Client::new(egress, base, token, clock()));
    }
    Ok(clients)
}

fn show(reconciled: &Reconciled, dry_run: bool) {
    let would = if dry_run { "would be " } else { "" };
    print::line(&format!("{}:", reconciled.group));
    if reconciled.is_clean() {
        print::line("  everything is where the tracker has it");
    }
    for shift in &reconciled.shifts {
        let done = match shift.done {
            Done::Added => "added",
            Done::Changed => "brought up to date",
            Done::Moved => "moved",
        };
        let from = match &shift.from {
            Some(from) if *from != shift.to => format!("{from} → "),
            _ => String::new(),
        };
        let what = shift.what.word();
        print::line(&format!("  {what} {from}{} {would}{done}", shift.to));
        if let Some(report) = &shift.report {
            show_report(report);
        }
    }
    for hidden in &reconciled.hidden {
        let what = hidden.what.word();
        print::line(&if hidden.left {
            format!(
                "  {what} {} is in no group that is known here any more",
                hidden.path
            )
        } else {
            format!(
                "  {what} {} is not shown to the bot: it is gone, or hidden from it",
                hidden.path
            )
        });
    }
    print::line(&format!(
        "  {} remembered access levels {would}asked anew",
        reconciled.levels
    ));
}

fn show_report(report: &TransferReport) {
    for (name, fates) in [
        ("contacts", report.contacts),
        ("organizations", report.organizations),
    ] {
        if !fates.is_empty() {
            print::line(&format!(
                "    {name}: {} moved, {} copied, {} merged",
                fates.moved, fates.copied, fates.merged
            ));
        }
    }
    print::line(&format!(
        "    {} issues: {} relations kept, {} removed",
        report.issues, report.relations_kept, report.relations_removed
    ));
}
