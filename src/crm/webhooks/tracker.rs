//! The hooks that trackers have of webhooks: installed, and tried.

use serde_json::json;

use super::{By, Webhooks, store};
use crate::{
    connector::gitlab::{CallError, Client, HookSettings},
    crm::{CrmError, Outage, bulk::outage},
    crypto::SealError,
    domain::{ConnectionId, ConnectionKind, ProjectFacts, RootId, Scope, WebhookId},
    rules::Refused,
    store::{
        group,
        webhook::{SecretKind, Webhook},
    },
};

/// What became of a hook in the tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Its id there.
    pub hook: i64,
    /// Whether it had been there before.
    pub was_there: bool,
}

/// A webhook's part in the tracker.
struct Remote<'a> {
    client: &'a Client,
    scope: Scope,
    id: String,
}

impl Webhooks {
    /// Creates or updates the hook in the tracker: of the group's namespace, or of a project there by id or path.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] says what the tracker refused and what to do about it.
    pub async fn install(
        &self,
        by: By,
        webhook: (RootId, WebhookId),
        project: Option<&str>,
    ) -> Result<Installed, CrmError> {
        let mut connection = self.pool.acquire().await.map_err(outage)?;
        let found = self.find(&mut connection, webhook).await?;
        drop(connection);
        let remote = self.remote(by, &found, project).await?;
        let mut settings = HookSettings {
            url: self.url(&found.name),
            token: None,
            signing_token: None,
            events: found.events.clone(),
        };
        for sealed in &found.secrets {
            let secret = sealed.open(&self.key).map_err(unsealed)?;
            // The newest comes first.
            match sealed.kind {
                SecretKind::Token => settings.token.get_or_insert(secret),
                SecretKind::Signing => settings.signing_token.get_or_insert(secret),
            };
        }
        let said = |error| said(error, remote.scope);
        let hooks = remote.client.hooks(remote.scope, &remote.id).await;
        let hooks = hooks.map_err(said)?;
        let installed = match hooks.iter().find(|hook| hook.url == settings.url) {
            Some(hook) => {
                let place = (remote.scope, remote.id.as_str());
                let edited = remote
                    .client
                    .edit_hook(place.0, place.1, hook.id, &settings);
                edited.await.map_err(said)?;
                Installed {
                    hook: hook.id,
                    was_there: true,
                }
            }
            None => {
                let created = remote
                    .client
                    .create_hook(remote.scope, &remote.id, &settings);
                Installed {
                    hook: created.await.map_err(said)?,
                    was_there: false,
                }
            }
        };
        let told = json!({ "webhook": found.name, "hook": installed.hook });
        let mut tx = self.pool.begin().await.map_err(outage)?;
        let place = (found.root, found.group);
        self.tell(&mut tx, by, place, ("webhook_installed", told))
            .await?;
        tx.commit().await.map_err(outage)?;
        Ok(installed)
    }

    /// Has the tracker send a test delivery through the installed hook.
    ///
    /// # Errors
    /// [`CrmError::Invalid`] where the tracker has no such hook, or refuses.
    pub async fn test(
        &self,
        by: By,
        webhook: (RootId, WebhookId),
        project: Option<&str>,
    ) -> Result<(), CrmError> {
        let mut connection = self.pool.acquire().await.map_err(outage)?;
        let found = self.find(&mut connection, webhook).await?;
        drop(connection);
        let remote = self.remote(by, &found, project).await?;
        let said = |error| said(error, remote.scope);
        let url = self.url(&found.name);
        let hooks = remote.client.hooks(remote.scope, &remote.id).await;
        let hooks = hooks.map_err(said)?;
        let hook = hooks.iter().find(|hook| hook.url == url).ok_or_else(|| {
            Refused::because(format!(
                "The tracker has no hook to {url}: install it first"
            ))
        })?;
        let sent = remote.client.test_hook(remote.scope, &remote.id, hook.id);
        sent.await.map_err(said)
    }

