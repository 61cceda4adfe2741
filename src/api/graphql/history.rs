//! The history: who did what, when and through what.

use async_graphql::{
    Context, Enum, ID, Object, Result, SimpleObject,
    connection::{Connection, EmptyFields},
};
use serde_json::Value;

use super::{
    Refusal, Scope,
    contact::Contact,
    id::{history_gid, operation_gid},
    issue::Issue,
    item::Item,
    loader::ItemHistory,
    organization::Organization,
    page::{Page, cost, cursor_of},
    time::Time,
    user::User,
};
use crate::{
    crm::{HistoryEntry, HistoryOf, HistoryPage},
    domain::{GroupId, ItemId, PersonId, Via},
    store::{search::Holder, shown::ShownItem},
};

/// Most entries of one page.
pub(super) const MAX_HISTORY: usize = 50;

/// Returns what a page of the history costs at most.
pub(super) fn history_cost(first: Option<i32>, entry: usize) -> usize {
    let most = i32::try_from(MAX_HISTORY).unwrap_or(i32::MAX);
    cost(
        Some(first.map_or(most, |first| first.min(most))),
        None,
        entry,
    )
}

/// A page of the history.
pub(super) type HistoryConnection = Connection<String, History, EmptyFields, EmptyFields>;

/// One change that the asker may see.
#[derive(Debug, Clone)]
pub(super) struct History {
    entry: HistoryEntry,
    /// The group whose contacts the asker may see. What has moved elsewhere since is not shown.
    holder: Holder,
}

impl History {
    /// Returns a page of the history of an item that the asker may see.
    pub(super) async fn of_item(
        scope: Scope<'_>,
        (holder, item): (Holder, ItemId),
        page: &Page,
    ) -> Result<HistoryConnection, Refusal> {
        let slice = page.slice(true)?;
        let (before, limit) = (slice.below.unwrap_or(i64::MAX), slice.limit);
        let key = ItemHistory {
            root: holder.0,
            item,
            before,
            limit,
        };
        let entries = scope.rows.load_one(key).await?;
        Ok(Self::page(entries.unwrap_or_default(), holder, page))
    }

    /// Returns a page of the history of all that a group uses.
    pub(super) async fn of_group(
        scope: Scope<'_>,
        (holder, group): (Holder, GroupId),
        page: &Page,
    ) -> Result<HistoryConnection, Refusal> {
        scope.rows.loader().single()?;
        let part = HistoryPage {
            before: page.slice(true)?.below,
            // One more tells whether there are more.
            limit: page.size + 1,
        };
        let entries = scope
            .api
            .crm
            .history(scope.asker()?, HistoryOf::Group(group), part)
            .await?;
        Ok(Self::page(entries, holder, page))
    }

    fn page(entries: Vec<HistoryEntry>, holder: Holder, page: &Page) -> HistoryConnection {
        let rows = entries
            .into_iter()
            .map(|entry| (cursor_of(entry.id), Self { entry, holder }));
        page.connection(rows, EmptyFields)
    }

    /// Returns the item that the entry is about, while it is where the asker may see it.
    async fn item(&self, scope: Scope<'_>) -> Result<Option<ShownItem>, Refusal> {
        let Some(item) = self.entry.item else {
            return Ok(None);
        };
        let found = scope.rows.load_one(item).await?;
        Ok(found.filter(|item| (item.root, item.group) == self.holder))
    }
}

/// Through what a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "CustomerRelationsHistoryVia")]
enum HistoryVia {
    /// A command in a comment.
    QuickAction,
    /// The GraphQL API.
    Graphql,
    /// A page.
    Page,
    /// An import.
    Import,
    /// Something that the tracker told.
    Tracker,
    /// Something that happened in a chat.
    Chat,
    /// A rule that acts by itself.
    Automatic,
    /// The command line.
    CommandLine,
}

impl From<Via> for HistoryVia {
    fn from(via: Via) -> Self {
        match via {
            Via::QuickAction => Self::QuickAction,
            Via::GraphQl => Self::Graphql,
            Via::Page => Self::Page,
            Via::Import => Self::Import,
            Via::Tracker => Self::Tracker,
            Via::Chat => Self::Chat,
            Via::Automatic => Self::Automatic,
            Via::CommandLine => Self::CommandLine,
        }
    }
}

