//! Subscriptions over a WebSocket, in the protocol graphql-transport-ws.
//!
//! Whoever gave no token with the request gives one in `connection_init`; without either the socket is closed (4403). What a peer may
//! keep busy is bounded: the time until it says who it is, the operations under way, the size of a message, the time that a message
//! may take to be sent, and the time that may pass without a sign of life.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_graphql::{
    Data, Error,
    http::{WebSocket, WebSocketProtocols, WsMessage},
};
use axum::{
    extract::ws::{CloseFrame, Message, WebSocketUpgrade},
    response::Response,
};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt, stream::BoxStream};
use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, MissedTickBehavior},
};

use super::{
    Api,
    graphql::{Endpoint, Viewer},
    reply::Denied,
};
use crate::auth::Credential;

const PROTOCOL: &str = "graphql-transport-ws";
/// Largest message, in bytes.
const MAX_MESSAGE: usize = 1 << 20;
/// Operations that one socket may have under way.
const MAX_OPERATIONS: usize = 50;
/// Longest that a peer may take to say who it is.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that a message may take to be sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a peer is asked whether it is there; it has as long to answer.
const PING: Duration = Duration::from_secs(30);
/// What somebody without a valid token is told before the socket is closed.
const FORBIDDEN: &str = "Forbidden";

/// What a socket works with.
pub(super) struct Session {
    pub(super) api: Api,
    pub(super) endpoint: Endpoint,
    /// Who sent the request.
    pub(super) viewer: Viewer,
}

/// Accepts an upgrade if the peer speaks the protocol. The place is held as long as the socket is open.
pub(super) fn upgrade(
    upgrade: WebSocketUpgrade,
    session: Session,
    place: OwnedSemaphorePermit,
) -> Result<Response, Denied> {
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE);
    if upgrade.selected_protocol().is_none() {
        return Err(Denied::UnknownProtocol);
    }
    // The service waits for the socket's end like for that of a request.
    let held = (session.api.tasks.token(), place);
    Ok(upgrade.on_upgrade(async move |socket| {
        let (sink, stream) = socket.split();
        serve(session, sink, stream).await;
        drop(held);
    }))
}

/// Signs that the two directions of a socket give each other.
#[derive(Default)]
struct Signs {
    /// The peer said who it is.
    ready: AtomicBool,
    /// Something came since the last ping.
    alive: AtomicBool,
}

async fn serve(
    session: Session,
    mut sink: impl Sink<Message> + Unpin,
    stream: impl Stream<Item = Result<Message, axum::Error>> + Send + Unpin + 'static,
) {
    let signs = Arc::new(Signs::default());
    let stop = session.api.stop.clone();
    let mut outgoing = protocol(
        &session,
        incoming(stream, Arc::clone(&signs)),
        Arc::clone(&signs),
    );
    let deadline = Instant::now() + INIT_TIMEOUT;
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => close(1001, "Going away"),
            () = tokio::time::sleep_until(deadline), if !signs.ready.load(Ordering::Relaxed) => {
                close(4408, "Connection initialisation timeout")
            }
            _ = ping.tick() => {
                if !signs.alive.swap(false, Ordering::Relaxed) {
                    return;
                }
                Message::Ping(Bytes::new())
            }
            message = outgoing.next() => match message {
                None => return,
                Some(WsMessage::Text(text)) => Message::Text(text.into()),
                Some(WsMessage::Close(_, reason)) if reason == FORBIDDEN => close(4403, FORBIDDEN),
                Some(WsMessage::Close(code, reason)) => close(code, &reason),
            },
        };
        let is_last = matches!(message, Message::Close(_));
        let sent = tokio::time::timeout(SEND_TIMEOUT, sink.send(message)).await;
        if is_last || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Returns the texts that a peer sends until it closes; every sign of life is noted.
