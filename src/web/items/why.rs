//! `/crm/items/{id}/why`: why somebody can see an item, or cannot.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use serde::Deserialize;

use super::{find, page_of};
use crate::{
    crm::{CrmError, Where, Why},
    domain::ItemId,
    rules::Right,
    web::{
        Web,
        form::Errors,
        frame::{Frame, html},
        params::{Path, Query},
        problem::Problem,
        visit::{InGroup, ToSeeItem},
    },
};

/// About whom it is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    person: String,
}

#[derive(Template)]
#[template(path = "items/why.html")]
struct WhyPage {
    frame: Frame,
    title: String,
    person: String,
    errors: Errors,
    why: Option<Why>,
    people: String,
    /// Where this page is.
    here: String,
    /// Where the item's page is.
    item: String,
}

/// Returns the route of the page.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/items/{id}/why", get(show))
}

async fn show(
    visit: InGroup<ToSeeItem>,
    Path(id): Path<ItemId>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let (item, on) = find(&visit, id).await?;
    let mut errors = Errors::default();
    let name = asked.person.replace(char::is_control, " ");
    let name = name.trim();
    let why = if name.is_empty() {
        None
    } else {
        match why(&visit, id, name).await {
            Ok(why) => Some(why),
            Err(CrmError::Invalid(sentences)) => {
                for sentence in sentences {
                    errors.push(format!("Person is unknown. {sentence}"));
                }
                None
            }
            Err(other) => return Err(other.into()),
        }
    };
    Ok(html(&WhyPage {
        frame: visit.frame("Why can somebody see this?"),
        title: item.fields.title(),
        person: asked.person.clone(),
        errors,
        why,
        people: visit.to("crm/people/suggest"),
        here: visit.path.clone(),
        item: page_of(&visit, &item, on),
    }))
}

async fn why(visit: &InGroup<ToSeeItem>, id: ItemId, name: &str) -> Result<Why, CrmError> {
    let may_ask = visit.access.allows(Right::ViewContacts);
    let own = &visit.visitor.bearer.username;
    if !may_ask && !name.trim_start_matches('@').eq_ignore_ascii_case(own) {
        let reason = "Here you can only ask about yourself";
        return Err(CrmError::Invalid(vec![reason.to_owned()]));
    }
    let crm = &visit.visitor.web.crm;
    let named = crm
        .people_named(Where::Item(id), &[name.to_owned()])
        .await?;
    let person = named.into_iter().next().ok_or(CrmError::NotFound)?;
    crm.why(visit.visitor.asker(), id, person).await
}
