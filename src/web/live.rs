//! `/live`: tells a page that is open that customers of its group changed, so that it asks for itself anew.
//!
//! Nothing but "changed" is told, and only while whoever listens is signed in and may see the customers: both are looked up before each
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
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    broadcast::{Receiver, error::RecvError},
};

use super::{
    Web,
    cookie::Cookie,
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
    _place: OwnedSemaphorePermit,
}

/// Returns the route within a group.
pub(super) fn routes() -> Router<Web> {
    let places = Arc::new(Semaphore::new(MOST));
    let live = async move |State(web): State<Web>, visit: InGroup<ToView>, headers: HeaderMap| {
        live(web, &visit, &headers, places)
    };
    Router::new().route("/live", get(live))
}

fn live(
    web: Web,
    visit: &InGroup<ToView>,
    headers: &HeaderMap,
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
        web,
        _place: place,
    };
    let stop = listener.web.stop.clone();
    let told = stream::unfold(listener, async |mut listener| {
        listener.changed().await?;
        let event = Event::default().event("change").data("");
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
