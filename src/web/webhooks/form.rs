//! `/hooks/new`: a new webhook.
//!
//! The name is made when the form is opened, so that the same form sent twice makes one webhook.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use serde::Deserialize;

use super::{EventChoice, by, chosen, find, secret};
use crate::{
    crm::{CrmError, NewWebhook, Webhooks},
    domain::ConnectionKind,
    store::connection::{self, Connection},
    web::{
        Web,
        form::{Errors, Typed, refused},
        frame::{Frame, html},
        problem::Problem,
        visit::{InGroup, ToConfigure},
    },
};

/// What is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Input {
    connection: String,
    name: String,
    /// `token` or `signing`.
    secret: String,
    comments: Option<String>,
    issues: Option<String>,
    members: Option<String>,
    tree: Option<String>,
}

#[derive(Template)]
#[template(path = "webhooks/form.html")]
struct FormPage {
    frame: Frame,
    /// Where the group's pages are.
    base: String,
    input: Input,
    errors: Errors,
    connections: Vec<Connection>,
    events: Vec<EventChoice>,
}

/// Returns the routes of the form.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/hooks/new", get(blank).post(create))
}

async fn blank(visit: InGroup<ToConfigure>) -> Result<Response, Problem> {
    let input = Input {
        name: Webhooks::random_name(&visit.group.path),
        secret: "token".to_owned(),
        ..Input::default()
    };
    page(&visit, input, Errors::default(), None).await
}

async fn create(visit: InGroup<ToConfigure>, form: Typed<Input>) -> Result<Response, Problem> {
    let input = form.values;
    let boxes = [&input.comments, &input.issues, &input.members, &input.tree];
    let events = chosen(boxes.map(Option::is_some));
    let words: Option<Vec<String>> = events
        .as_ref()
        .map(|events| events.iter().map(|event| event.word().to_owned()).collect());
    if form.is_restored {
        return page(&visit, input, Errors::default(), words).await;
    }
    let wanted = NewWebhook {
        group: (visit.group.root, visit.group.id),
        path: &visit.group.path,
        connection: &input.connection,
        name: Some(&input.name),
        signing: input.secret == "signing",
        events: events.as_deref(),
    };
    match visit
        .visitor
        .web
        .webhooks
        .create(by(&visit.visitor), &wanted)
        .await
    {
        Ok(created) => {
            let webhook = find(&visit, &created.name).await?;
            Ok(secret::page(&visit, &webhook, &created, None))
        }
        Err(CrmError::Invalid(sentences)) => {
            let errors = Errors::new(sentences);
            Ok(refused(page(&visit, input, errors, words).await?))
        }
        Err(other) => Err(other.into()),
    }
}

async fn page(
    visit: &InGroup<ToConfigure>,
    input: Input,
    errors: Errors,
    chosen: Option<Vec<String>>,
) -> Result<Response, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let mut connections = connection::of_tenant(&mut connection, visit.group.root).await?;
    connections.retain(|connection| {
        matches!(
            connection.kind,
            ConnectionKind::Gitlab | ConnectionKind::Matrix | ConnectionKind::Bitrix24
        )
    });
    Ok(html(&FormPage {
        frame: visit.frame("New webhook"),
        base: visit.base.clone(),
        events: EventChoice::all(chosen.as_deref()),
        input,
        errors,
        connections,
    }))
}
