//! `add_contacts`, `remove_contacts` and `create_contact`.

use super::{Change, Line, MAX_CONTACTS, Outcome, Refusal, Right, working::Working};
use crate::{
    domain::{Clock, ContactDraft},
    quick_action::{CommandName, ContactRef, contacts, create_contact},
};

/// Relates the named contacts to the issue.
pub(super) fn add(argument: &str, working: &mut Working, clock: &dyn Clock) -> Line {
    let may_create = working.access.allows(Right::CreateContacts);
    each(
        CommandName::AddContacts,
        argument,
        working,
        clock,
        |email, working| match working.by_email(email) {
            None => (Outcome::NotFound { may_create }, None),
            Some(contact) if contact.related => (Outcome::AlreadyThere, None),
            Some(contact) if !contact.active => (Outcome::Inactive, None),
            Some(contact) => (Outcome::Added, Some(Change::Relate(contact.id))),
        },
    )
}

/// Relates the named contacts to the issue no longer; inactive ones too.
pub(super) fn remove(argument: &str, working: &mut Working, clock: &dyn Clock) -> Line {
    each(
        CommandName::RemoveContacts,
        argument,
        working,
        clock,
        |email, working| match working.by_email(email) {
            Some(contact) if contact.related => {
                (Outcome::Removed, Some(Change::Unrelate(contact.id)))
            }
            Some(_) | None => (Outcome::NotThere, None),
        },
    )
}

fn each(
    command: CommandName,
    argument: &str,
    working: &mut Working,
    clock: &dyn Clock,
    decide: impl Fn(&str, &Working) -> (Outcome, Option<Change>),
) -> Line {
    let named = contacts(argument);
    if named.is_empty() {
        return refused(command, Refusal::NoContactNamed);
    }
    let left_out = named.len().saturating_sub(MAX_CONTACTS);
    let mut changes = Vec::new();
    let outcomes = named
        .into_iter()
        .take(MAX_CONTACTS)
        .map(|contact| match contact {
            ContactRef::Email(email) => {
                let (outcome, change) = decide(&email, working);
                changes.extend(change);
                (email, outcome)
            }
            ContactRef::NotAnEmail(text) => (text, Outcome::NotAnAddress),
        })
        .collect();
    working.commit(command, changes, None, clock);
    Line::Contacts {
        command,
        outcomes,
        left_out,
    }
}

/// Creates a contact and, where the person may, relates it to the issue.
pub(super) fn create(argument: &str, working: &mut Working, clock: &dyn Clock) -> Line {
    match try_create(argument, working, clock) {
        Ok(line) => line,
        Err(refusal) => refused(CommandName::CreateContact, refusal),
    }
}

fn try_create(argument: &str, working: &mut Working, clock: &dyn Clock) -> Result<Line, Refusal> {
    let new = create_contact(argument).map_err(Refusal::Argument)?;
    let draft =
        ContactDraft::new(&new.first_name, &new.last_name, &new.email).map_err(Refusal::Field)?;
    if working.by_email(&draft.email).is_some() {
        return Err(Refusal::EmailTaken { email: new.email });
    }
    let organization = match new.organization {
        None => None,
        Some(name) => {
            let lower = name.to_lowercase();
            let found = working
                .organizations
                .iter()
                .find(|(_, known)| known.to_lowercase() == lower);
            Some(found.ok_or(Refusal::UnknownOrganization { name })?.0)
        }
    };
    // The caller reserved an id for every command that reads as a creation.
    let Some(id) = working.next_id() else {
        return Err(Refusal::EmailTaken { email: new.email });
    };
    let related = working.access.allows(Right::RelateContacts);
    let mut changes = vec![Change::Create {
        id,
        draft,
        organization,
    }];
    if related {
        changes.push(Change::Relate(id));
    }
    working.commit(CommandName::CreateContact, changes, None, clock);
    Ok(Line::Created {
        email: new.email,
        related,
    })
}

fn refused(command: CommandName, refusal: Refusal) -> Line {
    Line::Refused { command, refusal }
}
