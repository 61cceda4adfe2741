//! Webhooks of projects, groups and the whole instance: what they want and which of them an event reaches.
//!
//! Sending is [`super::delivery`]'s; bodies are [`super::payload`]'s.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::mpsc;
use url::Url;

use super::{
    Sandbox,
    delivery::{self, Outgoing},
    model::Place,
    notes::Refusal,
    now, random_uuid,
    state::{State, take_id},
};

/// Flags that a hook may carry, in GitLab's words.
pub(super) const EVENTS: [&str; 18] = [
    "push_events",
    "tag_push_events",
    "issues_events",
    "confidential_issues_events",
    "note_events",
    "confidential_note_events",
    "merge_requests_events",
    "job_events",
    "pipeline_events",
    "wiki_page_events",
    "deployment_events",
    "releases_events",
    "emoji_events",
    "feature_flag_events",
    "resource_access_token_events",
    "member_events",
    "project_events",
    "subgroup_events",
];

/// Whose hook it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookOwner {
    /// Events of one project.
    Project(u64),
    /// Events of a group, its subgroups and their projects.
    Group(u64),
    /// Events of the whole instance; never comments.
    System,
}

/// A webhook.
#[derive(Debug)]
pub struct Hook {
    /// Number of the hook.
    pub id: u64,
    /// Whose it is.
    pub owner: HookOwner,
    /// Address that is called.
    pub url: Url,
    /// Events that it wants, by flag.
    pub events: BTreeSet<&'static str>,
    /// Whether certificates are checked; kept, not acted upon.
    pub enable_ssl_verification: bool,
    /// Name for people.
    pub name: Option<String>,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    pub(super) token: Option<String>,
    pub(super) signing_key: Option<Vec<u8>>,
    lanes: Vec<mpsc::UnboundedSender<Outgoing>>,
    /// Requests that are queued or under way.
    unsent: Arc<AtomicUsize>,
}

/// How a hook is created.
#[derive(Debug, Clone)]
pub struct NewHook {
    /// Address to call.
    pub url: Url,
    /// Value of `X-Gitlab-Token`.
    pub token: Option<String>,
    /// `whsec_` and the base64 of 32 bytes.
    pub signing_token: Option<String>,
    /// Events that it wants, by flag, such as `note_events`.
    pub events: BTreeSet<&'static str>,
}

impl NewHook {
    /// Returns a hook without secrets for everything about comments, issues, members, projects and subgroups.
    pub fn to(url: Url) -> Self {
        Self {
            url,
            token: None,
            signing_token: None,
            events: BTreeSet::from([
                "note_events",
                "confidential_note_events",
                "issues_events",
                "confidential_issues_events",
                "member_events",
                "project_events",
                "subgroup_events",
            ]),
        }
    }
}

/// Something that hooks may want to hear of.
pub(super) struct Occasion {
    /// Where it happened; `None` for the instance.
    pub(super) place: Option<Place>,
    /// Flag of the hooks that want it.
    pub(super) flag: &'static str,
    /// `X-Gitlab-Event`.
    pub(super) header: &'static str,
    /// Chain that the cause belongs to.
    pub(super) chain: Option<String>,
    /// Deliveries with the same subject keep their order.
    pub(super) subject: u64,
}

impl Occasion {
    /// Returns an occasion for system hooks.
    pub(super) fn system() -> Self {
        Self {
            place: None,
            flag: "",
            header: "System Hook",
            chain: None,
            subject: 0,
        }
    }
}

/// Reads a signing token: `whsec_` and the base64 of a 32-byte key.
///
/// # Errors
/// Refuses every other form, as the hooks API does.
pub(super) fn signing_key(token: &str) -> Result<Vec<u8>, Refusal> {
    token
        .strip_prefix("whsec_")
        .and_then(|key| BASE64_STANDARD.decode(key).ok())
        .filter(|key| key.len() == 32)
        .ok_or(Refusal::Invalid(
            "signing_token must be whsec_ and the base64 of a 32-byte key",
        ))
}

