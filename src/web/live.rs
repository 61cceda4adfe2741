//! `/live`: tells a page that is open that customers of its group changed, so that it asks for itself anew.
//!
//! A page says how much was told when it was made, so that a change between then and now is told at once. Nothing but "changed" is told, and only while whoever listens is signed in and may see the customers: both are looked up before each
//! word. What changes quickly is told once.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::stream;
use http::HeaderMap;
use serde::Deserialize;
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    broadcast::{Receiver, error::RecvError},
};

use super::{
    Web,
    cookie::Cookie,
    params::Query,
    problem::Problem,
    visit::{InGroup, ToView},
};
use crate::{
    domain::{GroupId, PersonId, RootId},
    rules::Right,
};

/// Pages that listen at a time, per process.
const MOST: usize = 1000;
/// Changes that follow each other within this are told once.
const GATHER: Duration = Duration::from_millis(300);

/// What a page says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// How often something had been told when it was made.
    seen: Option<u64>,
}

/// Somebody who listens.
struct Listener {
    web: Web,
    token: String,
    person: PersonId,
    /// The group whose pages he looks at.
    place: (RootId, GroupId),
    /// The group that holds the customers.
    holder: GroupId,
    changes: Receiver<Option<GroupId>>,
    /// Whether something was told before he began to listen.
    is_behind: bool,
    _place: OwnedSemaphorePermit,
}

/// Returns the route within a group.
pub(super) fn routes() -> Router<Web> {
    let places = Arc::new(Semaphore::new(MOST));
    let live =
        async move |State(web): State<Web>,
                    visit: InGroup<ToView>,
                    Query(asked): Query<Asked>,
                    headers: HeaderMap| live(web, &visit, (&asked, &headers), places);
    Router::new().route("/live", get(live))
}

fn live(
    web: Web,
    visit: &InGroup<ToView>,
    (asked, headers): (&Asked, &HeaderMap),
    places: Arc<Semaphore>,
) -> Result<Response, Problem> {
    let place = places
        .try_acquire_owned()
        .map_err(|_| Problem::Unavailable)?;
    let token = Cookie::Session.read(headers, &web.public_url);
    let listener = Listener {
        token: token.ok_or(Problem::NotFound)?,
        person: visit.visitor.bearer.person,
        place: (visit.group.root, visit.group.id),
        holder: visit.group.contact_group,
        changes: web.wake.customers(),
        // After it has begun to listen, so that nothing is missed in between.
        is_behind: asked
            .seen
            .is_some_and(|seen| seen != web.wake.customers_told()),
        web,
        _place: place,
    };
    let stop = listener.web.stop.clone();
    let told = stream::unfold(listener, async |mut listener| {
        listener.changed().await?;
        // Browsers pass over an event without data.
        let event = Event::default().event("change").data("customers");
        Some((Ok::<_, Infallible>(event), listener))
    });
    let told = futures_util::StreamExt::take_until(told, stop.cancelled_owned());
    Ok(Sse::new(told)
        .keep_alive(KeepAlive::default())
        .into_response())
}

impl Listener {
    /// Waits for a change of which he may know; returns none once nothing is told any more.
    async fn changed(&mut self) -> Option<()> {
        if std::mem::take(&mut self.is_behind) {
            return self.may_know().await.then_some(());
        }
        loop {
            match self.changes.recv().await {
                Ok(Some(group)) if group != self.holder => continue,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
            tokio::time::sleep(GATHER).await;
            // What came meanwhile is told with it.
            self.changes = self.changes.resubscribe();
            return self.may_know().await.then_some(());
        }
    }

    async fn may_know(&self) -> bool {
        if !matches!(self.web.sessions.find(&self.token).await, Ok(Some(_))) {
            return false;
        }
        let (root, group) = self.place;
        let access = self.web.crm.group_access(self.person, root, group).await;
        access.is_ok_and(|access| access.allows(Right::ViewContacts))
    }
}
