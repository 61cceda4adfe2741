//! Items: created, edited, and found with what somebody may do with them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::{Asker, Crm, CrmError, error::Failure, watch::Decided};
use crate::{
    domain::{
        ContactForm, ContactPatch, GroupId, ItemForm, ItemId, ItemPatch, Level, OperationId,
        OrganizationForm, OrganizationPatch, PersonId, RootId,
    },
    queue::Signal,
    rules::{self, Edit, OnItem, Refused},
    store::{
        chat, item,
        item_fields::{self, StoredItem},
        link, observer,
        operation::{self, Act, Told},
        person, policy,
        road::Fresh,
        standing::{self, Held},
    },
};

/// A new item, and who and what belongs to it from the start.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// Its fields as somebody typed them.
    pub form: ItemForm,
    /// Who is responsible for it.
    pub responsible: Option<PersonId>,
    /// Who observes it.
    pub observers: Vec<PersonId>,
    /// The contacts and organizations that it is about.
    pub links: Vec<ItemId>,
}

impl NewItem {
    /// Returns an item that nobody is responsible for yet.
    pub fn of(form: ItemForm) -> Self {
        Self {
            form,
            responsible: None,
            observers: Vec::new(),
            links: Vec::new(),
        }
    }
}

/// Where an item is and what the asker may do with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) on: OnItem,
    pub(super) root: RootId,
    pub(super) group: GroupId,
}

impl Crm {
    /// Creates a contact in the group that is to hold it; returns its id.
    pub async fn create_contact(
        &self,
        asker: Asker,
        group: GroupId,
        form: &ContactForm,
    ) -> Result<ItemId, CrmError> {
        let new = NewItem::of(ItemForm::Contact(form.clone()));
        self.create_item(asker, group, &new).await
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
    ) -> Result<Option<OperationId>, CrmError> {
        let patch = ItemPatch::Contact(patch.clone());
        self.decide(|fresh| self.update_once(asker, contact, (&patch, seen), fresh))
            .await
    }

    /// Creates an organization in the group that is to hold it; returns its id.
    pub async fn create_organization(
        &self,
        asker: Asker,
        group: GroupId,
        form: &OrganizationForm,
    ) -> Result<ItemId, CrmError> {
        let new = NewItem::of(ItemForm::Organization(form.clone()));
        self.create_item(asker, group, &new).await
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
    ) -> Result<Option<OperationId>, CrmError> {
        let patch = ItemPatch::Organization(patch.clone());
        self.decide(|fresh| self.update_once(asker, organization, (&patch, seen), fresh))
            .await
    }

    /// Creates an item in the group that is to hold it; returns its id. Whoever is named is told.
    ///
    /// # Errors
    /// [`CrmError::Denied`] below Developer; [`CrmError::Invalid`] names every field that is wrong, and people who are not known there.
    pub async fn create_item(
        &self,
        asker: Asker,
        group: GroupId,
        new: &NewItem,
    ) -> Result<ItemId, CrmError> {
        self.decide(|fresh| self.create_once(asker, group, new, fresh))
            .await
    }

    /// Changes an item: its fields, and whether it is archived. Its chat is called and opened or closed as it is. Whoever says when what he
    /// saw had been changed last is refused where somebody changed it since. Returns by which operation it is taken back, if anything changed.
    ///
    /// # Errors
    /// As for [`Self::create_item`]; [`CrmError::Changed`] where it is not any more what was seen.
    pub async fn update_item(
        &self,
        asker: Asker,
        item: ItemId,
        patch: &ItemPatch,
        seen: Option<DateTime<Utc>>,
    ) -> Result<Option<OperationId>, CrmError> {
        self.decide(|fresh| self.update_once(asker, item, (patch, seen), fresh))
            .await
    }

    async fn create_once(
        &self,
        asker: Asker,
        group: GroupId,
        new: &NewItem,
        fresh: Fresh,
    ) -> Result<ItemId, Failure> {
        let form = &new.form;
        let mut tx = self.pool.begin().await?;
        let root = standing::root_of_group(&mut tx, group).await?;
        let root = root.ok_or(Refused::NotFound)?;
        let place = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(&mut tx, asker.person, place, fresh)
            .await?;
        rules::may_manage(&access, form.kind())?;
        let beside = item_fields::beside(&mut tx, (root, group), None, form).await?;
        let fields = rules::check(form.kind(), form.check(), beside)?;
        let people: Vec<PersonId> = new
            .responsible
            .iter()
            .chain(&new.observers)
            .copied()
            .collect();
        known(&mut tx, root, &people).await?;
        linkable(&mut tx, (root, group), &new.links).await?;
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
        let links: Vec<link::Link> = new.links.iter().map(|linked| (id, *linked)).collect();
        link::add(&mut tx, &act, &links).await?;
        let mut signals = self.begin_watching(&mut tx, &act, (id, new)).await?;
        signals.push(Signal::Customers(group));
        tx.commit().await?;
        self.signal(&signals).await;
        Ok(id)
    }

