//! `/crm/items/new` and `/crm/items/{id}/edit`: the form of a lead, deal, invoice or custom item.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use chrono::DateTime;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::{find, watch::names};
use crate::{
    crm::{CrmError, NewItem, Where},
    domain::{
        ItemFields, ItemForm, ItemId, ItemKind, ItemPatch, ItemTypeId, RecordForm, RecordKind,
        RecordPatch,
    },
    store::item_type,
    web::{
        Web,
        flash::Flash,
        form::{Errors, OVERTAKEN, Typed, came_second, differing, optional, refused},
        frame::{Frame, html},
        kind,
        params::{Path, Query},
        problem::Problem,
        visit::{InGroup, ToManage},
    },
};

/// What is typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Input {
    /// A word of [`ItemKind`], or `type-7`; one that is there keeps it.
    kind: String,
    title: String,
    stage: String,
    amount: String,
    currency: String,
    description: String,
    /// Whose it is; of a new one.
    responsible: String,
    /// Who observes it; of a new one.
    observers: String,
    /// When what was seen had been changed last, in microseconds.
    version: i64,
}

/// What somebody else put there meanwhile, where it differs from what was typed.
#[derive(Debug, Default)]
struct Theirs {
    title: Option<String>,
    stage: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    description: Option<String>,
}

#[derive(Template)]
#[template(path = "items/form.html")]
struct FormPage {
    frame: Frame,
    input: Input,
    theirs: Theirs,
    errors: Errors,
    /// The kinds to choose from, for a new one: value and label.
    kinds: Vec<(String, String)>,
    is_new: bool,
    /// Whether it may be worth an amount; what a new one may be, its kind says.
    has_amount: bool,
    /// Where people are suggested.
    people: String,
    action: String,
    back: String,
}

/// Which kind is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    kind: String,
}

type Visit = InGroup<ToManage>;

/// Returns the routes of the form.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/crm/items/new", get(blank).post(create))
        .route("/crm/items/{id}/edit", get(filled).post(update))
}

async fn blank(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let input = Input {
        kind: asked.kind,
        ..Input::default()
    };
    page(&visit, None, input, Errors::default()).await
}

async fn create(visit: Visit, form: Typed<Input>) -> Result<Response, Problem> {
    let input = form.values;
    if form.is_restored {
        return page(&visit, None, input, Errors::default()).await;
    }
    match create_typed(&visit, &input).await {
        Ok(id) => {
            let path = visit.to(format_args!("crm/items/{id}"));
            Ok(visit
                .visitor
                .say(Flash::done("The item was created."), &path))
        }
        Err(CrmError::Invalid(sentences)) => {
            let errors = Errors::new(sentences);
            Ok(refused(page(&visit, None, input, errors).await?))
        }
        Err(other) => Err(other.into()),
    }
}

async fn create_typed(visit: &Visit, input: &Input) -> Result<ItemId, CrmError> {
    let crm = &visit.visitor.web.crm;
    let (asker, group) = (visit.visitor.asker(), visit.group.contact_group);
    let mut wrong = Vec::new();
    let mut people = async |field: &str, typed: &str| {
        let named = match names(typed) {
            Ok(names) => crm.people_named(Where::Group(group), &names).await,
            Err(error) => Err(error),
        };
        match named {
            Ok(people) => Ok(people),
            Err(CrmError::Invalid(sentences)) => {
                wrong.extend(
                    sentences
                        .iter()
                        .map(|why| format!("{field} cannot be found. {why}")),
                );
                Ok(Vec::new())
            }
            Err(other) => Err(other),
        }
    };
    let responsible = people("Responsible", &input.responsible).await?;
    let observers = people("Observers", &input.observers).await?;
    if responsible.len() > 1 {
        wrong.push("Responsible can be one person only".to_owned());
    }
    let amount = match amount(&input.amount) {
        Ok(amount) => amount,
        Err(sentence) => {
            wrong.push(sentence);
            None
        }
    };
    let (of, item_type) = meant(&input.kind);
    let form = RecordForm {
        of,
        item_type,
        title: input.title.clone(),
        stage: optional(&input.stage),
        amount,
        currency: optional(&input.currency),
        description: optional(&input.description),
    };
    if !wrong.is_empty() {
        let others = form.check().err().unwrap_or_default();
        wrong.extend(others.iter().map(ToString::to_string));
        return Err(CrmError::Invalid(wrong));
    }
    let new = NewItem {
        form: ItemForm::Record(form),
        responsible: responsible.first().copied(),
        observers,
        links: Vec::new(),
    };
    crm.create_item(asker, group, &new).await
}

async fn filled(visit: Visit, Path(id): Path<ItemId>) -> Result<Response, Problem> {
    let input = stored(&visit, id).await?;
    page(&visit, Some(id), input, Errors::default()).await
}

