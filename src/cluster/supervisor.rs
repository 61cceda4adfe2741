//! The thread that PostgreSQL lives by: it starts it, says when it is ready, restarts it when it
//! dies, and stops it.
//!
//! A plain thread and no task, because PostgreSQL is interrupted when the *thread* that spawned it
//! ends, and the threads of a runtime come and go.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::lock::Lock;
use super::place::Place;
use super::probe::{self, Answer};
use super::server::{Server, Setup};
use super::{ClusterError, Durability, Options, leftover};

/// The pause between two questions whether the server is ready: short at first, then, while it
/// recovers, sparing.
const POLL: Duration = Duration::from_millis(7);
const SLOW_POLL: Duration = Duration::from_millis(100);
const POLLED_FAST: Duration = Duration::from_secs(3);
/// How long a first start waits for an earlier server that still shuts down.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(30);
/// The pause before a restart: the first, the longest, and how long a server must have run for the
/// pause to be the first again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const STEADY: Duration = Duration::from_secs(30);
/// PostgreSQL's fast shutdown, then its immediate one, each with the time it gets; then there is no
/// asking.
const STOP_SIGNALS: [(Signal, Duration); 2] = [
    (Signal::INT, Duration::from_secs(10)),
    (Signal::QUIT, Duration::from_secs(10)),
];

/// What the thread waits for.
#[derive(Debug)]
enum Event {
    /// The server process has ended and waits to be reaped.
    Ended,
    /// The handle wants the server stopped.
    Stop,
}

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

/// The thread's own end of its channel, and the one it gives to those who watch a process.
#[derive(Debug)]
struct Mailbox {
    inbox: Receiver<Event>,
    outbox: Sender<Event>,
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

/// How an attempt to start the server went.
enum Attempt {
    Ready(Server),
    /// It ended before it was ready.
    Ended {
        status: ExitStatus,
        lines: String,
    },
    /// It was to be stopped meanwhile, and has been.
    Stopped,
}

struct Keeper {
    setup: Setup,
    runtime: Runtime,
    mailbox: Mailbox,
}

impl Keeper {
    /// Starts the server, waiting for an earlier one to go; `None` when it was to be stopped
    /// meanwhile.
    fn first_start(&self) -> Result<Option<Server>, ClusterError> {
        let begun = Instant::now();
        loop {
            match self.attempt()? {
                Attempt::Ready(server) => return Ok(Some(server)),
                Attempt::Stopped => return Ok(None),
                Attempt::Ended { lines, .. }
                    if leftover::still_held(&lines) && begun.elapsed() < PREDECESSOR_PATIENCE =>
                {
                    tracing::info!(
                        "an earlier PostgreSQL still holds {}; waiting",
                        self.setup.place.folder.display()
                    );
                    self.setup.release_leftovers();
                    thread::sleep(FIRST_PAUSE);
                }
                Attempt::Ended { status, lines } => {
                    return Err(ClusterError::Ended {
                        log: self.setup.place.log(),
                        status,
                        lines,
                    });
                }
            }
        }
    }

