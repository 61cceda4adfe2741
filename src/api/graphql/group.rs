//! Groups: their contacts and organizations, and how they keep them.

use async_graphql::{
    Context, Enum, ID, Object, OutputType, Result, SimpleObject,
    connection::{Connection, Edge, EmptyFields},
};

use super::{
    Refusal, Scope,
    contact::{Contact, ContactConnection, ContactSort, ContactState},
    count::{Count, Counted},
    history::{History, HistoryConnection, MAX_HISTORY, history_cost},
    id::{ContactGid, DeliveryGid, ItemTypeGid, OrganizationGid, group_gid},
    item::{Item, ItemConnection, ItemCount, ItemKind, ItemSort, ItemState, ItemType},
    loader::GroupAccess,
    organization::{Organization, OrganizationConnection, OrganizationSort, OrganizationState},
    page::{Page, cost, named},
    webhook::{self, DeliveryConnection, Webhook, WebhookDelivery, WebhookDeliveryState},
};
use crate::{
    crm::Where,
    domain::{self, GroupId, ItemId, Level, Listed, RelationSource, RootId, States},
    rules::{Access, Right},
    store::{
        item_list::{self, ItemFilter},
        item_type,
        search::{self, Holder, Listing},
        tree::{self, GroupNode},
    },
};

/// A group that the asker may see.
pub(super) struct Group {
    node: GroupNode,
    access: Access,
}

impl Group {
    /// Returns the group at a path, if the asker may see it.
    pub(super) async fn at(scope: Scope<'_>, path: &str) -> Result<Option<Self>, Refusal> {
        if scope.viewer.bearer().is_none() {
            return Ok(None);
        }
        let node = tree::group_at(&mut *scope.connection().await?, path).await?;
        Self::seen(scope, node).await
    }

    /// Returns the group with an id, if the asker may see it.
    pub(super) async fn find(scope: Scope<'_>, id: GroupId) -> Result<Option<Self>, Refusal> {
        let node = scope.rows.load_one(id).await?;
        Self::seen(scope, node).await
    }

    async fn seen(scope: Scope<'_>, node: Option<GroupNode>) -> Result<Option<Self>, Refusal> {
        let Some(node) = node else {
            return Ok(None);
        };
        let access = scope.rows.load_one(GroupAccess(node.root, node.id)).await?;
        let seen = access.filter(|access| {
            access.active && access.contact_group.max(access.project) >= Level::Guest
        });
        Ok(seen.map(|access| Self { node, access }))
    }
}

impl Group {
    /// Returns whether the asker may see its contacts and organizations.
    fn shows_contacts(&self) -> bool {
        self.access.allows(Right::ViewContacts)
    }

    /// Returns the group that holds its contacts.
    fn holder(&self) -> Holder {
        (self.node.root, self.node.contact_group)
    }

    /// Returns what is counted of a kind, in a search and some states.
    fn counted(&self, listed: Listed, search: Option<String>, states: States) -> Counted {
        let holder = self.holder();
        Counted {
            holder,
            listed,
            search,
            states,
        }
    }

    /// Returns a page of its items.
    async fn items_page(
        &self,
        scope: Scope<'_>,
        filter: ItemFilter,
        sort: Option<ItemSort>,
        page: &Page,
    ) -> Result<ItemConnection, Refusal> {
        let mut connection = scope.single().await?;
        let holder = self.holder();
        let slice = page.slice(true)?;
        let after = match slice.below {
            None => None,
            Some(id) => {
                let after = item_list::after(&mut connection, holder, ItemId(id)).await?;
                Some(after.ok_or_else(Refusal::invalid_cursor)?)
            }
        };
        let sort = sort.map_or(item_list::ItemSort::Newest, item_list::ItemSort::from);
        let part = (sort, after.as_ref(), slice.limit);
        let mut ids = item_list::page(&mut connection, holder, &filter, part).await?;
        drop(connection);
        let more = ids.len() > page.size;
        ids.truncate(page.size);
        let items = Item::all(scope, &ids).await?;
        let count = ItemCount(Some((holder, filter)));
        Ok(Item::connection(items, (page.after.is_some(), more), count))
    }

