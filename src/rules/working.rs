//! The snapshot as it changes while commands are decided one after the other.

use std::collections::HashMap;

use super::{
    Access, Change, Contact, Following, KnownItem, Operation, PastChange, PastOperation, Snapshot,
    WatchSnapshot, Watching,
};
use crate::{
    domain::{Clock, ContactDraft, ItemId, OperationId},
    quick_action::CommandName,
};

/// The world as the commands so far leave it.
pub(super) struct Working {
    pub(super) access: Access,
    pub(super) organizations: Vec<(ItemId, String)>,
    pub(super) operations: Vec<Operation>,
    /// People and items.
    pub(super) watch: WatchSnapshot,
    /// What follows from the changes of the command that is being decided.
    following: Following,
    contacts: Vec<Contact>,
    by_id: HashMap<ItemId, usize>,
    by_email: HashMap<String, usize>,
    ids: std::vec::IntoIter<ItemId>,
    /// What can be taken back, newest last.
    standing: Vec<PastOperation>,
}

impl Working {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let mut working = Self {
            access: snapshot.access,
            organizations: snapshot.organizations,
            operations: Vec::new(),
            watch: snapshot.watch,
            following: Following::default(),
            contacts: Vec::new(),
            by_id: HashMap::new(),
            by_email: HashMap::new(),
            ids: snapshot.ids.into_iter(),
            standing: snapshot.operations.into_iter().rev().collect(),
        };
        for contact in snapshot.contacts {
            working.insert(contact);
        }
        working
    }

    fn insert(&mut self, contact: Contact) {
        let at = self.contacts.len();
        self.by_id.insert(contact.id, at);
        if let Some(email) = &contact.email {
            self.by_email.insert(email.to_lowercase(), at);
        }
        self.contacts.push(contact);
    }

    pub(super) fn by_email(&self, email: &str) -> Option<&Contact> {
        self.contacts
            .get(*self.by_email.get(&email.to_lowercase())?)
    }

    pub(super) fn by_id(&self, id: ItemId) -> Option<&Contact> {
        self.contacts.get(*self.by_id.get(&id)?)
    }

    /// Returns an item that commands about items may name.
    pub(super) fn item(&self, id: ItemId) -> Option<&KnownItem> {
        self.watch.items.iter().find(|item| item.watched.item == id)
    }

    /// Returns whether an item is known and related to the issue.
    pub(super) fn is_related(&self, id: ItemId) -> Option<bool> {
        let contact = self.by_id(id).map(|contact| contact.related);
        contact.or_else(|| self.item(id).map(|item| item.related))
    }

    /// Notes what was decided about who watches an item, for the command that is being decided.
    pub(super) fn watch(
        &mut self,
        item: &KnownItem,
        watching: Watching,
        changes: &mut Vec<Change>,
    ) {
        let chat = item.watched.chat.zip(item.chat_on);
        self.following.add(item.watched.item, chat, &watching);
        let all = watching.changes.into_iter().map(Change::Watch);
        changes.extend(all);
    }

    /// Returns the contacts of the issue in the order of names.
    pub(super) fn related(&self) -> Vec<Contact> {
        let mut related: Vec<_> = self
            .contacts
            .iter()
            .filter(|contact| contact.related)
            .cloned()
            .collect();
        related.sort_by(|a, b| {
            (&a.last_name, &a.first_name, a.id).cmp(&(&b.last_name, &b.first_name, b.id))
        });
        related
    }

    pub(super) fn next_id(&mut self) -> Option<ItemId> {
        self.ids.next()
    }

    /// Returns the newest operation that still stands and takes it off the list.
    pub(super) fn pop_standing(&mut self) -> Option<PastOperation> {
        self.standing.pop()
    }

    /// Applies a command's changes to the world and puts them into the plan.
    pub(super) fn commit(
        &mut self,
        command: CommandName,
        changes: Vec<Change>,
        undoes: Option<OperationId>,
        clock: &dyn Clock,
    ) {
        // An undo that finds everything changed since still uses up what it meant to take back.
        if changes.is_empty() && undoes.is_none() && self.following.is_empty() {
            return;
        }
        for change in &changes {
            self.apply(change);
        }
        let id = OperationId(clock.id());
        if undoes.is_none() {
            self.standing.push(PastOperation {
                id,
                command: command.word().to_owned(),
                changes: changes.iter().filter_map(past).collect(),
            });
        }
        self.operations.push(Operation {
            id,
            command,
            changes,
            undoes,
            following: std::mem::take(&mut self.following),
        });
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Relate(id) => self.set_related(*id, true),
            Change::Unrelate(id) => self.set_related(*id, false),
            Change::Create { id, draft, .. } => self.insert(new_contact(*id, draft)),
            Change::Watch(change) => {
                let id = change.item();
                let items = &mut self.watch.items;
                if let Some(item) = items.iter_mut().find(|item| item.watched.item == id) {
                    item.watched.make(change);
                }
            }
            // Whether it has a chat by now is found when it is made.
            Change::CreateChat { .. } => {}
            Change::Delete(id) => {
                if let Some(at) = self.by_id.remove(id) {
                    self.by_email.retain(|_, place| *place != at);
                    if let Some(contact) = self.contacts.get_mut(at) {
                        contact.related = false;
                    }
                }
            }
        }
    }

    fn set_related(&mut self, id: ItemId, related: bool) {
        let contact = self
            .by_id
            .get(&id)
            .and_then(|&at| self.contacts.get_mut(at));
        if let Some(contact) = contact {
            contact.related = related;
        }
        let items = &mut self.watch.items;
        if let Some(item) = items.iter_mut().find(|item| item.watched.item == id) {
            item.related = related;
        }
    }
}

fn new_contact(id: ItemId, draft: &ContactDraft) -> Contact {
    Contact {
        id,
        first_name: draft.first_name.clone(),
        last_name: draft.last_name.clone(),
        email: Some(draft.email.clone()),
        active: true,
        related: false,
    }
}

fn past(change: &Change) -> Option<PastChange> {
    match change {
        Change::Relate(id) => Some(PastChange::Related(*id)),
        Change::Unrelate(id) => Some(PastChange::Unrelated(*id)),
        Change::Create { id, .. } => Some(PastChange::Created {
            id: *id,
            untouched: true,
        }),
        Change::Watch(change) => Some(PastChange::Watched(*change)),
        // Only an undo deletes, and an undo is not taken back; a chat stays.
        Change::Delete(_) | Change::CreateChat { .. } => None,
    }
}
