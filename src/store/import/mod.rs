//! Contacts and organizations in bulk: what an import looks up and writes, a chunk of rows per statement.

mod issues;

pub use issues::{FoundIssue, relate};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, types::Json};

use super::StoreError;
use crate::domain::{
    ContactFields, GroupId, ItemFields, ItemId, ItemKind, OperationId, OrganizationFields,
    PersonId, RootId, Via,
};

/// Where an import goes, who makes it, and as what it is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Tenant.
    pub root: RootId,
    /// The group that holds the contacts.
    pub group: GroupId,
    /// The person in whose name it is made, if any.
    pub actor: Option<PersonId>,
    /// By which it is taken back as a whole.
    pub operation: OperationId,
    /// The moment.
    pub now: DateTime<Utc>,
}

/// An item that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: ItemId,
    /// Its fields.
    pub fields: ItemFields,
}

/// A value that no two items of a group share, as the database compares it, and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The value without regard to case.
    pub key: String,
    /// The item that has it.
    pub item: Option<Stored>,
}

/// An item that changes: what it was, and what it is to be.
#[derive(Debug)]
pub struct Edit {
    /// As it is stored.
    pub before: Stored,
    /// As it is to be.
    pub after: ItemFields,
}

/// Prepares a transaction for an import: it may take its time, and those of one tenant take turns.
pub async fn begin(connection: &mut PgConnection, root: RootId) -> Result<(), StoreError> {
    sqlx::query!(
        r#"SELECT set_config('statement_timeout', '0', true) AS "a", set_config('lock_timeout', '0', true) AS "b""#
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('import', $1)) IS NOT NULL AS "locked""#,
        root.0
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Returns who has each of the values: e-mail addresses of contacts, names of organizations. In the order of the values.
pub async fn holders(
    connection: &mut PgConnection,
    scene: Scene,
    kind: ItemKind,
    values: &[&str],
) -> Result<Vec<Holder>, StoreError> {
    match kind {
        ItemKind::Contact => contacts_with(connection, scene, values).await,
        ItemKind::Organization => organizations_with(connection, scene, values).await,
    }
}

async fn contacts_with(
    connection: &mut PgConnection,
    scene: Scene,
    emails: &[&str],
) -> Result<Vec<Holder>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT lower(typed.email) AS "key!", items.id AS "id?: ItemId", items.first_name, items.last_name, items.email, items.phone,
                  items.description, items.organization_id AS "organization: ItemId", items.state = 'active' AS active
           FROM unnest($3::text[]) WITH ORDINALITY AS typed (email, place)
           LEFT JOIN items ON items.root_id = $1 AND items.group_id = $2 AND items.kind = 'contact' AND lower(items.email) = lower(typed.email)
           ORDER BY typed.place"#,
        scene.root.0,
        scene.group.0,
        emails as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let fields = row
                .first_name
                .zip(row.last_name)
                .map(|(first_name, last_name)| ContactFields {
                    first_name,
                    last_name,
                    email: row.email,
                    phone: row.phone,
                    description: row.description,
                    organization: row.organization,
                    active: row.active.unwrap_or_default(),
                });
            Holder {
                key: row.key,
                item: row.id.zip(fields).map(|(id, fields)| Stored {
                    id,
                    fields: ItemFields::Contact(fields),
                }),
            }
        })
        .collect())
}

async fn organizations_with(
    connection: &mut PgConnection,
    scene: Scene,
    names: &[&str],
) -> Result<Vec<Holder>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT lower(typed.name) AS "key!", items.id AS "id?: ItemId", items.title AS "name?", items.default_rate, items.description,
                  items.state = 'active' AS active
           FROM unnest($3::text[]) WITH ORDINALITY AS typed (name, place)
           LEFT JOIN items ON items.root_id = $1 AND items.group_id = $2 AND items.kind = 'organization' AND lower(items.title) = lower(typed.name)
           ORDER BY typed.place"#,
        scene.root.0,
        scene.group.0,
        names as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Holder {
            key: row.key,
            item: row.id.zip(row.name).map(|(id, name)| Stored {
                id,
                fields: ItemFields::Organization(OrganizationFields {
                    name,
                    default_rate: row.default_rate,
                    description: row.description,
                    active: row.active.unwrap_or_default(),
                }),
            }),
        })
        .collect())
}

/// Returns the contacts without an e-mail address that are called like one of these.
pub async fn namesakes(
    connection: &mut PgConnection,
    scene: Scene,
    titles: &[String],
) -> Result<Vec<Stored>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: ItemId", first_name AS "first_name!", last_name AS "last_name!", phone, description,
                  organization_id AS "organization: ItemId", state = 'active' AS "active!"
           FROM items
           WHERE root_id = $1 AND group_id = $2 AND kind = 'contact' AND email IS NULL
             AND lower(title) IN (SELECT lower(typed) FROM unnest($3::text[]) AS typed)
           ORDER BY id"#,
        scene.root.0,
        scene.group.0,
        titles,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stored {
            id: row.id,
            fields: ItemFields::Contact(ContactFields {
                first_name: row.first_name,
                last_name: row.last_name,
                email: None,
                phone: row.phone,
                description: row.description,
                organization: row.organization,
                active: row.active,
            }),
        })
        .collect())
}

/// The fields of many items, column by column.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<i64>,
    titles: Vec<String>,
    active: Vec<bool>,
    first_names: Vec<Option<&'a str>>,
    last_names: Vec<Option<&'a str>>,
    emails: Vec<Option<&'a str>>,
    phones: Vec<Option<&'a str>>,
    descriptions: Vec<Option<&'a str>>,
    organizations: Vec<Option<i64>>,
    rates: Vec<Option<Decimal>>,
}

