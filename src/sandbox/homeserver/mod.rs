//! A sandbox messenger that plays a Matrix homeserver: the calls that an application service makes in, its transactions out, and a small
//! page on which people chat.
//!
//! It speaks the part of the client-server API (Matrix specification 1.17) and of Synapse's administration API that Liaison uses. The demo
//! and the tests talk to it over HTTP only. It must never be used as a messenger that keeps anything.

mod api;
mod page;
mod push;
mod room;
mod world;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

pub use room::{Membership, Room};
pub use world::{Account, World};

/// What a homeserver is set up with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its name, which ends the ids of its users.
    pub name: String,
    /// The local part of the bot's id.
    pub bot: String,
    /// What the application service proves itself with.
    pub service_token: String,
    /// What the homeserver proves itself with.
    pub homeserver_token: String,
    /// What an administrator proves himself with.
    pub admin_token: String,
    /// Where the application service is.
    pub service: Url,
    /// Whether people join as soon as they are invited, as with Synapse's `auto_accept_invites`.
    pub auto_accept: bool,
}

/// A handle on a homeserver; clones share one.
#[derive(Debug, Clone)]
pub struct Homeserver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    /// Counts changes, so that waiting needs no sleeping.
    changes: watch::Sender<u64>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// Why somebody may not do something: the error code and the sentence that a homeserver answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied(pub &'static str, pub &'static str);

pub(super) const NOT_FOUND: Denied = Denied("M_NOT_FOUND", "Not found");
pub(super) const FORBIDDEN: Denied = Denied("M_FORBIDDEN", "You may not do this here");

impl Homeserver {
    /// Returns a homeserver without people, and begins to tell its application service what happens.
    pub fn start(setup: Setup) -> Self {
        let homeserver = Self {
            shared: Arc::new(Shared {
                world: Mutex::new(World::new(setup)),
                changes: watch::Sender::new(0),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }),
        };
        homeserver
            .shared
            .tasks
            .spawn(push::push(homeserver.clone()));
        homeserver
    }

    /// Returns the API and the page.
    pub fn router(&self) -> Router {
        Router::new()
            .merge(api::router())
            .merge(page::router())
            .with_state(self.clone())
    }

    /// Registers a person. The homeserver vouches for the address.
    pub fn register(&self, name: &str, display: &str, email: Option<&str>) -> String {
        self.change(|world| world.register(name, display, email))
    }

    /// Has somebody write something. Returns the message's id.
    ///
    /// # Errors
    /// Fails where he is not in the room, or may not write there.
    pub fn say(&self, user: &str, room: &str, text: &str) -> Result<String, Denied> {
        let content = json!({ "msgtype": "m.text", "body": text });
        self.change(|world| world.send(room, user, "m.room.message", &content))
    }

    /// Has somebody write to the bot alone, in a room of the two. Returns the room.
    ///
    /// # Errors
    /// Fails where he is unknown.
    pub fn write_to_bot(&self, user: &str, text: &str) -> Result<String, Denied> {
        let room = self.change(|world| world.direct_room(user))?;
        self.say(user, &room, text)?;
        Ok(room)
    }

    /// Has somebody invite somebody else.
    ///
    /// # Errors
    /// Fails where he may not.
    pub fn invite(&self, by: &str, room: &str, who: &str) -> Result<(), Denied> {
        self.change(|world| world.invite(room, by, who))
    }

    /// Has somebody accept an invitation.
    ///
    /// # Errors
    /// Fails where there is none.
    pub fn join(&self, user: &str, room: &str) -> Result<(), Denied> {
        self.change(|world| world.join(room, user))
    }

    /// Has somebody leave, decline an invitation, or remove somebody else.
    ///
    /// # Errors
    /// Fails where he may not, or the other one is not there.
    pub fn remove(&self, by: &str, room: &str, who: &str) -> Result<(), Denied> {
        self.change(|world| world.remove(room, by, who))
    }

    /// Switches an account off: it leaves all rooms.
    pub fn deactivate(&self, user: &str) {
        self.change(|world| world.deactivate(user));
    }

    /// Loses what waits to be told, as if it had never happened.
    pub fn lose_events(&self) {
        self.change(|world| world.outgoing.clear());
    }

    /// Tells an event again, as homeservers do that did not notice that it was taken.
    pub fn tell_again(&self, event: &str) {
        self.change(|world| world.tell_again(event));
    }

    /// Has the next calls fail, as a homeserver does that is overloaded.
    pub fn fail(&self, calls: usize) {
        self.change(|world| world.failing += calls);
    }

    /// Asks `question` of the state; it runs under the lock, so it should be short and must not use the handle.
    pub fn read<T>(&self, question: impl FnOnce(&World) -> T) -> T {
        question(&self.shared.lock())
    }

    /// Waits until `question` has an answer and returns it, or `None` when `within` has passed.
    pub async fn wait_for<T>(
        &self,
        question: impl Fn(&World) -> Option<T>,
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

    /// Ends event streams and waits for background tasks; what was not told is lost.
    pub async fn shutdown(&self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn change<T>(&self, apply: impl FnOnce(&mut World) -> T) -> T {
        let result = apply(&mut self.shared.lock());
        self.shared.changes.send_modify(|count| *count += 1);
        result
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        // A panic of a test's own question must not hide what the test wants to know.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the body of an answer that says no.
fn refusal(denied: Denied) -> Value {
    json!({ "errcode": denied.0, "error": denied.1 })
}
