//! The form of a group's settings: what follows is shown before anything is changed.

use axum::response::Response;
use serde::Deserialize;

use super::page;
use crate::{
    crm::{CrmError, GroupReport, GroupSettings},
    domain::{
        ChatPreset, ConnectionId, GroupId, InvitePolicy, Reactions, Reassignment, RelationSource,
        Replies,
    },
    rules::{GroupState, PolicySettings},
    store::{connection, group_settings, tree},
    web::{
        flash::Flash,
        form::{Errors, Typed, refused},
        problem::Problem,
        visit::{InGroup, ToConfigure},
    },
};

/// Most groups that may be a contact source and are offered.
const GROUPS: i64 = 500;

/// What is chosen. Empty is "as the group above has it".
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Input {
    pub(super) crm: Option<String>,
    /// Id of a group.
    pub(super) source: String,
    /// `own`, or empty.
    pub(super) relations: String,
    pub(super) author: Option<String>,
    pub(super) participants: Option<String>,
    pub(super) description: Option<String>,
    /// Id of a connection.
    pub(super) messenger: String,
    pub(super) preset: String,
    pub(super) invites: String,
    pub(super) reassignment: String,
    pub(super) replies: String,
    pub(super) reactions: String,
    /// Whether what would be lost was seen.
    pub(super) confirmed: Option<String>,
    /// `check` or `save`.
    #[serde(rename = "do")]
    pub(super) what: String,
}

impl Input {
    /// Returns what is stored.
    pub(super) async fn stored(visit: &InGroup<ToConfigure>) -> Result<Self, Problem> {
        let state = state(visit).await?;
        let checked = |is: bool| is.then(|| "1".to_owned());
        let relations = state.automatic_relations.as_deref();
        let relates = |source| relations.is_some_and(|chosen| chosen.contains(&source));
        let id = |id: i64| id.to_string();
        Ok(Self {
            crm: checked(state.crm_enabled),
            source: state
                .contact_source
                .map(|group| id(group.0))
                .unwrap_or_default(),
            relations: relations.map(|_| "own".to_owned()).unwrap_or_default(),
            author: checked(relates(RelationSource::Author)),
            participants: checked(relates(RelationSource::Participants)),
            description: checked(relates(RelationSource::Description)),
            messenger: state
                .policies
                .messenger
                .map(|on| id(on.0))
                .unwrap_or_default(),
            preset: state
                .policies
                .preset
                .map_or("", ChatPreset::word)
                .to_owned(),
            invites: state
                .policies
                .invites
                .map_or("", InvitePolicy::word)
                .to_owned(),
            reassignment: state
                .policies
                .reassignment
                .map_or("", Reassignment::word)
                .to_owned(),
            replies: state.policies.replies.map_or("", Replies::word).to_owned(),
            reactions: state
                .policies
                .reactions
                .map_or("", Reactions::word)
                .to_owned(),
            confirmed: None,
            what: String::new(),
        })
    }

    /// Returns whether issues are related by themselves so.
    pub(super) fn relates(&self, source: RelationSource) -> bool {
        match source {
            RelationSource::Author => self.author.is_some(),
            RelationSource::Participants => self.participants.is_some(),
            RelationSource::Description => self.description.is_some(),
        }
    }

    fn settings(&self) -> Result<GroupSettings, Problem> {
        // A form of ours sends ids and nothing else.
        let id = |text: &str| match text {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| Problem::Malformed),
        };
        let (source, messenger) = (id(&self.source)?, id(&self.messenger)?);
        let sources = [
            RelationSource::Author,
            RelationSource::Participants,
            RelationSource::Description,
        ];
        let chosen = sources.into_iter().filter(|source| self.relates(*source));
        let own = self.relations == "own";
        Ok(GroupSettings {
            crm_enabled: Some(self.crm.is_some()),
            contact_source: Some(source.map(GroupId)),
            automatic_relations: Some(own.then(|| chosen.collect())),
            policies: PolicySettings {
                messenger: Some(messenger.map(ConnectionId)),
                preset: Some(ChatPreset::from_word(&self.preset)),
                invites: Some(InvitePolicy::from_word(&self.invites)),
                reassignment: Some(Reassignment::from_word(&self.reassignment)),
                replies: Some(Replies::from_word(&self.replies)),
                reactions: Some(Reactions::from_word(&self.reactions)),
            },
        })
    }
}

/// A choice of a list.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// What there is to choose from.
pub(super) struct Choices {
    pub(super) managed: bool,
    pub(super) sources: Vec<Choice>,
    pub(super) messengers: Vec<Choice>,
    pub(super) presets: Vec<Choice>,
    pub(super) invites: Vec<Choice>,
    pub(super) reassignments: Vec<Choice>,
    pub(super) replies: Vec<Choice>,
    pub(super) reactions: Vec<Choice>,
}

