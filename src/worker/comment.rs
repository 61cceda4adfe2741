//! A comment: its commands are decided on, and changes, history, answer and delivery are committed together.

use sqlx::{PgConnection, Postgres, Transaction};

use super::{
    lookup::{Questions, outside},
    outlet::Calls,
    process::{Failure, Job},
    watching,
};
use crate::{
    connector::gitlab,
    domain::{
        Comment, CommentChange, CommentRef, Effect, EffectId, IssueFacts, IssueId, Lane, Level,
        ReplyId,
    },
    queue::{InboxVerdict, NewEffect, Signal},
    quick_action::{Dialect, Found, Parsed, Signature, added, parse},
    rules::{self, Access, Audience, Plan, Snapshot, audience, issue_is_readable, needs, plan},
    store::{
        StoreError, access,
        commanded::{self, Spoken},
        comment::{self, Answer, SeenComment},
        history,
        item::{self, Scene},
        road::{self, Actor, Place, Surroundings},
    },
};

/// How often a decision is made anew because something changed meanwhile, questions to the tracker included.
const ROUNDS: usize = 6;
/// Lines that an answer keeps through many edits.
const KEPT_LINES: usize = 100;

/// Acts on a comment.
pub(super) async fn comment(job: &Job<'_>, comment: &Comment) -> Result<InboxVerdict, Failure> {
    let dialect = Dialect {
        bot: Some(&job.remote.bot),
        slash: true,
    };
    let parsed = parse(&comment.text, &dialect);
    if parsed.unscanned {
        return job
            .ignore("the comment is too long or too deeply nested to be searched for commands")
            .await;
    }
    if parsed.commands.is_empty() && comment.change == CommentChange::Created {
        return job.ignore("no commands in it").await;
    }
    if comment.actor.id == job.remote.bot_id(&job.worker.pool).await? {
        return job.ignore("written by the bot itself").await;
    }
    if comment.actor.is_bot && !job.remote.allow_bots {
        return job.ignore("written by another bot").await;
    }
    if parsed.commands.is_empty() && !is_known(job, comment).await? {
        return job.ignore("no commands in it").await;
    }
    // Once for all rounds: what was asked meanwhile is newer than this.
    let mut fresh = job.fresh();
    for _ in 0..ROUNDS {
        let mut tx = job.worker.pool.begin().await?;
        let scope = (job.claimed.root, job.remote.id, job.delivery.webhook);
        let known = road::surroundings(&mut tx, scope, comment, fresh).await?;
        if let Some(questions) = Questions::about(&known) {
            tx.rollback().await?;
            if !Box::pin(questions.ask(job, comment)).await? {
                return job.ignore(outside(&comment.project)).await;
            }
            fresh.asked = true;
            continue;
        }
        match decide(job, comment, &parsed, known, tx).await {
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

/// Returns whether an earlier version of the comment held commands.
async fn is_known(job: &Job<'_>, comment: &Comment) -> Result<bool, Failure> {
    let mut connection = job.worker.pool.acquire().await?;
    let whose = (job.claimed.root, job.remote.id);
    Ok(comment::is_known(&mut connection, whose, &comment.remote_id).await?)
}

async fn decide(
    job: &Job<'_>,
    comment: &Comment,
    parsed: &Parsed,
    known: Surroundings,
    tx: Transaction<'_, Postgres>,
) -> Result<InboxVerdict, Failure> {
    let (Some(place), Some(actor)) = (known.project, known.actor) else {
        return job.ignore(outside(&comment.project)).await;
    };
    if !place.within {
        tx.rollback().await?;
        return job.ignore(outside(&comment.project)).await;
    }
    if actor.is_bot && !job.remote.allow_bots {
        tx.rollback().await?;
        return job.ignore("written by another bot").await;
    }
    let run = Run {
        job,
        comment,
        place,
        actor,
        signatures: parsed.commands.iter().map(Signature::from).collect(),
    };
    match known.seen {
        Some(seen) if seen.version > comment.updated_at => {
            tx.rollback().await?;
            job.ignore("an older version of the comment than the one acted on")
                .await
        }
        Some(seen) => {
            let new = added(&seen.commands, parsed.commands.clone());
            run.act(tx, &new, parsed.dropped, Some(seen)).await
        }
        None if comment.change == CommentChange::Edited
            && comment.created_at < known.webhook_since =>
        {
            run.act(tx, &[], 0, None).await
        }
        None => run.act(tx, &parsed.commands, parsed.dropped, None).await,
    }
}

/// A comment that is acted on, with all that had to be asked.
struct Run<'a> {
    job: &'a Job<'a>,
    comment: &'a Comment,
    place: Place,
    actor: Actor,
    /// All commands of this version.
    signatures: Vec<Signature>,
}

impl Run<'_> {
    /// Runs the commands of `new` and commits all that follows. Without any, remembers the version, so that a later edit is compared with it.
    async fn act(
        self,
        mut tx: Transaction<'_, Postgres>,
        new: &[Found],
        dropped: usize,
        seen: Option<SeenComment>,
    ) -> Result<InboxVerdict, Failure> {
        let issue = self.issue(&mut tx).await?;
        let mut state = SeenComment {
            version: self.comment.updated_at,
            commands: self.signatures.clone(),
            reply: ReplyId(self.job.worker.clock.id()),
            reply_lines: Vec::new(),
            is_internal: self.comment.internal,
            reply_internal: false,
            reply_names: false,
        };
        let answered = seen
            .as_ref()
            .filter(|seen| !seen.reply_lines.is_empty())
            .map(|seen| seen.reply_internal);
        if let Some(seen) = seen {
            state.reply = seen.reply;
            state.reply_lines = seen.reply_lines;
            state.reply_internal = seen.reply_internal;
            state.reply_names = seen.reply_names;
        }
        let whose = (self.job.claimed.root, self.job.remote.id, issue);
        let why_nothing = match answered {
            None if self.comment.change == CommentChange::Edited => {
                "the comment is older than the webhook: only what later edits add is run"
            }
            _ => "the edit adds no command",
        };
        if new.is_empty() {
            comment::remember(&mut tx, whose, &self.comment.remote_id, &state).await?;
            let why = why_nothing.to_owned();
            return self.job.settle(tx, InboxVerdict::Ignored(why)).await;
        }
        let plan = self.plan(&mut tx, issue, new).await?;
        let audience = audience(&plan, self.is_protected(), answered);
        let counts = audience == Audience::ThreadWithCounts;
        let rendered = gitlab::render(&plan.lines, dropped, &self.job.remote.bot, counts);
        state.reply_lines.extend(rendered.lines);
        let surplus = state.reply_lines.len().saturating_sub(KEPT_LINES);
        state.reply_lines.drain(..surplus);
        state.reply_internal = audience == Audience::Internal;
        state.reply_names |= plan.names_customers() && !counts;
        comment::remember(&mut tx, whose, &self.comment.remote_id, &state).await?;
        let following = self.apply(&mut tx, issue, &plan).await?;
        let effects = self.effects(&plan, &state, answered.is_none());
        let calls = Calls::put(self.job, &mut tx, effects, following).await?;
        let changes: usize = plan
            .operations
            .iter()
            .map(|operation| operation.changes.len())
            .sum();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (run, s) = (new.len(), plural(new.len()));
        let outcome = format!("{run} command{s} run, {changes} change{}", plural(changes));
        let verdict = self.job.settle(tx, InboxVerdict::Done(outcome)).await?;
        // An answer that is edited is looked up, with the note that holds it.
        let answer = answered.is_none().then_some(Answer {
            note: None,
            lines: state.reply_lines,
            internal: state.reply_internal,
            names: state.reply_names,
            comment_internal: state.is_internal,
        });
        calls.make(answer);
        // Whoever has the issue open sees its contacts change.
        if !plan.operations.is_empty() {
            self.job.worker.wake.announce(Signal::IssueContacts(issue));
        }
        Ok(verdict)
    }

    /// Returns whether every reader of the comment may see customer data. An issue that is open to more readers by now protects nothing.
    fn is_protected(&self) -> bool {
        let still_confidential = self.place.newer_confidential.unwrap_or(true);
        self.comment.internal || (self.comment.issue.confidential && still_confidential)
    }

    async fn issue(&self, connection: &mut PgConnection) -> Result<IssueId, StoreError> {
        match self.place.issue {
            Some((issue, true)) => Ok(issue),
            _ => {
                road::put_issue(
                    connection,
                    self.job.claimed.root,
                    self.place.project,
                    &self.comment.issue,
                )
                .await
            }
        }
    }

    /// Loads what the commands need and decides.
    async fn plan(
        &self,
        connection: &mut PgConnection,
        issue: IssueId,
        commands: &[Found],
    ) -> Result<Plan, StoreError> {
        let (root, group) = (self.job.claimed.root, self.place.contact_group);
        let needs = needs(commands);
        let operations = if needs.undo > 0 {
            history::standing(connection, root, issue, self.actor.person).await?
        } else {
            Vec::new()
        };
        let past: Vec<i64> = operations
            .iter()
            .take(needs.undo)
            .flat_map(|operation| operation.items().map(|item| item.0))
            .collect();
        let access = self.access(connection).await?;
        let spoken = Spoken {
            root,
            group,
            issue: Some(issue),
            place: rules::Place::Issue,
            actor: self.actor.person,
            is_member: access.contact_group.max(access.project) > Level::None,
            on: Some(self.job.remote.id),
        };
        let snapshot = Snapshot {
            watch: commanded::snapshot(connection, spoken, &needs.watch, &past).await?,
            access,
            contacts: if needs.emails.is_empty() && !needs.list && past.is_empty() {
                Vec::new()
            } else {
                item::contacts(connection, (root, group, issue), &needs, &past).await?
            },
            organizations: if needs.organizations.is_empty() {
                Vec::new()
            } else {
                item::organizations(connection, root, group, &needs.organizations).await?
            },
            operations,
            ids: if needs.ids == 0 {
                Vec::new()
            } else {
                item::reserve_ids(connection, needs.ids).await?
            },
        };
        Ok(plan(commands, snapshot, &*self.job.worker.clock))
    }

    async fn access(&self, connection: &mut PgConnection) -> Result<Access, StoreError> {
        let project = self.actor.project_level.unwrap_or(Level::None);
        let contact_group = match (&self.place.contact_group_remote, self.actor.contact_level) {
            (Some(_), level) => level.unwrap_or(Level::None),
            // The tracker does not tell of this group: Liaison's own memberships do.
            (None, _) => {
                let now = self.job.worker.clock.now();
                let (root, group) = (self.job.claimed.root, self.place.contact_group);
                access::own_level(connection, root, group, self.actor.person, now).await?
            }
        };
        // What is newer than the comment counts: an issue may have been hidden, or opened, since.
        let stated = &self.comment.issue;
        let issue = IssueFacts {
            confidential: self.place.newer_confidential.unwrap_or(stated.confidential),
            ..stated.clone()
        };
        Ok(Access {
            active: self.actor.active,
            crm_enabled: self.place.crm_enabled,
            contact_group,
            project,
            issue_readable: issue_is_readable(
                &issue,
                self.place.visibility,
                &self.comment.actor.id,
                project,
            ),
        })
    }

    async fn apply(
        &self,
        connection: &mut PgConnection,
        issue: IssueId,
        plan: &Plan,
    ) -> Result<Vec<NewEffect>, Failure> {
        if plan.operations.is_empty() {
            return Ok(Vec::new());
        }
        let scene = Scene {
            root: self.job.claimed.root,
            group: self.place.contact_group,
            issue,
            actor: self.actor.person,
            now: self.job.worker.clock.now(),
        };
        for operation in &plan.operations {
            item::apply(connection, scene, &operation.changes).await?;
        }
        history::record(connection, scene, self.job.delivery.id, &plan.operations).await?;
        watching::apply(self.job, connection, scene, &plan.operations).await
    }

    fn effects(&self, plan: &Plan, state: &SeenComment, first: bool) -> Vec<NewEffect> {
        let on = CommentRef {
            project: self.comment.project.id.clone(),
            issue: self.comment.issue.iid,
            comment: self.comment.remote_id.clone(),
            discussion: self.comment.discussion_id.clone(),
        };
        let cause = self.job.cause.clone();
        let [react_lane, reply_lane] =
            [false, true].map(|paced| gitlab::reply_lane(self.job.remote.id, &on, paced));
        let react = Effect::React {
            on: on.clone(),
            reaction: plan.reaction(),
            cause: cause.clone(),
        };
        let reply = Effect::Reply {
            on,
            reply: state.reply,
            first,
            link: self.comment.url.clone(),
            cause,
        };
        vec![
            self.effect(react_lane, react),
            self.effect(reply_lane, reply),
        ]
    }

    fn effect(&self, lane: Lane, effect: Effect) -> NewEffect {
        NewEffect {
            id: EffectId(self.job.worker.clock.id()),
            delivery: Some(self.job.delivery.id),
            connection: self.job.remote.id,
            lane,
            effect,
            lease: None,
        }
    }
}
