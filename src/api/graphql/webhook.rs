//! Webhooks of groups and the log of what they received. For whoever may configure the group; nobody else is told of them.

use async_graphql::{
    Enum, ID, Object, Result, SimpleObject,
    connection::{Connection, EmptyFields},
};

use super::{
    Refusal, Scope,
    id::{delivery_gid, webhook_gid},
    page::Page,
    time::Time,
};
use crate::{
    crm::{By, CrmError, DeliveryDetail},
    domain::{self, DeliveryId, GroupId, RootId, Via, WebhookId},
    queue::{AttemptLog, DeliverySummary, EffectLog, LogFilter},
    rules::Right,
    store::webhook::{self, WebhookSummary},
};

/// A page of the log.
pub(super) type DeliveryConnection = Connection<String, WebhookDelivery, EmptyFields, EmptyFields>;

/// A sort of events that a webhook can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::HookEvent", name = "WebhookEvent")]
pub(super) enum WebhookEvent {
    /// Comments on issues, where quick actions are typed.
    Comments,
    /// Issues that are opened, changed and moved.
    Issues,
    /// People who become members, change their level or leave.
    Members,
    /// Projects and groups that come, go, move or are renamed.
    Tree,
}

/// What came of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum WebhookDeliveryState {
    /// Waits to be processed, or to be tried again.
    Pending,
    /// Its work is done.
    Done,
    /// There was nothing to do.
    Ignored,
    /// It failed and was given up.
    Dead,
    /// It was given up, or a call of it was.
    Failed,
}

/// An inbound endpoint of a group.
pub(super) struct Webhook(pub(super) WebhookSummary);

/// An inbound endpoint of a group.
#[Object]
impl Webhook {
    /// Global id.
    async fn id(&self) -> ID {
        webhook_gid(self.0.key.1)
    }

    /// Name in its URL.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Full path of the group that it is for.
    async fn group_path(&self) -> &str {
        &self.0.group
    }

    /// Name of the connection that it is for.
    async fn connection(&self) -> &str {
        &self.0.connection
    }

    /// `active` or `paused`.
    async fn state(&self) -> &str {
        &self.0.state
    }

    /// Whether the configuration file declares it; it is changed there then.
    async fn managed(&self) -> bool {
        self.0.managed
    }

    /// The events that it acts on.
    async fn events(&self) -> Vec<WebhookEvent> {
        let chosen = self.0.events.as_ref();
        domain::HookEvent::ALL
            .into_iter()
            .filter(|event| {
                chosen.is_none_or(|words| words.iter().any(|word| word == event.word()))
            })
            .map(WebhookEvent::from)
            .collect()
    }

    /// How many secrets are in force.
    async fn secrets_in_force(&self) -> i64 {
        self.0.secrets
    }

    /// When it was made.
    async fn created_at(&self) -> Time {
        Time(self.0.created_at)
    }

    /// Deliveries that were stored, repeats too.
    async fn accepted(&self) -> i64 {
        self.0.health.accepted
    }

    /// When it last received one.
    async fn last_delivery_at(&self) -> Option<Time> {
        self.0.health.last_delivery_at.map(Time)
    }

    /// Requests that were turned away.
    async fn refused(&self) -> i64 {
        self.0.health.refused
    }

    /// When it last turned one away.
    async fn last_refused_at(&self) -> Option<Time> {
        self.0.health.last_refused_at.map(Time)
    }

    /// Why that was.
    async fn last_refused_reason(&self) -> Option<&str> {
        self.0.health.last_refused_why.as_deref()
    }

    /// Deliveries that are given up, up to 100.
    async fn dead_deliveries(&self) -> i64 {
        self.0.health.dead
    }
}

/// A webhook request that was received.
pub(super) struct WebhookDelivery {
    line: DeliverySummary,
    detail: Option<DeliveryDetail>,
}

/// A webhook request that was received.
#[Object]
impl WebhookDelivery {
    /// Global id.
    async fn id(&self) -> ID {
        delivery_gid(self.line.id)
    }

    /// Name of the webhook.
    async fn webhook_name(&self) -> &str {
        &self.line.webhook
    }

    /// When it arrived.
    async fn received_at(&self) -> Time {
        Time(self.line.received_at)
    }

    /// `pending`, `done`, `ignored` or `dead`.
    async fn state(&self) -> &str {
        &self.line.state
    }

    /// One sentence: what came of it.
    async fn outcome(&self) -> Option<&str> {
        self.line.outcome.as_deref()
    }

    /// How often it was tried.
    async fn attempts(&self) -> i32 {
        self.line.attempts.into()
    }

    /// Calls that followed from it and were given up.
    async fn dead_calls(&self) -> i64 {
        self.line.dead_effects
    }

    /// What it means, in words; of a single delivery.
    async fn event(&self) -> Option<&str> {
        self.detail.as_ref()?.event.as_deref()
    }

    /// The commands that were found in it; of a single delivery.
    async fn commands(&self) -> Option<&[String]> {
        Some(&self.detail.as_ref()?.commands)
    }

    /// The headers that were kept, as a JSON object; of a single delivery.
    async fn headers(&self) -> Option<String> {
        Some(self.detail.as_ref()?.log.headers.to_string())
    }

    /// The body, as text; of a single delivery.
    async fn body(&self) -> Option<&str> {
        Some(&self.detail.as_ref()?.log.body)
    }

