//! Types of items of a root group's own.

use axum::{Router, response::Response, routing::post};
use serde::Deserialize;

use crate::{
    crm::CrmError,
    domain::ItemTypeId,
    store::item_type,
    web::{
        Web,
        flash::Flash,
        form::Typed,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToConfigure},
    },
};

/// A type as it is typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Input {
    name: String,
    observers: Option<String>,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/settings/types", post(create))
        .route("/settings/types/{id}", post(update))
        .route("/settings/types/{id}/delete", post(delete))
}

fn told(
    visit: &InGroup<ToConfigure>,
    text: &str,
    done: Result<(), CrmError>,
) -> Result<Response, Problem> {
    let flash = match done {
        Ok(()) => Flash::done(text),
        Err(CrmError::Invalid(sentences)) => Flash::warning(format!("{}.", sentences.join(". "))),
        Err(other) => return Err(other.into()),
    };
    Ok(visit.visitor.say(flash, &visit.to("settings")))
}

/// Refuses a type of another tenant: it is not there.
async fn find(visit: &InGroup<ToConfigure>, id: ItemTypeId) -> Result<(), Problem> {
    let mut connection = visit.visitor.connection().await?;
    let found = item_type::find(&mut connection, &[id]).await?;
    let is_ours = |found: &item_type::ItemType| found.root == visit.group.root;
    if found.first().is_some_and(is_ours) {
        Ok(())
    } else {
        Err(Problem::NotFound)
    }
}

async fn create(visit: InGroup<ToConfigure>, form: Typed<Input>) -> Result<Response, Problem> {
    let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
    let Input { name, observers } = form.values;
    let group = visit.group.id;
    let created = crm.create_item_type(asker, group, &name, observers.is_some());
    let created = created.await.map(drop);
    told(&visit, "The type was added.", created)
}

async fn update(
    visit: InGroup<ToConfigure>,
    Path(id): Path<ItemTypeId>,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    find(&visit, id).await?;
    let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
    let Input { name, observers } = form.values;
    let change = (Some(name.as_str()), Some(observers.is_some()));
    let changed = crm.update_item_type(asker, id, change).await;
    told(&visit, "The type was saved.", changed)
}

async fn delete(
    visit: InGroup<ToConfigure>,
    Path(id): Path<ItemTypeId>,
) -> Result<Response, Problem> {
    find(&visit, id).await?;
    let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
    let deleted = crm.delete_item_type(asker, id).await;
    told(&visit, "The type was deleted.", deleted)
}
