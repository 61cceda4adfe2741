//! `GET /groups/{path}/-/autocomplete_sources/contacts` and its twin for projects: contacts for whoever types a command.
//!
//! GitLab's editors send `type=Issue&type_id=IID` and get, for each contact, whether it is on that issue. Beside that, `q` is what was typed so
//! far, and `command` is which command is being typed: `add_contacts` is offered active contacts that are not on the issue,
//! `remove_contacts` those that are.

use axum::{
    Json,
    extract::{OriginalUri, Query, State},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{Shared, reply::Denied};