fn incoming(
    stream: impl Stream<Item = Result<Message, axum::Error>> + Send + 'static,
    signs: Arc<Signs>,
) -> impl Stream<Item = Bytes> + Send {
    stream
        .take_while(|message| {
            std::future::ready(
                matches!(message, Ok(message) if !matches!(message, Message::Close(_))),
            )
        })
        .filter_map(move |message| {
            signs.alive.store(true, Ordering::Relaxed);
            std::future::ready(match message {
                Ok(Message::Text(text)) => Some(text.into()),
                Ok(Message::Binary(bytes)) => Some(bytes),
                _ => None,
            })
        })
}

/// Returns what is sent back for what comes in.
fn protocol(
    session: &Session,
    incoming: impl Stream<Item = Bytes> + Send + 'static,
    signs: Arc<Signs>,
) -> BoxStream<'static, WsMessage> {
    let (api, viewer) = (session.api.clone(), session.viewer.clone());
    let executor = session
        .endpoint
        .for_socket(Arc::new(Semaphore::new(MAX_OPERATIONS)));
    let named = executor.clone();
    WebSocket::new(executor, incoming, WebSocketProtocols::GraphQLWS)
        .on_connection_init(async move |payload| {
            let viewer = match token(&payload) {
                Some(token) => {
                    let credential = Credential::from_token(token);
                    let bearer = api
                        .bearer(credential)
                        .await
                        .map_err(|_| Error::new(FORBIDDEN))?;
                    Viewer::Somebody(bearer, credential)
                }
                None => viewer,
            };
            if viewer.bearer().is_none() {
                return Err(Error::new(FORBIDDEN));
            }
            named.begin(viewer);
            signs.ready.store(true, Ordering::Relaxed);
            Ok(Data::default())
        })
        .boxed()
}

/// Returns the token in the payload of `connection_init`, wherever clients put it: `{"Authorization": "Bearer …"}`,
/// `{"PRIVATE-TOKEN": "…"}`, `{"token": "…"}`, or one of these below `headers`.
fn token(payload: &Value) -> Option<&str> {
    let fields = payload.as_object()?;
    let named = |wanted: &str| {
        let mut found = fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value)
    };
    if let Some(text) = named("authorization").and_then(Value::as_str) {
        let scheme = text.split_at_checked("Bearer ".len());
        let token = scheme.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer "));
        return Some(token.map_or(text, |(_, token)| token).trim());
    }
    let plain = named("private-token")
        .or_else(|| named("token"))
        .and_then(Value::as_str);
    plain.map(str::trim).or_else(|| token(named("headers")?))
}

fn close(code: u16, reason: &str) -> Message {
    // A frame of control has 123 bytes for the reason (RFC 6455, 5.5).
    let end = (0..=reason.len().min(123))
        .rev()
        .find(|&end| reason.is_char_boundary(end))
        .unwrap_or_default();
    let reason = reason.get(..end).unwrap_or_default();
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_the_token_where_clients_put_it() {
        for (payload, expected) in [
            (json!({ "Authorization": "Bearer lia_a" }), Some("lia_a")),
            (json!({ "authorization": "bearer lia_a " }), Some("lia_a")),
            (json!({ "authorization": "lia_a" }), Some("lia_a")),
            (json!({ "PRIVATE-TOKEN": "lia_a" }), Some("lia_a")),
            (json!({ "token": "lia_a" }), Some("lia_a")),
            (
                json!({ "headers": { "Authorization": "Bearer lia_a" } }),
                Some("lia_a"),
            ),
            (json!({ "token": 7 }), None),
            (json!({}), None),
            (json!(null), None),
            (json!([]), None),
        ] {
            assert_eq!(token(&payload), expected, "{payload}");
        }
    }

    #[test]
    fn reasons_fit_into_their_frame() {
        let Message::Close(Some(frame)) = close(1002, &"ü".repeat(100)) else {
            panic!("no close");
        };
        assert_eq!(frame.reason.len(), 122);
    }
}
