//! Issue Hooks and work item hooks: an issue was opened, changed, closed or moved.
//!
//! GitLab's builder of these bodies (`lib/gitlab/hook_data/issue_builder.rb`) is a whitelist: `moved_to_id` is in it, the address of
//! whoever wrote to a Service Desk is not, and has to be asked for.

use super::{event, facts, ignored, parse};
use crate::{
    connector::{
        DecodeError,
        gitlab::wire::{IssueHook, IssueNews},
    },
    domain::{Addresses, Decoded, Event, IssueChange},
    quick_action::addresses,
};

/// Types of work items that GitLab's CRM knows (the widget `crm_contacts`).
const WITH_CONTACTS: [&str; 3] = ["Issue", "Incident", "Ticket"];

/// Returns the change that an Issue Hook tells of.
pub(super) fn issue(body: &[u8]) -> Result<Decoded, DecodeError> {
    let hook: IssueHook = parse(body)?;
    let Some(project) = hook.project else {
        return Ok(ignored(
            "a work item of a group: issues of projects are followed",
        ));
    };
    let hidden = hook.event_type.as_deref() == Some("confidential_issue");
    let issue = facts(hook.object_attributes, hidden);
    let news: IssueNews = parse(body)?;
    let changes = news.changes.unwrap_or_default();
    let by_author = news
        .user
        .as_ref()
        .filter(|user| user.id.to_string() == issue.author);
    let author = by_author.and_then(|user| address(user.email.as_deref()));
    let participants = news.assignees.unwrap_or_default();
    Ok(event(Event::IssueChanged(Box::new(IssueChange {
        project: project.into(),
        has_contacts: news
            .attributes
            .kind
            .is_none_or(|kind| WITH_CONTACTS.contains(&kind.as_str())),
        opened: news.attributes.action.as_deref() == Some("open"),
        described: changes.description.is_some() || changes.author_id.is_some(),
        description: news.attributes.description,
        addresses: Addresses {
            author,
            participants: participants
                .iter()
                .filter_map(|user| address(user.email.as_deref()))
                .collect(),
        },
        moved_to: news.attributes.moved_to_id.map(|id| id.to_string()),
        actor: news.user.map(Into::into),
        issue,
    }))))
}

/// Returns the address of a user who shows it; others are `[REDACTED]`.
fn address(shown: Option<&str>) -> Option<String> {
    addresses(shown?).pop()
}