impl<'a> Columns<'a> {
    fn of(items: impl Iterator<Item = (ItemId, &'a ItemFields)>) -> Self {
        let mut columns = Self::default();
        for (id, fields) in items {
            columns.ids.push(id.0);
            columns.titles.push(fields.title());
            columns.active.push(fields.active());
            columns
                .organizations
                .push(fields.organization().map(|id| id.0));
            let (contact, rate, description) = match fields {
                ItemFields::Contact(contact) => (Some(contact), None, &contact.description),
                ItemFields::Organization(organization) => {
                    (None, organization.default_rate, &organization.description)
                }
            };
            columns.descriptions.push(description.as_deref());
            columns.rates.push(rate);
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
        }
        columns
    }
}

/// Creates items of one kind.
pub async fn create(
    connection: &mut PgConnection,
    scene: Scene,
    kind: ItemKind,
    items: &[(ItemId, ItemFields)],
) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let new = Columns::of(items.iter().map(|(id, fields)| (*id, fields)));
    sqlx::query!(
        "INSERT INTO items (root_id, group_id, kind, created_at, updated_at, state, id, title, first_name, last_name, email, phone,
                            description, organization_id, default_rate)
         SELECT $1, $2, $3, $4, $4, CASE WHEN active THEN 'active' ELSE 'inactive' END, id, title, first_name, last_name, email, phone,
                description, organization_id, default_rate
         FROM unnest($5::bigint[], $6::boolean[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[],
                     $14::numeric[])
              AS new (id, active, title, first_name, last_name, email, phone, description, organization_id, default_rate)",
        scene.root.0,
        scene.group.0,
        kind.word(),
        scene.now,
        &new.ids,
        &new.active,
        &new.titles,
        &new.first_names as &[Option<&str>],
        &new.last_names as &[Option<&str>],
        &new.emails as &[Option<&str>],
        &new.phones as &[Option<&str>],
        &new.descriptions as &[Option<&str>],
        &new.organizations as &[Option<i64>],
        &new.rates as &[Option<Decimal>],
    )
    .execute(&mut *connection)
    .await?;
    let rows: Vec<_> = items
        .iter()
        .map(|(id, fields)| (*id, json!({ "fields": fields })))
        .collect();
    remember(connection, scene, "item_created", &rows).await
}

/// Changes items.
pub async fn edit(
    connection: &mut PgConnection,
    scene: Scene,
    edits: &[Edit],
) -> Result<(), StoreError> {
    if edits.is_empty() {
        return Ok(());
    }
    let new = Columns::of(edits.iter().map(|edit| (edit.before.id, &edit.after)));
    sqlx::query!(
        "UPDATE items
         SET updated_at = $3, state = CASE WHEN new.active THEN 'active' ELSE 'inactive' END, title = new.title,
             first_name = new.first_name, last_name = new.last_name, email = new.email, phone = new.phone,
             description = new.description, organization_id = new.organization_id, default_rate = new.default_rate
         FROM unnest($4::bigint[], $5::boolean[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[],
                     $13::numeric[])
              AS new (id, active, title, first_name, last_name, email, phone, description, organization_id, default_rate)
         WHERE items.root_id = $1 AND items.group_id = $2 AND items.id = new.id",
        scene.root.0,
        scene.group.0,
        scene.now,
        &new.ids,
        &new.active,
        &new.titles,
        &new.first_names as &[Option<&str>],
        &new.last_names as &[Option<&str>],
        &new.emails as &[Option<&str>],
        &new.phones as &[Option<&str>],
        &new.descriptions as &[Option<&str>],
        &new.organizations as &[Option<i64>],
        &new.rates as &[Option<Decimal>],
    )
    .execute(&mut *connection)
    .await?;
    let rows: Vec<_> = edits
        .iter()
        .map(|edit| {
            let (before, after) = difference(&edit.before.fields, &edit.after);
            (edit.before.id, json!({ "before": before, "after": after }))
        })
        .collect();
    remember(connection, scene, "item_edited", &rows).await
}

/// Returns the fields that differ, as they were and as they become.
fn difference(before: &ItemFields, after: &ItemFields) -> (Map<String, Value>, Map<String, Value>) {
    let map = |fields: &ItemFields| match serde_json::to_value(fields) {
        Ok(Value::Object(map)) => map,
        // Plain strings, numbers and flags always turn into an object.
        Ok(_) | Err(_) => Map::new(),
    };
    let (mut old, mut new) = (map(before), map(after));
    old.retain(|field, value| new.get(field) != Some(value));
    new.retain(|field, _| old.contains_key(field));
    (old, new)
}

async fn remember(
    connection: &mut PgConnection,
    scene: Scene,
    action: &str,
    rows: &[(ItemId, Value)],
) -> Result<(), StoreError> {
    let ids: Vec<i64> = rows.iter().map(|(id, _)| id.0).collect();
    let details: Vec<Json<&Value>> = rows.iter().map(|(_, detail)| Json(detail)).collect();
    sqlx::query!(
        "INSERT INTO history (root_id, operation, at, actor_id, via, group_id, item_id, action, detail)
         SELECT $1, $2, $3, $4, $5, $9, item_id, $6, detail FROM unnest($7::bigint[], $8::jsonb[]) AS change (item_id, detail)",
        scene.root.0,
        scene.operation.0,
        scene.now,
        scene.actor.map(|actor| actor.0),
        Via::Import.word(),
        action,
        &ids,
        &details as &[Json<&Value>],
        scene.group.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
