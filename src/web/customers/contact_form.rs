//! `/crm/contacts/new` and `/crm/contacts/{id}/edit`: the form of a contact.
//!
//! Two people who edit the same contact: whoever comes second is shown what the first one put there, beside what he typed himself, and
//! decides. The form carries when what it began with had been changed last.

use askama::Template;
use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::DateTime;
use http::StatusCode;
use serde::Deserialize;

use crate::{
    crm::CrmError,
    domain::{ContactForm, ContactPatch, ItemId, ItemKind},
    store::{
        item,
        search::{self, ContactRow},
    },
    web::{
        Web,
        flash::Flash,
        form::{Errors, Typed},
        frame::{Frame, html},
        problem::Problem,
        visit::{InGroup, ToManage},
    },
};

/// Labels of the fields, by which errors find them.
const LABELS: [&str; 6] = [
    "First name",
    "Last name",
    "Email",
    "Phone",
    "Organization",
    "Description",
];

/// What is typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Input {
    first_name: String,
    last_name: String,
    email: String,
    phone: String,
    /// By its name.
    organization: String,
    description: String,
    /// When what was seen had been changed last, in microseconds.
    version: i64,
}

/// What somebody else put there meanwhile, where it differs from what was typed.
#[derive(Debug, Default)]
struct Theirs {
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    organization: Option<String>,
    description: Option<String>,
}

#[derive(Template)]
#[template(path = "customers/contact_form.html")]
struct FormPage {
    frame: Frame,
    input: Input,
    theirs: Theirs,
    errors: Errors,
    others: Vec<String>,
    /// Where the form is sent.
    action: String,
    /// Where one goes who changes his mind.
    back: String,
    organizations: String,
}

/// Returns the routes of the form.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/crm/contacts/new", get(blank).post(create))
        .route("/crm/contacts/{id}/edit", get(filled).post(update))
}

async fn blank(visit: InGroup<ToManage>) -> Response {
    page(&visit, None, Input::default(), Errors::default())
}

