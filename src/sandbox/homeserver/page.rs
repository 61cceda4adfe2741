//! The page for people: a chat, who is in it, a form to write as somebody, and buttons to add and remove people; live.
//!
//! It is for a demo on one's own machine: whoever can open it may act as anyone.

use std::convert::Infallible;

use axum::{
    Json, Router,
    extract::{Query, State as Shared},
    middleware,
    response::{
        Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;

use super::{Homeserver, Membership, Room, World, refusal};
use crate::sandbox::page::{asset, guard, icon, markdown, style};

/// Most messages and rooms that the page shows.
const SHOWN: usize = 200;

pub(super) fn router() -> Router<Homeserver> {
    Router::new()
        .route("/", get(document))
        .route("/sandbox/page.css", get(style))
        .route("/sandbox/chat.js", get(script))
        .route("/sandbox/markdown.js", get(markdown))
        .route("/sandbox/icon.svg", get(icon))
        .route("/sandbox/state", get(state))
        .route("/sandbox/say", post(say))
        .route("/sandbox/add", post(add))
        .route("/sandbox/remove", post(remove))
        .route("/sandbox/direct", post(direct))
        .route("/sandbox/events", get(events))
        .layer(middleware::from_fn(guard))
}

async fn document() -> Response {
    asset("text/html; charset=utf-8", include_str!("page/chat.html"))
}

async fn script() -> Response {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("page/chat.js"),
    )
}

#[derive(Deserialize)]
struct View {
    /// Person through whose eyes the page looks.
    r#as: Option<String>,
    /// Room that is shown.
    room: Option<String>,
}

async fn state(Shared(server): Shared<Homeserver>, Query(view): Query<View>) -> Json<Value> {
    server.read(|world| Json(describe(world, &view)))
}

fn describe(world: &World, view: &View) -> Value {
    let bot = world.bot();
    let people = || world.accounts.iter().filter(|(id, _)| **id != bot);
    let viewer = view
        .r#as
        .as_deref()
        .filter(|id| world.accounts.contains_key(*id))
        .or_else(|| people().next().map(|(id, _)| id.as_str()));
    let is_his = |room: &Room| {
        let there = viewer.and_then(|viewer| room.membership(viewer));
        !room.direct || there.is_some_and(|there| there != Membership::Left)
    };
    let rooms: Vec<&Room> = world
        .order
        .iter()
        .rev()
        .filter_map(|id| world.room(id))
        .filter(|room| is_his(room))
        .take(SHOWN)
        .collect();
    let shown = rooms
        .iter()
        .find(|room| view.room.as_ref() == Some(&room.id))
        .or(rooms.first());
    json!({
        "viewer": viewer,
        "bot": world.setup.bot,
        "people": people().map(|(id, account)| json!({ "id": id, "name": account.display })).collect::<Vec<_>>(),
        "rooms": rooms.iter().map(|room| json!({ "id": room.id, "name": title(room) })).collect::<Vec<_>>(),
        "room": shown.zip(viewer).map(|(room, viewer)| whole(world, room, viewer)),
    })
}

fn title(room: &Room) -> &str {
    match room.name() {
        "" => "Talk with the bot",
        name => name,
    }
}

fn whole(world: &World, room: &Room, viewer: &str) -> Value {
    let bot = world.bot();
    let name = |id: &str| {
        let account = world.accounts.get(id);
        account.map_or_else(|| id.to_owned(), |account| account.display.clone())
    };
    let is_in = room.membership(viewer) == Some(Membership::Joined);
    let members: Vec<Value> = room
        .members()
        .into_iter()
        .map(|(id, membership)| {
            json!({
                "id": id,
                "name": name(id),
                "bot": id == bot,
                "leads": id != bot && room.leaders(&bot).contains(&id),
                "invited": membership == Membership::Invited,
                "removable": room.may_remove(viewer, id).is_ok() && id != bot,
            })
        })
        .collect();
    let events: Vec<Value> = room
        .events
        .iter()
        .rev()
        .filter_map(|event| shown(event, &name))
        .take(SHOWN)
        .collect();
    json!({
        "id": room.id,
        "name": title(room),
        "in": is_in,
        "writable": room.may_write(viewer).is_ok(),
        "inviting": room.may_invite(viewer).is_ok(),
        "members": members,
        "events": if is_in { events.into_iter().rev().collect() } else { Vec::new() },
    })
}

/// Returns what the page shows of an event: messages, and who came and went.
fn shown(event: &Value, name: &impl Fn(&str) -> String) -> Option<Value> {
    let sender = event.get("sender")?.as_str()?;
    let content = event.get("content")?;
    let at = event.get("origin_server_ts");
    match event.get("type")?.as_str()? {
        "m.room.message" => Some(json!({
            "id": event.get("event_id"),
            "by": name(sender),
            "text": content.get("body")?,
            "answers": content.get("m.relates_to").is_some(),
            "at": at,
        })),
        "m.room.member" => {
            let who = event.get("state_key")?.as_str()?;
            let what = match (content.get("membership")?.as_str()?, who == sender) {
                ("join", _) => format!("{} joined", name(who)),
                ("invite", _) => format!("{} invited {}", name(sender), name(who)),
                (_, true) => format!("{} left", name(who)),
                (_, false) => format!("{} removed {}", name(sender), name(who)),
            };
            Some(json!({ "notice": what, "at": at }))
        }
        "m.room.name" => {
            let title = content.get("name")?.as_str()?;
            Some(json!({ "notice": format!("{} named the room {title}", name(sender)), "at": at }))
        }
        _ => None,
    }
}

#[derive(Deserialize)]
struct Deed {
    /// Who does it.
    r#as: String,
    #[serde(default)]
    room: String,
    #[serde(default)]
    who: String,
    #[serde(default)]
    text: String,
}

fn answered<T>(done: Result<T, super::Denied>) -> Json<Value> {
    Json(done.map_or_else(refusal, |_| json!({})))
}

async fn say(Shared(server): Shared<Homeserver>, Json(deed): Json<Deed>) -> Json<Value> {
    answered(server.say(&deed.r#as, &deed.room, &deed.text))
}

async fn add(Shared(server): Shared<Homeserver>, Json(deed): Json<Deed>) -> Json<Value> {
    answered(server.invite(&deed.r#as, &deed.room, &deed.who))
}

async fn remove(Shared(server): Shared<Homeserver>, Json(deed): Json<Deed>) -> Json<Value> {
    answered(server.remove(&deed.r#as, &deed.room, &deed.who))
}

async fn direct(Shared(server): Shared<Homeserver>, Json(deed): Json<Deed>) -> Json<Value> {
    let room = server.write_to_bot(&deed.r#as, "Hello");
    Json(room.map_or_else(refusal, |room| json!({ "room": room })))
}

async fn events(
    Shared(server): Shared<Homeserver>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = WatchStream::new(server.shared.changes.subscribe());
    let stop = server.shared.stopping.clone();
    let events = changes
        .map(|count| Ok(Event::default().data(count.to_string())))
        .take_until(async move { stop.cancelled().await });
    Sse::new(events).keep_alive(KeepAlive::default())
}
