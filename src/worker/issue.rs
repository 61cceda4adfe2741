//! An issue that was opened, changed or moved: what is known of it is brought up to date, and relations follow.

use std::collections::HashSet;

use sqlx::{Postgres, Transaction};

use super::{
    lookup::{self, outside},
    outlet::Calls,
    process::{Failure, Job},
    way::{Answers, Way, shows_addresses},
};
use crate::{
    connector::gitlab,
    domain::{Effect, EffectId, IssueChange, IssueId, OperationId, RelationSource, ReplyId},
    queue::{InboxVerdict, NewEffect, Signal},
    quick_action::addresses,
    rules::{self, Destination, MAX_ADDRESSES},
    store::{
        StoreError,
        issue::{self, Known, KnownIssue, Occasion, Successor},
        road,
    },
};

/// How often is decided anew because something changed meanwhile, questions to the tracker included.
const ROUNDS: usize = 6;

/// Acts on an issue that was opened or changed.
pub(super) async fn issue(job: &Job<'_>, change: &IssueChange) -> Result<InboxVerdict, Failure> {
    let scope = (job.claimed.root, job.remote.id, job.delivery.webhook);
    let mut fresh = job.fresh();
    let mut answers = Answers::default();
    for _ in 0..ROUNDS {
        let mut tx = job.worker.pool.begin().await?;
        let Some(known) = issue::known(&mut tx, scope, change, fresh).await? else {
            tx.rollback().await?;
            if fresh.asked || !lookup::place(job, &change.project.id).await? {
                return job.ignore(outside(&change.project)).await;
            }
            fresh.asked = true;
            continue;
        };
        if !answers.suffice(change, &known) {
            tx.rollback().await?;
            Box::pin(answers.ask(job, change, &known)).await?;
            continue;
        }
        let run = Run {
            job,
            change,
            known,
            answers: &answers,
        };
        match Box::pin(run.act(tx)).await {
            Err(Failure::Store(StoreError::Conflict { constraint })) => {
                tracing::debug!(constraint, "met another change; deciding again");
            }
            decided => return decided,
        }
    }
    Err(Failure::Store(StoreError::Conflict {
        constraint: "every attempt".to_owned(),
    }))
}

/// A change of an issue that is acted on, with all that had to be asked.
struct Run<'a> {
    job: &'a Job<'a>,
    change: &'a IssueChange,
    known: Known,
    answers: &'a Answers,
}

/// What follows from a change, as it is put together.
#[derive(Default)]
struct Consequences {
    /// What the log is told.
    said: Vec<String>,
    effect: Option<NewEffect>,
}

