//! The contacts of an issue: added by address, number or suggestion, and removed.

use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;

use super::page;
use crate::{
    crm::{ContactNames, ContactOutcome, CrmError, SetContacts},
    domain::{IssueId, ItemId},
    store::search::Purpose,
    web::{
        Web,
        flash::Flash,
        form::Typed,
        frame::html,
        params::{Path, Query},
        problem::Problem,
        suggestion::{Choice, Options},
        visit::{InGroup, ToView},
    },
};

/// Most suggestions.
const MOST: u32 = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    q: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Input {
    contact: String,
    id: Option<ItemId>,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/issues/{id}/suggest", get(suggest))
        .route("/issues/{id}/contacts", post(add))
        .route("/issues/{id}/contacts/remove", post(remove))
}

async fn suggest(
    visit: InGroup<ToView>,
    Path(id): Path<IssueId>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let found = page::find(&visit, id).await?;
    let (holder, add) = (found.holder, Purpose::Add);
    let completing = &visit.visitor.web.completing;
    let contacts = completing.complete(holder, &asked.q, Some(id), add, MOST);
    let contacts = contacts.await?;
    Ok(html(&Options {
        options: contacts.into_iter().map(Choice::from).collect(),
    }))
}

async fn add(
    visit: InGroup<ToView>,
    Path(id): Path<IssueId>,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let names = names(&form.values.contact);
    if names.ids.is_empty() && names.emails.is_empty() {
        let flash =
            Flash::warning("Name a contact by its e-mail address, or choose one of the list.");
        return Ok(back(&visit, id, flash));
    }
    let add = SetContacts::Change {
        add: names,
        remove: ContactNames::default(),
    };
    set(&visit, id, &add).await
}

async fn remove(
    visit: InGroup<ToView>,
    Path(id): Path<IssueId>,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let remove = SetContacts::Change {
        add: ContactNames::default(),
        remove: ContactNames {
            ids: form.values.id.into_iter().collect(),
            emails: Vec::new(),
        },
    };
    set(&visit, id, &remove).await
}

async fn set(
    visit: &InGroup<ToView>,
    id: IssueId,
    wanted: &SetContacts,
) -> Result<Response, Problem> {
    // One of another group is not there.
    page::find(visit, id).await?;
    let asker = visit.visitor.asker();
    let crm = &visit.visitor.web.crm;
    let flash = match crm.set_issue_contacts(asker, id, wanted).await {
        Ok(report) => {
            let outcomes = report.outcomes.iter().map(|(_, outcome)| *outcome);
            told(outcomes.collect::<Vec<_>>().as_slice()).with_undo(report.operation)
        }
        Err(CrmError::Invalid(reasons)) => Flash::warning(format!("{}.", reasons.join(". "))),
        Err(other) => return Err(other.into()),
    };
    Ok(back(visit, id, flash))
}

fn back(visit: &InGroup<ToView>, id: IssueId, flash: Flash) -> Response {
    let path = visit.to(format_args!("issues/{id}"));
    visit.visitor.say(flash, &path)
}

/// Returns what is said of what came of it, without anybody's data.
fn told(outcomes: &[ContactOutcome]) -> Flash {
    let count = |wanted| {
        outcomes
            .iter()
            .filter(|outcome| **outcome == wanted)
            .count()
    };
    let parts = [
        (ContactOutcome::Added, "added"),
        (ContactOutcome::AlreadyThere, "already there"),
        (ContactOutcome::Removed, "removed"),
        (ContactOutcome::NotThere, "not on the issue"),
        (ContactOutcome::UnknownEmail, "not found"),
    ]
    .map(|(outcome, word)| (count(outcome), word));
    let said: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let is_fine = count(ContactOutcome::Added) + count(ContactOutcome::Removed) == outcomes.len();
    let text = format!("Contacts: {}.", said.join(", "));
    if is_fine {
        Flash::done(text)
    } else {
        Flash::warning(text)
    }
}

/// Returns who is named in what was typed: addresses, and numbers such as `#13`.
fn names(typed: &str) -> ContactNames {
    let mut names = ContactNames::default();
    for word in typed
        .split([' ', ',', ';', '\t', '\n'])
        .filter(|word| !word.is_empty())
    {
        match word.strip_prefix('#').and_then(|id| id.parse().ok()) {
            Some(id) => names.ids.push(ItemId(id)),
            None => names.emails.push(word.trim_matches(['<', '>']).to_owned()),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_named_by_address_and_number() {
        let names = names("ada@example.com, <grace@example.com> #13");
        assert_eq!(names.emails, ["ada@example.com", "grace@example.com"]);
        assert_eq!(names.ids, [ItemId(13)]);
    }

    #[test]
    fn what_came_of_it_is_counted() {
        let flash = told(&[ContactOutcome::Added, ContactOutcome::UnknownEmail]);
        assert_eq!(flash, Flash::warning("Contacts: 1 added, 1 not found."));
        assert_eq!(
            told(&[ContactOutcome::Removed]),
            Flash::done("Contacts: 1 removed.")
        );
    }
}
