//! What the types cannot say: names that refer to each other, and values that must fit.

use url::Url;

use super::{Config, Connection, Group, Secret, Webhook, source::Step};
use crate::{
    crypto::SigningKey,
    domain::{ConnectionKind, Level},
};

type Problems = Vec<(Vec<Step>, String)>;

/// Shortest secret token of a webhook, in characters: what can be guessed is no secret.
const MIN_SECRET: usize = 8;

fn path(steps: &[&str], indices: &[usize]) -> Vec<Step> {
    let mut indices = indices.iter();
    steps
        .iter()
        .flat_map(|step| {
            let index = step.ends_with("[]").then(|| indices.next()).flatten();
            let key = Step::Key(step.trim_end_matches("[]").to_owned());
            std::iter::once(key).chain(index.map(|index| Step::Index(*index)))
        })
        .collect()
}

/// Returns every problem with its place.
pub(super) fn validate(config: &Config) -> Problems {
    let mut problems = Problems::new();
    let place = path(&["server", "public_url"], &[]);
    web_address(&config.server.public_url, place, &mut problems);
    validate_numbers(config, &mut problems);
    validate_provider(config, &mut problems);
    for (index, connection) in config.connection.iter().enumerate() {
        validate_connection(connection, index, config, &mut problems);
    }
    for (index, person) in config.person.iter().enumerate() {
        for identity in &person.identities {
            known_connection(
                config,
                &identity.connection,
                path(&["person[]", "identities"], &[index]),
                &mut problems,
            );
        }
    }
    for (index, group) in config.group.iter().enumerate() {
        validate_group(group, index, config, &mut problems);
    }
    problems
}

fn validate_provider(config: &Config, problems: &mut Problems) {
    let Some(provider) = &config.login.oidc else {
        return;
    };
    let is_local = matches!(
        provider.issuer.host_str(),
        Some("localhost" | "127.0.0.1" | "[::1]")
    );
    if provider.issuer.scheme() != "https" && !is_local {
        // What it says is believed because it comes over TLS.
        let problem = "must begin with https://".into();
        problems.push((path(&["login", "oidc", "issuer"], &[]), problem));
    }
    if let Some(connection) = &provider.connection {
        let place = path(&["login", "oidc", "connection"], &[]);
        known_connection(config, connection, place, problems);
    }
}

fn validate_numbers(config: &Config, problems: &mut Problems) {
    for (name, value) in [
        ("concurrency", config.queue.concurrency as u64),
        ("retry_seconds", config.queue.retry_seconds.len() as u64),
        (
            "attempts",
            u64::try_from(config.queue.attempts).unwrap_or(0),
        ),
    ] {
        if value == 0 {
            problems.push((path(&["queue", name], &[]), "must be at least one".into()));
        }
    }
    for (section, name, value, most) in [
        (
            "server",
            "max_connections",
            config.server.max_connections as u64,
            100_000,
        ),
        (
            "queue",
            "concurrency",
            config.queue.concurrency as u64,
            1000,
        ),
        ("queue", "lease_seconds", config.queue.lease_seconds, 3600),
        (
            "queue",
            "retain_days",
            config.queue.retain_days.into(),
            36_500,
        ),
        (
            "queue",
            "retry_seconds",
            config
                .queue
                .retry_seconds
                .iter()
                .copied()
                .max()
                .unwrap_or(0),
            604_800,
        ),
        ("database", "pool", config.database.pool.into(), 1000),
    ] {
        if value > most {
            problems.push((
                path(&[section, name], &[]),
                format!("must be at most {most}"),
            ));
        }
    }
    if config.server.max_connections == 0 {
        problems.push((
            path(&["server", "max_connections"], &[]),
            "must be at least one".into(),
        ));
    }
    // The longest a call may take is 10 s, and an effect makes three at most.
    if config.queue.lease_seconds < 40 {
        problems.push((
            path(&["queue", "lease_seconds"], &[]),
            "must be at least 40, longer than the slowest call".into(),
        ));
    }
    // A process needs connections for intake, for work and for listening.
    if config.database.pool < 4 {
        problems.push((
            path(&["database", "pool"], &[]),
            "must be at least 4".into(),
        ));
    }
}

