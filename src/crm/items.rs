//! Contacts and organizations: created, edited, deleted, merged.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::{Asker, Crm, CrmError, error::Failure};
use crate::{
    domain::{
        ContactForm, ContactPatch, GroupId, ItemField, ItemForm, ItemId, ItemPatch, OperationId,
        OrganizationForm, OrganizationPatch, RootId,
    },
    rules::{self, Access, Edit, Refused, Right},
    store::{
        item,
        item_fields::{self, StoredItem},
        operation::{self, Act, Told},
        relation,
        road::Fresh,
        standing::{self, Held},
    },
};

impl Crm {
    /// Creates a contact in the group that is to hold it; returns its id.
    pub async fn create_contact(
        &self,
        asker: Asker,
        group: GroupId,
        form: &ContactForm,
    ) -> Result<ItemId, CrmError> {
        let form = ItemForm::Contact(form.clone());
        self.decide(|fresh| self.create(asker, group, &form, fresh))
            .await
    }

    /// Changes a contact. What is as it should be is not written again. Whoever says when what he saw had been changed last is refused
    /// where somebody changed it since.
    ///
    /// # Errors
    /// [`CrmError::Changed`] where it is not any more what was seen.
    pub async fn update_contact(
        &self,
        asker: Asker,
        contact: ItemId,
        patch: &ContactPatch,
        seen: Option<DateTime<Utc>>,
    ) -> Result<(), CrmError> {
        let patch = ItemPatch::Contact(patch.clone());
        self.decide(|fresh| self.update(asker, contact, (&patch, seen), fresh))
            .await
    }

    /// Creates an organization in the group that is to hold it; returns its id.
    pub async fn create_organization(
        &self,
        asker: Asker,
        group: GroupId,
        form: &OrganizationForm,
    ) -> Result<ItemId, CrmError> {
        let form = ItemForm::Organization(form.clone());
        self.decide(|fresh| self.create(asker, group, &form, fresh))
            .await
    }

    /// Changes an organization, as [`Self::update_contact`] does a contact.
    ///
    /// # Errors
    /// [`CrmError::Changed`] where it is not any more what was seen.
    pub async fn update_organization(
        &self,
        asker: Asker,
        organization: ItemId,
        patch: &OrganizationPatch,
        seen: Option<DateTime<Utc>>,
    ) -> Result<(), CrmError> {
        let patch = ItemPatch::Organization(patch.clone());
        self.decide(|fresh| self.update(asker, organization, (&patch, seen), fresh))
            .await
    }

    /// Deletes contacts and organizations of one group, with their relations; returns the operation, by which it is undone.
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
    /// The survivor keeps his fields and gets those he lacks, the issues of the others, and, as an organization, their contacts.
    /// `picks` says of which of them he gets a field in any case.
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

    async fn create(
        &self,
        asker: Asker,
        group: GroupId,
        form: &ItemForm,
        fresh: Fresh,
    ) -> Result<ItemId, Failure> {
        let mut tx = self.pool.begin().await?;
        let root = standing::root_of_group(&mut tx, group).await?;
        let root = root.ok_or(Refused::NotFound)?;
        let place = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(&mut tx, asker.person, place, fresh)
            .await?;
        rules::may_manage(&access, form.kind())?;
        let which = (form.kind(), None);
        let (unique, organization) = (form.unique(), form.organization());
        let beside =
            item_fields::beside(&mut tx, (root, group), which, unique, organization).await?;
        let fields = rules::check(form.kind(), form.check(), beside)?;
        let ids = item::reserve_ids(&mut tx, 1).await?;
        let id = ids.first().copied().ok_or(Failure::Conflict)?;
        let act = self.act(asker, root, group);
        let told = Told {
            item: Some(id),
            action: "item_created",
            detail: detail([("fields", json!(fields))]),
        };
        item_fields::insert(&mut tx, (root, group), &[(id, fields, act.at)], act.at).await?;
        operation::append(&mut tx, &act, vec![told]).await?;
        tx.commit().await?;
        self.notify(group, &[]).await;
        Ok(id)
    }

    async fn update(
        &self,
        asker: Asker,
        item: ItemId,
        (patch, seen): (&ItemPatch, Option<DateTime<Utc>>),
        fresh: Fresh,
    ) -> Result<(), Failure> {
        let mut tx = self.pool.begin().await?;
        let (access, root, group) = self.towards_item(&mut tx, asker, item, fresh).await?;
        let stored = locked(&mut tx, (root, group), &[item]).await?;
        let stored = stored.first().ok_or(Refused::NotFound)?;
        let before = &stored.fields;
        let (form, active) = patch.onto(before).ok_or(Refused::NotFound)?;
        rules::may_manage(&access, form.kind())?;
        if seen.is_some_and(|seen| seen != stored.updated_at) {
            return Err(Failure::Changed);
        }
        let which = (form.kind(), Some(item));
        let (unique, organization) = (form.unique(), form.organization());
        let mut beside =
            item_fields::beside(&mut tx, (root, group), which, unique, organization).await?;
        // What is there may be edited, though the group takes no more.
        beside.group_holds = true;
        let fields = rules::check(form.kind(), form.check(), beside)?.with_state(active);
        if let Some(edit) = Edit::between(item, before, fields) {
            write(&mut tx, &self.act(asker, root, group), vec![edit]).await?;
            tx.commit().await?;
            self.notify(group, &[]).await;
        }
        Ok(())
    }

