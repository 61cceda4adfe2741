//! The GraphQL beside the REST API, as far as a few questions go: none is parsed, they are told apart by what they ask about.

mod crm;
mod issue;

use axum::{Extension, Json, Router, extract::State as Shared, routing::post};
use serde_json::{Value, json};

use super::Caller;
use crate::sandbox::Sandbox;

pub(super) fn router() -> Router<Sandbox> {
    Router::new().route("/api/graphql", post(answer))
}

async fn answer(
    Shared(sandbox): Shared<Sandbox>,
    caller: Extension<Caller>,
    Json(question): Json<Value>,
) -> Json<Value> {
    let about = question.pointer("/variables/id").and_then(Value::as_str);
    Json(match about {
        Some(id) => sandbox.read(|state| issue::answer(state, caller.id, id)),
        None => match serde_json::from_value(question) {
            Ok(query) => sandbox.read(|state| crm::answer(state, caller.id, &query)),
            Err(error) => refused(&error.to_string()),
        },
    })
}

fn refused(message: &str) -> Value {
    json!({ "errors": [{ "message": message }] })
}
