//! The calls that an application service makes, as Matrix documents them, as far as Liaison makes them.

use axum::{
    Json, Router,
    extract::{Path, Query, State as Shared},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Denied, FORBIDDEN, Homeserver, NOT_FOUND, refusal, world::NewRoom};

type Answered = Result<Json<Value>, Denied>;

const FAILING: Denied = Denied("M_UNKNOWN", "The homeserver fails, as it was asked to");
const NO_TOKEN: Denied = Denied("M_UNKNOWN_TOKEN", "Unrecognised access token");

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let status = match self.0 {
            "M_NOT_FOUND" => StatusCode::NOT_FOUND,
            "M_UNKNOWN_TOKEN" => StatusCode::UNAUTHORIZED,
            "M_FORBIDDEN" => StatusCode::FORBIDDEN,
            "M_UNKNOWN" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        (status, Json(refusal(self))).into_response()
    }
}

pub(super) fn router() -> Router<Homeserver> {
    let client = Router::new()
        .route("/account/whoami", get(whoami))
        .route("/devices/{device}", get(device))
        .route("/register", post(registered))
        .route("/login", post(registered))
        .route("/createRoom", post(create_room))
        .route("/directory/room/{alias}", get(alias))
        .route("/profile/{user}", get(profile))
        .route("/join/{room}", post(join))
        .route("/rooms/{room}/members", get(members))
        .route("/rooms/{room}/invite", post(invite))
        .route("/rooms/{room}/kick", post(kick))
        .route("/rooms/{room}/event/{event}", get(event))
        .route("/rooms/{room}/send/{kind}/{key}", put(send))
        .route("/rooms/{room}/state/{kind}", get(state).put(set_state))
        .route("/rooms/{room}/state/{kind}/{key}", get(keyed_state));
    let admin = Router::new()
        .route("/v1/threepid/email/users/{address}", get(by_email))
        .route("/v2/users/{user}", get(account));
    Router::new()
        .nest("/_matrix/client/v3", client)
        .nest("/_synapse/admin", admin)
        .route("/_matrix/client/v1/appservice/{service}/ping", post(ping))
}

/// Notes a call, and checks who makes it.
fn enter(
    homeserver: &Homeserver,
    headers: &HeaderMap,
    call: String,
    admin: bool,
) -> Result<String, Denied> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .map(str::to_owned);
    homeserver.change(|world| {
        world.calls.push(call);
        if world.failing > 0 {
            world.failing -= 1;
            return Err(FAILING);
        }
        let expected = if admin {
            &world.setup.admin_token
        } else {
            &world.setup.service_token
        };
        if given.as_ref() == Some(expected) {
            Ok(world.bot())
        } else {
            Err(NO_TOKEN)
        }
    })
}

async fn whoami(Shared(server): Shared<Homeserver>, headers: HeaderMap) -> Answered {
    let bot = enter(&server, &headers, "whoami".to_owned(), false)?;
    Ok(Json(json!({ "user_id": bot })))
}

async fn device(
    Shared(server): Shared<Homeserver>,
    Path(device): Path<String>,
    headers: HeaderMap,
) -> Answered {
    enter(&server, &headers, "device".to_owned(), false)?;
    Ok(Json(json!({ "device_id": device })))
}

async fn registered(Shared(server): Shared<Homeserver>, headers: HeaderMap) -> Answered {
    let bot = enter(&server, &headers, "register".to_owned(), false)?;
    Ok(Json(json!({ "user_id": bot })))
}

async fn ping(Shared(server): Shared<Homeserver>, headers: HeaderMap) -> Answered {
    enter(&server, &headers, "ping".to_owned(), false)?;
    Ok(Json(json!({ "duration_ms": 1 })))
}

#[derive(Deserialize)]
struct StateEvent {
    #[serde(rename = "type")]
    kind: String,
    content: Value,
}

#[derive(Deserialize)]
struct CreateRoom {
    #[serde(default)]
    name: String,
    room_alias_name: Option<String>,
    #[serde(default)]
    is_direct: bool,
    #[serde(default)]
    invite: Vec<String>,
    #[serde(default)]
    power_level_content_override: Value,
    #[serde(default)]
    initial_state: Vec<StateEvent>,
}

async fn create_room(
    Shared(server): Shared<Homeserver>,
    headers: HeaderMap,
    Json(new): Json<CreateRoom>,
) -> Answered {
    let bot = enter(&server, &headers, "createRoom".to_owned(), false)?;
    let new = NewRoom {
        alias: new.room_alias_name,
        name: new.name,
        direct: new.is_direct,
        invite: new.invite,
        levels: new.power_level_content_override,
        state: new
            .initial_state
            .into_iter()
            .map(|event| (event.kind, event.content))
            .collect(),
    };
    let room = server.change(|world| world.make(&bot, new))?;
    Ok(Json(json!({ "room_id": room })))
}

async fn alias(
    Shared(server): Shared<Homeserver>,
    Path(alias): Path<String>,
    headers: HeaderMap,
) -> Answered {
    enter(&server, &headers, "alias".to_owned(), false)?;
    let local = alias.trim_start_matches('#');
    let local = local.split_once(':').map_or(local, |(local, _)| local);
    server.read(|world| {
        let room = world.room_of_alias(local).ok_or(NOT_FOUND)?;
        Ok(Json(
            json!({ "room_id": room.id, "servers": [world.setup.name] }),
        ))
    })
}

