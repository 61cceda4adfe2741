//! The log of a group's webhooks as whoever configures them sees it, and replay of what died.

use std::collections::HashMap;

use super::{
    CrmError, Webhooks,
    bulk::outage,
    webhooks::{By, store},
};
use crate::{
    connector::gitlab,
    domain::{ConnectionKind, Decoded, DeliveryId, Event, GroupId, RootId, TreeChange, WebhookId},
    queue::{self, DeliveryLog, DeliverySummary, LogFilter, Signal},
    quick_action::{Action, Dialect, Found, parse},
    store::{connection, webhook},
};

/// Commands of a delivery that are told.
const MAX_COMMANDS: usize = 100;
/// Longest body of which a list says what it means, in bytes; the page of its delivery always does.
const LISTED_BODY: i32 = 64 << 10;

/// A delivery with what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryDetail {
    /// The delivery, what came of it, and its effects with their attempts.
    pub log: DeliveryLog,
    /// Whether the webhook is deleted since; another one may have its name.
    pub is_webhook_deleted: bool,
    /// What happened, in words; none where its sender's deliveries are understood only together with what they are about.
    pub event: Option<String>,
    /// The commands that were found in it.
    pub commands: Vec<String>,
}

impl Webhooks {
    /// Returns the newest deliveries of the webhooks of a group and of the groups below it, or of those of them that the filter names.
    pub async fn deliveries(
        &self,
        group: (RootId, GroupId),
        filter: LogFilter,
        limit: i64,
    ) -> Result<Vec<DeliverySummary>, CrmError> {
        let mut webhooks = self.below(group).await?;
        if filter
            .name
            .as_deref()
            .is_some_and(|name| name.contains(char::is_control))
        {
            return Ok(Vec::new());
        }
        if let Some((_, wanted)) = &filter.webhooks {
            webhooks.retain(|webhook| wanted.contains(webhook));
        }
        if webhooks.is_empty() {
            return Ok(Vec::new());
        }
        let filter = LogFilter {
            webhooks: Some((group.0, webhooks)),
            ..filter
        };
        queue::deliveries(&self.pool, &filter, limit)
            .await
            .map_err(outage)
    }

    /// Returns what happened, in words, for those deliveries of a tenant that say it by themselves in a body of a usual length.
    pub async fn events(
        &self,
        root: RootId,
        listed: &[DeliverySummary],
    ) -> Result<HashMap<DeliveryId, String>, CrmError> {
        let ids: Vec<DeliveryId> = listed.iter().map(|line| line.id).collect();
        let bodies = queue::bodies(&self.pool, root, &ids, LISTED_BODY);
        let bodies = bodies.await.map_err(outage)?;
        let told = bodies.into_iter().filter_map(|(id, body)| {
            let decoded = gitlab::decode(&body).ok()?;
            match decoded {
                Decoded::Event(event) => Some((id, said(&event))),
                Decoded::Ignored(_) => None,
            }
        });
        Ok(told.collect())
    }

    /// Returns a delivery that came through a webhook of a group or of one below it.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] for one of elsewhere, as for one that does not exist.
    pub async fn delivery(
        &self,
        group: (RootId, GroupId),
        id: DeliveryId,
    ) -> Result<DeliveryDetail, CrmError> {
        let log = queue::delivery(&self.pool, id).await.map_err(outage)?;
        let log = log.ok_or(CrmError::NotFound)?;
        let (root, through) = log.summary.through;
        self.came_through(group, (root, through)).await?;
        let mut connection = self.pool.acquire().await.map_err(outage)?;
        let (on, is_deleted) = webhook::connection(&mut connection, (root, through))
            .await
            .map_err(store)?;
        let on = connection::find(&mut connection, on).await.map_err(store)?;
        let mut detail = DeliveryDetail {
            log,
            is_webhook_deleted: is_deleted,
            event: None,
            commands: Vec::new(),
        };
        if on.kind == ConnectionKind::Gitlab
            && let Ok(Decoded::Event(event)) = gitlab::decode(detail.log.body.as_bytes())
        {
            detail.event = Some(said(&event));
            if let Event::CommentPosted(comment) = &event {
                let dialect = Dialect {
                    bot: Some(&on.bot),
                    slash: true,
                };
                let found = parse(&comment.text, &dialect).commands.into_iter();
                let found = found.map(|found| command(&found));
                detail.commands = found.take(MAX_COMMANDS).collect();
            }
        }
        Ok(detail)
    }

    /// Takes up again what died of a delivery; returns false where nothing of it is dead. What was done is not done again.
    ///
    /// # Errors
    /// As [`Self::delivery`].
    pub async fn replay(
        &self,
        by: By,
        group: (RootId, GroupId),
        id: DeliveryId,
    ) -> Result<bool, CrmError> {
        let through = queue::through(&self.pool, id).await.map_err(outage)?;
        let through = through.ok_or(CrmError::NotFound)?;
        self.came_through(group, through).await?;
        let mut connection = self.pool.acquire().await.map_err(outage)?;
        let woken = queue::replay(&mut connection, id).await.map_err(outage)?;
        drop(connection);
        tracing::info!(delivery = %id, by = ?by.person, woken = woken.len(), "a delivery was taken up again");
        for (queue, connection) in &woken {
            queue::notify(&self.pool, Signal::Work(*queue, *connection))
                .await
                .map_err(outage)?;
        }
        Ok(!woken.is_empty())
    }

    /// Holds that a webhook is one of a group or of one below it.
    async fn came_through(
        &self,
        group: (RootId, GroupId),
        (root, webhook): (RootId, WebhookId),
    ) -> Result<(), CrmError> {
        if root == group.0 && self.below(group).await?.contains(&webhook) {
            Ok(())
        } else {
            Err(CrmError::NotFound)
        }
    }

    /// Returns the webhooks of a group and of the groups below it, deleted ones too: their log stays.
    async fn below(&self, group: (RootId, GroupId)) -> Result<Vec<WebhookId>, CrmError> {
        let mut connection = self.pool.acquire().await.map_err(outage)?;
        webhook::below(&mut connection, group).await.map_err(store)
    }
}

/// Returns a command as it is typed.
fn command(found: &Found) -> String {
    let word = match &found.action {
        Action::Known(name) => name.word(),
        Action::Unknown { word, .. } => word,
    };
    format!("/{word} {}", found.argument).trim_end().to_owned()
}

/// Returns an event in words.
fn said(event: &Event) -> String {
    match event {
        Event::CommentPosted(comment) => format!(
            "Comment {} on {}#{}, sent by @{}",
            comment.remote_id, comment.project.path, comment.issue.iid, comment.actor.username
        ),
        Event::IssueChanged(change) => {
            format!("Issue {}#{} changed", change.project.path, change.issue.iid)
        }
        Event::MemberChanged { summary, .. } => format!("Members changed: {summary}"),
        Event::TreeChanged { change, summary } => match change {
            TreeChange::Project(id) | TreeChange::ProjectGone(id) => {
                format!("Project {id}: {summary}")
            }
            TreeChange::Group(id) | TreeChange::GroupGone(id) => format!("Group {id}: {summary}"),
        },
    }
}