    /// The calls that followed, in their order; of a single delivery.
    async fn calls(&self) -> Option<Vec<WebhookCall>> {
        let calls = self.detail.as_ref()?.log.effects.iter();
        Some(calls.map(WebhookCall::from).collect())
    }
}

/// A call that followed from a delivery.
#[derive(SimpleObject)]
pub(super) struct WebhookCall {
    /// What is called, as JSON.
    call: String,
    /// `pending`, `done` or `dead`.
    state: String,
    /// What came of it last.
    outcome: Option<String>,
    /// When it is tried again.
    next_at: Option<Time>,
    /// The attempts that were recorded.
    attempts: Vec<WebhookAttempt>,
}

/// An attempt of a call.
#[derive(SimpleObject)]
pub(super) struct WebhookAttempt {
    /// When it began.
    at: Time,
    /// How long it took, in milliseconds.
    duration_ms: i32,
    /// What came of it.
    outcome: String,
}

impl From<&EffectLog> for WebhookCall {
    fn from(effect: &EffectLog) -> Self {
        Self {
            call: serde_json::to_string(&effect.effect).unwrap_or_default(),
            state: effect.state.clone(),
            outcome: effect.outcome.clone(),
            next_at: effect.next_at.map(Time),
            attempts: effect.attempts.iter().map(WebhookAttempt::from).collect(),
        }
    }
}

impl From<&AttemptLog> for WebhookAttempt {
    fn from(attempt: &AttemptLog) -> Self {
        Self {
            at: Time(attempt.at),
            duration_ms: attempt.duration_ms,
            outcome: attempt.outcome.clone(),
        }
    }
}

/// Returns who changes a webhook.
pub(super) fn by(scope: Scope<'_>) -> Result<By, Refusal> {
    Ok(By {
        person: Some(scope.asker()?.person),
        via: Via::GraphQl,
    })
}

/// Returns whether the asker may configure a group.
pub(super) async fn configures(
    scope: Scope<'_>,
    (root, group): (RootId, GroupId),
) -> Result<bool, Refusal> {
    let Some(bearer) = scope.viewer.bearer() else {
        return Ok(false);
    };
    scope.rows.loader().single()?;
    let access = scope.api.crm.own_access(bearer.person, root, group).await?;
    Ok(access.allows(Right::Configure))
}

/// Returns a webhook of a group that the asker may configure.
pub(super) async fn find(scope: Scope<'_>, id: WebhookId) -> Result<WebhookSummary, Refusal> {
    let mut connection = scope.connection().await?;
    let place = webhook::group_of(&mut connection, id).await?;
    drop(connection);
    let place = place.ok_or(Refusal::NotAvailable)?;
    if !configures(scope, place).await? {
        return Err(Refusal::NotAvailable);
    }
    let mut found = all(scope, place).await?.into_iter();
    found
        .find(|found| found.key.1 == id)
        .ok_or(Refusal::NotAvailable)
}

/// Returns the webhooks of a group and of those below it.
pub(super) async fn all(
    scope: Scope<'_>,
    group: (RootId, GroupId),
) -> Result<Vec<WebhookSummary>, Refusal> {
    let mut connection = scope.connection().await?;
    let now = scope.api.crm.clock.now();
    Ok(webhook::list(&mut connection, Some(group), now).await?)
}

/// Returns a page of the log of a group, the newest first.
pub(super) async fn deliveries(
    scope: Scope<'_>,
    group: (RootId, GroupId),
    (webhook, state): (Option<String>, Option<WebhookDeliveryState>),
    page: &Page,
) -> Result<DeliveryConnection, Refusal> {
    let word = match state {
        None | Some(WebhookDeliveryState::Failed) => None,
        Some(WebhookDeliveryState::Pending) => Some("pending"),
        Some(WebhookDeliveryState::Done) => Some("done"),
        Some(WebhookDeliveryState::Ignored) => Some("ignored"),
        Some(WebhookDeliveryState::Dead) => Some("dead"),
    };
    let before = match &page.after {
        None => None,
        Some(cursor) => {
            let id = cursor.parse().map_err(|_| Refusal::invalid_cursor())?;
            Some(DeliveryId(id))
        }
    };
    let filter = LogFilter {
        name: webhook,
        state: word.map(str::to_owned),
        failed: state == Some(WebhookDeliveryState::Failed),
        before,
        ..LogFilter::default()
    };
    let limit = i64::try_from(page.size + 1).unwrap_or(i64::MAX);
    let found = scope.api.webhooks.deliveries(group, filter, limit).await?;
    let rows = found.into_iter().map(|line| {
        let cursor = line.id.to_string();
        (cursor, WebhookDelivery { line, detail: None })
    });
    Ok(page.connection(rows, EmptyFields))
}

/// Returns a delivery of a group, if it is one of its webhooks'.
pub(super) async fn delivery(
    scope: Scope<'_>,
    group: (RootId, GroupId),
    id: DeliveryId,
) -> Result<Option<WebhookDelivery>, Refusal> {
    match scope.api.webhooks.delivery(group, id).await {
        Ok(detail) => Ok(Some(WebhookDelivery {
            line: detail.log.summary.clone(),
            detail: Some(detail),
        })),
        Err(CrmError::NotFound) => Ok(None),
        Err(other) => Err(other.into()),
    }
}
