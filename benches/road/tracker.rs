//! The sandbox tracker in a process of its own, with an issue and a comment with a command for each delivery to come.

use std::io::BufRead;

use anyhow::Context;
use liaison::{
    sandbox::{Demo, NewIssue, Sandbox, State},
    server,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    report,
    stage::{BOT_TOKEN, CONTACTS},
};

/// A comment that was posted, as far as its hook tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Posted {
    pub(crate) project: u64,
    pub(crate) path: String,
    pub(crate) issue: u64,
    pub(crate) iid: u64,
    pub(crate) note: u64,
    pub(crate) discussion: String,
    pub(crate) author: u64,
    pub(crate) text: String,
}

/// How far the bot is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Comments that are answered.
    pub(crate) answered: usize,
    /// When the last answer came, in microseconds since 1970.
    pub(crate) last: i64,
}

/// Serves until standard input ends. A line of it asks: `comments` for what was posted, `progress`, or `times` for the moment of each answer,
/// in the order of the comments.
pub(crate) async fn run(comments: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sandbox = Sandbox::new(format!("http://{address}").parse()?);
    let demo = sandbox.seed_demo(BOT_TOKEN)?;
    let posted = (0..comments)
        .map(|number| post(&sandbox, &demo, number))
        .collect::<anyhow::Result<Vec<_>>>()?;
    report::line(&address.to_string())?;
    let stop = CancellationToken::new();
    let (asked, state) = (stop.clone(), sandbox.clone());
    let answering = std::thread::spawn(move || {
        let answered = answer(&state, &demo, &posted);
        asked.cancel();
        answered
    });
    server::serve(listener, sandbox.router(), 1024, stop).await;
    sandbox.shutdown().await;
    answering
        .join()
        .map_err(|_| anyhow::anyhow!("the answering thread panicked"))?
}

fn post(sandbox: &Sandbox, demo: &Demo, number: usize) -> anyhow::Result<Posted> {
    let issue = sandbox.create_issue(NewIssue {
        project: demo.desk,
        author: demo.rita,
        title: format!("Order {number}: chairs arrived damaged"),
        ..NewIssue::default()
    });
    let text = format!(
        "Talked to them on the phone.\n\n> quoted\n\n/add_contacts c{}@example.com",
        number % CONTACTS + 1
    );
    let note = sandbox.comment(issue, demo.rita, &text)?;
    sandbox
        .read(|state| {
            let (issue, written) = (state.issue(issue)?, state.note(note)?);
            Some(Posted {
                project: demo.desk,
                path: state.project(demo.desk)?.path_with_namespace.clone(),
                issue: issue.id,
                iid: issue.iid,
                note,
                discussion: written.discussion_id.clone(),
                author: demo.rita,
                text,
            })
        })
        .context("the comment is not there")
}

fn answer(sandbox: &Sandbox, demo: &Demo, posted: &[Posted]) -> anyhow::Result<()> {
    let answered_at = |state: &State, posted: &Posted| {
        state
            .notes(posted.issue)
            .find(|note| note.author == demo.liaison)
            .map(|note| note.created_at.timestamp_micros())
    };
    for question in std::io::stdin().lock().lines() {
        let times = || {
            sandbox.read(|state| {
                let times = posted.iter().map(|posted| answered_at(state, posted));
                times.collect::<Vec<_>>()
            })
        };
        let answer = match question?.as_str() {
            "comments" => serde_json::to_string(posted)?,
            "times" => serde_json::to_string(&times())?,
            _ => {
                let times: Vec<i64> = times().into_iter().flatten().collect();
                serde_json::to_string(&Progress {
                    answered: times.len(),
                    last: times.into_iter().max().unwrap_or_default(),
                })?
            }
        };
        report::line(&answer)?;
    }
    Ok(())
}
