//! The thread that PostgreSQL lives by: it starts it, says when it is ready, restarts it when it
//! dies, and stops it.
//!
//! A plain thread and no task, because PostgreSQL is interrupted when the *thread* that spawned it
//! ends, and the threads of a runtime come and go.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::keeper::{Event, Keeper, Mailbox};
use super::lock::Lock;
use super::place::Place;
use super::server::Setup;
use super::{ClusterError, Durability, Options};

/// The handle of the thread; dropping it stops the server and waits for that.
#[derive(Debug)]
pub(super) struct Supervisor {
    events: Sender<Event>,
    ended: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts the cluster in `data_dir`, which `lock` holds, and returns when it takes connections.
    pub(super) async fn start(
        options: Options,
        data_dir: PathBuf,
        lock: Lock,
    ) -> Result<(Place, Self), ClusterError> {
        let (events, inbox) = mpsc::channel();
        let (tell_ready, ready) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel::<()>();
        let outbox = events.clone();
        let body = move || {
            run(
                &options,
                &data_dir,
                lock,
                Mailbox { inbox, outbox },
                tell_ready,
            );
            drop(tell_ended);
        };
        let thread = thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(body)
            .map_err(ClusterError::io(
                "start a thread for",
                Path::new("PostgreSQL"),
            ))?;
        let place = ready.await.map_err(|_| ClusterError::SupervisorEnded)??;
        Ok((
            place,
            Self {
                events,
                ended,
                thread: Some(thread),
            },
        ))
    }

    /// Stops the server and returns when it has ended.
    pub(super) async fn stop(mut self) {
        // Neither can fail but by the thread's having ended, which is what is wanted.
        let _ = self.events.send(Event::Stop);
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The body of the thread.
fn run(
    options: &Options,
    data_dir: &Path,
    lock: Lock,
    mailbox: Mailbox,
    ready: oneshot::Sender<Result<Place, ClusterError>>,
) {
    let started = Setup::prepare(options, data_dir).and_then(|setup| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClusterError::io(
                "start a runtime for",
                Path::new("PostgreSQL"),
            ))?;
        let keeper = Keeper {
            setup,
            runtime,
            mailbox,
        };
        let server = keeper.first_start()?;
        Ok((keeper, server))
    });
    let outcome = match started {
        Ok((keeper, Some(server))) => {
            // Nobody waits any more: the start was given up.
            if ready.send(Ok(keeper.setup.place.clone())).is_err() {
                keeper.shut_down(server);
            } else {
                keeper.keep(server);
            }
            // It goes empty; PostgreSQL removes its socket.
            let _ = fs::remove_dir(&keeper.setup.place.socket_folder);
            remove_if_throw_away(options, &[&keeper.setup.place.folder, data_dir]);
            return;
        }
        Ok((_, None)) => Err(ClusterError::SupervisorEnded),
        Err(error) => Err(error),
    };
    remove_if_throw_away(options, &[data_dir]);
    // Before the news, so that who hears it can try again at once.
    drop(lock);
    let _ = ready.send(outcome);
}

fn remove_if_throw_away(options: &Options, folders: &[&Path]) {
    if options.durability == Durability::ThrowAway {
        for folder in folders.iter().filter(|folder| folder.exists()) {
            if let Err(error) = fs::remove_dir_all(folder) {
                tracing::warn!("could not remove {}: {error}", folder.display());
            }
        }
    }
}
