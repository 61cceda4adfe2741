//! The first set-up: a GitLab and a token, then a group and who sets Liaison up.
//!
//! Whoever knows the code that the service printed may do it, once. Until it is done nothing is called but the address that was typed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{DeclareError, address::web_address, declare};
use crate::{
    auth::{PasswordError, Sessions, hash_password},
    config::{Config, First, FirstFile, WriteError},
    connector::gitlab::{CallError, Client, GroupFacts},
    crypto::{SealingKey, random_token, same_secret},
    domain::{Level, RemoteUser, Scope},
    egress::{Egress, Limits},
    store::{StoreError, connection, login, person},
};

/// Name of the connection that is made.
const CONNECTION: &str = "gitlab";

/// Why a step of the set-up was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FirstError {
    /// What was typed does not do; sentences that begin with the label of a field, and others.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for FirstError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A GitLab that answers.
#[derive(Debug, Clone)]
pub struct Connected {
    /// Its base address.
    pub url: Url,
    /// Whose token it is.
    pub bot: RemoteUser,
    /// The groups that can be chosen.
    pub groups: Vec<GroupFacts>,
    client: Client,
    token: SecretString,
}

/// What is chosen once GitLab answers.
#[derive(Debug, Default)]
pub struct Choice {
    /// Full path of the group.
    pub group: String,
    /// Username of whoever sets Liaison up, in GitLab.
    pub username: String,
    /// A password for Liaison; empty for none.
    pub password: SecretString,
    /// The address under which people and GitLab reach Liaison; none where it is configured already.
    pub public_url: Option<String>,
}

/// What a finished set-up leads to.
#[derive(Debug)]
pub struct Done {
    /// The file that was written.
    pub file: String,
    /// Where whoever set Liaison up signs in once, and goes on to the group's first webhook.
    pub sign_in: Url,
    /// Name of the group.
    pub group: String,
}

/// A set-up that waits for whoever does it.
#[derive(Debug)]
pub struct FirstSetUp {
    code: SecretString,
    file: FirstFile,
    sessions: Sessions,
    key: Arc<SealingKey>,
    connected: Mutex<Option<Connected>>,
    /// The configuration that was written; locked while it is, so that one finishes at a time.
    written: tokio::sync::Mutex<Option<Config>>,
    done: CancellationToken,
}

impl FirstSetUp {
    /// Returns whether nothing is declared and nothing was before.
    ///
    /// # Errors
    /// Fails when the store does not answer.
    pub async fn is_needed(config: &Config, pool: &PgPool) -> Result<bool, StoreError> {
        if !(config.connection.is_empty() && config.person.is_empty() && config.group.is_empty()) {
            return Ok(false);
        }
        let mut connection = pool.acquire().await?;
        Ok(connection::list(&mut connection).await?.is_empty())
    }

    /// Returns a set-up that writes a file and signs somebody in.
    pub fn new(file: FirstFile, sessions: Sessions, key: Arc<SealingKey>) -> Self {
        Self {
            code: random_token(""),
            file,
            sessions,
            key,
            connected: Mutex::new(None),
            written: tokio::sync::Mutex::new(None),
            done: CancellationToken::new(),
        }
    }

    /// Returns the code that whoever does it has to know.
    pub fn code(&self) -> &SecretString {
        &self.code
    }

    /// Returns whether a text is that code.
    pub fn is_code(&self, text: &str) -> bool {
        same_secret(text.trim().as_bytes(), self.code.expose_secret().as_bytes())
    }

    /// Returns the GitLab that was connected.
    pub fn connected(&self) -> Option<Connected> {
        self.connection().clone()
    }

    /// Forgets the GitLab, so that another can be connected.
    pub fn disconnect(&self) {
        *self.connection() = None;
    }

    /// What is in there is whole, whoever failed while he held it.
    fn connection(&self) -> MutexGuard<'_, Option<Connected>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a GitLab who the bot is and in which groups it can install webhooks.
    ///
    /// # Errors
    /// Says what is wrong with the address or the token.
    pub async fn connect(&self, address: &str, token: SecretString) -> Result<(), FirstError> {
        let url = web_address(address).ok_or_else(|| {
            refused("Address of GitLab must be one like https://gitlab.example.com")
        })?;
        let token = SecretString::from(token.expose_secret().trim());
        if token.expose_secret().is_empty() {
            return Err(refused("Access token can't be blank"));
        }
        let egress = Egress::new([&url], Limits::default())
            .map_err(|_| refused("Calls cannot be made: the TLS library does not start"))?;
        let clock = Arc::clone(&self.sessions.clock);
        let client = Client::new(Arc::new(egress), url.clone(), token.clone(), clock);
        let bot = client.whoami().await.map_err(|error| explain(&error))?;
        let groups = client.led_groups().await.map_err(|error| explain(&error))?;
        if groups.is_empty() {
            let username = bot.username;
            return Err(refused(format!(
                "Access token is that of {username}, which leads no group: in GitLab make it Maintainer of the group whose customers you keep, then connect again"
            )));
        }
        *self.connection() = Some(Connected {
            url,
            bot,
            groups,
            client,
            token,
        });
        Ok(())
    }

