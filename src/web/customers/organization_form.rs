//! `/crm/organizations/new` and `/crm/organizations/{id}/edit`: the form of an organization, as that of a contact.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use chrono::DateTime;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::form::{self, FormPlace};
use crate::{
    crm::CrmError,
    domain::{ItemId, OrganizationForm, OrganizationPatch},
    store::search::{self, OrganizationRow},
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
    name: String,
    default_rate: String,
    description: String,
    /// When what was seen had been changed last, in microseconds.
    version: i64,
}

/// What somebody else put there meanwhile, where it differs from what was typed.
#[derive(Debug, Default)]
struct Theirs {
    name: Option<String>,
    default_rate: Option<String>,
    description: Option<String>,
}

#[derive(Template)]
#[template(path = "customers/organization_form.html")]
struct FormPage {
    frame: Frame,
    place: FormPlace,
    input: Input,
    theirs: Theirs,
    errors: Errors,
}

/// Returns the routes of the form.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/crm/organizations/new", get(blank).post(create))
        .route("/crm/organizations/{id}/edit", get(filled).post(update))
}

async fn blank(visit: InGroup<ToManage>) -> Response {
    page(&visit, None, Input::default(), Errors::default())
}

async fn create(visit: InGroup<ToManage>, form: Typed<Input>) -> Result<Response, Problem> {
    let input = form.values;
    if form.is_restored {
        return Ok(page(&visit, None, input, Errors::default()));
    }
    let (wanted, mut errors) = read(&input);
    if errors.is_empty() {
        let (asker, group) = (visit.visitor.asker(), visit.group.contact_group);
        let crm = &visit.visitor.web.crm;
        match crm.create_organization(asker, group, &wanted).await {
            Ok(id) => {
                return Ok(form::saved(
                    &visit,
                    (Kind::Organization, id),
                    ("created", None),
                ));
            }
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
    let (wanted, mut errors) = read(&input);
    if errors.is_empty() {
        let patch = OrganizationPatch {
            name: Some(wanted.name),
            default_rate: Some(wanted.default_rate),
            description: Some(wanted.description),
            active: None,
        };
        let (asker, seen) = (
            visit.visitor.asker(),
            DateTime::from_timestamp_micros(input.version),
        );
        let crm = &visit.visitor.web.crm;
        match crm.update_organization(asker, id, &patch, seen).await {
            Ok(done) => {
                return Ok(form::saved(
                    &visit,
                    (Kind::Organization, id),
                    ("saved", done),
                ));
            }
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
        name: differing(&typed.name, now.name),
        default_rate: differing(&typed.default_rate, now.default_rate),
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
fn read(input: &Input) -> (OrganizationForm, Errors) {
    let rate = input.default_rate.trim();
    let parsed = Decimal::from_str_exact(rate);
    let form = OrganizationForm {
        name: input.name.clone(),
        default_rate: parsed.as_ref().ok().copied(),
        description: optional(&input.description),
    };
    let mut errors = Errors::new(match form.check() {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    });
    if !rate.is_empty() && parsed.is_err() {
        errors.push("Default rate is not a number, such as 120 or 99.50");
    }
    (form, errors)
}

async fn stored(visit: &InGroup<ToManage>, id: ItemId) -> Result<OrganizationRow, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let mut found = search::organizations_by_ids(&mut connection, visit.holder(), &[id]).await?;
    found.remove(&id).ok_or(Problem::NotFound)
}

impl From<&OrganizationRow> for Input {
    fn from(organization: &OrganizationRow) -> Self {
        let rate = organization.default_rate.map(|rate| rate.to_string());
        Self {
            name: organization.title.clone(),
            default_rate: rate.unwrap_or_default(),
            description: organization.description.clone().unwrap_or_default(),
            version: organization.updated_at.timestamp_micros(),
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
    let place = FormPlace::of(visit, Kind::Organization, id);
    FormPage {
        frame: visit.frame(&place.title),
        place,
        input,
        theirs: Theirs::default(),
        errors,
    }
}
