//! `liaison check`: the effective configuration, and every problem.

use std::sync::Arc;

use clap::Args;

use super::{clock, print, webhook::matrix};
use crate::{
    app::{Database, bitrix24_by_webhook},
    config::{self, Config, Overrides},
    connector::{gitlab::Client, messenger::Calls},
    domain::{ConnectionKind, Scope},
    egress::{Egress, Limits},
    store, telemetry,
};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Tries the database, its migrations, each connection, and the public address too.
    #[arg(long)]
    connect: bool,
}

/// Prints the configuration with secrets hidden. Fails when there is a problem.
pub(super) async fn check(overrides: &Overrides, args: CheckArgs) -> anyhow::Result<()> {
    telemetry::init("error", telemetry::Format::Auto)?;
    let config = config::load(overrides)?;
    print::line(&toml::to_string(&config)?);
    if !args.connect {
        print::line("# The configuration is good. `liaison check --connect` tries what it names.");
        return Ok(());
    }
    let mut problems = 0;
    let mut report = |what: &str, result: anyhow::Result<String>| match result {
        Ok(found) => print::line(&format!("# ok       {what}: {found}")),
        Err(error) => {
            problems += 1;
            print::line(&format!("# problem  {what}: {error:#}"));
        }
    };
    report("database", database(&config).await);
    for connection in &config.connection {
        let found = match connection.kind {
            ConnectionKind::Bitrix24 => portal(connection).await,
            ConnectionKind::Matrix => homeserver(connection).await,
            _ => gitlab(&config, connection).await,
        };
        report(&format!("connection {}", connection.name), found);
    }
    report("public address", public_address(&config).await);
    anyhow::ensure!(problems == 0, "{problems} of the checks found a problem");
    Ok(())
}

async fn database(config: &Config) -> anyhow::Result<String> {
    let database = Database::join(&config.database).await?;
    let asked = sqlx::query!(
        r#"SELECT current_setting('server_version') AS "version!", clock_timestamp() AS "now!""#
    )
    .fetch_one(&database.pool)
    .await;
    let pending = store::pending_migrations(&database.pool).await;
    database.close().await;
    let asked = asked?;
    let skew = (clock().now() - asked.now).num_seconds().abs();
    anyhow::ensure!(skew < 60, "its clock and this machine's are {skew} s apart");
    let schema = match pending? {
        0 => "the schema is up to date".to_owned(),
        pending => format!(
            "{pending} migrations are to be applied, by the next serve or `liaison migrate`"
        ),
    };
    Ok(format!("Postgres {}, {schema}", asked.version))
}

async fn gitlab(config: &Config, connection: &config::Connection) -> anyhow::Result<String> {
    let egress = Egress::new([&connection.url], Limits::default())?;
    let token = match &connection.token {
        Some(token) => token.resolve()?,
        None => anyhow::bail!("has no token"),
    };
    let client = Client::new(Arc::new(egress), connection.url.clone(), token, clock());
    let bot = client.whoami().await?;
    anyhow::ensure!(
        bot.username.eq_ignore_ascii_case(&connection.bot),
        "the token belongs to {}, not to the configured bot {}",
        bot.username,
        connection.bot
    );
    let trackers = config
        .group
        .iter()
        .filter_map(|group| group.tracker.as_ref());
    let mut seen = Vec::new();
    for tracker in trackers.filter(|tracker| tracker.connection == connection.name) {
        let Some(group) = client.group(&tracker.path).await? else {
            anyhow::bail!("the bot sees no group {}: make it a member", tracker.path);
        };
        let level = client
            .access_level(Scope::Group, &group.id.to_string(), &bot.id)
            .await?;
        seen.push(format!("{} as {level:?}", group.full_path));
    }
    Ok(format!(
        "@{} sees {}",
        bot.username,
        if seen.is_empty() {
            "no declared group".to_owned()
        } else {
            seen.join(", ")
        }
    ))
}

async fn portal(connection: &config::Connection) -> anyhow::Result<String> {
    let egress = Egress::new(connection.addresses(), Limits::default())?;
    let Some(client) = bitrix24_by_webhook(connection, Arc::new(egress), clock())? else {
        return Ok(
            "has an application's tokens, which the service tries when it needs them".into(),
        );
    };
    let bot = client.whoami().await?;
    anyhow::ensure!(
        !bot.is_bot || bot.username.eq_ignore_ascii_case(&connection.bot),
        "the bot {} has the code {}, not {}: enter it as bot, since people mention it by its code",
        bot.id,
        bot.username,
        connection.bot
    );
    if bot.is_bot {
        return Ok(format!(
            "the bot {} ({}) answers there",
            bot.username, bot.id
        ));
    }
    Ok(format!(
        "the account {} answers there; without a bot nobody leads the chats, and commands do not arrive",
        bot.id
    ))
}

async fn homeserver(connection: &config::Connection) -> anyhow::Result<String> {
    let client = matrix::client(connection)?;
    let bot = client.whoami().await?;
    anyhow::ensure!(
        bot.username == connection.bot,
        "the token belongs to {}, not to the configured bot {}: compare sender_localpart in the registration file",
        bot.id,
        connection.bot
    );
    let reached = matrix::ping(&client, &connection.name).await?;
    Ok(format!("{} is the bot, and {reached}", bot.id))
}

async fn public_address(config: &Config) -> anyhow::Result<String> {
    let egress = Egress::new([&config.server.public_url], Limits::default())?;
    let url = config.server.public_url.join("/-/liveness")?;
    let answer = egress
        .send(crate::egress::Call::new(http::Method::GET, url))
        .await?;
    anyhow::ensure!(
        answer.status.is_success(),
        "answers {} (is the service running?)",
        answer.status
    );
    Ok(format!("{} answers", config.server.public_url))
}
