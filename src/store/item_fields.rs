//! Items with all their fields: finding, locking, writing.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{StoreError, item_row::Row};
use crate::{
    domain::{GroupId, ItemFields, ItemForm, ItemId, ItemKind, ItemTypeId, PersonId, RootId},
    rules::{Beside, Responsible},
};

/// An item as it is stored.
#[derive(Debug, Clone)]
pub struct StoredItem {
    /// Its id.
    pub id: ItemId,
    /// The group that holds it.
    pub group: GroupId,
    /// Its fields.
    pub fields: ItemFields,
    /// Who is responsible for it.
    pub responsible: Option<Responsible>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When a field last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<Row> for StoredItem {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            group: row.group,
            responsible: row.responsible.map(|person| Responsible {
                person,
                in_chat: row.responsible_in_chat,
            }),
            created_at: row.created_at,
            updated_at: row.updated_at,
            fields: row.fields(),
        }
    }
}

/// Where an item is: the tenant, the group that holds it, who is responsible for it, and whether somebody observes it.
pub type Whereabouts = (RootId, GroupId, Option<PersonId>, bool);

/// Returns where an item is that is named from outside, as far as it concerns a person.
pub async fn place(
    connection: &mut PgConnection,
    item: ItemId,
    person: PersonId,
) -> Result<Option<Whereabouts>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT root_id AS "root: RootId", group_id AS "group: GroupId", responsible_id AS "responsible: PersonId",
                  EXISTS (SELECT FROM observers WHERE observers.root_id = items.root_id AND item_id = items.id AND person_id = $2) AS "observes!"
           FROM items WHERE id = $1"#,
        item.0,
        person.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.root, row.group, row.responsible, row.observes)))
}

/// Where an item is, and how it concerns somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concern {
    /// The item.
    pub item: ItemId,
    /// Tenant.
    pub root: RootId,
    /// The group that holds it.
    pub group: GroupId,
    /// Whether he is responsible for it.
    pub is_responsible: bool,
    /// Whether he observes it.
    pub is_observer: bool,
}

/// Returns where items are, as far as they concern a person.
pub async fn places(
    connection: &mut PgConnection,
    items: &[ItemId],
    person: PersonId,
) -> Result<Vec<Concern>, StoreError> {
    let ids: Vec<i64> = items.iter().map(|item| item.0).collect();
    let places = sqlx::query_as!(
        Concern,
        r#"SELECT id AS "item: ItemId", root_id AS "root: RootId", group_id AS "group: GroupId",
                  coalesce(responsible_id = $2, false) AS "is_responsible!",
                  EXISTS (SELECT FROM observers WHERE observers.root_id = items.root_id AND item_id = items.id AND person_id = $2) AS "is_observer!"
           FROM items WHERE id = ANY($1)"#,
        &ids,
        person.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(places)
}

/// Returns the deal that a lead was converted to.
pub async fn converted(
    connection: &mut PgConnection,
    root: RootId,
    lead: ItemId,
) -> Result<Option<ItemId>, StoreError> {
    let deal = sqlx::query_scalar!(
        r#"SELECT id AS "id: ItemId" FROM items WHERE converted_from_id = $2 AND root_id = $1 LIMIT 1"#,
        root.0,
        lead.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(deal)
}

/// Notes which lead a deal was made from.
pub async fn set_converted(
    connection: &mut PgConnection,
    root: RootId,
    (lead, deal): (ItemId, ItemId),
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE items SET converted_from_id = $2 WHERE root_id = $1 AND id = $3",
        root.0,
        lead.0,
        deal.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks items in the order of their ids and returns those that exist, as they are once nobody else changes them.
///
/// The lock is as strong as a deletion's, so that a relation that is being made is waited for, and one that is made later fails.
pub async fn lock(
    connection: &mut PgConnection,
    root: RootId,
    ids: &[i64],
) -> Result<Vec<StoredItem>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT NULL::bigint AS owner, root_id AS "root: RootId", id AS "id: ItemId", group_id AS "group: GroupId", kind, type_id AS "item_type: ItemTypeId",
                  state = 'active' AS "active!", title, first_name, last_name, email, phone, description,
                  organization_id AS "organization: ItemId", default_rate, stage, amount, currency,
                  responsible_id AS "responsible: PersonId", responsible_in_chat, created_at, updated_at
           FROM items WHERE root_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE"#,
        root.0,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(StoredItem::from).collect())
}

/// Locks the contacts of organizations in the order of their ids and returns them, as (contact, organization).
pub async fn contacts_of(
    connection: &mut PgConnection,
    root: RootId,
    organizations: &[i64],
) -> Result<Vec<(ItemId, ItemId)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: ItemId", organization_id AS "organization!: ItemId"
           FROM items WHERE root_id = $1 AND organization_id = ANY($2) ORDER BY id FOR NO KEY UPDATE"#,
        root.0,
        organizations,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.organization))
        .collect())
}

