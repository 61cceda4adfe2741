//! Webhooks of groups: made, given new secrets, paused, deleted, and (in `tracker`) installed into the tracker and tried.
//!
//! For pages, the API and the command line alike. Whoever calls has made sure that the asker may configure the group; on the command line
//! that is whoever has the configuration. Every change is told in the history, and running receivers are told at once.

mod tracker;

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use url::Url;

pub use tracker::Installed;

use super::{CrmError, bulk::outage, error::Failure};
use crate::{
    connector::gitlab::Client,
    crypto::{SealingKey, digest, random_token},
    domain::{
        Clock, ConnectionId, ConnectionKind, GroupId, HookEvent, OperationId, PersonId, RootId,
        Via, WebhookId,
    },
    queue::{self, Signal},
    rules::Refused,
    store::{
        StoreError, connection,
        operation::{self, Act, Told},
        webhook::{self, SecretKind, Webhook},
    },
};

/// Longest name of a webhook, in characters.
const MAX_NAME: usize = 100;
/// Longest that an old secret may be accepted beside a new one, in hours.
pub const MAX_OVERLAP: u32 = 8760;

/// The way to the webhooks of groups.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// The database.
    pub pool: PgPool,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// The key that seals secrets.
    pub key: Arc<SealingKey>,
    /// The address under which others reach this service.
    pub public_url: Url,
    /// The trackers that hooks are installed into, by connection.
    pub trackers: Arc<HashMap<ConnectionId, Client>>,
}

/// Who changes a webhook, and through what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// The person, where one is known.
    pub person: Option<PersonId>,
    /// Remembered in the history.
    pub via: Via,
}

/// A webhook that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct NewWebhook<'a> {
    /// Tenant and group that it is for.
    pub group: (RootId, GroupId),
    /// Path of the group.
    pub path: &'a str,
    /// Name of the connection that it is for.
    pub connection: &'a str,
    /// Name in the URL; without one a name is made that cannot be guessed.
    pub name: Option<&'a str>,
    /// Whether senders sign with a signing token (GitLab 19.0 and later), rather than send a secret token.
    pub signing: bool,
    /// The events that it is for; none for all.
    pub events: Option<&'a [HookEvent]>,
}

/// A secret that was just made. It is never told again.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// Name of the webhook.
    pub name: String,
    /// Where deliveries go.
    pub url: String,
    /// What the secret proves a sender with.
    pub kind: SecretKind,
    /// The secret.
    pub secret: SecretString,
}

