//! The connections that a group may use, and how they do.

use axum::{Router, response::Response, routing::post};

use crate::{
    domain::ConnectionKind,
    store::connection::{self, Traffic},
    web::{
        Web,
        flash::Flash,
        moment::Moment,
        params::Path,
        problem::Problem,
        visit::{InGroup, ToConfigure},
    },
};

/// A connection.
#[derive(Debug)]
pub(super) struct ConnectionLine {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) url: String,
    pub(super) bot: String,
    /// Calls of this tenant that wait, and that were given up.
    pub(super) pending: i64,
    pub(super) dead: i64,
    /// When a call last worked.
    pub(super) worked: Option<Moment>,
    pub(super) is_tracker: bool,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/settings/connections/{name}/check", post(check))
}

/// Returns the connections that the visited group may use.
pub(super) async fn of(visit: &InGroup<ToConfigure>) -> Result<Vec<ConnectionLine>, Problem> {
    let root = visit.group.root;
    let mut connection = visit.visitor.connection().await?;
    let known = connection::of_tenant(&mut connection, root).await?;
    let ids: Vec<_> = known.iter().map(|known| known.id).collect();
    let traffic = connection::traffic(&mut connection, root, &ids).await?;
    Ok(known
        .into_iter()
        .map(|known| {
            let traffic = traffic.get(&known.id).cloned().unwrap_or_default();
            let Traffic {
                pending,
                dead,
                worked_at,
            } = traffic;
            ConnectionLine {
                name: known.name,
                kind: known.kind.word(),
                url: known.url,
                bot: known.bot,
                pending,
                dead,
                worked: worked_at.map(|at| visit.visitor.moment(at)),
                is_tracker: known.kind == ConnectionKind::Gitlab,
            }
        })
        .collect())
}

/// `POST /settings/connections/{name}/check`: asks the tracker who the bot is.
async fn check(visit: InGroup<ToConfigure>, Path(name): Path<String>) -> Result<Response, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let known = connection::of_tenant(&mut connection, visit.group.root).await?;
    drop(connection);
    let mut known = known.into_iter();
    let found = known
        .find(|known| known.name == name)
        .ok_or(Problem::NotFound)?;
    let flash = match visit.visitor.web.webhooks.who_is_bot(found.id).await {
        Ok(bot) => Flash::done(format!("{name} answers: the bot is @{bot} there.")),
        Err(why) => Flash::warning(format!("{name} does not work: {why}.")),
    };
    Ok(visit.visitor.say(flash, &visit.to("settings")))
}
