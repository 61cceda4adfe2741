//! Which contacts an issue is to have, said at once and by id or address: GitLab's `issueSetCrmContacts`, with less surprise.
//!
//! GitLab saves what it can and answers with an error; here one contact that cannot be added stops the whole call.

use std::collections::HashSet;

use super::{Access, Refused, Right};
use crate::domain::{GroupId, ItemId};

/// Contacts that one call may name.
pub const MAX_NAMED: usize = 1000;

/// Contacts that somebody names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactNames {
    /// By id.
    pub ids: Vec<ItemId>,
    /// By address, without regard to case.
    pub emails: Vec<String>,
}

/// Which contacts an issue is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetContacts {
    /// These and no others.
    Replace(ContactNames),
    /// Some more and some less. A contact that is named in both is added, or stays.
    Change {
        /// Who comes.
        add: ContactNames,
        /// Who goes.
        remove: ContactNames,
    },
}

/// A contact as the caller named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamedContact {
    /// By id; with [`SetContacts::Replace`] also those that nobody named and that go.
    Id(ItemId),
    /// By address, as typed.
    Email(String),
}

/// What came of one contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactOutcome {
    /// Related now.
    Added,
    /// Was related before.
    AlreadyThere,
    /// Related no longer.
    Removed,
    /// Was not related.
    NotThere,
    /// No contact of the group has this address. Nothing else suffers from it, as in GitLab.
    UnknownEmail,
}

/// A contact that may be meant.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id.
    pub id: ItemId,
    /// The group that holds it.
    pub group: GroupId,
    /// Address as stored.
    pub email: Option<String>,
    /// False once deactivated.
    pub active: bool,
    /// Whether the issue has it.
    pub related: bool,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ContactsPlan {
    /// Per contact, in the order in which they were named.
    pub outcomes: Vec<(NamedContact, ContactOutcome)>,
    /// Contacts that the issue gets.
    pub add: Vec<ItemId>,
    /// Contacts that it loses.
    pub remove: Vec<ItemId>,
}

/// Where the issue's contacts are, and which other groups' contacts the asker may see.
#[derive(Debug)]
pub struct IssueContacts<'a> {
    /// What the asker may do on the issue.
    pub access: Access,
    /// The group that holds the issue's contacts.
    pub holder: GroupId,
    /// Other groups whose contacts the asker may see.
    pub visible: &'a HashSet<GroupId>,
    /// The contacts that may be meant, and those that the issue has.
    pub candidates: &'a [Candidate],
}

impl SetContacts {
    /// Returns the wish that these contacts be added.
    pub fn append(add: ContactNames) -> Self {
        let remove = ContactNames::default();
        Self::Change { add, remove }
    }

    /// Returns the wish that these contacts be removed.
    pub fn remove(remove: ContactNames) -> Self {
        let add = ContactNames::default();
        Self::Change { add, remove }
    }

    /// Returns all names of the wish.
    pub fn names(&self) -> impl Iterator<Item = &ContactNames> {
        let (first, second) = match self {
            Self::Replace(names) => (names, None),
            Self::Change { add, remove } => (add, Some(remove)),
        };
        std::iter::once(first).chain(second)
    }
}

impl ContactNames {
    fn iter(&self) -> impl Iterator<Item = NamedContact> + '_ {
        let ids = self.ids.iter().copied().map(NamedContact::Id);
        ids.chain(self.emails.iter().cloned().map(NamedContact::Email))
    }

    fn len(&self) -> usize {
        self.ids.len() + self.emails.len()
    }
}

/// Refuses a wish before anything is loaded for it.
pub fn may_set_contacts(access: &Access, wanted: &SetContacts) -> Result<(), Refused> {
    if !access.active || !access.issue_readable {
        return Err(Refused::NotFound);
    }
    if !access.allows(Right::RelateContacts) {
        return Err(Refused::Denied(
            "You have insufficient permissions to set customer relations contacts for this issue"
                .to_owned(),
        ));
    }
    if wanted.names().map(ContactNames::len).sum::<usize>() > MAX_NAMED {
        let reason = format!("You can only set up to {MAX_NAMED} contacts at one time");
        return Err(Refused::because(reason));
    }
    Ok(())
}