fn validate_connection(
    connection: &Connection,
    index: usize,
    config: &Config,
    problems: &mut Problems,
) {
    let at = |key: &str| path(&["connection[]", key], &[index]);
    let before = config.connection.iter().take(index);
    if before
        .into_iter()
        .any(|other| other.name == connection.name)
    {
        problems.push((
            at("name"),
            format!("there are two connections named {}", connection.name),
        ));
    }
    if !matches!(
        connection.kind,
        ConnectionKind::Gitlab | ConnectionKind::Bitrix24 | ConnectionKind::Matrix
    ) {
        problems.push((
            at("kind"),
            format!(
                "{} is not supported yet; this version connects to gitlab, bitrix24 and matrix",
                connection.kind.word()
            ),
        ));
    }
    validate_matrix(connection, index, problems);
    for (keys, problem) in super::bitrix24::problems(connection) {
        let keys = [&["connection[]"], keys].concat();
        problems.push((path(&keys, &[index]), problem));
    }
    web_address(&connection.url, at("url"), problems);
    if connection.bot.is_empty() {
        problems.push((at("bot"), "must be the bot's username, without @".into()));
    }
    if connection.notes_per_minute == 0 {
        problems.push((at("notes_per_minute"), "must be at least one".into()));
    }
    match &connection.token {
        // It may have an application's tokens instead.
        None if connection.kind == ConnectionKind::Bitrix24 => {}
        None => problems.push((
            at("name"),
            "has no token: without one the bot can neither ask for rights nor answer".into(),
        )),
        Some(token) => {
            if let Err(error) = token.resolve() {
                problems.push((at("token"), error.to_string()));
            }
        }
    }
}

/// Checks what only Matrix has, and that nothing else has it.
fn validate_matrix(connection: &Connection, index: usize, problems: &mut Problems) {
    let at = |key: &str| path(&["connection[]", key], &[index]);
    if connection.kind != ConnectionKind::Matrix {
        for (key, given) in [
            ("admin_token", connection.admin_token.is_some()),
            ("federate", connection.federate),
            ("members_invite", connection.members_invite),
            ("web_client", connection.web_client.is_some()),
        ] {
            if given {
                problems.push((at(key), "is for the kind matrix only".into()));
            }
        }
        return;
    }
    let is_local =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-".contains(&byte);
    if !connection.bot.bytes().all(is_local) {
        problems.push((
            at("bot"),
            "must be the local part of the bot's user id (\"liaison\" for @liaison:example.com), of lower-case letters, digits, ., _, = and -".into(),
        ));
    }
    if let Some(client) = &connection.web_client {
        web_address(client, at("web_client"), problems);
    }
    if let Some(Err(error)) = connection.admin_token.as_ref().map(Secret::resolve) {
        problems.push((at("admin_token"), error.to_string()));
    }
}

fn web_address(url: &Url, at: Vec<Step>, problems: &mut Problems) {
    if !matches!(url.scheme(), "http" | "https") {
        problems.push((at, "must begin with http:// or https://".into()));
    }
}

fn known_connection(config: &Config, name: &str, at: Vec<Step>, problems: &mut Problems) {
    if !config
        .connection
        .iter()
        .any(|connection| connection.name == name)
    {
        problems.push((at, format!("there is no [[connection]] named {name}")));
    }
}

/// Returns whether a text may be part of a URL path without escaping, and is not too long for one: 150 bytes.
pub fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 150
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn validate_group(group: &Group, index: usize, config: &Config, problems: &mut Problems) {
    let at = |key: &str| path(&["group[]", key], &[index]);
    if !is_slug(&group.path) {
        problems.push((
            at("path"),
            "must be one word of letters, digits, -, _ and .: declared groups are root groups"
                .into(),
        ));
    }
    if config
        .group
        .iter()
        .take(index)
        .any(|other| other.path.eq_ignore_ascii_case(&group.path))
    {
        problems.push((
            at("path"),
            format!("there are two groups at {}", group.path),
        ));
    }
    if let Some(tracker) = &group.tracker {
        known_connection(config, &tracker.connection, at("tracker"), problems);
    }
    if let Some(messenger) = &group.messenger {
        validate_messenger(&messenger.connection, at("messenger"), config, problems);
    }
    if group.tracker.is_some() && !group.members.is_empty() {
        let why = "the group has a tracker, which says who may do what in it: leave members out, or the tracker";
        problems.push((at("members"), why.to_owned()));
    }
    for member in &group.members {
        if !config
            .person
            .iter()
            .any(|person| person.username.eq_ignore_ascii_case(&member.person))
        {
            problems.push((
                at("members"),
                format!("there is no [[person]] named {}", member.person),
            ));
        }
        if let Err(error) = member.level.parse::<Level>() {
            problems.push((at("members"), error.to_string()));
        }
    }
    for (number, webhook) in group.webhook.iter().enumerate() {
        validate_webhook(webhook, (index, number), config, problems);
    }
    let names = config.group.iter().flat_map(|group| &group.webhook);
    let mut seen = std::collections::HashSet::new();
    for name in names.map(|webhook| webhook.name.to_lowercase()) {
        if !seen.insert(name.clone()) && index == 0 {
            problems.push((
                at("webhook"),
                format!("there are two webhooks named {name}"),
            ));
        }
    }
}