    /// Spawns the server once and waits until it takes connections.
    ///
    /// There is no limit while it lives: it may be replaying what a crash left, and stopping it
    /// would only begin that anew.
    fn attempt(&self) -> Result<Attempt, ClusterError> {
        let mut server = self.setup.spawn()?;
        if let Err(error) = self.watch(&server) {
            // Without the event its end would go unnoticed.
            let _ = server.child.kill();
            self.reap(&mut server)?;
            return Err(error);
        }
        let begun = Instant::now();
        let socket_folder = &self.setup.place.socket_folder;
        loop {
            let asked = self.runtime.block_on(async {
                match probe::ask(socket_folder).await? {
                    Answer::NoDatabase => probe::create_database(socket_folder)
                        .await
                        .map(|()| Answer::NotYet),
                    answer => Ok(answer),
                }
            });
            match asked {
                Ok(Answer::Ready) if self.setup.is_held_by(&server) => {
                    return Ok(Attempt::Ready(server));
                }
                Ok(_) => {}
                Err(error) => {
                    self.shut_down(server);
                    return Err(error);
                }
            }
            let pause = if begun.elapsed() < POLLED_FAST {
                POLL
            } else {
                SLOW_POLL
            };
            match self.mailbox.inbox.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Ended) => {
                    let status = self.reap(&mut server)?;
                    return Ok(Attempt::Ended {
                        status,
                        lines: self.setup.last_words(&server),
                    });
                }
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.shut_down(server);
                    return Ok(Attempt::Stopped);
                }
            }
        }
    }

    /// Reports the end of the server as an event, without reaping it: until then its process id
    /// cannot become another's, so that a signal can never hit a stranger.
    fn watch(&self, server: &Server) -> Result<(), ClusterError> {
        let pid = Pid::from_child(&server.child);
        let outbox = self.mailbox.outbox.clone();
        let body = move || {
            let unreaped = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while rustix::process::waitid(WaitId::Pid(pid), unreaped)
                .is_err_and(|error| error == rustix::io::Errno::INTR)
            {}
            let _ = outbox.send(Event::Ended);
        };
        thread::Builder::new()
            .name("postgres-watch".to_owned())
            .spawn(body)
            .map(drop)
            .map_err(ClusterError::io(
                "start a thread for",
                Path::new("PostgreSQL"),
            ))
    }

    /// Keeps a server running until it is to be stopped.
    fn keep(&self, mut server: Server) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let Ok(Event::Ended) = self.mailbox.inbox.recv() else {
                return self.shut_down(server);
            };
            match self.reap(&mut server) {
                Ok(status) => {
                    tracing::error!("PostgreSQL ended unexpectedly ({status}): restarting it");
                }
                Err(error) => {
                    tracing::error!("PostgreSQL ended unexpectedly: restarting it ({error})");
                }
            }
            if begun.elapsed() > STEADY {
                pause = FIRST_PAUSE;
            }
            match self.restart(&mut pause) {
                Some(restarted) => server = restarted,
                None => return,
            }
            tracing::info!("PostgreSQL takes connections again");
        }
    }

    /// Tries until there is a server, or until it is to be stopped. Each pause is twice the last.
    fn restart(&self, pause: &mut Duration) -> Option<Server> {
        loop {
            let Err(RecvTimeoutError::Timeout) = self.mailbox.inbox.recv_timeout(*pause) else {
                return None;
            };
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            match self.attempt() {
                Ok(Attempt::Ready(server)) => return Some(server),
                Ok(Attempt::Stopped) => return None,
                Ok(Attempt::Ended { status, lines }) => {
                    if leftover::still_held(&lines) {
                        self.setup.release_leftovers();
                    }
                    tracing::error!(
                        "PostgreSQL did not start ({status}), next attempt in {pause:?}: {lines}"
                    );
                }
                Err(error) => {
                    tracing::error!("PostgreSQL did not start, next attempt in {pause:?}: {error}");
                }
            }
        }
    }

    /// Stops the server and waits for its end.
    fn shut_down(&self, mut server: Server) {
        for (signal, patience) in STOP_SIGNALS {
            // Fails only if the process has ended, of which the event tells.
            let _ = rustix::process::kill_process(Pid::from_child(&server.child), signal);
            if self.ends_within(patience) {
                break;
            }
            tracing::warn!(
                "PostgreSQL did not stop within {} s of {signal:?}",
                patience.as_secs()
            );
        }
        // Spares a process that has ended.
        let _ = server.child.kill();
        if let Err(error) = self.reap(&mut server) {
            tracing::warn!("{error}");
        }
    }

    fn ends_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            match self
                .mailbox
                .inbox
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(Event::Ended) => return true,
                // Said twice.
                Ok(Event::Stop) => {}
                Err(_) => return false,
            }
        }
    }

    fn reap(&self, server: &mut Server) -> Result<ExitStatus, ClusterError> {
        server
            .child
            .wait()
            .map_err(ClusterError::io("wait for", &self.setup.place.data()))
    }
}
