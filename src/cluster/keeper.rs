//! Keeps one server running: waits until it is ready, restarts it when it dies, stops it in the
//! end.
//!
//! Blocking, and bound to the thread that calls it: PostgreSQL is interrupted when that thread
//! ends.

use std::error::Error;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::runtime::Runtime;

use super::probe::{self, Answer};
use super::server::{Server, Setup};
use super::{ClusterError, leftover};

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
pub(super) enum Event {
    /// The server process has ended and waits to be reaped.
    Ended,
    /// The handle wants the server stopped.
    Stop,
}

/// The thread's own end of its channel, and the one it gives to those who watch a process.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) inbox: Receiver<Event>,
    pub(super) outbox: Sender<Event>,
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

/// Starts, restarts and stops one cluster's server, on the supervising thread.
pub(super) struct Keeper {
    pub(super) setup: Setup,
    /// Only for asking: nothing runs on it meanwhile.
    pub(super) runtime: Runtime,
    pub(super) mailbox: Mailbox,
}

impl Keeper {
    /// Starts the server, waiting for an earlier one to go; `None` when it was to be stopped
    /// meanwhile.
    pub(super) fn first_start(&self) -> Result<Option<Server>, ClusterError> {
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
    pub(super) fn keep(&self, mut server: Server) {
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
                    let error: &dyn Error = &error;
                    tracing::error!(error, "PostgreSQL ended unexpectedly: restarting it");
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
                    let error: &dyn Error = &error;
                    tracing::error!(error, "PostgreSQL did not start, next attempt in {pause:?}");
                }
            }
        }
    }

    /// Stops the server and waits for its end.
    pub(super) fn shut_down(&self, mut server: Server) {
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
            let error: &dyn Error = &error;
            tracing::warn!(error, "PostgreSQL's end was not seen");
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
