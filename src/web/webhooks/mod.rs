//! Webhooks of a group: how they do, new ones, and what is done with them. For whoever may configure the group.

mod actions;
mod form;
mod list;
mod page;
mod secret;

use axum::Router;

use super::{
    Web,
    problem::Problem,
    visit::{InGroup, SignedIn},
};
use crate::{
    crm::By,
    domain::{HookEvent, Via},
    store::webhook::{self, WebhookSummary},
};

/// Returns the routes within a group.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .merge(list::routes())
        .merge(form::routes())
        .merge(page::routes())
        .merge(actions::routes())
}

/// Returns who changes a webhook.
pub(super) fn by(visitor: &SignedIn) -> By {
    By {
        person: Some(visitor.bearer.person),
        via: Via::Page,
    }
}

/// Returns the webhooks of the group and of those below it.
async fn all<R>(visit: &InGroup<R>) -> Result<Vec<WebhookSummary>, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let now = visit.visitor.web.crm.clock.now();
    let scope = (visit.group.root, visit.group.id);
    Ok(webhook::list(&mut connection, Some(scope), now).await?)
}

/// Returns a webhook of the group or of one below it; one of elsewhere is not there.
async fn find<R>(visit: &InGroup<R>, name: &str) -> Result<WebhookSummary, Problem> {
    let mut found = all(visit).await?.into_iter();
    found
        .find(|webhook| webhook.name.eq_ignore_ascii_case(name))
        .ok_or(Problem::NotFound)
}

/// A sort of events as a form offers it.
#[derive(Debug)]
struct EventChoice {
    word: &'static str,
    label: &'static str,
    is_chosen: bool,
}

impl EventChoice {
    /// Returns all of them; those of `chosen` are chosen, without any all.
    fn all(chosen: Option<&[String]>) -> Vec<Self> {
        HookEvent::ALL
            .into_iter()
            .map(|event| Self {
                word: event.word(),
                label: label(event),
                is_chosen: chosen
                    .is_none_or(|chosen| chosen.iter().any(|word| word == event.word())),
            })
            .collect()
    }
}

fn label(event: HookEvent) -> &'static str {
    match event {
        HookEvent::Comments => "Comments on issues, where commands are typed",
        HookEvent::Issues => "Issues that are opened, changed or moved",
        HookEvent::Members => "Members who come, change their level or leave",
        HookEvent::Tree => "Projects and groups that come, go, move or are renamed",
    }
}

/// Returns the events whose boxes are checked; all of them is as good as no choice.
fn chosen(boxes: [bool; 4]) -> Option<Vec<HookEvent>> {
    let chosen: Vec<HookEvent> = HookEvent::ALL
        .into_iter()
        .zip(boxes)
        .filter(|(_, is_checked)| *is_checked)
        .map(|(event, _)| event)
        .collect();
    (chosen.len() < HookEvent::ALL.len()).then_some(chosen)
}
