//! `liaison person password` and `liaison login-link`: how people get to the pages without an identity provider.

use std::io::{BufRead, IsTerminal, stdin};

use anyhow::Context;
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use super::{clock, open, person::find, print};
use crate::{
    app::sessions,
    auth::{LINK_LASTS, hash_password},
    config::Config,
    domain::PersonId,
    store::login,
};

#[derive(Debug, Args)]
pub(super) struct LinkArgs {
    /// Username of the person whom the link signs in.
    #[arg(long, value_name = "USERNAME")]
    person: String,
}

/// Sets a person's password, read from a prompt or from standard input, and ends his sessions.
pub(super) async fn set_password(pool: &PgPool, person: PersonId) -> anyhow::Result<()> {
    let hash = hash_password(&read_password()?)?;
    let mut tx = pool.begin().await?;
    login::set_password(&mut tx, person, &hash, clock().now()).await?;
    login::end_sessions(&mut tx, person).await?;
    tx.commit().await?;
    print::line("The password is set; earlier sessions have ended.");
    Ok(())
}

/// Reads a password: twice where somebody types it, and without showing it if the terminal can do that.
fn read_password() -> anyhow::Result<SecretString> {
    if !stdin().is_terminal() {
        return line();
    }
    let _hidden = Hidden::begin();
    print::error("New password:");
    let first = line()?;
    print::error("Once more:");
    let second = line()?;
    anyhow::ensure!(
        first.expose_secret() == second.expose_secret(),
        "the two differ; nothing was changed"
    );
    Ok(first)
}

/// What is typed is not shown until this is dropped.
struct Hidden(Termios);

impl Hidden {
    /// Hides it, if the terminal can do that.
    fn begin() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Now, &hidden).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

fn line() -> anyhow::Result<SecretString> {
    let mut line = String::new();
    stdin()
        .lock()
        .read_line(&mut line)
        .context("no password could be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned().into())
}

pub(super) async fn login_link(config: &Config, args: LinkArgs) -> anyhow::Result<()> {
    let database = open(config).await?;
    let made = link(&database.pool, config, &args.person).await;
    database.close().await;
    print::line(&made?);
    print::error(&format!(
        "The link signs {} in once, within {} minutes.",
        args.person,
        LINK_LASTS.num_minutes()
    ));
    Ok(())
}

async fn link(pool: &PgPool, config: &Config, username: &str) -> anyhow::Result<String> {
    let person = find(pool, username).await?;
    let token = sessions(config, pool.clone(), clock()).link(person).await?;
    let mut url = config.server.public_url.join("/users/sign_in/link")?;
    url.query_pairs_mut()
        .append_pair("token", token.expose_secret());
    Ok(url.into())
}
