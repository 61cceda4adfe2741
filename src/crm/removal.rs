//! Items that go: deleted, or merged into another one; and all that belongs to them, so that it comes back with them.

use serde_json::json;
use sqlx::PgConnection;

use super::{
    Asker, Crm, CrmError,
    error::Failure,
    items::{Place, detail, locked, write},
    watch::Decided,
};
use crate::{
    domain::{ItemField, ItemId, OperationId},
    queue::Signal,
    rules::{self, Edit, Refused, Right, combined},
    store::{
        chat,
        item_fields::{self, StoredItem},
        link,
        observer::{self, Seen},
        operation::{self, Act, Told},
        policy, relation,
        road::Fresh,
    },
};

impl Crm {
    /// Deletes items of one group, with their relations and observers; their chats are closed. Returns the operation, by which it is undone.
    ///
    /// # Errors
    /// One that is not found, or is in another group than the first, stops the whole deletion.
    pub async fn delete(&self, asker: Asker, items: &[ItemId]) -> Result<OperationId, CrmError> {
        rules::may_be_deleted(items)?;
        self.decide(|fresh| self.delete_once(asker, items, fresh))
            .await
    }

    /// Merges items into one of them, all of one kind and group; returns the operation, by which it is undone.
    ///
    /// The survivor keeps his fields and gets those he lacks, the issues, observers and links of the others, and, as an organization, their
    /// contacts. `picks` says of which of them he gets a field in any case.
    pub async fn merge(
        &self,
        asker: Asker,
        survivor: ItemId,
        losers: &[ItemId],
        picks: &[(ItemField, ItemId)],
    ) -> Result<OperationId, CrmError> {
        rules::may_be_merged(survivor, losers)?;
        self.decide(|fresh| self.merge_once(asker, (survivor, losers), picks, fresh))
            .await
    }

    async fn delete_once(
        &self,
        asker: Asker,
        items: &[ItemId],
        fresh: Fresh,
    ) -> Result<OperationId, Failure> {
        let mut tx = self.pool.begin().await?;
        let first = items.first().copied().ok_or(Refused::NotFound)?;
        let Place { on, root, group } = self.towards_item(&mut tx, asker, first, fresh).await?;
        may(on, Right::DeleteContacts, "delete")?;
        let stored = locked(&mut tx, (root, group), items).await?;
        let act = self.act(asker, root, group);
        let ids: Vec<i64> = stored.iter().map(|item| item.id.0).collect();
        leave(&mut tx, &act, &ids, None).await?;
        relation::hand_over(&mut tx, &act, &ids, None).await?;
        observer::end(&mut tx, &act, &ids).await?;
        link::hand_over(&mut tx, &act, &ids, None).await?;
        item_fields::delete(&mut tx, root, &ids).await?;
        let told = stored
            .iter()
            .map(|item| removed(item, "item_deleted", None))
            .collect();
        operation::append(&mut tx, &act, told).await?;
        let chats = chat::follow(&mut tx, root, &ids).await?;
        let signals = self.settle(&mut tx, &act, chats).await?;
        tx.commit().await?;
        self.tell(&act).await;
        self.signal(&signals).await;
        Ok(act.operation)
    }

    async fn merge_once(
        &self,
        asker: Asker,
        (survivor, losers): (ItemId, &[ItemId]),
        picks: &[(ItemField, ItemId)],
        fresh: Fresh,
    ) -> Result<OperationId, Failure> {
        let mut tx = self.pool.begin().await?;
        let Place { on, root, group } = self.towards_item(&mut tx, asker, survivor, fresh).await?;
        may(on, Right::MergeContacts, "merge")?;
        let all: Vec<ItemId> = losers.iter().copied().chain([survivor]).collect();
        let stored = locked(&mut tx, (root, group), &all).await?;
        let winner = stored.iter().find(|item| item.id == survivor);
        let winner = winner.ok_or(Refused::NotFound)?;
        if stored
            .iter()
            .any(|item| !item.fields.is_like(&winner.fields))
        {
            let reason = "Items of different kinds cannot be merged with each other";
            return Err(Refused::because(reason).into());
        }
        // In the order in which they were named, since the first who has a field gives it.
        let named = losers
            .iter()
            .filter_map(|id| stored.iter().find(|item| item.id == *id));
        let mut fields = rules::merged(&winner.fields, named.map(|item| &item.fields));
        for (field, of) in picks {
            let from = stored.iter().find(|item| item.id == *of);
            fields.take(*field, &from.ok_or(Refused::NotFound)?.fields);
        }
        let act = self.act(asker, root, group);
        let gone = || stored.iter().filter(|item| item.id != survivor);
        let ids: Vec<i64> = gone().map(|item| item.id.0).collect();
        let mut signals = self.merge_people(&mut tx, &act, (survivor, losers)).await?;
        leave(&mut tx, &act, &ids, Some(survivor)).await?;
        relation::hand_over(&mut tx, &act, &ids, Some(survivor)).await?;
        link::hand_over(&mut tx, &act, &ids, Some(survivor)).await?;
        // The unique values of those who go may be what the survivor lacks.
        item_fields::delete(&mut tx, root, &ids).await?;
        let mut told: Vec<Told> = gone()
            .map(|item| removed(item, "item_merged", Some(survivor)))
            .collect();
        told.push(Told {
            item: Some(survivor),
            action: "item_merged",
            detail: detail([("losers", json!(ids))]),
        });
        operation::append(&mut tx, &act, told).await?;
        let is_renamed = fields.title() != winner.fields.title();
        let edit = Edit::between(survivor, &winner.fields, fields);
        write(&mut tx, &act, edit.into_iter().collect()).await?;
        let mut followed = ids;
        followed.extend(is_renamed.then_some(survivor.0));
        let chats = chat::follow(&mut tx, root, &followed).await?;
        signals.extend(self.settle(&mut tx, &act, chats).await?);
        tx.commit().await?;
        self.tell(&act).await;
        self.signal(&signals).await;
        Ok(act.operation)
    }

