//! The CRM for everybody who is known by a person's id and not by a comment: GraphQL, pages, the command line.
//!
//! Each call loads what the decision needs, asks the tracker for what is not known lately (with no transaction open), lets `rules`
//! decide, and commits changes and history together. Nothing here knows HTTP, and nothing here decides.

mod access;
mod bulk;
mod chats;
mod convert;
mod deliveries;
mod error;
mod foresee;
mod group;
mod history;
mod issue;
mod item_types;
mod items;
mod links;
mod many;
mod moves;
mod observers;
mod people;
mod preview;
mod removal;
mod undo;
mod watch;
mod webhooks;
mod why;

pub use crate::{
    rules::{ContactNames, ContactOutcome, GroupSettings, NamedContact, SetContacts},
    store::operation::HistoryEntry,
};
pub use bulk::Pace;
pub use convert::Conversion;
pub use deliveries::DeliveryDetail;
pub use error::{CrmError, Outage};
pub use foresee::Foreseen;
pub use group::GroupReport;
pub use history::{HistoryOf, HistoryPage};
pub use issue::SetReport;
pub use items::NewItem;
pub use links::LinkTo;
pub use many::Below;
pub use observers::{MAX_WATCHED, WatchReport};
pub use people::Departure;
pub use preview::Preview;
pub use undo::UndoReport;
pub use webhooks::{By, Installed, MAX_OVERLAP, NewSecret, NewWebhook, Webhooks};
pub use why::{Where, Why};

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::PgPool;

use crate::{
    connector::gitlab::Client,
    domain::{Clock, ConnectionId, GroupId, IssueId, OperationId, PersonId, RootId, Via},
    queue::{self, Signal},
    store::{
        operation::{self, Act},
        road::Fresh,
    },
};
use error::Failure;

/// How often a decision is made anew because something had to be asked or was changed meanwhile.
const ROUNDS: usize = 8;

/// The way to the CRM for people who are signed in.
#[derive(Debug, Clone)]
pub struct Crm {
    /// The database.
    pub pool: PgPool,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// The trackers that tell levels, by connection.
    pub trackers: Arc<HashMap<ConnectionId, Client>>,
    /// How long a level that the tracker told is believed.
    pub level_fresh: Duration,
    /// How long the place of a project is believed.
    pub place_fresh: Duration,
}

/// Who asks, and through what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The person.
    pub person: PersonId,
    /// Remembered in the history of what he changes.
    pub via: Via,
}

impl Crm {
    /// Decides until what had to be asked is known and nobody else is in the way.
    ///
    /// What may be believed counts from the first attempt on, so that no answer is too old by the time it is read.
    async fn decide<T, F>(&self, attempt: impl Fn(Fresh) -> F) -> Result<T, CrmError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let fresh = self.fresh();
        for _ in 0..ROUNDS {
            match attempt(fresh).await {
                Ok(decided) => return Ok(decided),
                Err(Failure::Ask(questions)) => self.ask(questions).await?,
                Err(Failure::Conflict) => {}
                Err(Failure::Refused(refused)) => return Err(refused.into()),
                Err(Failure::Changed) => return Err(CrmError::Changed),
                Err(Failure::Store(error)) => {
                    return Err(CrmError::Unavailable(Outage::Store(error)));
                }
            }
        }
        Err(CrmError::Unavailable(Outage::Busy))
    }

    /// Returns what may be believed without asking, as of now.
    fn fresh(&self) -> Fresh {
        let now = self.clock.now();
        Fresh {
            places: now - self.place_fresh,
            levels: now - self.level_fresh,
            asked: false,
        }
    }

    /// Tells whoever follows them of the customers and the issues that an operation changed, once it is committed.
    async fn tell(&self, act: &Act) {
        let issues = async {
            let mut connection = self.pool.acquire().await?;
            operation::issues(&mut connection, act.root, act.operation).await
        };
        match issues.await {
            Ok(issues) => self.notify(act.group, &issues).await,
            Err(error) => tracing::debug!(%error, "nobody was told of changed issues"),
        }
    }

    async fn notify(&self, holder: GroupId, issues: &[IssueId]) {
        let issues = issues.iter().copied().map(Signal::IssueContacts);
        let signals: Vec<Signal> = issues.chain([Signal::Customers(holder)]).collect();
        if let Err(error) = queue::notify_all(&self.pool, &signals).await {
            tracing::debug!(%error, "nobody was told of changed customers");
        }
    }

    /// Returns the frame of a new operation.
    fn act(&self, asker: Asker, root: RootId, group: GroupId) -> Act {
        Act {
            root,
            group,
            operation: OperationId(self.clock.id()),
            actor: Some(asker.person),
            via: asker.via,
            at: self.clock.now(),
            undoes: None,
            command: None,
        }
    }
}
