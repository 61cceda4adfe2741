//! Taking back an operation that is named by its id: as far as nobody changed since what it changed.
//!
//! The quick action `undo` is a smaller sister: it takes back what one person last did on one issue.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Edit, Refused, Right, items::as_map};
use crate::domain::{GroupId, IssueId, ItemFields, ItemId, ItemKind, PersonId};

/// What an operation did.
#[derive(Debug, Default)]
pub struct Past {
    /// The group whose items it changed.
    pub group: Option<GroupId>,
    /// Whether it was taken back before.
    pub undone: bool,
    /// Whether it took something back itself.
    pub undoes: bool,
    /// Its acts, in their order.
    pub acts: Vec<PastAct>,
}

/// One row of the history.
#[derive(Debug)]
pub enum PastAct {
    /// An issue got a contact.
    Related {
        /// The issue.
        issue: IssueId,
        /// The contact.
        item: ItemId,
    },
    /// An issue lost a contact.
    Unrelated(Related),
    /// An item was created.
    Created(ItemId),
    /// Fields of an item changed.
    Edited {
        /// The item.
        item: ItemId,
        /// The fields as they were.
        before: Map<String, Value>,
        /// The fields as they became.
        after: Map<String, Value>,
    },
    /// An item was deleted or merged into another one.
    Removed {
        /// The item.
        item: ItemId,
        /// Its fields.
        fields: Box<ItemFields>,
        /// When it was created.
        created_at: DateTime<Utc>,
        /// Whether another one took its place.
        merged: bool,
    },
    /// Settings of a group changed.
    Configured,
    /// Something that is not taken back by itself.
    Other,
}

/// A relation of an issue and a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Related {
    /// The issue.
    pub issue: IssueId,
    /// The contact.
    pub item: ItemId,
    /// Who made it.
    pub added_by: Option<PersonId>,
    /// When.
    pub added_at: DateTime<Utc>,
}

/// What it takes to take an operation back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Required {
    /// The right in the group that holds the items.
    pub in_group: Option<Right>,
    /// The issue on which contacts must be relatable.
    pub on_issue: Option<IssueId>,
}

/// The part of the world that an operation touched, as it is now.
#[derive(Debug)]
pub struct Situation {
    /// The group whose items were changed.
    pub group: GroupId,
    /// Items of the group that exist.
    pub items: HashMap<ItemId, ItemFields>,
    /// Items that nobody used or changed since the operation created them.
    pub untouched: HashSet<ItemId>,
    /// Relations that exist.
    pub related: HashSet<(IssueId, ItemId)>,
    /// Issues that exist, with the groups that hold their contacts.
    pub holders: HashMap<IssueId, GroupId>,
    /// Unique values that items have which the operation did not touch.
    pub taken: HashSet<(ItemKind, String)>,
}

/// What is to be done to take an operation back.
#[derive(Debug, Default)]
pub struct TakeBack {
    /// Relations that end.
    pub unrelate: Vec<(IssueId, ItemId)>,
    /// Items that are deleted, since the operation created them.
    pub delete: Vec<(ItemId, ItemFields)>,
    /// Edits that come before anything comes back, since they free unique values.
    pub edit_first: Vec<Edit>,
    /// Items that come back.
    pub restore: Vec<(ItemId, ItemFields, DateTime<Utc>)>,
    /// Edits that need what came back.
    pub edit_last: Vec<Edit>,
    /// Relations that come back.
    pub relate: Vec<Related>,
    /// What stays as it is.
    pub kept: Vec<Kept>,
    /// How many acts are taken back.
    pub undone: usize,
}

/// Something that is not taken back, and why. Names no customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The item is gone.
    Gone(ItemId),
    /// Somebody changed or uses the item that was created.
    InUse(ItemId),
    /// Somebody changed a field since.
    Changed(ItemId, String),
    /// Another item has the unique value by now.
    Taken(ItemId),
    /// The organization that the contact belonged to is gone.
    NoOrganization(ItemId),
    /// The issue is gone, or keeps its contacts elsewhere.
    NoIssue(ItemId),
    /// The relation changed since.
    Relation(ItemId),
}