    /// Puts the people of a new item in their places.
    async fn begin_watching(
        &self,
        connection: &mut PgConnection,
        act: &Act,
        (item, new): (ItemId, &NewItem),
    ) -> Result<Vec<Signal>, Failure> {
        if new.responsible.is_none() && new.observers.is_empty() {
            return Ok(Vec::new());
        }
        let policy = policy::of_group(connection, act.root, act.group).await?;
        let messenger = policy.messenger.map(|(_, kind)| kind);
        let seen = observer::lock(connection, act.root, &[item.0], messenger).await?;
        let seen = seen.into_iter().next().ok_or(Failure::Conflict)?;
        let by = (act.actor, act.at);
        let watching = seen.watched.created(new.responsible, &new.observers, by)?;
        let decided = [Decided::of(&seen, watching)];
        self.watch(connection, act, &policy, &decided).await
    }

    async fn update_once(
        &self,
        asker: Asker,
        item: ItemId,
        (patch, seen): (&ItemPatch, Option<DateTime<Utc>>),
        fresh: Fresh,
    ) -> Result<Option<OperationId>, Failure> {
        let mut tx = self.pool.begin().await?;
        let Place { on, root, group } = self.towards_item(&mut tx, asker, item, fresh).await?;
        let stored = locked(&mut tx, (root, group), &[item]).await?;
        let stored = stored.first().ok_or(Refused::NotFound)?;
        let before = &stored.fields;
        let (form, active) = patch.onto(before).ok_or(Refused::NotFound)?;
        may_edit(on, &format!("manage {}", form.kind().plural()))?;
        if seen.is_some_and(|seen| seen != stored.updated_at) {
            return Err(Failure::Changed);
        }
        let mut beside = item_fields::beside(&mut tx, (root, group), Some(item), &form).await?;
        // What is there may be edited, though the group takes no more.
        beside.group_holds = true;
        let fields = rules::check(form.kind(), form.check(), beside)?.with_state(active);
        let concerns_chat = fields.title() != before.title() || active != before.active();
        let Some(edit) = Edit::between(item, before, fields) else {
            return Ok(None);
        };
        let act = self.act(asker, root, group);
        write(&mut tx, &act, vec![edit]).await?;
        let mut signals = if concerns_chat {
            let chats = chat::follow(&mut tx, root, &[item.0]).await?;
            self.settle(&mut tx, &act, chats).await?
        } else {
            Vec::new()
        };
        signals.push(Signal::Customers(group));
        tx.commit().await?;
        self.signal(&signals).await;
        Ok(Some(act.operation))
    }

    /// Returns where an item is and what the asker may do with it, if he may read it.
    pub(super) async fn towards_item(
        &self,
        connection: &mut PgConnection,
        asker: Asker,
        item: ItemId,
        fresh: Fresh,
    ) -> Result<Place, Failure> {
        let (root, group, responsible, observes) =
            item_fields::place(connection, item, asker.person)
                .await?
                .ok_or(Refused::NotFound)?;
        let held = (root, group, Held::Here);
        let (access, _) = self
            .towards_group(connection, asker.person, held, fresh)
            .await?;
        let mut on = OnItem {
            access,
            is_member: access.contact_group > Level::None,
            is_responsible: responsible == Some(asker.person),
            is_observer: observes,
        };
        if !on.is_member && (on.is_responsible || on.is_observer) {
            let when = (fresh, self.clock.now());
            let roots = standing::memberships(connection, &[root], asker.person, when).await?;
            on.is_member = roots.contains(&root);
        }
        if on.reads() {
            Ok(Place { on, root, group })
        } else {
            Err(Refused::NotFound.into())
        }
    }
}

/// Refuses whoever may read an item and not change it.
pub(super) fn may_edit(on: OnItem, what: &str) -> Result<(), Refused> {
    if on.edits() {
        Ok(())
    } else {
        Err(Refused::Denied(format!(
            "You have insufficient permissions to {what} for this group"
        )))
    }
}

/// Refuses people who are not known in a tenant.
pub(super) async fn known(
    connection: &mut PgConnection,
    root: RootId,
    people: &[PersonId],
) -> Result<(), Failure> {
    if people.is_empty() {
        return Ok(());
    }
    let known: HashSet<PersonId> = person::colleagues(connection, root, people)
        .await?
        .into_iter()
        .collect();
    let strangers: Vec<String> = people
        .iter()
        .filter(|person| !known.contains(person))
        .map(|person| format!("Person {person} is not known here or not active"))
        .collect();
    if strangers.is_empty() {
        Ok(())
    } else {
        Err(Refused::Invalid(strangers).into())
    }
}

/// Refuses links to what is no contact or organization of the group.
pub(super) async fn linkable(
    connection: &mut PgConnection,
    place: (RootId, GroupId),
    links: &[ItemId],
) -> Result<(), Failure> {
    if links.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = links.iter().map(|id| id.0).collect();
    let found = link::linkable(connection, place, &ids).await?;
    let missing: Vec<String> = links
        .iter()
        .filter(|id| !found.contains(id))
        .map(|id| format!("Item {id} is no contact or organization of this group"))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Refused::Invalid(missing).into())
    }
}

/// Locks items and returns them, if all of them are in the group.
pub(super) async fn locked(
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

/// Returns the detail of a row of the history.
pub(super) fn detail<const N: usize>(parts: [(&str, Value); N]) -> Map<String, Value> {
    parts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
