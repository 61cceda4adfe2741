//! Organizations.

use async_graphql::{
    Context, Enum, ID, Object, Result,
    connection::{Connection, EmptyFields},
};
use chrono::{DateTime, Utc};
use rust_decimal::prelude::ToPrimitive;

use super::{
    Refusal, Scope,
    count::Count,
    history::{History, HistoryConnection, MAX_HISTORY, history_cost},
    id::organization_gid,
    page::Page,
    time::Time,
};
use crate::{
    domain::{self, Direction, ItemFields, ItemId, OrganizationFields, RootId, States},
    store::{
        search::{Holder, OrganizationRow},
        shown::ShownItem,
    },
};

/// A page of organizations.
pub(super) type OrganizationConnection = Connection<String, Organization, Count, EmptyFields>;

/// An organization that the asker may see.
#[derive(Debug, Clone)]
pub(super) struct Organization {
    holder: Holder,
    id: ItemId,
    fields: OrganizationFields,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Organization {
    /// Returns an item as an organization, if it is one.
    pub(super) fn of(item: ShownItem) -> Option<Self> {
        match item.fields {
            ItemFields::Contact(_) | ItemFields::Record(_) => None,
            ItemFields::Organization(fields) => Some(Self {
                holder: (item.root, item.group),
                id: item.id,
                fields,
                created_at: item.created_at,
                updated_at: item.updated_at,
            }),
        }
    }

    /// Returns a row of a list as an organization.
    pub(super) fn row(root: RootId, row: OrganizationRow) -> Self {
        Self {
            holder: (root, row.group_id),
            id: row.id,
            fields: OrganizationFields {
                name: row.title,
                default_rate: row.default_rate,
                description: row.description,
                active: row.active,
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// Returns the organization that the asker just changed, and so may see.
    pub(super) async fn changed(scope: Scope<'_>, id: ItemId) -> Result<Option<Self>, Refusal> {
        Ok(scope.rows.load_one(id).await?.and_then(Self::of))
    }
}

/// A customer company.
#[Object(name = "CustomerRelationsOrganization")]
impl Organization {
    /// Global id.
    async fn id(&self) -> ID {
        organization_gid(self.id)
    }

    /// Name.
    async fn name(&self) -> &str {
        &self.fields.name
    }

    /// Standard rate for work.
    async fn default_rate(&self) -> Option<f64> {
        self.fields.default_rate.and_then(|rate| rate.to_f64())
    }

    /// Description.
    async fn description(&self) -> Option<&str> {
        self.fields.description.as_deref()
    }

    /// False once deactivated.
    async fn active(&self) -> bool {
        self.fields.active
    }

    /// When it was created.
    async fn created_at(&self) -> Time {
        Time(self.created_at)
    }

    /// When a field last changed.
    async fn updated_at(&self) -> Time {
        Time(self.updated_at)
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
        Ok(History::of_item(Scope::of(context)?, (self.holder, self.id), &page).await?)
    }
}

/// Which organizations are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(
    name = "CustomerRelationsOrganizationState",
    rename_items = "lowercase"
)]
pub(super) enum OrganizationState {
    /// All.
    All,
    /// Those in use.
    Active,
    /// The others.
    Inactive,
}

/// In which order organizations are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum OrganizationSort {
    /// By name.
    NameAsc,
    /// By name, the last one first.
    NameDesc,
    /// By description.
    DescriptionAsc,
    /// By description, the last one first.
    DescriptionDesc,
    /// By default rate.
    DefaultRateAsc,
    /// By default rate, the highest first.
    DefaultRateDesc,
    /// By the moment of creation.
    CreatedAsc,
    /// By the moment of creation, the newest first.
    CreatedDesc,
    /// By the moment of the last change.
    UpdatedAsc,
    /// By the moment of the last change, the newest first.
    UpdatedDesc,
}

impl OrganizationSort {
    /// Returns what is sorted by, and which way.
    pub(super) fn parts(self) -> (domain::OrganizationSort, Direction) {
        match self {
            Self::NameAsc => (domain::OrganizationSort::Name, Direction::Ascending),
            Self::NameDesc => (domain::OrganizationSort::Name, Direction::Descending),
            Self::DescriptionAsc => (domain::OrganizationSort::Description, Direction::Ascending),
            Self::DescriptionDesc => (domain::OrganizationSort::Description, Direction::Descending),
            Self::DefaultRateAsc => (domain::OrganizationSort::DefaultRate, Direction::Ascending),
            Self::DefaultRateDesc => (domain::OrganizationSort::DefaultRate, Direction::Descending),
            Self::CreatedAsc => (domain::OrganizationSort::Created, Direction::Ascending),
            Self::CreatedDesc => (domain::OrganizationSort::Created, Direction::Descending),
            Self::UpdatedAsc => (domain::OrganizationSort::Updated, Direction::Ascending),
            Self::UpdatedDesc => (domain::OrganizationSort::Updated, Direction::Descending),
        }
    }
}

impl From<OrganizationState> for States {
    fn from(state: OrganizationState) -> Self {
        match state {
            OrganizationState::All => Self::All,
            OrganizationState::Active => Self::Active,
            OrganizationState::Inactive => Self::Inactive,
        }
    }
}