impl fmt::Display for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(item) => write!(formatter, "{item}: it is gone"),
            Self::InUse(item) => write!(formatter, "{item}: it was used or changed since"),
            Self::Changed(item, field) => {
                let field = field.replace('_', " ");
                write!(formatter, "{item}: the {field} was changed since")
            }
            Self::Taken(item) => {
                write!(
                    formatter,
                    "{item}: its email or name has been taken by another one"
                )
            }
            Self::NoOrganization(item) => write!(formatter, "{item}: its organization is gone"),
            Self::NoIssue(item) => write!(
                formatter,
                "{item}: the issue is gone or keeps its contacts in another group"
            ),
            Self::Relation(item) => write!(
                formatter,
                "{item}: it was added to or removed from the issue since"
            ),
        }
    }
}

impl Past {
    /// Returns what it takes to take the operation back.
    ///
    /// # Errors
    /// Says why it cannot be taken back by anybody.
    pub fn required(&self) -> Result<Required, Refused> {
        if self.undone {
            return Err(Refused::because("This has been taken back already"));
        }
        if self.undoes {
            return Err(Refused::because(
                "What took something back cannot be taken back itself",
            ));
        }
        let configured = |act: &PastAct| matches!(act, PastAct::Configured);
        if self.acts.iter().any(configured) {
            return Err(Refused::because(
                "Settings of a group are taken back by setting them again",
            ));
        }
        let removed = |merge: bool| move |act: &PastAct| matches!(act, PastAct::Removed { merged, .. } if *merged == merge);
        let edits = |act: &PastAct| matches!(act, PastAct::Created(_) | PastAct::Edited { .. });
        // With the item its relations come back, as they went.
        for (merge, right) in [(true, Right::MergeContacts), (false, Right::DeleteContacts)] {
            if self.acts.iter().any(removed(merge)) {
                return Ok(Required {
                    in_group: Some(right),
                    on_issue: None,
                });
            }
        }
        let issues: HashSet<IssueId> = self.relations().map(|(issue, _)| issue).collect();
        let edits = self.acts.iter().any(edits);
        match (edits, issues.iter().next()) {
            (false, None) => Err(Refused::because(
                "There is nothing in it that can be taken back",
            )),
            // Asking for the right on each of many issues would take as many questions; whoever may delete the contacts may do it.
            (_, Some(_)) if issues.len() > 1 => Ok(Required {
                in_group: Some(Right::DeleteContacts),
                on_issue: None,
            }),
            (edits, issue) => Ok(Required {
                in_group: edits.then_some(Right::CreateContacts),
                on_issue: issue.copied(),
            }),
        }
    }

    /// Returns the relations that the operation made or ended.
    pub fn relations(&self) -> impl Iterator<Item = (IssueId, ItemId)> + '_ {
        self.acts.iter().filter_map(|act| match act {
            PastAct::Related { issue, item } => Some((*issue, *item)),
            PastAct::Unrelated(related) => Some((related.issue, related.item)),
            _ => None,
        })
    }

    /// Returns the items that have to be known, organizations that contacts belonged to included.
    pub fn items(&self) -> Vec<ItemId> {
        let mut items: Vec<ItemId> = self.acts.iter().flat_map(PastAct::items).collect();
        items.sort_unstable();
        items.dedup();
        items
    }

    /// Returns the items that the operation created.
    pub fn created(&self) -> Vec<ItemId> {
        let created = |act: &PastAct| match act {
            PastAct::Created(item) => Some(*item),
            _ => None,
        };
        self.acts.iter().filter_map(created).collect()
    }

    /// Returns the unique values that may come back.
    pub fn unique_values(&self) -> Vec<(ItemKind, &str)> {
        self.acts
            .iter()
            .filter_map(|act| match act {
                PastAct::Removed { fields, .. } => {
                    fields.unique().map(|(_, value)| (fields.kind(), value))
                }
                PastAct::Edited { before, .. } => {
                    let of = |field| before.get(field).and_then(Value::as_str);
                    of("email")
                        .map(|email| (ItemKind::Contact, email))
                        .or_else(|| of("name").map(|name| (ItemKind::Organization, name)))
                }
                _ => None,
            })
            .collect()
    }
}

