//! GitLab: its webhooks in, its REST API and GraphQL out.

mod client;
mod decode;
mod render;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

pub use client::{
    CallError, Client, CrmContact, CrmIssue, CrmOrganization, CrmOrganizationName, GroupCrm,
    GroupFacts, GroupTree, HookSettings, IssueMove, RemoteHook, Thread,
};
pub use decode::decode;
pub use render::{Rendered, removed_contacts, render, standing_apart};
pub use verify::{KEPT_HEADERS, issue_lane, reply_lane, route, verify_body, verify_head};
