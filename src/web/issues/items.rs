//! The items of an issue beside its contacts: leads, deals and so on, related and no longer.

use axum::{Router, response::Response, routing::post};
use serde::Deserialize;

use super::page;
use crate::{
    crm::{CrmError, LinkTo},
    domain::{IssueId, ItemId},
    web::{
        Web,
        flash::Flash,
        form::Typed,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToView},
    },
};

/// An item by its number: `#7`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Input {
    item: String,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    let way = |is_linked: bool| {
        post(
            async move |visit: InGroup<ToView>, Path(id): Path<IssueId>, form: Typed<Input>| {
                relate(&visit, id, (&form.values.item, is_linked)).await
            },
        )
    };
    Router::new()
        .route("/issues/{id}/items", way(true))
        .route("/issues/{id}/items/remove", way(false))
}

async fn relate(
    visit: &InGroup<ToView>,
    id: IssueId,
    (item, is_linked): (&str, bool),
) -> Result<Response, Problem> {
    page::find(visit, id).await?;
    let flash = match item.trim().trim_start_matches('#').parse() {
        Ok(number) => {
            let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
            let to = (LinkTo::Issue(id), is_linked);
            match crm.link(asker, ItemId(number), to).await {
                Ok(Some(operation)) if is_linked => {
                    Flash::done("The item was added.").with_undo(operation)
                }
                Ok(Some(operation)) => Flash::done("The item was removed.").with_undo(operation),
                Ok(None) => Flash::warning("That was so already."),
                Err(CrmError::Invalid(sentences)) => {
                    Flash::warning(format!("{}.", sentences.join(". ")))
                }
                Err(CrmError::NotFound) => Flash::warning("There is no such item here."),
                Err(other) => return Err(other.into()),
            }
        }
        Err(_) => Flash::warning("Choose one of the list, or give its number, such as #7."),
    };
    Ok(visit
        .visitor
        .say(flash, &visit.to(format_args!("issues/{id}"))))
}
