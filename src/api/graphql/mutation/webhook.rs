//! Webhooks of groups: made, given new secrets, paused, deleted, installed into the tracker and tried; deliveries taken up again.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use secrecy::ExposeSecret;

use super::{Refusal, Scope, told};
use crate::{
    api::graphql::{
        group::Group,
        id::{DeliveryGid, WebhookGid},
        webhook::{self, Webhook, WebhookEvent},
    },
    crm::{MAX_OVERLAP, NewSecret, NewWebhook},
    domain::HookEvent,
    store::webhook::WebhookSummary,
};

/// Changes of webhooks.
#[derive(Default)]
pub(super) struct WebhookMutation;

/// What a webhook is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum WebhookState {
    /// It takes deliveries.
    Active,
    /// They are answered 410.
    Paused,
    /// They are answered 410 for good. Its log stays.
    Deleted,
}

/// A new webhook.
#[derive(InputObject)]
struct WebhookCreateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// Full path of the group.
    full_path: ID,
    /// Name of the connection.
    connection: String,
    /// Name in its URL; without one a name is made that cannot be guessed.
    name: Option<String>,
    /// Whether senders sign with a signing token (GitLab 19.0 and later), rather than send a secret token.
    #[graphql(default)]
    signing: bool,
    /// The events that it is for; without any, all.
    events: Option<Vec<WebhookEvent>>,
}

/// What is to change of a webhook.
#[derive(InputObject)]
struct WebhookUpdateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The webhook.
    id: WebhookGid,
    /// What it is to be.
    state: Option<WebhookState>,
    /// The events that it acts on. The tracker sends them once it is installed again.
    events: Option<Vec<WebhookEvent>>,
}

/// A new secret for a webhook.
#[derive(InputObject)]
struct WebhookRotateInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The webhook.
    id: WebhookGid,
    /// For how many hours the old secret is accepted too, up to a year.
    #[graphql(default = 24)]
    overlap_hours: u32,
    /// Whether it becomes a signing token; the secret token ends at once then.
    #[graphql(default)]
    signing: bool,
}

/// Where in the tracker.
#[derive(InputObject)]
struct WebhookInstallInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// The webhook.
    id: WebhookGid,
    /// A project of the group, by id or full path, instead of the group (whose hooks need GitLab Premium).
    project: Option<String>,
}

/// A delivery to take up again.
#[derive(InputObject)]
struct WebhookDeliveryReplayInput {
    /// Given back in the payload.
    client_mutation_id: Option<String>,
    /// Full path of the group.
    full_path: ID,
    /// The delivery.
    id: DeliveryGid,
}

/// What came of a change of a webhook.
#[derive(SimpleObject)]
struct WebhookPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The webhook as it is now; none once deleted.
    webhook: Option<Webhook>,
    /// Why nothing changed.
    errors: Vec<String>,
}

/// A secret that was just made. It is never told again.
#[derive(SimpleObject)]
struct WebhookSecretPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// The webhook.
    webhook: Option<Webhook>,
    /// Where deliveries go.
    url: Option<String>,
    /// The secret.
    secret: Option<String>,
    /// Why nothing changed.
    errors: Vec<String>,
}

/// What came of installing a webhook.
#[derive(SimpleObject)]
struct WebhookInstallPayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// Id of the hook in the tracker.
    hook_id: Option<String>,
    /// Whether the hook had been there before.
    was_there: bool,
    /// Why nothing was done.
    errors: Vec<String>,
}

/// What came of something that has no result.
#[derive(SimpleObject)]
struct WebhookDonePayload {
    /// As it was given.
    client_mutation_id: Option<String>,
    /// Whether anything was to be done.
    done: bool,
    /// Why nothing was done.
    errors: Vec<String>,
}

fn events(given: Option<Vec<WebhookEvent>>) -> Option<Vec<HookEvent>> {
    let given = given?;
    let all = HookEvent::ALL
        .iter()
        .all(|event| given.contains(&WebhookEvent::from(*event)));
    (!all).then(|| given.into_iter().map(HookEvent::from).collect())
}

/// Changes of webhooks.
#[Object]
impl WebhookMutation {
    /// Makes a webhook for a connection. For maintainers and owners.
    async fn webhook_create(
        &self,
        context: &Context<'_>,
        input: WebhookCreateInput,
    ) -> Result<WebhookSecretPayload> {
        let scope = Scope::of(context)?;
        let by = webhook::by(scope)?;
        let group = Group::at(scope, &input.full_path)
            .await?
            .ok_or(Refusal::NotAvailable)?;
        let place = (group.root(), group.id());
        if !webhook::configures(scope, place).await? {
            return Err(Refusal::NotAvailable.into());
        }
        let events = events(input.events);
        let wanted = NewWebhook {
            group: place,
            path: &input.full_path,
            connection: &input.connection,
            name: input.name.as_deref(),
            signing: input.signing,
            events: events.as_deref(),
        };
        let made = told(scope.api.webhooks.create(by, &wanted).await)?;
        let found = match &made {
            Ok(made) => {
                let all = webhook::all(scope, place).await?;
                all.into_iter().find(|found| found.name == made.name)
            }
            Err(_) => None,
        };
        Ok(secret_payload(input.client_mutation_id, found, made))
    }