    /// Asks a tracker who its bot is; returns his username there.
    ///
    /// # Errors
    /// Says in words why it does not answer.
    pub async fn who_is_bot(&self, on: ConnectionId) -> Result<String, String> {
        let client = self.trackers.get(&on);
        let client = client.ok_or("it is not configured any more, or no tracker")?;
        let bot = client.whoami().await.map_err(|error| error.to_string())?;
        Ok(bot.username)
    }

    /// Finds out where in the tracker a webhook's hook belongs. A person's project has to be within the group: the bot may see others, whose
    /// events are nobody's here.
    async fn remote(
        &self,
        by: By,
        found: &Webhook,
        project: Option<&str>,
    ) -> Result<Remote<'_>, CrmError> {
        if found.kind != ConnectionKind::Gitlab {
            let reason = match found.kind {
                ConnectionKind::Matrix => format!(
                    "An administrator of the homeserver installs it: `liaison webhook registration {}` prints the file",
                    found.name
                ),
                kind => format!(
                    "Hooks are not installed into {}: enter URL and secret there by hand",
                    kind.word()
                ),
            };
            return Err(Refused::because(reason).into());
        }
        let client = self
            .trackers
            .get(&found.connection)
            .ok_or(CrmError::Unavailable(Outage::NotConfigured(
                found.connection,
            )))?;
        let mut connection = self.pool.acquire().await.map_err(outage)?;
        let namespace = group::remote(&mut connection, found.root, found.group).await;
        // The tracker may take its time.
        drop(connection);
        // What the group stands for in another tracker means nothing in this one.
        let namespace = namespace
            .map_err(store)?
            .filter(|namespace| namespace.connection == found.connection);
        let project = project.map(str::trim).filter(|project| !project.is_empty());
        let (scope, id) = match project {
            Some(project) if by.person.is_none() => (Scope::Project, project.to_owned()),
            Some(project) => {
                let facts = client.project(project).await;
                let facts = facts.map_err(|error| said(error, Scope::Project))?;
                let inside = facts.filter(|facts| is_within(facts, namespace.as_ref()));
                let facts = inside.ok_or_else(|| {
                    Refused::because(format!(
                        "Project {project} is not in this group, or the bot does not see it"
                    ))
                })?;
                (Scope::Project, facts.remote_id)
            }
            None => {
                let id = namespace.as_ref().and_then(group::Remote::name);
                let id = id.ok_or_else(|| {
                    Refused::because(
                        "The group stands for no namespace of this tracker: set its tracker, or name a project",
                    )
                })?;
                (Scope::Group, id.to_owned())
            }
        };
        Ok(Remote { client, scope, id })
    }
}

/// Returns whether a project is below the namespace that a group stands for.
fn is_within(facts: &ProjectFacts, namespace: Option<&group::Remote>) -> bool {
    namespace.is_some_and(|namespace| {
        facts.namespaces.path.iter().any(|above| {
            let by_path = |path: &String| above.path.eq_ignore_ascii_case(path);
            match &namespace.remote_id {
                Some(id) => above.remote_id == *id,
                None => namespace.path.as_ref().is_some_and(by_path),
            }
        })
    })
}

/// Returns what a tracker's refusal means for whoever wanted a hook there.
fn said(error: CallError, scope: Scope) -> CrmError {
    let CallError::Status { status, .. } = &error else {
        return CrmError::Unavailable(Outage::Tracker(error));
    };
    let advice = match (status.as_u16(), scope) {
        (401, _) => "the connection's token is not valid there any more",
        (403 | 404, Scope::Group) => {
            "hooks of groups need GitLab Premium and an Owner's token; name a project to install it there"
        }
        (403 | 404, Scope::Project) => {
            "there is no such project, or the bot is no Maintainer of it"
        }
        (422, _) => {
            "GitLab takes no such address: it has to reach it, and its administrators may have to allow requests to the local network"
        }
        _ => return CrmError::Unavailable(Outage::Tracker(error)),
    };
    Refused::because(format!("{error}: {advice}")).into()
}

fn unsealed(error: SealError) -> CrmError {
    CrmError::Unavailable(Outage::Store(error.into()))
}
