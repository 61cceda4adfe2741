//! Notes and reactions: what the bot writes on issues.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{CallError, Client, Request, WireId};
use crate::{
    connector::gitlab::render::marker,
    domain::{CommentRef, Reaction, ReplyId},
};

/// Pages of an issue's notes that are searched for a lost reply, newest first; small ones, since a note may have a megabyte.
const SEARCHED_PAGES: u32 = 25;

#[derive(Deserialize)]
struct WireIssue {
    #[serde(default)]
    confidential: bool,
    service_desk_reply_to: Option<String>,
}

#[derive(Deserialize)]
struct WireNote {
    id: i64,
    body: String,
    author: WireAuthor,
}

#[derive(Deserialize)]
struct WireAuthor {
    id: i64,
}

#[derive(Deserialize)]
struct WireDiscussion {
    notes: Vec<WireNote>,
}

/// Where a note is to stand: on an issue, or in one of its threads.
#[derive(Debug, Clone, Copy)]
pub struct Thread<'a> {
    /// Remote id of the project.
    pub project: &'a str,
    /// Number of the issue within the project.
    pub issue: i64,
    /// Remote id of the thread.
    pub discussion: Option<&'a str>,
}

impl<'a> From<&'a CommentRef> for Thread<'a> {
    fn from(comment: &'a CommentRef) -> Self {
        Self {
            project: &comment.project,
            issue: comment.issue,
            discussion: comment.discussion.as_deref(),
        }
    }
}

impl Client {
    /// Returns whether an issue is confidential, or none where the bot sees no such issue.
    pub async fn issue_is_confidential(
        &self,
        project: &str,
        iid: i64,
    ) -> Result<Option<bool>, CallError> {
        let issue = self.issue(project, iid).await?;
        Ok(issue.map(|issue| issue.confidential))
    }

    /// Returns the address of whoever opened an issue by mail (Service Desk), or none where nobody did. GitLab obscures it for those
    /// who may not see it.
    pub async fn external_author(
        &self,
        project: &str,
        iid: i64,
    ) -> Result<Option<String>, CallError> {
        let issue = self.issue(project, iid).await?;
        Ok(issue.and_then(|issue| issue.service_desk_reply_to))
    }

    async fn issue(&self, project: &str, iid: i64) -> Result<Option<WireIssue>, CallError> {
        let iid = iid.to_string();
        let path = ["projects", project, "issues", &iid];
        self.find(Request::get("GET issue", &path)).await
    }

    /// Looks for a reply that was posted though its answer was lost; returns the note's id and text.
    ///
    /// The thread is looked through first, then the issue's newest notes, since a reply may stand apart from its thread.
    pub async fn find_reply<'a>(
        &self,
        on: impl Into<Thread<'a>>,
        reply: ReplyId,
        bot: &str,
    ) -> Result<Option<(String, String)>, CallError> {
        let on = on.into();
        let marker = marker(reply);
        let ours = |notes: Vec<WireNote>| {
            let is_ours =
                |note: &WireNote| note.author.id.to_string() == bot && note.body.contains(&marker);
            let found = notes.into_iter().find(is_ours);
            found.map(|note| (note.id.to_string(), note.body))
        };
        let iid = on.issue.to_string();
        let issue = ["projects", on.project, "issues", iid.as_str()];
        if let Some(discussion) = on.discussion {
            let path = [&issue[..], &["discussions", discussion]].concat();
            let thread = self.find(Request::get("GET discussion", &path)).await?;
            let thread: Option<WireDiscussion> = thread;
            if let Some(found) = thread.and_then(|thread| ours(thread.notes)) {
                return Ok(Some(found));
            }
        }
        let path = [&issue[..], &["notes"]].concat();
        for page in 1..=SEARCHED_PAGES {
            let page = page.to_string();
            let mut request = Request::get("GET notes", &path);
            let query = [
                ("sort", "desc"),
                ("order_by", "created_at"),
                ("per_page", "20"),
                ("page", &page),
            ];
            request.query = &query;
            let notes: Vec<WireNote> = self.read(request).await?;
            let is_last = notes.len() < 20;
            if let Some(found) = ours(notes) {
                return Ok(Some(found));
            }
            if is_last {
                break;
            }
        }
        Ok(None)
    }

    /// Posts a reply in the thread of a comment, or apart as an internal note; returns the note's id.
    pub async fn post_reply<'a>(
        &self,
        on: impl Into<Thread<'a>>,
        body: &str,
        internal: bool,
        cause: Option<&str>,
    ) -> Result<String, CallError> {
        let on = on.into();
        let iid = on.issue.to_string();
        let issue = ["projects", on.project, "issues", iid.as_str()];
        let (call, path, json) = match on.discussion.filter(|_| !internal) {
            Some(discussion) => (
                "POST reply",
                [&issue[..], &["discussions", discussion, "notes"]].concat(),
                json!({ "body": body }),
            ),
            None => (
                "POST note",
                [&issue[..], &["notes"]].concat(),
                json!({ "body": body, "internal": internal }),
            ),
        };
        let mut request = Request::write(call, Method::POST, &path, json);
        request.cause = cause;
        let note: WireId = self.read(request).await?;
        Ok(note.id.to_string())
    }

    /// Changes the text of the bot's note; returns false where the note is gone.
    pub async fn edit_note(
        &self,
        on: &CommentRef,
        note: &str,
        body: &str,
        cause: Option<&str>,
    ) -> Result<bool, CallError> {
        let iid = on.issue.to_string();
        let path = ["projects", &on.project, "issues", &iid, "notes", note];
        let mut request = Request::write("PUT note", Method::PUT, &path, json!({ "body": body }));
        request.cause = cause;
        let note: Option<WireId> = self.find(request).await?;
        Ok(note.is_some())
    }

    /// Puts a reaction on a comment; one that is there already counts as done, and so does a comment that is gone.
    pub async fn react(
        &self,
        on: &CommentRef,
        reaction: Reaction,
        cause: Option<&str>,
    ) -> Result<(), CallError> {
        let name = match reaction {
            Reaction::Done => "white_check_mark",
            Reaction::Attention => "warning",
        };
        let iid = on.issue.to_string();
        let path = [
            "projects",
            &on.project,
            "issues",
            &iid,
            "notes",
            &on.comment,
            "award_emoji",
        ];
        let mut request = Request::write(
            "POST award_emoji",
            Method::POST,
            &path,
            json!({ "name": name }),
        );
        request.cause = cause;
        // GitLab answers 404 both for "has already been taken" and for a comment that was deleted.
        self.find::<WireId>(request).await.map(drop)
    }
}
