//! The answer to a comment: posted once, brought up to date in place, and never where readers would see what they may not.

use http::StatusCode;

use super::{
    Remote, Worker,
    deliver::{Done, Failure},
};
use crate::{
    connector::gitlab::{CallError, Rendered, standing_apart},
    domain::{CommentRef, ReplyId},
    queue::Pending,
    store::comment::{self, Answer, PostedReply},
};

/// The answer to a comment, on its way to be as the store has it.
pub(super) struct Reply<'a> {
    pub(super) on: &'a CommentRef,
    pub(super) id: ReplyId,
    /// Whether an earlier attempt may have posted it without living to tell.
    pub(super) may_be_there: bool,
    pub(super) link: Option<&'a str>,
    pub(super) cause: Option<&'a str>,
}

impl Reply<'_> {
    /// Posts it, or brings the posted one up to date. `answer` is what it says, where whoever decided it knows.
    pub(super) async fn put(
        &self,
        worker: &Worker,
        remote: &Remote,
        pending: &Pending,
        answer: Option<Answer>,
    ) -> Result<Done, Failure> {
        remote.pace().await;
        let answer = match answer {
            Some(answer) => Some(answer),
            // Read now and not when the effect was made: a replay of an old one brings no old text back.
            None => {
                let mut connection = worker.pool.acquire().await?;
                let whose = (pending.claimed.root, remote.id);
                comment::answer(&mut connection, whose, &self.on.comment).await?
            }
        };
        let Some(answer) = answer else {
            return Ok("the issue is forgotten, and its answers with it".into());
        };
        let exposed = self.would_be_exposed(&answer, remote).await?;
        let apart = answer.internal || exposed;
        let mut text = Rendered::body(&answer.lines, self.id);
        if apart {
            text = standing_apart(&text, self.link);
        }
        if let Some(note) = &answer.note {
            return if exposed {
                Ok(
                    "the issue is not confidential any more: the answer, which names customers, stays as it was".into(),
                )
            } else {
                Ok(self.edit(remote, note, &text).await?.into())
            };
        }
        let found = if self.may_be_there {
            let bot = remote.bot_id(&worker.pool).await?;
            remote.client.find_reply(self.on, self.id, bot).await?
        } else {
            None
        };
        let (note, outcome) = match found {
            Some((note, posted)) if posted.trim() == text.trim() => {
                (note, "answer was posted before")
            }
            Some((note, _)) => {
                self.edit(remote, &note, &text).await?;
                (note, "answer was posted before, and brought up to date")
            }
            None => {
                let hidden = apart || answer.names || answer.comment_internal;
                (
                    self.post(remote, &text, apart, hidden).await?,
                    "answer posted",
                )
            }
        };
        Ok(Done {
            outcome,
            posted: Some(PostedReply {
                root: pending.claimed.root,
                comment: self.on.comment.clone(),
                note,
            }),
        })
    }

    /// Returns whether the answer, which names customers in an open thread since the issue was confidential, would now be read by others.
    async fn would_be_exposed(&self, answer: &Answer, remote: &Remote) -> Result<bool, Failure> {
        if !answer.names || answer.internal || answer.comment_internal {
            return Ok(false);
        }
        let asked = remote
            .client
            .issue_is_confidential(&self.on.project, self.on.issue);
        Ok(asked.await? == Some(false))
    }

    async fn edit(&self, remote: &Remote, note: &str, text: &str) -> Result<&'static str, Failure> {
        let there = remote
            .client
            .edit_note(self.on, note, text, self.cause)
            .await?;
        Ok(if there {
            "answer brought up to date"
        } else {
            "the answer was deleted over there and stays deleted"
        })
    }

    /// Posts in the thread, or apart; `hidden` is whether readers of the issue at large may not see it.
    async fn post(
        &self,
        remote: &Remote,
        text: &str,
        apart: bool,
        hidden: bool,
    ) -> Result<String, Failure> {
        let post = |on, internal| remote.client.post_reply(on, text, internal, self.cause);
        match post(self.on, apart).await {
            // The thread is gone with the comment: whoever asked still gets the answer, on the issue, where it may stand there.
            Err(CallError::Status { status, .. })
                if status == StatusCode::NOT_FOUND && self.on.discussion.is_some() && !apart =>
            {
                // In a confidential issue an internal note hides nothing from anybody, and needs no more rights than a comment.
                let on = CommentRef {
                    discussion: None,
                    ..self.on.clone()
                };
                let posted = remote.client.post_reply(&on, text, hidden, self.cause);
                Ok(posted.await?)
            }
            other => Ok(other?),
        }
    }
}