impl Webhooks {
    /// Returns where the deliveries of a webhook go.
    pub fn url(&self, name: &str) -> String {
        let mut url = self.public_url.clone();
        // A configured address has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["hooks", name]);
        }
        url.into()
    }

    /// Returns a name that cannot be guessed. It makes the URL itself hard to find; the secret proves the sender all the same.
    pub fn random_name(path: &str) -> String {
        let token = random_token("");
        let random = token.expose_secret().chars();
        let random: String = random
            .filter(char::is_ascii_alphanumeric)
            .take(20)
            .collect();
        format!("{}-{}", path.replace('/', "-"), random.to_lowercase())
    }

    /// Makes a webhook with a secret.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] names what is wrong: the name is taken or no name, there is no such connection, it already has its one webhook.
    pub async fn create(&self, by: By, new: &NewWebhook<'_>) -> Result<NewSecret, CrmError> {
        let now = self.clock.now();
        let made;
        let name = match new.name.map(str::trim).filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => {
                made = Self::random_name(new.path);
                &made
            }
        };
        is_name(name)?;
        are_events(new.events)?;
        let mut tx = self.pool.begin().await.map_err(outage)?;
        let on = connection_named(&mut tx, by, (new.group.0, new.connection)).await?;
        sends_hooks(on.kind, new.signing)?;
        if on.kind == ConnectionKind::Matrix {
            only_one(&mut tx, &on, new.group.0).await?;
        }
        let created = webhook::create(&mut tx, name, new.group, on.id, now).await;
        let id = match created {
            Err(StoreError::Conflict { .. }) => {
                let reason = format!("Name is taken: there is a webhook named {name}");
                return Err(Refused::because(reason).into());
            }
            other => other.map_err(store)?,
        };
        webhook::set_events(&mut tx, id, new.events)
            .await
            .map_err(store)?;
        let (kind, secret) = new_secret(new.signing);
        self.add_secret(&mut tx, id, (kind, &secret)).await?;
        let told = ("webhook_created", json!({ "webhook": name }));
        self.tell(&mut tx, by, new.group, told).await?;
        tx.commit().await.map_err(outage)?;
        self.announce().await;
        Ok(NewSecret {
            name: name.to_owned(),
            url: self.url(name),
            kind,
            secret,
        })
    }

    /// Gives a webhook a new secret; the old ones are accepted for so many hours more. One that has a signing token accepts nothing else,
    /// so that its secret tokens end at once.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] where the configuration file declares the webhook; [`CrmError::NotFound`] where it is gone.
    pub async fn rotate(
        &self,
        by: By,
        webhook: (RootId, WebhookId),
        (overlap, signing): (u32, bool),
    ) -> Result<(NewSecret, u32), CrmError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await.map_err(outage)?;
        webhook::lock(&mut tx, webhook).await.map_err(store)?;
        let found = self.own(&mut tx, webhook).await?;
        let signed = found
            .secrets
            .iter()
            .any(|known| known.kind == SecretKind::Signing);
        sends_hooks(found.kind, signing)?;
        let (kind, secret) = new_secret(signing || signed);
        let overlap = if signing && !signed {
            0
        } else {
            overlap.min(MAX_OVERLAP)
        };
        webhook::end_secrets(&mut tx, webhook, now + TimeDelta::hours(overlap.into()))
            .await
            .map_err(store)?;
        self.add_secret(&mut tx, webhook, (kind, &secret)).await?;
        let told = json!({ "webhook": found.name, "overlap_hours": overlap });
        let place = (found.root, found.group);
        self.tell(&mut tx, by, place, ("webhook_rotated", told))
            .await?;
        tx.commit().await.map_err(outage)?;
        self.announce().await;
        let new = NewSecret {
            url: self.url(&found.name),
            name: found.name,
            kind,
            secret,
        };
        Ok((new, overlap))
    }

    /// Makes a webhook active, paused or deleted. Paused and deleted ones answer 410; the log of a deleted one stays.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] where it is to be deleted and the configuration file declares it.
    pub async fn set_state(
        &self,
        by: By,
        webhook: (RootId, WebhookId),
        state: &'static str,
    ) -> Result<(), CrmError> {
        let mut tx = self.pool.begin().await.map_err(outage)?;
        webhook::lock(&mut tx, webhook).await.map_err(store)?;
        let found = if state == "deleted" {
            self.own(&mut tx, webhook).await?
        } else {
            self.find(&mut tx, webhook).await?
        };
        webhook::set_state(&mut tx, webhook, state)
            .await
            .map_err(store)?;
        let told = json!({ "webhook": found.name, "before": found.state, "after": state });
        let place = (found.root, found.group);
        self.tell(&mut tx, by, place, ("webhook_state", told))
            .await?;
        tx.commit().await.map_err(outage)?;
        self.announce().await;
        Ok(())
    }

    /// Chooses the events that a webhook acts on; none for all. What it is told of all the same is logged as ignored. The tracker sends what
    /// was chosen when the hook was last installed.
    pub async fn set_events(
        &self,
        by: By,
        webhook: (RootId, WebhookId),
        events: Option<&[HookEvent]>,
    ) -> Result<(), CrmError> {
        are_events(events)?;
        let mut tx = self.pool.begin().await.map_err(outage)?;
        webhook::lock(&mut tx, webhook).await.map_err(store)?;
        let found = self.find(&mut tx, webhook).await?;
        webhook::set_events(&mut tx, webhook, events)
            .await
            .map_err(store)?;
        let words: Option<Vec<&str>> =
            events.map(|events| events.iter().map(|event| event.word()).collect());
        let told = json!({ "webhook": found.name, "events": words });
        let place = (found.root, found.group);
        self.tell(&mut tx, by, place, ("webhook_events", told))
            .await?;
        tx.commit().await.map_err(outage)?;
        Ok(())
    }

    /// Returns a webhook that is not deleted.
    pub async fn find(
        &self,
        connection: &mut PgConnection,
        webhook: (RootId, WebhookId),
    ) -> Result<Webhook, CrmError> {
        let found = webhook::one(connection, webhook, self.clock.now()).await;
        let found = found.map_err(store)?;
        found
            .filter(|found| found.state != "deleted")
            .ok_or(CrmError::NotFound)
    }

    /// Returns a webhook that the configuration file does not declare: what it declares is changed there.
    async fn own(
        &self,
        connection: &mut PgConnection,
        webhook: (RootId, WebhookId),
    ) -> Result<Webhook, CrmError> {
        let found = self.find(connection, webhook).await?;
        if found.managed {
            let reason = format!(
                "Webhook {} is declared in the configuration file: change it there and restart",
                found.name
            );
            return Err(Refused::because(reason).into());
        }
        Ok(found)
    }

    async fn add_secret(
        &self,
        connection: &mut PgConnection,
        webhook: (RootId, WebhookId),
        secret: (SecretKind, &SecretString),
    ) -> Result<(), CrmError> {
        let with = (self.clock.id(), &*self.key);
        let added = webhook::add_secret(connection, webhook, secret, with, self.clock.now());
        added.await.map_err(store)
    }

    /// Tells the history of a group's webhooks.
    async fn tell(
        &self,
        connection: &mut PgConnection,
        by: By,
        (root, group): (RootId, GroupId),
        (action, detail): (&'static str, Value),
    ) -> Result<(), CrmError> {
        let act = Act {
            root,
            group,
            operation: OperationId(self.clock.id()),
            actor: by.person,
            via: by.via,
            at: self.clock.now(),
            undoes: None,
            command: None,
        };
        let detail = match detail {
            Value::Object(detail) => detail,
            _ => Map::new(),
        };
        let told = Told {
            item: None,
            action,
            detail,
        };
        operation::append(connection, &act, vec![told])
            .await
            .map_err(store)
    }

    /// Lets running receivers know.
    async fn announce(&self) {
        if let Err(error) = queue::notify(&self.pool, Signal::Webhooks).await {
            tracing::debug!(%error, "nobody was told of a changed webhook");
        }
    }
}

