//! Several methods in one request, run in their order: it counts once for the rate, and nobody comes between.

use std::collections::BTreeMap;

use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{CallError, Client, Time, parse};
use crate::egress::Retry;

/// Most methods that a batch may run.
const MAX_COMMANDS: usize = 50;

/// One method of a batch. Its values go as PHP's queries write them: `fields[observers][0]`.
pub(super) struct Command {
    key: &'static str,
    method: &'static str,
    query: Vec<(String, String)>,
}

impl Command {
    /// Returns a method whose answer is found by `key`.
    pub(super) fn new(key: &'static str, method: &'static str) -> Self {
        Self {
            key,
            method,
            query: Vec::new(),
        }
    }

    /// Adds a value.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the values of a list.
    pub(super) fn with_list(mut self, name: &str, values: &[String]) -> Self {
        let values = values.iter().enumerate();
        self.query
            .extend(values.map(|(index, value)| (format!("{name}[{index}]"), value.clone())));
        self
    }

    fn text(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.query)
            .finish();
        format!("{}?{query}", self.method)
    }
}

/// What each method of a batch answered.
#[derive(Debug)]
pub(super) struct Batch {
    results: BTreeMap<String, Value>,
    errors: BTreeMap<String, Value>,
    totals: BTreeMap<String, Value>,
    methods: BTreeMap<&'static str, &'static str>,
}

/// What `batch` answers. PHP writes an empty map as a list.
#[derive(Deserialize)]
struct WireBatch {
    #[serde(default)]
    result: Value,
    #[serde(default)]
    result_error: Value,
    #[serde(default)]
    result_total: Value,
    #[serde(default)]
    result_time: Value,
}

/// Returns the parts of an answer by the keys of the commands.
fn map(value: Value) -> BTreeMap<String, Value> {
    let Value::Object(map) = value else {
        return BTreeMap::new();
    };
    let key = |numbered: &str| numbered.split_once('_').map(|(_, key)| key.to_owned());
    map.into_iter()
        .filter_map(|(numbered, value)| Some((key(&numbered)?, value)))
        .collect()
}

impl Client {
    /// Runs methods in one request, all of them whatever each answers.
    pub(super) async fn batch(&self, commands: Vec<Command>) -> Result<Batch, CallError> {
        debug_assert!(commands.len() <= MAX_COMMANDS, "a batch is too long");
        let methods: BTreeMap<_, _> = commands
            .iter()
            .map(|command| (command.key, command.method))
            .collect();
        let runs: Vec<&'static str> = methods.values().copied().collect();
        let cmd: Map<String, Value> = commands
            .into_iter()
            .enumerate()
            // The portal runs them in the order of the text, and the text is written in the order of the keys.
            .map(|(index, command)| (format!("{index:02}_{}", command.key), command.text().into()))
            .collect();
        let body = json!({ "halt": 0, "cmd": cmd });
        let answered = self.call("batch", &runs, body).await?;
        let wire: WireBatch = parse("batch", answered)?;
        for (key, time) in map(wire.result_time) {
            let time = serde_json::from_value::<Time>(time);
            if let (Some(method), Ok(time)) = (methods.get(key.as_str()), time) {
                self.learn(method, time);
            }
        }
        let batch = Batch {
            results: map(wire.result),
            errors: map(wire.result_error),
            totals: map(wire.result_total),
            methods,
        };
        self.heed(&batch)?;
        Ok(batch)
    }

    /// Returns a failure that is about the portal and not about what was asked, so that the whole is tried again.
    fn heed(&self, batch: &Batch) -> Result<(), CallError> {
        for (key, error) in &batch.errors {
            let Some(method) = batch.methods.get(key.as_str()) else {
                continue;
            };
            let refused = self.refused(method, error, (StatusCode::BAD_REQUEST, Retry::Never));
            if refused.retry() != Retry::Never {
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Returns a method that the bot runs, if there is a bot.
    pub(super) fn bot_command(&self, key: &'static str, method: &'static str) -> Option<Command> {
        let bot = self.0.bot.as_ref()?;
        let command = Command::new(key, method).with("botId", &bot.id);
        Some(match &bot.token {
            Some(token) => command.with("botToken", token.expose_secret()),
            None => command,
        })
    }
}

impl Batch {
    /// Returns what a method answered, or the portal's word for why it did not.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        key: &'static str,
    ) -> Result<Result<T, String>, CallError> {
        if let Some(error) = self.errors.get(key) {
            return Ok(Err(super::word(error)));
        }
        let method = self.methods.get(key).copied().unwrap_or("batch");
        let result = self.results.get(key).cloned().unwrap_or_default();
        parse(method, result).map(Ok)
    }

    /// Returns how many there are of what a method lists a page of.
    pub(super) fn total(&self, key: &str) -> Option<usize> {
        usize::try_from(self.totals.get(key)?.as_u64()?).ok()
    }
}
