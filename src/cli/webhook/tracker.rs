//! Webhooks as the tracker has them: installed and tried through its API.

use anyhow::{Context, ensure};

use super::{Desk, webhooks};
use crate::{
    cli::{clock, print, sealing_key, tracker},
    connector::gitlab::{Client, HookSettings},
    domain::{ConnectionKind, RootId, Scope, WebhookId},
    store::{group, webhook::SecretKind},
};

/// Where in the tracker a webhook's hook belongs.
struct RemotePlace {
    client: Client,
    webhook: (RootId, WebhookId),
    scope: Scope,
    remote_id: String,
}

impl Desk<'_> {
    /// Creates or updates the hook in the tracker.
    pub(super) async fn install(
        &mut self,
        name: &str,
        project: Option<&str>,
    ) -> anyhow::Result<()> {
        let place = self.remote_place(name, project).await?;
        let now = clock().now();
        let key = sealing_key(self.config)?;
        let mut connection = self.pool.acquire().await?;
        let mut settings = HookSettings {
            url: self.url(name)?,
            token: None,
            signing_token: None,
        };
        for sealed in webhooks::secrets(&mut connection, place.webhook, now).await? {
            let secret = sealed.open(&key)?;
            match sealed.kind {
                SecretKind::Token => settings.token.get_or_insert(secret),
                SecretKind::Signing => settings.signing_token.get_or_insert(secret),
            };
        }
        let hooks = place.client.hooks(place.scope, &place.remote_id).await?;
        match hooks.iter().find(|hook| hook.url == settings.url) {
            Some(hook) => {
                place
                    .client
                    .edit_hook(place.scope, &place.remote_id, hook.id, &settings)
                    .await?;
                print::line(&format!("Hook {} was there and is up to date.", hook.id));
            }
            None => {
                let id = place
                    .client
                    .create_hook(place.scope, &place.remote_id, &settings)
                    .await?;
                print::line(&format!("Hook {id} is installed."));
            }
        }
        Ok(())
    }

    /// Has the other side send something.
    pub(super) async fn test(&mut self, name: &str, project: Option<&str>) -> anyhow::Result<()> {
        if let Some(found) = self.ping(name).await? {
            print::line(&found);
            return Ok(());
        }
        let place = self.remote_place(name, project).await?;
        let url = self.url(name)?;
        let hooks = place.client.hooks(place.scope, &place.remote_id).await?;
        let hook = hooks.iter().find(|hook| hook.url == url).with_context(|| {
            format!("the tracker has no hook to {url}: `liaison webhook install {name}` makes one")
        })?;
        place
            .client
            .test_hook(place.scope, &place.remote_id, hook.id)
            .await?;
        print::line(
            "The tracker was asked to send a test delivery: `liaison delivery list` shows it.",
        );
        Ok(())
    }

    /// Finds out where in the tracker a webhook's hook belongs.
    async fn remote_place(&self, name: &str, project: Option<&str>) -> anyhow::Result<RemotePlace> {
        let mut connection = self.pool.acquire().await?;
        let webhook = self.find(&mut connection, name).await?;
        let (loaded, stored) = self.load(&mut connection, webhook).await?;
        ensure!(
            stored.kind == ConnectionKind::Gitlab,
            "an administrator of the homeserver installs it: `liaison webhook registration {name}` prints the file"
        );
        let client = tracker(self.config, &stored)?;
        let (scope, remote_id) = match project {
            Some(project) => (Scope::Project, project.to_owned()),
            None => {
                let remote = group::remote(&mut connection, loaded.root, loaded.group).await?;
                let remote = remote.context("the group stands for no namespace of the tracker: set its tracker, or name a --project")?;
                (Scope::Group, remote.remote_id)
            }
        };
        Ok(RemotePlace {
            client,
            webhook,
            scope,
            remote_id,
        })
    }
}
