//! `liaison serve`.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{clock, sealing_key};
use crate::{
    app::{Database, Parts, Role, Service},
    config::Config,
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen, instead of server.listen.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// What this process does, to split the service over machines that share one Postgres.
    #[arg(long, value_delimiter = ',', default_values_t = [Role::Receive, Role::Process, Role::Deliver, Role::Web], value_enum)]
    roles: Vec<Role>,
}

impl ServeArgs {
    /// Returns the keys that flags set.
    pub(super) fn flags(&self) -> Vec<(&'static str, String)> {
        self.listen
            .map(|listen| ("server.listen", listen.to_string()))
            .into_iter()
            .collect()
    }
}

/// Runs the service until it is told to stop.
pub(super) async fn serve(config: &Config, args: ServeArgs) -> anyhow::Result<()> {
    let listener = bind("server.listen", config.server.listen).await?;
    let admin = match config.server.admin_listen {
        Some(address) => Some((
            bind("server.admin_listen", address).await?,
            telemetry::recorder()?,
        )),
        None => None,
    };
    let key = Arc::new(sealing_key(config)?);
    let database = Database::serve(&config.database).await?;
    if config.database.migrate {
        database.migrate().await?;
    }
    database.take_over().await?;
    let parts = Parts {
        pool: database.pool.clone(),
        key,
        clock: clock(),
        listener,
        admin,
        roles: args.roles,
        demo: false,
    };
    let service = Service::start(config, parts).await?;
    let mut signals = StopSignals::listen()?;
    if config.group.is_empty() {
        // A forgotten file looks like lost data otherwise.
        tracing::warn!(
            "no group is declared: is this the configuration that was meant? --config or LIAISON_CONFIG names its file"
        );
    }
    tracing::info!(address = %service.address, public_url = %config.server.public_url, "liaison serves");
    signals.wait().await;
    tracing::info!("liaison stops");
    service.stop().await;
    database.close().await;
    Ok(())
}

/// Binds a listening socket.
pub(super) async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{key} = \"{address}\" cannot be listened on: is something else there?")
    })
}

/// Ctrl-C, and the signal with which services are stopped; from [`Self::listen`] on they no longer end the program by themselves.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them, or returns at once where one came already.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
