//! What is done about who watches one item, and its chat.

use std::collections::HashSet;

use axum::{Router, response::Response, routing::post};
use serde::Deserialize;

use super::{find, page_of};
use crate::{
    crm::{CrmError, WatchReport, Where},
    domain::{ItemId, PersonId},
    rules::{Hidden, ObserverOutcome, OnItem, WatchTask},
    web::{
        Web,
        flash::Flash,
        form::Typed,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToSeeItem},
    },
};

/// People whose level is asked for after they were named: each may be a question to the tracker.
const MOST_ASKED: usize = 5;

/// People by their names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct People {
    people: String,
    /// Whether they see new messages only.
    new_only: Option<String>,
}

/// A person by his name, or nobody.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    person: String,
}

/// A person who is listed.
#[derive(Debug, Deserialize)]
struct Listed {
    person: PersonId,
}

/// Somebody who waits, and the answer.
#[derive(Debug, Deserialize)]
struct Answer {
    person: PersonId,
    answer: String,
}

type Visit = InGroup<ToSeeItem>;

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/crm/items/{id}/observers", post(add))
        .route("/crm/items/{id}/observers/remove", post(remove))
        .route("/crm/items/{id}/responsible", post(responsible))
        .route("/crm/items/{id}/requests", post(answer))
        .route("/crm/items/{id}/chat", post(create_chat))
}

/// Names that are looked up at once; a change of observers may name as many.
const MOST: usize = 100;

/// Returns the names that somebody typed, without blanks and doubles.
///
/// # Errors
/// [`CrmError::Invalid`] where they are too many.
pub(super) fn names(typed: &str) -> Result<Vec<String>, CrmError> {
    let mut seen = HashSet::new();
    let words = typed
        .split(|char: char| char.is_whitespace() || char.is_control() || matches!(char, ',' | ';'));
    let names = words.filter(|name| !name.is_empty() && seen.insert(*name));
    let names: Vec<String> = names.take(MOST + 1).map(str::to_owned).collect();
    if names.len() > MOST {
        let reason = format!("You can only name up to {MOST} people at one time");
        return Err(CrmError::Invalid(vec![reason]));
    }
    Ok(names)
}

/// Returns the people whom names mean, for whoever may put them in places; nobody else is told whether there are such people.
async fn named(
    visit: &Visit,
    id: ItemId,
    (typed, may): (&str, fn(OnItem) -> bool),
) -> Result<Result<Vec<PersonId>, CrmError>, Problem> {
    let (_, on) = find(visit, id).await?;
    if !may(on) {
        let sentence = "You have insufficient permissions to change observers of this item";
        return Ok(Err(CrmError::Denied(sentence.to_owned())));
    }
    let names = match names(typed) {
        Ok(names) => names,
        Err(error) => return Ok(Err(error)),
    };
    let crm = &visit.visitor.web.crm;
    Ok(crm.people_named(Where::Item(id), &names).await)
}

async fn add(
    visit: Visit,
    Path(id): Path<ItemId>,
    form: Typed<People>,
) -> Result<Response, Problem> {
    let wish = (
        &*form.values.people,
        OnItem::changes_observers as fn(OnItem) -> bool,
    );
    let named = named(&visit, id, wish).await?;
    let task = named.map(|people| WatchTask::Add {
        people,
        in_chat: true,
        history: form.values.new_only.as_ref().map(|_| Hidden::Past),
    });
    change(&visit, id, task).await
}

async fn remove(
    visit: Visit,
    Path(id): Path<ItemId>,
    form: Typed<Listed>,
) -> Result<Response, Problem> {
    let people = vec![form.values.person];
    change(&visit, id, Ok(WatchTask::Remove { people })).await
}

async fn responsible(
    visit: Visit,
    Path(id): Path<ItemId>,
    form: Typed<Named>,
) -> Result<Response, Problem> {
    let wish = (&*form.values.person, OnItem::edits as fn(OnItem) -> bool);
    let named = named(&visit, id, wish).await?;
    let task = named.and_then(|people| match people.as_slice() {
        [] => Ok(WatchTask::Responsible { person: None }),
        [one] => Ok(WatchTask::Responsible { person: Some(*one) }),
        _ => Err(CrmError::Invalid(vec![
            "Only one person can be responsible".to_owned(),
        ])),
    });
    change(&visit, id, task).await
}