/// Gives contacts of some organizations to another one, or to none.
pub async fn hand_over(
    connection: &mut PgConnection,
    root: RootId,
    (from, to): (&[i64], Option<ItemId>),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE items SET organization_id = $3, updated_at = $4 WHERE root_id = $1 AND organization_id = ANY($2)",
        root.0,
        from,
        to.map(|id| id.0),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Looks at what is beside an item that is to be as a form says; `item` is the one that is edited, if there is one.
pub async fn beside(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    item: Option<ItemId>,
    form: &ItemForm,
) -> Result<Beside, StoreError> {
    let beside = sqlx::query_as!(
        Beside,
        r#"SELECT ($1::bigint = $2 OR EXISTS (SELECT FROM groups WHERE root_id = $1 AND contact_source_id = $2)) AS "group_holds!",
                  CASE $3::text WHEN 'contact' THEN
                       EXISTS (SELECT FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'contact' AND email IS NOT NULL
                                 AND lower(email) = lower($5) AND id IS DISTINCT FROM $4)
                  ELSE EXISTS (SELECT FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'organization'
                                 AND lower(title) = lower($5) AND id IS DISTINCT FROM $4)
                  END AS "taken!",
                  ($6::bigint IS NULL
                   OR EXISTS (SELECT FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'organization' AND id = $6))
                  AS "organization_known!",
                  ($7::bigint IS NULL OR EXISTS (SELECT FROM item_types WHERE root_id = $1 AND id = $7)) AS "type_known!""#,
        root.0,
        group.0,
        form.kind().word(),
        item.map(|id| id.0),
        form.unique(),
        form.organization().map(|id| id.0),
        form.item_type().map(|id| id.0),
    )
    .fetch_one(connection)
    .await?;
    Ok(beside)
}

/// Returns which of these unique values items of the group have, other than the items of `but`.
pub async fn taken(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    values: &[(ItemKind, &str)],
    but: &[i64],
) -> Result<Vec<(ItemKind, String)>, StoreError> {
    let of = |kind| {
        let values = values.iter().filter(move |(of, _)| *of == kind);
        values.map(|(_, value)| *value).collect::<Vec<&str>>()
    };
    let rows = sqlx::query!(
        r#"SELECT 'contact' AS "kind!", value AS "value!" FROM unnest($3::text[]) AS value
           JOIN items ON root_id = $1 AND group_id = $2 AND kind = 'contact' AND email IS NOT NULL AND lower(email) = lower(value) AND id <> ALL($5)
           UNION ALL
           SELECT 'organization', value FROM unnest($4::text[]) AS value
           JOIN items ON root_id = $1 AND group_id = $2 AND kind = 'organization' AND lower(title) = lower(value) AND id <> ALL($5)"#,
        root.0,
        group.0,
        &of(ItemKind::Contact) as &[&str],
        &of(ItemKind::Organization) as &[&str],
        but,
    )
    .fetch_all(connection)
    .await?;
    let kind = |word: &str| {
        if word == ItemKind::Contact.word() {
            ItemKind::Contact
        } else {
            ItemKind::Organization
        }
    };
    Ok(rows
        .into_iter()
        .map(|row| (kind(&row.kind), row.value))
        .collect())
}

/// The columns of several items, side by side.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<i64>,
    kinds: Vec<&'static str>,
    states: Vec<&'static str>,
    titles: Vec<String>,
    first_names: Vec<Option<&'a str>>,
    last_names: Vec<Option<&'a str>>,
    emails: Vec<Option<&'a str>>,
    phones: Vec<Option<&'a str>>,
    descriptions: Vec<Option<&'a str>>,
    organizations: Vec<Option<i64>>,
    rates: Vec<Option<Decimal>>,
    types: Vec<Option<i64>>,
    stages: Vec<Option<&'a str>>,
    amounts: Vec<Option<Decimal>>,
    currencies: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(items: impl IntoIterator<Item = (ItemId, &'a ItemFields)>) -> Self {
        let mut columns = Self::default();
        for (id, fields) in items {
            columns.ids.push(id.0);
            columns.kinds.push(fields.kind().word());
            let state = if fields.active() {
                "active"
            } else {
                "inactive"
            };
            columns.states.push(state);
            columns.titles.push(fields.title());
            columns
                .organizations
                .push(fields.organization().map(|id| id.0));
            let (contact, organization, record) = match fields {
                ItemFields::Contact(contact) => (Some(contact), None, None),
                ItemFields::Organization(organization) => (None, Some(organization), None),
                ItemFields::Record(record) => (None, None, Some(record)),
            };
            columns
                .first_names
                .push(contact.map(|contact| contact.first_name.as_str()));
            columns
                .last_names
                .push(contact.map(|contact| contact.last_name.as_str()));
            columns
                .emails
                .push(contact.and_then(|contact| contact.email.as_deref()));
            columns
                .phones
                .push(contact.and_then(|contact| contact.phone.as_deref()));
            columns.descriptions.push(match fields {
                ItemFields::Contact(contact) => contact.description.as_deref(),
                ItemFields::Organization(organization) => organization.description.as_deref(),
                ItemFields::Record(record) => record.description.as_deref(),
            });
            columns
                .rates
                .push(organization.and_then(|organization| organization.default_rate));
            let type_id = record.and_then(|record| record.item_type);
            columns.types.push(type_id.map(|id| id.0));
            columns
                .stages
                .push(record.and_then(|record| record.stage.as_deref()));
            columns
                .amounts
                .push(record.and_then(|record| record.amount));
            columns
                .currencies
                .push(record.and_then(|record| record.currency.as_deref()));
        }
        columns
    }
}

/// Stores new items under their ids, each with the moment it was created.
pub async fn insert(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    items: &[(ItemId, ItemFields, DateTime<Utc>)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let columns = Columns::of(items.iter().map(|(id, fields, _)| (*id, fields)));
    let created: Vec<DateTime<Utc>> = items.iter().map(|(_, _, created)| *created).collect();
    sqlx::query!(
        "INSERT INTO items (root_id, group_id, updated_at, id, kind, state, title, first_name, last_name, email, phone, description,
                            organization_id, default_rate, created_at, type_id, stage, amount, currency)
         SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                                          $12::text[], $13::bigint[], $14::numeric[], $15::timestamptz[], $16::bigint[], $17::text[],
                                          $18::numeric[], $19::text[])",
        root.0,
        group.0,
        now,
        &columns.ids,
        &columns.kinds as &[&str],
        &columns.states as &[&str],
        &columns.titles,
        &columns.first_names as &[Option<&str>],
        &columns.last_names as &[Option<&str>],
        &columns.emails as &[Option<&str>],
        &columns.phones as &[Option<&str>],
        &columns.descriptions as &[Option<&str>],
        &columns.organizations as &[Option<i64>],
        &columns.rates as &[Option<Decimal>],
        &created,
        &columns.types as &[Option<i64>],
        &columns.stages as &[Option<&str>],
        &columns.amounts as &[Option<Decimal>],
        &columns.currencies as &[Option<&str>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the fields of items that exist; their kinds stay.
pub async fn write(
    connection: &mut PgConnection,
    root: RootId,
    items: &[(ItemId, ItemFields)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(items.iter().map(|(id, fields)| (*id, fields)));
    sqlx::query!(
        "UPDATE items SET state = new.state, title = new.title, first_name = new.first_name, last_name = new.last_name, email = new.email,
                phone = new.phone, description = new.description, organization_id = new.organization_id, default_rate = new.default_rate,
                stage = new.stage, amount = new.amount, currency = new.currency, updated_at = $2
         FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::numeric[],
                     $13::text[], $14::numeric[], $15::text[])
              AS new (id, state, title, first_name, last_name, email, phone, description, organization_id, default_rate, stage, amount, currency)
         WHERE items.root_id = $1 AND items.id = new.id",
        root.0,
        now,
        &columns.ids,
        &columns.states as &[&str],
        &columns.titles,
        &columns.first_names as &[Option<&str>],
        &columns.last_names as &[Option<&str>],
        &columns.emails as &[Option<&str>],
        &columns.phones as &[Option<&str>],
        &columns.descriptions as &[Option<&str>],
        &columns.organizations as &[Option<i64>],
        &columns.rates as &[Option<Decimal>],
        &columns.stages as &[Option<&str>],
        &columns.amounts as &[Option<Decimal>],
        &columns.currencies as &[Option<&str>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes items that nothing points at any more.
pub async fn delete(
    connection: &mut PgConnection,
    root: RootId,
    ids: &[i64],
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM items WHERE root_id = $1 AND id = ANY($2)",
        root.0,
        ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}
