//! `/crm/contacts/{id}/merge` and its twin for organizations: two of a kind side by side, field by field, and one that stays.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use serde::Deserialize;

use super::find;
use crate::{
    domain::{ContactSort, Direction, ItemField, ItemFields, ItemId, States},
    store::{
        search::{self, Page},
        shown::{self, ShownItem},
    },
    web::{
        Web,
        flash::Flash,
        form::{Errors, Typed, refused},
        frame::{Frame, html},
        kind::Kind,
        params::{Path, Query},
        problem::Problem,
        visit::{InGroup, ToMerge},
    },
};

/// Contacts among which a typed address is looked for.
const LOOKED_AT: u32 = 20;

/// Whom to merge with, as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    with: String,
}

#[derive(Template)]
#[template(path = "customers/merge.html")]
struct MergePage {
    frame: Frame,
    place: Place,
    /// What was typed.
    with: String,
    errors: Errors,
    sides: Option<Sides>,
}

/// Where the page is.
struct Place {
    kind: &'static str,
    name: String,
    /// Where it is sent.
    action: String,
    /// The page of the item.
    back: String,
    /// Where others are suggested.
    suggestions: String,
    hint: &'static str,
}

/// Two items side by side.
struct Sides {
    left: (ItemId, String),
    right: (ItemId, String),
    rows: Vec<FieldRow>,
}

/// A field in which the two differ.
struct FieldRow {
    name: &'static str,
    label: &'static str,
    left: String,
    right: String,
    /// Whether the right one is chosen to begin with.
    takes_right: bool,
}

/// What is chosen: per field, whose it is.
#[derive(Debug, Deserialize)]
struct Choice {
    survivor: ItemId,
    other: ItemId,
    first_name: Option<ItemId>,
    last_name: Option<ItemId>,
    email: Option<ItemId>,
    phone: Option<ItemId>,
    organization: Option<ItemId>,
    name: Option<ItemId>,
    default_rate: Option<ItemId>,
    description: Option<ItemId>,
}

/// Returns the routes of both kinds.
pub(super) fn routes() -> Router<Web> {
    let of_kind = |kind: Kind| {
        let path = format!("/{}/{{id}}/merge", kind.folder());
        let show = async move |visit: InGroup<ToMerge>,
                               Path(id): Path<ItemId>,
                               Query(asked): Query<Asked>| {
            show(&visit, (kind, id), asked.with).await
        };
        let merge =
            async move |visit: InGroup<ToMerge>, Path(id): Path<ItemId>, form: Typed<Choice>| {
                merge(&visit, (kind, id), form).await
            };
        Router::new().route(&path, get(show).post(merge))
    };
    of_kind(Kind::Contact).merge(of_kind(Kind::Organization))
}

async fn show(
    visit: &InGroup<ToMerge>,
    (kind, id): (Kind, ItemId),
    with: String,
) -> Result<Response, Problem> {
    let left = find(visit, kind, id).await?;
    let mut errors = Errors::default();
    let right = match named(visit, kind, with.trim()).await? {
        Some(other) if other == id => {
            errors.push("Merge with names this one itself");
            None
        }
        Some(other) => Some(find(visit, kind, other).await?),
        None => {
            if !with.trim().is_empty() {
                errors.push("Merge with one of the list: choose it there");
            }
            None
        }
    };
    let is_wrong = !errors.is_empty();
    let sides = match right {
        Some(right) => Some(sides(visit, &left, &right).await?),
        None => None,
    };
    let page = html(&MergePage {
        frame: visit.frame(format!("Merge {}", left.fields.title())),
        place: place(visit, kind, &left),
        with,
        errors,
        sides,
    });
    Ok(if is_wrong { refused(page) } else { page })
}

async fn merge(
    visit: &InGroup<ToMerge>,
    (kind, id): (Kind, ItemId),
    form: Typed<Choice>,
) -> Result<Response, Problem> {
    let choice = form.values;
    if form.is_restored {
        return show(visit, (kind, id), format!("#{}", choice.other)).await;
    }
    let pair = [id, choice.other];
    for item in pair {
        find(visit, kind, item).await?;
    }
    let loser = pair.into_iter().find(|item| *item != choice.survivor);
    let loser = loser.filter(|_| pair.contains(&choice.survivor));
    let loser = loser.ok_or(Problem::Malformed)?;
    let asker = visit.visitor.asker();
    let crm = &visit.visitor.web.crm;
    let operation = crm
        .merge(asker, choice.survivor, &[loser], &choice.picks())
        .await?;
    let flash = Flash::done(format!("The two {} are one now.", kind.plural())).with_undo(operation);
    let path = visit.to(format_args!("{}/{}", kind.folder(), choice.survivor));
    Ok(visit.visitor.say(flash, &path))
}

