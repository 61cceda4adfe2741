//! `liaison token`: API tokens.

use anyhow::Context;
use chrono::TimeDelta;
use clap::Subcommand;
use secrecy::ExposeSecret;

use super::{Output, clock, open, print};
use crate::{
    config::Config,
    crypto::{digest, random_token},
    store::{person, token as tokens},
};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes a token and prints it, once.
    Create {
        /// Username of the person it acts for.
        #[arg(long, value_name = "USERNAME")]
        person: String,
        /// What it is for.
        #[arg(long, default_value = "command line")]
        name: String,
        /// Days after which it ends.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires: Option<u32>,
    },
    /// Lists all tokens.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Revokes a token by its number.
    Revoke {
        /// Number, as listed.
        id: i64,
    },
}

pub(super) async fn token(config: &Config, command: TokenCommand) -> anyhow::Result<()> {
    let database = open(config).await?;
    let done = run(&database.pool, command).await;
    database.close().await;
    done
}

async fn run(pool: &sqlx::PgPool, command: TokenCommand) -> anyhow::Result<()> {
    let now = clock().now();
    let mut connection = pool.acquire().await?;
    match command {
        TokenCommand::Create {
            person,
            name,
            expires,
        } => {
            let owner = person::find(&mut connection, &person).await?.with_context(|| {
                format!("there is no active person {person}: declare a [[person]] in the configuration and start the service once")
            })?;
            let token = random_token("lia_");
            let ends = expires.map(|days| now + TimeDelta::days(days.into()));
            let hash = digest(token.expose_secret().as_bytes());
            tokens::create(&mut connection, owner, &name, &hash, (now, ends)).await?;
            print::line(token.expose_secret());
            print::error("This is the only time the token is shown.");
        }
        TokenCommand::List { output } => {
            let tokens = tokens::list(&mut connection, None).await?;
            if output.json {
                return print::json(&tokens);
            }
            let rows: Vec<_> = tokens
                .into_iter()
                .map(|token| {
                    [
                        token.id.to_string(),
                        token.person,
                        token.name,
                        print::moment(Some(token.created_at)),
                        print::moment(token.expires_at),
                        print::moment(token.revoked_at),
                    ]
                })
                .collect();
            print::table(
                ["ID", "PERSON", "NAME", "CREATED", "EXPIRES", "REVOKED"],
                &rows,
                "There are no tokens.",
            );
        }
        TokenCommand::Revoke { id } => {
            anyhow::ensure!(
                tokens::revoke(&mut connection, (id, None), now).await?,
                "there is no token {id} in force"
            );
            print::line("Revoked.");
        }
    }
    Ok(())
}
