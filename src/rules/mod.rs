//! The decisions: who may do what, and what a command changes. Everything here is a pure function.
//!
//! A caller asks [`needs`] what to load, loads it into a [`Snapshot`], and gets a [`Plan`] from [`plan`]: the changes to commit
//! together and the lines of the answer. There is no other way to change anything.

mod answer;
mod chat;
mod contacts;
mod group_settings;
mod issue_contacts;
mod items;
mod observers;
mod past;
mod permission;
mod portal;
mod refused;
mod relation;
mod take_back;
mod undo;
mod watching;
mod working;

#[cfg(test)]
mod tests;

pub use answer::{Audience, Line, Outcome, Refusal, audience};
pub use chat::{Comings, Compared, MemberStanding, Orders, Present, SeenMember, WantedMember};
pub use group_settings::{GroupSettings, GroupState, PolicySettings, PolicyState, configure};
pub use issue_contacts::{
    Candidate, ContactNames, ContactOutcome, ContactsPlan, IssueContacts, MAX_NAMED, NamedContact,
    SetContacts, may_set_contacts, set_contacts,
};
pub use items::{
    Beside, Edit, MAX_DELETED, MAX_MERGED, check, may, may_be_deleted, may_be_merged, may_manage,
    merged,
};
pub use observers::{
    Added, Following, Hidden, Inviter, MAX_PEOPLE, Newcomer, Observer, ObserverChange,
    ObserverOutcome, Policies, Responsible, WatchTask, Watched, Watching, carried, combined,
    follow_ups, notices, put_in, watch_back,
};
pub use past::{Past, PastAct, Related, Required};
pub use permission::{Access, OnItem, Right, issue_is_readable, project_is_readable};
pub use portal::{Equalized, Side, equalize};
pub use refused::Refused;
pub use relation::{Carried, Destination, MAX_ADDRESSES, Standing, carry, relate};
pub use take_back::{Kept, Situation, TakeBack, take_back};
pub use watching::{ItemOutcome, KnownItem, Place, WatchNeeds, WatchSnapshot};

use crate::{
    domain::{Clock, ConnectionId, ContactDraft, ItemId, OperationId},
    quick_action::{
        Action, CommandName, ContactRef, Found, contacts as contact_refs, create_contact,
    },
};
use working::Working;

/// Contacts that one command may name; the rest is left out and said so.
pub const MAX_CONTACTS: usize = 100;

/// What has to be loaded to decide on some commands.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Addresses as typed.
    pub emails: Vec<String>,
    /// Names of organizations as typed.
    pub organizations: Vec<String>,
    /// Whether all contacts of the issue are to be listed.
    pub list: bool,
    /// How many of the person's last operations on the issue may be taken back.
    pub undo: usize,
    /// How many ids for new items.
    pub ids: usize,
    /// People and items.
    pub watch: WatchNeeds,
}

/// The part of the world that a decision looks at.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the person may do here.
    pub access: Access,
    /// The contacts behind [`Needs::emails`] and, where asked for, those of the issue.
    pub contacts: Vec<Contact>,
    /// The organizations behind [`Needs::organizations`]: id and name.
    pub organizations: Vec<(ItemId, String)>,
    /// The person's last operations on the issue that still stand, newest first.
    pub operations: Vec<PastOperation>,
    /// Ids for new items.
    pub ids: Vec<ItemId>,
    /// People and items.
    pub watch: WatchSnapshot,
}

/// A contact as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Its id.
    pub id: ItemId,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Address as stored.
    pub email: Option<String>,
    /// False once deactivated.
    pub active: bool,
    /// Whether it is related to the issue.
    pub related: bool,
}

/// What one earlier command did.
#[derive(Debug, Clone)]
pub struct PastOperation {
    /// Its id in the history.
    pub id: OperationId,
    /// The command's word.
    pub command: String,
    /// Its changes, in their order.
    pub changes: Vec<PastChange>,
}

/// One row of the history that may be taken back.
#[derive(Debug, Clone)]
pub enum PastChange {
    /// A contact was related to the issue.
    Related(ItemId),
    /// A contact was no longer related to it.
    Unrelated(ItemId),
    /// A contact was created; `untouched` while nobody used or changed it since.
    Created {
        /// The contact.
        id: ItemId,
        /// Whether taking it back harms nobody.
        untouched: bool,
    },
    /// Who watches an item changed.
    Watched(ObserverChange),
}

/// What is to be done, and what is to be said.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    /// Changes to commit together, one operation per command that changes something.
    pub operations: Vec<Operation>,
    /// The answer, a line per command.
    pub lines: Vec<Line>,
}

/// The changes of one command.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its id in the history.
    pub id: OperationId,
    /// The command.
    pub command: CommandName,
    /// What changes, in order.
    pub changes: Vec<Change>,
    /// The operation that this one takes back.
    pub undoes: Option<OperationId>,
    /// What follows for chats and people.
    pub following: Following,
}

