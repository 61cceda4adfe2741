//! A comment: what is known of it is looked at, what is missing is asked for, and what follows is put together.

use super::{
    decide::decide,
    lookup::{Questions, outside},
    process::{Failure, Job},
};
use crate::{
    connector::gitlab,
    domain::{
        Comment, CommentChange, CommentRef, Effect, EffectId, IssueFacts, IssueId, Lane, Level,
        Reactions, Replies, ReplyId,
    },
    queue::{InboxVerdict, NewEffect},
    quick_action::{Dialect, Found, Parsed, Signature, added, parse},
    rules::{Access, Audience, Plan, audience, issue_is_readable},
    store::{
        StoreError,
        comment::{Answer, SeenComment},
        item::Scene,
        road::{Actor, Place, Surroundings},
    },
};

/// How often a decision is made anew because something changed meanwhile, questions to the tracker included.
const ROUNDS: usize = 6;
/// Lines that an answer keeps through many edits.
const KEPT_LINES: usize = 100;

/// A comment that may have something to be done.
pub(super) struct Posted<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) comment: &'a Comment,
    parsed: Parsed,
}

impl<'a> Posted<'a> {
    /// Reads the commands of a comment. Fails with the reason where nothing is to be done whoever wrote it.
    pub(super) fn read(job: &'a Job<'a>, comment: &'a Comment) -> Result<Self, &'static str> {
        let dialect = Dialect {
            bot: Some(&job.remote.bot),
            slash: true,
        };
        let parsed = parse(&comment.text, &dialect);
        if parsed.unscanned {
            return Err("the comment is too long or too deeply nested to be searched for commands");
        }
        if parsed.commands.is_empty() && comment.change == CommentChange::Created {
            return Err(NO_COMMANDS);
        }
        Ok(Self {
            job,
            comment,
            parsed,
        })
    }

    /// Returns why nothing is done for who wrote the comment, as far as the event tells.
    pub(super) fn author_is_ignored(&self, bot: &str) -> Option<&'static str> {
        let actor = &self.comment.actor;
        if actor.id == bot {
            Some("written by the bot itself")
        } else if actor.is_bot && !self.job.remote.allow_bots {
            Some(ANOTHER_BOT)
        } else {
            None
        }
    }

    /// Returns what is to be done about the comment.
    pub(super) fn stance(&self, known: Surroundings) -> Stance<'_> {
        if self.parsed.commands.is_empty() && known.seen.is_none() {
            return Stance::Ignore(NO_COMMANDS.to_owned());
        }
        if let Some(questions) = Questions::about(&known) {
            return Stance::Ask(questions);
        }
        let (place, actor) = match (known.project, known.actor) {
            (Some(place), Some(actor)) if place.within => (place, actor),
            _ => return Stance::Ignore(outside(&self.comment.project)),
        };
        if actor.is_bot && !self.job.remote.allow_bots {
            return Stance::Ignore(ANOTHER_BOT.to_owned());
        }
        let parsed = &self.parsed;
        let (new, dropped) = match &known.seen {
            Some(seen) if seen.version > self.comment.updated_at => {
                let why = "an older version of the comment than the one acted on";
                return Stance::Ignore(why.to_owned());
            }
            Some(seen) => (
                added(&seen.commands, parsed.commands.clone()),
                parsed.dropped,
            ),
            None if self.comment.change == CommentChange::Edited
                && self.comment.created_at < known.webhook_since =>
            {
                (Vec::new(), 0)
            }
            None => (parsed.commands.clone(), parsed.dropped),
        };
        Stance::Act(Box::new(Run {
            posted: self,
            place,
            actor,
            new,
            dropped,
            seen: known.seen,
        }))
    }
}

const NO_COMMANDS: &str = "no commands in it";
const ANOTHER_BOT: &str = "written by another bot";

/// What is to be done about a comment.
pub(super) enum Stance<'a> {
    /// Nothing, for this reason.
    Ignore(String),
    /// The tracker has to be asked first.
    Ask(Questions),
    /// Its commands are run.
    Act(Box<Run<'a>>),
}

