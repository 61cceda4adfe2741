//! `/crm/bulk`: a change of many items at once: of those whose rows are ticked, or of all that match on every page.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use url::form_urlencoded;

use super::watch::names;
use crate::{
    crm::{CrmError, Foreseen, Where},
    domain::{ItemId, ItemKind, ItemTypeId, PersonId, RecordKind},
    rules::WatchTask,
    store::{
        bulk_job::{BulkTask, Selection},
        item_list::ItemFilter,
    },
    web::{
        Web, body,
        form::{RESTORED, refused},
        frame::{Frame, html},
        problem::Problem,
        visit::{InGroup, ToManage},
    },
};

/// What the form of a list needs to change its rows.
#[derive(Debug, Default)]
pub(in crate::web) struct BulkForm {
    /// Where it is sent.
    pub(in crate::web) action: String,
    /// The items of the rows, in their order.
    pub(in crate::web) items: Vec<ItemId>,
    /// What says which items match on every page.
    pub(in crate::web) filter: Vec<(&'static str, String)>,
    /// Where people are suggested.
    pub(in crate::web) people: String,
}

impl BulkForm {
    /// Returns the form of a list that shows these rows of all that a filter lets through.
    pub(in crate::web) fn new<R>(visit: &InGroup<R>, rows: &[ItemId], filter: &ItemFilter) -> Self {
        let mut kept = Vec::new();
        for kind in filter.kinds.iter().flatten() {
            kept.push(("filter_kind", kind.clone()));
        }
        if let Some(id) = filter.item_type {
            kept.push(("filter_type", id.to_string()));
        }
        if let Some(active) = filter.active {
            kept.push(("filter_active", active.to_string()));
        }
        if let Some(search) = &filter.search {
            kept.push(("filter_search", search.clone()));
        }
        Self {
            action: visit.to("crm/bulk"),
            items: rows.to_vec(),
            filter: kept,
            people: visit.to("crm/people/suggest"),
        }
    }
}

/// What can be done: word of the form, label.
const TASKS: [(&str, &str); 4] = [
    ("add", "Add observers"),
    ("remove", "Remove observers"),
    ("replace", "Replace all observers by"),
    ("responsible", "Make responsible"),
];

/// What was sent, field by field.
#[derive(Debug, Default)]
struct Sent {
    fields: Vec<(String, String)>,
}

impl Sent {
    fn get(&self, name: &str) -> &str {
        let mut all = self.fields.iter().filter(|(known, _)| known == name);
        all.next().map_or("", |(_, value)| value)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.fields.iter().filter(move |(known, _)| known == name);
        all.map(|(_, value)| value.as_str())
    }

    /// Returns which items are meant.
    fn selection(&self) -> Selection {
        if self.get("scope") != "all" {
            let mut ids: Vec<i64> = self.all("item").filter_map(|id| id.parse().ok()).collect();
            ids.sort_unstable();
            ids.dedup();
            return Selection::Ids(ids);
        }
        let kinds: Vec<String> = self
            .all("filter_kind")
            .filter(|word| ItemKind::ALL.iter().any(|kind| kind.word() == *word))
            .map(str::to_owned)
            .collect();
        Selection::Filter(ItemFilter {
            kinds: (!kinds.is_empty()).then_some(kinds),
            item_type: self.get("filter_type").parse().ok().map(ItemTypeId),
            active: self.get("filter_active").parse().ok(),
            search: Some(self.get("filter_search").replace('\0', ""))
                .filter(|search| !search.is_empty()),
            ..ItemFilter::default()
        })
    }

    /// Returns what is done with them.
    fn task(&self, people: Vec<PersonId>) -> Result<WatchTask, CrmError> {
        let invalid = |reason: &str| CrmError::Invalid(vec![reason.to_owned()]);
        match self.get("what") {
            "add" => Ok(WatchTask::Add {
                people,
                in_chat: true,
                history: None,
            }),
            "remove" => Ok(WatchTask::Remove { people }),
            "replace" => Ok(WatchTask::Replace {
                people,
                history: None,
            }),
            "responsible" if people.len() > 1 => Err(invalid("Only one person can be responsible")),
            "responsible" => Ok(WatchTask::Responsible {
                person: people.first().copied(),
            }),
            _ => Err(invalid("Choose what is to be done")),
        }
    }

