//! The answer to a new webhook or a new secret: the only page that ever shows it, with what to do with it next.

use askama::Template;
use axum::response::Response;
use secrecy::ExposeSecret;

use crate::{
    crm::NewSecret,
    store::webhook::{SecretKind, WebhookSummary},
    web::{
        frame::{Frame, html},
        visit::{InGroup, ToConfigure},
    },
};

#[derive(Template)]
#[template(path = "webhooks/secret.html")]
struct SecretPage<'a> {
    frame: Frame,
    name: &'a str,
    /// What it is a webhook of.
    kind: &'a str,
    url: &'a str,
    secret: &'a str,
    is_signing: bool,
    /// For how many hours the old secret is accepted too; none for a new webhook.
    overlap: Option<u32>,
    /// Where the webhook's page is.
    item: String,
}

/// Returns the page. It is never kept by the browser, and there is no way back to it.
pub(super) fn page(
    visit: &InGroup<ToConfigure>,
    webhook: &WebhookSummary,
    made: &NewSecret,
    overlap: Option<u32>,
) -> Response {
    // A portal proves itself by the address that it was given.
    let url = match webhook.kind.as_str() {
        "bitrix24" => format!("{}?token={}", made.url, made.secret.expose_secret()),
        _ => made.url.clone(),
    };
    html(&SecretPage {
        frame: visit.frame("The webhook's secret"),
        name: &made.name,
        kind: &webhook.kind,
        url: &url,
        secret: made.secret.expose_secret(),
        is_signing: made.kind == SecretKind::Signing,
        overlap,
        item: visit.to(format_args!("hooks/{}", made.name)),
    })
}