impl PastAct {
    fn items(&self) -> Vec<ItemId> {
        let organization = |map: &Map<String, Value>| {
            let id = map.get("organization").and_then(Value::as_i64);
            id.map(ItemId)
        };
        match self {
            Self::Related { item, .. } | Self::Created(item) => vec![*item],
            Self::Unrelated(related) => vec![related.item],
            Self::Edited { item, before, .. } => {
                std::iter::once(*item).chain(organization(before)).collect()
            }
            Self::Removed { item, fields, .. } => std::iter::once(*item)
                .chain(fields.organization())
                .collect(),
            Self::Configured | Self::Other => Vec::new(),
        }
    }
}

/// Decides how an operation is taken back.
pub fn take_back(past: &Past, situation: Situation) -> TakeBack {
    let mut taking = Taking {
        now: situation.items.clone(),
        situation,
        back: TakeBack::default(),
        edited: Vec::new(),
    };
    taking.uncreate(past);
    taking.unrelate(past);
    taking.unedit(past);
    taking.restore(past);
    taking.finish_edits();
    taking.relate(past);
    taking.back
}

/// The world as the taking back so far leaves it.
struct Taking {
    situation: Situation,
    now: HashMap<ItemId, ItemFields>,
    back: TakeBack,
    /// Items whose fields go back.
    edited: Vec<ItemId>,
}

impl Taking {
    fn uncreate(&mut self, past: &Past) {
        let created = past.created();
        let mut goes: HashSet<ItemId> = created
            .iter()
            .copied()
            .filter(|item| self.now.contains_key(item) && self.situation.untouched.contains(item))
            .collect();
        // An organization stays with a contact that stays.
        let staying: Vec<ItemId> = created
            .iter()
            .filter(|item| !goes.contains(item))
            .filter_map(|item| self.now.get(item)?.organization())
            .collect();
        staying.iter().for_each(|item| {
            goes.remove(item);
        });
        for item in created {
            match self.now.get(&item) {
                None => self.back.kept.push(Kept::Gone(item)),
                Some(_) if !goes.contains(&item) => self.back.kept.push(Kept::InUse(item)),
                Some(_) => {
                    if let Some(fields) = self.now.remove(&item) {
                        self.back.delete.push((item, fields));
                        self.back.undone += 1;
                    }
                }
            }
        }
    }

    fn unrelate(&mut self, past: &Past) {
        for act in &past.acts {
            let PastAct::Related { issue, item } = act else {
                continue;
            };
            if self.situation.related.remove(&(*issue, *item)) {
                self.back.unrelate.push((*issue, *item));
                self.back.undone += 1;
            } else {
                self.back.kept.push(Kept::Relation(*item));
            }
        }
    }

    /// Puts fields back that are as the operation left them.
    fn unedit(&mut self, past: &Past) {
        for act in past.acts.iter().rev() {
            let PastAct::Edited {
                item,
                before,
                after,
            } = act
            else {
                continue;
            };
            let Some(fields) = self.now.get(item) else {
                self.back.kept.push(Kept::Gone(*item));
                continue;
            };
            let mut map = as_map(fields);
            for (field, left) in after {
                match before.get(field) {
                    Some(was) if map.get(field) == Some(left) => {
                        map.insert(field.clone(), was.clone());
                    }
                    _ => self.back.kept.push(Kept::Changed(*item, field.clone())),
                }
            }
            let Ok(back) = serde_json::from_value::<ItemFields>(Value::Object(map)) else {
                continue;
            };
            if &back == fields {
                continue;
            }
            if back.unique() != fields.unique() && self.is_taken(*item, &back) {
                self.back.kept.push(Kept::Taken(*item));
                continue;
            }
            self.now.insert(*item, back);
            self.edited.push(*item);
            self.back.undone += 1;
        }
    }