    /// Gives the people of those who go to the survivor, and a chat of theirs if he has none.
    async fn merge_people(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        (survivor, losers): (ItemId, &[ItemId]),
    ) -> Result<Vec<Signal>, Failure> {
        let policy = policy::of_group(connection, act.root, act.group).await?;
        let ids: Vec<i64> = losers.iter().map(|item| item.0).collect();
        let all: Vec<i64> = ids.iter().copied().chain([survivor.0]).collect();
        let messenger = policy.messenger.map(|(_, kind)| kind);
        let seen = observer::lock(connection, act.root, &all, messenger).await?;
        let is_survivor = |seen: &Seen| seen.watched.item == survivor;
        let mut winner = seen
            .iter()
            .find(|seen| is_survivor(seen))
            .cloned()
            .ok_or(Failure::Conflict)?;
        let others: Vec<_> = losers
            .iter()
            .filter_map(|id| seen.iter().find(|seen| seen.watched.item == *id))
            .collect();
        if winner.watched.chat.is_none()
            && let Some(with_chat) = others.iter().find(|seen| seen.watched.chat.is_some())
        {
            let from = with_chat.watched.item;
            let handed = chat::hand_over(connection, act.root, (from, survivor)).await?;
            let told = Told {
                item: Some(from),
                action: "chat_moved",
                detail: detail([("into", json!(survivor))]),
            };
            operation::append(connection, act, vec![told]).await?;
            (winner.watched.chat, winner.chat_on) = handed.unzip();
        }
        let watched: Vec<_> = others.iter().map(|seen| seen.watched.clone()).collect();
        let mut watching = combined(&winner.watched, &watched, act.at, policy.policies);
        watching.settle |= winner.watched.chat.is_some();
        observer::end(connection, act, &ids).await?;
        let decided = [Decided::of(&winner, watching)];
        self.watch(connection, act, &policy, &decided).await
    }
}

/// Refuses whoever may read an item and lacks a right on those of its group.
fn may(on: rules::OnItem, right: Right, what: &str) -> Result<(), Refused> {
    if on.access.allows(right) {
        Ok(())
    } else {
        Err(Refused::Denied(format!(
            "You have insufficient permissions to {what} contacts, organizations and items for this group"
        )))
    }
}

/// Has contacts leave the organizations among the items that go, for the heir where there is one. `items` are in the order of their ids.
async fn leave(
    connection: &mut PgConnection,
    act: &Act,
    items: &[i64],
    heir: Option<ItemId>,
) -> Result<(), Failure> {
    let contacts = item_fields::contacts_of(connection, act.root, items).await?;
    if contacts.is_empty() {
        return Ok(());
    }
    item_fields::hand_over(connection, act.root, (items, heir), act.at).await?;
    let told = contacts
        .into_iter()
        // What goes itself comes back as it was.
        .filter(|(contact, _)| items.binary_search(&contact.0).is_err())
        .map(|(contact, organization)| Told {
            item: Some(contact),
            action: "item_edited",
            detail: detail([
                ("before", json!({ "organization": organization })),
                ("after", json!({ "organization": heir })),
            ]),
        })
        .collect();
    operation::append(connection, act, told).await?;
    Ok(())
}

/// Tells of an item that goes, with all that is needed to bring it back.
fn removed(item: &StoredItem, action: &'static str, into: Option<ItemId>) -> Told {
    let mut detail = detail([
        ("fields", json!(item.fields)),
        ("created_at", json!(item.created_at)),
        (
            "responsible",
            json!(item.responsible.map(|responsible| responsible.person)),
        ),
        (
            "responsible_in_chat",
            json!(
                item.responsible
                    .is_none_or(|responsible| responsible.in_chat)
            ),
        ),
    ]);
    if let Some(into) = into {
        detail.insert("into".to_owned(), json!(into));
    }
    Told {
        item: Some(item.id),
        action,
        detail,
    }
}
