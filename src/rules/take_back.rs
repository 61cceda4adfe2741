//! Taking back an operation that is named by its id: as far as nobody changed since what it changed.
//!
//! The quick action `undo` is a smaller sister: it takes back what one person last did on one issue.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Edit, Past, PastAct, Related, Responsible, items::as_map};
use crate::domain::{GroupId, IssueId, ItemFields, ItemId, ItemKind};

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
    /// Who is responsible for those.
    pub responsible: Vec<(ItemId, Responsible)>,
    /// Edits that need what came back.
    pub edit_last: Vec<Edit>,
    /// Relations that come back.
    pub relate: Vec<Related>,
    /// What stays as it is.
    pub kept: Vec<Kept>,
    /// How many acts are taken back.
    pub undone: usize,
}

impl TakeBack {
    /// Returns the items that come back, go or change.
    pub fn items(&self) -> impl Iterator<Item = ItemId> {
        let edits = self.edit_first.iter().chain(&self.edit_last);
        let gone = self.delete.iter().map(|(item, _)| *item);
        let back = self.restore.iter().map(|(item, ..)| *item);
        gone.chain(back).chain(edits.map(|edit| edit.item))
    }
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
    /// The person's place among those who watch the item changed since.
    Watching(ItemId),
    /// The link changed since, or one of its ends is gone.
    Link(ItemId),
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
            Self::Watching(item) => write!(
                formatter,
                "{item}: its observers or its responsible changed since"
            ),
            Self::Link(item) => write!(
                formatter,
                "{item}: what it is about was changed since, or is gone"
            ),
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
        let staying: HashSet<ItemId> = created
            .iter()
            .filter(|item| !goes.contains(item))
            .filter_map(|item| self.now.get(item)?.organization())
            .collect();
        goes.retain(|item| !staying.contains(item));
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
                responsible,
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
            self.back
                .responsible
                .extend(responsible.map(|responsible| (*item, responsible)));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{ContactForm, ItemForm, OrganizationForm};

    const GROUP: GroupId = GroupId(1);

    fn contact(email: Option<&str>, organization: Option<i64>) -> ItemFields {
        let form = ContactForm {
            first_name: "Ann".into(),
            last_name: "Lee".into(),
            email: email.map(str::to_owned),
            organization: organization.map(ItemId),
            ..ContactForm::default()
        };
        ItemForm::Contact(form).check().unwrap()
    }

    fn organization(name: &str) -> ItemFields {
        let form = OrganizationForm {
            name: name.into(),
            ..OrganizationForm::default()
        };
        ItemForm::Organization(form).check().unwrap()
    }

    fn edited(item: i64, before: Value, after: Value) -> PastAct {
        let (Value::Object(before), Value::Object(after)) = (before, after) else {
            panic!("objects are expected");
        };
        PastAct::Edited {
            item: ItemId(item),
            before,
            after,
        }
    }

    fn removed(item: i64, fields: ItemFields) -> PastAct {
        PastAct::Removed {
            item: ItemId(item),
            fields: Box::new(fields),
            created_at: DateTime::UNIX_EPOCH,
            merged: false,
            responsible: None,
        }
    }

    fn situation(items: impl IntoIterator<Item = (i64, ItemFields)>) -> Situation {
        Situation {
            group: GROUP,
            items: items
                .into_iter()
                .map(|(id, fields)| (ItemId(id), fields))
                .collect(),
            untouched: HashSet::new(),
            related: HashSet::new(),
            holders: HashMap::new(),
            taken: HashSet::new(),
        }
    }

    fn back(acts: Vec<PastAct>, situation: Situation) -> TakeBack {
        let past = Past {
            group: Some(GROUP),
            acts,
            ..Past::default()
        };
        take_back(&past, situation)
    }

    fn items(edits: &[Edit]) -> Vec<i64> {
        edits.iter().map(|edit| edit.item.0).collect()
    }

    #[test]
    fn fields_go_back_unless_they_were_changed_or_taken_since() {
        let act = || {
            edited(
                1,
                json!({ "email": "old@example.com", "phone": "1" }),
                json!({ "email": "new@example.com", "phone": null }),
            )
        };
        let done = back(
            vec![act()],
            situation([(1, contact(Some("new@example.com"), None))]),
        );
        assert_eq!((done.undone, done.kept), (1, vec![]));
        assert_eq!(
            Value::Object(done.edit_first[0].after.clone()),
            json!({ "email": "old@example.com", "phone": "1" })
        );

        let changed = back(
            vec![act()],
            situation([(1, contact(Some("newer@example.com"), None))]),
        );
        assert_eq!(changed.kept, [Kept::Changed(ItemId(1), "email".into())]);
        assert_eq!(
            Value::Object(changed.edit_first[0].after.clone()),
            json!({ "phone": "1" })
        );

        let mut taken = situation([(1, contact(Some("new@example.com"), None))]);
        let value = (ItemKind::Contact, "old@example.com".to_owned());
        taken.taken.insert(value);
        let taken = back(vec![act()], taken);
        assert_eq!(
            (taken.undone, taken.kept),
            (0, vec![Kept::Taken(ItemId(1))])
        );
        let gone = back(vec![act()], situation([]));
        assert_eq!((gone.undone, gone.kept), (0, vec![Kept::Gone(ItemId(1))]));
    }