    /// Writes the file, applies it, and makes the link that signs whoever sets Liaison up in. The service can start then.
    ///
    /// # Errors
    /// Says what is wrong with the choice, or what stands in the way; it can be tried again.
    pub async fn finish(&self, choice: Choice) -> Result<Done, FirstError> {
        let mut written = self.written.lock().await;
        if written.is_some() {
            return Err(refused("Liaison was set up meanwhile: sign in"));
        }
        let connected = self
            .connected()
            .ok_or_else(|| refused("Connect GitLab first"))?;
        let (group, user) = check(&connected, &choice).await?;
        let public_url = choice.public_url.as_deref().map(|typed| {
            web_address(typed).ok_or_else(|| {
                refused("Address of Liaison must be one like https://liaison.example.com")
            })
        });
        let public_url = public_url.transpose()?;
        let password = hashed(choice.password).await?;
        let first = First {
            public_url: public_url.as_ref(),
            connection: CONNECTION,
            url: &connected.url,
            token: &connected.token,
            bot: &connected.bot.username,
            person: (&user.id, &user.username),
            group: (&group.full_path, &group.name),
        };
        let config = self.file.write(&first).map_err(|error| unwritten(&error))?;
        let pool = &self.sessions.pool;
        let clock = &*self.sessions.clock;
        declare(pool, &config, &self.key, clock)
            .await
            .map_err(|error| match error {
                DeclareError::Store(error) => FirstError::Store(error),
                error @ DeclareError::Secret { .. } => refused(error.to_string()),
            })?;
        let sign_in = self
            .sign_in(&config, &user.username, &group.full_path, password)
            .await?;
        *written = Some(config);
        self.done.cancel();
        Ok(Done {
            file: self.file.path().display().to_string(),
            sign_in,
            group: group.name,
        })
    }

    /// Sets the password and returns where one signs in once.
    async fn sign_in(
        &self,
        config: &Config,
        username: &str,
        group: &str,
        password: Option<String>,
    ) -> Result<Url, FirstError> {
        let mut tx = self.sessions.pool.begin().await?;
        let person = person::find(&mut tx, username).await?;
        let person = person.ok_or_else(|| refused("The person was switched off meanwhile"))?;
        if let Some(hash) = password {
            login::set_password(&mut tx, person, &hash, self.sessions.clock.now()).await?;
        }
        tx.commit().await?;
        let token = self.sessions.link(person).await?;
        let mut url = config.server.public_url.clone();
        url.set_path("/users/sign_in/link");
        url.query_pairs_mut()
            .append_pair("token", token.expose_secret())
            .append_pair("return_to", &format!("/groups/{group}/-/hooks/new"));
        Ok(url)
    }

    /// Returns what says that it is done.
    pub fn done(&self) -> &CancellationToken {
        &self.done
    }

    /// Returns the configuration that was written, once it is done.
    pub async fn config(&self) -> Option<Config> {
        self.written.lock().await.clone()
    }
}

fn refused(sentence: impl Into<String>) -> FirstError {
    FirstError::Refused(vec![sentence.into()])
}

/// Says what a call to GitLab came to, beside the field that it is about.
fn explain(error: &CallError) -> FirstError {
    match error {
        CallError::Status { status, .. } if status.as_u16() == 401 => refused(
            "Access token is not accepted by GitLab: it may be mistyped, expired or revoked",
        ),
        CallError::Status { status, .. } if status.as_u16() == 403 => {
            refused("Access token may not do this: it needs the scope api")
        }
        CallError::Status { status, .. } if status.is_redirection() => {
            refused("Address of GitLab leads on to another one: enter that, usually with https://")
        }
        CallError::Status { status, .. } if status.as_u16() == 404 => refused(
            "Address of GitLab is that of something else: nothing there answers as GitLab does",
        ),
        CallError::Unreadable { .. } => refused(
            "Address of GitLab is that of something else: nothing there answers as GitLab does",
        ),
        other => refused(format!("Address of GitLab does not work: {other}")),
    }
}

/// Finds the group and whoever sets Liaison up, who has to be able to configure the group.
async fn check(
    connected: &Connected,
    choice: &Choice,
) -> Result<(GroupFacts, RemoteUser), FirstError> {
    let chosen = connected.groups.iter();
    let group = chosen
        .into_iter()
        .find(|group| group.full_path == choice.group)
        .ok_or_else(|| refused("Group must be chosen"))?;
    let username = choice.username.trim().trim_start_matches('@');
    if username.is_empty() {
        return Err(refused("Your username can't be blank"));
    }
    let client = &connected.client;
    let user = client
        .user_named(username)
        .await
        .map_err(|error| explain(&error))?
        .ok_or_else(|| refused(format!("Your username is not known to GitLab: {username}")))?;
    if user.id == connected.bot.id {
        return Err(refused(
            "Your username is that of the bot. What the bot writes is never a command, so it has to be an account of its own: go back and enter a token of one",
        ));
    }
    let level = client
        .access_level(Scope::Group, &group.id.to_string(), &user.id)
        .await
        .map_err(|error| explain(&error))?;
    if level < Level::Maintainer {
        return Err(refused(format!(
            "Your username has to be that of a Maintainer or Owner of {}, who may configure it here",
            group.full_path
        )));
    }
    Ok((group.clone(), user))
}

/// Returns the hash of a password, or none where there is none.
async fn hashed(password: SecretString) -> Result<Option<String>, FirstError> {
    if password.expose_secret().is_empty() {
        return Ok(None);
    }
    let hash = spawn_blocking(move || hash_password(&password)).await;
    match hash {
        Ok(Ok(hash)) => Ok(Some(hash)),
        Ok(Err(PasswordError::Store(error))) => Err(FirstError::Store(error)),
        Ok(Err(why)) => Err(refused(why.to_string().replacen(
            "A password",
            "Password",
            1,
        ))),
        Err(_) => Err(refused("Password could not be hashed; try again")),
    }
}

fn unwritten(error: &WriteError) -> FirstError {
    refused(format!("Nothing was saved: {error}"))
}