    async fn delete_once(
        &self,
        asker: Asker,
        items: &[ItemId],
        fresh: Fresh,
    ) -> Result<OperationId, Failure> {
        let mut tx = self.pool.begin().await?;
        let first = items.first().copied().ok_or(Refused::NotFound)?;
        let (access, root, group) = self.towards_item(&mut tx, asker, first, fresh).await?;
        rules::may(
            &access,
            Right::DeleteContacts,
            "delete contacts and organizations",
        )?;
        let stored = locked(&mut tx, (root, group), items).await?;
        let act = self.act(asker, root, group);
        let ids: Vec<i64> = stored.iter().map(|item| item.id.0).collect();
        leave(&mut tx, &act, &ids, None).await?;
        relation::hand_over(&mut tx, &act, &ids, None).await?;
        item_fields::delete(&mut tx, root, &ids).await?;
        let told = stored
            .iter()
            .map(|item| removed(item, "item_deleted", None))
            .collect();
        operation::append(&mut tx, &act, told).await?;
        tx.commit().await?;
        self.tell(&act).await;
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
        let (access, root, group) = self.towards_item(&mut tx, asker, survivor, fresh).await?;
        rules::may(
            &access,
            Right::MergeContacts,
            "merge contacts and organizations",
        )?;
        let all: Vec<ItemId> = losers.iter().copied().chain([survivor]).collect();
        let stored = locked(&mut tx, (root, group), &all).await?;
        let winner = stored.iter().find(|item| item.id == survivor);
        let winner = winner.ok_or(Refused::NotFound)?;
        if stored
            .iter()
            .any(|item| item.fields.kind() != winner.fields.kind())
        {
            let reason = "Contacts and organizations cannot be merged with each other";
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
        leave(&mut tx, &act, &ids, Some(survivor)).await?;
        relation::hand_over(&mut tx, &act, &ids, Some(survivor)).await?;
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
        let edit = Edit::between(survivor, &winner.fields, fields);
        write(&mut tx, &act, edit.into_iter().collect()).await?;
        tx.commit().await?;
        self.tell(&act).await;
        Ok(act.operation)
    }

    /// Returns what the asker may do with an item, and where it is.
    async fn towards_item(
        &self,
        connection: &mut PgConnection,
        asker: Asker,
        item: ItemId,
        fresh: Fresh,
    ) -> Result<(Access, RootId, GroupId), Failure> {
        let place = item_fields::place(connection, item).await?;
        let (root, group) = place.ok_or(Refused::NotFound)?;
        let held = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(connection, asker.person, held, fresh)
            .await?;
        if access.allows(Right::ViewContacts) {
            Ok((access, root, group))
        } else {
            Err(Refused::NotFound.into())
        }
    }
}

/// Locks items and returns them, if all of them are in the group.
async fn locked(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    items: &[ItemId],
) -> Result<Vec<StoredItem>, Failure> {
    let mut ids: Vec<i64> = items.iter().map(|item| item.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let stored = item_fields::lock(connection, root, &ids).await?;
    if stored.len() == ids.len() && stored.iter().all(|item| item.group == group) {
        Ok(stored)
    } else {
        Err(Refused::NotFound.into())
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

/// Writes fields and tells of it.
pub(super) async fn write(
    connection: &mut PgConnection,
    act: &Act,
    edits: Vec<Edit>,
) -> Result<(), Failure> {
    let mut told = Vec::with_capacity(edits.len());
    let mut items = Vec::with_capacity(edits.len());
    for edit in edits {
        told.push(Told {
            item: Some(edit.item),
            action: "item_edited",
            detail: detail([
                ("before", Value::Object(edit.before)),
                ("after", Value::Object(edit.after)),
            ]),
        });
        items.push((edit.item, edit.fields));
    }
    item_fields::write(connection, act.root, &items, act.at).await?;
    operation::append(connection, act, told).await?;
    Ok(())
}

/// Tells of an item that goes, with all that is needed to bring it back.
fn removed(item: &StoredItem, action: &'static str, into: Option<ItemId>) -> Told {
    let mut detail = detail([
        ("fields", json!(item.fields)),
        ("created_at", json!(item.created_at)),
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

/// Returns the detail of a row of the history.
pub(super) fn detail<const N: usize>(parts: [(&str, Value); N]) -> Map<String, Value> {
    parts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
