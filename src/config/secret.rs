//! Secrets in the configuration: as they stand, in a file, or in the environment.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A secret, or where it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"…\", { file = \"…\" } or { env = \"…\" }"
)]
pub enum Secret {
    /// The secret itself.
    Plain(SecretString),
    /// In a file; blanks and line ends around it do not count.
    File(InFile),
    /// In an environment variable.
    Env(InEnv),
}

/// A file that holds a secret.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InFile {
    /// The file, relative to the working directory.
    pub file: PathBuf,
}

/// An environment variable that holds a secret.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InEnv {
    /// The variable's name.
    pub env: String,
}

/// Why a secret is not to be had. Names the place, never the secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the file {0} cannot be read: {1}")]
    File(String, String),
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    Env(String),
    /// There is nothing in it.
    #[error("the secret is empty")]
    Empty,
}

impl Secret {
    /// Reads the secret.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the environment is read for secrets"
    )]
    pub fn resolve(&self) -> Result<SecretString, SecretError> {
        let secret = match self {
            Self::Plain(secret) => secret.clone(),
            Self::File(InFile { file }) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    SecretError::File(file.display().to_string(), error.to_string())
                })?;
                SecretString::from(text.trim())
            }
            Self::Env(InEnv { env }) => {
                SecretString::from(std::env::var(env).map_err(|_| SecretError::Env(env.clone()))?)
            }
        };
        if secret.expose_secret().is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(secret)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(_) => serializer.serialize_str("(hidden)"),
            Self::File(place) => place.serialize(serializer),
            Self::Env(place) => place.serialize(serializer),
        }
    }
}
