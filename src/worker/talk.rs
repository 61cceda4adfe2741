//! What is made of effects in a messenger.

use tokio::time::Instant;

use super::{
    Remote, Worker,
    chat::Settling,
    deliver::{Done, Failure, Maker},
    notice,
};
use crate::{
    connector::messenger::Messenger, domain::Effect, queue::Pending, store::comment::Answer,
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
            Ok(Effect::Notify { .. }) => Ok(notice::tell(worker, remote, pending).await?.into()),
            Ok(Effect::Reply { .. } | Effect::TellRemoved { .. } | Effect::React { .. }) => {
                Err(Failure::Misplaced)
            }
        }
    }
}
