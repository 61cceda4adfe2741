//! Members who came, changed or left, as the tracker tells: what is known of their levels is forgotten, and whoever has none anywhere in the
//! tree any more is closed out of what he observed there.

use crate::{
    crm::{CrmError, Outage},
    domain::{GroupId, Level, PersonId, Scope, Via},
    queue::InboxVerdict,
    store::{access, group, identity, leaver},
};

use super::process::{Failure, Job};

/// Groups and projects that are asked whether somebody is still a member; of one who was met in more, nobody says that he is gone.
const MOST: usize = 50;

/// Brings what is known of a member up to date.
pub(super) async fn member(
    job: &Job<'_>,
    user: &str,
    summary: &str,
) -> Result<InboxVerdict, Failure> {
    let (root, on) = (job.claimed.root, job.remote.id);
    let mut said = summary.to_owned();
    if let Some(person) = is_gone(job, user).await? {
        // It may be done twice: whoever is closed out already holds nothing.
        let crm = &job.worker.crm;
        let gone = crm.close_out((None, Via::Tracker), person, root).await;
        let gone = gone.map_err(failed)?;
        let (observed, left) = (gone.observed, gone.to_hand_over.len());
        said = format!(
            "{said}; is a member no more: taken off {observed} lists, and responsible for {left} items that somebody has to take over"
        );
    }
    let mut tx = job.worker.pool.begin().await?;
    access::forget(&mut tx, (root, on), user, job.worker.clock.now()).await?;
    job.settle(tx, InboxVerdict::Done(said)).await
}

fn failed(error: CrmError) -> Failure {
    match error {
        CrmError::Unavailable(Outage::Store(error)) => Failure::Store(error),
        CrmError::Unavailable(Outage::Tracker(error)) => Failure::Call(error),
        other => Failure::Hopeless(other.to_string()),
    }
}

/// Returns the person behind a user who holds something in the tenant and has no level anywhere in its tree any more, as the tracker says now.
async fn is_gone(job: &Job<'_>, user: &str) -> Result<Option<PersonId>, Failure> {
    let (root, on) = (job.claimed.root, job.remote.id);
    let mut connection = job.worker.pool.acquire().await?;
    let Some(person) = identity::person_of(&mut connection, (on, user)).await? else {
        return Ok(None);
    };
    let held = leaver::held(&mut connection, person).await?;
    if !held.iter().any(|one| one.root == root) {
        return Ok(None);
    }
    let mut scopes = access::scopes(&mut connection, (root, on), user).await?;
    let namespace = group::remote(&mut connection, root, GroupId(root.0)).await?;
    drop(connection);
    let namespace = namespace.filter(|namespace| namespace.connection == on);
    let Some(top) = namespace.as_ref().and_then(group::Remote::name) else {
        return Ok(None);
    };
    scopes.push((Scope::Group, top.to_owned()));
    if scopes.len() > MOST {
        return Ok(None);
    }
    for (scope, id) in &scopes {
        let level = job.remote.client.access_level(*scope, id, user).await?;
        if level > Level::None {
            return Ok(None);
        }
    }
    Ok(Some(person))
}
