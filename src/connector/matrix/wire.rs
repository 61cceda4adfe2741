//! Events in Matrix' spelling, as far as they are read (Matrix specification 1.17, client-server API).
//!
//! What the homeserver fills in must be as documented. What users fill in may be anything: a field of another type counts as absent.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// What the homeserver vouches for.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) room_id: String,
    pub(super) event_id: String,
    pub(super) sender: String,
    pub(super) state_key: Option<String>,
}

/// An event with a content of a known kind.
#[derive(Debug, Deserialize)]
pub(super) struct Of<T> {
    pub(super) content: T,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) unsigned: Option<Unsigned>,
}

/// What the homeserver adds to a state event.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Unsigned {
    /// The content that it takes the place of.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) prev_content: Option<MemberContent>,
    /// Who sent what it takes the place of (Synapse).
    pub(super) prev_sender: Option<String>,
    /// The event that it takes the place of.
    pub(super) replaces_state: Option<String>,
}

/// Content of `m.room.member`.
#[derive(Debug, Deserialize)]
pub(super) struct MemberContent {
    pub(super) membership: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) displayname: Option<String>,
    /// `guest` where the account is one (Synapse).
    #[serde(default, deserialize_with = "lenient")]
    pub(super) kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) is_direct: Option<bool>,
}

/// A membership as it stands in the state of a room.
#[derive(Debug, Deserialize)]
pub(super) struct MemberEvent {
    pub(super) event_id: String,
    pub(super) sender: String,
    pub(super) state_key: String,
    pub(super) content: MemberContent,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) unsigned: Option<Unsigned>,
}

/// Content of `m.room.message`.
#[derive(Debug, Deserialize)]
pub(super) struct Text {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) msgtype: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) body: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) formatted_body: Option<String>,
    #[serde(default, rename = "m.relates_to", deserialize_with = "lenient")]
    pub(super) relation: Option<Relation>,
}

/// How a message relates to another one.
#[derive(Debug, Deserialize)]
pub(super) struct Relation {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) rel_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) event_id: Option<String>,
    #[serde(default, rename = "m.in_reply_to", deserialize_with = "lenient")]
    pub(super) in_reply_to: Option<Value>,
}

/// Reads a value of the expected type, and none for any other.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}