    /// Changes what a webhook is, and the events that it acts on.
    async fn webhook_update(
        &self,
        context: &Context<'_>,
        input: WebhookUpdateInput,
    ) -> Result<WebhookPayload> {
        let scope = Scope::of(context)?;
        let (by, id) = (webhook::by(scope)?, input.id.read()?);
        let found = webhook::find(scope, id).await?;
        if input.events.is_some() && input.state == Some(WebhookState::Deleted) {
            let text = "events of a webhook that is deleted mean nothing: leave them out";
            return Err(Refusal::Argument(text.to_owned()).into());
        }
        let webhooks = &scope.api.webhooks;
        let mut errors = Vec::new();
        if let Some(given) = input.events {
            let events = events(Some(given));
            let changed = webhooks.set_events(by, found.key, events.as_deref()).await;
            errors.extend(told(changed)?.err().unwrap_or_default());
        }
        if let Some(state) = input.state.filter(|_| errors.is_empty()) {
            let word = match state {
                WebhookState::Active => "active",
                WebhookState::Paused => "paused",
                WebhookState::Deleted => "deleted",
            };
            let changed = webhooks.set_state(by, found.key, word).await;
            errors.extend(told(changed)?.err().unwrap_or_default());
        }
        let is_deleted = input.state == Some(WebhookState::Deleted) && errors.is_empty();
        Ok(WebhookPayload {
            client_mutation_id: input.client_mutation_id,
            webhook: if is_deleted {
                None
            } else {
                Some(Webhook(webhook::find(scope, id).await?))
            },
            errors,
        })
    }

    /// Gives a webhook a new secret.
    async fn webhook_rotate(
        &self,
        context: &Context<'_>,
        input: WebhookRotateInput,
    ) -> Result<WebhookSecretPayload> {
        let scope = Scope::of(context)?;
        let by = webhook::by(scope)?;
        let found = webhook::find(scope, input.id.read()?).await?;
        if input.overlap_hours > MAX_OVERLAP {
            let text = format!("overlapHours can be {MAX_OVERLAP} at most");
            return Err(Refusal::Argument(text).into());
        }
        let how = (input.overlap_hours, input.signing);
        let rotated = scope.api.webhooks.rotate(by, found.key, how).await;
        let made = told(rotated)?.map(|(made, _)| made);
        // As it is now, with the secrets that are in force.
        let now = webhook::find(scope, input.id.read()?).await?;
        Ok(secret_payload(input.client_mutation_id, Some(now), made))
    }

    /// Creates or updates the hook in the tracker, through its API.
    async fn webhook_install(
        &self,
        context: &Context<'_>,
        input: WebhookInstallInput,
    ) -> Result<WebhookInstallPayload> {
        let scope = Scope::of(context)?;
        let by = webhook::by(scope)?;
        let found = webhook::find(scope, input.id.read()?).await?;
        let project = input.project.as_deref();
        let installed = told(scope.api.webhooks.install(by, found.key, project).await)?;
        let (installed, errors) = super::item::parted(installed);
        Ok(WebhookInstallPayload {
            client_mutation_id: input.client_mutation_id,
            hook_id: installed.map(|installed| installed.hook.to_string()),
            was_there: installed.is_some_and(|installed| installed.was_there),
            errors,
        })
    }

    /// Has the tracker send a test delivery through the installed hook.
    async fn webhook_test(
        &self,
        context: &Context<'_>,
        input: WebhookInstallInput,
    ) -> Result<WebhookDonePayload> {
        let scope = Scope::of(context)?;
        let by = webhook::by(scope)?;
        let found = webhook::find(scope, input.id.read()?).await?;
        let project = input.project.as_deref();
        let tried = told(scope.api.webhooks.test(by, found.key, project).await)?;
        Ok(WebhookDonePayload {
            client_mutation_id: input.client_mutation_id,
            done: tried.is_ok(),
            errors: tried.err().unwrap_or_default(),
        })
    }

    /// Takes up again what died of a delivery. What was done is not done again.
    async fn webhook_delivery_replay(
        &self,
        context: &Context<'_>,
        input: WebhookDeliveryReplayInput,
    ) -> Result<WebhookDonePayload> {
        let scope = Scope::of(context)?;
        let by = webhook::by(scope)?;
        let group = Group::at(scope, &input.full_path)
            .await?
            .ok_or(Refusal::NotAvailable)?;
        let place = (group.root(), group.id());
        if !webhook::configures(scope, place).await? {
            return Err(Refusal::NotAvailable.into());
        }
        let replayed = scope.api.webhooks.replay(by, place, input.id.read()?);
        let replayed = told(replayed.await)?;
        Ok(WebhookDonePayload {
            client_mutation_id: input.client_mutation_id,
            done: replayed == Ok(true),
            errors: replayed.err().unwrap_or_default(),
        })
    }
}

fn secret_payload(
    client_mutation_id: Option<String>,
    webhook: Option<WebhookSummary>,
    made: Result<NewSecret, Vec<String>>,
) -> WebhookSecretPayload {
    let (made, errors) = super::item::parted(made);
    WebhookSecretPayload {
        client_mutation_id,
        webhook: webhook.map(Webhook),
        url: made.as_ref().map(|made| made.url.clone()),
        secret: made.map(|made| made.secret.expose_secret().to_owned()),
        errors,
    }
}
