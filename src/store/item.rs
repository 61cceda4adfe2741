//! Contacts and organizations, and which contacts an issue has.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::{
    domain::{ContactDraft, GroupId, IssueId, ItemId, PersonId, RootId},
    rules::{Change, Contact, Needs},
};

/// Loads the contacts that a decision needs: those with the named addresses, and those of the issue where all are to be listed
/// or an earlier operation (whose contacts are `past`) may be taken back.
pub async fn contacts(
    connection: &mut PgConnection,
    (root, group, issue): (RootId, GroupId, IssueId),
    needs: &Needs,
    past: &[i64],
) -> Result<Vec<Contact>, StoreError> {
    let contacts = sqlx::query_as!(
        Contact,
        r#"WITH wanted AS (
               SELECT id FROM items WHERE root_id = $1 AND group_id = $2 AND kind = 'contact'
                 AND lower(email) IN (SELECT lower(typed) FROM unnest($4::text[]) AS typed)
               UNION SELECT item_id FROM issue_items WHERE $5 AND root_id = $1 AND issue_id = $3
               UNION SELECT unnest($6::bigint[]))
           SELECT items.id AS "id: ItemId", items.first_name AS "first_name!", items.last_name AS "last_name!", items.email,
                  items.state = 'active' AS "active!",
                  -- Looked up one by one: EXISTS or a join may read all relations of the tenant, by a plan from when there were few.
                  (SELECT true FROM issue_items WHERE root_id = $1 AND issue_id = $3 AND item_id = items.id LIMIT 1) IS NOT NULL AS "related!"
           FROM items JOIN wanted ON items.id = wanted.id
           WHERE items.root_id = $1 AND items.group_id = $2 AND kind = 'contact'"#,
        root.0,
        group.0,
        issue.0,
        &needs.emails,
        needs.list,
        past,
    )
    .fetch_all(connection)
    .await?;
    Ok(contacts)
}

/// Returns the organizations with these names, without regard to case.
pub async fn organizations(
    connection: &mut PgConnection,
    root: RootId,
    group: GroupId,
    names: &[String],
) -> Result<Vec<(ItemId, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: ItemId", title FROM items
           WHERE root_id = $1 AND group_id = $2 AND kind = 'organization'
             AND lower(title) IN (SELECT lower(typed) FROM unnest($3::text[]) AS typed)"#,
        root.0,
        group.0,
        names,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.title)).collect())
}

/// Returns ids for items that are about to be created.
pub async fn reserve_ids(
    connection: &mut PgConnection,
    count: usize,
) -> Result<Vec<ItemId>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"SELECT nextval(pg_get_serial_sequence('items', 'id')) AS "id!: ItemId" FROM generate_series(1, $1::bigint)"#,
        i64::try_from(count).unwrap_or_default(),
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Where changes happen, and who makes them.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Tenant.
    pub root: RootId,
    /// The group that holds the contacts.
    pub group: GroupId,
    /// The issue.
    pub issue: IssueId,
    /// The person.
    pub actor: PersonId,
    /// The moment.
    pub now: DateTime<Utc>,
}

/// Applies the changes of one command in their order, equal ones in a row with one statement.
pub async fn apply(
    connection: &mut PgConnection,
    scene: Scene,
    changes: &[Change],
) -> Result<(), StoreError> {
    let same = |a: &Change, b: &Change| std::mem::discriminant(a) == std::mem::discriminant(b);
    for run in changes.chunk_by(same) {
        let ids: Vec<i64> = run.iter().map(|change| change.item().0).collect();
        match run.first() {
            Some(Change::Relate(_)) => relate(&mut *connection, scene, &ids).await?,
            Some(Change::Unrelate(_)) => unrelate(&mut *connection, scene, &ids).await?,
            Some(Change::Delete(_)) => delete(&mut *connection, scene, &ids).await?,
            Some(Change::Create { .. }) => {
                for change in run {
                    if let Change::Create {
                        id,
                        draft,
                        organization,
                    } = change
                    {
                        create(&mut *connection, scene, (*id, *organization), draft).await?;
                    }
                }
            }
            // Made by `commanded::apply`, with all that follows.
            Some(Change::Watch(_) | Change::CreateChat { .. }) | None => {}
        }
    }
    Ok(())
}

async fn relate(
    connection: &mut PgConnection,
    scene: Scene,
    ids: &[i64],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO issue_items (root_id, issue_id, item_id, added_by, added_at)
         SELECT $1, $2, unnest($3::bigint[]), $4, $5 ON CONFLICT DO NOTHING",
        scene.root.0,
        scene.issue.0,
        ids,
        scene.actor.0,
        scene.now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn unrelate(
    connection: &mut PgConnection,
    scene: Scene,
    ids: &[i64],
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM issue_items WHERE root_id = $1 AND issue_id = $2 AND item_id = ANY($3)",
        scene.root.0,
        scene.issue.0,
        ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes contacts that are on no other issue; one that was put on another meanwhile is a conflict.
async fn delete(
    connection: &mut PgConnection,
    scene: Scene,
    ids: &[i64],
) -> Result<(), StoreError> {
    // The lock comes first and by itself: a relation that is being made holds the contact, and is seen once it is committed.
    sqlx::query!(
        r#"SELECT 1 AS "one!" FROM items WHERE root_id = $1 AND group_id = $2 AND id = ANY($3) ORDER BY id FOR UPDATE"#,
        scene.root.0,
        scene.group.0,
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let deleted = sqlx::query!(
        "DELETE FROM items WHERE root_id = $1 AND group_id = $2 AND id = ANY($3)
           AND NOT EXISTS (SELECT FROM issue_items WHERE issue_items.root_id = $1 AND item_id = items.id AND issue_id <> $4)",
        scene.root.0,
        scene.group.0,
        ids,
        scene.issue.0,
    )
    .execute(connection)
    .await?;
    if deleted.rows_affected() == ids.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Conflict {
            constraint: "issue_items".to_owned(),
        })
    }
}

async fn create(
    connection: &mut PgConnection,
    scene: Scene,
    (id, organization): (ItemId, Option<ItemId>),
    draft: &ContactDraft,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO items (root_id, id, group_id, kind, title, first_name, last_name, email, organization_id, created_at, updated_at)
         VALUES ($1, $2, $3, 'contact', $4, $5, $6, $7, $8, $9, $9)",
        scene.root.0,
        id.0,
        scene.group.0,
        format!("{} {}", draft.first_name, draft.last_name),
        draft.first_name,
        draft.last_name,
        draft.email,
        organization.map(|id| id.0),
        scene.now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Creates a contact outside of any issue; returns its id.
pub async fn insert_contact(
    connection: &mut PgConnection,
    (root, group): (RootId, GroupId),
    draft: &ContactDraft,
    active: bool,
    now: DateTime<Utc>,
) -> Result<ItemId, StoreError> {
    let id = sqlx::query_scalar!(
        r#"INSERT INTO items (root_id, group_id, kind, state, title, first_name, last_name, email, created_at, updated_at)
           VALUES ($1, $2, 'contact', CASE WHEN $3 THEN 'active' ELSE 'inactive' END, $4, $5, $6, $7, $8, $8)
           RETURNING id AS "id: ItemId""#,
        root.0,
        group.0,
        active,
        format!("{} {}", draft.first_name, draft.last_name),
        draft.first_name,
        draft.last_name,
        draft.email,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(id)
}
