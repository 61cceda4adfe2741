//! A sandbox tracker that plays GitLab: documented REST and GraphQL calls in, signed webhooks out, a small page for people.
//!
//! The demo, the tests and the benchmarks talk to it over HTTP only, as they would to GitLab. It is another system:
//! it has its own clock and memory, and it names no other room of Liaison but the outbound client.
//! It must never be used as a tracker that keeps anything.

mod api;
mod crm;
mod delivery;
mod fault;
mod homeserver;
mod hooks;
mod issues;
mod model;
mod notes;
mod page;
mod payload;
mod scripting;
mod seed;
mod state;
mod upheaval;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use chrono::{DateTime, Utc};
use http::Method;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

pub use crm::{Contact, Organization};
pub use delivery::Delivery;
pub use fault::Fault;
pub use homeserver::{Account, Denied, Homeserver, Membership, Room, Setup, World};
pub use hooks::{Hook, HookOwner, NewHook};
pub use model::{
    Award, Group, Issue, Level, NewGroup, NewIssue, NewProject, NewUser, Note, Place, Project,
    User, Visibility,
};
pub use notes::Refusal;
pub use seed::Demo;
pub use state::{Pace, State};

/// An API call that arrived, as it arrived.
#[derive(Debug, Clone)]
pub struct ApiCall {
    /// Method.
    pub method: Method,
    /// Path with query.
    pub path: String,
    /// Who called; `None` without a valid token.
    pub user: Option<u64>,
    /// `X-Gitlab-Event-UUID`, by which a caller joins a chain of events.
    pub chain: Option<String>,
}

/// A handle on the tracker; clones share one tracker.
#[derive(Debug, Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts changes, so that waiting needs no sleeping.
    changes: watch::Sender<u64>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Sandbox {
    /// Returns an empty tracker that names itself by `public_url` in its answers and hooks.
    pub fn new(public_url: Url) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(public_url)),
                changes: watch::Sender::new(0),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }),
        }
    }

    /// Returns the REST API and the page.
    pub fn router(&self) -> Router {
        Router::new()
            .merge(api::router(self))
            .merge(page::router())
            .with_state(self.clone())
    }

    /// Asks `question` of the state; it runs under the lock, so it should be short and must not use the handle.
    pub fn read<T>(&self, question: impl FnOnce(&State) -> T) -> T {
        question(&self.shared.lock())
    }

    /// Waits until `question` has an answer and returns it, or `None` when `within` has passed.
    ///
    /// It is asked again after every change of the state, under the lock as in [`Self::read`].
    pub async fn wait_for<T>(
        &self,
        question: impl Fn(&State) -> Option<T>,
        within: Duration,
    ) -> Option<T> {
        let mut changes = self.shared.changes.subscribe();
        let answered = async {
            loop {
                changes.borrow_and_update();
                if let Some(answer) = self.read(&question) {
                    return Some(answer);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(within, answered).await.ok().flatten()
    }

    /// Ends event streams, drops deliveries not yet sent and waits for background tasks.
    pub async fn shutdown(&self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Changes the state and wakes those who wait for a change.
    fn change<T>(&self, apply: impl FnOnce(&mut State) -> T) -> T {
        self.shared.change(apply)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of a test's own question must not hide what the test wants to know.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, apply: impl FnOnce(&mut State) -> T) -> T {
        let result = apply(&mut self.lock());
        self.changes.send_modify(|count| *count += 1);
        result
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tracker is another system with a clock of its own"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(rand::random())
        .into_uuid()
        .to_string()
}

/// Writes a time as the REST API does.
fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
