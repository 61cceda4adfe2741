//! A note on an issue that answers no comment: what a move took from it.

use http::StatusCode;

use super::{Remote, Worker, deliver::Failure};
use crate::{
    connector::gitlab::{CallError, Thread, removed_contacts},
    domain::ReplyId,
};

/// A note about removed contacts, on its way to its issue. It has no names, so it may stand on any.
pub(super) struct Told<'a> {
    pub(super) on: Thread<'a>,
    pub(super) contacts: usize,
    pub(super) note: ReplyId,
    pub(super) cause: Option<&'a str>,
}

impl Told<'_> {
    /// Posts the note, unless an earlier attempt, which `may_be_there`, did.
    pub(super) async fn post(
        &self,
        worker: &Worker,
        remote: &Remote,
        may_be_there: bool,
    ) -> Result<&'static str, Failure> {
        remote.pace().await;
        if may_be_there {
            let bot = remote.bot_id(&worker.pool).await?;
            let found = remote.client.find_reply(self.on, self.note, bot).await?;
            if found.is_some() {
                return Ok("note was posted before");
            }
        }
        let text = removed_contacts(self.contacts, self.note);
        match remote
            .client
            .post_reply(self.on, &text, false, self.cause)
            .await
        {
            Ok(_) => Ok("note posted"),
            // Deleted, moved on, or out of the bot's sight by now.
            Err(CallError::Status { status, .. }) if status == StatusCode::NOT_FOUND => {
                Ok("the issue is gone: nobody is told")
            }
            Err(error) => Err(error.into()),
        }
    }
}