    #[test]
    fn what_frees_a_value_comes_before_what_needs_it_and_pointers_come_last() {
        // Contact 2 was merged into 1, who got its address; organization 9 was merged away, and contact 3 went with it to 8.
        let acts = vec![
            removed(2, contact(Some("Two@example.com"), None)),
            edited(
                1,
                json!({ "email": null }),
                json!({ "email": "Two@example.com" }),
            ),
            removed(9, organization("Nine")),
            edited(
                3,
                json!({ "organization": 9 }),
                json!({ "organization": 8 }),
            ),
        ];
        let now = situation([
            (1, contact(Some("Two@example.com"), None)),
            (3, contact(None, Some(8))),
            (8, organization("Eight")),
        ]);
        let done = back(acts, now);
        assert_eq!((done.undone, done.kept), (4, vec![]));
        let restored: Vec<i64> = done.restore.iter().map(|(id, ..)| id.0).collect();
        assert_eq!(restored, [2, 9]);
        assert_eq!(items(&done.edit_first), [1]);
        assert_eq!(items(&done.edit_last), [3]);
    }

    #[test]
    fn what_comes_back_without_its_organization_says_so() {
        let acts = vec![
            removed(1, contact(None, Some(9))),
            edited(
                2,
                json!({ "organization": 9 }),
                json!({ "organization": null }),
            ),
        ];
        let done = back(acts, situation([(2, contact(None, None))]));
        assert_eq!(done.restore[0].1, contact(None, None));
        assert_eq!(
            done.kept,
            [
                Kept::NoOrganization(ItemId(1)),
                Kept::NoOrganization(ItemId(2))
            ]
        );
        assert_eq!((done.undone, items(&done.edit_first)), (1, vec![]));
    }

    #[test]
    fn two_who_would_come_back_with_one_address_do_not() {
        let acts = vec![
            removed(1, contact(Some("a@example.com"), None)),
            removed(2, contact(Some("A@example.com"), None)),
        ];
        let done = back(acts, situation([]));
        assert_eq!(
            (done.restore.len(), done.kept),
            (1, vec![Kept::Taken(ItemId(2))])
        );
    }

    #[test]
    fn what_was_created_goes_unless_it_is_in_use() {
        let created = |id| PastAct::Created(ItemId(id));
        let mut now = situation([
            (1, contact(None, Some(9))),
            (2, contact(None, None)),
            (9, organization("Nine")),
        ]);
        now.untouched = HashSet::from([ItemId(2), ItemId(9)]);
        let done = back(vec![created(9), created(1), created(2), created(3)], now);
        let gone: Vec<i64> = done.delete.iter().map(|(id, _)| id.0).collect();
        assert_eq!(gone, [2]);
        assert_eq!(
            done.kept,
            [
                Kept::InUse(ItemId(9)),
                Kept::InUse(ItemId(1)),
                Kept::Gone(ItemId(3))
            ]
        );
    }

    #[test]
    fn relations_come_and_go_where_they_still_can() {
        let unrelated = |issue, item| {
            PastAct::Unrelated(Related {
                issue: IssueId(issue),
                item: ItemId(item),
                added_by: None,
                added_at: DateTime::UNIX_EPOCH,
            })
        };
        let related = |issue, item| PastAct::Related {
            issue: IssueId(issue),
            item: ItemId(item),
        };
        let pair = |issue, item| (IssueId(issue), ItemId(item));
        let mut now = situation([(1, contact(None, None)), (2, contact(None, None))]);
        now.holders = HashMap::from([(IssueId(5), GROUP), (IssueId(6), GroupId(7))]);
        now.related = HashSet::from([pair(5, 2)]);
        let acts = vec![
            unrelated(5, 1),
            unrelated(6, 1),
            unrelated(7, 1),
            unrelated(5, 3),
            related(5, 2),
            related(5, 1),
        ];
        let done = back(acts, now);
        assert_eq!(done.unrelate, [pair(5, 2)]);
        let come: Vec<_> = done.relate.iter().map(|at| (at.issue, at.item)).collect();
        assert_eq!(come, [pair(5, 1)]);
        assert_eq!(
            done.kept,
            [
                Kept::Relation(ItemId(1)),
                Kept::NoIssue(ItemId(1)),
                Kept::NoIssue(ItemId(1)),
                Kept::Gone(ItemId(3)),
            ]
        );
    }
}
