//! What a Bitrix24 connection needs beside the rest.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Config, Connection, Secret, Webhook};
use crate::domain::ConnectionKind;

/// The part of a connection that only Bitrix24 has.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bitrix24 {
    /// Id of the bot that answers in chats and leads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<u64>,
    /// The token that the bot was registered with; not needed with `oauth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_token: Option<Secret>,
    /// The portal's own id, as its events say it; absent: the first proven event tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<String>,
    /// Requests that the portal takes at once.
    pub burst: u32,
    /// Requests that it takes per second in the long run.
    pub requests_per_second: f64,
    /// Seconds that one method may run within ten minutes.
    pub operating_seconds: u64,
    /// An application's tokens, instead of the address of an inbound webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,
}

impl Default for Bitrix24 {
    fn default() -> Self {
        Self {
            bot_id: None,
            bot_token: None,
            member_id: None,
            burst: 50,
            requests_per_second: 2.0,
            operating_seconds: 480,
            oauth: None,
        }
    }
}

/// An application that the portal installed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// Where tokens are renewed: `https://oauth.bitrix.info` for portals in the cloud.
    pub server: Url,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: Secret,
    /// The refresh token that its installation brought. Those that follow are kept sealed in the database.
    pub refresh_token: Secret,
}

/// The account that an inbound webhook acts as, and the secret of its address.
#[derive(Debug)]
pub struct InboundWebhook {
    /// Id of the user.
    pub user: String,
    /// The secret part.
    pub secret: SecretString,
}

/// Reads the address of an inbound webhook as the portal shows it, `{url}/rest/USER/SECRET/`.
///
/// # Errors
/// Says what it should look like, and nothing of what it is.
pub fn inbound_webhook(base: &Url, address: &SecretString) -> Result<InboundWebhook, &'static str> {
    const WRONG: &str =
        "must be the address of an inbound webhook as the portal shows it: {url}/rest/USER/SECRET/";
    let address: Url = address.expose_secret().trim().parse().map_err(|_| WRONG)?;
    if address.origin() != base.origin() {
        return Err("is the address of a webhook on another host than url");
    }
    let path = address
        .path()
        .strip_prefix(base.path().trim_end_matches('/'));
    let path = path.and_then(|path| path.strip_prefix("/rest/"));
    let parts = path.and_then(|path| path.trim_end_matches('/').split_once('/'));
    let (user, secret) = parts.ok_or(WRONG)?;
    let is_user = !user.is_empty() && user.len() <= 18 && user.bytes().all(|b| b.is_ascii_digit());
    let is_secret = !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_user || !is_secret {
        return Err(WRONG);
    }
    Ok(InboundWebhook {
        user: user.to_owned(),
        secret: secret.into(),
    })
}

/// Returns what is wrong with a webhook of a Bitrix24 connection that signs.
pub(super) fn signing_problem(webhook: &Webhook, config: &Config) -> Option<String> {
    let is_portal = config.connection.iter().any(|connection| {
        connection.name == webhook.connection && connection.kind == ConnectionKind::Bitrix24
    });
    let problem = "Bitrix24 does not sign: give the webhook a secret, which is the token of the portal's outgoing webhook or stands in the bot's address";
    (is_portal && webhook.signing_token.is_some()).then(|| problem.to_owned())
}

/// Returns what is wrong with the part of a connection that only Bitrix24 has: the key below the connection, and the problem.
pub(super) fn problems(connection: &Connection) -> Vec<(&'static [&'static str], String)> {
    let mut problems: Vec<(&'static [&'static str], String)> = Vec::new();
    if connection.kind != ConnectionKind::Bitrix24 {
        if connection.bitrix24.is_some() {
            problems.push((&["bitrix24"], "is for the kind bitrix24 only".into()));
        }
        return problems;
    }
    let settings = connection.bitrix24.clone().unwrap_or_default();
    if let Some(Ok(token)) = connection.token.as_ref().map(Secret::resolve)
        && let Err(problem) = inbound_webhook(&connection.url, &token)
    {
        problems.push((&["token"], problem.to_owned()));
    }
    match (&connection.token, &settings.oauth) {
        (Some(_), Some(_)) => problems.push((
            &["token"],
            "is the address of an inbound webhook, which a connection with oauth does not have: give one of both".into(),
        )),
        (None, None) => problems.push((
            &["name"],
            "has no token: give the address of an inbound webhook, or oauth in [connection.bitrix24]".into(),
        )),
        _ => {}
    }
    let by_webhook = settings.oauth.is_none();
    match (settings.bot_id, &settings.bot_token) {
        (Some(_), None) if by_webhook => problems.push((
            &["bitrix24", "bot_id"],
            "needs bot_token, with which the bot was registered: without it an inbound webhook cannot speak for the bot".into(),
        )),
        (None, Some(_)) => problems.push((
            &["bitrix24", "bot_token"],
            "needs bot_id, which the registration of the bot answered".into(),
        )),
        _ => {}
    }
    if settings.member_id.as_deref() == Some("") {
        problems.push((
            &["bitrix24", "member_id"],
            "must be the member_id that the portal's events carry, or absent".into(),
        ));
    }
    if settings.burst == 0 {
        problems.push((&["bitrix24", "burst"], "must be at least one".into()));
    }
    if !(0.01..=1000.0).contains(&settings.requests_per_second) {
        problems.push((
            &["bitrix24", "requests_per_second"],
            "must be between 0.01 and 1000".into(),
        ));
    }
    if !(10..=600).contains(&settings.operating_seconds) {
        problems.push((
            &["bitrix24", "operating_seconds"],
            "must be between 10 and 600: it is counted over ten minutes".into(),
        ));
    }
    let oauth = settings.oauth.as_ref();
    for (key, secret) in [
        (&["bitrix24", "bot_token"][..], settings.bot_token.as_ref()),
        (
            &["bitrix24", "oauth", "client_secret"],
            oauth.map(|oauth| &oauth.client_secret),
        ),
        (
            &["bitrix24", "oauth", "refresh_token"],
            oauth.map(|oauth| &oauth.refresh_token),
        ),
    ] {
        if let Some(Err(error)) = secret.map(Secret::resolve) {
            problems.push((key, error.to_string()));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(base: &str, address: &str) -> Result<(String, String), &'static str> {
        let webhook = inbound_webhook(&base.parse().unwrap(), &address.into())?;
        Ok((webhook.user, webhook.secret.expose_secret().to_owned()))
    }

    #[test]
    fn reads_the_address_that_the_portal_shows() {
        let expected = Ok(("27".to_owned(), "s3cr3t".to_owned()));
        for (base, address) in [
            (
                "https://acme.example",
                "https://acme.example/rest/27/s3cr3t/",
            ),
            (
                "https://acme.example/",
                "https://acme.example/rest/27/s3cr3t",
            ),
            (
                "https://acme.example/b24",
                " https://acme.example/b24/rest/27/s3cr3t/ ",
            ),
        ] {
            assert_eq!(read(base, address), expected);
        }
    }

    #[test]
    fn refuses_other_addresses_without_showing_them() {
        for address in [
            "https://other.example/rest/27/s3cr3t/",
            "https://acme.example:8443/rest/27/s3cr3t/",
            "http://acme.example/rest/27/s3cr3t/",
            "https://acme.example/rest/27/",
            "https://acme.example/rest/x/s3cr3t/",
            "https://acme.example/rest/27/s3cr3t/profile.json",
            "https://acme.example/27/s3cr3t/",
            "27/s3cr3t",
            "",
        ] {
            let problem = read("https://acme.example", address).unwrap_err();
            assert!(!problem.contains("s3cr3t"));
        }
    }
}
