//! `liaison person`: passwords, accounts in messengers, and people who leave.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Subcommand;
use sqlx::PgPool;

use super::{Output, clock, login::set_password, open, print};
use crate::{
    config::Config,
    crm::Crm,
    domain::{PersonId, Via},
    store::person,
};

#[derive(Debug, Subcommand)]
pub(super) enum PersonCommand {
    /// Sets the password of a person, read from a prompt or from standard input, and ends his sessions.
    Password {
        /// Username of the person.
        username: String,
    },
    /// Gives the account that a code was sent to to a person.
    Link {
        /// The code that the bot sent.
        code: String,
        /// Username of the person.
        #[arg(long, value_name = "USERNAME")]
        person: String,
    },
    /// Switches a person off: he observes nothing any more and leaves all chats.
    Deactivate {
        /// Username of the person.
        username: String,
        #[command(flatten)]
        output: Output,
    },
}

pub(super) async fn person(config: &Config, command: PersonCommand) -> anyhow::Result<()> {
    let database = open(config).await?;
    let done = run(&database.pool, command).await;
    database.close().await;
    done
}

/// Returns the CRM for what needs no tracker.
pub(super) fn crm(pool: &PgPool) -> Crm {
    Crm {
        pool: pool.clone(),
        clock: clock(),
        trackers: Arc::new(HashMap::new()),
        level_fresh: Duration::ZERO,
        place_fresh: Duration::ZERO,
    }
}

async fn run(pool: &PgPool, command: PersonCommand) -> anyhow::Result<()> {
    match command {
        PersonCommand::Password { username } => {
            set_password(pool, find(pool, &username).await?).await?;
        }
        PersonCommand::Link { code, person } => {
            let found = find(pool, &person).await?;
            let proven = crm(pool).link_account(found, &code).await?;
            print::line(&format!(
                "{person} is {} in the messenger.",
                proven.username
            ));
        }
        PersonCommand::Deactivate { username, output } => {
            let found = find(pool, &username).await?;
            let by = (None, Via::CommandLine);
            let departure = crm(pool).deactivate(by, found).await?;
            if output.json {
                return print::json(&departure);
            }
            print::line(&format!(
                "{username} is switched off, and observes {} items no longer.",
                departure.observed
            ));
            for (group, title) in &departure.to_hand_over {
                print::line(&format!("  to be handed over in {group}: {title}"));
            }
        }
    }
    Ok(())
}

/// Finds an active person by his username.
pub(super) async fn find(pool: &PgPool, username: &str) -> anyhow::Result<PersonId> {
    let mut connection = pool.acquire().await?;
    person::find(&mut connection, username)
        .await?
        .with_context(|| {
            format!("there is no active person {username}: declare a [[person]] in the configuration and start the service once")
        })
}