/// Acts on a comment.
pub(super) async fn comment(job: &Job<'_>, comment: &Comment) -> Result<InboxVerdict, Failure> {
    let posted = match Posted::read(job, comment) {
        Ok(posted) => posted,
        Err(reason) => return job.ignore(reason).await,
    };
    let bot = job.remote.bot_id(&job.worker.pool).await?;
    if let Some(reason) = posted.author_is_ignored(bot) {
        return job.ignore(reason).await;
    }
    // Once for all rounds: what was asked meanwhile is newer than this.
    let mut fresh = job.fresh();
    for _ in 0..ROUNDS {
        let mut decided = match decide(job, std::slice::from_ref(&posted), Vec::new(), fresh).await
        {
            Err(Failure::Store(StoreError::Conflict { constraint })) => {
                tracing::debug!(constraint, "met another change; deciding again");
                continue;
            }
            decided => decided?,
        };
        if let Some(settled) = decided.settled.pop() {
            return Ok(settled.verdict);
        }
        if let Some(questions) = decided.questions {
            if !Box::pin(questions.ask(job, comment)).await? {
                return job.ignore(outside(&comment.project)).await;
            }
            fresh.asked = true;
        }
    }
    Err(Failure::Store(StoreError::Conflict {
        constraint: "every attempt".to_owned(),
    }))
}

/// A comment that is acted on, with all that had to be asked.
pub(super) struct Run<'a> {
    pub(super) posted: &'a Posted<'a>,
    pub(super) place: Place,
    pub(super) actor: Actor,
    /// The commands that are run. Without any, the version is remembered, so that a later edit is compared with it.
    pub(super) new: Vec<Found>,
    dropped: usize,
    seen: Option<SeenComment>,
}

/// What follows from a comment.
pub(super) struct Outcome {
    /// How it is remembered, with the answer.
    pub(super) state: SeenComment,
    /// The changes, where commands were run.
    pub(super) plan: Option<Plan>,
    pub(super) verdict: InboxVerdict,
    /// Whether this is its first answer.
    first: bool,
}

