//! What is made of effects in a messenger.

use tokio::time::Instant;

use super::{
    Remote, Worker,
    chat::Settling,
    deliver::{Done, Failure, Maker},
    notice,
    portal::Equalizing,
    trouble::Trouble,
};
use crate::{
    connector::messenger::{Calls, Message, Messenger, Refusal},
    domain::{Effect, ReplyId},
    queue::Pending,
    store::{comment::Answer, said},
};

impl Maker for Messenger {
    async fn make(
        worker: &Worker,
        remote: &Remote<Self>,
        pending: &Pending,
        _answer: Option<Answer>,
    ) -> Result<Done, Failure> {
        match &pending.effect {
            Err(error) => Err(Failure::Unreadable(error.clone())),
            Ok(Effect::SettleChat { chat }) => {
                let settling = Settling {
                    worker,
                    remote,
                    root: pending.claimed.root,
                    chat: *chat,
                    since: Instant::now(),
                };
                Ok(settling.settle().await?.into())
            }
            Ok(Effect::EqualizePortal { item }) => {
                let equalizing = Equalizing {
                    worker,
                    remote,
                    root: pending.claimed.root,
                    item: *item,
                };
                Ok(equalizing.run().await?.into())
            }
            Ok(Effect::Answer {
                room,
                message,
                thread,
                reply,
            }) => {
                let answered = (room.as_str(), message.as_str(), thread.as_str());
                Ok(answer(worker, remote, *reply, answered).await?.into())
            }
            Ok(Effect::Notify { .. }) => Ok(notice::tell(worker, remote, pending).await?.into()),
            Ok(Effect::Reply { .. } | Effect::TellRemoved { .. } | Effect::React { .. }) => {
                Err(Failure::Misplaced)
            }
        }
    }
}

/// Sends the answer to a message. The text is read now, and its id lets the messenger know it again.
async fn answer(
    worker: &Worker,
    remote: &Remote<Messenger>,
    reply: ReplyId,
    (room, message, thread): (&str, &str, &str),
) -> Result<&'static str, Trouble> {
    let mut connection = worker.pool.acquire().await?;
    let lines = said::answer(&mut connection, remote.id, message).await?;
    drop(connection);
    let Some(lines) = lines else {
        return Ok("the message is forgotten");
    };
    remote.pace().await;
    let answer = Message {
        key: reply.0,
        markdown: &lines.join("\n"),
        answers: Some(thread),
        tag: None,
    };
    match remote.client.say(room, &answer).await? {
        Ok(_) => Ok("answered"),
        Err(Refusal::ChatGone) => Ok("the room is gone: nobody is answered"),
        Err(refusal) => Err(Trouble::Hopeless(refusal.to_string())),
    }
}
