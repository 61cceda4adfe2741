//! What is done with a webhook: installed, tried, given a new secret, paused, deleted; its events chosen.

use axum::{Router, response::Response, routing::post};
use serde::Deserialize;

use super::{by, chosen, find, secret};
use crate::{
    crm::{CrmError, Outage},
    store::webhook::WebhookSummary,
    web::{
        Web,
        flash::Flash,
        form::Typed,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToConfigure},
    },
};

/// Where in the tracker.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Where {
    /// A project by id or path; empty for the group.
    project: String,
}

/// How a secret is replaced.
#[derive(Debug, Deserialize)]
struct Rotate {
    /// Hours for which the old one is accepted too.
    overlap: u32,
    /// Whether it becomes a signing token.
    #[serde(default)]
    signing: Option<String>,
}

/// Which events.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Events {
    comments: Option<String>,
    issues: Option<String>,
    members: Option<String>,
    tree: Option<String>,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    let state = |state: &'static str, said: &'static str| {
        post(
            async move |visit: InGroup<ToConfigure>, Path(name): Path<String>| {
                set_state(&visit, &name, (state, said)).await
            },
        )
    };
    Router::new()
        .route("/hooks/{name}/install", post(install))
        .route("/hooks/{name}/test", post(test))
        .route("/hooks/{name}/rotate", post(rotate))
        .route("/hooks/{name}/events", post(set_events))
        .route(
            "/hooks/{name}/pause",
            state(
                "paused",
                "The webhook is paused: deliveries are answered 410.",
            ),
        )
        .route(
            "/hooks/{name}/resume",
            state("active", "The webhook takes deliveries again."),
        )
        .route(
            "/hooks/{name}/delete",
            state("deleted", "The webhook was deleted. Its log stays."),
        )
}

/// Says on a webhook's page what came of something.
fn told(
    visit: &InGroup<ToConfigure>,
    webhook: &WebhookSummary,
    done: Result<String, CrmError>,
) -> Result<Response, Problem> {
    told_of(visit, webhook, "", done)
}

/// The same, with a project that the page goes on with.
fn told_of(
    visit: &InGroup<ToConfigure>,
    webhook: &WebhookSummary,
    project: &str,
    done: Result<String, CrmError>,
) -> Result<Response, Problem> {
    let flash = match done {
        Ok(text) => Flash::done(text),
        Err(CrmError::Invalid(sentences)) => Flash::warning(format!("{}.", sentences.join(". "))),
        Err(CrmError::Unavailable(Outage::Tracker(error))) => Flash::warning(format!(
            "The tracker did not do it: {error}. Try again in a minute."
        )),
        Err(other) => return Err(other.into()),
    };
    let mut path = visit.to(format_args!("hooks/{}", webhook.name));
    if !project.is_empty() {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("project", project)
            .finish();
        path = format!("{path}?{query}");
    }
    Ok(visit.visitor.say(flash, &path))
}

async fn install(
    visit: InGroup<ToConfigure>,
    Path(name): Path<String>,
    form: Typed<Where>,
) -> Result<Response, Problem> {
    let webhook = find(&visit, &name).await?;
    let (webhooks, by) = (&visit.visitor.web.webhooks, by(&visit.visitor));
    let project = form.values.project.as_str();
    let done = webhooks.install(by, webhook.key, Some(project)).await;
    let done = done.map(|installed| {
        let hook = installed.hook;
        if installed.was_there {
            format!("Hook {hook} was in the tracker already and is up to date now.")
        } else {
            format!("Hook {hook} is installed in the tracker. Send a test to see it work.")
        }
    });
    told_of(&visit, &webhook, project, done)
}

async fn test(
    visit: InGroup<ToConfigure>,
    Path(name): Path<String>,
    form: Typed<Where>,
) -> Result<Response, Problem> {
    let webhook = find(&visit, &name).await?;
    let (webhooks, by) = (&visit.visitor.web.webhooks, by(&visit.visitor));
    let project = form.values.project.as_str();
    let done = webhooks.test(by, webhook.key, Some(project)).await;
    let text = "The tracker was asked to send a test: it is below once it has arrived.";
    let done = done.map(|()| text.to_owned());
    told_of(&visit, &webhook, project, done)
}

async fn rotate(
    visit: InGroup<ToConfigure>,
    Path(name): Path<String>,
    form: Typed<Rotate>,
) -> Result<Response, Problem> {
    let webhook = find(&visit, &name).await?;
    let (webhooks, by) = (&visit.visitor.web.webhooks, by(&visit.visitor));
    let how = (form.values.overlap, form.values.signing.is_some());
    match webhooks.rotate(by, webhook.key, how).await {
        Ok((made, overlap)) => Ok(secret::page(&visit, &webhook, &made, Some(overlap))),
        Err(error) => told(&visit, &webhook, Err(error)),
    }
}

async fn set_events(
    visit: InGroup<ToConfigure>,
    Path(name): Path<String>,
    form: Typed<Events>,
) -> Result<Response, Problem> {
    let webhook = find(&visit, &name).await?;
    let Events {
        comments,
        issues,
        members,
        tree,
    } = form.values;
    let events = chosen([&comments, &issues, &members, &tree].map(Option::is_some));
    let (webhooks, by) = (&visit.visitor.web.webhooks, by(&visit.visitor));
    let done = webhooks
        .set_events(by, webhook.key, events.as_deref())
        .await;
    let text = "The events were chosen. Install the webhook again to tell the tracker.";
    told(&visit, &webhook, done.map(|()| text.to_owned()))
}

async fn set_state(
    visit: &InGroup<ToConfigure>,
    name: &str,
    (state, said): (&'static str, &'static str),
) -> Result<Response, Problem> {
    let webhook = find(visit, name).await?;
    let (webhooks, by) = (&visit.visitor.web.webhooks, by(&visit.visitor));
    let done = webhooks.set_state(by, webhook.key, state).await;
    if done.is_ok() && state == "deleted" {
        return Ok(visit.visitor.say(Flash::done(said), &visit.to("hooks")));
    }
    told(visit, &webhook, done.map(|()| said.to_owned()))
}