impl Run<'_> {
    /// Brings everything up to date and commits it.
    async fn act(&self, mut tx: Transaction<'_, Postgres>) -> Result<InboxVerdict, Failure> {
        let root = self.job.claimed.root;
        let facts = &self.change.issue;
        let id = road::put_issue(&mut tx, root, self.known.project, facts).await?;
        let mut consequences = Consequences {
            said: vec![format!(
                "what is known of issue {} is up to date",
                facts.iid
            )],
            effect: None,
        };
        self.remember_move(&mut tx, id, &mut consequences).await?;
        let was_moved = |known: &KnownIssue| known.moved_to.is_some();
        let moved = self.answers.way.is_some() || self.known.issue.as_ref().is_some_and(was_moved);
        let shows = shows_addresses(self.change, &self.known);
        if moved || shows {
            // All that follows concerns the issue that this one is now.
            let now = issue::locked_successor(&mut tx, root, id).await?;
            if now.issue != id || now.is_gone {
                self.carry(&mut tx, id, &now, &mut consequences).await?;
            }
            if shows {
                self.relate(&mut tx, &now, &mut consequences).await?;
            }
        }
        let effects = consequences.effect.into_iter().collect();
        let calls = Calls::put(self.job, &mut tx, effects).await?;
        let verdict = InboxVerdict::Done(consequences.said.join("; "));
        let verdict = self.job.settle(tx, verdict).await?;
        calls.make(None);
        if moved || shows {
            let wake = &self.job.worker.wake;
            wake.announce(Signal::IssueContacts(id));
            wake.announce(Signal::Customers(self.known.holder));
        }
        Ok(verdict)
    }

    async fn remember_move(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        id: IssueId,
        consequences: &mut Consequences,
    ) -> Result<(), Failure> {
        let root = self.job.claimed.root;
        match &self.answers.way {
            None => {}
            Some(Way::Nowhere) => consequences
                .said
                .push("GitLab does not confirm that it was moved".to_owned()),
            Some(Way::Unseen) => consequences.said.push(
                "it was moved to where the bot sees nothing, so its contacts stay where they are"
                    .to_owned(),
            ),
            Some(Way::Inside(project, facts)) => {
                let on = self.job.remote.id;
                // It was put there when it was asked for.
                let Some(project) = issue::project(tx, (root, on), project).await? else {
                    return Err(Failure::Unconfirmed);
                };
                let new = road::put_issue(tx, root, project, facts).await?;
                issue::set_moved(tx, root, id, &facts.remote_id, Some(new)).await?;
            }
            Some(Way::Outside(seen)) => {
                let remote_id = seen.as_ref().map(|(_, facts)| &facts.remote_id);
                let remote_id = remote_id.or(self.change.moved_to.as_ref());
                if let Some(remote_id) = remote_id {
                    issue::set_moved(tx, root, id, remote_id, None).await?;
                }
            }
        }
        Ok(())
    }

    /// Has the contacts of a moved issue follow it, or removes them where others are kept.
    async fn carry(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        id: IssueId,
        now: &Successor,
        consequences: &mut Consequences,
    ) -> Result<(), Failure> {
        let root = self.job.claimed.root;
        let destination = if now.is_gone || now.holder != self.known.holder {
            Destination::OtherHolder
        } else {
            Destination::SameHolder
        };
        let standings = issue::standings(tx, root, (id, now.issue), &[]).await?;
        let carried = rules::carry(&standings, destination);
        if carried.is_empty() {
            return Ok(());
        }
        let actor = self.change.actor.as_ref().map(|actor| actor.id.as_str());
        issue::carry(tx, self.occasion(actor), (id, now.issue), &carried).await?;
        let count = carried.leave.len();
        match destination {
            Destination::SameHolder => consequences.said.push(format!(
                "{} went along to issue {} of project {}",
                contacts(count),
                now.iid,
                now.project
            )),
            Destination::OtherHolder => {
                consequences.said.push(format!(
                    "{} removed, since it was moved to where others are kept",
                    contacts(count)
                ));
                consequences.effect = self.tell(now, count);
            }
        }
        Ok(())
    }

    /// Returns the note for the issue that lost contacts, where the bot sees it.
    fn tell(&self, now: &Successor, contacts: usize) -> Option<NewEffect> {
        let (project, issue) = match &self.answers.way {
            Some(Way::Outside(seen)) => seen
                .as_ref()
                .map(|(project, facts)| (project.clone(), facts.iid))?,
            _ if now.is_gone => return None,
            _ => (now.project.clone(), now.iid),
        };
        let (clock, on) = (&self.job.worker.clock, self.job.remote.id);
        Some(NewEffect {
            id: EffectId(clock.id()),
            delivery: Some(self.job.delivery.id),
            connection: on,
            lane: gitlab::issue_lane(on, &project, issue),
            effect: Effect::TellRemoved {
                project,
                issue,
                contacts,
                note: ReplyId(clock.id()),
                cause: self.job.cause.clone(),
            },
            lease: None,
        })
    }

    /// Relates the contacts whose addresses the event shows to the issue as it is now.
    async fn relate(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        now: &Successor,
        consequences: &mut Consequences,
    ) -> Result<(), Failure> {
        let root = self.job.claimed.root;
        if now.is_gone || now.holder != self.known.holder || !now.crm_enabled {
            return Ok(());
        }
        let (shown, left_out) = self.addresses();
        if left_out > 0 {
            consequences.said.push(format!(
                "{left_out} more addresses were left out: {MAX_ADDRESSES} of an issue are looked at"
            ));
        }
        if shown.is_empty() {
            return Ok(());
        }
        let known = issue::active_contacts(tx, (root, self.known.holder), &shown).await?;
        if known.is_empty() {
            return Ok(());
        }
        let standings = issue::standings(tx, root, (now.issue, now.issue), &known).await?;
        let named = standings
            .into_iter()
            .filter(|standing| known.contains(&standing.contact.0));
        let related = rules::relate(&named.collect::<Vec<_>>());
        if related.is_empty() {
            return Ok(());
        }
        issue::relate(tx, self.occasion(None), now.issue, &related).await?;
        consequences
            .said
            .push(format!("{} related by address", contacts(related.len())));
        Ok(())
    }

    /// Returns the addresses that count here, each once, and how many more there are.
    fn addresses(&self) -> (Vec<String>, usize) {
        let counts = |source| self.known.sources.contains(&source);
        let mut shown: Vec<String> = Vec::new();
        if counts(RelationSource::Author) {
            let asked = self.answers.author.iter().flatten();
            shown.extend(asked.chain(&self.change.addresses.author).cloned());
        }
        if counts(RelationSource::Participants) {
            shown.extend(self.change.addresses.participants.iter().cloned());
        }
        if counts(RelationSource::Description) {
            shown.extend(addresses(&self.change.description));
        }
        let mut seen = HashSet::new();
        shown.retain(|address| seen.insert(address.to_lowercase()));
        let left_out = shown.len().saturating_sub(MAX_ADDRESSES);
        shown.truncate(MAX_ADDRESSES);
        (shown, left_out)
    }

    fn occasion<'a>(&self, actor: Option<&'a str>) -> Occasion<'a> {
        let clock = &self.job.worker.clock;
        Occasion {
            root: self.job.claimed.root,
            on: self.job.remote.id,
            actor,
            delivery: self.job.delivery.id,
            operation: OperationId(clock.id()),
            now: clock.now(),
        }
    }
}

fn contacts(count: usize) -> String {
    format!("{count} contact{}", if count == 1 { "" } else { "s" })
}
