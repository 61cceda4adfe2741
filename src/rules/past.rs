//! What an operation did, as the history tells it, and what it takes to take that back.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{ObserverChange, Refused, Responsible, Right};
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
        /// Who was responsible for it.
        responsible: Option<Responsible>,
    },
    /// Who observes an item, or is responsible for it, changed.
    Watched(ObserverChange),
    /// An item was linked to a contact or organization, or no longer.
    Linked {
        /// The item.
        item: ItemId,
        /// What it is about.
        to: ItemId,
        /// Whether it was linked, or no longer.
        is_linked: bool,
    },
    /// An item's chat became another one's.
    ChatMoved {
        /// The item that had it.
        from: ItemId,
        /// The item that has it.
        into: ItemId,
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
        let edits = |act: &PastAct| {
            matches!(
                act,
                PastAct::Created(_)
                    | PastAct::Edited { .. }
                    | PastAct::Watched(_)
                    | PastAct::Linked { .. }
                    | PastAct::ChatMoved { .. }
            )
        };
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

    /// Returns the one item whose observers the operation changed, if it did nothing else.
    pub fn only_watches(&self) -> Option<ItemId> {
        let mut items = self.acts.iter().map(|act| match act {
            PastAct::Watched(change) => Some(change.item()),
            _ => None,
        });
        let first = items.next()??;
        items.all(|item| item == Some(first)).then_some(first)
    }

    /// Returns the changes of who watches items, in their order.
    pub fn watched(&self) -> Vec<ObserverChange> {
        self.acts
            .iter()
            .filter_map(|act| match act {
                PastAct::Watched(change) => Some(*change),
                _ => None,
            })
            .collect()
    }

    /// Returns the links that were made and ended, each as (item, what it is about, whether it was made).
    pub fn links(&self) -> Vec<(ItemId, ItemId, bool)> {
        self.acts
            .iter()
            .filter_map(|act| match act {
                PastAct::Linked {
                    item,
                    to,
                    is_linked,
                } => Some((*item, *to, *is_linked)),
                _ => None,
            })
            .collect()
    }

    /// Returns the chats that went from one item to another.
    pub fn chats_moved(&self) -> Vec<(ItemId, ItemId)> {
        self.acts
            .iter()
            .filter_map(|act| match act {
                PastAct::ChatMoved { from, into } => Some((*from, *into)),
                _ => None,
            })
            .collect()
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
            Self::Watched(change) => vec![change.item()],
            Self::Linked { item, to, .. } => vec![*item, *to],
            Self::ChatMoved { from, into } => vec![*from, *into],
            Self::Configured | Self::Other => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContactForm, ItemForm};

    fn related(issue: i64) -> PastAct {
        PastAct::Related {
            issue: IssueId(issue),
            item: ItemId(1),
        }
    }

    fn removed(merged: bool) -> PastAct {
        let form = ContactForm {
            first_name: "A".into(),
            last_name: "B".into(),
            ..ContactForm::default()
        };
        PastAct::Removed {
            item: ItemId(1),
            fields: Box::new(ItemForm::Contact(form).check().unwrap()),
            created_at: DateTime::UNIX_EPOCH,
            merged,
            responsible: None,
        }
    }

    #[test]
    fn taking_back_takes_the_rights_that_doing_it_took() {
        let created = || PastAct::Created(ItemId(1));
        let needs = |in_group, on_issue: Option<i64>| {
            Ok(Required {
                in_group,
                on_issue: on_issue.map(IssueId),
            })
        };
        for (acts, expected) in [
            (vec![related(5), related(5)], needs(None, Some(5))),
            (
                vec![created(), related(5)],
                needs(Some(Right::CreateContacts), Some(5)),
            ),
            (vec![created()], needs(Some(Right::CreateContacts), None)),
            (
                vec![related(5), related(6)],
                needs(Some(Right::DeleteContacts), None),
            ),
            (
                vec![related(5), removed(false)],
                needs(Some(Right::DeleteContacts), None),
            ),
            (
                vec![removed(true), related(5)],
                needs(Some(Right::MergeContacts), None),
            ),
        ] {
            let past = Past {
                acts,
                ..Past::default()
            };
            assert_eq!(past.required(), expected, "{past:?}");
        }
    }

    #[test]
    fn some_operations_are_not_taken_back_by_anybody() {
        let past = |acts, undone, undoes| Past {
            group: None,
            undone,
            undoes,
            acts,
        };
        for (past, expected) in [
            (
                past(vec![related(5)], true, false),
                "This has been taken back already",
            ),
            (
                past(vec![related(5)], false, true),
                "What took something back cannot be taken back itself",
            ),
            (
                past(vec![PastAct::Configured, related(5)], false, false),
                "Settings of a group are taken back by setting them again",
            ),
            (
                past(vec![PastAct::Other], false, false),
                "There is nothing in it that can be taken back",
            ),
        ] {
            assert_eq!(past.required(), Err(Refused::because(expected)));
        }
    }
}