impl Choice {
    fn picks(&self) -> Vec<(ItemField, ItemId)> {
        [
            (ItemField::FirstName, self.first_name),
            (ItemField::LastName, self.last_name),
            (ItemField::Email, self.email),
            (ItemField::Phone, self.phone),
            (ItemField::Organization, self.organization),
            (ItemField::Name, self.name),
            (ItemField::DefaultRate, self.default_rate),
            (ItemField::Description, self.description),
        ]
        .into_iter()
        .filter_map(|(field, of)| Some((field, of?)))
        .collect()
    }
}

/// Returns who is meant by what was typed: `#13`, an address, or the name of an organization.
async fn named(
    visit: &InGroup<ToMerge>,
    kind: Kind,
    typed: &str,
) -> Result<Option<ItemId>, Problem> {
    if typed.is_empty() || typed.contains('\0') {
        return Ok(None);
    }
    if let Some(id) = typed.strip_prefix('#').and_then(|id| id.parse().ok()) {
        return Ok(Some(ItemId(id)));
    }
    let mut connection = visit.visitor.connection().await?;
    if kind == Kind::Organization {
        return Ok(search::organization_named(&mut connection, visit.holder(), typed).await?);
    }
    let query = search::Query {
        search: Some(typed.to_owned()),
        states: States::All,
        ids: None,
        sort: ContactSort::Email,
        direction: Direction::Ascending,
        page: Page::First {
            count: LOOKED_AT,
            after: None,
        },
    };
    let found = search::contacts(&mut connection, visit.holder(), &query).await?;
    let wanted = typed.to_lowercase();
    let is_meant = |email: &Option<String>| {
        email
            .as_deref()
            .is_some_and(|email| email.to_lowercase() == wanted)
    };
    let mut meant = found
        .rows
        .iter()
        .filter(|(contact, _)| is_meant(&contact.email));
    Ok(meant.next().map(|(contact, _)| contact.id))
}

fn place(visit: &InGroup<ToMerge>, kind: Kind, item: &ShownItem) -> Place {
    let folder = visit.to(kind.folder());
    Place {
        kind: kind.word(),
        name: item.fields.title(),
        action: format!("{folder}/{}/merge", item.id),
        back: format!("{folder}/{}", item.id),
        suggestions: format!("{folder}/suggest"),
        hint: match kind {
            Kind::Contact => "The e-mail address, or a part of the name to search.",
            Kind::Organization => "The name. Type to search.",
        },
    }
}

async fn sides(
    visit: &InGroup<ToMerge>,
    left: &ShownItem,
    right: &ShownItem,
) -> Result<Sides, Problem> {
    let organizations: Vec<ItemId> = [left, right]
        .iter()
        .filter_map(|item| organization(item))
        .collect();
    let mut connection = visit.visitor.connection().await?;
    let organizations = shown::items(&mut connection, &organizations).await?;
    drop(connection);
    let title = |item: &ShownItem| {
        let id = organization(item);
        let known = organizations.iter().find(|known| Some(known.id) == id);
        known.map_or_else(String::new, |known| known.fields.title())
    };
    let rows = texts(&left.fields, title(left))
        .into_iter()
        .zip(texts(&right.fields, title(right)))
        .filter(|((_, _, left), (_, _, right))| left != right)
        .map(|((name, label, left), (_, _, right))| FieldRow {
            name,
            label,
            takes_right: left.is_empty(),
            left,
            right,
        })
        .collect();
    Ok(Sides {
        left: (left.id, left.fields.title()),
        right: (right.id, right.fields.title()),
        rows,
    })
}

fn organization(item: &ShownItem) -> Option<ItemId> {
    match &item.fields {
        ItemFields::Contact(contact) => contact.organization,
        ItemFields::Organization(_) | ItemFields::Record(_) => None,
    }
}

/// Returns the fields by their names in the form, with their labels and values.
fn texts(fields: &ItemFields, organization: String) -> Vec<(&'static str, &'static str, String)> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    match fields {
        ItemFields::Contact(contact) => vec![
            ("first_name", "First name", contact.first_name.clone()),
            ("last_name", "Last name", contact.last_name.clone()),
            ("email", "Email", text(&contact.email)),
            ("phone", "Phone", text(&contact.phone)),
            ("organization", "Organization", organization),
            ("description", "Description", text(&contact.description)),
        ],
        ItemFields::Organization(organization) => vec![
            ("name", "Name", organization.name.clone()),
            (
                "default_rate",
                "Default rate",
                organization
                    .default_rate
                    .map_or_else(String::new, |rate| rate.to_string()),
            ),
            (
                "description",
                "Description",
                text(&organization.description),
            ),
        ],
        // No customer: no page of theirs finds it.
        ItemFields::Record(_) => Vec::new(),
    }
}
