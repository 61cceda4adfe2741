//! Webhooks of Matrix connections: the registration file, and the test that the homeserver makes.

use std::sync::Arc;

use anyhow::{Context, ensure};
use sqlx::PgConnection;

use super::{Desk, webhooks};
use crate::{
    app,
    cli::{clock, print, sealing_key},
    config,
    connector::matrix::{Client, Registration, service_id},
    domain::{ConnectionKind, RootId, WebhookId},
    egress::{Egress, Limits},
    store::{connection, webhook::SecretKind},
};

/// Returns the client of a declared Matrix connection, which may call that one only.
pub(in crate::cli) fn client(declared: &config::Connection) -> anyhow::Result<Client> {
    let egress = Egress::new([&declared.url], Limits::default())?;
    Ok(app::matrix(declared, Arc::new(egress), clock())?)
}

/// Has the homeserver call Liaison; returns how that went.
pub(in crate::cli) async fn ping(client: &Client, connection: &str) -> anyhow::Result<String> {
    let transaction = clock().id().to_string();
    let took = client.ping(&service_id(connection), &transaction).await?;
    Ok(format!("the homeserver reaches Liaison, in {took} ms"))
}

impl Desk<'_> {
    /// Prints the file that is put beside the homeserver.
    pub(super) async fn registration(&self, name: &str) -> anyhow::Result<()> {
        let mut connection = self.pool.acquire().await?;
        let webhook = self.find(&mut connection, name).await?;
        let (_, on) = self.load(&mut connection, webhook).await?;
        ensure!(
            on.kind == ConnectionKind::Matrix,
            "webhook {name} is for {}: only a Matrix homeserver has a registration file",
            on.kind.word()
        );
        let key = sealing_key(self.config)?;
        let as_token = on.token(&key)?.context("the connection has no token")?;
        // The newest comes first.
        let known = webhooks::secrets(&mut connection, webhook, clock().now()).await?;
        let hs_token = known
            .iter()
            .find(|known| known.kind == SecretKind::Token)
            .context("the webhook has no secret: `liaison webhook rotate` makes one")?
            .open(&key)?;
        let registration = Registration {
            connection: &on.name,
            url: &self.config.server.public_url,
            as_token: &as_token,
            hs_token: &hs_token,
            bot: &on.bot,
        };
        print::line(registration.yaml().trim_end());
        print::error("The file holds both tokens: keep it as secret as them.");
        Ok(())
    }

    /// Has the homeserver of a webhook call Liaison. Returns none where the webhook is for no homeserver.
    pub(super) async fn ping(&self, name: &str) -> anyhow::Result<Option<String>> {
        let mut connection = self.pool.acquire().await?;
        let webhook = self.find(&mut connection, name).await?;
        let (_, on) = self.load(&mut connection, webhook).await?;
        if on.kind != ConnectionKind::Matrix {
            return Ok(None);
        }
        let mut declared = self.config.connection.iter();
        let declared = declared
            .find(|declared| declared.name == on.name)
            .with_context(|| format!("no [[connection]] {} is configured any more", on.name))?;
        ping(&client(declared)?, &on.name).await.map(Some)
    }

    /// Returns a webhook with its connection.
    pub(super) async fn load(
        &self,
        connection: &mut PgConnection,
        webhook: (RootId, WebhookId),
    ) -> anyhow::Result<(webhooks::Webhook, connection::Connection)> {
        let mut loaded = webhooks::load(connection, clock().now()).await?.into_iter();
        let loaded = loaded
            .find(|loaded| (loaded.root, loaded.id) == webhook)
            .context("the webhook is gone")?;
        let mut stored = connection::list(connection).await?.into_iter();
        let stored = stored
            .find(|stored| stored.id == loaded.connection)
            .context("its connection is gone")?;
        Ok((loaded, stored))
    }
}