/// Changes who watches an item and says on its page what came of it.
async fn change(
    visit: &Visit,
    id: ItemId,
    task: Result<WatchTask, CrmError>,
) -> Result<Response, Problem> {
    let (item, on) = find(visit, id).await?;
    let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
    let brought = match &task {
        Ok(task) if task.brings() => task.people(),
        _ => Vec::new(),
    };
    let done = match task {
        Ok(task) => crm.change_watchers(asker, &[id], &task, false).await,
        Err(error) => Err(error),
    };
    let flash = match done {
        Ok(report)
            if report.refused.is_empty() && has_strangers(visit, id, &brought).await => said(&report).but(
            "Not all of them can see it: it takes a level in the group. “Why can somebody see this?” tells who.",
        ),
        Ok(report) => said(&report),
        Err(CrmError::Invalid(sentences)) => Flash::warning(format!("{}.", sentences.join(". "))),
        Err(CrmError::Denied(sentence)) => Flash::warning(format!("{sentence}.")),
        Err(other) => return Err(other.into()),
    };
    // Whoever took himself off the list may see it no longer.
    let path = match find(visit, id).await {
        Err(Problem::NotFound) => "/".to_owned(),
        _ => page_of(visit, &item, on),
    };
    Ok(visit.visitor.say(flash, &path))
}

/// Returns whether it is known that somebody, of the first few of those who were named, may not read the item, though he observes it or is
/// responsible for it.
async fn has_strangers(visit: &Visit, id: ItemId, people: &[PersonId]) -> bool {
    for person in people.iter().take(MOST_ASKED) {
        // The change is made: a tracker that does not answer now is no reason to say that it was not.
        let Ok(access) = visit.visitor.web.crm.items_access(*person, &[id]).await else {
            return false;
        };
        if !access.get(&id).is_some_and(|on| on.reads()) {
            return true;
        }
    }
    false
}

/// Returns what came of a change of one item.
fn said(report: &WatchReport) -> Flash {
    if let Some(why) = report.refused.keys().next() {
        return Flash::warning(format!("{why}."));
    }
    let count = |wanted: ObserverOutcome| {
        let outcomes = report.outcomes.iter();
        outcomes.filter(|(.., outcome)| *outcome == wanted).count()
    };
    let parts: Vec<String> = [
        (ObserverOutcome::Added, "added"),
        (ObserverOutcome::Back, "put back into the chat"),
        (ObserverOutcome::AlreadyThere, "there already"),
        (ObserverOutcome::Removed, "removed"),
        (ObserverOutcome::NotThere, "not on the list"),
    ]
    .into_iter()
    .map(|(outcome, word)| (count(outcome), word))
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    let text = match (parts.is_empty(), report.changed) {
        (false, _) => format!("Observers: {}.", parts.join(", ")),
        (true, 0) => "That was so already.".to_owned(),
        (true, _) => "The responsible person was changed.".to_owned(),
    };
    match report.operation {
        Some(operation) => Flash::done(text).with_undo(operation),
        None => Flash::warning(text),
    }
}

async fn answer(
    visit: Visit,
    Path(id): Path<ItemId>,
    form: Typed<Answer>,
) -> Result<Response, Problem> {
    let (item, on) = find(&visit, id).await?;
    let approve = form.values.answer == "approve";
    let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
    let people = [form.values.person];
    let flash = match crm.answer_requests(asker, id, &people, approve).await {
        Ok(()) if approve => Flash::done("Approved: they observe it now."),
        Ok(()) => Flash::done("Turned away."),
        Err(CrmError::Invalid(sentences)) => Flash::warning(format!("{}.", sentences.join(". "))),
        Err(other) => return Err(other.into()),
    };
    Ok(visit.visitor.say(flash, &page_of(&visit, &item, on)))
}

async fn create_chat(visit: Visit, Path(id): Path<ItemId>) -> Result<Response, Problem> {
    let (item, on) = find(&visit, id).await?;
    let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
    let flash = match crm.create_chat(asker, id).await {
        Ok(_) => Flash::done("The chat is being made; everybody on the list is put into it."),
        Err(CrmError::Invalid(sentences)) => Flash::warning(format!("{}.", sentences.join(". "))),
        Err(other) => return Err(other.into()),
    };
    Ok(visit.visitor.say(flash, &page_of(&visit, &item, on)))
}
