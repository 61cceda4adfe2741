//! Webhooks as the tracker has them: installed and tried through its API.

use std::{collections::HashMap, sync::Arc};

use super::{BY, Desk};
use crate::{
    cli::{print, tracker},
    crm::Webhooks,
    domain::{ConnectionKind, RootId, WebhookId},
};

impl Desk<'_> {
    /// Creates or updates the hook in the tracker.
    pub(super) async fn install(&self, name: &str, project: Option<&str>) -> anyhow::Result<()> {
        let (webhooks, webhook) = self.calling(name).await?;
        let installed = webhooks.install(BY, webhook, project).await?;
        let hook = installed.hook;
        print::line(&if installed.was_there {
            format!("Hook {hook} was there and is up to date.")
        } else {
            format!("Hook {hook} is installed.")
        });
        Ok(())
    }

    /// Has the other side send something.
    pub(super) async fn test(&self, name: &str, project: Option<&str>) -> anyhow::Result<()> {
        if let Some(found) = self.ping(name).await? {
            print::line(&found);
            return Ok(());
        }
        let (webhooks, webhook) = self.calling(name).await?;
        webhooks.test(BY, webhook, project).await?;
        print::line(
            "The tracker was asked to send a test delivery: `liaison delivery list` shows it.",
        );
        Ok(())
    }

    /// Returns a webhook, and the way to webhooks that may call its tracker.
    async fn calling(&self, name: &str) -> anyhow::Result<(Webhooks, (RootId, WebhookId))> {
        let mut connection = self.pool.acquire().await?;
        let webhook = self.find(&mut connection, name).await?;
        let (_, on) = self.load(&mut connection, webhook).await?;
        let mut webhooks = self.webhooks()?;
        if on.kind == ConnectionKind::Gitlab {
            let client = tracker(self.config, &on)?;
            webhooks.trackers = Arc::new(HashMap::from([(on.id, client)]));
        }
        Ok((webhooks, webhook))
    }
}