impl Run<'_> {
    /// Returns what the changes are about.
    pub(super) fn scene(&self, issue: IssueId) -> Scene {
        Scene {
            group: self.place.contact_group,
            issue,
            actor: self.actor.person,
            delivery: self.posted.job.delivery.id,
        }
    }

    /// Returns what the person may do; `own` is his level by Liaison's own memberships, which counts where the tracker does not tell.
    pub(super) fn access(&self, own: Option<Level>) -> Access {
        let project = self.actor.project_level.unwrap_or(Level::None);
        let contact_group = match &self.place.contact_group_remote {
            Some(_) => self.actor.contact_level,
            None => own,
        };
        // What is newer than the comment counts: an issue may have been hidden, or opened, since.
        let stated = &self.posted.comment.issue;
        let issue = IssueFacts {
            confidential: self.place.newer_confidential.unwrap_or(stated.confidential),
            ..stated.clone()
        };
        Access {
            active: self.actor.active,
            crm_enabled: self.place.crm_enabled,
            contact_group: contact_group.unwrap_or(Level::None),
            project,
            issue_readable: issue_is_readable(
                &issue,
                self.place.visibility,
                &self.posted.comment.actor.id,
                project,
            ),
        }
    }

    /// Puts together what follows from a plan; without one, no command is run.
    pub(super) fn conclude(&mut self, plan: Option<Plan>) -> Outcome {
        let Posted {
            job,
            comment,
            parsed,
        } = self.posted;
        let mut state = SeenComment {
            version: comment.updated_at,
            commands: parsed.commands.iter().map(Signature::from).collect(),
            reply: ReplyId(job.worker.clock.id()),
            reply_lines: Vec::new(),
            is_internal: comment.internal,
            reply_internal: false,
            reply_names: false,
        };
        let seen = self.seen.take();
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
        let verdict = match &plan {
            Some(plan) => {
                // One that was answered before is told all that follows: readers would take the old answer for the whole.
                if answered.is_some() || self.place.replies == Replies::Always || plan.informs() {
                    self.answer(plan, answered, &mut state);
                }
                self.ran(plan)
            }
            None if answered.is_none() && comment.change == CommentChange::Edited => {
                InboxVerdict::Ignored(
                    "the comment is older than the webhook: only what later edits add is run"
                        .to_owned(),
                )
            }
            None => InboxVerdict::Ignored("the edit adds no command".to_owned()),
        };
        Outcome {
            state,
            plan,
            verdict,
            first: answered.is_none(),
        }
    }

    /// Adds the lines of a plan to the answer, and decides where it stands. `answered` tells where an earlier one does.
    fn answer(&self, plan: &Plan, answered: Option<bool>, state: &mut SeenComment) {
        let audience = audience(plan, self.is_protected(), answered);
        let counts = audience == Audience::ThreadWithCounts;
        let bot = &self.posted.job.remote.bot;
        let rendered = gitlab::render(&plan.lines, self.dropped, bot, counts);
        state.reply_lines.extend(rendered.lines);
        let surplus = state.reply_lines.len().saturating_sub(KEPT_LINES);
        state.reply_lines.drain(..surplus);
        state.reply_internal = audience == Audience::Internal;
        state.reply_names |= plan.names_customers() && !counts;
    }

    fn ran(&self, plan: &Plan) -> InboxVerdict {
        let changes: usize = plan
            .operations
            .iter()
            .map(|operation| operation.changes.len())
            .sum();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (run, s) = (self.new.len(), plural(self.new.len()));
        InboxVerdict::Done(format!(
            "{run} command{s} run, {changes} change{}",
            plural(changes)
        ))
    }

    /// Returns whether every reader of the comment may see customer data. An issue that is open to more readers by now protects nothing.
    fn is_protected(&self) -> bool {
        let still_confidential = self.place.newer_confidential.unwrap_or(true);
        let comment = self.posted.comment;
        comment.internal || (comment.issue.confidential && still_confidential)
    }

    /// Returns the calls that follow, each with the answer that it posts. An answer that is edited is looked up when it is posted, with the note
    /// that holds it.
    pub(super) fn effects(&self, outcome: &Outcome) -> Vec<(NewEffect, Option<Answer>)> {
        let Some(plan) = &outcome.plan else {
            return Vec::new();
        };
        let Posted { job, comment, .. } = self.posted;
        let on = CommentRef {
            project: comment.project.id.clone(),
            issue: comment.issue.iid,
            comment: comment.remote_id.clone(),
            discussion: comment.discussion_id.clone(),
        };
        let cause = job.cause.clone();
        let [react_lane, reply_lane] =
            [false, true].map(|paced| gitlab::reply_lane(job.remote.id, &on, paced));
        let react = Effect::React {
            on: on.clone(),
            reaction: plan.reaction(),
            cause: cause.clone(),
        };
        let react = (self.place.reactions == Reactions::Always)
            .then(|| (effect(job, react_lane, react), None));
        let state = &outcome.state;
        if state.reply_lines.is_empty() {
            return react.into_iter().collect();
        }
        let reply = Effect::Reply {
            on,
            reply: state.reply,
            first: outcome.first,
            link: comment.url.clone(),
            cause,
        };
        let answer = outcome.first.then(|| Answer {
            note: None,
            lines: state.reply_lines.clone(),
            internal: state.reply_internal,
            names: state.reply_names,
            comment_internal: state.is_internal,
        });
        let reply = (effect(job, reply_lane, reply), answer);
        react.into_iter().chain([reply]).collect()
    }
}

fn effect(job: &Job<'_>, lane: Lane, effect: Effect) -> NewEffect {
    NewEffect {
        id: EffectId(job.worker.clock.id()),
        delivery: Some(job.delivery.id),
        connection: job.remote.id,
        lane,
        effect,
        lease: None,
    }
}