/// What became of one field.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
#[graphql(name = "CustomerRelationsHistoryChange")]
struct Change {
    /// Name of the field.
    field: String,
    /// What was in it.
    before: Option<String>,
    /// What is in it.
    after: Option<String>,
}

/// One change.
#[Object(name = "CustomerRelationsHistoryEntry")]
impl History {
    /// Global id.
    async fn id(&self) -> ID {
        history_gid(self.entry.id)
    }

    /// The operation that it is part of, by which it is taken back.
    async fn operation_id(&self) -> ID {
        operation_gid(self.entry.operation)
    }

    /// When.
    async fn created_at(&self) -> Time {
        Time(self.entry.at)
    }

    /// Who, if he is still known.
    async fn author(&self, context: &Context<'_>) -> Result<Option<User>> {
        match self.entry.actor {
            None => Ok(None),
            Some(person) => Ok(Scope::of(context)?.rows.load_one(person).await?),
        }
    }

    /// Through what.
    async fn via(&self) -> HistoryVia {
        self.entry.via.into()
    }

    /// What: `item_created`, `item_edited`, `item_deleted`, `item_merged`, `item_moved`, `item_converted`, `item_related`, `item_unrelated`,
    /// `item_linked`, `item_unlinked`, `observer_added`, `observer_changed`, `observer_removed`, `observer_requested`, `responsible_changed`,
    /// `chat_created`, `chat_moved`, `group_configured`.
    async fn action(&self) -> &str {
        &self.entry.action
    }

    /// The contact that it is about, while it exists.
    async fn contact(&self, context: &Context<'_>) -> Result<Option<Contact>> {
        Ok(self.item(Scope::of(context)?).await?.and_then(Contact::of))
    }

    /// The organization that it is about, while it exists.
    async fn organization(&self, context: &Context<'_>) -> Result<Option<Organization>> {
        Ok(self
            .item(Scope::of(context)?)
            .await?
            .and_then(Organization::of))
    }

    /// The person whom it is about: an observer that was added, changed or removed.
    async fn person(&self, context: &Context<'_>) -> Result<Option<User>> {
        let person = self.entry.detail.get("person").and_then(Value::as_i64);
        match person {
            None => Ok(None),
            Some(person) => Ok(Scope::of(context)?.rows.load_one(PersonId(person)).await?),
        }
    }

    /// The item that it is about, while it exists.
    #[graphql(name = "item")]
    async fn item_node(&self, context: &Context<'_>) -> Result<Option<Item>> {
        match self.entry.item {
            None => Ok(None),
            Some(item) => Ok(Item::find(Scope::of(context)?, item).await?),
        }
    }

    /// The issue on which it happened, if the asker may read it.
    async fn issue(&self, context: &Context<'_>) -> Result<Option<Issue>> {
        match self.entry.issue {
            None => Ok(None),
            Some(issue) => Ok(Issue::find(Scope::of(context)?, issue).await?),
        }
    }

    /// What became of the fields.
    async fn changes(&self) -> Vec<Change> {
        changes(&self.entry.detail)
    }

    /// The operation that took it back.
    async fn undone_by(&self) -> Option<ID> {
        self.entry.undone_by.map(operation_gid)
    }
}

/// Returns the fields before and after that a detail tells of, in the order of their names.
fn changes(detail: &Value) -> Vec<Change> {
    let part = |name: &str| detail.get(name).and_then(Value::as_object);
    let (before, after) = (part("before"), part("after"));
    let mut fields: Vec<&String> = [before, after]
        .into_iter()
        .flatten()
        .flat_map(|part| part.keys())
        .collect();
    fields.sort_unstable();
    fields.dedup();
    let shown =
        |part: Option<&serde_json::Map<String, Value>>, field: &str| match part?.get(field)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
    let change = |field: &String| Change {
        field: field.clone(),
        before: shown(before, field),
        after: shown(after, field),
    };
    fields.into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_what_became_of_the_fields() {
        let detail = json!({
            "before": { "phone": null, "active": true, "first_name": "Ada" },
            "after": { "phone": "12", "active": false, "first_name": "Augusta" },
        });
        let told: Vec<_> = changes(&detail)
            .into_iter()
            .map(|change| (change.field, change.before, change.after))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("active".to_owned(), some("true"), some("false")),
                ("first_name".to_owned(), some("Ada"), some("Augusta")),
                ("phone".to_owned(), None, some("12")),
            ]
        );
        assert_eq!(changes(&json!({ "losers": [1] })), []);
    }
}