/// Checks a webhook of a Matrix connection: the application service has one token for all that it is told.
fn validate_service(
    webhook: &Webhook,
    place: (usize, usize),
    config: &Config,
    problems: &mut Problems,
) {
    let at = |key: &str| path(&["group[]", "webhook[]", key], &[place.0, place.1]);
    let is_matrix = config.connection.iter().any(|connection| {
        connection.name == webhook.connection && connection.kind == ConnectionKind::Matrix
    });
    if !is_matrix {
        return;
    }
    if webhook.signing_token.is_some() {
        problems.push((
            at("signing_token"),
            "Matrix homeservers do not sign: give the webhook a secret, which is the hs_token"
                .into(),
        ));
    }
    let all = config
        .group
        .iter()
        .enumerate()
        .flat_map(|(group, declared)| {
            let webhooks = declared.webhook.iter().enumerate();
            webhooks.map(move |(index, webhook)| ((group, index), webhook))
        });
    let before = all.take_while(|(other, _)| *other != place);
    if let Some((_, other)) = before
        .into_iter()
        .find(|(_, other)| other.connection == webhook.connection)
    {
        problems.push((
            at("connection"),
            format!(
                "{} has it already: a Matrix connection is one application service, whose events come through one webhook",
                other.name
            ),
        ));
    }
}

/// Checks that a group's messenger is one.
fn validate_messenger(name: &str, at: Vec<Step>, config: &Config, problems: &mut Problems) {
    known_connection(config, name, at.clone(), problems);
    let found = config.connection.iter().find(|one| one.name == name);
    if let Some(connection) = found.filter(|connection| !connection.kind.is_messenger()) {
        problems.push((
            at,
            format!(
                "{name} is a {}, which has no chats: name a connection to a messenger",
                connection.kind.word()
            ),
        ));
    }
}

fn validate_webhook(
    webhook: &Webhook,
    place: (usize, usize),
    config: &Config,
    problems: &mut Problems,
) {
    let at = |key: &str| path(&["group[]", "webhook[]", key], &[place.0, place.1]);
    if !is_slug(&webhook.name) {
        problems.push((
            at("name"),
            "must be one word of letters, digits, -, _ and .: it stands in the URL".into(),
        ));
    }
    known_connection(config, &webhook.connection, at("connection"), problems);
    validate_service(webhook, place, config, problems);
    let signing = super::bitrix24::signing_problem(webhook, config);
    problems.extend(signing.map(|problem| (at("signing_token"), problem)));
    match (&webhook.secret, &webhook.signing_token) {
        (None, None) => problems.push((
            at("name"),
            "needs a secret or a signing_token: without one anybody could send".into(),
        )),
        (secret, signing) => {
            if let Some(secret) = secret {
                match secret.resolve() {
                    Err(error) => problems.push((at("secret"), error.to_string())),
                    Ok(secret)
                        if secrecy::ExposeSecret::expose_secret(&secret).len() < MIN_SECRET =>
                    {
                        problems.push((
                            at("secret"),
                            format!("must have at least {MIN_SECRET} characters"),
                        ));
                    }
                    Ok(_) => {}
                }
            }
            if let Some(signing) = signing {
                match signing.resolve().map(|token| SigningKey::parse(&token)) {
                    Err(error) => problems.push((at("signing_token"), error.to_string())),
                    Ok(Err(error)) => problems.push((at("signing_token"), error.to_string())),
                    Ok(Ok(_)) => {}
                }
            }
        }
    }
}
