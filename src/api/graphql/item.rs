//! Items of any kind, who watches them, and their chats.

use async_graphql::{
    Context, Enum, ID, Object, Result, SimpleObject,
    connection::{Connection, Edge, EmptyFields},
};

use super::{
    Refusal, Scope,
    contact::Contact,
    history::{History, HistoryConnection, MAX_HISTORY, history_cost},
    id::{item_gid, item_type_gid},
    issue::{Issue, IssueConnection},
    loader::{ChatOf, ItemAccess, ItemsOf, LinkedTo, MAX_ISSUE_ITEMS, ObserversOf},
    organization::Organization,
    page::{Page, cost, cursor_of},
    time::Time,
    user::User,
    watching::{ItemChat, ItemObserver},
};
use crate::{
    crm::Where,
    domain::{self, IssueId, ItemFields, ItemId, RecordFields, RootId},
    rules::OnItem,
    store::{
        item_list::{self, ItemFilter},
        item_type,
        search::Holder,
        shown::ShownItem,
    },
};

/// A page of items.
pub(super) type ItemConnection = Connection<String, Item, ItemCount, EmptyFields>;

/// What sort of thing an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::ItemKind")]
pub(super) enum ItemKind {
    /// A customer person.
    Contact,
    /// A customer company.
    Organization,
    /// Somebody who may become a customer.
    Lead,
    /// A sale that is being made.
    Deal,
    /// An invoice.
    Invoice,
    /// An item of a type of the root group's own.
    Custom,
    /// An estimate; it has no observers.
    Estimate,
    /// A document that is to be signed; it has no observers.
    SigningDocument,
}

/// In which order items are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "item_list::ItemSort")]
pub(super) enum ItemSort {
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
    /// The last changed first.
    Updated,
    /// By title.
    Title,
}

/// Which items are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(rename_items = "lowercase")]
pub(super) enum ItemState {
    /// All.
    All,
    /// Those in use.
    Active,
    /// Archived ones.
    Inactive,
}

impl ItemState {
    /// Returns whether items are to be in use; none for whatever they are.
    pub(super) fn active(self) -> Option<bool> {
        match self {
            Self::All => None,
            Self::Active => Some(true),
            Self::Inactive => Some(false),
        }
    }
}

/// How many items a list has in all.
pub(super) struct ItemCount(pub(super) Option<(Holder, ItemFilter)>);

/// How many there are.
#[Object]
impl ItemCount {
    /// How many items the list has in all.
    async fn count(&self, context: &Context<'_>) -> Result<i64> {
        let Some((holder, filter)) = &self.0 else {
            return Ok(0);
        };
        let mut connection = Scope::of(context)?.single().await?;
        let count = item_list::count(&mut connection, *holder, filter).await;
        Ok(count.map_err(Refusal::from)?)
    }
}

/// An item that the asker may see.
#[derive(Debug, Clone)]
pub(super) struct Item {
    item: ShownItem,
    on: OnItem,
}

impl Item {
    /// Returns the item with an id, if the asker may see it.
    pub(super) async fn find(scope: Scope<'_>, id: ItemId) -> Result<Option<Self>, Refusal> {
        let items = Self::all(scope, &[id]).await?;
        Ok(items.into_iter().next())
    }

    /// Returns those of some items that the asker may see, in their order.
    pub(super) async fn all(scope: Scope<'_>, ids: &[ItemId]) -> Result<Vec<Self>, Refusal> {
        if scope.viewer.bearer().is_none() {
            return Ok(Vec::new());
        }
        let access = scope
            .rows
            .load_many(ids.iter().map(|id| ItemAccess(*id)))
            .await?;
        let mut items = scope.rows.load_many(ids.iter().copied()).await?;
        Ok(ids
            .iter()
            .filter_map(|id| {
                let on = *access.get(&ItemAccess(*id)).filter(|on| on.reads())?;
                let item = items.remove(id)?;
                Some(Self { item, on })
            })
            .collect())
    }

    /// Returns the items of an issue that the asker may see.
    pub(super) async fn of_issue(
        scope: Scope<'_>,
        (root, issue): (RootId, IssueId),
    ) -> Result<Vec<Self>, Refusal> {
        let ids = scope.rows.load_one(ItemsOf(root, issue)).await?;
        Self::all(scope, &ids.unwrap_or_default()).await
    }

    /// Returns a page of a list; the cursors are ids.
    pub(super) fn connection(
        items: Vec<Self>,
        (has_previous, has_next): (bool, bool),
        count: ItemCount,
    ) -> ItemConnection {
        let mut connection = Connection::with_additional_fields(has_previous, has_next, count);
        let edges = items
            .into_iter()
            .map(|item| Edge::new(cursor_of(item.item.id.0), item));
        connection.edges.extend(edges);
        connection
    }

    fn record(&self) -> Option<&RecordFields> {
        match &self.item.fields {
            ItemFields::Record(record) => Some(record),
            ItemFields::Contact(_) | ItemFields::Organization(_) => None,
        }
    }

    fn key(&self) -> (RootId, ItemId) {
        (self.item.root, self.item.id)
    }
}

/// An item: a lead, a deal, an invoice, a contact, an organization, or something of a type of the root group's own.
#[Object]
impl Item {
    /// Global id.
    async fn id(&self) -> ID {
        item_gid(self.item.id)
    }

    /// What sort of thing it is.
    async fn kind(&self) -> ItemKind {
        self.item.fields.kind().into()
    }