    /// Returns its tenant.
    pub(super) fn root(&self) -> RootId {
        self.node.root
    }

    /// Returns its id.
    pub(super) fn id(&self) -> GroupId {
        self.node.id
    }
}

/// Numbers of contacts by state.
#[derive(Debug, Default, SimpleObject)]
#[graphql(name = "ContactStateCounts")]
pub(super) struct ContactStateCounts {
    /// In any state.
    all: i64,
    /// Those that may be added to issues.
    active: i64,
    /// The others.
    inactive: i64,
}

/// Numbers of organizations by state.
#[derive(Debug, Default, SimpleObject)]
#[graphql(name = "OrganizationStateCounts")]
pub(super) struct OrganizationStateCounts {
    /// In any state.
    all: i64,
    /// Those in use.
    active: i64,
    /// The others.
    inactive: i64,
}

/// A group.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of the fields are GitLab's"
)]
#[Object]
impl Group {
    /// The contacts that the group uses, wherever they are held; none for whoever may not see them.
    #[graphql(complexity = "cost(first.or(named(ids.as_deref())), last, child_complexity)")]
    async fn contacts(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Words that must all be found in names, e-mail address, phone number, organization or description."
        )]
        search: Option<String>,
        #[graphql(desc = "Only those in this state.")] state: Option<ContactState>,
        #[graphql(desc = "Only these.")] ids: Option<Vec<ContactGid>>,
        #[graphql(desc = "The order; by last name if nothing is said.")] sort: Option<ContactSort>,
        first: Option<i32>,
        last: Option<i32>,
        after: Option<String>,
        before: Option<String>,
    ) -> Result<ContactConnection> {
        let page = Page::new((first, last, after, before))?;
        let ids = ids
            .unwrap_or_default()
            .iter()
            .map(ContactGid::read)
            .collect::<Result<Vec<_>, Refusal>>()?;
        if !self.shows_contacts() {
            return Ok(page.connection([], Count::Nothing));
        }
        let counted = self.counted(
            Listed::Contacts,
            search,
            state.map_or(States::All, States::from),
        );
        let (sort, direction) = sort.unwrap_or(ContactSort::LastNameAsc).parts();
        let query = counted.query(ids, (sort, direction), page.of_list()?);
        let mut connection = Scope::of(context)?.single().await?;
        let listing = search::contacts(&mut connection, counted.holder, &query)
            .await
            .map_err(Refusal::from)?;
        let count = counted.count(query.ids);
        Ok(listed(listing, count, |row| {
            Contact::row(self.node.root, row)
        }))
    }

    /// The organizations that the group uses, wherever they are held; none for whoever may not see them.
    #[graphql(complexity = "cost(first.or(named(ids.as_deref())), last, child_complexity)")]
    async fn organizations(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Words that must all be found in name or description.")] search: Option<
            String,
        >,
        #[graphql(desc = "Only those in this state.")] state: Option<OrganizationState>,
        #[graphql(desc = "Only these.")] ids: Option<Vec<OrganizationGid>>,
        #[graphql(desc = "The order; by name if nothing is said.")] sort: Option<OrganizationSort>,
        first: Option<i32>,
        last: Option<i32>,
        after: Option<String>,
        before: Option<String>,
    ) -> Result<OrganizationConnection> {
        let page = Page::new((first, last, after, before))?;
        let ids = ids
            .unwrap_or_default()
            .iter()
            .map(OrganizationGid::read)
            .collect::<Result<Vec<_>, Refusal>>()?;
        if !self.shows_contacts() {
            return Ok(page.connection([], Count::Nothing));
        }
        let counted = self.counted(
            Listed::Organizations,
            search,
            state.map_or(States::All, States::from),
        );
        let (sort, direction) = sort.unwrap_or(OrganizationSort::NameAsc).parts();
        let query = counted.query(ids, (sort, direction), page.of_list()?);
        let mut connection = Scope::of(context)?.single().await?;
        let listing = search::organizations(&mut connection, counted.holder, &query)
            .await
            .map_err(Refusal::from)?;
        let count = counted.count(query.ids);
        Ok(listed(listing, count, |row| {
            Organization::row(self.node.root, row)
        }))
    }

    /// How many contacts there are by state; with a search, of those that match.
    async fn contact_state_counts(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Words that must all be found.")] search: Option<String>,
        #[graphql(desc = "Only those in this state are counted.")] state: Option<ContactState>,
    ) -> Result<ContactStateCounts> {
        if !self.shows_contacts() {
            return Ok(ContactStateCounts::default());
        }
        let counted = self.counted(
            Listed::Contacts,
            search,
            state.map_or(States::All, States::from),
        );
        let [all, active, inactive] = counted.by_state(Scope::of(context)?).await?;
        Ok(ContactStateCounts {
            all,
            active,
            inactive,
        })
    }

    /// How many organizations there are by state; with a search, of those that match.
    async fn organization_state_counts(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Words that must all be found.")] search: Option<String>,
        #[graphql(desc = "Only those in this state are counted.")] state: Option<OrganizationState>,
    ) -> Result<OrganizationStateCounts> {
        if !self.shows_contacts() {
            return Ok(OrganizationStateCounts::default());
        }
        let counted = self.counted(
            Listed::Organizations,
            search,
            state.map_or(States::All, States::from),
        );
        let [all, active, inactive] = counted.by_state(Scope::of(context)?).await?;
        Ok(OrganizationStateCounts {
            all,
            active,
            inactive,
        })
    }

    /// The items that the group uses, wherever they are held: leads, deals, invoices and custom ones, or of the kinds that are named; none
    /// for whoever may not see them.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn items(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only these kinds.")] kinds: Option<Vec<ItemKind>>,
        #[graphql(desc = "Only custom items of this type.")] type_id: Option<ItemTypeGid>,
        #[graphql(desc = "Only those in this state.")] state: Option<ItemState>,
        #[graphql(desc = "Words that must all be found in title or description.")] search: Option<
            String,
        >,
        #[graphql(desc = "Only those that this person observes: username or e-mail address.")]
        observed_by: Option<String>,
        #[graphql(desc = "Only those that this person is responsible for.")] responsible: Option<
            String,
        >,
        #[graphql(desc = "The order; the newest first if nothing is said.")] sort: Option<ItemSort>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ItemConnection> {
        let scope = Scope::of(context)?;
        let page = Page::new((first, None, after, None))?;
        if !self.shows_contacts() {
            return Ok(Item::connection(
                Vec::new(),
                (false, false),
                ItemCount(None),
            ));
        }
        let person = async |name: Option<String>| match name {
            None => Ok(None),
            Some(name) => {
                let place = Where::Group(self.node.id);
                let found = scope.api.crm.people_named(place, &[name]).await;
                found
                    .map(|people| people.into_iter().next())
                    .map_err(Refusal::from)
            }
        };
        let kinds = kinds.map(|kinds| {
            let words = kinds.into_iter().map(domain::ItemKind::from);
            words.map(|kind| kind.word().to_owned()).collect()
        });
        let filter = ItemFilter {
            kinds,
            item_type: type_id.map(|id| id.read()).transpose()?,
            active: state.and_then(ItemState::active),
            search,
            observed_by: person(observed_by).await?,
            responsible: person(responsible).await?,
        };
        Ok(self.items_page(scope, filter, sort, &page).await?)
    }

    /// The types of items of the root group's own, for whoever may see items.
    async fn item_types(&self, context: &Context<'_>) -> Result<Vec<ItemType>> {
        if !self.shows_contacts() {
            return Ok(Vec::new());
        }
        let mut connection = Scope::of(context)?.single().await?;
        let types = item_type::of_root(&mut connection, self.node.root).await;
        Ok(types
            .map_err(Refusal::from)?
            .into_iter()
            .map(ItemType)
            .collect())
    }

    /// The webhooks of the group and of those below it; none for whoever may not configure it.
    #[graphql(complexity = "100 * child_complexity + 1")]
    async fn webhooks(&self, context: &Context<'_>) -> Result<Vec<Webhook>> {
        let (scope, place) = (Scope::of(context)?, (self.node.root, self.node.id));
        if !webhook::configures(scope, place).await? {
            return Ok(Vec::new());
        }
        let all = webhook::all(scope, place).await?;
        Ok(all.into_iter().map(Webhook).collect())
    }

    /// What arrived through the webhooks of the group and of those below it, newest first; nothing for whoever may not configure it.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn webhook_deliveries(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only what came through the webhook of this name.")] webhook: Option<
            String,
        >,
        #[graphql(desc = "Only what came to this.")] state: Option<WebhookDeliveryState>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<DeliveryConnection> {
        let page = Page::new((first, None, after, None))?;
        let (scope, place) = (Scope::of(context)?, (self.node.root, self.node.id));
        if !webhook::configures(scope, place).await? {
            return Ok(page.connection([], EmptyFields));
        }
        Ok(webhook::deliveries(scope, place, (webhook, state), &page).await?)
    }

    /// One delivery with all that is known of it; none for whoever may not configure the group.
    #[graphql(complexity = "100 * child_complexity + 1")]
    async fn webhook_delivery(
        &self,
        context: &Context<'_>,
        id: DeliveryGid,
    ) -> Result<Option<WebhookDelivery>> {
        let (scope, place) = (Scope::of(context)?, (self.node.root, self.node.id));
        if !webhook::configures(scope, place).await? {
            return Ok(None);
        }
        Ok(webhook::delivery(scope, place, id.read()?).await?)
    }

    /// What was done to the contacts and organizations that the group uses, newest first; nothing for whoever may not see them.
    #[graphql(complexity = "history_cost(first, child_complexity)")]
    async fn crm_history(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<HistoryConnection> {
        let page = Page::new((first, None, after, None))?.at_most(MAX_HISTORY);
        if !self.shows_contacts() {
            return Ok(page.connection([], EmptyFields));
        }
        Ok(History::of_group(Scope::of(context)?, (self.holder(), self.node.id), &page).await?)
    }

    /// Global id.
    #[graphql(name = "id")]
    async fn global_id(&self) -> ID {
        group_gid(self.node.id)
    }

    /// Name.
    async fn name(&self) -> &str {
        &self.node.name
    }

    /// Full path.
    async fn full_path(&self) -> ID {
        ID(self.node.path.clone())
    }

    /// Whether the CRM is on for this group.
    async fn crm_enabled(&self) -> bool {
        self.node.crm_enabled
    }

    /// The group that this one and those below it keep their contacts in, where that is not where the parent's are.
    async fn crm_source_group(&self, context: &Context<'_>) -> Result<Option<Group>> {
        match self.node.contact_source {
            None => Ok(None),
            Some(source) => Ok(Self::find(Scope::of(context)?, source).await?),
        }
    }

    /// By what issues are related by themselves to the contacts whose addresses they show; null where the parent's choice counts.
    async fn crm_automatic_relations(&self) -> Option<Vec<CrmAutomaticRelation>> {
        let words = self.node.automatic_relations.as_ref()?;
        let sources = words
            .iter()
            .filter_map(|word| RelationSource::from_word(word));
        Some(sources.map(CrmAutomaticRelation::from).collect())
    }
}

/// Returns the connection for a page of a list.
fn listed<R, N: OutputType>(
    listing: Listing<R>,
    count: Count,
    node: impl Fn(R) -> N,
) -> Connection<String, N, Count, EmptyFields> {
    let mut connection =
        Connection::with_additional_fields(listing.has_previous, listing.has_next, count);
    let edges = listing
        .rows
        .into_iter()
        .map(|(row, cursor)| Edge::new(cursor.to_string(), node(row)));
    connection.edges.extend(edges);
    connection
}

/// By what an issue is related to contacts without anybody's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RelationSource")]
pub(super) enum CrmAutomaticRelation {
    /// Whoever opened the issue, also by mail (Service Desk).
    Author,
    /// Others who take part in it, where the tracker shows their addresses.
    Participants,
    /// Addresses in the first lines of the description.
    Description,
}
