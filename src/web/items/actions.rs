//! Buttons of a lead, deal, invoice or custom item: archive and restore, delete, merge, convert, link.

use axum::{Router, response::Response, routing::post};
use serde::Deserialize;

use super::{
    find,
    suggest::{customers_like, items_like},
};
use crate::{
    crm::{Conversion, CrmError, LinkTo},
    domain::{ItemFields, ItemId, ItemPatch, OperationId, RecordPatch},
    web::{
        Web,
        flash::Flash,
        form::Typed,
        params::Path,
        problem::Problem,
        suggestion::Choice,
        visit::{InGroup, ToManage, ToMerge},
    },
};

/// Another item, by its number, `#7`, or its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Other {
    other: String,
}

/// What the deal has that the lead had not.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Converted {
    pub(super) amount: String,
    pub(super) currency: String,
}

impl Converted {
    /// Returns what follows the path of the lead's page, so that it shows the form with this in it.
    fn query(&self) -> String {
        let typed = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("amount", &self.amount)
            .append_pair("currency", &self.currency)
            .finish();
        format!("?{typed}")
    }
}

impl Other {
    /// Returns which of those that are offered beside an item is meant: the one that is called exactly so.
    fn beside(&self, item: ItemId, offered: &[Choice]) -> Result<ItemId, CrmError> {
        let name = self.other.trim().to_lowercase();
        let mut named = offered
            .iter()
            .filter(|choice| choice.label.trim().to_lowercase() == name)
            .filter_map(|choice| numbered(&choice.value))
            .filter(|id| *id != item);
        let only = named.next().filter(|_| named.next().is_none());
        only.ok_or_else(|| {
            let reason = "Choose one of the list, or give its number, such as #7";
            CrmError::Invalid(vec![reason.to_owned()])
        })
    }
}

/// Returns the item that a number means: `#7`.
fn numbered(text: &str) -> Option<ItemId> {
    let number = text.trim().trim_start_matches('#');
    number.parse().map(ItemId).ok()
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route(
            "/crm/items/{id}/archive",
            post(async |visit: InGroup<ToManage>, Path(id): Path<ItemId>| {
                set_active(&visit, id, false).await
            }),
        )
        .route(
            "/crm/items/{id}/restore",
            post(async |visit: InGroup<ToManage>, Path(id): Path<ItemId>| {
                set_active(&visit, id, true).await
            }),
        )
        .route("/crm/items/{id}/delete", post(delete))
        .route("/crm/items/{id}/merge", post(merge))
        .route("/crm/items/{id}/convert", post(convert))
        .route(
            "/crm/items/{id}/link",
            post(
                async |visit: InGroup<ToManage>, Path(id): Path<ItemId>, form: Typed<Other>| {
                    link(&visit, id, (&form.values, true)).await
                },
            ),
        )
        .route(
            "/crm/items/{id}/unlink",
            post(
                async |visit: InGroup<ToManage>, Path(id): Path<ItemId>, form: Typed<Other>| {
                    link(&visit, id, (&form.values, false)).await
                },
            ),
        )
}

/// Says on an item's page what came of something.
fn told<R>(
    visit: &InGroup<R>,
    id: ItemId,
    done: Result<(&str, Option<OperationId>), CrmError>,
) -> Result<Response, Problem> {
    let flash = match done {
        Ok((text, operation)) => Flash::done(text).with_undo(operation),
        Err(CrmError::Invalid(sentences)) => Flash::warning(format!("{}.", sentences.join(". "))),
        Err(other) => return Err(other.into()),
    };
    let path = visit.to(format_args!("crm/items/{id}"));
    Ok(visit.visitor.say(flash, &path))
}

/// Finds a lead, deal, invoice or custom item; contacts and organizations have buttons of their own.
async fn record<R>(visit: &InGroup<R>, id: ItemId) -> Result<(), Problem> {
    match find(visit, id).await? {
        (item, _) if matches!(item.fields, ItemFields::Record(_)) => Ok(()),
        _ => Err(Problem::NotFound),
    }
}

