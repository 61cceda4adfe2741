//! `liaison webhook`: inbound endpoints of groups.

pub(super) mod matrix;
mod tracker;

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use secrecy::ExposeSecret;
use serde::Serialize;
use sqlx::PgConnection;

use super::{Output, clock, find_connection, find_group, open, print, sealing_key};
use crate::{
    config::Config,
    crm::{By, NewSecret, NewWebhook, Webhooks},
    domain::{ConnectionKind, HookEvent, RootId, Via, WebhookId},
    store::webhook::{self as webhooks, SecretKind},
};

/// The command line acts for nobody in particular.
const BY: By = By {
    person: None,
    via: Via::CommandLine,
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
    /// Chooses the events that a webhook acts on; `install` tells the tracker.
    Events {
        /// Name of the webhook.
        name: String,
        /// The events; without any, all.
        events: Vec<Event>,
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
    /// An event that it is for; without any, all.
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<Event>,
    #[command(flatten)]
    output: Output,
}

/// An event as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Event {
    /// Comments on issues.
    Comments,
    /// Issues that are opened, changed and moved.
    Issues,
    /// Members who come, change or leave.
    Members,
    /// Projects and groups that come, go, move or are renamed.
    Tree,
}

impl Event {
    fn all(chosen: &[Self]) -> Option<Vec<HookEvent>> {
        let event = |chosen: &Self| match chosen {
            Self::Comments => HookEvent::Comments,
            Self::Issues => HookEvent::Issues,
            Self::Members => HookEvent::Members,
            Self::Tree => HookEvent::Tree,
        };
        (!chosen.is_empty()).then(|| chosen.iter().map(event).collect())
    }
}

#[derive(Serialize)]
struct Created<'a> {
    name: &'a str,
    url: &'a str,
    #[serde(rename = "secret_kind")]
    kind: SecretKind,
    secret: &'a str,
}

pub(super) async fn webhook(config: &Config, command: WebhookCommand) -> anyhow::Result<()> {
    let database = open(config).await?;
    let desk = Desk {
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
    async fn run(&self, command: WebhookCommand) -> anyhow::Result<()> {
        match command {
            WebhookCommand::Create(args) => self.create(args).await,
            WebhookCommand::List { output } => self.list(output).await,
            WebhookCommand::Rotate {
                name,
                overlap,
                signing,
            } => self.rotate(&name, overlap, signing).await,
            WebhookCommand::Events { name, events } => self.set_events(&name, &events).await,
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

    /// Returns the way to the webhooks, which makes no calls.
    fn webhooks(&self) -> anyhow::Result<Webhooks> {
        Ok(Webhooks {
            pool: self.pool.clone(),
            clock: clock(),
            key: Arc::new(sealing_key(self.config)?),
            public_url: self.config.server.public_url.clone(),
            trackers: Arc::new(HashMap::new()),
        })
    }

    async fn create(&self, args: CreateArgs) -> anyhow::Result<()> {
        let mut connection = self.pool.acquire().await?;
        let group = find_group(&mut connection, &args.group).await?;
        let on = find_connection(&mut connection, &args.connection).await?;
        drop(connection);
        let events = Event::all(&args.events);
        let wanted = NewWebhook {
            group: (group.root, group.id),
            path: &group.path,
            connection: &on.name,
            name: args.name.as_deref(),
            signing: args.signing,
            events: events.as_deref(),
        };
        let created = self.webhooks()?.create(BY, &wanted).await?;
        if args.output.json {
            return print::json(&Created {
                name: &created.name,
                url: &created.url,
                kind: created.kind,
                secret: created.secret.expose_secret(),
            });
        }
        print::line(&format!("Name:    {}", created.name));
        print::line(&format!("URL:     {}", created.url));
        print_secret(&created);
        if on.kind == ConnectionKind::Matrix {
            print::line(&format!(
                "The homeserver's file: liaison webhook registration {} > liaison.yaml",
                created.name
            ));
        }
        Ok(())
    }

    async fn list(&self, output: Output) -> anyhow::Result<()> {
        let list = webhooks::list(&mut *self.pool.acquire().await?, None, clock().now()).await?;
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
                    print::moment(webhook.health.last_delivery_at),
                    webhook.health.refused.to_string(),
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
                "REFUSED",
            ],
            &rows,
            "There are no webhooks.",
        );
        Ok(())
    }

    async fn rotate(&self, name: &str, overlap: u32, signing: bool) -> anyhow::Result<()> {
        let webhook = self.named(name).await?;
        let webhooks = self.webhooks()?;
        let (rotated, overlap) = webhooks.rotate(BY, webhook, (overlap, signing)).await?;
        print_secret(&rotated);
        print::error(&match overlap {
            0 => "The old secret is not accepted any more.".to_owned(),
            hours => format!("The old secret is accepted for {hours} more hours."),
        });
        Ok(())
    }

    async fn set_events(&self, name: &str, events: &[Event]) -> anyhow::Result<()> {
        let webhook = self.named(name).await?;
        let events = Event::all(events);
        let webhooks = self.webhooks()?;
        webhooks.set_events(BY, webhook, events.as_deref()).await?;
        print::line(&format!(
            "Chosen. `liaison webhook install {name}` tells the tracker."
        ));
        Ok(())
    }

    async fn set_state(&self, name: &str, state: &'static str, done: &str) -> anyhow::Result<()> {
        let webhook = self.named(name).await?;
        self.webhooks()?.set_state(BY, webhook, state).await?;
        print::line(done);
        Ok(())
    }

    async fn named(&self, name: &str) -> anyhow::Result<(RootId, WebhookId)> {
        self.find(&mut *self.pool.acquire().await?, name).await
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
}

fn print_secret(made: &NewSecret) {
    let name = match made.kind {
        SecretKind::Token => "Secret token: ",
        SecretKind::Signing => "Signing token:",
    };
    print::line(&format!("{name} {}", made.secret.expose_secret()));
    print::error("This is the only time the secret is shown.");
}
