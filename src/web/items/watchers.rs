//! Who watches an item, and its chat, as the pages of all kinds show it (`web/templates/parts/watchers.html`).

use std::collections::HashMap;

use crate::{
    domain::{ChatState, ItemFields, PersonId},
    rules::OnItem,
    store::{chat, item_type, observer, policy, shown::ShownItem},
    web::{moment::Moment, people::Names, problem::Problem, visit::InGroup},
};

/// Who watches an item, and its chat.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each switches a part of the page"
)]
pub(in crate::web) struct Watchers {
    /// Where what is done with the item is sent: `/groups/acme/-/crm/items/7`.
    pub(in crate::web) at: String,
    /// Who is responsible, and whether he is to be in the chat.
    pub(in crate::web) responsible: Option<(String, bool)>,
    /// Who observes it.
    pub(in crate::web) observers: Vec<ObserverLine>,
    /// Who waits to observe it.
    pub(in crate::web) waiting: Vec<(PersonId, String)>,
    /// Its chat.
    pub(in crate::web) chat: Option<ChatLine>,
    /// Whether such items have observers.
    pub(in crate::web) observable: bool,
    /// Whether the group has a messenger.
    pub(in crate::web) has_messenger: bool,
    /// Whether the past of its chat can be hidden from one person.
    pub(in crate::web) hides_history: bool,
    /// Whether the visitor may change who observes it.
    pub(in crate::web) may_change: bool,
    /// Whether the visitor may make somebody responsible.
    pub(in crate::web) may_edit: bool,
    /// Where people are suggested.
    pub(in crate::web) people: String,
}

/// Somebody who observes.
#[derive(Debug)]
pub(in crate::web) struct ObserverLine {
    /// The person.
    pub(in crate::web) person: PersonId,
    /// His name.
    pub(in crate::web) name: String,
    /// Whether he is to be in the chat.
    pub(in crate::web) in_chat: bool,
    /// Whether he sees the past of the chat.
    pub(in crate::web) sees_past: bool,
    /// Since when.
    pub(in crate::web) since: Moment,
    /// Who added him.
    pub(in crate::web) by: Option<String>,
}

/// A chat.
#[derive(Debug)]
pub(in crate::web) struct ChatLine {
    /// Where it is, for people.
    pub(in crate::web) url: Option<String>,
    /// How it is, in words.
    pub(in crate::web) state: &'static str,
    /// When it was last compared with the list.
    pub(in crate::web) settled: Option<Moment>,
    /// Why it still differs.
    pub(in crate::web) problem: Option<String>,
}

impl Watchers {
    /// Returns who watches an item that the visitor may see.
    pub(in crate::web) async fn of<R>(
        visit: &InGroup<R>,
        (item, on): (&ShownItem, OnItem),
    ) -> Result<Self, Problem> {
        let mut connection = visit.visitor.connection().await?;
        let mut observers: HashMap<_, _> =
            observer::of_items(&mut connection, item.root, &[item.id.0]).await?;
        let observers = observers.remove(&item.id).unwrap_or_default();
        let waiting = observer::waiting(&mut connection, (item.root, item.id)).await?;
        let chats = chat::of_items(&mut connection, &[(item.root, item.id)]).await?;
        let policy = policy::of_group(&mut connection, item.root, item.group).await?;
        let responsible_in_chat =
            observer::responsible_in_chat(&mut connection, (item.root, item.id)).await?;
        let item_type = match &item.fields {
            ItemFields::Record(record) => record.item_type,
            ItemFields::Contact(_) | ItemFields::Organization(_) => None,
        };
        let observable = match item_type {
            None => item.fields.kind().has_observers(),
            Some(id) => {
                let types = item_type::find(&mut connection, &[id]).await?;
                types.first().is_some_and(|found| found.observers)
            }
        };
        let mut people: Vec<PersonId> = waiting.clone();
        people.extend(item.responsible);
        for one in &observers {
            people.push(one.person);
            people.extend(one.added_by);
        }
        let names = Names::of(&mut connection, people).await?;
        drop(connection);
        let moment = |at| visit.visitor.moment(at);
        Ok(Self {
            at: visit.to(format_args!("crm/items/{}", item.id)),
            responsible: item
                .responsible
                .map(|person| (names.get(Some(person)), responsible_in_chat)),
            observers: observers
                .iter()
                .map(|one| ObserverLine {
                    person: one.person,
                    name: names.get(Some(one.person)),
                    in_chat: one.in_chat,
                    sees_past: one.show_history,
                    since: moment(one.added_at),
                    by: one.added_by.map(|by| names.get(Some(by))),
                })
                .collect(),
            waiting: waiting
                .into_iter()
                .map(|person| (person, names.get(Some(person))))
                .collect(),
            chat: chats.into_iter().next().map(|(_, chat)| ChatLine {
                // An address for people comes from the messenger.
                url: chat
                    .url
                    .filter(|url| url.starts_with("https://") || url.starts_with("http://")),
                state: match chat.state {
                    ChatState::Open if chat.remote_id.is_none() => "is being made",
                    ChatState::Open => "open",
                    ChatState::Closed => "closed",
                    ChatState::Gone => "gone: somebody removed the room, or Liaison from it",
                },
                settled: chat.settled_at.map(moment),
                problem: chat.problem,
            }),
            observable,
            has_messenger: policy.messenger.is_some(),
            hides_history: policy
                .messenger
                .is_some_and(|(_, kind)| kind.hides_history()),
            may_change: on.changes_observers(),
            may_edit: on.edits(),
            people: visit.to("crm/people/suggest"),
        })
    }
}
