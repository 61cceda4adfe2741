//! Member, project, group and system hooks: flat bodies that are told apart by `event_name`.
//!
//! Group hooks tell of new and destroyed subgroups and projects; system hooks, which only an administrator can set up, of renamings and of
//! moved projects too. GitLab tells nobody of a moved group. What the bodies say of paths is not believed: the id says where to look.

use super::{clip, event, ignored, parse};
use crate::{
    connector::{DecodeError, gitlab::wire::FlatHook},
    domain::{Decoded, Event, TreeChange},
};

/// Returns what a flat body means.
pub(super) fn tree(name: &str, body: &[u8]) -> Result<Decoded, DecodeError> {
    let hook: FlatHook = parse(body)?;
    let change: fn(String) -> TreeChange = match name {
        "user_add_to_group"
        | "user_update_for_group"
        | "user_remove_from_group"
        | "user_add_to_team"
        | "user_update_for_team"
        | "user_remove_from_team" => return member(name, &hook),
        "project_create" | "project_rename" | "project_transfer" | "project_update" => {
            TreeChange::Project
        }
        "project_destroy" => TreeChange::ProjectGone,
        "group_create" | "group_rename" | "subgroup_create" => TreeChange::Group,
        "group_destroy" | "subgroup_destroy" => TreeChange::GroupGone,
        other => return Ok(ignored(format!("{} events are not used", clip(other)))),
    };
    let id = if name.starts_with("project") {
        needed("project_id", hook.project_id)?
    } else {
        needed("group_id", hook.group_id)?
    };
    let path = hook.full_path.or(hook.path_with_namespace);
    let path = path.map(|path| format!(" ({})", path.chars().take(255).collect::<String>()));
    Ok(event(Event::TreeChanged {
        change: change(id),
        summary: format!("{name}{}", path.unwrap_or_default()),
    }))
}

fn member(name: &str, hook: &FlatHook) -> Result<Decoded, DecodeError> {
    let user = needed("user_id", hook.user_id)?;
    Ok(event(Event::MemberChanged {
        summary: format!("{name}: levels of user {user} will be asked anew"),
        user,
    }))
}

fn needed(field: &str, id: Option<i64>) -> Result<String, DecodeError> {
    id.map(|id| id.to_string()).ok_or_else(|| DecodeError {
        path: field.to_owned(),
        problem: format!("missing field `{field}`"),
    })
}