/// One change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Relates a contact to the issue.
    Relate(ItemId),
    /// Relates a contact to the issue no longer.
    Unrelate(ItemId),
    /// Creates a contact.
    Create {
        /// Its id.
        id: ItemId,
        /// Its fields.
        draft: ContactDraft,
        /// Its organization.
        organization: Option<ItemId>,
    },
    /// Deletes a contact.
    Delete(ItemId),
    /// Changes who watches an item.
    Watch(ObserverChange),
    /// Has a chat made for an item.
    CreateChat {
        /// The item.
        item: ItemId,
        /// The messenger.
        on: ConnectionId,
    },
}

/// Returns what has to be loaded to decide on `commands`.
pub fn needs(commands: &[Found]) -> Needs {
    let mut needs = Needs::default();
    for command in commands {
        let Action::Known(name) = &command.action else {
            continue;
        };
        match name {
            CommandName::AddContacts | CommandName::RemoveContacts => {
                let refs = contact_refs(&command.argument);
                needs
                    .emails
                    .extend(refs.into_iter().take(MAX_CONTACTS).filter_map(
                        |contact| match contact {
                            ContactRef::Email(email) => Some(email),
                            ContactRef::NotAnEmail(_) => None,
                        },
                    ));
            }
            CommandName::CreateContact => {
                if let Ok(new) = create_contact(&command.argument) {
                    needs.emails.push(new.email);
                    needs.organizations.extend(new.organization);
                    needs.ids += 1;
                }
            }
            CommandName::Contacts => needs.list = true,
            CommandName::Undo => needs.undo += 1,
            CommandName::Help => {}
            CommandName::AddObservers
            | CommandName::RemoveObservers
            | CommandName::Observers
            | CommandName::Responsible
            | CommandName::LinkItem
            | CommandName::UnlinkItem
            | CommandName::CreateChat => watching::needs(&command.argument, &mut needs.watch),
        }
    }
    needs.emails.sort_unstable();
    needs.emails.dedup();
    needs
}

/// Decides what `commands` do, one after the other: a later one sees what an earlier one did.
pub fn plan(commands: &[Found], snapshot: Snapshot, clock: &dyn Clock) -> Plan {
    let mut working = Working::new(snapshot);
    let lines = commands
        .iter()
        .map(|command| match &command.action {
            Action::Known(name) => execute(*name, &command.argument, &mut working, clock),
            Action::Unknown { word, nearest } => Line::Unknown {
                word: word.clone(),
                nearest: *nearest,
            },
        })
        .collect();
    Plan {
        operations: working.operations,
        lines,
    }
}

fn execute(name: CommandName, argument: &str, working: &mut Working, clock: &dyn Clock) -> Line {
    let right = match name {
        CommandName::AddContacts | CommandName::RemoveContacts => Some(Right::RelateContacts),
        CommandName::Contacts => Some(Right::ViewIssueContacts),
        CommandName::CreateContact => Some(Right::CreateContacts),
        // What may be done with an item is decided item by item, and what may be taken back by what was done.
        _ => None,
    };
    if let Some(right) = right.filter(|&right| !working.access.allows(right)) {
        return Line::Refused {
            command: name,
            refusal: Refusal::NoRight(right),
        };
    }
    if watching::is_about_items(name) {
        return watching::execute(name, argument, working, clock);
    }
    match name {
        CommandName::AddContacts => contacts::add(argument, working, clock),
        CommandName::RemoveContacts => contacts::remove(argument, working, clock),
        CommandName::Contacts => Line::List(working.related()),
        CommandName::CreateContact => contacts::create(argument, working, clock),
        CommandName::Undo => undo::undo(working, clock),
        _ => {
            let word = argument.trim().trim_start_matches('/');
            Line::Help(CommandName::from_word(word).or_else(|| CommandName::nearest(word)))
        }
    }
}

impl Change {
    /// Returns the item that changes.
    pub fn item(&self) -> ItemId {
        match self {
            Self::Relate(id) | Self::Unrelate(id) | Self::Delete(id) | Self::Create { id, .. } => {
                *id
            }
            Self::Watch(change) => change.item(),
            Self::CreateChat { item, .. } => *item,
        }
    }
}

impl Operation {
    /// Returns whether it changes anything about people and chats, or something follows for them.
    pub fn watches(&self) -> bool {
        let about =
            |change: &Change| matches!(change, Change::Watch(_) | Change::CreateChat { .. });
        !self.following.is_empty() || self.changes.iter().any(about)
    }
}

impl PastOperation {
    /// Returns whether its command was about people and items.
    pub fn is_about_items(&self) -> bool {
        CommandName::from_word(&self.command).is_some_and(watching::is_about_items)
    }

    /// Returns the items that taking the operation back would touch.
    pub fn items(&self) -> impl Iterator<Item = ItemId> + '_ {
        self.changes.iter().map(|change| match change {
            PastChange::Related(id)
            | PastChange::Unrelated(id)
            | PastChange::Created { id, .. } => *id,
            PastChange::Watched(change) => change.item(),
        })
    }
}