/// Decides which contacts an issue gets and loses.
///
/// # Errors
/// Names every contact that cannot be added; then nothing is.
pub fn set_contacts(
    issue: &IssueContacts<'_>,
    wanted: &SetContacts,
) -> Result<ContactsPlan, Refused> {
    may_set_contacts(&issue.access, wanted)?;
    let mut plan = ContactsPlan::default();
    let (add, remove) = match wanted {
        SetContacts::Replace(names) => (names, None),
        SetContacts::Change { add, remove } => (add, Some(remove)),
    };
    let mut problems = Vec::new();
    let mut stay = HashSet::new();
    for name in add.iter() {
        let outcome = match issue.find(&name) {
            None => match &name {
                NamedContact::Email(_) => ContactOutcome::UnknownEmail,
                NamedContact::Id(id) => {
                    problems.push(not_found(*id));
                    continue;
                }
            },
            Some(contact) => {
                let new = stay.insert(contact.id) && !contact.related;
                match issue.problem(contact) {
                    Some(problem) => {
                        problems.push(problem);
                        continue;
                    }
                    None if new => {
                        plan.add.push(contact.id);
                        ContactOutcome::Added
                    }
                    None => ContactOutcome::AlreadyThere,
                }
            }
        };
        plan.outcomes.push((name, outcome));
    }
    if !problems.is_empty() {
        return Err(Refused::Invalid(problems));
    }
    match remove {
        Some(remove) => issue.take_off(remove, &stay, &mut plan),
        None => {
            for contact in issue.candidates {
                if contact.related && !stay.contains(&contact.id) {
                    plan.remove.push(contact.id);
                    let name = NamedContact::Id(contact.id);
                    plan.outcomes.push((name, ContactOutcome::Removed));
                }
            }
        }
    }
    Ok(plan)
}

impl IssueContacts<'_> {
    fn take_off(&self, remove: &ContactNames, stay: &HashSet<ItemId>, plan: &mut ContactsPlan) {
        let mut gone = HashSet::new();
        for name in remove.iter() {
            let outcome = match self.find(&name) {
                Some(contact) if stay.contains(&contact.id) => ContactOutcome::AlreadyThere,
                Some(contact) if contact.related && gone.insert(contact.id) => {
                    plan.remove.push(contact.id);
                    ContactOutcome::Removed
                }
                Some(_) | None => ContactOutcome::NotThere,
            };
            plan.outcomes.push((name, outcome));
        }
    }

    /// Returns the contact that a name means, as far as the asker may know of it.
    fn find(&self, name: &NamedContact) -> Option<&Candidate> {
        match name {
            NamedContact::Id(id) => self.candidates.iter().find(|contact| {
                let seen = contact.group == self.holder || self.visible.contains(&contact.group);
                contact.id == *id && (seen || contact.related)
            }),
            NamedContact::Email(typed) => {
                let typed = typed.trim().to_lowercase();
                self.candidates.iter().find(|contact| {
                    let email = contact.email.as_ref().map(|email| email.to_lowercase());
                    contact.group == self.holder && email.as_ref() == Some(&typed)
                })
            }
        }
    }

    /// Returns why a contact cannot be added. One that the issue has needs not be added.
    fn problem(&self, contact: &Candidate) -> Option<String> {
        if contact.related {
            None
        } else if contact.group != self.holder {
            Some(format!(
                "{}: The contact does not belong to the issue group's CRM source group",
                contact.id
            ))
        } else if contact.active {
            None
        } else {
            Some(format!(
                "{}: The contact is inactive, so it cannot be added",
                contact.id
            ))
        }
    }
}

