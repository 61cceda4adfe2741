//! Contacts.

use async_graphql::{
    Context, Enum, ID, Object, Result,
    connection::{Connection, EmptyFields},
};
use chrono::{DateTime, Utc};

use super::{
    Refusal, Scope,
    count::Count,
    history::{History, HistoryConnection, MAX_HISTORY, history_cost},
    id::contact_gid,
    issue::{Issue, IssueConnection},
    organization::Organization,
    page::{Page, cost},
    time::Time,
};
use crate::{
    domain::{self, ContactFields, Direction, ItemFields, ItemId, RootId, States},
    store::{
        search::{ContactRow, Holder},
        shown::ShownItem,
    },
};

/// A page of contacts.
pub(super) type ContactConnection = Connection<String, Contact, Count, EmptyFields>;

/// A contact that the asker may see.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    holder: Holder,
    id: ItemId,
    fields: ContactFields,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Contact {
    /// Returns an item as a contact, if it is one.
    pub(super) fn of(item: ShownItem) -> Option<Self> {
        match item.fields {
            ItemFields::Organization(_) | ItemFields::Record(_) => None,
            ItemFields::Contact(fields) => Some(Self {
                holder: (item.root, item.group),
                id: item.id,
                fields,
                created_at: item.created_at,
                updated_at: item.updated_at,
            }),
        }
    }

    /// Returns a row of a list as a contact.
    pub(super) fn row(root: RootId, row: ContactRow) -> Self {
        Self {
            holder: (root, row.group_id),
            id: row.id,
            fields: ContactFields {
                first_name: row.first_name,
                last_name: row.last_name,
                email: row.email,
                phone: row.phone,
                description: row.description,
                organization: row.organization_id,
                active: row.active,
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// Returns the contact that the asker just changed, and so may see.
    pub(super) async fn changed(scope: Scope<'_>, id: ItemId) -> Result<Option<Self>, Refusal> {
        Ok(scope.rows.load_one(id).await?.and_then(Self::of))
    }
}

/// A customer person.
#[Object(name = "CustomerRelationsContact")]
impl Contact {
    /// Global id.
    async fn id(&self) -> ID {
        contact_gid(self.id)
    }

    /// First name.
    async fn first_name(&self) -> &str {
        &self.fields.first_name
    }

    /// Last name.
    async fn last_name(&self) -> &str {
        &self.fields.last_name
    }

    /// E-mail address.
    async fn email(&self) -> Option<&str> {
        self.fields.email.as_deref()
    }

    /// Phone number.
    async fn phone(&self) -> Option<&str> {
        self.fields.phone.as_deref()
    }

    /// Description.
    async fn description(&self) -> Option<&str> {
        self.fields.description.as_deref()
    }

    /// Whether it may be added to issues.
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

    /// The organization that it belongs to.
    async fn organization(&self, context: &Context<'_>) -> Result<Option<Organization>> {
        let Some(id) = self.fields.organization else {
            return Ok(None);
        };
        let item = Scope::of(context)?.rows.load_one(id).await?;
        Ok(item.and_then(Organization::of))
    }

    /// The issues that it is related to, newest first, as far as the asker may see their contacts.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn issues(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        last: Option<i32>,
        after: Option<String>,
        before: Option<String>,
    ) -> Result<IssueConnection> {
        let page = Page::new((first, last, after, before))?;
        Ok(Issue::of_item(Scope::of(context)?, (self.holder.0, self.id), &page).await?)
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

/// Which contacts are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "CustomerRelationsContactState", rename_items = "lowercase")]
pub(super) enum ContactState {
    /// All.
    All,
    /// Those that may be added to issues.
    Active,
    /// The others.
    Inactive,
}

/// In which order contacts are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum ContactSort {
    /// By first name.
    FirstNameAsc,
    /// By first name, the last one first.
    FirstNameDesc,
    /// By last name.
    LastNameAsc,
    /// By last name, the last one first.
    LastNameDesc,
    /// By e-mail address.
    EmailAsc,
    /// By e-mail address, the last one first.
    EmailDesc,
    /// By phone number.
    PhoneAsc,
    /// By phone number, the last one first.
    PhoneDesc,
    /// By description.
    DescriptionAsc,
    /// By description, the last one first.
    DescriptionDesc,
    /// By the name of the organization.
    OrganizationAsc,
    /// By the name of the organization, the last one first.
    OrganizationDesc,
    /// By the moment of creation.
    CreatedAsc,
    /// By the moment of creation, the newest first.
    CreatedDesc,
    /// By the moment of the last change.
    UpdatedAsc,
    /// By the moment of the last change, the newest first.
    UpdatedDesc,
}

impl ContactSort {
    /// Returns what is sorted by, and which way.
    pub(super) fn parts(self) -> (domain::ContactSort, Direction) {
        match self {
            Self::FirstNameAsc => (domain::ContactSort::FirstName, Direction::Ascending),
            Self::FirstNameDesc => (domain::ContactSort::FirstName, Direction::Descending),
            Self::LastNameAsc => (domain::ContactSort::LastName, Direction::Ascending),
            Self::LastNameDesc => (domain::ContactSort::LastName, Direction::Descending),
            Self::EmailAsc => (domain::ContactSort::Email, Direction::Ascending),
            Self::EmailDesc => (domain::ContactSort::Email, Direction::Descending),
            Self::PhoneAsc => (domain::ContactSort::Phone, Direction::Ascending),
            Self::PhoneDesc => (domain::ContactSort::Phone, Direction::Descending),
            Self::DescriptionAsc => (domain::ContactSort::Description, Direction::Ascending),
            Self::DescriptionDesc => (domain::ContactSort::Description, Direction::Descending),
            Self::OrganizationAsc => (domain::ContactSort::Organization, Direction::Ascending),
            Self::OrganizationDesc => (domain::ContactSort::Organization, Direction::Descending),
            Self::CreatedAsc => (domain::ContactSort::Created, Direction::Ascending),
            Self::CreatedDesc => (domain::ContactSort::Created, Direction::Descending),
            Self::UpdatedAsc => (domain::ContactSort::Updated, Direction::Ascending),
            Self::UpdatedDesc => (domain::ContactSort::Updated, Direction::Descending),
        }
    }
}

impl From<ContactState> for States {
    fn from(state: ContactState) -> Self {
        match state {
            ContactState::All => Self::All,
            ContactState::Active => Self::Active,
            ContactState::Inactive => Self::Inactive,
        }
    }
}
