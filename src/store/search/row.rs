//! Contacts and organizations as lists show them, with all the fields that GitLab's types have.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::domain::{GroupId, ItemId};

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ContactRow {
    /// Its id.
    pub id: ItemId,
    /// The group that holds it.
    pub group_id: GroupId,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address as typed.
    pub email: Option<String>,
    /// Phone number as typed.
    pub phone: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Its organization.
    pub organization_id: Option<ItemId>,
    /// Name of its organization.
    pub organization_title: Option<String>,
    /// Whether it is active.
    pub active: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OrganizationRow {
    /// Its id.
    pub id: ItemId,
    /// The group that holds it.
    pub group_id: GroupId,
    /// Name.
    pub title: String,
    /// Default rate, in no named currency.
    pub default_rate: Option<Decimal>,
    /// Description.
    pub description: Option<String>,
    /// Whether it is active.
    pub active: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Columns of a [`ContactRow`].
pub(super) const CONTACT: &str = "id, group_id, first_name, last_name, email, phone, description, organization_id, organization_title, \
     state = 'active' AS active, created_at, updated_at";
/// Columns of an [`OrganizationRow`].
pub(super) const ORGANIZATION: &str = "id, group_id, title, default_rate, description, state = 'active' AS active, created_at, updated_at";
