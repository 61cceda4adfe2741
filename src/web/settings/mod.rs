//! `/settings`: a group's CRM, its chats, its members, its types of items and its connections. For whoever may configure the group.

mod connections;
mod form;
mod members;
mod types;

use askama::Template;
use axum::{Router, response::Response, routing::get};

use super::{
    Web,
    form::Errors,
    frame::{Frame, html},
    problem::Problem,
    visit::{InGroup, ToConfigure},
};
use crate::{
    crm::GroupReport,
    domain::RelationSource,
    store::item_type::{self, ItemType},
};
use connections::ConnectionLine;
use form::{Choice, Input};
use members::MemberLine;

#[derive(Template)]
#[template(path = "settings/page.html")]
struct SettingsPage {
    frame: Frame,
    /// Where the group's pages are.
    base: String,
    /// Where this page is.
    here: String,
    /// Whether the configuration file declares the group.
    managed: bool,
    input: Input,
    errors: Errors,
    /// What would follow from what was chosen.
    report: Option<GroupReport>,
    /// By what issues can be related by themselves: word, label, whether it is chosen.
    relations: Vec<(&'static str, &'static str, bool)>,
    sources: Vec<Choice>,
    messengers: Vec<Choice>,
    presets: Vec<Choice>,
    invites: Vec<Choice>,
    reassignments: Vec<Choice>,
    replies: Vec<Choice>,
    reactions: Vec<Choice>,
    members: Vec<MemberLine>,
    /// Whether the group's tracker tells levels.
    has_tracker: bool,
    /// Whether the group is a root group, which types of items belong to.
    is_root: bool,
    types: Vec<ItemType>,
    connections: Vec<ConnectionLine>,
    /// The address under which others reach this service.
    public_url: String,
}

/// Returns the routes within a group.
pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/settings", get(show).post(form::save))
        .merge(types::routes())
        .merge(connections::routes())
}

async fn show(visit: InGroup<ToConfigure>) -> Result<Response, Problem> {
    let input = Input::stored(&visit).await?;
    page(&visit, input, Errors::default(), None).await
}

async fn page(
    visit: &InGroup<ToConfigure>,
    input: Input,
    errors: Errors,
    report: Option<GroupReport>,
) -> Result<Response, Problem> {
    let choices = form::Choices::of(visit, &input).await?;
    let mut connection = visit.visitor.connection().await?;
    let types = item_type::of_root(&mut connection, visit.group.root).await?;
    drop(connection);
    let relations = [
        (
            RelationSource::Author,
            "Who opened it by mail (Service Desk)",
        ),
        (RelationSource::Participants, "Who takes part in it by mail"),
        (
            RelationSource::Description,
            "Addresses in the first lines of its description",
        ),
    ];
    let (members, has_tracker) = members::of(visit).await?;
    Ok(html(&SettingsPage {
        frame: visit.frame("Settings"),
        base: visit.base.clone(),
        here: visit.to("settings"),
        managed: choices.managed,
        relations: relations
            .into_iter()
            .map(|(source, label)| (source.word(), label, input.relates(source)))
            .collect(),
        sources: choices.sources,
        messengers: choices.messengers,
        presets: choices.presets,
        invites: choices.invites,
        reassignments: choices.reassignments,
        replies: choices.replies,
        reactions: choices.reactions,
        members,
        has_tracker,
        is_root: visit.group.root.0 == visit.group.id.0,
        types,
        connections: connections::of(visit).await?,
        public_url: visit
            .visitor
            .public_url()
            .as_str()
            .trim_end_matches('/')
            .to_owned(),
        input,
        errors,
        report,
    }))
}
