//! The pages: what people see in a browser, on the paths that GitLab's users know.
//!
//! Finds out who is there, reads forms, fills templates. Decides nothing: changes and rights are the CRM's, as for the API. A page is a
//! file here and a template in `web/templates`; `docs/ARCHITECTURE.md` has the steps to a new one.

mod assets;
mod audit;
mod body;
mod cookie;
mod customers;
mod deliveries;
mod dispatch;
mod exchange;
mod flash;
mod form;
mod frame;
mod guard;
mod history;
mod home;
mod issues;
mod items;
mod kind;
mod live;
mod login;
mod moment;
mod openid;
mod params;
mod people;
mod problem;
mod settings;
mod setup;
mod suggestion;
mod table;
mod tokens;
mod visit;
mod webhooks;

pub use login::OPENID_BACK;
pub use setup::router as setup;

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    auth::{Attempts, OpenId, Passwords, Sessions},
    crm::{Crm, Webhooks},
    queue::Wake,
    store::search::Completing,
};

/// What the pages are made of.
#[derive(Debug, Clone)]
pub struct Web {
    /// The way to the CRM.
    pub crm: Crm,
    /// Completes contacts.
    pub completing: Completing,
    /// The way to the webhooks of groups.
    pub webhooks: Webhooks,
    /// Who tells of changes.
    pub wake: Arc<Wake>,
    /// Who is signed in.
    pub sessions: Sessions,
    /// Checks passwords.
    pub passwords: Passwords,
    /// The provider at which people may sign in, if there is one.
    pub openid: Option<OpenId>,
    /// How often somebody may try to sign in.
    pub attempts: Attempts,
    /// The address under which people reach the pages.
    pub public_url: Url,
    /// Whether anybody may sign in as anybody by a click, which is for trying out alone.
    pub demo: bool,
    /// Ends open streams.
    pub stop: CancellationToken,
}

impl Web {
    /// Returns the routes of the pages, and after them those of `others`: what no page is at is theirs to answer.
    pub fn router(self, others: &Router) -> Router {
        let in_groups = customers::routes()
            .merge(exchange::routes())
            .merge(issues::routes())
            .merge(items::routes())
            .merge(webhooks::routes())
            .merge(deliveries::routes())
            .merge(settings::routes())
            .merge(audit::routes())
            .merge(live::routes());
        dispatch::router(&self, (in_groups, issues::of_projects()), others)
            .merge(guard::open(
                &self,
                login::routes()
                    .merge(openid::routes())
                    .merge(setup::over())
                    .merge(assets::routes()),
            ))
            .merge(guard::signed_in(
                &self,
                home::routes().merge(tokens::routes()),
            ))
    }
}