    /// The type of a custom item.
    #[graphql(name = "type")]
    async fn item_type(&self, context: &Context<'_>) -> Result<Option<ItemType>> {
        let Some(id) = self.record().and_then(|record| record.item_type) else {
            return Ok(None);
        };
        let found = Scope::of(context)?.rows.load_one(id).await?;
        Ok(found.map(ItemType))
    }

    /// What it is called.
    async fn title(&self) -> String {
        self.item.fields.title()
    }

    /// How far it is, in the team's own words.
    async fn stage(&self) -> Option<&str> {
        self.record()?.stage.as_deref()
    }

    /// What it is worth, as a decimal number with two digits after the point.
    async fn amount(&self) -> Option<String> {
        self.record()?.amount.map(|amount| amount.to_string())
    }

    /// The currency of that (ISO 4217).
    async fn currency(&self) -> Option<&str> {
        self.record()?.currency.as_deref()
    }

    /// Description.
    async fn description(&self) -> Option<&str> {
        match &self.item.fields {
            ItemFields::Record(record) => record.description.as_deref(),
            ItemFields::Contact(contact) => contact.description.as_deref(),
            ItemFields::Organization(organization) => organization.description.as_deref(),
        }
    }

    /// False once archived.
    async fn active(&self) -> bool {
        self.item.fields.active()
    }

    /// When it was created.
    async fn created_at(&self) -> Time {
        Time(self.item.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> Time {
        Time(self.item.updated_at)
    }

    /// The item as a contact, if it is one.
    async fn contact(&self) -> Option<Contact> {
        Contact::of(self.item.clone())
    }

    /// The item as an organization, if it is one.
    async fn organization(&self) -> Option<Organization> {
        Organization::of(self.item.clone())
    }

    /// Who is responsible for it.
    async fn responsible(&self, context: &Context<'_>) -> Result<Option<User>> {
        match self.item.responsible {
            None => Ok(None),
            Some(person) => Ok(Scope::of(context)?.rows.load_one(person).await?),
        }
    }

    /// Who observes it, in the order in which they came.
    #[graphql(complexity = "10 * child_complexity + 1")]
    async fn observers(&self, context: &Context<'_>) -> Result<Vec<ItemObserver>> {
        let (root, item) = self.key();
        let found = Scope::of(context)?
            .rows
            .load_one(ObserversOf(root, item))
            .await?;
        let observers = found.unwrap_or_default().into_iter();
        Ok(observers.map(ItemObserver).collect())
    }

    /// Whether the asker may change who observes it.
    async fn may_change_observers(&self) -> bool {
        self.on.changes_observers()
    }

    /// Whether the asker may edit it.
    async fn may_edit(&self) -> bool {
        self.on.edits()
    }

    /// Its chat, once somebody asked for one.
    async fn chat(&self, context: &Context<'_>) -> Result<Option<ItemChat>> {
        let (root, item) = self.key();
        let chat = Scope::of(context)?
            .rows
            .load_one(ChatOf(root, item))
            .await?;
        Ok(chat.map(ItemChat))
    }

    /// The contacts and organizations that it is about, as far as the asker may see them.
    #[graphql(complexity = "10 * child_complexity + 1")]
    async fn links(&self, context: &Context<'_>) -> Result<Vec<Item>> {
        let (root, item) = self.key();
        let scope = Scope::of(context)?;
        let ids = scope.rows.load_one(LinkedTo(root, item)).await?;
        Ok(Self::all(scope, &ids.unwrap_or_default()).await?)
    }

    /// The issues that it is related to, newest first, as far as the asker may see what they are related to.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn issues(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<IssueConnection> {
        let page = Page::new((first, None, after, None))?;
        Ok(Issue::of_item(Scope::of(context)?, self.key(), &page).await?)
    }

    /// What was done to it, newest first.
    #[graphql(complexity = "history_cost(first, child_complexity)")]
    async fn history(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<HistoryConnection> {
        let page = Page::new((first, None, after, None))?.at_most(MAX_HISTORY);
        let holder = (self.item.root, self.item.group);
        Ok(History::of_item(Scope::of(context)?, (holder, self.item.id), &page).await?)
    }

    /// Why a person can see it, or cannot.
    async fn why(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Username or e-mail address.")] person: String,
    ) -> Result<WhySeen> {
        let scope = Scope::of(context)?;
        scope.rows.loader().single()?;
        let crm = &scope.api.crm;
        let place = Where::Item(self.item.id);
        let named = crm.people_named(place, &[person]).await;
        let person = named.map_err(Refusal::from)?.into_iter().next();
        let person = person.ok_or(Refusal::NotAvailable)?;
        let why = crm.why(scope.asker()?, self.item.id, person).await;
        let why = why.map_err(Refusal::from)?;
        Ok(WhySeen {
            reads: why.reads,
            reasons: why.reasons,
        })
    }
}

/// Why somebody can see an item, or cannot.
#[derive(SimpleObject)]
pub(super) struct WhySeen {
    /// Whether he can.
    reads: bool,
    /// Every reason, in words.
    reasons: Vec<String>,
}

/// A type of items of a root group's own.
pub(super) struct ItemType(pub(super) item_type::ItemType);

/// A type of items of a root group's own.
#[Object]
impl ItemType {
    /// Global id.
    async fn id(&self) -> ID {
        item_type_gid(self.0.id)
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether its items have observers.
    async fn observers(&self) -> bool {
        self.0.observers
    }
}

/// Returns what the items of an issue cost at most.
pub(super) fn issue_items_cost(node: usize) -> usize {
    let most = usize::try_from(MAX_ISSUE_ITEMS).unwrap_or(usize::MAX);
    most.saturating_mul(node).saturating_add(1)
}
