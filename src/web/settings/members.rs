//! A group's members, and where the level of each comes from.

use crate::{
    domain::Level,
    store::membership::{self, Origin},
    web::{
        moment::Moment,
        problem::Problem,
        visit::{InGroup, ToConfigure},
    },
};

/// Members that the page shows.
const MOST: i64 = 500;

/// Somebody with a level.
#[derive(Debug)]
pub(super) struct MemberLine {
    pub(super) name: String,
    pub(super) username: String,
    pub(super) level: &'static str,
    /// Where the level comes from, in words.
    pub(super) origin: String,
    /// When it was told, or ends.
    pub(super) when: Option<(&'static str, Moment)>,
}

/// Returns the members of the visited group, and whether its tracker tells their levels.
pub(super) async fn of(visit: &InGroup<ToConfigure>) -> Result<(Vec<MemberLine>, bool), Problem> {
    let mut connection = visit.visitor.connection().await?;
    let group = (visit.group.root, visit.group.id);
    let now = visit.visitor.web.crm.clock.now();
    let found = membership::of_group(&mut connection, group, (MOST, now)).await?;
    let moment = |at| visit.visitor.moment(at);
    let lines = found.members.into_iter().map(|member| MemberLine {
        name: if member.name.is_empty() {
            member.username.clone()
        } else {
            member.name
        },
        username: member.username,
        level: word(member.level),
        origin: match &member.origin {
            Origin::Tracker { connection } => format!("told by {connection}"),
            Origin::Group {
                path,
                managed: true,
            } => {
                format!("member of {path}, by the configuration file")
            }
            Origin::Group {
                path,
                managed: false,
            } => format!("member of {path}"),
        },
        when: match (member.asked_at, member.expires_at) {
            (Some(at), _) => Some(("asked", moment(at))),
            (None, Some(at)) => Some(("ends", moment(at))),
            (None, None) => None,
        },
    });
    Ok((lines.collect(), found.has_tracker))
}

fn word(level: Level) -> &'static str {
    match level {
        Level::None => "None",
        Level::Guest => "Guest",
        Level::Planner => "Planner",
        Level::Reporter => "Reporter",
        Level::Developer => "Developer",
        Level::Maintainer => "Maintainer",
        Level::Owner => "Owner",
    }
}
