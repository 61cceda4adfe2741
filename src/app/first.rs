//! Serves the first set-up in the place of the service, on the same socket.

use std::{net::SocketAddr, sync::Arc};

use secrecy::ExposeSecret;
use sqlx::PgPool;
use tokio::net::TcpListener;
use url::{Host, Url};

use super::Health;
use crate::{config::Config, server, setup::FirstSetUp, web};

/// Serves the set-up until it is done. Who comes next waits in the socket's backlog for the service, which `listener` is kept for.
///
/// # Errors
/// Fails when the socket cannot be shared.
pub async fn set_up(
    setup: Arc<FirstSetUp>,
    config: &Config,
    pool: PgPool,
    listener: TcpListener,
) -> std::io::Result<TcpListener> {
    let listener = listener.into_std()?;
    let shared = TcpListener::from_std(listener.try_clone()?)?;
    let public_url = &config.server.public_url;
    let done = setup.done().clone();
    let pages = web::setup(setup, public_url, is_local(public_url));
    let routes = Health { pool }.router().merge(pages);
    server::serve(shared, routes, config.server.max_connections, done).await;
    TcpListener::from_std(listener)
}

/// Returns where whoever sets Liaison up begins. An address of this very machine may be the default, which says nothing of the port.
pub fn set_up_at(setup: &FirstSetUp, config: &Config, listens: SocketAddr) -> Url {
    let mut url = config.server.public_url.clone();
    if is_local(&url) {
        // Neither fails for an address that HTTP is served at.
        let _ = url.set_port(Some(listens.port()));
        if !listens.ip().is_unspecified() {
            let _ = url.set_ip_host(listens.ip());
        }
    }
    url.set_path("/-/setup");
    url.query_pairs_mut()
        .append_pair("code", setup.code().expose_secret());
    url
}

/// Returns whether an address is reached from this machine only, so that GitLab is usually not told it.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