impl Hook {
    fn wants(&self, occasion: &Occasion, state: &State) -> bool {
        let group = match occasion.place {
            None => return self.owner == HookOwner::System,
            Some(Place::Group(group)) => Some(group),
            Some(Place::Project(project)) => state.project(project).map(|project| project.group),
        };
        let reached = match self.owner {
            HookOwner::System => false,
            HookOwner::Project(own) => occasion.place == Some(Place::Project(own)),
            HookOwner::Group(own) => {
                group.is_some_and(|group| state.ancestry(group).any(|above| above.id == own))
            }
        };
        reached && self.events.contains(occasion.flag)
    }

    /// Queues one request; the same subject always takes the same lane.
    pub(super) fn queue(&self, subject: u64, outgoing: Outgoing) {
        let lane = subject
            .checked_rem(self.lanes.len() as u64)
            .and_then(|lane| usize::try_from(lane).ok())
            .and_then(|lane| self.lanes.get(lane));
        if let Some(lane) = lane {
            // Fails only when the tracker is shutting down, where nothing is sent any more.
            if lane.send(outgoing).is_ok() {
                self.unsent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl State {
    /// Returns how many requests of hooks are queued or under way.
    pub fn unsent(&self) -> usize {
        let unsent = |hook: &Hook| hook.unsent.load(Ordering::Relaxed);
        self.hooks.values().map(unsent).sum()
    }

    /// Queues a request to every hook that wants the occasion; the body is built only if there is one.
    pub(super) fn fire(&self, occasion: &Occasion, body: impl FnOnce(&Self) -> Value) {
        let mut wanting = self
            .hooks
            .values()
            .filter(|hook| hook.wants(occasion, self))
            .peekable();
        if wanting.peek().is_none() {
            return;
        }
        let body = Bytes::from(body(self).to_string());
        let chain = occasion.chain.clone().unwrap_or_else(random_uuid);
        for hook in wanting {
            let outgoing = Outgoing {
                event: occasion.header.to_owned(),
                body: body.clone(),
                chain: chain.clone(),
                key: random_uuid(),
            };
            hook.queue(occasion.subject, outgoing);
        }
    }
}

impl Sandbox {
    /// Creates a hook and returns its id; must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Refuses a signing token of another form than `whsec_` and the base64 of 32 bytes.
    pub fn create_hook(&self, owner: HookOwner, new: NewHook) -> Result<u64, Refusal> {
        let signing_key = new.signing_token.as_deref().map(signing_key).transpose()?;
        let unsent = Arc::<AtomicUsize>::default();
        let (id, queues) = self.change(|state| {
            let id = take_id(&state.hooks, None).max(state.last_hook + 1);
            state.last_hook = id;
            let (lanes, queues): (Vec<_>, Vec<_>) =
                (0..state.lanes).map(|_| mpsc::unbounded_channel()).unzip();
            let hook = Hook {
                id,
                owner,
                url: new.url,
                events: new.events,
                enable_ssl_verification: true,
                name: None,
                created_at: now(),
                token: new.token,
                signing_key,
                lanes,
                unsent: Arc::clone(&unsent),
            };
            state.hooks.insert(id, hook);
            (id, queues)
        });
        for queue in queues {
            let work =
                delivery::deliver(Arc::downgrade(&self.shared), id, queue, Arc::clone(&unsent));
            let stopping = self.shared.stopping.clone();
            self.shared
                .tasks
                .spawn(async move { stopping.run_until_cancelled(work).await });
        }
        Ok(id)
    }

    /// Deletes a hook; what it has queued is not sent any more.
    pub fn delete_hook(&self, id: u64) {
        self.change(|state| state.hooks.remove(&id));
    }

    /// Sets how many requests a hook created from now on has under way at once (default 1).
    ///
    /// With one lane everything arrives in order; with more, only what concerns the same issue does.
    pub fn set_lanes(&self, lanes: usize) {
        self.change(|state| state.lanes = lanes.max(1));
    }
}