async fn create(visit: InGroup<ToManage>, form: Typed<Input>) -> Result<Response, Problem> {
    let input = form.values;
    if form.is_restored {
        return Ok(page(&visit, None, input, Errors::default()));
    }
    let (wanted, mut errors) = read(&visit, &input).await?;
    if errors.is_empty() {
        let asker = visit.visitor.asker();
        let group = visit.group.contact_group;
        match visit
            .visitor
            .web
            .crm
            .create_contact(asker, group, &wanted)
            .await
        {
            Ok(id) => {
                let path = visit.to(format_args!("crm/contacts/{id}"));
                return Ok(visit
                    .visitor
                    .say(Flash::done("The contact was created."), &path));
            }
            Err(CrmError::Invalid(sentences)) => errors = Errors::new(sentences),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(refused(page(&visit, None, input, errors)))
}

async fn filled(visit: InGroup<ToManage>, Path(id): Path<ItemId>) -> Result<Response, Problem> {
    let contact = stored(&visit, id).await?;
    let input = Input::from(&contact);
    Ok(page(&visit, Some(id), input, Errors::default()))
}

async fn update(
    visit: InGroup<ToManage>,
    Path(id): Path<ItemId>,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    // One of another group is not there.
    super::find(&visit, ItemKind::Contact, id).await?;
    let input = form.values;
    if form.is_restored {
        return Ok(page(&visit, Some(id), input, Errors::default()));
    }
    let (wanted, mut errors) = read(&visit, &input).await?;
    if errors.is_empty() {
        let patch = ContactPatch {
            first_name: Some(wanted.first_name),
            last_name: Some(wanted.last_name),
            email: Some(wanted.email),
            phone: Some(wanted.phone),
            description: Some(wanted.description),
            organization: Some(wanted.organization),
            active: None,
        };
        let seen = DateTime::from_timestamp_micros(input.version);
        let asker = visit.visitor.asker();
        match visit
            .visitor
            .web
            .crm
            .update_contact(asker, id, &patch, seen)
            .await
        {
            Ok(()) => {
                let path = visit.to(format_args!("crm/contacts/{id}"));
                return Ok(visit
                    .visitor
                    .say(Flash::done("The contact was saved."), &path));
            }
            Err(CrmError::Changed) => return overtaken(&visit, id, input).await,
            Err(CrmError::Invalid(sentences)) => errors = Errors::new(sentences),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(refused(page(&visit, Some(id), input, errors)))
}

/// Answers whoever comes second: what he typed stays, what is there now stands beside it, and saving again is meant.
async fn overtaken(
    visit: &InGroup<ToManage>,
    id: ItemId,
    typed: Input,
) -> Result<Response, Problem> {
    let now = Input::from(&stored(visit, id).await?);
    let differs = |typed: &str, now: String| (typed.trim() != now).then_some(now);
    let theirs = Theirs {
        first_name: differs(&typed.first_name, now.first_name),
        last_name: differs(&typed.last_name, now.last_name),
        email: differs(&typed.email, now.email),
        phone: differs(&typed.phone, now.phone),
        organization: differs(&typed.organization, now.organization),
        description: differs(&typed.description, now.description),
    };
    let sentence = "Somebody else saved this contact since you opened it. Where it differs from what you typed, what is there now stands below the field: saving again replaces it.";
    let input = Input {
        version: now.version,
        ..typed
    };
    let mut form = form_page(
        visit,
        Some(id),
        input,
        Errors::new(vec![sentence.to_owned()]),
    );
    form.theirs = theirs;
    let mut response = html(&form);
    *response.status_mut() = StatusCode::CONFLICT;
    Ok(response)
}

/// Returns what was typed as the CRM takes it, and what is wrong with it before the CRM is asked.
async fn read(visit: &InGroup<ToManage>, input: &Input) -> Result<(ContactForm, Errors), Problem> {
    let optional = |text: &str| Some(text.to_owned()).filter(|text| !text.trim().is_empty());
    let mut form = ContactForm {
        first_name: input.first_name.clone(),
        last_name: input.last_name.clone(),
        email: optional(&input.email),
        phone: optional(&input.phone),
        description: optional(&input.description),
        organization: None,
    };
    let name = input.organization.trim();
    let mut organization_known = true;
    if !name.is_empty() && !name.contains('\0') {
        let (root, group) = visit.holder();
        let mut connection = visit.visitor.connection().await?;
        let found = item::organizations(&mut connection, root, group, &[name.to_owned()]).await?;
        form.organization = found.first().map(|(id, _)| *id);
        organization_known = form.organization.is_some();
    }
    let mut errors = Errors::new(match form.check() {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    });
    // The API takes contacts without one; a person who fills in a form is asked for it.
    if form.email.is_none() {
        errors.push("Email can't be blank");
    }
    if !organization_known {
        errors.push("Organization does not exist: choose one of the list, or create it first");
    }
    Ok((form, errors))
}

async fn stored(visit: &InGroup<ToManage>, id: ItemId) -> Result<ContactRow, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let mut found = search::contacts_by_ids(&mut connection, visit.holder(), &[id]).await?;
    found.remove(&id).ok_or(Problem::NotFound)
}

impl From<&ContactRow> for Input {
    fn from(contact: &ContactRow) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            first_name: contact.first_name.clone(),
            last_name: contact.last_name.clone(),
            email: text(&contact.email),
            phone: text(&contact.phone),
            organization: text(&contact.organization_title),
            description: text(&contact.description),
            version: contact.updated_at.timestamp_micros(),
        }
    }
}

fn page(visit: &InGroup<ToManage>, id: Option<ItemId>, input: Input, errors: Errors) -> Response {
    html(&form_page(visit, id, input, errors))
}

fn form_page(
    visit: &InGroup<ToManage>,
    id: Option<ItemId>,
    input: Input,
    errors: Errors,
) -> FormPage {
    let (title, action, back) = match id {
        Some(id) => (
            "Edit contact",
            visit.to(format_args!("crm/contacts/{id}/edit")),
            visit.to(format_args!("crm/contacts/{id}")),
        ),
        None => (
            "New contact",
            visit.to("crm/contacts/new"),
            visit.to("crm/contacts"),
        ),
    };
    FormPage {
        frame: visit.frame(title),
        input,
        theirs: Theirs::default(),
        others: errors
            .others(&LABELS)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        errors,
        action,
        back,
        organizations: visit.to("crm/organizations/suggest"),
    }
}

fn refused(mut page: Response) -> Response {
    *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    page.into_response()
}