async fn update(
    visit: Visit,
    Path(id): Path<ItemId>,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let now = stored(&visit, id).await?;
    let input = form.values;
    if form.is_restored {
        return page(&visit, Some(id), input, Errors::default()).await;
    }
    let amount = match amount(&input.amount) {
        Ok(amount) => amount,
        Err(sentence) => {
            let errors = Errors::new(vec![sentence]);
            return Ok(refused(page(&visit, Some(id), input, errors).await?));
        }
    };
    let patch = ItemPatch::Record(RecordPatch {
        title: Some(input.title.clone()),
        stage: Some(optional(&input.stage)),
        amount: Some(amount),
        currency: Some(optional(&input.currency)),
        description: Some(optional(&input.description)),
        active: None,
    });
    let seen = DateTime::from_timestamp_micros(input.version);
    let crm = &visit.visitor.web.crm;
    match crm
        .update_item(visit.visitor.asker(), id, &patch, seen)
        .await
    {
        Ok(operation) => {
            let flash = Flash::done("The item was saved.").with_undo(operation);
            let path = visit.to(format_args!("crm/items/{id}"));
            Ok(visit.visitor.say(flash, &path))
        }
        Err(CrmError::Changed) => overtaken(&visit, id, input, now).await,
        Err(CrmError::Invalid(sentences)) => {
            let errors = Errors::new(sentences);
            Ok(refused(page(&visit, Some(id), input, errors).await?))
        }
        Err(other) => Err(other.into()),
    }
}

/// Answers whoever comes second: what he typed stays, what is there now stands beside it, and saving again is meant.
async fn overtaken(
    visit: &Visit,
    id: ItemId,
    typed: Input,
    now: Input,
) -> Result<Response, Problem> {
    let theirs = Theirs {
        title: differing(&typed.title, now.title),
        stage: differing(&typed.stage, now.stage),
        amount: differing(&typed.amount, now.amount),
        currency: differing(&typed.currency, now.currency),
        description: differing(&typed.description, now.description),
    };
    let input = Input {
        version: now.version,
        ..typed
    };
    let errors = Errors::new(vec![OVERTAKEN.to_owned()]);
    let page = FormPage {
        theirs,
        ..form_page(visit, Some(id), input, errors).await?
    };
    Ok(came_second(html(&page)))
}

/// Returns what is stored as the form shows it.
async fn stored(visit: &Visit, id: ItemId) -> Result<Input, Problem> {
    let (item, _) = find(visit, id).await?;
    let ItemFields::Record(record) = item.fields else {
        return Err(Problem::NotFound);
    };
    Ok(Input {
        kind: record.of.kind().word().to_owned(),
        title: record.title,
        stage: record.stage.unwrap_or_default(),
        amount: record
            .amount
            .map(|amount| amount.to_string())
            .unwrap_or_default(),
        currency: record.currency.unwrap_or_default(),
        description: record.description.unwrap_or_default(),
        version: item.updated_at.timestamp_micros(),
        ..Input::default()
    })
}

/// Returns the kind and type that a choice means; a lead where it means nothing.
fn meant(choice: &str) -> (RecordKind, Option<ItemTypeId>) {
    if let Some(id) = choice.strip_prefix("type-").and_then(|id| id.parse().ok()) {
        return (RecordKind::Custom, Some(ItemTypeId(id)));
    }
    let kind = ItemKind::ALL.into_iter().find(|kind| kind.word() == choice);
    (
        kind.and_then(RecordKind::of).unwrap_or(RecordKind::Lead),
        None,
    )
}

fn amount(typed: &str) -> Result<Option<Decimal>, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(None);
    }
    let amount = typed.parse().map(Some);
    amount.map_err(|_| "Amount is no number: write it like 1250.50".to_owned())
}

async fn page(
    visit: &Visit,
    id: Option<ItemId>,
    input: Input,
    errors: Errors,
) -> Result<Response, Problem> {
    Ok(html(&form_page(visit, id, input, errors).await?))
}

async fn form_page(
    visit: &Visit,
    id: Option<ItemId>,
    input: Input,
    errors: Errors,
) -> Result<FormPage, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let types = item_type::of_root(&mut connection, visit.group.root).await?;
    drop(connection);
    let kinds = ItemKind::ALL
        .into_iter()
        .filter(|kind| RecordKind::of(*kind).is_some() && *kind != ItemKind::Custom)
        .map(|kind| (kind.word().to_owned(), kind::label(kind).to_owned()));
    let types = types
        .into_iter()
        .map(|found| (format!("type-{}", found.id), found.name));
    let has_amount = meant(&input.kind).0.kind().has_amount();
    let folder = visit.to("crm/items");
    let (title, action, back) = match id {
        None => ("New item", format!("{folder}/new"), folder),
        Some(id) => (
            "Edit item",
            format!("{folder}/{id}/edit"),
            format!("{folder}/{id}"),
        ),
    };
    Ok(FormPage {
        frame: visit.frame(title),
        input,
        theirs: Theirs::default(),
        errors,
        kinds: kinds.chain(types).collect(),
        is_new: id.is_none(),
        has_amount,
        people: visit.to("crm/people/suggest"),
        action,
        back,
    })
}
