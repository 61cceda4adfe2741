//! What is told while it happens.

use async_graphql::{Context, Result, Subscription};
use futures_util::{Stream, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    Refusal, Scope,
    id::IssuableGid,
    issue::{Issuable, Issue},
};
use crate::{domain::IssueId, rules::Right};

/// The root of subscriptions.
pub(super) struct Changes;

/// What can be followed.
#[Subscription(name = "Subscription")]
impl Changes {
    /// The issue, whenever its contacts were set, by whomever and through whatever. Ends once the asker may no longer see them.
    async fn issue_crm_contacts_updated<'a>(
        &self,
        context: &Context<'a>,
        #[graphql(desc = "Global id of the issue.")] issuable_id: IssuableGid,
    ) -> Result<impl Stream<Item = Result<Option<Issuable>>> + use<'a>> {
        let scope = Scope::of(context)?;
        let id = issuable_id.read()?;
        // Listened to first, so that nothing is missed between the check and the first event.
        let events = scope.api.wake.issue_contacts();
        visible(scope, id).await?.ok_or(Refusal::NotAvailable)?;
        Ok(stream::unfold(events, move |mut events| async move {
            heard(&mut events, id).await?;
            scope.rows.loader().begin();
            let issue = match scope.viewer.again(scope.api).await {
                Ok(_) => visible(scope, id).await,
                Err(Refusal::Unauthenticated) => Ok(None),
                Err(other) => Err(other),
            };
            let told = match issue {
                Ok(None) => return None,
                Ok(Some(issue)) => Ok(Some(Issuable::Issue(issue))),
                Err(refusal) => Err(refusal.into()),
            };
            Some((told, events))
        }))
    }
}

/// Returns an issue if the asker may see its contacts.
async fn visible(scope: Scope<'_>, id: IssueId) -> Result<Option<Issue>, Refusal> {
    let issue = Issue::find(scope, id).await?;
    Ok(issue.filter(|issue| issue.access().allows(Right::ViewIssueContacts)))
}

/// Waits until the contacts of an issue were set, or may have been; returns none once nothing is told any more.
async fn heard(events: &mut Receiver<Option<IssueId>>, wanted: IssueId) -> Option<()> {
    loop {
        match events.recv().await {
            Ok(Some(issue)) if issue != wanted => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return Some(()),
            Err(RecvError::Closed) => return None,
        }
    }
}