impl Choices {
    pub(super) async fn of(visit: &InGroup<ToConfigure>, input: &Input) -> Result<Self, Problem> {
        let mut connection = visit.visitor.connection().await?;
        let groups = tree::tree(&mut connection, visit.group.root, GROUPS).await?;
        let known = connection::of_tenant(&mut connection, visit.group.root).await?;
        drop(connection);
        let is_root = visit.group.root.0 == visit.group.id.0;
        let above = if is_root {
            "The default"
        } else {
            "As the group above has it"
        };
        // Those above and below: of others nobody is told that they exist.
        let own_path = &visit.group.path;
        let is_around = |path: &String| {
            let (one, other) = (format!("{path}/"), format!("{own_path}/"));
            one.starts_with(&other) || other.starts_with(&one)
        };
        let mut groups: Vec<(String, String)> = groups
            .into_iter()
            .map(|group| (group.id.to_string(), group.path))
            .filter(|(id, path)| is_around(path) || *id == input.source)
            .collect();
        // What is chosen stays to be chosen.
        if !input.source.is_empty() && groups.iter().all(|(id, _)| *id != input.source) {
            groups.push((input.source.clone(), format!("Group {}", input.source)));
        }
        let messengers = known
            .into_iter()
            .filter(|known| known.kind.is_messenger())
            .map(|known| {
                (
                    known.id.to_string(),
                    format!("{} ({})", known.name, known.url),
                )
            })
            .collect();
        let own = if is_root {
            "Its own"
        } else {
            "Where the group above keeps its"
        };
        Ok(Self {
            managed: state(visit).await?.managed,
            sources: list(&input.source, own, groups),
            messengers: list(
                &input.messenger,
                if is_root {
                    "None: there are no chats"
                } else {
                    above
                },
                messengers,
            ),
            presets: list(&input.preset, above, words(&PRESETS)),
            invites: list(&input.invites, above, words(&INVITES)),
            reassignments: list(&input.reassignment, above, words(&REASSIGNMENTS)),
            replies: list(&input.replies, above, words(&REPLIES)),
            reactions: list(&input.reactions, above, words(&REACTIONS)),
        })
    }
}

/// Policies by the words that they are stored with, and what they are called here.
const PRESETS: [(&str, &str); 2] = [
    ("current", "They stay observers"),
    ("legacy", "They stop being observers"),
];
const INVITES: [(&str, &str); 3] = [
    ("readers", "Anyone who may read the item"),
    ("editors", "Those who may edit the item"),
    ("approval", "Nobody without approval"),
];
const REASSIGNMENTS: [(&str, &str); 2] =
    [("keep", "Becomes an observer"), ("drop", "Leaves the item")];
const REPLIES: [(&str, &str); 2] = [
    ("always", "Each"),
    (
        "when_needed",
        "Those that ask something or were not done in full",
    ),
];
const REACTIONS: [(&str, &str); 2] = [("always", "On each"), ("never", "On none")];

fn words(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(value, label)| ((*value).to_owned(), (*label).to_owned()))
        .collect()
}

/// Returns a list of choices that begins with one of nothing.
fn list(chosen: &str, first: &str, all: Vec<(String, String)>) -> Vec<Choice> {
    let first = (String::new(), first.to_owned());
    std::iter::once(first)
        .chain(all)
        .map(|(value, label)| Choice {
            is_chosen: value == chosen,
            value,
            label,
        })
        .collect()
}

async fn state(visit: &InGroup<ToConfigure>) -> Result<GroupState, Problem> {
    let mut connection = visit.visitor.connection().await?;
    let (root, group) = (visit.group.root, visit.group.id);
    let state = group_settings::read(&mut connection, root, group).await?;
    state.ok_or(Problem::NotFound)
}

/// `POST /settings`: shows what would follow, or saves.
pub(super) async fn save(
    visit: InGroup<ToConfigure>,
    form: Typed<Input>,
) -> Result<Response, Problem> {
    let input = form.values;
    if form.is_restored {
        return page(&visit, input, Errors::default(), None).await;
    }
    let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
    let (group, settings) = (visit.group.id, input.settings()?);
    let foreseen = crm.preview_group(asker, group, settings.clone()).await;
    // What cannot be taken back is confirmed first.
    let loses = |report: &GroupReport| report.relations_removed > 0 && input.confirmed.is_none();
    let is_check = input.what == "check" || foreseen.as_ref().is_ok_and(loses);
    let done = match foreseen {
        Ok(_) if !is_check => crm.set_group(asker, group, settings).await,
        foreseen => foreseen,
    };
    match done {
        Ok(report) if is_check => page(&visit, input, Errors::default(), Some(report)).await,
        Ok(report) => {
            let flash = match (report.operation, report.relations_removed) {
                (None, _) => Flash::done("Nothing was to be changed."),
                (_, 0) => Flash::done("The settings were saved."),
                (_, lost) => Flash::done(format!(
                    "The settings were saved. Relations between issues and contacts that are gone: {lost}."
                )),
            };
            Ok(visit.visitor.say(flash, &visit.to("settings")))
        }
        Err(CrmError::Invalid(sentences)) => {
            let errors = Errors::new(sentences);
            Ok(refused(page(&visit, input, errors, None).await?))
        }
        Err(other) => Err(other.into()),
    }
}