    /// Returns whether another item has the unique value of some fields.
    fn is_taken(&self, item: ItemId, fields: &ItemFields) -> bool {
        let value = unique(fields);
        value.is_some()
            && (self.is_taken_elsewhere(fields)
                || self
                    .now
                    .iter()
                    .any(|(id, other)| *id != item && unique(other) == value))
    }

    /// Returns whether an item that the operation did not touch has the unique value of some fields.
    fn is_taken_elsewhere(&self, fields: &ItemFields) -> bool {
        fields.unique().is_some_and(|(_, value)| {
            let value = (fields.kind(), value.to_owned());
            self.situation.taken.contains(&value)
        })
    }

    fn restore(&mut self, past: &Past) {
        let mut values: HashSet<(ItemKind, String)> =
            self.now.values().filter_map(unique).collect();
        for act in &past.acts {
            let PastAct::Removed {
                item,
                fields,
                created_at,
                ..
            } = act
            else {
                continue;
            };
            let value = unique(fields);
            if self.now.contains_key(item)
                || self.is_taken_elsewhere(fields)
                || value.as_ref().is_some_and(|value| values.contains(value))
            {
                self.back.kept.push(Kept::Taken(*item));
                continue;
            }
            values.extend(value);
            self.now.insert(*item, ItemFields::clone(fields));
            self.back
                .restore
                .push((*item, ItemFields::clone(fields), *created_at));
            self.back.undone += 1;
        }
        let organizations = self.organizations();
        for (item, fields, _) in &mut self.back.restore {
            if let ItemFields::Contact(contact) = fields
                && contact
                    .organization
                    .is_some_and(|id| !organizations.contains(&id))
            {
                contact.organization = None;
                self.back.kept.push(Kept::NoOrganization(*item));
            }
        }
    }

    fn organizations(&self) -> HashSet<ItemId> {
        let is_organization = |fields: &ItemFields| fields.kind() == ItemKind::Organization;
        let items = self.now.iter();
        items
            .filter(|(_, fields)| is_organization(fields))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Decides which edits come before anything comes back and which after.
    fn finish_edits(&mut self) {
        let organizations = self.organizations();
        let restored: HashSet<ItemId> = self.back.restore.iter().map(|(id, ..)| *id).collect();
        self.edited.sort_unstable();
        self.edited.dedup();
        for item in std::mem::take(&mut self.edited) {
            let (Some(before), Some(after)) =
                (self.situation.items.get(&item), self.now.get(&item))
            else {
                continue;
            };
            let mut after = after.clone();
            if let ItemFields::Contact(contact) = &mut after
                && contact
                    .organization
                    .is_some_and(|id| !organizations.contains(&id))
            {
                contact.organization = before.organization();
                self.back.kept.push(Kept::NoOrganization(item));
            }
            let needs_restored = after
                .organization()
                .is_some_and(|organization| restored.contains(&organization));
            match Edit::between(item, before, after) {
                Some(edit) if needs_restored => self.back.edit_last.push(edit),
                Some(edit) => self.back.edit_first.push(edit),
                // All that was left of it was an organization that is gone.
                None => self.back.undone = self.back.undone.saturating_sub(1),
            }
        }
    }

    fn relate(&mut self, past: &Past) {
        for act in &past.acts {
            let PastAct::Unrelated(related) = act else {
                continue;
            };
            let (issue, item) = (related.issue, related.item);
            let holder = self.situation.holders.get(&issue);
            if !self.now.contains_key(&item) {
                self.back.kept.push(Kept::Gone(item));
            } else if holder != Some(&self.situation.group) {
                self.back.kept.push(Kept::NoIssue(item));
            } else if self.situation.related.insert((issue, item)) {
                self.back.relate.push(*related);
                self.back.undone += 1;
            } else {
                self.back.kept.push(Kept::Relation(item));
            }
        }
    }
}

/// Returns the value that no other item of the kind has, without regard to case.
fn unique(fields: &ItemFields) -> Option<(ItemKind, String)> {
    let (_, value) = fields.unique()?;
    Some((fields.kind(), value.to_lowercase()))
}
