//! The configuration: sections, defaults, where each value comes from, and every problem at once.
//!
//! Defaults are `config/default.toml`, compiled in. A file comes after them, then the environment, then flags.

mod bitrix24;
mod layer;
mod load;
mod secret;
mod source;
mod validate;
mod written;

pub use bitrix24::{Bitrix24, InboundWebhook, OAuth, inbound_webhook};
pub use load::{ConfigError, Overrides, Problem, load};
pub use secret::{Secret, SecretError};
pub use validate::is_slug;
pub use written::{First, FirstFile, WriteError};

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::{
    ChatPreset, ConnectionKind, InvitePolicy, Reactions, Reassignment, RelationSource, Replies,
};

/// The whole configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The service's addresses.
    pub server: Server,
    /// Postgres.
    pub database: Database,
    /// Keys.
    pub secrets: Secrets,
    /// How work is retried and kept.
    pub queue: Queue,
    /// How long answers about rights are believed.
    pub access: Access,
    /// How people sign in to the pages.
    pub login: Login,
    /// How chats are kept in step.
    pub chats: Chats,
    /// Logging.
    pub log: Log,
    /// Declared connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connection: Vec<Connection>,
    /// Declared people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub person: Vec<Person>,
    /// Declared root groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<Group>,
}

/// The service's addresses.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where the service listens.
    pub listen: SocketAddr,
    /// The address under which the outside reaches it.
    pub public_url: Url,
    /// Where metrics are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_listen: Option<SocketAddr>,
    /// Most connections at a time.
    pub max_connections: usize,
}

/// Postgres.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// A Postgres of the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// Where the private Postgres keeps its data.
    pub data_dir: PathBuf,
    /// Folder of Postgres' programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bin_dir: Option<PathBuf>,
    /// Most connections per process.
    pub pool: u32,
    /// Longest that one statement may run, in seconds.
    pub statement_timeout_seconds: u64,
    /// Whether `serve` applies migrations.
    pub migrate: bool,
}

/// Keys.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The key that seals credentials at rest.
    pub key: Secret,
}

/// How work is retried and kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Lanes worked at the same time, per connection and queue.
    pub concurrency: usize,
    /// How long a lease lasts, in seconds.
    pub lease_seconds: u64,
    /// Pauses between attempts, in seconds.
    pub retry_seconds: Vec<u64>,
    /// Attempts before work is dead.
    pub attempts: i16,
    /// Days after which settled work is forgotten.
    pub retain_days: u32,
}

/// How long answers about rights are believed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// How long a level is believed, in seconds.
    pub cache_seconds: u32,
    /// How long the place of a project is believed, in seconds.
    pub place_seconds: u32,
}

/// How people sign in to the pages.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Hours after which a session that is not used ends.
    pub idle_hours: u32,
    /// Days after which a session ends however much it is used.
    pub longest_days: u32,
    /// The OpenID provider at which people may sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
}

/// An OpenID provider.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Its issuer, which is also where it is asked.
    pub issuer: Url,
    /// As whom it knows this service.
    pub client_id: String,
    /// By what this service proves that.
    pub client_secret: Secret,
    /// Name of the connection whose ids of people are the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Whether people are also known by an e-mail address that the provider vouches for.
    #[serde(default)]
    pub by_email: bool,
}

/// How chats are kept in step.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Chats {
    /// Minutes after which a chat that nobody told anything of is looked at; 0 for never.
    pub reconcile_minutes: u32,
}

/// Logging.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What is logged.
    pub filter: String,
    /// How it looks.
    pub format: LogFormat,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// A declared connection.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Its name, by which the file refers to it.
    pub name: String,
    /// What it connects to.
    pub kind: ConnectionKind,
    /// Base address of the other side.
    pub url: Url,
    /// The bot's access token there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The bot's username there.
    pub bot: String,
    /// Whether comments of other bots run commands.
    #[serde(default)]
    pub allow_bots: bool,
    /// Comments the bot may write in a minute; GitLab's own limit is 300.
    #[serde(default = "notes_per_minute")]
    pub notes_per_minute: u32,
    /// Bitrix24: what only it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrix24: Option<Bitrix24>,
    /// Matrix: the token of a server administrator, with which people are found by their addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<Secret>,
    /// Matrix: whether users of other homeservers may come into the bot's rooms.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub federate: bool,
    /// Matrix: whether everybody in a room may invite others, and not only who is responsible.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub members_invite: bool,
    /// Matrix: address of the web client in which links to chats open, one that shows rooms at `#/room/` as Element does. Without it they
    /// lead to matrix.to, where everybody chooses his own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_client: Option<Url>,
}

impl Connection {
    /// Returns the addresses that are called for the connection.
    pub fn addresses(&self) -> impl Iterator<Item = &Url> {
        let settings = self.bitrix24.as_ref();
        let oauth = settings.and_then(|settings| settings.oauth.as_ref());
        std::iter::once(&self.url).chain(oauth.map(|oauth| &oauth.server))
    }
}

fn notes_per_minute() -> u32 {
    300
}

/// A declared person.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Username in Liaison.
    pub username: String,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Who this is elsewhere.
    #[serde(default)]
    pub identities: Vec<Identity>,
}

/// A person on one connection.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Name of the connection.
    pub connection: String,
    /// Immutable id there.
    pub id: String,
    /// Username there.
    pub username: String,
}

/// A declared root group.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its path: one segment, since declared groups are root groups.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Whether the CRM is on.
    #[serde(default = "on")]
    pub crm: bool,
    /// By what contacts are related to its issues without a command; the groups below do as it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub automatic_relations: Vec<RelationSource>,
    /// The tracker's namespace that it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracker: Option<Tracker>,
    /// The messenger in which chats of its items are made and its people are told things.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messenger: Option<GroupMessenger>,
    /// What leaving a chat means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_preset: Option<ChatPreset>,
    /// Who makes observers by adding people to a chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite_policy: Option<InvitePolicy>,
    /// What becomes of a responsible person who is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reassignment: Option<Reassignment>,
    /// Which comments with commands are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replies: Option<Replies>,
    /// Whether a reaction on a comment with commands says how they went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reactions: Option<Reactions>,
    /// Members, for groups whose tracker does not tell.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Its webhooks.
    #[serde(default)]
    pub webhook: Vec<Webhook>,
}

fn on() -> bool {
    true
}

/// A namespace of a tracker.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tracker {
    /// Name of the connection.
    pub connection: String,
    /// Full path there.
    pub path: String,
}

/// A group's messenger.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMessenger {
    /// Name of the connection.
    pub connection: String,
}

/// A declared member.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Username of the person.
    pub person: String,
    /// Access level, in words.
    pub level: String,
}

/// A declared webhook.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its name, which is in its URL.
    pub name: String,
    /// Name of the connection.
    pub connection: String,
    /// The shared token that the sender sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// The signing token (`whsec_…`) that the sender signs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_token: Option<Secret>,
}
