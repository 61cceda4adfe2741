//! What the portal's REST API answers, as far as it is used. Ids are numbers or texts, yes and no are written in four ways.

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};
use serde_json::Value;

/// An id, as a number or as a text of digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) if number.is_u64() => Ok(Self(number.to_string())),
            Value::String(text) if is_id(&text) => Ok(Self(text)),
            _ => Err(D::Error::invalid_value(
                Unexpected::Other("value"),
                &"an id",
            )),
        }
    }
}

/// Returns whether a text is an id of the portal: digits, few enough for a number there.
pub(super) fn is_id(text: &str) -> bool {
    (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(yes) => yes,
        Value::String(word) => matches!(word.as_str(), "Y" | "1" | "true"),
        Value::Number(number) => number.as_u64() == Some(1),
        _ => false,
    })
}

/// Ids of users in a list. An empty list may come as `false`, null or an empty text.
fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Id>, D::Error> {
    match Value::deserialize(deserializer)? {
        list @ Value::Array(_) => serde_json::from_value(list).map_err(D::Error::custom),
        // PHP writes a list whose first key is not 0 as an object.
        Value::Object(map) => map
            .into_iter()
            .map(|(_, id)| serde_json::from_value(id).map_err(D::Error::custom))
            .collect(),
        _ => Ok(Vec::new()),
    }
}

fn id_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Id>, D::Error> {
    let id = serde_json::from_value::<Id>(Value::deserialize(deserializer)?).ok();
    Ok(id.filter(|id| id.0.bytes().any(|byte| byte != b'0')))
}

/// How long a method ran lately.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Time {
    pub(super) operating: Option<f64>,
    pub(super) operating_reset_at: Option<f64>,
}

/// `profile`.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    #[serde(rename = "ID")]
    pub(super) id: Id,
    #[serde(rename = "NAME", default)]
    pub(super) name: String,
}

/// A row of `user.get`.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    #[serde(rename = "ID")]
    pub(super) id: Id,
    #[serde(rename = "ACTIVE", default, deserialize_with = "yes")]
    pub(super) active: bool,
    #[serde(rename = "EMAIL", default)]
    pub(super) email: Option<String>,
    #[serde(rename = "NAME", default)]
    pub(super) name: Option<String>,
    #[serde(rename = "LAST_NAME", default)]
    pub(super) last_name: Option<String>,
    #[serde(rename = "USER_TYPE", default)]
    pub(super) kind: Option<String>,
}

/// `im.chat.get`.
#[derive(Debug, Deserialize)]
pub(super) struct ChatId {
    #[serde(rename = "ID", deserialize_with = "id_or_none")]
    pub(super) id: Option<Id>,
}

/// `im.dialog.get`.
#[derive(Debug, Deserialize)]
pub(super) struct Dialog {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, deserialize_with = "id_or_none")]
    pub(super) owner: Option<Id>,
    #[serde(default, deserialize_with = "ids")]
    pub(super) manager_list: Vec<Id>,
}

/// A row of `im.dialog.users.list`.
#[derive(Debug, Deserialize)]
pub(super) struct Card {
    pub(super) id: Id,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, deserialize_with = "yes")]
    pub(super) bot: bool,
    #[serde(default, deserialize_with = "yes")]
    pub(super) extranet: bool,
    #[serde(default, deserialize_with = "yes")]
    pub(super) connector: bool,
}

/// A row of `im.dialog.messages.get`.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) id: Id,
    #[serde(default)]
    pub(super) text: Option<String>,
}

/// `im.dialog.messages.get`.
#[derive(Debug, Deserialize)]
pub(super) struct Messages {
    #[serde(default)]
    pub(super) messages: Vec<Message>,
}

/// `crm.item.get`.
#[derive(Debug, Deserialize)]
pub(super) struct ItemAnswer {
    pub(super) item: Item,
}

/// `crm.item.list`.
#[derive(Debug, Deserialize)]
pub(super) struct ItemsAnswer {
    pub(super) items: Vec<Item>,
}

/// An item of the portal's own CRM.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) id: Id,
    #[serde(default)]
    pub(super) title: Option<String>,
    #[serde(default, deserialize_with = "ids")]
    pub(super) observers: Vec<Id>,
    #[serde(default, deserialize_with = "id_or_none")]
    pub(super) assigned_by_id: Option<Id>,
}

/// A message that was sent by a bot.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) id: Id,
}
