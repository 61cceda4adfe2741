//! Contacts and organizations in bulk: what an import looks up and writes, a chunk of rows per statement.

mod issues;

pub use issues::{FoundIssue, relate};

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};

use super::{StoreError, item_fields};
use crate::{
    domain::{
        ContactFields, GroupId, ItemFields, ItemId, ItemKind, OperationId, OrganizationFields,
        PersonId, RootId, Via,
    },
    rules::Edit,
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

/// What the statements of an import are about to do.
#[derive(Debug, Clone, Copy)]
pub enum Phase {
    /// Look up thousands of rows.
    LookUp,
    /// Write; the checks of references that come with it look up single rows, and are planned like everything else.
    Write,
}

/// Lookups read the tenant's rows once and hash them. What is estimated of a table that grows meanwhile is so far off that rows would
/// be looked up one by one, each time in all of the tenant's.
const LOOK_UP: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_seqscan", "on"),
    ("enable_bitmapscan", "on"),
    ("enable_hashjoin", "on"),
    ("enable_nestloop", "off"),
];
/// Has the next statements of the transaction planned for what they do.
pub async fn plan_for(connection: &mut PgConnection, phase: Phase) -> Result<(), StoreError> {
    match phase {
        Phase::LookUp => set(connection, &LOOK_UP).await,
        Phase::Write => {
            let names = LOOK_UP.map(|(name, _)| name);
            sqlx::query!(
                r#"SELECT set_config(name, reset_val, true) AS "set" FROM pg_settings WHERE name = ANY($1)"#,
                &names as &[&str],
            )
            .fetch_all(connection)
            .await?;
            Ok(())
        }
    }
}

/// Prepares a transaction for an import: it may take its time, and those of one tenant take turns.
pub async fn begin(connection: &mut PgConnection, root: RootId) -> Result<(), StoreError> {
    let patient = [("statement_timeout", "0"), ("lock_timeout", "0")];
    set(&mut *connection, &patient).await?;
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('import', $1)) IS NOT NULL AS "locked""#,
        root.0
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Changes settings for the rest of the transaction.
async fn set(connection: &mut PgConnection, settings: &[(&str, &str)]) -> Result<(), StoreError> {
    let (names, values): (Vec<&str>, Vec<&str>) = settings.iter().copied().unzip();
    sqlx::query!(
        r#"SELECT set_config(name, value, true) AS "set" FROM unnest($1::text[], $2::text[]) AS setting (name, value)"#,
        &names as &[&str],
        &values as &[&str],
    )
    .fetch_all(connection)
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
        // Nothing else has a value of its own that it is known by.
        _ => Ok(Vec::new()),
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
           LEFT JOIN items ON items.root_id = $1 AND items.group_id = $2 AND items.kind = 'contact' AND items.email IS NOT NULL
                             AND lower(items.email) = lower(typed.email)
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

/// Creates items.
pub async fn create(
    connection: &mut PgConnection,
    scene: Scene,
    items: Vec<(ItemId, ItemFields)>,
) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let new: Vec<_> = items
        .into_iter()
        .map(|(id, fields)| (id, fields, scene.now))
        .collect();
    item_fields::insert(connection, (scene.root, scene.group), &new, scene.now).await?;
    let told: Vec<_> = new
        .iter()
        .map(|(id, fields, _)| (*id, json!({ "fields": fields })))
        .collect();
    remember(connection, scene, "item_created", &told).await
}

/// Changes items, each from what it was when it was looked up; one that somebody else changed since is a conflict.
pub async fn edit(
    connection: &mut PgConnection,
    scene: Scene,
    edits: Vec<(Stored, ItemFields)>,
) -> Result<(), StoreError> {
    if edits.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = edits.iter().map(|(stored, _)| stored.id.0).collect();
    let locked = item_fields::lock(connection, scene.root, &ids).await?;
    let now: HashMap<ItemId, ItemFields> = locked
        .into_iter()
        .map(|item| (item.id, item.fields))
        .collect();
    let is_same = |(stored, _): &(Stored, ItemFields)| now.get(&stored.id) == Some(&stored.fields);
    if !edits.iter().all(is_same) {
        return Err(StoreError::Conflict {
            constraint: "items".to_owned(),
        });
    }
    let edits: Vec<Edit> = edits
        .into_iter()
        .filter_map(|(stored, after)| Edit::between(stored.id, &stored.fields, after))
        .collect();
    let told: Vec<_> = edits
        .iter()
        .map(|edit| {
            let detail = json!({ "before": edit.before, "after": edit.after });
            (edit.item, detail)
        })
        .collect();
    let written: Vec<_> = edits
        .into_iter()
        .map(|edit| (edit.item, edit.fields))
        .collect();
    item_fields::write(connection, scene.root, &written, scene.now).await?;
    remember(connection, scene, "item_edited", &told).await
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
