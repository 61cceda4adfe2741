//! The chat of an item, asked for.

use super::{Asker, Crm, CrmError, error::Failure, items::Place, watch::Decided};
use crate::{
    domain::{ChatHistory, ChatId, ItemId},
    rules::Refused,
    store::{
        chat::{self, NewChat},
        observer,
        operation::{self, Told},
        policy,
        road::Fresh,
    },
};

impl Crm {
    /// Has a chat made for an item in its group's messenger; whoever asks is in it. One that is there already is compared with the list,
    /// and whoever asks comes into it.
    ///
    /// # Errors
    /// [`CrmError::NotFound`] for whoever may not read the item; [`CrmError::Invalid`] where the group has no messenger, or such items have
    /// no observers.
    pub async fn create_chat(&self, asker: Asker, item: ItemId) -> Result<ChatId, CrmError> {
        self.decide(|fresh| self.create_chat_once(asker, item, fresh))
            .await
    }

    async fn create_chat_once(
        &self,
        asker: Asker,
        item: ItemId,
        fresh: Fresh,
    ) -> Result<ChatId, Failure> {
        let mut tx = self.pool.begin().await?;
        let Place { root, group, .. } = self.towards_item(&mut tx, asker, item, fresh).await?;
        let policy = policy::of_group(&mut tx, root, group).await?;
        let messenger = policy.messenger.map(|(_, kind)| kind);
        let seen = observer::lock(&mut tx, root, &[item.0], messenger).await?;
        let mut seen = seen.into_iter().next().ok_or(Refused::NotFound)?;
        let act = self.act(asker, root, group);
        let watching = seen.watched.chat_created(asker.person, act.at)?;
        let chat = if let Some(chat) = seen.watched.chat {
            chat::reopen(&mut tx, root, chat).await?;
            chat
        } else {
            let (on, _) = policy.messenger.ok_or_else(no_messenger)?;
            let new = NewChat {
                item,
                connection: on,
                history: ChatHistory::All,
                by: Some(asker.person),
                at: act.at,
            };
            let chat = chat::create(&mut tx, root, new).await?;
            let told = Told {
                item: Some(item),
                action: "chat_created",
                detail: serde_json::Map::new(),
            };
            operation::append(&mut tx, &act, vec![told]).await?;
            (seen.watched.chat, seen.chat_on) = (Some(chat), Some(on));
            chat
        };
        let decided = [Decided::of(&seen, watching)];
        let signals = self.watch(&mut tx, &act, &policy, &decided).await?;
        tx.commit().await?;
        self.signal(&signals).await;
        Ok(chat)
    }
}

fn no_messenger() -> Refused {
    Refused::because("This group has no messenger: a Maintainer sets one for it")
}