async fn profile(
    Shared(server): Shared<Homeserver>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Answered {
    enter(&server, &headers, "profile".to_owned(), false)?;
    server.read(|world| {
        let account = world.accounts.get(&user).ok_or(NOT_FOUND)?;
        Ok(Json(json!({ "displayname": account.display })))
    })
}

async fn join(
    Shared(server): Shared<Homeserver>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Answered {
    let bot = enter(&server, &headers, "join".to_owned(), false)?;
    server.change(|world| world.join(&room, &bot))?;
    Ok(Json(json!({ "room_id": room })))
}

async fn members(
    Shared(server): Shared<Homeserver>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Answered {
    let bot = enter(&server, &headers, "members".to_owned(), false)?;
    server.read(|world| {
        let room = world.room(&room).ok_or(FORBIDDEN)?;
        room.must_be_in(&bot)?;
        let left = |event: &&Value| {
            event
                .get("content")
                .and_then(|content| content.get("membership"))
                .and_then(Value::as_str)
                == Some("leave")
        };
        let chunk: Vec<&Value> = room
            .state_events("m.room.member")
            .filter(|event| !left(event))
            .collect();
        Ok(Json(json!({ "chunk": chunk })))
    })
}

#[derive(Deserialize)]
struct Target {
    user_id: String,
}

async fn invite(
    Shared(server): Shared<Homeserver>,
    Path(room): Path<String>,
    headers: HeaderMap,
    Json(target): Json<Target>,
) -> Answered {
    let call = format!("invite {}", target.user_id);
    let bot = enter(&server, &headers, call, false)?;
    server.change(|world| world.invite(&room, &bot, &target.user_id))?;
    Ok(Json(json!({})))
}

async fn kick(
    Shared(server): Shared<Homeserver>,
    Path(room): Path<String>,
    headers: HeaderMap,
    Json(target): Json<Target>,
) -> Answered {
    let call = format!("kick {}", target.user_id);
    let bot = enter(&server, &headers, call, false)?;
    server.change(|world| world.remove(&room, &bot, &target.user_id))?;
    Ok(Json(json!({})))
}

async fn event(
    Shared(server): Shared<Homeserver>,
    Path((room, event)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answered {
    enter(&server, &headers, "event".to_owned(), false)?;
    server.read(|world| {
        let room = world.room(&room).ok_or(FORBIDDEN)?;
        Ok(Json(room.event(&event)?.clone()))
    })
}

#[derive(Deserialize)]
struct Sender {
    user_id: Option<String>,
}

async fn send(
    Shared(server): Shared<Homeserver>,
    Path((room, kind, key)): Path<(String, String, String)>,
    Query(sender): Query<Sender>,
    headers: HeaderMap,
    Json(content): Json<Value>,
) -> Answered {
    let bot = enter(&server, &headers, "send".to_owned(), false)?;
    let sender = sender.user_id.unwrap_or(bot);
    let id = server.change(|world| {
        let sent = world.room(&room).and_then(|room| room.sent.get(&key));
        if let Some(id) = sent {
            return Ok(id.clone());
        }
        let id = world.send(&room, &sender, &kind, &content)?;
        if let Some(room) = world.rooms.get_mut(&room) {
            room.sent.insert(key, id.clone());
        }
        Ok(id)
    })?;
    Ok(Json(json!({ "event_id": id })))
}

async fn state(
    server: Shared<Homeserver>,
    Path((room, kind)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answered {
    keyed_state(server, Path((room, kind, String::new())), headers).await
}

async fn keyed_state(
    Shared(server): Shared<Homeserver>,
    Path((room, kind, key)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answered {
    let bot = enter(&server, &headers, "state".to_owned(), false)?;
    server.read(|world| {
        let room = world.room(&room).ok_or(FORBIDDEN)?;
        room.must_be_in(&bot)?;
        let content = room.content(&kind, &key).ok_or(NOT_FOUND)?;
        Ok(Json(content.clone()))
    })
}

async fn set_state(
    Shared(server): Shared<Homeserver>,
    Path((room, kind)): Path<(String, String)>,
    headers: HeaderMap,
    Json(content): Json<Value>,
) -> Answered {
    let bot = enter(&server, &headers, format!("set {kind}"), false)?;
    let id = server.change(|world| {
        world.within(&room, |room| {
            room.must_be_in(&bot)?;
            Ok(room.append((&bot, &kind), Some(""), &content))
        })
    })?;
    Ok(Json(json!({ "event_id": id })))
}

async fn by_email(
    Shared(server): Shared<Homeserver>,
    Path(address): Path<String>,
    headers: HeaderMap,
) -> Answered {
    enter(&server, &headers, "by email".to_owned(), true)?;
    server.read(|world| {
        let mut accounts = world.accounts.iter();
        let found = accounts.find(|(_, account)| account.email.as_ref() == Some(&address));
        let (user, _) = found.ok_or(NOT_FOUND)?;
        Ok(Json(json!({ "user_id": user })))
    })
}

async fn account(
    Shared(server): Shared<Homeserver>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Answered {
    enter(&server, &headers, "account".to_owned(), true)?;
    server.read(|world| {
        let account = world.accounts.get(&user).ok_or(NOT_FOUND)?;
        let threepids: Vec<Value> = account
            .email
            .iter()
            .map(|email| json!({ "medium": "email", "address": email }))
            .collect();
        Ok(Json(json!({
            "name": user,
            "deactivated": account.deactivated,
            "is_guest": false,
            "threepids": threepids,
        })))
    })
}
