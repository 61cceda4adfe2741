//! Buttons: deactivate and reactivate, delete, and take back.

use axum::{Router, extract::State, response::Response, routing::post};
use serde::Deserialize;
use uuid::Uuid;

use super::find;
use crate::{
    crm::CrmError,
    domain::{ContactPatch, ItemId, OperationId, OrganizationPatch},
    rules::Right,
    store::shown,
    web::{
        Web,
        flash::Flash,
        form::Typed,
        kind::Kind,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToManage, ToSeeItem},
    },
};

/// What a button takes back, and where one goes on.
#[derive(Debug, Deserialize)]
struct Undo {
    operation: Uuid,
    #[serde(default)]
    return_to: String,
}

/// Returns the routes, the same for both kinds.
pub(super) fn routes() -> Router<Web> {
    [Kind::Contact, Kind::Organization]
        .into_iter()
        .map(of_kind)
        .fold(Router::new(), Router::merge)
        .route("/crm/undo", post(undo))
}

fn of_kind(kind: Kind) -> Router<Web> {
    let folder = kind.folder();
    let route = |action: &str| format!("/{folder}/{{id}}/{action}");
    Router::new()
        .route(
            &route("deactivate"),
            post(
                async move |visit: InGroup<ToManage>, Path(id): Path<ItemId>| {
                    set_state(&visit, (kind, id), false).await
                },
            ),
        )
        .route(
            &route("activate"),
            post(
                async move |visit: InGroup<ToManage>, Path(id): Path<ItemId>| {
                    set_state(&visit, (kind, id), true).await
                },
            ),
        )
        .route(
            &route("delete"),
            post(
                async move |visit: InGroup<ToManage>, Path(id): Path<ItemId>| {
                    delete(&visit, (kind, id)).await
                },
            ),
        )
}

async fn set_state(
    visit: &InGroup<ToManage>,
    (kind, id): (Kind, ItemId),
    active: bool,
) -> Result<Response, Problem> {
    find(visit, kind, id).await?;
    let crm = &visit.visitor.web.crm;
    let asker = visit.visitor.asker();
    let operation = match kind {
        Kind::Contact => {
            let patch = ContactPatch {
                active: Some(active),
                ..ContactPatch::default()
            };
            crm.update_contact(asker, id, &patch, None).await?
        }
        Kind::Organization => {
            let patch = OrganizationPatch {
                active: Some(active),
                ..OrganizationPatch::default()
            };
            crm.update_organization(asker, id, &patch, None).await?
        }
    };
    let text = match (kind, active) {
        (Kind::Contact, true) => "The contact is active again.",
        (Kind::Contact, false) => "The contact is inactive: it cannot be added to issues any more.",
        (Kind::Organization, true) => "The organization is active again.",
        (Kind::Organization, false) => "The organization is inactive.",
    };
    let path = visit.to(format_args!("{}/{id}", kind.folder()));
    let flash = Flash::done(text).with_undo(operation);
    Ok(visit.visitor.say(flash, &path))
}

async fn delete(
    visit: &InGroup<ToManage>,
    (kind, id): (Kind, ItemId),
) -> Result<Response, Problem> {
    find(visit, kind, id).await?;
    let asker = visit.visitor.asker();
    let operation = visit.visitor.web.crm.delete(asker, &[id]).await?;
    let text = match kind {
        Kind::Contact => "The contact was deleted.",
        Kind::Organization => "The organization was deleted.",
    };
    let flash = Flash::done(text).with_undo(operation);
    Ok(visit.visitor.say(flash, &visit.to(kind.folder())))
}

async fn undo(
    State(web): State<Web>,
    // Whoever is responsible for an item takes back what he did about its observers.
    visit: InGroup<ToSeeItem>,
    form: Typed<Undo>,
) -> Result<Response, Problem> {
    let asked = form.values;
    let asker = visit.visitor.asker();
    let flash = match web.crm.undo(asker, OperationId(asked.operation)).await {
        Ok(report) if report.kept.is_empty() => Flash::done("It was undone."),
        Ok(report) => Flash::warning(format!(
            "It was undone in part. What stays as it is: {}.",
            report.kept.join("; ")
        )),
        Err(CrmError::Invalid(reasons)) => {
            Flash::warning(format!("It cannot be undone: {}.", reasons.join("; ")))
        }
        Err(CrmError::Denied(why)) => Flash::warning(format!("{why}.")),
        Err(other) => return Err(other.into()),
    };
    // Only within the group, since the flash's button leads through its pages.
    let is_within = asked.return_to.starts_with(&format!("{}/", visit.base));
    let path = if is_within {
        existing(&visit, asked.return_to).await?
    } else if visit.access.allows(Right::ViewContacts) {
        visit.to("crm/contacts")
    } else {
        "/".to_owned()
    };
    Ok(visit.visitor.say(flash, &path))
}

/// Returns the path of an item, or of the list that it was in where it is there no more; other paths as they are.
async fn existing(visit: &InGroup<ToSeeItem>, path: String) -> Result<String, Problem> {
    let Some((list, id)) = path.rsplit_once('/') else {
        return Ok(path);
    };
    let is_item = ["contacts", "organizations", "items"]
        .iter()
        .any(|folder| list == visit.to(format_args!("crm/{folder}")));
    let Some(id) = id.parse().ok().filter(|_| is_item) else {
        return Ok(path);
    };
    let mut connection = visit.visitor.connection().await?;
    let found = shown::items(&mut connection, &[ItemId(id)]).await?;
    let is_there = found
        .iter()
        .any(|item| (item.root, item.group) == visit.holder());
    Ok(if is_there { path } else { list.to_owned() })
}