fn not_found(id: ItemId) -> String {
    format!(
        "{id}: The resource that you are attempting to access does not exist or you don't have permission to perform this action"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Level;

    const HOLDER: GroupId = GroupId(1);
    const OTHER: GroupId = GroupId(2);
    const HIDDEN: GroupId = GroupId(3);

    fn access() -> Access {
        Access {
            active: true,
            crm_enabled: true,
            contact_group: Level::Reporter,
            project: Level::Reporter,
            issue_readable: true,
        }
    }

    fn candidate(id: i64, group: GroupId, active: bool, related: bool) -> Candidate {
        Candidate {
            id: ItemId(id),
            group,
            email: Some(format!("Contact{id}@example.com")),
            active,
            related,
        }
    }

    fn decide(wanted: &SetContacts) -> Result<ContactsPlan, Refused> {
        let candidates = [
            candidate(1, HOLDER, true, false),
            candidate(2, HOLDER, true, true),
            candidate(3, HOLDER, false, false),
            candidate(4, HOLDER, false, true),
            candidate(5, OTHER, true, false),
            candidate(6, HIDDEN, true, false),
        ];
        let issue = IssueContacts {
            access: access(),
            holder: HOLDER,
            visible: &HashSet::from([OTHER]),
            candidates: &candidates,
        };
        set_contacts(&issue, wanted)
    }

    fn ids(ids: &[i64]) -> ContactNames {
        ContactNames {
            ids: ids.iter().copied().map(ItemId).collect(),
            emails: Vec::new(),
        }
    }

    fn emails(emails: &[&str]) -> ContactNames {
        ContactNames {
            ids: Vec::new(),
            emails: emails.iter().map(|&email| email.to_owned()).collect(),
        }
    }

    #[test]
    fn each_wish_changes_what_it_says_and_no_more() {
        let change = |add, remove| SetContacts::Change { add, remove };
        for (wanted, add, remove) in [
            (SetContacts::Replace(ids(&[])), vec![], vec![2, 4]),
            (SetContacts::Replace(ids(&[1, 4])), vec![1], vec![2]),
            (SetContacts::append(ids(&[])), vec![], vec![]),
            (SetContacts::append(ids(&[1, 1, 2])), vec![1], vec![]),
            (
                SetContacts::append(emails(&[" CONTACT1@example.com ", "nobody@example.com"])),
                vec![1],
                vec![],
            ),
            (SetContacts::remove(ids(&[1, 2, 2, 99])), vec![], vec![2]),
            (
                SetContacts::remove(emails(&["contact4@EXAMPLE.com"])),
                vec![],
                vec![4],
            ),
            // Whoever is added and removed is added, or stays.
            (change(ids(&[1, 2]), ids(&[1, 2, 4])), vec![1], vec![4]),
            (
                change(emails(&["contact1@example.com"]), ids(&[1])),
                vec![1],
                vec![],
            ),
        ] {
            let plan = decide(&wanted).unwrap();
            let numbers = |ids: &[ItemId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
            assert_eq!(
                (numbers(&plan.add), numbers(&plan.remove)),
                (add, remove),
                "{wanted:?}"
            );
        }
    }

    #[test]
    fn outcomes_are_said_per_contact_in_the_order_of_the_names() {
        let wanted = SetContacts::Change {
            add: ContactNames {
                ids: vec![ItemId(1), ItemId(2)],
                emails: vec!["x@example.com".into()],
            },
            remove: ids(&[4, 3]),
        };
        let said: Vec<_> = decide(&wanted)
            .unwrap()
            .outcomes
            .into_iter()
            .map(|(_, outcome)| outcome)
            .collect();
        assert_eq!(
            said,
            [
                ContactOutcome::Added,
                ContactOutcome::AlreadyThere,
                ContactOutcome::UnknownEmail,
                ContactOutcome::Removed,
                ContactOutcome::NotThere,
            ]
        );
    }

    #[test]
    fn one_that_cannot_be_added_stops_all_and_each_is_named() {
        let missing = "The resource that you are attempting to access does not exist or you don't have permission to perform this action";
        let refused = decide(&SetContacts::append(ids(&[1, 3, 5, 6, 99]))).unwrap_err();
        assert_eq!(
            refused,
            Refused::Invalid(vec![
                "3: The contact is inactive, so it cannot be added".into(),
                "5: The contact does not belong to the issue group's CRM source group".into(),
                format!("6: {missing}"),
                format!("99: {missing}"),
            ])
        );
    }

    #[test]
    fn rights_and_limits_come_first() {
        let wanted = SetContacts::Replace(ids(&[1]));
        let unreadable = Access {
            issue_readable: false,
            ..access()
        };
        assert_eq!(
            may_set_contacts(&unreadable, &wanted),
            Err(Refused::NotFound)
        );
        for less in [
            Access {
                project: Level::Guest,
                ..access()
            },
            Access {
                contact_group: Level::Guest,
                ..access()
            },
            Access {
                crm_enabled: false,
                ..access()
            },
        ] {
            assert!(
                matches!(may_set_contacts(&less, &wanted), Err(Refused::Denied(_))),
                "{less:?}"
            );
        }
        let many = |count| SetContacts::append(ids(&(0..count).collect::<Vec<i64>>()));
        assert_eq!(may_set_contacts(&access(), &many(1000)), Ok(()));
        assert!(matches!(
            may_set_contacts(&access(), &many(1001)),
            Err(Refused::Invalid(_))
        ));
    }
}