/// Returns whether something is a name that a URL may have.
fn is_name(name: &str) -> Result<(), Refused> {
    let fits = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    if fits && !name.starts_with('.') && name.len() <= MAX_NAME {
        Ok(())
    } else {
        let reason = format!("Name may have up to {MAX_NAME} letters, digits, -, _ and .");
        Err(Refused::because(reason))
    }
}

/// Finds a connection that a tenant may use; whoever has the configuration may use any.
async fn connection_named(
    connection: &mut PgConnection,
    by: By,
    (root, name): (RootId, &str),
) -> Result<connection::Connection, CrmError> {
    let stored = if by.person.is_none() {
        connection::list(connection).await
    } else {
        connection::of_tenant(connection, root).await
    };
    let stored = stored.map_err(store)?;
    let found = stored.into_iter().find(|stored| stored.name == name);
    found.ok_or_else(|| {
        let reason = format!(
            "Connection is unknown: there is no {name}; declare a [[connection]] and start the service once"
        );
        Refused::because(reason).into()
    })
}

/// Refuses a choice of no events at all: such a webhook would ignore everything.
fn are_events(events: Option<&[HookEvent]>) -> Result<(), Refused> {
    if events.is_some_and(<[HookEvent]>::is_empty) {
        let reason = "Events can't be empty: a webhook that is to act on nothing is paused";
        return Err(Refused::because(reason));
    }
    Ok(())
}

/// Refuses webhooks of kinds that send nothing to one, and signatures of those that do not sign.
fn sends_hooks(kind: ConnectionKind, signing: bool) -> Result<(), Refused> {
    match kind {
        ConnectionKind::Gitlab => Ok(()),
        ConnectionKind::Matrix | ConnectionKind::Bitrix24 if !signing => Ok(()),
        ConnectionKind::Matrix | ConnectionKind::Bitrix24 => {
            let reason = format!("{} does not sign: choose a secret token", kind.word());
            Err(Refused::because(reason))
        }
        other => {
            let reason = format!("Connection {} sends no webhooks yet", other.word());
            Err(Refused::because(reason))
        }
    }
}

/// Refuses a second webhook of a Matrix connection: an application service has one token for all that it is told. The name of another
/// tenant's is not told.
async fn only_one(
    connection: &mut PgConnection,
    on: &connection::Connection,
    root: RootId,
) -> Result<(), CrmError> {
    let known = webhook::on_connection(connection, on.id)
        .await
        .map_err(store)?;
    let Some((of, name)) = known else {
        return Ok(());
    };
    let which = if of == root {
        format!("webhook {name}")
    } else {
        "a webhook".to_owned()
    };
    let reason = format!(
        "Connection {} has {which}, which takes all that it tells: a Matrix connection has one",
        on.name
    );
    Err(Refused::because(reason).into())
}

fn new_secret(signing: bool) -> (SecretKind, SecretString) {
    if signing {
        let bytes = digest(random_token("").expose_secret().as_bytes());
        let token = format!("whsec_{}", STANDARD.encode(bytes));
        (SecretKind::Signing, token.into())
    } else {
        (SecretKind::Token, random_token(""))
    }
}

pub(super) fn store(error: StoreError) -> CrmError {
    super::bulk::failed(Failure::from(error))
}
