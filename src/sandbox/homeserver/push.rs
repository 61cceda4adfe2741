//! Telling the application service what happened: in order, each transaction again until it is taken.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::json;

use super::Homeserver;
use crate::egress::{Call, Egress, Limits};

/// Events of one transaction; Synapse's own limit.
const EVENTS: usize = 100;
/// Time before a transaction that was not taken is sent again. Synapse begins with two seconds and doubles.
const AGAIN: Duration = Duration::from_millis(200);

/// Tells what happens until the homeserver stops.
pub(super) async fn push(homeserver: Homeserver) {
    let (service, token) = homeserver.read(|world| {
        let setup = &world.setup;
        (setup.service.clone(), setup.homeserver_token.clone())
    });
    let Ok(egress) = Egress::new([&service], Limits::default()) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let mut changes = homeserver.shared.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let waiting = homeserver.read(|world| {
            let events: Vec<_> = world.outgoing.iter().take(EVENTS).cloned().collect();
            (!events.is_empty()).then_some((events, world.transactions + 1))
        });
        let Some((events, number)) = waiting else {
            tokio::select! {
                () = homeserver.shared.stopping.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            continue;
        };
        let path = format!("_matrix/app/v1/transactions/{number}");
        let Ok(url) = service.join(&path) else {
            return;
        };
        let mut call = Call::new(Method::PUT, url);
        call.headers = headers.clone();
        call.body = Bytes::from(json!({ "events": events }).to_string());
        let taken = egress
            .send(call)
            .await
            .is_ok_and(|answer| answer.status.is_success());
        if taken {
            let count = events.len();
            homeserver.change(|world| {
                world.transactions = number;
                // Fewer, where a test lost some meanwhile.
                let count = count.min(world.outgoing.len());
                world.outgoing.drain(..count);
            });
            continue;
        }
        tokio::select! {
            () = homeserver.shared.stopping.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