async fn set_active(
    visit: &InGroup<ToManage>,
    id: ItemId,
    active: bool,
) -> Result<Response, Problem> {
    record(visit, id).await?;
    let patch = ItemPatch::Record(RecordPatch {
        active: Some(active),
        ..RecordPatch::default()
    });
    let crm = &visit.visitor.web.crm;
    let done = crm
        .update_item(visit.visitor.asker(), id, &patch, None)
        .await;
    let text = if active {
        "It is out of the archive, and its chat is open again."
    } else {
        "It is archived, and its chat with it."
    };
    told(visit, id, done.map(|operation| (text, operation)))
}

async fn delete(visit: InGroup<ToMerge>, Path(id): Path<ItemId>) -> Result<Response, Problem> {
    record(&visit, id).await?;
    let crm = &visit.visitor.web.crm;
    let operation = crm.delete(visit.visitor.asker(), &[id]).await?;
    let flash = Flash::done("The item was deleted.").with_undo(operation);
    Ok(visit.visitor.say(flash, &visit.to("crm/items")))
}

async fn merge(
    visit: InGroup<ToMerge>,
    Path(id): Path<ItemId>,
    form: Typed<Other>,
) -> Result<Response, Problem> {
    record(&visit, id).await?;
    let crm = &visit.visitor.web.crm;
    let other = match numbered(&form.values.other) {
        Some(other) => Ok(other),
        None => {
            let offered = items_like(&visit, form.values.other.clone()).await?;
            form.values.beside(id, &offered)
        }
    };
    let done = match other {
        Ok(other) => match record(&visit, other).await {
            Ok(()) => crm.merge(visit.visitor.asker(), id, &[other], &[]).await,
            Err(Problem::NotFound) => {
                let reason = format!("There is no item #{other} here");
                Err(CrmError::Invalid(vec![reason]))
            }
            Err(problem) => return Err(problem),
        },
        Err(error) => Err(error),
    };
    let text = "The two are one now.";
    told(&visit, id, done.map(|operation| (text, Some(operation))))
}

async fn convert(
    visit: InGroup<ToManage>,
    Path(id): Path<ItemId>,
    form: Typed<Converted>,
) -> Result<Response, Problem> {
    record(&visit, id).await?;
    let typed = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let amount = match typed(&form.values.amount).map(|amount| amount.parse()) {
        None => None,
        Some(Ok(amount)) => Some(amount),
        Some(Err(_)) => {
            let reason = "Amount is no number: write it like 1250.50";
            return Ok(convert_again(&visit, id, &form.values, reason));
        }
    };
    let conversion = Conversion {
        title: None,
        amount,
        currency: typed(&form.values.currency),
    };
    let crm = &visit.visitor.web.crm;
    match crm.convert(visit.visitor.asker(), id, &conversion).await {
        Ok((deal, operation)) => {
            let text = "The lead is a deal now.";
            told(&visit, deal, Ok((text, Some(operation))))
        }
        Err(CrmError::Invalid(reasons)) => {
            Ok(convert_again(&visit, id, &form.values, &reasons.join(". ")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Shows the form again with what was typed.
fn convert_again(
    visit: &InGroup<ToManage>,
    id: ItemId,
    typed: &Converted,
    reason: &str,
) -> Response {
    let path = visit.to(format_args!("crm/items/{id}{}", typed.query()));
    visit
        .visitor
        .say(Flash::warning(format!("{reason}.")), &path)
}

async fn link(
    visit: &InGroup<ToManage>,
    id: ItemId,
    (form, is_linked): (&Other, bool),
) -> Result<Response, Problem> {
    record(visit, id).await?;
    let crm = &visit.visitor.web.crm;
    let other = match numbered(&form.other) {
        Some(other) => Ok(other),
        None => form.beside(id, &customers_like(visit, form.other.clone()).await?),
    };
    let done = match other {
        Ok(other) => {
            let to = (LinkTo::Item(other), is_linked);
            crm.link(visit.visitor.asker(), id, to).await
        }
        Err(error) => Err(error),
    };
    let text = if is_linked { "Linked." } else { "Unlinked." };
    told(visit, id, done.map(|operation| (text, operation)))
}
