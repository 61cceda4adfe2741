//! `/crm/contacts/new` and `/crm/contacts/{id}/edit`: the form of a contact.
//!
//! Two people who edit the same contact: whoever comes second is shown what the first one put there, beside what he typed himself, and
//! decides. The form carries when what it began with had been changed last.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use chrono::DateTime;
use serde::Deserialize;

use super::form::{self, FormPlace};
use crate::{
    crm::CrmError,
    domain::{ContactForm, ContactPatch, ItemId},
    store::search::{self, ContactRow},
    web::{
        Web,
        form::{Errors, OVERTAKEN, Typed, came_second, differing, optional, refused},
        frame::{Frame, html},
        kind::Kind,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToManage},
    },
};

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
    place: FormPlace,
    input: Input,
    theirs: Theirs,
    errors: Errors,
    /// Where organizations are suggested.
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
        let (asker, group) = (visit.visitor.asker(), visit.group.contact_group);
        let crm = &visit.visitor.web.crm;
        match crm.create_contact(asker, group, &wanted).await {
            Ok(id) => return Ok(form::saved(&visit, (Kind::Contact, id), ("created", None))),
            Err(CrmError::Invalid(sentences)) => errors = Errors::new(sentences),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(refused(page(&visit, None, input, errors)))
}

async fn filled(visit: InGroup<ToManage>, Path(id): Path<ItemId>) -> Result<Response, Problem> {
    let input = Input::from(&stored(&visit, id).await?);
    Ok(page(&visit, Some(id), input, Errors::default()))
}

async fn update(
    visit: InGroup<ToManage>,
    Path(id): Path<ItemId>,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    // One of another group is not there.
    let now = Input::from(&stored(&visit, id).await?);
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
        let (asker, seen) = (
            visit.visitor.asker(),
            DateTime::from_timestamp_micros(input.version),
        );
        let crm = &visit.visitor.web.crm;
        match crm.update_contact(asker, id, &patch, seen).await {
            Ok(done) => return Ok(form::saved(&visit, (Kind::Contact, id), ("saved", done))),
            Err(CrmError::Changed) => return Ok(overtaken(&visit, id, input, now)),
            Err(CrmError::Invalid(sentences)) => errors = Errors::new(sentences),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(refused(page(&visit, Some(id), input, errors)))
}

/// Answers whoever comes second: what he typed stays, what is there now stands beside it, and saving again is meant.
fn overtaken(visit: &InGroup<ToManage>, id: ItemId, typed: Input, now: Input) -> Response {
    let theirs = Theirs {
        first_name: differing(&typed.first_name, now.first_name),
        last_name: differing(&typed.last_name, now.last_name),
        email: differing(&typed.email, now.email),
        phone: differing(&typed.phone, now.phone),
        organization: differing(&typed.organization, now.organization),
        description: differing(&typed.description, now.description),
    };
    let input = Input {
        version: now.version,
        ..typed
    };
    let errors = Errors::new(vec![OVERTAKEN.to_owned()]);
    let page = FormPage {
        theirs,
        ..form_page(visit, Some(id), input, errors)
    };
    came_second(html(&page))
}

/// Returns what was typed as the CRM takes it, and what is wrong with it before the CRM is asked.
async fn read(visit: &InGroup<ToManage>, input: &Input) -> Result<(ContactForm, Errors), Problem> {
    let mut form = ContactForm {
        first_name: input.first_name.clone(),
        last_name: input.last_name.clone(),
        email: optional(&input.email),
        phone: optional(&input.phone),
        description: optional(&input.description),
        organization: None,
    };
    let name = input.organization.trim();
    let mut organization_known = name.is_empty();
    if !name.is_empty() && !name.contains('\0') {
        let mut connection = visit.visitor.connection().await?;
        form.organization =
            search::organization_named(&mut connection, visit.holder(), name).await?;
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
    let place = FormPlace::of(visit, Kind::Contact, id);
    FormPage {
        frame: visit.frame(&place.title),
        place,
        input,
        theirs: Theirs::default(),
        errors,
        organizations: visit.to("crm/organizations/suggest"),
    }
}
