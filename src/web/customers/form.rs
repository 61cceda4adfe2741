//! What the forms of contacts and of organizations have in common.

use axum::response::Response;

use crate::{
    domain::{ItemId, OperationId},
    web::{
        flash::Flash,
        kind::Kind,
        visit::{InGroup, ToManage},
    },
};

/// Where a form is.
#[derive(Debug)]
pub(super) struct FormPlace {
    /// Title of its page.
    pub(super) title: String,
    /// Where it is sent.
    pub(super) action: String,
    /// Where one goes who changes his mind.
    pub(super) back: String,
}

impl FormPlace {
    /// Returns the place of the form of an item, or of a new one.
    pub(super) fn of(visit: &InGroup<ToManage>, kind: Kind, id: Option<ItemId>) -> Self {
        let folder = visit.to(kind.folder());
        let word = kind.word();
        match id {
            Some(id) => Self {
                title: format!("Edit {word}"),
                action: format!("{folder}/{id}/edit"),
                back: format!("{folder}/{id}"),
            },
            None => Self {
                title: format!("New {word}"),
                action: format!("{folder}/new"),
                back: folder,
            },
        }
    }
}

/// Goes on to the page of an item that was created or saved.
pub(super) fn saved(
    visit: &InGroup<ToManage>,
    (kind, id): (Kind, ItemId),
    (done, operation): (&str, Option<OperationId>),
) -> Response {
    let text = format!("The {} was {done}.", kind.word());
    let path = visit.to(format_args!("{}/{id}", kind.folder()));
    let flash = Flash::done(text).with_undo(operation);
    visit.visitor.say(flash, &path)
}
