//! `liaison webhook`: inbound endpoints of groups.

pub(super) mod matrix;
mod tracker;

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::PgConnection;

use super::{Output, clock, find_connection, find_group, open, print, sealing_key};
use crate::{
    config::{self, Config},
    crypto::{digest, random_token},
    domain::{ConnectionKind, RootId, WebhookId},
    queue::{self, Signal},
    store::{
        StoreError,
        webhook::{self as webhooks, SecretKind},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Makes a webhook and prints its URL and secret, once.
    Create(CreateArgs),
    /// Lists all webhooks.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Gives a webhook a new secret and prints it, once.
    Rotate {
        /// Name of the webhook.
        name: String,
        /// Hours for which the old secret is accepted too.
        #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(0..=8760))]
        overlap: u32,
        /// Changes from a secret token to a signing token (GitLab 19.0 and later), at once.
        #[arg(long)]
        signing: bool,
    },
    /// Takes no deliveries for a while: they are answered 410.
    Pause {
        /// Name of the webhook.
        name: String,
    },
    /// Takes deliveries again.
    Resume {
        /// Name of the webhook.
        name: String,
    },
    /// Creates or updates the hook in the tracker, through its API.
    Install {
        /// Name of the webhook.
        name: String,
        /// A project to install it into, by id or path, instead of the group (whose hooks need GitLab Premium).
        #[arg(long)]
        project: Option<String>,
    },
    /// Has the tracker send a test delivery through the installed hook.
    Test {
        /// Name of the webhook.
        name: String,
        /// The project it was installed into, instead of the group.
        #[arg(long)]
        project: Option<String>,
    },
    /// Prints the file that registers Liaison at a Matrix homeserver. It holds secrets.
    Registration {
        /// Name of the webhook.
        name: String,
    },
    /// Deletes a webhook; its log stays.
    Delete {
        /// Name of the webhook.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Path of the group.
    #[arg(long, value_name = "PATH")]
    group: String,
    /// Name of the connection.
    #[arg(long, value_name = "NAME")]
    connection: String,
    /// Name in the URL; without it one that cannot be guessed is made.
    #[arg(long)]
    name: Option<String>,
    /// Makes a signing token (GitLab 19.0 and later) instead of a secret token.
    #[arg(long)]
    signing: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Created<'a> {
    name: &'a str,
    url: String,
    #[serde(rename = "secret_kind")]
    kind: SecretKind,
    secret: &'a str,
}

pub(super) async fn webhook(config: &Config, command: WebhookCommand) -> anyhow::Result<()> {
    let database = open(config).await?;
    let mut desk = Desk {
        config,
        pool: database.pool.clone(),
    };
    let done = desk.run(command).await;
    database.close().await;
    done
}

struct Desk<'a> {
    config: &'a Config,
    pool: sqlx::PgPool,
}

impl Desk<'_> {
    async fn run(&mut self, command: WebhookCommand) -> anyhow::Result<()> {
        match command {
            WebhookCommand::Create(args) => self.create(args).await,
            WebhookCommand::List { output } => self.list(output).await,
            WebhookCommand::Rotate {
                name,
                overlap,
                signing,
            } => self.rotate(&name, overlap, signing).await,
            WebhookCommand::Pause { name } => self.set_state(&name, "paused", "Paused.").await,
            WebhookCommand::Resume { name } => self.set_state(&name, "active", "Resumed.").await,
            WebhookCommand::Delete { name } => {
                self.set_state(&name, "deleted", "Deleted. Its log stays.")
                    .await
            }
            WebhookCommand::Install { name, project } => {
                self.install(&name, project.as_deref()).await
            }
            WebhookCommand::Test { name, project } => self.test(&name, project.as_deref()).await,
            WebhookCommand::Registration { name } => self.registration(&name).await,
        }
    }

    fn url(&self, name: &str) -> anyhow::Result<String> {
        let mut url = self.config.server.public_url.clone();
        url.path_segments_mut()
            .ok()
            .context("server.public_url cannot have a path")?
            .pop_if_empty()
            .extend(["hooks", name]);
        Ok(url.into())
    }

    async fn create(&mut self, args: CreateArgs) -> anyhow::Result<()> {
        let now = clock().now();
        let mut tx = self.pool.begin().await?;
        let group = find_group(&mut tx, &args.group).await?;
        let on = find_connection(&mut tx, &args.connection).await?;
        matrix::only_one(&mut tx, &on).await?;
        let is_matrix = on.kind == ConnectionKind::Matrix;
        ensure!(
            !(is_matrix && args.signing),
            "Matrix homeservers do not sign: leave out --signing"
        );
        // The random part makes the URL itself hard to guess; the secret proves the sender all the same.
        let name = args.name.unwrap_or_else(|| {
            let random: String = random_token("")
                .expose_secret()
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(20)
                .collect();
            format!("{}-{}", group.path.replace('/', "-"), random.to_lowercase())
        });
        ensure!(
            config::is_slug(&name),
            "the name may have letters, digits, -, _ and ."
        );
        let webhook = match webhooks::create(&mut tx, &name, &group, on.id, now).await {
            Ok(webhook) => webhook,
            Err(StoreError::Conflict { .. }) => {
                bail!("there is a webhook named {name}: choose another --name")
            }
            Err(other) => return Err(other.into()),
        };
        let (kind, secret) = new_secret(args.signing);
        let key = sealing_key(self.config)?;
        webhooks::add_secret(&mut tx, webhook, (kind, &secret), (clock().id(), &key), now).await?;
        tx.commit().await?;
        self.announce().await?;
        let created = Created {
            name: &name,
            url: self.url(&name)?,
            kind,
            secret: secret.expose_secret(),
        };
        if args.output.json {
            return print::json(&created);
        }
        print::line(&format!("Name:    {name}"));
        print::line(&format!("URL:     {}", created.url));
        print_secret(kind, &secret);
        if is_matrix {
            print::line(&format!(
                "The homeserver's file: liaison webhook registration {name} > liaison.yaml"
            ));
        }
        Ok(())
    }

    async fn list(&mut self, output: Output) -> anyhow::Result<()> {
        let list = webhooks::list(&mut *self.pool.acquire().await?, clock().now()).await?;
        if output.json {
            return print::json(&list);
        }
        let rows: Vec<_> = list
            .into_iter()
            .map(|webhook| {
                [
                    webhook.name,
                    webhook.group,
                    webhook.connection,
                    webhook.state,
                    if webhook.managed { "file" } else { "here" }.to_owned(),
                    print::moment(webhook.last_delivery_at),
                ]
            })
            .collect();
        print::table(
            [
                "NAME",
                "GROUP",
                "CONNECTION",
                "STATE",
                "DECLARED",
                "LAST DELIVERY",
            ],
            &rows,
            "There are no webhooks.",
        );
        Ok(())
    }

    async fn rotate(&mut self, name: &str, overlap: u32, signing: bool) -> anyhow::Result<()> {
        let now = clock().now();
        let mut tx = self.pool.begin().await?;
        let webhook = self.find_own(&mut tx, name).await?;
        let known = webhooks::secrets(&mut tx, webhook, now).await?;
        let signed = known.iter().any(|known| known.kind == SecretKind::Signing);
        let (kind, secret) = new_secret(signing || signed);
        // A webhook that has a signing token accepts nothing else, so that a secret token ends with the first one.
        let overlap = if signing && !signed { 0 } else { overlap };
        webhooks::end_secrets(&mut tx, webhook, now + TimeDelta::hours(overlap.into())).await?;
        let key = sealing_key(self.config)?;
        webhooks::add_secret(&mut tx, webhook, (kind, &secret), (clock().id(), &key), now).await?;
        tx.commit().await?;
        self.announce().await?;
        print_secret(kind, &secret);
        print::error(&match overlap {
            0 => "The old secret is not accepted any more.".to_owned(),
            hours => format!("The old secret is accepted for {hours} more hours."),
        });
        Ok(())
    }

    async fn set_state(&mut self, name: &str, state: &str, done: &str) -> anyhow::Result<()> {
        let mut tx = self.pool.begin().await?;
        let webhook = if state == "deleted" {
            self.find_own(&mut tx, name).await?
        } else {
            self.find(&mut tx, name).await?
        };
        webhooks::set_state(&mut tx, webhook, state).await?;
        tx.commit().await?;
        self.announce().await?;
        print::line(done);
        Ok(())
    }

    async fn find(
        &self,
        connection: &mut PgConnection,
        name: &str,
    ) -> anyhow::Result<(RootId, WebhookId)> {
        webhooks::find(connection, name)
            .await?
            .with_context(|| format!("there is no webhook {name}"))
    }

    /// Finds a webhook that the configuration file does not declare: what it declares is changed there.
    async fn find_own(
        &self,
        connection: &mut PgConnection,
        name: &str,
    ) -> anyhow::Result<(RootId, WebhookId)> {
        let mut declared = self.config.group.iter().flat_map(|group| &group.webhook);
        ensure!(
            !declared.any(|webhook| webhook.name.eq_ignore_ascii_case(name)),
            "webhook {name} is declared in the configuration file: change it there and restart"
        );
        self.find(connection, name).await
    }

    /// Lets running services know.
    async fn announce(&self) -> anyhow::Result<()> {
        Ok(queue::notify(&self.pool, Signal::Webhooks).await?)
    }
}

fn new_secret(signing: bool) -> (SecretKind, SecretString) {
    if signing {
        let bytes = digest(random_token("").expose_secret().as_bytes());
        (
            SecretKind::Signing,
            format!("whsec_{}", STANDARD.encode(bytes)).into(),
        )
    } else {
        (SecretKind::Token, random_token(""))
    }
}

fn print_secret(kind: SecretKind, secret: &SecretString) {
    let name = match kind {
        SecretKind::Token => "Secret token: ",
        SecretKind::Signing => "Signing token:",
    };
    print::line(&format!("{name} {}", secret.expose_secret()));
    print::error("This is the only time the secret is shown.");
}
