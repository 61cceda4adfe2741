//! The file by which a homeserver knows the application service.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

/// Returns the id of the application service that stands for a connection.
pub fn service_id(connection: &str) -> String {
    format!("liaison-{connection}")
}

/// What an administrator puts beside the homeserver's configuration.
#[derive(Debug)]
pub struct Registration<'a> {
    /// Name of the connection.
    pub connection: &'a str,
    /// Where the homeserver reaches Liaison.
    pub url: &'a Url,
    /// Proves Liaison to the homeserver: the connection's token.
    pub as_token: &'a SecretString,
    /// Proves the homeserver to Liaison: the webhook's secret.
    pub hs_token: &'a SecretString,
    /// The bot's local part.
    pub bot: &'a str,
}

impl Registration<'_> {
    /// Returns the file: YAML, in which every JSON text is a text.
    ///
    /// The bot and the aliases of its rooms are its own, so that nobody can take a room's alias before it is made.
    pub fn yaml(&self) -> String {
        let user = format!("@{}:.*", escaped(self.bot));
        let alias = format!("#{}_.*:.*", escaped(self.bot));
        let field = |name: &str, value: &str| format!("{name}: {}\n", json!(value));
        [
            "# Liaison's registration at the homeserver. It holds both tokens: keep it as secret as them.\n".to_owned(),
            field("id", &service_id(self.connection)),
            field("url", self.url.as_str().trim_end_matches('/')),
            field("as_token", self.as_token.expose_secret()),
            field("hs_token", self.hs_token.expose_secret()),
            field("sender_localpart", self.bot),
            "rate_limited: false\n".to_owned(),
            "namespaces:\n".to_owned(),
            format!("  users:\n    - exclusive: true\n      regex: {}\n", json!(user)),
            format!("  aliases:\n    - exclusive: true\n      regex: {}\n", json!(alias)),
            "  rooms: []\n".to_owned(),
        ]
        .concat()
    }
}

/// Returns a local part in which no character means anything to a regular expression.
fn escaped(local: &str) -> String {
    local
        .chars()
        .flat_map(|char| {
            let mark =
                (!char.is_ascii_alphanumeric() && char != '_' && char != '-').then_some('\\');
            mark.into_iter().chain(std::iter::once(char))
        })
        .collect()
}