    /// Returns the list that the form was in, as it was filtered.
    fn list<R>(&self, visit: &InGroup<R>) -> String {
        let kind = self.get("filter_kind");
        let of = ItemKind::ALL.into_iter().find(|known| known.word() == kind);
        let folder = match of.filter(|of| RecordKind::of(*of).is_none()) {
            Some(ItemKind::Organization) => "crm/organizations",
            Some(_) => "crm/contacts",
            None => "crm/items",
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        match self.get("filter_active") {
            "true" => {}
            "false" => drop(query.append_pair("state", "inactive")),
            _ => drop(query.append_pair("state", "all")),
        }
        for (name, value) in [
            ("search", self.get("filter_search").to_owned()),
            (
                "kind",
                match self.get("filter_type") {
                    "" if folder == "crm/items" => kind.to_owned(),
                    "" => String::new(),
                    id => format!("type-{id}"),
                },
            ),
        ] {
            if !value.is_empty() {
                query.append_pair(name, &value);
            }
        }
        visit.to(format_args!("{folder}?{}", query.finish()))
    }
}

#[derive(Template)]
#[template(path = "items/bulk.html")]
struct BulkPage {
    frame: Frame,
    /// Everything that was typed, to be sent again.
    fields: Vec<(String, String)>,
    /// What is to be done, to be chosen again where something is wrong: word, label, whether it is chosen.
    tasks: Vec<(&'static str, &'static str, bool)>,
    /// Where people are suggested.
    suggestions: String,
    /// In words: what is done.
    what: &'static str,
    people: String,
    foreseen: Option<Foreseen>,
    refused: BTreeMap<String, u64>,
    error: Option<String>,
    /// How long the messenger takes, in words.
    takes: Option<String>,
    action: String,
    back: String,
}

/// Returns the route.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/crm/bulk", post(bulk))
}

async fn bulk(visit: InGroup<ToManage>, request: Request) -> Result<Response, Problem> {
    if !body::is_form(request.headers()) {
        return Err(Problem::Malformed);
    }
    let bytes = axum::body::to_bytes(request.into_body(), body::MAX_FORM)
        .await
        .map_err(|_| Problem::Malformed)?;
    let fields = form_urlencoded::parse(&bytes)
        .into_owned()
        .collect::<Vec<(String, String)>>();
    let typed = Sent { fields };
    let is_restored = !typed.get(RESTORED).is_empty();
    let (crm, asker) = (&visit.visitor.web.crm, visit.visitor.asker());
    let group = visit.group.contact_group;
    let task = task(&visit, &typed).await;
    if typed.get("do") == "now" && !is_restored {
        let begun = match task {
            Ok(task) => crm.begin_bulk(asker, group, &task).await,
            Err(error) => Err(error),
        };
        return match begun {
            Ok(job) => {
                let path = visit.to(format_args!("crm/bulk/{job}"));
                Ok(Redirect::to(&path).into_response())
            }
            Err(CrmError::Invalid(sentences)) => Ok(page(&visit, typed, Err(sentences))),
            Err(other) => Err(other.into()),
        };
    }
    let foreseen = match task {
        Ok(task) => crm.foresee_bulk(asker, group, &task).await,
        Err(error) => Err(error),
    };
    match foreseen {
        Ok(foreseen) => Ok(page(&visit, typed, Ok(foreseen))),
        Err(CrmError::Invalid(sentences)) => Ok(page(&visit, typed, Err(sentences))),
        Err(other) => Err(other.into()),
    }
}

async fn task(visit: &InGroup<ToManage>, typed: &Sent) -> Result<BulkTask, CrmError> {
    let crm = &visit.visitor.web.crm;
    let items = typed.selection();
    if matches!(&items, Selection::Ids(ids) if ids.is_empty()) {
        let reason = "No row is ticked: tick some, or choose all that match";
        return Err(CrmError::Invalid(vec![reason.to_owned()]));
    }
    let place = Where::Group(visit.group.contact_group);
    let names = names(typed.get("people"))?;
    let people = crm.people_named(place, &names).await?;
    let task = typed.task(people)?;
    Ok(BulkTask { task, items })
}

/// Shows what would come of it, with a button that does it; or what is wrong.
fn page(
    visit: &InGroup<ToManage>,
    typed: Sent,
    foreseen: Result<Foreseen, Vec<String>>,
) -> Response {
    let (foreseen, error) = match foreseen {
        Ok(foreseen) => (Some(foreseen), None),
        Err(sentences) => (None, Some(format!("{}.", sentences.join(". ")))),
    };
    let seconds = foreseen
        .as_ref()
        .map_or(0, |foreseen| foreseen.messenger_takes.as_secs());
    let is_wrong = error.is_some();
    let page = html(&BulkPage {
        frame: visit.frame("Change many"),
        what: TASKS
            .into_iter()
            .find(|(word, _)| *word == typed.get("what"))
            .map_or("Change many", |(_, label)| label),
        people: typed.get("people").to_owned(),
        refused: foreseen
            .as_ref()
            .map(|foreseen| foreseen.report.refused.clone())
            .unwrap_or_default(),
        foreseen,
        error,
        takes: match seconds {
            0 => None,
            seconds if seconds < 60 => Some(format!("{seconds} seconds")),
            seconds if seconds < 7200 => Some(format!("{} minutes", seconds.div_ceil(60))),
            seconds => Some(format!("{} hours", seconds.div_ceil(3600))),
        },
        action: visit.to("crm/bulk"),
        back: typed.list(visit),
        tasks: TASKS
            .into_iter()
            .map(|(word, label)| (word, label, word == typed.get("what")))
            .collect(),
        suggestions: visit.to("crm/people/suggest"),
        fields: typed
            .fields
            .into_iter()
            .filter(|(name, _)| name != "do" && name != RESTORED)
            .filter(|(name, _)| !is_wrong || (name != "what" && name != "people"))
            .collect(),
    });
    if is_wrong { refused(page) } else { page }
}
