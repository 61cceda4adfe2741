//! `liaison serve`.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{clock, print, sealing_key};
use crate::{
    app::{Database, Parts, Role, Service, sessions, set_up, set_up_at},
    config::{Config, FirstFile, Overrides},
    crypto::SealingKey,
    setup::FirstSetUp,
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

/// Runs the service until it is told to stop. Whoever starts from nothing sets it up first.
pub(super) async fn serve(
    mut config: Config,
    overrides: Overrides,
    args: ServeArgs,
) -> anyhow::Result<()> {
    let mut listener = bind("server.listen", config.server.listen).await?;
    let admin = match config.server.admin_listen {
        Some(address) => Some((
            bind("server.admin_listen", address).await?,
            telemetry::recorder()?,
        )),
        None => None,
    };
    let key = Arc::new(sealing_key(&config)?);
    let database = Database::serve(&config.database).await?;
    if config.database.migrate {
        database.migrate().await?;
    }
    database.take_over().await?;
    let mut signals = StopSignals::listen()?;
    if args.roles.contains(&Role::Web) && FirstSetUp::is_needed(&config, &database.pool).await? {
        let given = (&config, overrides);
        let setting_up = first(given, &key, &database, listener);
        let done = tokio::select! {
            done = setting_up => Some(done?),
            () = signals.wait() => None,
        };
        let Some(done) = done else {
            database.close().await;
            return Ok(());
        };
        (config, listener) = done;
    }
    let parts = Parts {
        pool: database.pool.clone(),
        key,
        clock: clock(),
        listener,
        admin,
        roles: args.roles,
        demo: false,
    };
    let service = Service::start(&config, parts).await?;
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

/// Has Liaison set up on a page; returns the configuration that was written, and the socket.
async fn first(
    (config, overrides): (&Config, Overrides),
    key: &Arc<SealingKey>,
    database: &Database,
    listener: TcpListener,
) -> anyhow::Result<(Config, TcpListener)> {
    let file = FirstFile::prepare(overrides).context(
        "nothing is set up yet, and the set-up page could write no configuration: write one, as the README says, or make its folder writable",
    )?;
    let pool = database.pool.clone();
    let sessions = sessions(config, pool.clone(), clock());
    let place = file.path().display().to_string();
    let setup = Arc::new(FirstSetUp::new(file, sessions, Arc::clone(key)));
    let url = set_up_at(&setup, config, listener.local_addr()?);
    print::line(&format!(
        "Nothing is set up yet. To do it in a browser, open\n\n    {url}\n\nor write {place}, as the README says, and start again."
    ));
    let listener = set_up(Arc::clone(&setup), config, pool, listener).await?;
    let config = setup.config().await.context("the set-up broke off")?;
    Ok((config, listener))
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
