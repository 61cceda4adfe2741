//! Serves HTTP/1.1 with the timers that `axum::serve` does not set.
//!
//! A head must arrive within [`HEAD_TIMEOUT`], or the connection is cut; bodies have their own limit where they are read. The number of
//! connections is capped: further ones wait in the listener's backlog. An idle connection is cut after the same time as a slow head, since
//! hyper measures both alike.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use http::Request;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// Longest that the head of a request may take.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest that open requests may take to end once the service stops.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, for instance for want of file descriptors.
const REFUSED: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `stop`, telling it who is at the other end of each connection, then waits for open requests to end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(max_connections));
    let connections = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let stream = tokio::select! {
            // Whoever comes later is for the next listener on the socket, if there is one.
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match stream {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(REFUSED).await;
                continue;
            }
        };
        // Answers are small and whole: waiting to fill a segment only delays them.
        let _ = stream.set_nodelay(true);
        let service = router.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        });
        let service = TowerToHyperService::new(service);
        let stop = stop.clone();
        connections.spawn(async move {
            let _place = place;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => log(ended),
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    log(connection.await);
                }
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(open = connections.len(), "requests were cut off at the end");
    }
}

/// Clients that go away or send nonsense are their own business, but may be of interest.
fn log(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
